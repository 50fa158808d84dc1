package assembly

import (
	"github.com/openstack-rca/openstack-rca/ci/refused"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// CodeServeFailed is raised when the application could not be tested as a process.
var CodeServeFailed = verdict.Code{
	Name: "SERVE_FAILED", Stage: verdict.Image, Outcome: verdict.CouldNotRun,
	Meaning: "Without an engine, the application could not be started as a process, or it did not stop.",
	Remedy:  "read the cause; image.requirements in pipeline.yaml names what serving needs",
}

// Codes are all codes of this package.
func Codes() []verdict.Code { return []verdict.Code{CodeServeFailed, refused.Image, refused.Write} }
