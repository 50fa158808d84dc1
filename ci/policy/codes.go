package policy

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// The codes of this package.
var (
	// CodePolicy is the reason for a stage that does not run; it is not a failure.
	CodePolicy = verdict.Code{Name: "POLICY", Stage: "any",
		Meaning: "The ref of the run has no right to this stage, or the policy of pipeline.yaml removes it.",
		Remedy:  "Run `plan` for the reason; publish, image and deploy run for release branches only (--release-branch, main by default)"}
	// CodeNoEngine is the reason for a stage that does not run; it is not a failure.
	CodeNoEngine = verdict.Code{Name: "NO_ENGINE", Stage: "any",
		Meaning: "The stage needs a Dagger engine and this run has none.",
		Remedy: "Run the module instead of the command: " +
			"dagger -m github.com/openstack-rca/openstack-rca call --source . run summary. It needs Docker, or an engine in " +
			"_EXPERIMENTAL_DAGGER_RUNNER_HOST"}
	// CodeNotConfigured is the reason for a stage that does not run; it is not a failure, and no pass.
	CodeNotConfigured = verdict.Code{Name: "NOT_CONFIGURED", Stage: "any",
		Meaning: "The stage checked nothing, because the configuration or the call does not ask for it.",
		Remedy:  "Name the checks of the audit in security.audit of pipeline.yaml, and give attest a key; see docs/supply-chain.md"}
	// CodeBlocked: a stage was not started because one that it requires did not pass.
	CodeBlocked = verdict.Code{Name: verdict.Blocked, Stage: "any", Outcome: verdict.CouldNotRun,
		Meaning: "A stage that has to pass first did not pass in this run, so this one was not started.",
		Remedy:  "Fix the stage named, or call a function that runs it, too"}
)

// OwnCodes returns the codes this package raises.
func OwnCodes() []verdict.Code {
	return []verdict.Code{CodePolicy, CodeNoEngine, CodeNotConfigured, CodeBlocked}
}
