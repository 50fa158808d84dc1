package oneoff

import "github.com/openstack-rca/openstack-rca/ci/verdict"

func failure(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

func couldNotRun(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy, Outcome: verdict.CouldNotRun}
}

// Codes of one-off tasks.
var (
	Failed = failure("TASK_FAILED",
		"A one-off task of rollout.tasks ended with another exit code than 0, or was stopped while it ran, so no service was touched.",
		"Read the last lines of its log in the report and correct what they name; the next deploy runs the task again")
	NotStarted = failure("TASK_NOT_STARTED", "A one-off task of rollout.tasks never started, so no service was touched.",
		"Correct what the reason names: the image and the right to pull it, the secrets, the command, or the network of the service that "+
			"the task uses; the next deploy runs it again")
	TimedOut = failure("TASK_TIMEOUT", "A one-off task of rollout.tasks took longer than its timeout and was stopped. No service was touched.",
		"Find out how far it got before deploying again, which runs it again; raise the task's timeout if it only needs longer")
	Unknown = couldNotRun("TASK_UNKNOWN",
		"A run was interrupted, and how its one-off task ended cannot be found out any more: ECS forgets a stopped task after about an hour.",
		"Look into the task's log for how it ended; the next deploy runs it again, so make sure that it may")
	Busy = couldNotRun("TASK_BUSY", "A one-off task of an earlier deploy still runs, and two of them could disturb each other.",
		"Wait for it, or stop it with `aws ecs stop-task`, and deploy again")
)

// Codes are all codes of this package.
func Codes() []verdict.Code { return []verdict.Code{Failed, NotStarted, TimedOut, Unknown, Busy} }
