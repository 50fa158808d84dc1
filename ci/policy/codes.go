package policy

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// The codes of this package.
var (
	// CodePolicy says why a stage was not run; it is not a failure.
	CodePolicy = verdict.Code{Name: "POLICY", Stage: "any",
		Meaning: "The branch policy does not have this stage for this ref.",
		Remedy:  "See plan for the reason; publish, image and deploy run for main, after a merge"}
	// CodeNoEngine says why a stage was not run; it is not a failure.
	CodeNoEngine = verdict.Code{Name: "NO_ENGINE", Stage: "any",
		Meaning: "The stage needs a Dagger engine and this run has none.",
		Remedy:  "Start Docker, or set _EXPERIMENTAL_DAGGER_RUNNER_HOST to an engine, and run again"}
	// CodeBlocked: a stage that was to run had to wait for one that did not pass.
	CodeBlocked = verdict.Code{Name: "BLOCKED", Stage: "any", Outcome: verdict.CouldNotRun,
		Meaning: "A stage that has to pass first did not pass, so this one was not started.",
		Remedy:  "Mend the stage named; this one runs after it"}
)

// OwnCodes returns the codes this package raises.
func OwnCodes() []verdict.Code { return []verdict.Code{CodePolicy, CodeNoEngine, CodeBlocked} }
