package trial

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// The codes of a trial.
var (
	Failed = verdict.Code{Name: "TRIAL_FAILED", Stage: verdict.Deploy, Outcome: verdict.Fail,
		Meaning: "A task of the new version, run on trial, did not get healthy, so the service was not touched.",
		Remedy:  "Read why in the cause and the task's log, fix it, and deploy the new digest"}
	Stopped = verdict.Code{Name: "TRIAL_STOPPED", Stage: verdict.Deploy, Outcome: verdict.Fail,
		Meaning: "Somebody stopped the task of the new version that was run on trial, so the service was not touched.",
		Remedy:  "See in the cause what they said, or in CloudTrail who called StopTask, and deploy again if the version should run"}
	Refused = verdict.Code{Name: "TRIAL_REFUSED", Stage: verdict.Deploy, Outcome: verdict.CouldNotRun,
		Meaning: "ECS did not take the request to run or to look at a task of the new version on trial, so the service was not touched.",
		Remedy:  "Read ECS's words in the cause; ecs:RunTask and ecs:StopTask must be allowed as in docs/iam. rollout.trial: false deploys without a trial"}
)

// Codes are all codes of this package.
func Codes() []verdict.Code { return []verdict.Code{Failed, Stopped, Refused} }
