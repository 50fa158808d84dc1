package trial

import (
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Codes of a trial.
var (
	Failed = verdict.Code{Name: "TRIAL_FAILED", Stage: verdict.Deploy, Outcome: verdict.Fail,
		Meaning: "The trial task of the new version did not become healthy, so the service was not touched.",
		Remedy:  "Read the reason in the cause and the task's log, fix it, and deploy the new digest"}
	Stopped = verdict.Code{Name: "TRIAL_STOPPED", Stage: verdict.Deploy, Outcome: verdict.Fail,
		Meaning: "A user stopped the trial task of the new version, so the service was not touched.",
		Remedy:  "Read their reason in the cause, or see in CloudTrail who called StopTask; deploy again if the version should run"}
	Refused = verdict.Code{Name: "TRIAL_REFUSED", Stage: verdict.Deploy, Outcome: verdict.CouldNotRun,
		Meaning: "ECS refused to run or to describe a trial task of the new version, so the service was not touched.",
		Remedy: "Read ECS's message in the cause; ecs:RunTask and ecs:StopTask must be allowed as in docs/iam. rollout.trial: false " +
			"deploys without a trial"}
)

// Codes are all codes of this package.
func Codes() []verdict.Code { return []verdict.Code{Failed, Stopped, Refused} }
