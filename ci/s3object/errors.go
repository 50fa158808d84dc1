package s3object

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Kind is what went wrong, as far as the caller can act on it.
type Kind string

// The kinds of failure.
const (
	// Unreachable: no answer came.
	Unreachable Kind = "unreachable"
	// Untrusted: the store's certificate was not accepted.
	Untrusted Kind = "untrusted certificate"
	// AccessDenied: the credentials do not allow the action.
	AccessDenied Kind = "access denied"
	// BadCredentials: the store does not know or accept the credentials.
	BadCredentials Kind = "bad credentials"
	// NoBucket: the bucket does not exist.
	NoBucket Kind = "no such bucket"
	// WrongRegion: the bucket is in another region.
	WrongRegion Kind = "wrong region"
	// ClockSkew: this machine's clock is off.
	ClockSkew Kind = "clock skew"
	// Throttled: the store stayed busy.
	Throttled Kind = "throttled"
	// NoCAS: the store ignores conditional writes.
	NoCAS Kind = "conditional writes ignored"
	// Unreadable: a record of the ledger is damaged or of a newer schema.
	Unreadable Kind = "unreadable record"
	// Corrupt: bytes differ from what was sent.
	Corrupt Kind = "corrupt"
	// Conflict: something else is where our content belongs.
	Conflict Kind = "conflict"
	// Taken: the folders belong to another application.
	Taken Kind = "kept by another application"
	// Partial: an upload failed and its parts could not be removed.
	Partial Kind = "partial upload"
	// Abandoned: the number was given up and will never be a version.
	Abandoned Kind = "abandoned"
	// NotFound: the object does not exist.
	NotFound Kind = "not found"
	// Precondition: a conditional write lost.
	Precondition Kind = "precondition failed"
	// LocalFile: a file of this machine could not be read.
	LocalFile Kind = "local file"
	// NotImplemented: the store does not know the call or one of its headers.
	NotImplemented Kind = "not implemented by the store"
	// Refused: the store received other bytes than the request's digest is of, or does not
	// understand the digest. Nothing is stored.
	Refused Kind = "digest refused"
	// Lost: the store acknowledged a write and did not keep it.
	Lost Kind = "write was not kept"
	// TooLong: an answer holds more than it should, or never ends.
	TooLong Kind = "answer without end"
	// NotS3: what answers is no S3 API, such as a login page.
	NotS3 Kind = "not an S3 API"
	// Other is any other refusal.
	Other Kind = "refused"
	// Busy: a conditional write met another in flight (409); the same one may win later.
	Busy Kind = "conflicting request in flight"
	// Gone: the multipart upload does not exist (any more).
	Gone Kind = "no such upload"
)

// Error is a failed operation on the store.
type Error struct {
	// Op is what was to be done, with the S3 action: "put object (s3:PutObject)".
	Op     string
	Kind   Kind
	Bucket string
	Key    string
	// Status is the HTTP status, Code the store's own code.
	Status int
	Code   string
	// Region is where the bucket is, when the store said so.
	Region string
	// UploadID is the multipart upload that was left behind.
	UploadID string
	// Message says more.
	Message string
	Err     error
}

// Error implements error.
func (e *Error) Error() string {
	text := e.Op
	if e.Bucket != "" {
		text += " s3://" + e.Bucket + "/" + e.Key
	} else if e.Key != "" {
		text += " " + e.Key
	}
	text += ": " + string(e.Kind)
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	if e.Region != "" {
		text += ": the bucket is in " + e.Region
	}
	if e.UploadID != "" {
		text += ": upload id " + e.UploadID
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil && e.Code == "" {
		text += ": " + e.Err.Error()
	}
	return text
}

// Denied is the remedy of a call that a policy denies, where the store says which one; else empty. A permission to call S3
// helps with neither.
func (e *Error) Denied() string {
	switch {
	case e.Kind != AccessDenied:
		return ""
	case strings.Contains(e.Message, "kms:"):
		return "Allow kms:GenerateDataKey and kms:Decrypt for the key that encrypts the bucket, in the caller's policy and in the key's own"
	case strings.Contains(e.Message, "explicit deny"):
		return "Change the statement that denies it: in the bucket's policy where the cause says resource-based, else in the caller's or the " +
			"organization's. Where it wants a header for encryption, which is not sent, set the bucket's default encryption, and deny only " +
			"requests that have another one (condition Null: false)"
	default:
		return ""
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// IsKind reports whether err is an *Error of that kind.
func IsKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// codes are the store's codes that say enough on their own.
var codes = map[string]Kind{
	"AccessDenied": AccessDenied, "AllAccessDisabled": AccessDenied, "AccountProblem": AccessDenied, "Forbidden": AccessDenied,
	"InvalidAccessKeyId": BadCredentials, "SignatureDoesNotMatch": BadCredentials, "ExpiredToken": BadCredentials,
	"InvalidToken": BadCredentials, "TokenRefreshRequired": BadCredentials, "InvalidSecurity": BadCredentials,
	"NoSuchBucket": NoBucket, "InvalidBucketName": NoBucket, "NoSuchKey": NotFound, "NotFound": NotFound, "NoSuchUpload": Gone,
	"PermanentRedirect": WrongRegion, "AuthorizationHeaderMalformed": WrongRegion, "IllegalLocationConstraintException": WrongRegion,
	"TemporaryRedirect": WrongRegion, "MovedPermanently": WrongRegion, "InvalidRegionName": WrongRegion, "InvalidRegion": WrongRegion,
	"RequestTimeTooSkewed": ClockSkew,
	"SlowDown":             Throttled, "Throttling": Throttled, "ThrottlingException": Throttled, "RequestLimitExceeded": Throttled,
	"TooManyRequests": Throttled, "ServiceUnavailable": Throttled,
	"PreconditionFailed": Precondition, "ConditionalRequestConflict": Busy, "OperationAborted": Busy,
	"BadDigest": Refused, "XAmzContentChecksumMismatch": Refused, "XAmzContentSHA256Mismatch": Refused, "InvalidDigest": Refused,
	"NotImplemented": NotImplemented,
	// Stores that take a bucket only as a part of the host's name: Alibaba's OSS, Tencent's COS.
	"SecondLevelDomainForbidden": NotImplemented, "PathStyleDomainForbidden": NotImplemented,
}

// Wrap makes an *Error of what a Client returned, for the operation op on a key; nil stays nil.
func Wrap(op, bucket, key string, err error) error {
	if err == nil {
		return nil
	}
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	e := &Error{Op: op, Bucket: bucket, Key: key, Kind: Other, Err: err}
	var page *webPageError
	if errors.As(err, &page) {
		e.Kind, e.Err, e.Status = NotS3, page, page.status
		return e
	}
	if errors.As(err, new(*smithy.DeserializationError)) { // it broke off, or is no document at all
		e.Kind = Unreachable
		return e
	}
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil {
		e.Status = answer.HTTPStatusCode()
		e.Region = answer.Response.Header.Get("X-Amz-Bucket-Region")
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code = clip(api.ErrorCode())
		e.Message = clip(api.ErrorMessage())
	}
	if kind, ok := codes[e.Code]; ok {
		e.Kind = kind
		return e
	}
	switch e.Status {
	case 0:
		e.Kind, e.Err = Unreachable, sendError(err)
		if isTLS(err) {
			e.Kind = Untrusted
		}
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect:
		e.Kind = WrongRegion
	case http.StatusUnauthorized:
		e.Kind = BadCredentials
	case http.StatusForbidden:
		e.Kind = AccessDenied
	case http.StatusNotFound:
		e.Kind = NotFound
	case http.StatusPreconditionFailed:
		e.Kind = Precondition
	case http.StatusConflict:
		e.Kind = Busy
	case http.StatusProxyAuthRequired:
		e.Kind = Unreachable
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		e.Kind = Throttled
	case http.StatusNotImplemented:
		e.Kind = NotImplemented
	default:
		if e.Status >= 500 {
			e.Kind = Unreachable
		}
	}
	return e
}

// sendError is the core of a request that got no answer, without the SDK's wrapping.
func sendError(err error) error {
	var op *net.OpError
	var dns *net.DNSError
	var sent *url.Error // repeats the address, and stands behind the SDK's words
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &dns):
		return fmt.Errorf("look up %s: not found", dns.Name)
	case errors.As(err, &op):
		return op
	case errors.As(err, &sent):
		return sent.Err
	}
	return err
}

func isTLS(err error) bool {
	var unknown x509.UnknownAuthorityError
	var verify *tls.CertificateVerificationError
	var host x509.HostnameError
	return errors.As(err, &unknown) || errors.As(err, &verify) || errors.As(err, &host)
}
