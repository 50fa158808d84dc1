package rollout

import "github.com/openstack-rca/openstack-rca/ci/verdict"

func failure(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy, Outcome: verdict.Fail}
}

func couldNotRun(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy, Outcome: verdict.CouldNotRun}
}

func warning(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Deploy, Meaning: meaning, Remedy: remedy}
}

// The codes of a plan.
var (
	PlanInvalid = failure("PLAN_INVALID", "The configuration describes something that ECS or Elastic Load Balancing does not accept.",
		"Correct the key of pipeline.yaml that the cause names; docs/configuration.md lists every key")
	SizeInvalid = failure("SIZE_INVALID", "Fargate has no task size of this CPU and memory.",
		"Choose one of the memory sizes that the cause lists for rollout.cpu")
	ScalingInvalid = failure("SCALING_INVALID", "The numbers of tasks contradict each other, or a deployment could never replace a task.",
		"Keep rollout.min <= rollout.desired <= rollout.max, and leave room to start or stop at least one task")
	StrategyInvalid = failure("STRATEGY_INVALID", "The deployment strategy is unknown, or its times and steps are out of AWS's ranges.",
		"Set rollout.strategy to rolling, blue_green, canary or linear, and its times within the ranges the cause names")
	NameInvalid = failure("NAME_INVALID", "AWS does not accept a name.",
		"Use letters, digits and hyphens, and at most the length the cause names")
	NetworkInvalid = failure("NETWORK_INVALID", "VPC, subnets or security groups are missing or are not identifiers of such.",
		"Set rollout.vpc, at least two rollout.subnets in different zones, and rollout.security_groups")
	RoleInvalid = failure("ROLE_INVALID", "An IAM role is missing or is not the ARN of a role.",
		"Create the roles in docs/iam and set their ARNs under rollout in the environment's overlay")
	AccountInvalid = failure("ACCOUNT_INVALID", "The environment names no AWS account.",
		"Set rollout.account to the 12 digits of the account, in the environment's overlay")
	AccountMismatch = failure("ACCOUNT_MISMATCH", "Something of another account or region is used in this environment.",
		"Use an ARN of the account in rollout.account and of rollout.region, or correct these keys")
	ImageMissing = failure("IMAGE_MISSING", "There is no image to roll out.",
		"Run the image stage first, or pass --image repository@sha256:...")
	ImageNotPinned = failure("IMAGE_NOT_PINNED", "The image is not named by its digest.",
		"Pass --image repository@sha256:...; the image stage prints it")
	ImageUnreachable = failure("IMAGE_UNREACHABLE", "The image is in a registry that exists on one machine only, which ECS cannot pull from.",
		"Push the image to a registry that ECS reaches, such as ECR, and pass its digest")
	SecretLiteral = failure("SECRET_LITERAL", "A variable that looks like a secret has its value in the configuration.",
		"Store the value in AWS Secrets Manager and put its ARN under rollout.secrets; replace a value that was committed")
	SecretInvalid = failure("SECRET_INVALID", "A secret is not referred to by the ARN of a secret or parameter.",
		"Use the ARN of a Secrets Manager secret or SSM parameter, with :key:: behind it for one JSON key")
	EnvironmentInvalid = failure("ENVIRONMENT_INVALID", "The environment has no usable name.",
		"Pass --environment sandbox, staging, production, or one declared under environments in pipeline.yaml")
	CannotAdopt = failure("CANNOT_ADOPT", "The service cannot be adopted: its deployments are not those of ECS's own controller, or it is "+
		"a daemon.", "Change the service's deployment controller to ECS, which UpdateService can, or keep the tool that deploys it now")
	ContainerUnknown = failure("CONTAINER_UNKNOWN", "It is not clear which container of the adopted service runs the image.",
		"Set rollout.container to one of the containers that the cause lists")
	TaskFileInvalid = failure("TASK_FILE_INVALID", "The file of rollout.task_definition cannot be registered as a task definition.",
		"Correct it; what `aws ecs describe-task-definition` writes is one, once {{image}} stands in place of the image")
	NotForAdopted = failure("NOT_FOR_ADOPTED", "The service is adopted: what surrounds it was made by others, so nothing was deleted.",
		"Delete it with the tool that made it")
	NotApplied = couldNotRun("NOT_APPLIED", "Only a plan was asked for: it was validated, and nothing was carried out.",
		"Review rollout/plan.md of the report, then deploy; the JSON files beside it are what the AWS CLI takes with --cli-input-json")
	Cancelled = couldNotRun("CANCELLED", "The run was cancelled before the rollout.",
		"Run the stage again")
)

// The warnings of a plan.
var (
	ImageNotBuilt = warning("IMAGE_NOT_BUILT", "No image was made in this run, so the plan holds a placeholder instead of a digest.",
		"Run the pipeline with a Dagger engine; `openstack-rca doctor` says how to get one")
	ExampleValues = warning("EXAMPLE_VALUES", "Values of an account are missing; the sandbox's plan shows marked examples in their place.",
		"Set the keys that are named, in the environment's overlay in pipeline.yaml, before rolling out")
	NotEncrypted = warning("NOT_ENCRYPTED", "The load balancer listens on HTTP without encryption.",
		"Set rollout.certificate to the ARN of a certificate of AWS Certificate Manager for the service's host name")
	SingleTask = warning("SINGLE_TASK", "Production would run a single task, so one failure is an outage.",
		"Set rollout.min and rollout.desired to 2 or more")
	StartPeriodShort = warning("START_PERIOD_SHORT", "The image may take longer to become healthy than the container health check allows.",
		"Raise rollout.start_period, or lower image.start_budget to what the image was measured to need")
	KeysWithoutEffect = warning("KEYS_WITHOUT_EFFECT",
		"Keys of pipeline.yaml describe a service that is made here, and the service is adopted.",
		"Remove the keys that are named, or take them out of this environment; change the service where it was made, or its tasks with "+
			"rollout.task_definition")
	LongRollout = warning("LONG_ROLLOUT", "The strategy takes longer than an hour.",
		"Take larger steps or shorter bake times, or expect it")
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{
		PlanInvalid, SizeInvalid, ScalingInvalid, StrategyInvalid, NameInvalid, NetworkInvalid, RoleInvalid,
		AccountInvalid, AccountMismatch, ImageMissing, ImageNotPinned, ImageUnreachable, SecretLiteral, SecretInvalid,
		EnvironmentInvalid, CannotAdopt, ContainerUnknown, TaskFileInvalid, NotForAdopted, NotApplied, Cancelled,
		ImageNotBuilt, ExampleValues, NotEncrypted, SingleTask, StartPeriodShort, LongRollout, KeysWithoutEffect,
	}
}
