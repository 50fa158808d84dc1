package metrics

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// CodeUnsent is the warning of metrics that could not be sent.
var CodeUnsent = verdict.Code{
	Name: "METRICS_UNSENT", Stage: verdict.Preflight,
	Meaning: "the metrics of the run could not be sent within five seconds; its verdict stands",
	Remedy:  "check that the address answers from here: curl <address>/-/ready for a Pushgateway; the next run sends again",
}

// Codes are all codes of this package.
func Codes() []verdict.Code { return []verdict.Code{CodeUnsent} }
