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
	Stuck = failure("STUCK", "The deployment did not end in time, and could not be rolled back in time.",
		"Look at the service's events; a first deployment has nothing to roll back to: mend the cause, then deploy again")
	Busy = couldNotRun("BUSY", "Another deployment of this service is in progress, so nothing was changed.",
		"Wait for it or roll it back, then deploy again; --supersede replaces it")
	TargetMissing = failure("TARGET_MISSING", "The service is not there, or not active.",
		"Check cluster, service and account of the environment; plan shows what would be created")
	NoCapacity = failure("NO_CAPACITY", "AWS could not place the tasks of the new version.",
		"Check the Fargate vCPU quota and the free addresses of the subnets; a blue/green deployment needs room for twice the tasks")
	NotStarted = failure("NOT_STARTED", "The service was updated, and no deployment of it appeared.",
		"Look at the service's deployments in ECS; then deploy again, which finds a deployment that appeared late")
	UpdateFailed = failure("UPDATE_FAILED", "ECS refused to update the service.",
		"Read ECS's words in the cause; nothing was changed")
	DigestMismatch = failure("DIGEST_MISMATCH", "The deployment ended well, and what runs is another image.",
		"See which image the revision holds; the task definition must name the digest that was tested")
	NotServing = failure("NOT_SERVING", "The deployment ended well, and the service does not serve.",
		"Look at the running tasks and the target groups' health, then roll back")
	AWSFailed = couldNotRun("AWS_FAILED", "ECS could not be asked.",
		"Check credentials, permissions (docs/iam) and network; nothing was changed")
	Lost = failure("LOST_SIGHT", "The deployment is under way and ECS could not be asked how it goes.",
		"Deploy again when AWS answers: the deployment in flight is found and followed")
	Interrupted = couldNotRun("INTERRUPTED", "This run was ended while the deployment was under way; the deployment goes on.",
		"Deploy the same digest again: the deployment in flight is found and followed")
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{RolledBack, RollbackFailed, Superseded, Stopped, Stuck, Busy, TargetMissing, NoCapacity,
		NotStarted, UpdateFailed, DigestMismatch, NotServing, AWSFailed, Lost, Interrupted}
}
