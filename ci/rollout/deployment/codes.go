package deployment

import (
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func failure(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

func couldNotRun(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy, Outcome: verdict.CouldNotRun}
}

// The codes of a deployment.
var (
	RolledBack = failure("ROLLED_BACK", "The deployment failed and ECS rolled it back; the old version serves.",
		"Read the reason in the cause and the task reasons, fix it, and deploy the new digest")
	RollbackFailed = failure("ROLLBACK_FAILED", "The deployment failed, and so did its rollback.",
		"Look at the service now: which tasks run, and why the old ones do not start; then deploy a digest that ran before")
	Superseded = failure("SUPERSEDED", "Another deployment of the service replaced this one before it was done.",
		"See who deployed the other one; deploy again if this version is the one that should run")
	WithOthers = couldNotRun("FAILED_WITH_OTHERS",
		"Another service, or a one-off task, of the same deploy failed, so this service was not touched or was rolled back.",
		"See the other problem of this run, which is the cause")
	Stopped = failure("STOPPED", "A user stopped the deployment.",
		"See in CloudTrail who called StopServiceDeployment, and deploy again")
	EndUnknown = failure("END_UNKNOWN", "The deployment ended with a status that this version does not know.",
		"See status for which version serves. Deploying the same again only verifies it if it serves already, and else deploys it")
	Stuck = failure("STUCK", "The deployment did not end in time; the cause tells whether it was rolled back.",
		"Look at the task reasons and the service's events, fix the cause, then deploy again")
	NoRollbackTarget = failure("NO_ROLLBACK_TARGET", "The deployment failed, and there is no earlier version to roll back to.",
		"Fix the cause and deploy again; a service that never served was deleted, and is created again")
	Busy = couldNotRun("BUSY", "Another deployment of this service is in progress, so nothing was changed.",
		"Wait for it or roll it back, then deploy again; --in-flight supersede replaces it")
	TargetMissing = failure("TARGET_MISSING", "The service does not exist or is not active.",
		"Check cluster, service and account of the environment; plan shows what would be created")
	NoCapacity = failure("NO_CAPACITY", "AWS could not place the tasks of the new version.",
		"Check the Fargate vCPU quota and the free addresses of the subnets; a blue/green deployment needs room for twice the tasks")
	NeverHealthy = failure("NEVER_HEALTHY",
		"The tasks of the new version ran and did not become healthy in time; the cause tells whether the deployment was rolled back.",
		"Read the targets' reasons in the cause and the application's log: the health path must answer 200 on the application's port within "+
			"rollout.start_period and the checks after it")
	AnalysisFailed = failure("ANALYSIS_FAILED",
		"The new version's own numbers were bad while it had traffic, and the deployment was rolled back.",
		"Read the failed metric in the cause and its chart in the report; fix the version, or the condition in rollout.analysis")
	AnalysisInconclusive = failure("ANALYSIS_INCONCLUSIVE",
		"The new version's numbers were missing, late, or neither good nor bad, so it was not proved; the cause tells what serves.",
		"See in the report which windows have no data; raise late or inconclusive_limit of the metric, or send it traffic")
	NotRolledBack = failure("NOT_ROLLED_BACK",
		"The deployment failed and ECS did not roll it back: the service's circuit breaker is set to stop without a rollback.",
		"See status for what runs and roll back; deploy again with this pipeline, which lets the breaker roll back")
	NotStarted = failure("NOT_STARTED", "The service was updated, and no deployment of it appeared.",
		"Look at the service's deployments in ECS; then deploy again, which finds a deployment that appeared late")
	UpdateFailed = failure("UPDATE_FAILED", "ECS refused to update the service.",
		"Fix what ECS's message in the cause names, then run the same again; the service was not changed")
	DigestMismatch = failure("DIGEST_MISMATCH", "The deployment succeeded, and another image runs.",
		"Look at the image in the service revision; the task definition must name the digest that was tested")
	DigestUnknown = couldNotRun("DIGEST_UNKNOWN", "The deployment succeeded, and ECS does not say which image runs.",
		"Deploy the same again later: what serves is found, and only verified. If that does not help, remove versionConsistency: disabled "+
			"from the container in the task definition: without it ECS names the digest of each image")
	NoRunningTasks = failure("NO_RUNNING_TASKS", "The deployment succeeded, and no task runs: the desired count is 0.",
		"Raise the desired count to see the version run: rollout.min, or scheduled scaling; of an adopted service, where that is managed. Then "+
			"deploy again")
	LBUnhealthy = failure("LB_UNHEALTHY", "The deployment succeeded, and the load balancer reports its tasks as unhealthy.",
		"Read the targets' reasons in the cause: the health path, the port and the security groups must let the load balancer through")
	NotServing = failure("NOT_SERVING", "The deployment succeeded, and the service does not serve.",
		"Look at the running tasks and the target groups' health, then roll back")
	AWSFailed = couldNotRun("AWS_FAILED", "ECS could not be reached, or did not allow the call.",
		"Check credentials, permissions (docs/iam) and network, then run the same again; the service was not changed")
	FollowDenied = couldNotRun("FOLLOW_DENIED",
		"The credentials may not follow a deployment, so none was started and the service was not touched.",
		"Allow ecs:ListServiceDeployments, ecs:DescribeServiceDeployments and ecs:DescribeServiceRevisions for the service; docs/iam has "+
			"the whole policy")
	AuthExpired = failure("AUTH_EXPIRED",
		"The AWS credentials expired, or are not valid any more, before the end; a deployment that was started continues.",
		"Run the same again with fresh credentials: the deployment in flight, or the trial task, is found and followed. A role is renewed by "+
			"itself, a web identity while its token is valid")
	AwaitingApproval = couldNotRun("AWAITING_APPROVAL", "The deployment waits for approval; the old version serves, or both do.",
		"Check the new version, then approve or reject; the cause tells what ECS does without an answer")
	LockLost = failure("LOCK_LOST", "Another run took the lock of this service while this one was running, so this one changed nothing more.",
		"See status for what the other run does")
	Lost = failure("LOST_SIGHT", "The deployment is in progress and ECS could not be asked about it.",
		"Deploy again when AWS answers: the deployment in flight is found and followed")
	IndexUnreadable = couldNotRun("INDEX_UNREADABLE", "The registry could not be asked which images the index has.",
		"Check the registry and its login (DOCKER_USERNAME and DOCKER_PASSWORD, or AWS credentials for Amazon ECR), and deploy the same "+
			"digest again: what serves is found, and only verified")
	Interrupted = couldNotRun("INTERRUPTED", "This run was interrupted before its deployment ended; a deployment that was started continues.",
		"Deploy the same digest again: a deployment in flight is found and followed")
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{RolledBack, RollbackFailed, Superseded, WithOthers, Stopped, EndUnknown, Stuck, NoRollbackTarget, Busy,
		TargetMissing, NoCapacity, NeverHealthy, AnalysisFailed, AnalysisInconclusive, NotRolledBack,
		NotStarted, UpdateFailed, DigestMismatch, DigestUnknown, NoRunningTasks, LBUnhealthy, NotServing, AuthExpired, AwaitingApproval, LockLost,
		FollowDenied, AWSFailed, Lost, IndexUnreadable, Interrupted}
}
