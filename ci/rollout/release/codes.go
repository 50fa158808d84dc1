package release

import (
	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func failure(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

func couldNotRun(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy, Outcome: verdict.CouldNotRun}
}

func warning(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy}
}

// The codes of operating a service.
var (
	NotPromoted = failure("NOT_PROMOTED", "Production takes only an image that staging has run, and staging has no record of this one; nothing was changed.",
		"Deploy the same digest to staging first, or pass --override with the reason, which is recorded")
	NoSandbox = couldNotRun("NO_SANDBOX", "In the sandbox there is no account, so there is nothing to operate on.",
		"Pass --environment staging or production")
	NothingInFlight = couldNotRun("NOTHING_IN_FLIGHT", "No deployment of the service is under way.",
		"See status for what runs")
	NothingPaused = couldNotRun("NOTHING_PAUSED", "No deployment of the service awaits an answer.",
		"See status for where the deployment stands")
	AnswerRefused = failure("ANSWER_REFUSED", "ECS did not take the answer to the pause.",
		"Read ECS's words in the cause; a pause that ended meanwhile has done what its timeout says")
	NoRelease = failure("NO_RELEASE", "There is no earlier release to go back to.",
		"Deploy the digest that is to run")
	StopRefused = failure("STOP_REFUSED", "ECS did not take the request to roll the deployment back.",
		"Read ECS's words in the cause, and see status")
	SmokeUnreachable = couldNotRun("SMOKE_UNREACHABLE", "The service cannot be reached from where this runs, so no deployment could be shown to serve; nothing was changed.",
		"Run it where the load balancer is in reach, set rollout.smoke to an address that is, or to none, which the report then says")
)

// The warnings of operating a service.
var (
	AlarmPreexisting = warning("ALARM_PREEXISTING", "An alarm that should guard the deployment is in ALARM already, so ECS ignores all alarms for this deployment.",
		"Find out why it rings before deploying; the probes and the task watcher of this run go on guarding")
	ClockSkew = warning("CLOCK_SKEW", "This machine's clock differs from AWS's by more than five seconds; the verdict does not depend on it.",
		awsclock.Remedy)
	SmokeOff = warning("SMOKE_OFF", "The service was not asked over HTTP, as rollout.smoke is none.",
		"Set rollout.smoke to an address that this machine reaches")
	TrialOff = warning("TRIAL_OFF", "No task of the new version was tried before the service was touched, as rollout.trial is false.",
		"A version that cannot start then costs as many launches as tasks are desired; docs/rollout.md has the numbers")
	TrialLeft = warning("TRIAL_LEFT", "A trial task that an earlier run left could not be looked for, or stopped.",
		"See status for trial tasks; allow ecs:ListTasks and ecs:StopTask as in docs/iam, or stop it by hand")
	Overridden = warning("PROMOTION_OVERRIDDEN", "Production took an image that staging has not run.",
		"The reason is in the journal")
	Resumed = warning("RUN_RESUMED", "An earlier run ended without a word; its deployment was found, and this run went on from there.",
		"See why it ended: a runner that was lost, or a cancelled job")
	NotAsPlanned = warning("NOT_AS_PLANNED", "The new version serves and was verified; something around it, such as its scaling, could not be made as planned.",
		"Read which resource in the cause, see with plan what differs, and deploy the same digest again: it starts no deployment and writes only that")
	AWSRemark = warning("AWS_REMARK", "AWS carried a write out and remarked something about it.",
		"Read the remark in the cause; nothing has to be done for the deployment")
	NotRecorded = warning("NOT_RECORDED", "What was done is true, and could not be written to the journal.",
		"Run it again: it finds what is there and records it")
	NoSettings = warning("NO_SETTINGS", "The journal does not know the target groups' settings of the release that was put back, so they stay as they are.",
		"Compare the health check's settings with those of that release")
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{NotPromoted, NoSandbox, NothingInFlight, NothingPaused, AnswerRefused, NoRelease, StopRefused, SmokeUnreachable,
		AlarmPreexisting, ClockSkew, NotAsPlanned, AWSRemark, SmokeOff, TrialOff, TrialLeft, Overridden, Resumed, NotRecorded, NoSettings}
}
