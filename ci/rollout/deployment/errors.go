package deployment

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Refused reports whether ECS rejected the request, so that repeating it cannot help. An answer without a code
// is not of ECS but of a gateway or proxy on the way, and ECS may have carried the request out all the same.
func Refused(err error) bool {
	if errors.Is(err, errMissing) {
		return true
	}
	var known smithy.APIError
	if !errors.As(err, &known) {
		return false
	}
	code := known.ErrorCode()
	for _, transient := range []string{"Throttl", "TooManyRequests", "RequestLimitExceeded", "ServerException", "ServiceUnavailable",
		"InternalFailure", "InternalError", "UpdateInProgress", "UnknownError"} {
		if strings.Contains(code, transient) {
			return false
		}
	}
	return known.ErrorFault() != smithy.FaultServer
}

// Absence is since when ECS has not known what it knew before, or what was just made. What it describes lags
// behind, and not all of its servers know the same, so that one answer proves nothing.
type Absence struct{ since time.Time }

// Lasts takes what was seen now, and reports whether ECS has not known it for a minute.
func (a *Absence) Lasts(missing bool, now time.Time) bool {
	switch {
	case !missing:
		a.since = time.Time{}
	case a.since.IsZero():
		a.since = now
	}
	return missing && now.Sub(a.since) > appears
}

// Absent reports whether ECS answered that the service does not exist. DescribeServices will return
// this error for a deleted service; today it lists it under its failures (API reference,
// DeleteService).
func Absent(err error) bool {
	var known smithy.APIError
	return errors.As(err, &known) && known.ErrorCode() == "ServiceNotFoundException"
}

// groupGone reports whether Elastic Load Balancing knows no such target group (API reference, DescribeTargetHealth).
func groupGone(err error) bool {
	var known smithy.APIError
	return errors.As(err, &known) && strings.HasPrefix(known.ErrorCode(), "TargetGroupNotFound")
}

// Expired reports whether the credentials are no longer valid, as opposed to not permitted.
func Expired(err error) bool {
	var known smithy.APIError
	return errors.As(err, &known) && slices.Contains([]string{
		"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
		"RequestExpired", "InvalidSignatureException",
	}, known.ErrorCode())
}

// ProblemOf is the problem of a call that failed: of its code, or AuthExpired.
func ProblemOf(code verdict.Code, err error) *verdict.Problem {
	if Expired(err) {
		code = AuthExpired
	}
	return verdict.Problemf(code, "%v", err)
}

// Denied reports whether valid credentials are not permitted to make the call.
func Denied(err error) bool {
	var known smithy.APIError
	return errors.As(err, &known) && slices.Contains([]string{"AccessDenied", "AccessDeniedException"}, known.ErrorCode())
}

// roleNotReady reports whether ECS does not know a new role yet (pulumi/pulumi-awsx#927).
func roleNotReady(err error) bool {
	return containsAny(err.Error(), "unable to assume", "Unable to assume", "service linked role")
}

// nameStillTaken reports whether another service has the name. ECS says so for a moment after one was
// deleted, although it describes none (hashicorp/terraform-provider-aws#2283).
func nameStillTaken(err error) bool {
	return containsAny(err.Error(), "still Draining", "not idempotent")
}

func containsAny(text string, words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}
