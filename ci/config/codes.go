package config

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// CodeInvalid is raised when pipeline.yaml cannot be used.
var CodeInvalid = verdict.Code{Name: "CONFIG_INVALID", Stage: verdict.Preflight, Outcome: verdict.Fail,
	Meaning: "pipeline.yaml has keys or values that cannot be right, or asks for an environment it does not have.",
	Remedy:  "Fix the lines named; docs/configuration.md lists every key with its type and range"}

// OwnCodes returns the codes this package raises.
func OwnCodes() []verdict.Code { return []verdict.Code{CodeInvalid} }
