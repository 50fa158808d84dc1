package config

import (
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// key is a configuration key. Type and default are those of its field in Default.
type key struct {
	// path is the name, dotted; "[]" stands for the elements of a list.
	path string
	// meaning describes the key; source is the heading of the pipeline document that its
	// default comes from, or empty.
	meaning, source string
	limit           limit
}

// keys is the one table of keys. Load checks single values against the limits here, and the
// tests generate docs/configuration.md and pipeline.schema.json from it.
var keys = []key{
	{path: "name", source: "S3 Organization", limit: plainNames,
		meaning: "Name of the application: the first part of folder and resource names. When it is absent, that of pyproject.toml or setup.cfg. " +
			"Experiments, the image and the names on ECS follow it, where they have no key of their own."},
	{path: "python", source: "Environment Variables", limit: pythonVersions,
		meaning: "Python version of all environments."},
	{path: "exclude", limit: globs, meaning: "Globs of files that no stage sees; changing them invalidates nothing."},

	{path: "test.requirements", limit: paths,
		meaning: "Requirements files of the test environment; those with hashes are installed with `--require-hashes`. When empty, the " +
			"usual files of a Python project are used."},
	{path: "test.build", limit: oneOf(BuildModes...),
		meaning: "Whether the project itself is built by its own backend, which makes version files, compiled modules, metadata and " +
			"commands: `auto` builds a package and warns when that fails, `always` fails then, `never` takes the plain source. " +
			"Training and serving use the same build."},
	{path: "test.inputs.include", limit: globs, meaning: "Globs of the files the tests may see; everything when empty."},
	{path: "test.inputs.exclude", limit: globs, meaning: "Globs of exceptions."},
	{path: "test.command", source: "Unit Tests", limit: commandLine(true),
		meaning: "Test command; options for reports and coverage are added to it."},
	{path: "test.vars", limit: variables(false), meaning: "Environment variables of the tests."},
	{path: "test.timeout", limit: lasting(time.Second, 24*time.Hour), meaning: "Time limit of the tests."},
	{path: "test.max_skipped", meaning: "How many tests may be skipped; negative for any number."},
	{path: "test.min_tests", limit: notNegative(),
		meaning: "How many tests there must be at least, skipped ones included; 0 for no minimum. Not checked for a selection."},
	{path: "test.categories", source: "Test Categories", meaning: "Groups of tests in the report."},
	{path: "test.categories[].name", limit: lineOfText(60), meaning: "Name of the group."},
	{path: "test.categories[].paths", limit: globs, meaning: "Globs of its test files."},
	{path: "test.categories[].marker", limit: like(variableName, "the name of a mark, such as slow").optional(),
		meaning: "Mark of its tests, as in `@pytest.mark.slow`; instead of paths, or besides them: a test that has either belongs to it."},
	{path: "test.services", source: "Test Categories",
		meaning: "Start an MLflow server and an S3 API beside the tests."},
	{path: "test.coverage.source", source: "Unit Tests", limit: measured,
		meaning: "What is measured, as for `pytest --cov`."},
	{path: "test.coverage.omit", limit: globs, meaning: "Globs of files that count in no total."},
	{path: "test.coverage.total", source: "Test Coverage Requirements", limit: between(0, 100),
		meaning: "Minimum for all lines, in percent."},
	{path: "test.coverage.critical.paths", source: "Test Coverage Requirements", limit: globs,
		meaning: "Globs of the critical paths. Without any the minimum is not checked, and the report notes it."},
	{path: "test.coverage.critical.min", source: "Test Coverage Requirements", limit: between(0, 100),
		meaning: "Minimum for their lines, in percent."},
	{path: "test.coverage.model.paths", source: "Test Coverage Requirements", limit: globs,
		meaning: "Globs of the model components. Without any the minimum is not checked, and the report notes it."},
	{path: "test.coverage.model.min", source: "Test Coverage Requirements", limit: between(0, 100),
		meaning: "Minimum for their lines, in percent."},
	{path: "test.coverage.branch", limit: between(0, 100),
		meaning: "Minimum for branches, in percent; 0 reports them without a gate."},

	{path: "train.requirements", limit: paths,
		meaning: "Requirements files of the training environment, as for the tests."},
	{path: "train.inputs.include", limit: globs,
		meaning: "Globs of the files the training may see; everything when empty. Only these invalidate a training."},
	{path: "train.inputs.exclude", limit: globs, meaning: "Globs of exceptions."},
	{path: "train.command", source: "Running Pipeline Locally", limit: commandLine(true), meaning: "Training command."},
	{path: "train.data_args", limit: commandLine(false),
		meaning: "Arguments added to the command when a data set is given; `{{data}}` is its path."},
	{path: "train.vars", limit: variables(true),
		meaning: "Environment variables of the training. The pipeline adds those of MLflow."},
	{path: "train.timeout", limit: lasting(time.Second, 24*time.Hour), meaning: "Time limit of the training."},
	{path: "train.experiment", source: "Environment Variables", limit: experiments,
		meaning: "MLflow experiment the training logs to, `MLFLOW_EXPERIMENT_NAME`."},
	{path: "train.model", limit: globs, meaning: "Glob of the model file; exactly one file must match."},
	{path: "train.artifacts", limit: globs,
		meaning: "Globs of further files that belong to the model: tokeniser, labels."},
	{path: "train.metrics", limit: paths.optional(),
		meaning: "JSON file of metrics; empty for the MLflow run that the training logs."},
	{path: "train.predictions", limit: paths.optional(),
		meaning: "JSON file of held-out predictions: labels, y_true, y_pred. Optional."},
	{path: "train.golden", limit: paths.optional(),
		meaning: "JSON file of a fixed sample with its expected output. Optional."},
	{path: "train.score_command", limit: commandLine(false),
		meaning: "Command that loads the model and scores the golden sample; exit code 0 means equal. Optional."},
	{path: "train.gates", source: "Pipeline Metrics", meaning: "Limits on metrics. Fractions, not percentages."},
	{path: "train.gates[].metric", limit: lineOfText(250), meaning: "Name of the metric."},
	{path: "train.gates[].min", meaning: "Lowest value that passes; no lower limit when absent."},
	{path: "train.gates[].max", meaning: "Highest value that passes; no upper limit when absent."},
	{path: "train.gates[].alert_below", meaning: "Value below which the degradation alert is raised, too."},
	{path: "train.gates[].better", limit: oneOf("higher", "lower").optionalOneOf(),
		meaning: "Which direction is better. When absent, lower is better if the gate has only a maximum."},
	{path: "train.gates[].min_absolute_change", limit: notNegative(),
		meaning: "By how much the value must be better than that of the model in production, in the metric's own unit."},
	{path: "train.gates[].min_relative_change", limit: notNegative(),
		meaning: "The same as a fraction of the value of the model in production."},
	{path: "train.gates[].tolerance", limit: notNegative(),
		meaning: "By how much the value may be worse than that of the model in production, in the metric's own unit; 0.01 when none of " +
			"these four keys is set."},
	{path: "train.gates[].relative_tolerance", limit: notNegative(),
		meaning: "The same as a fraction of the value of the model in production; the wider of the two tolerances applies."},
	{path: "train.baseline_margin", limit: below(1),
		meaning: "By how much accuracy must exceed that of always guessing the majority class."},
	{path: "train.min_examples", limit: between(1, 1_000_000),
		meaning: "Held-out predictions needed for a measurement; fewer give a warning (`FEW_EXAMPLES`), because a handful may all be " +
			"right by chance."},
	{path: "train.top_k", limit: between(1, 10_000),
		meaning: "How many guesses of a ranking (`y_rank`) may count for accuracy; a training that counts more is refused " +
			"(`TOP_K_REFUSED`)."},
	{path: "train.recurrent", source: "MLflow Integration",
		meaning: "The model must have a recurrent layer, such as an LSTM."},
	{path: "train.allow_layers", limit: layers,
		meaning: "Further layer classes the model may have; never `Lambda` or `TFSMLayer`, which can hold any code."},
	{path: "train.allow_formats", limit: oneOf(Formats...),
		meaning: "Formats besides `.keras` that may pass although they cannot be inspected; `pickle` is `.pkl`, `.pickle` or `.joblib`. " +
			"Such a model is loaded only by `train.score_command`, without network and credentials, and is never published."},
	{path: "train.network",
		meaning: "Let the training use the network. Otherwise every connection fails, also to this host; UNIX sockets still work."},
	{path: "train.deterministic",
		meaning: "Declare that the same inputs give the same bytes: a second training (`--twice`) that differs then fails the stage " +
			"instead of giving a warning."},

	{path: "publish.model", source: "Model Verification", limit: plainNames,
		meaning: "Name of the model; the registered model is `<experiment>_<model>`."},
	{path: "publish.experiment", source: "Environment Variables", limit: experiments,
		meaning: "MLflow experiment; `{{environment}}` stands for the environment."},
	{path: "publish.workspace",
		limit:   like(workspaceName, "the name of a workspace: lower-case letters, digits and hyphens, at most 63").optional(),
		meaning: "Workspace of the MLflow server (3.10 and later), as in `MLFLOW_WORKSPACE`; the default one when empty."},
	{path: "publish.artifact_root", source: "GitHub Secrets Required", limit: s3Roots.optional(),
		meaning: "`s3://bucket/prefix`, `MLFLOW_ARTIFACT_ROOT`; an argument of the call wins."},
	{path: "publish.region", source: "GitHub Secrets Required", limit: storeRegions,
		meaning: "Region of the bucket, `AWS_DEFAULT_REGION`."},

	{path: "image.repository", source: "Environment Variables", limit: repositories,
		meaning: "`[registry/]name` without tag and digest."},
	{path: "image.base", limit: baseImages.optional(), meaning: "Base image; empty for `python:<python>-slim`."},
	{path: "image.platform", limit: oneOf(Platforms...).optionalOneOf(),
		meaning: "Platform of the image; the engine's own when empty. Any other needs an engine that emulates it."},
	{path: "image.dockerfile", source: "Docker Integration", limit: paths.optional(),
		meaning: "Dockerfile in the source to build from; empty for the pipeline's own build. It replaces base, requirements, command, " +
			"port, user and health check."},
	{path: "image.target", source: "Docker Integration", limit: like(stageName, "the name of a stage").optional(),
		meaning: "Stage of the Dockerfile; the last one when empty."},
	{path: "image.build_args", limit: variables(true),
		meaning: "Arguments of the Dockerfile. No secrets: they stay in the image."},
	{path: "image.source", limit: addresses.optional(),
		meaning: "Address of the source, for the label `org.opencontainers.image.source`; empty for none."},
	{path: "image.requirements", limit: paths, meaning: "Requirements files of the serving environment."},
	{path: "image.prune", limit: globs,
		meaning: "Globs, relative to `site-packages`, of package files that serving does not need, such as `**/tests`. The image is " +
			"tested without them."},
	{path: "image.inputs.include", limit: globs, meaning: "Globs of the files in the image; everything when empty."},
	{path: "image.inputs.exclude", limit: globs, meaning: "Globs of exceptions."},
	{path: "image.command", source: "Container Features", limit: commandLine(true),
		meaning: "Command that starts the application."},
	{path: "image.vars", limit: variables(true), meaning: "Environment variables in the image. No secrets."},
	{path: "image.model_dir", limit: paths, meaning: "Where the model's files go, relative to the application."},
	{path: "image.port", source: "Container Features", limit: between(1, 65535), meaning: "Port of the application."},
	{path: "image.health", source: "Container Features", limit: urlPaths, meaning: "Path of the health check."},
	{path: "image.script_health", limit: urlPaths.optional(),
		meaning: "Second path that must answer, too; empty for none."},
	{path: "image.page", source: "Container Features", limit: urlPaths.optional(),
		meaning: "Page that a headless browser must load and render, with a screenshot in the report; empty for none."},
	{path: "image.imports", source: "Docker Build Issues",
		limit: like(moduleName, "the name of a module, such as streamlit or lstm.inference"),
		meaning: "Modules that must import in the image; when empty `tensorflow`, `mlflow` and `streamlit`, as far as they are " +
			"installed."},
	{path: "image.start_budget", limit: lasting(time.Second, time.Hour),
		meaning: "How long the application may take to become healthy."},
	{path: "image.successes", limit: between(1, 100), meaning: "How many health checks in a row make it healthy."},
	{path: "image.user", limit: users, meaning: "Numeric id the application runs as; never 0, which is root."},
	{path: "image.volumes", source: "Container Features", limit: containerPaths,
		meaning: "Absolute paths that the application may write to. Compose keeps their content in named volumes; on ECS it is scratch " +
			"storage, lost with each task, unless `rollout.volumes` has the path."},
	{path: "image.max_megabytes", limit: between(0, 1<<20),
		meaning: "Limit on the sum of the compressed layers, in MB; 0 for none."},

	{path: "rollout.account", limit: like(accountID, "an AWS account: 12 digits").optional(),
		meaning: "AWS account of the environment, 12 digits; prevents a deployment to the wrong one."},
	{path: "rollout.region", source: "GitHub Secrets Required", limit: regions, meaning: "AWS region."},
	{path: "rollout.cluster", source: "Environment Variables", limit: ecsNames, meaning: "ECS cluster."},
	{path: "rollout.service", source: "Environment Variables", limit: ecsNames, meaning: "ECS service."},
	{path: "rollout.family", source: "Planned Implementation", limit: ecsNames,
		meaning: "Family of the task definition."},
	{path: "rollout.cpu", source: "Planned Implementation",
		limit:   oneOfNumbers(spec.FargateCPU(), "Fargate has no task of %d CPU units; it has %s"),
		meaning: "CPU of a task in units of 1/1024 vCPU."},
	{path: "rollout.memory", source: "Planned Implementation", limit: fargateMemory(),
		meaning: "Memory of a task in MiB; Fargate has only certain pairs with `cpu`."},
	{path: "rollout.desired", limit: between(1, 5000), meaning: "Number of tasks to start with, from `min` to `max`."},
	{path: "rollout.min", source: "Deployment Strategy", limit: between(0, 5000),
		meaning: "Fewest tasks that scaling keeps."},
	{path: "rollout.max", source: "Deployment Strategy", limit: between(1, 5000),
		meaning: "Most tasks that scaling starts."},
	{path: "rollout.target_cpu", source: "Deployment Strategy", limit: above(100),
		meaning: "CPU utilisation that scaling keeps, in percent."},
	{path: "rollout.target_memory", source: "Deployment Strategy", limit: above(100),
		meaning: "Memory utilisation that scaling keeps, in percent."},
	{path: "rollout.strategy", source: "Deployment Strategy", limit: oneOf(spec.Strategies()...),
		meaning: "How a new version takes over."},
	{path: "rollout.bake_minutes", limit: between(0, 1440),
		meaning: "How long both versions run before the old one is stopped."},
	{path: "rollout.canary_percent", limit: tenths(0.1, 100),
		meaning: "Share of the traffic that a `canary` sends to the new version first."},
	{path: "rollout.canary_bake_minutes", limit: between(0, 1440), meaning: "How long a `canary` stays at that share."},
	{path: "rollout.linear_step_percent", limit: tenths(3, 100),
		meaning: "Share of the traffic that each step of `linear` moves."},
	{path: "rollout.linear_step_minutes", limit: between(0, 1440),
		meaning: "How long `linear` stays at each step below 100 %."},
	{path: "rollout.execution_role", source: "Planned Implementation", limit: roles,
		meaning: "ARN of the role with which ECS pulls the image and reads secrets. When empty, one is created with no more rights than " +
			"that."},
	{path: "rollout.task_role", limit: roles, meaning: "ARN of the application's role."},
	{path: "rollout.infrastructure_role", limit: roles, meaning: "ARN of the role with which ECS shifts traffic."},
	{path: "rollout.vpc", limit: like(vpcID, "a VPC, such as vpc-0123456789abcdef0").optional(),
		meaning: "VPC the tasks run in."},
	{path: "rollout.subnets", limit: subnets, meaning: "Subnets the tasks run in."},
	{path: "rollout.security_groups", limit: securityGroups, meaning: "Security groups of the tasks."},
	{path: "rollout.vars", limit: variables(true), meaning: "Environment variables of the task. No secrets."},
	{path: "rollout.secrets", source: "GitHub Secrets Required", limit: secretARNs,
		meaning: "Variables whose values come from the ARN of a Secrets Manager secret or SSM parameter."},
	{path: "rollout.start_period", limit: lasting(0, 5*time.Minute),
		meaning: "Grace period of the container's health check."},
	{path: "rollout.trial",
		meaning: "Run one task of a new version, which must become healthy, before the service is touched."},
	{path: "rollout.journal", limit: s3Roots.optional(),
		meaning: "Where the lock and the record of rollouts are kept, `s3://bucket/prefix`; `publish.artifact_root` when empty. " +
			"Production's must be the one of staging."},
	{path: "rollout.smoke", limit: smokeAddresses.optional(),
		meaning: "Address that must answer 200 during and after a deployment; the load balancer's when empty, `none` for no smoke test."},
	{path: "rollout.certificate",
		limit: like(certificateARN, "the ARN of a certificate: arn:aws:acm:<region>:<account>:certificate/<id>").optional(),
		meaning: "ARN of a certificate of AWS Certificate Manager. The load balancer then listens on HTTPS (443) and redirects HTTP " +
			"(80) to it. When empty it listens on HTTP, unless a listener with a certificate exists: that one is kept."},
	{path: "rollout.internet_facing",
		meaning: "Make the load balancer public; it needs `certificate`. Cannot be changed later."},
	{path: "rollout.balancer_subnets", limit: subnets,
		meaning: "Subnets of the load balancer, in at least two zones; those of the tasks when empty. Public ones if it is " +
			"`internet_facing`."},
	{path: "rollout.balancer_security_groups", limit: securityGroups,
		meaning: "Security groups of the load balancer; those of the tasks when empty."},
	{path: "rollout.assign_public_ip",
		meaning: "Give each task a public address, to pull its image in a public subnet without NAT gateway or VPC endpoints."},
	{path: "rollout.alarm_topic", limit: like(topicARN, "the ARN of an SNS topic: arn:aws:sns:<region>:<account>:<name>").optional(),
		meaning: "ARN of the SNS topic that alarms notify. When empty, existing actions of an alarm are kept."},
	{path: "rollout.drain", limit: lasting(0, time.Hour),
		meaning: "How long a task may finish its requests after the load balancer removed it."},
	{path: "rollout.ephemeral_storage", limit: between(20, 200), meaning: "Scratch storage of a task in GiB."},
	{path: "rollout.writable_root",
		meaning: "Leave the container's root file system writable, not only `/tmp` and the volumes."},
	{path: "rollout.volumes",
		meaning: "Directories that outlive a task, on Amazon EFS. The file system needs a mount target in each zone of `subnets` whose " +
			"security group admits port 2049 from the tasks. The connection is encrypted."},
	{path: "rollout.volumes[].path", limit: containerPaths,
		meaning: "Absolute path in the container. `image.user` must be allowed to write there: nothing changes the modes of a file " +
			"system."},
	{path: "rollout.volumes[].file_system", limit: like(fileSystemID, "a file system of Amazon EFS, such as fs-0123456789abcdef0"),
		meaning: "Id of the file system, `fs-...`."},
	{path: "rollout.volumes[].access_point", limit: like(accessPointID, "an access point, such as fsap-0123456789abcdef0").optional(),
		meaning: "Id of an access point, `fsap-...`, which sets the directory and the user; the root of the file system when empty."},
	{path: "rollout.volumes[].iam",
		meaning: "Mount it with the rights of `task_role`, as a policy of the file system can demand."},
	{path: "rollout.kms_keys", limit: like(keyARN, "the ARN of a key: arn:aws:kms:<region>:<account>:key/<id>; an alias is not").distinct(),
		meaning: "ARNs of your own KMS keys that encrypt `secrets`: the execution role that is created may decrypt with them."},
	{path: "rollout.pause_at", limit: oneOf(spec.PauseStages()...),
		meaning: "Stages at which a deployment that shifts traffic stops until it is approved."},
	{path: "rollout.pause_timeout", limit: lasting(time.Minute, 14*24*time.Hour),
		meaning: "How long a pause waits for an answer before the deployment is rolled back."},
	{path: "rollout.adopt", limit: oneOf(spec.AdoptService).optionalOneOf(),
		meaning: "`service` deploys new images into a service that somebody else made, and changes nothing else of it. `cluster` and " +
			"`service` name it; docs/rollout.md lists the keys that apply."},
	{path: "rollout.container", limit: ecsNames.optional(),
		meaning: "Container of an adopted service that runs the image. When empty: the one with an image of that repository, or the one " +
			"behind the load balancer, or the only one."},
	{path: "rollout.task_definition", limit: paths.optional(),
		meaning: "File with the task definition of an adopted service, as `aws ecs register-task-definition --cli-input-json` takes it, " +
			"with `{{image}}` in place of the image. When empty, the one that runs is taken over."},
	{path: "rollout.log_days", source: "Logging", limit: oneOfNumbers(spec.LogDays(), "%d is not a retention that CloudWatch Logs has: %s"),
		meaning: "Retention of the log group, in days."},

	{path: "policy", source: "Pipeline Stages", limit: policies,
		meaning: "Stages by branch pattern; the longest matching pattern applies, `*` matches every branch. publish needs test and " +
			"train, image needs publish, deploy needs image. Outside the sandbox it can only remove stages: there " +
			"`--release-branch` decides which branches may publish, push images and deploy."},
}

// description is the meaning with the limit.
func (k key) description() string { return strings.TrimSpace(k.meaning + " " + k.limit.text) }

// limits are those of keys, by path.
var limits = func() map[string]limit {
	byKey := map[string]limit{}
	for _, k := range keys {
		byKey[k.path] = k.limit
	}
	return byKey
}()
