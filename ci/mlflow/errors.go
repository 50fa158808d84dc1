package mlflow

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Kind is what went wrong in a call, as far as the caller can act on it.
type Kind string

// The kinds of failure.
const (
	// Unreachable: no connection could be made; the call was not executed.
	Unreachable Kind = "unreachable"
	// Broken: the connection failed or timed out after the request may have been sent.
	Broken Kind = "broken connection"
	// Untrusted: the server's certificate was not accepted.
	Untrusted Kind = "untrusted certificate"
	// Auth: the server wants other credentials (401).
	Auth Kind = "not authenticated"
	// Forbidden: the credentials do not allow it (403).
	Forbidden Kind = "permission denied"
	// Throttled: too many requests (429); the call was not executed.
	Throttled Kind = "throttled"
	// NotJSON: the answer is not MLflow's, such as a login page.
	NotJSON Kind = "not an MLflow answer"
	// Redirected: the server sends callers elsewhere.
	Redirected Kind = "redirected"
	// Unsupported: the server does not know the call.
	Unsupported Kind = "unsupported by the server"
	// NotServed: the server was started without serving artifacts.
	NotServed Kind = "artifacts are not served"
	// NotFound: the thing does not exist.
	NotFound Kind = "not found"
	// NoWorkspace: the workspace that the client names does not exist.
	NoWorkspace Kind = "no such workspace"
	// Exists: the thing exists already.
	Exists Kind = "already exists"
	// Invalid: the server refuses the request's contents.
	Invalid Kind = "invalid request"
	// Server: the server failed (5xx).
	Server Kind = "server error"
	// TooLarge: the answer exceeds the limit.
	TooLarge Kind = "answer too large"
	// Endless: a file or a listing holds more than there can be.
	Endless Kind = "answer without end"
	// Local: a file of this machine could not be read or written.
	Local Kind = "local file"
)

// errLocal marks failures of this machine's files inside a transfer.
var errLocal = errors.New("local file")

// Error is a failed call.
type Error struct {
	// Op is what the call was to do: "create run".
	Op string
	// Host is the server's host and port.
	Host string
	// Kind is what went wrong.
	Kind Kind
	// Status is the HTTP status, 0 without an answer.
	Status int
	// ErrorCode is MLflow's own code, such as RESOURCE_DOES_NOT_EXIST.
	ErrorCode string
	// Message is the server's message, on one line and shortened.
	Message string
	// RetryAfter is how long the server asked to wait.
	RetryAfter time.Duration
	// Err is the cause when there was no answer.
	Err error
}

// Error implements error. It holds no credentials: neither the URL's query nor headers.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s on %s: %s", e.Op, e.Host, e.Kind)
	if e.Status != 0 {
		text += fmt.Sprintf(" (HTTP %d", e.Status)
		if e.ErrorCode != "" {
			text += " " + e.ErrorCode
		}
		text += ")"
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Ambiguous means that the server may have executed the call although it failed for
// us: the caller must look before it repeats the call.
func (e *Error) Ambiguous() bool { return e.Kind == Broken || e.Kind == Server }

// notExecuted means that repeating is safe for any call.
func (e *Error) notExecuted() bool { return e.Kind == Unreachable || e.Kind == Throttled }

// transient means that repeating a call that may be executed twice can help.
func (e *Error) transient() bool {
	return e.notExecuted() || e.Kind == Broken || e.Kind == Server
}

// IsKind reports whether err is an *Error of that kind.
func IsKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// IsAmbiguous reports whether err is an *Error after which the call may have been executed.
func IsAmbiguous(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Ambiguous()
}

// kindOf reads an answer's kind. MLflow's own code counts for more than the status,
// which differs between servers and versions.
func kindOf(status int, code string, isJSON bool) Kind {
	switch code {
	case "RESOURCE_ALREADY_EXISTS":
		return Exists
	case "RESOURCE_DOES_NOT_EXIST":
		return NotFound
	case "ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED":
		return Unsupported
	case "INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE":
		return Invalid
	case "PERMISSION_DENIED":
		return Forbidden
	case "UNAUTHENTICATED":
		return Auth
	case "REQUEST_LIMIT_EXCEEDED":
		return Throttled
	case "TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR":
		return Server
	}
	// A 404 without a code of MLflow's is of a wrong address or of a proxy, and says nothing
	// about the thing.
	switch {
	case status == http.StatusUnauthorized || status == http.StatusProxyAuthRequired:
		return Auth
	case status == http.StatusForbidden:
		return Forbidden
	case status == http.StatusTooManyRequests:
		return Throttled
	case status/100 == 3:
		return Redirected
	case status == http.StatusNotFound && (!isJSON || code == ""), status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		return Unsupported
	case status == http.StatusNotFound:
		return NotFound
	case status/100 == 5, status == http.StatusRequestTimeout:
		return Server
	case !isJSON:
		return NotJSON
	}
	return Invalid
}

// isTLS reports whether a connection failed for its certificate.
func isTLS(err error) bool {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var verify *tls.CertificateVerificationError
	return errors.As(err, &unknown) || errors.As(err, &invalid) || errors.As(err, &host) || errors.As(err, &verify)
}
