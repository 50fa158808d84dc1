package deployment

import "github.com/openstack-rca/openstack-rca/ci/verdict"

func failure(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

func couldNotRun(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy, Outcome: verdict.CouldNotRun}
}

// The codes of a deployment.
var (
	RolledBack = failure("ROLLED_BACK", "The deployment failed and ECS put the old version back, which serves.",
		"Read why in the cause and the task reasons, mend it, and deploy the new digest")
	RollbackFailed = failure("ROLLBACK_FAILED", "The deployment failed, and so did putting the old version back.",
		"Look at the service now: which tasks run, and why the old ones do not start; then deploy a digest that ran before")
	Superseded = failure("SUPERSEDED", "Another deployment of the service replaced this one before it was done.",
		"See who deployed the other one; deploy again if this version is the one that should run")
	Stopped = failure("STOPPED", "Somebody stopped the deployment.",
		"See in CloudTrail who called StopServiceDeployment, and deploy again")
	Stuck = failure("STUCK", "The deployment did not end in time; the cause says whether the old version was put back.",
		"Look at the task reasons and the service's events, mend the cause, then deploy again")
	NoRollbackTarget = failure("NO_ROLLBACK_TARGET", "The deployment failed, and no version ran before it that could be put back.",
		"Mend the cause and deploy again; a service that never served was deleted, and is made again then")
	Busy = couldNotRun("BUSY", "Another deployment of this service is in progress, so nothing was changed.",
		"Wait for it or roll it back, then deploy again; --in-flight supersede replaces it")
	TargetMissing = failure("TARGET_MISSING", "The service is not there, or not active.",
		"Check cluster, service and account of the environment; plan shows what would be created")
	NoCapacity = failure("NO_CAPACITY", "AWS could not place the tasks of the new version.",
		"Check the Fargate vCPU quota and the free addresses of the subnets; a blue/green deployment needs room for twice the tasks")
	NeverHealthy = failure("NEVER_HEALTHY", "The tasks of the new version ran and did not become healthy in time; the cause says whether the old version was put back.",
		"Read the targets' reasons in the cause and the application's log: the health path must answer 200 on the application's port within rollout.start_period and the checks after it")
	NotRolledBack = failure("NOT_ROLLED_BACK", "The deployment failed and ECS put nothing back: the service's circuit breaker is set to stop without a rollback.",
		"See status for what runs and roll back; deploy again with this pipeline, which lets the breaker roll back")
	NotStarted = failure("NOT_STARTED", "The service was updated, and no deployment of it appeared.",
		"Look at the service's deployments in ECS; then deploy again, which finds a deployment that appeared late")
	UpdateFailed = failure("UPDATE_FAILED", "ECS refused to update the service.",
		"Read ECS's words in the cause; nothing was changed")
	DigestMismatch = failure("DIGEST_MISMATCH", "The deployment ended well, and what runs is another image.",
		"See which image the revision holds; the task definition must name the digest that was tested")
	NoRunningTasks = failure("NO_RUNNING_TASKS", "The deployment ended well, and no task runs: the service is to have none.",
		"See what set the desired count to 0, such as rollout.min, and deploy again")
	LBUnhealthy = failure("LB_UNHEALTHY", "The deployment ended well, and the load balancer finds its tasks unhealthy.",
		"Read the targets' reasons in the cause: the health path, the port and the security groups must let the load balancer through")
	NotServing = failure("NOT_SERVING", "The deployment ended well, and the service does not serve.",
		"Look at the running tasks and the target groups' health, then roll back")
	AWSFailed = couldNotRun("AWS_FAILED", "ECS could not be asked.",
		"Check credentials, permissions (docs/iam) and network; nothing was changed")
	FollowDenied = couldNotRun("FOLLOW_DENIED", "The credentials may not follow a deployment, so none was started and the service was not touched.",
		"Allow ecs:ListServiceDeployments, ecs:DescribeServiceDeployments and ecs:DescribeServiceRevisions for the service; docs/iam has the whole policy")
	AuthExpired = failure("AUTH_EXPIRED", "The AWS credentials ended before the deployment was done; one that had begun goes on.",
		"Deploy again with fresh credentials: a deployment in flight is found and followed, a trial task that was left too. A role is renewed by itself, a web identity for as long as its token is valid")
	AwaitingApproval = couldNotRun("AWAITING_APPROVAL", "The deployment stands at a pause and awaits an answer; the old version serves or both do.",
		"Look at it, then approve or reject; without an answer the pause ends as the cause says")
	LockLost = failure("LOCK_LOST", "Another run took over this service while this one was under way, so this one changed nothing more.",
		"Look at status for what the other run does")
	Lost = failure("LOST_SIGHT", "The deployment is under way and ECS could not be asked how it goes.",
		"Deploy again when AWS answers: the deployment in flight is found and followed")
	Interrupted = couldNotRun("INTERRUPTED", "This run was ended before its deployment was; one that had begun goes on.",
		"Deploy the same digest again: a deployment in flight is found and followed")
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{RolledBack, RollbackFailed, Superseded, Stopped, Stuck, NoRollbackTarget, Busy, TargetMissing, NoCapacity, NeverHealthy, NotRolledBack,
		NotStarted, UpdateFailed, DigestMismatch, NoRunningTasks, LBUnhealthy, NotServing, AuthExpired, AwaitingApproval, LockLost, FollowDenied, AWSFailed, Lost, Interrupted}
}
