package notify

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// The codes of this package. They are warnings: the verdict stands.
var (
	CodeFailed = verdict.Code{
		Name: "NOTIFY_FAILED", Stage: verdict.Preflight,
		Meaning: "a notification could not be sent to a channel of notify; the run's verdict stands",
		Remedy:  "read the reason; `openstack-rca notify --channel NAME` sends a test message",
	}
	CodeUnconfigured = verdict.Code{
		Name: "NOTIFY_UNCONFIGURED", Stage: verdict.Preflight,
		Meaning: "a channel of notify has no secret in this call, so nothing was sent to it",
		Remedy:  "add a line NAME=SECRET to what --notify-secrets refers to, or remove the channel from pipeline.yaml",
	}
)

// Codes are all codes of this package.
func Codes() []verdict.Code { return []verdict.Code{CodeFailed, CodeUnconfigured} }
