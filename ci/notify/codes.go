package notify

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// The codes of this package. They are warnings: the verdict stands.
var (
	CodeFailed = verdict.Code{
		Name: "NOTIFY_FAILED", Stage: verdict.Preflight,
		Meaning: "a channel of notify could not be told what came of the run; its verdict stands",
		Remedy:  "read the reason; `openstack-rca notify --channel NAME` sends a message that says it is a test",
	}
	CodeUnconfigured = verdict.Code{
		Name: "NOTIFY_UNCONFIGURED", Stage: verdict.Preflight,
		Meaning: "a channel of notify has no secret in this call, so it was not told",
		Remedy:  "add a line NAME=SECRET to what --notify-secrets refers to, or remove the channel from pipeline.yaml",
	}
)

// Codes are all codes of this package.
func Codes() []verdict.Code { return []verdict.Code{CodeFailed, CodeUnconfigured} }
