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

// Codes of operating a service.
var (
	NotPromoted = failure("NOT_PROMOTED",
		"Production takes only an image that staging has run, and staging has no record of this one; nothing was changed.",
		"Deploy the same digest to staging first, or pass --override with the reason, which is recorded")
	NotSoaked = failure("NOT_SOAKED",
		"Production takes only an image that staging has served as long as rollout.soak says, without a break; nothing was changed.",
		"Deploy again from the time that the cause names, or pass --override with the reason, which is recorded")
	NoSandbox = couldNotRun("NO_SANDBOX", "The sandbox has no AWS account, so there is no service to operate on.",
		"Pass --environment staging or production")
	NothingInFlight = couldNotRun("NOTHING_IN_FLIGHT", "No deployment of the service is in flight.",
		"See status for what runs")
	NothingPaused = couldNotRun("NOTHING_PAUSED", "No deployment of the service waits for approval.",
		"See status for the stage of the deployment")
	AnswerRefused = failure("ANSWER_REFUSED", "ECS refused the answer to the pause.",
		"Read ECS's message in the cause; a pause that has expired was answered by its timeout")
	NoRelease = failure("NO_RELEASE", "There is no earlier release to roll back to.",
		"Deploy the digest that should run")
	StopRefused = failure("STOP_REFUSED", "ECS refused to roll the deployment back.",
		"Read ECS's message in the cause, and see status")
	ImportIncomplete = failure("IMPORT_INCOMPLETE", "The service cannot be described by a configuration that would change nothing.",
		"Read in the cause what is missing or would change; wait for a deployment in flight, then import again")
	IndexWithout = failure("INDEX_WITHOUT_PLATFORM", "The index has no image for the platform of the tasks; nothing was changed.",
		"Join an index that has one (docs/image.md#two-platforms), or set image.platform to a platform that it has")
	SmokeUnreachable = couldNotRun("SMOKE_UNREACHABLE",
		"The service cannot be reached from where this runs, so no deployment could be verified; nothing was changed.",
		"Run it where the load balancer can be reached, or set rollout.smoke to an address that can be, or to none, which the report shows")
)

// Warnings of operating a service.
var (
	AlarmPreexisting = warning("ALARM_PREEXISTING",
		"An alarm that should guard the deployment is in ALARM already, so ECS ignores all alarms for this deployment.",
		"Find out why it is in ALARM before deploying; the probes and the task checks of this run still apply")
	ClockSkew = warning("CLOCK_SKEW", "This machine's clock differs from AWS's by more than five seconds; the verdict does not depend on it.",
		awsclock.Remedy)
	SmokeOff = warning("SMOKE_OFF", "The service was not requested over HTTP; the cause tells why.",
		"Set rollout.smoke to an address that this machine can reach")
	TrialOff = warning("TRIAL_OFF", "No trial task of the new version was run before the service was touched; the cause tells why.",
		"A version that cannot start then costs as many launches as tasks are desired; docs/rollout.md has the numbers")
	TrialLeft = warning("TRIAL_LEFT", "A trial task that an earlier run may have left could not be found or stopped.",
		"See status for trial tasks; allow ecs:ListTasks and ecs:StopTask as in docs/iam, or stop it with aws ecs stop-task")
	Overridden = warning("PROMOTION_OVERRIDDEN", "Production took an image that staging has not run.",
		"The reason is in the journal")
	Resumed = warning("RUN_RESUMED", "An earlier run was interrupted; this run found its record and resumed from there.",
		"Find out why it was interrupted, such as by a lost runner or a cancelled job")
	NotAsPlanned = warning("NOT_AS_PLANNED",
		"The new version serves and was verified; something around it, such as its scaling, could not be made as planned.",
		"Read which resource in the cause, see with plan what differs, and deploy the same digest again: it starts no deployment and writes "+
			"only that")
	AWSRemark = warning("AWS_REMARK", "AWS made a change and returned a remark about it.",
		"Read the remark in the cause; the deployment needs no action")
	NotRecorded = warning("NOT_RECORDED", "The result is valid, and could not be written to the journal.",
		"Run it again: it finds the result and records it")
	NoSettings = warning("NO_SETTINGS",
		"The journal has no target group settings of the release that was rolled back to, so they were not changed.",
		"Compare the health check's settings with those of that release")
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{NotPromoted, NotSoaked, NoSandbox, NothingInFlight, NothingPaused, AnswerRefused, NoRelease, StopRefused,
		ImportIncomplete, IndexWithout, SmokeUnreachable,
		AlarmPreexisting, ClockSkew, NotAsPlanned, AWSRemark, SmokeOff, TrialOff, TrialLeft, Overridden, Resumed, NotRecorded, NoSettings}
}
