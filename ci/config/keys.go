package config

import (
	"slices"
	"strings"
	"time"
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
var keys = slices.Concat([]key{
	{path: "name", source: "S3 Organization", limit: plainNames,
		meaning: "Name of the application: the first part of folder and resource names. When it is absent, that of pyproject.toml or " +
			"setup.cfg. Experiments, the model, the image and the names on ECS follow it, where they have no key of their own."},
	{path: "python", source: "Environment Variables", limit: pythonVersions,
		meaning: "Python version of all environments."},
	{path: "system_packages", limit: like(debianPackage, "the name of a Debian package, such as libgomp1").distinct(),
		meaning: "Packages of Debian that Python packages need, such as `libgomp1` for LightGBM. On an engine they are installed by apt for " +
			"the tests, the training and the image (there without compilers and `-dev` packages); without an engine this machine must have them."},
	{path: "exclude", limit: globs, meaning: "Globs of files that no stage sees; changing them invalidates nothing. " +
		"A list replaces the default. Virtual environments are always left out. Other links must stay in the " +
		"source."},

	{path: "test.requirements", limit: paths,
		meaning: "Requirements files of the test environment, or one file of another tool (`uv.lock`, `poetry.lock`, `environment.yml`); " +
			"those with hashes are installed with `--require-hashes`. When empty, the " +
			"usual files of a Python project are used. `.[NAME]` adds extras and groups of the project to these, as in `.[cli,dev]`."},
	{path: "test.build", limit: oneOf(BuildModes...),
		meaning: "Whether the project itself is built by its own backend, which makes version files, compiled modules, metadata and " +
			"commands: `auto` builds a package and warns when that fails, `always` fails then, `never` takes the plain source. " +
			"Training and serving use the same build."},
	{path: "test.inputs.include", limit: globs, meaning: "Globs of the files the tests may see; everything when empty."},
	{path: "test.inputs.exclude", limit: globs, meaning: "Globs of exceptions."},
	{path: "test.command", source: "Unit Tests", limit: commandLine(true),
		meaning: "Test command; options for reports and coverage are added to it. `testpaths` of the project come before the " +
			"default's `tests/`."},
	{path: "test.vars", limit: variables(false), meaning: "Environment variables of the tests."},
	{path: "test.timeout", limit: lasting(time.Second, 24*time.Hour), meaning: "Time limit of the tests."},
	{path: "test.max_skipped", meaning: "How many tests may be skipped; negative for any number."},
	{path: "test.min_tests", limit: notNegative(),
		meaning: "How many tests there must be at least, skipped ones included; 0 for no minimum. Not checked for a selection."},
	{path: "test.categories", source: "Test Categories", meaning: "Groups of tests in the report."},
	{path: "test.categories[].name", limit: lineOfText(60), meaning: "Name of the group."},
	{path: "test.categories[].paths", limit: globs, meaning: "Globs of its test files."},
	{path: "test.categories[].marker", limit: like(variableName, "the name of a mark, such as slow").optional(),
		meaning: "Marker of its tests, as in `@pytest.mark.slow`. A test that matches the paths or the marker belongs to the group."},
	{path: "test.services", source: "Test Categories",
		meaning: "Start an MLflow server and an S3 API beside the tests."},
	{path: "test.coverage.source", source: "Unit Tests", limit: measured,
		meaning: "What is measured, as for `pytest --cov`."},
	{path: "test.coverage.omit", limit: globs, meaning: "Globs of files that count in no total."},
	{path: "test.coverage.total", source: "Test Coverage Requirements", limit: percentage(),
		meaning: "Minimum for all lines, in percent."},
	{path: "test.coverage.critical.paths", source: "Test Coverage Requirements", limit: globs,
		meaning: "Globs of the critical paths. Without any the minimum is not checked, and the report notes it."},
	{path: "test.coverage.critical.min", source: "Test Coverage Requirements", limit: percentage(),
		meaning: "Minimum for their lines, in percent."},
	{path: "test.coverage.model.paths", source: "Test Coverage Requirements", limit: globs,
		meaning: "Globs of the model components. Without any the minimum is not checked, and the report notes it."},
	{path: "test.coverage.model.min", source: "Test Coverage Requirements", limit: percentage(),
		meaning: "Minimum for their lines, in percent."},
	{path: "test.coverage.branch", limit: percentage(),
		meaning: "Minimum for branches, in percent; 0 reports them without a gate."},

	{path: "train.requirements", limit: paths,
		meaning: "Requirements files of the training environment, as for the tests."},
	{path: "train.inputs.include", limit: globs,
		meaning: "Globs of the files the training may see; everything when empty. Only these invalidate a training."},
	{path: "train.inputs.exclude", limit: globs, meaning: "Globs of exceptions. A command that runs make sees `Makefile` by default."},
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
	{path: "train.format", limit: oneOf(ModelFormats...).optionalOneOf(),
		meaning: "Format of the model file; when empty, it follows from the file's ending ([docs/models.md](models.md))."},
	{path: "train.recurrent", source: "MLflow Integration",
		meaning: "The model must have a recurrent layer, such as an LSTM. For Keras models, and for those that cannot be inspected: these " +
			"need `false`."},
	{path: "train.loader", limit: like(moduleForm, "the name of a module, without packages").optional(),
		meaning: "Module that makes a model from weights (safetensors): one of `train.artifacts` without its `.py`, with a function " +
			"`_load_pyfunc(path)` that returns an object with a method `predict`."},
	{path: "train.allow_domains", limit: domains,
		meaning: "Further domains of operators that an ONNX file may name, such as `com.microsoft`."},
	{path: "train.allow_types", limit: types,
		meaning: "Further Python types and functions that a skops file may name, with their modules, such as `sklearn.tree._tree.Tree`; " +
			"never those that can do anything, such as `os.system`."},
	{path: "train.allow_layers", limit: layers,
		meaning: "Further layer classes a Keras model may have; never `Lambda` or `TFSMLayer`, which can hold any code."},
	{path: "train.allow_formats", limit: oneOf(Formats...),
		meaning: "Formats that may pass although they cannot be inspected; `pickle` is `.pkl`, `.pickle` or `.joblib`, `torchscript` " +
			"is `.pt`, `.pth` or `.ts`. " +
			"Such a model is loaded only by `train.score_command`, without network and credentials, and is never published."},
	{path: "train.network",
		meaning: "Let the training use the network. Otherwise every connection fails, also to this host; UNIX sockets still work."},
	{path: "train.gpu",
		meaning: "Train on the machine's GPUs: `GPU_MISSING` where there are none. Without it they are hidden from the training. See " +
			"[docs/models.md](models.md#training-on-a-gpu)."},
	{path: "train.deterministic",
		meaning: "Declare that the same inputs give the same bytes: a second training (`--twice`) that differs then fails the stage " +
			"instead of giving a warning."},

	{path: "publish.model", source: "Model Verification", limit: plainNames,
		meaning: "Name of the model; the registered model is `<experiment>_<model>`. When `name` is set, the default is `model`."},
	{path: "publish.experiment", source: "Environment Variables", limit: experiments,
		meaning: "MLflow experiment; `{{environment}}` stands for the environment."},
	{path: "publish.workspace",
		limit:   like(workspaceName, "the name of a workspace: lower-case letters, digits and hyphens, at most 63").optional(),
		meaning: "Workspace of the MLflow server (3.10 and later), as in `MLFLOW_WORKSPACE`; the default one when empty."},
	{path: "publish.artifact_root", source: "GitHub Secrets Required", limit: s3Roots.optional(),
		meaning: "`s3://bucket/prefix`, `MLFLOW_ARTIFACT_ROOT`; an argument of the call takes precedence."},
	{path: "publish.region", source: "GitHub Secrets Required", limit: storeRegions,
		meaning: "Region of the bucket, `AWS_DEFAULT_REGION`."},

	{path: "image.repository", source: "Environment Variables", limit: repositories,
		meaning: "`[registry/]name` without tag and digest."},
	{path: "image.base", limit: baseImages.optional(), meaning: "Base image; empty for `python:<python>-slim`."},
	{path: "image.platform", limit: oneOf(Platforms...).optionalOneOf(),
		meaning: "Platform of the image; the engine's own when empty. Any other needs an engine that emulates it."},
	{path: "image.platforms", limit: oneOf(Platforms...).distinct(),
		meaning: "Platforms whose images `join` puts into one index ([docs/image.md](image.md#two-platforms)); empty for one image. Each is " +
			"built by a run of its own with `--platform`, and tagged with its architecture."},
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
	{path: "image.slim",
		meaning: "Leave out what only compilers, installers, debuggers and tests of packages read, in the packages and in the base " +
			"([docs/image.md](image.md#a-smaller-image))."},
	{path: "image.inputs.include", limit: globs, meaning: "Globs of the files in the image; everything when empty."},
	{path: "image.inputs.exclude", limit: globs, meaning: "Globs of exceptions. A command that runs make sees `Makefile` by default."},
	{path: "image.command", source: "Container Features", limit: commandLine(true),
		meaning: "Command that starts the application."},
	{path: "image.vars", limit: variables(true), meaning: "Environment variables in the image. No secrets."},
	{path: "image.model_dir", limit: paths, meaning: "Where the model's files go, relative to the application: a folder, not its root."},
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
		meaning: "How long the application may take to become healthy, and then its page to be drawn."},
	{path: "image.successes", limit: between(1, 100), meaning: "How many health checks in a row make it healthy."},
	{path: "image.user", limit: users, meaning: "Numeric id the application runs as; never 0, which is root."},
	{path: "image.volumes", source: "Container Features", limit: containerPaths,
		meaning: "Absolute paths that the application may write to. Compose keeps their content in named volumes; on ECS it is scratch " +
			"storage, lost with each task, unless `rollout.volumes` has the path."},
	{path: "image.max_megabytes", limit: between(0, 1<<20),
		meaning: "Limit on the sum of the compressed layers, in MB; 0 for none."},
}, rolloutKeys, []key{
	{path: "security.audit", limit: oneOf(Checks...).distinct(),
		meaning: "Checks of the source; empty for no audit. `advisories` compares the locks with known " +
			"vulnerabilities, `pinning` demands exact versions, `secrets` searches all files, `licenses` reads those of the packages."},
	{path: "security.scan", meaning: "Whether a run scans the image that it built: packages, vulnerabilities, and secrets in every layer."},
	{path: "security.registry_scan",
		meaning: "Whether a scan asks Amazon ECR for its own findings of the image too, as a second opinion; not in the sandbox."},
	{path: "security.severity", limit: severityActions, meaning: "What a vulnerability of each severity leads to."},
	{path: "security.unfixed", limit: oneOf(Actions...),
		meaning: "What a vulnerability without a fixed version leads to, if its severity leads to more; a known exploited one fails."},
	{path: "security.grace.critical", limit: lasting(0, 2160*time.Hour),
		meaning: "How long after its publication a critical vulnerability is only a warning; a known exploited one never is."},
	{path: "security.grace.high", limit: lasting(0, 2160*time.Hour), meaning: "The same for high severity."},
	{path: "security.grace.medium", limit: lasting(0, 2160*time.Hour), meaning: "The same for medium severity."},
	{path: "security.max_build_age", limit: lasting(time.Hour, 8760*time.Hour),
		meaning: "How old the advisory database may be, since it was built."},
	{path: "security.max_data_age", limit: lasting(time.Hour, 8760*time.Hour),
		meaning: "How old its data may be: a database built today may hold those of last month."},
	{path: "security.min_packages", limit: between(1, 100_000),
		meaning: "How many packages must have been looked at; with fewer the stage could not run."},
	{path: "security.allow", meaning: "Vulnerabilities that do not fail. Each needs all five keys."},
	{path: "security.allow[].id", limit: like(advisoryID, "the name of an advisory, such as CVE-2026-1234 or GHSA-abcd-1234-wxyz"),
		meaning: "Any of its names."},
	{path: "security.allow[].package", limit: like(packageName, "the name of a package"), meaning: "Name of the package."},
	{path: "security.allow[].in", limit: oneOf(Places...), meaning: "Where the package is."},
	{path: "security.allow[].reason", limit: lineOfText(500), meaning: "Why it does not matter."},
	{path: "security.allow[].until", limit: days, meaning: "Last day of the exception, at most 180 days away."},
	{path: "security.vex", limit: globs,
		meaning: "Documents in OpenVEX. What they call not affected is an exception for 180 days from their time."},
	{path: "security.allow_secrets", meaning: "Findings of the search for secrets that are not secrets."},
	{path: "security.allow_secrets[].rule", limit: like(ruleName, "the name of a rule, such as generic-api-key"),
		meaning: "Rule that found it, as the report names it."},
	{path: "security.allow_secrets[].path", limit: globs, meaning: "Glob of the files."},
	{path: "security.allow_secrets[].reason", limit: lineOfText(500), meaning: "Why it is not a secret."},
	{path: "security.allow_secrets[].until", limit: days, meaning: "Last day of the exception, at most 180 days away."},
	{path: "security.licenses.allow", limit: like(licenseID, "the identifier of a licence, such as MIT").distinct(),
		meaning: "SPDX identifiers of the licences that packages may have; any when empty."},
	{path: "security.licenses.deny", limit: like(licenseID, "the identifier of a licence, such as AGPL-3.0-only").distinct(),
		meaning: "SPDX identifiers of licences that no package may have."},
	{path: "security.licenses.unknown", limit: oneOf(Actions...), meaning: "What a package without a known licence leads to."},
	{path: "security.licenses.except", meaning: "Packages whose licence is accepted."},
	{path: "security.licenses.except[].package", limit: like(packageName, "the name of a package"), meaning: "Name of the package."},
	{path: "security.licenses.except[].reason", limit: lineOfText(500), meaning: "Why it is accepted."},
	{path: "security.licenses.except[].until", limit: days, meaning: "Last day of the exception, at most 180 days away."},

	{path: "observe.min_runs", limit: between(1, 10_000),
		meaning: "How many cases a figure needs to be judged and to raise an alert; with fewer it is `too few`."},
	{path: "observe.window_days", limit: between(1, 366), meaning: "Days that the figures of `dora` and `metrics` look back."},
	{path: "observe.coverage_drop", source: "Alerts", limit: between(0, 100),
		meaning: "Percentage points by which coverage may drop within seven days before an alert."},
	{path: "observe.silent_days", limit: between(1, 366), meaning: "Days without a run of a release branch before an alert."},

	{path: "observe.cloudwatch",
		meaning: "Whether a run sends its metrics to CloudWatch too, in rollout.region, with the AWS credentials of the call."},

	{path: "notify.channels", source: "Alerts", meaning: "Where results of runs are sent. The secrets are in `--notify-secrets`."},
	{path: "notify.channels[].name", limit: like(channelName, "a name of lower-case letters, digits and hyphens"),
		meaning: "Name of the channel, and of its secret."},
	{path: "notify.channels[].type", limit: oneOf(channelTypes...), meaning: "Kind of the channel."},
	{path: "notify.channels[].events", limit: oneOf(events...).distinct(), meaning: "Events that are sent; all when empty."},
	{path: "notify.channels[].environments", limit: like(environmentName, "the name of an environment").distinct(),
		meaning: "Environments whose runs are sent; all but the sandbox when empty."},
	{path: "notify.channels[].to", limit: like(mailAddress, "an address of mail"), meaning: "Receivers of mail."},
	{path: "notify.channels[].from", limit: like(mailAddress, "an address of mail").optional(), meaning: "Sender of mail."},
	{path: "notify.channels[].host", limit: like(mailServer, "a server with its port, such as smtp.example.org:587").optional(),
		meaning: "Mail server."},
	{path: "notify.channels[].tls", limit: oneOf(TLSStart, TLSNone).optionalOneOf(),
		meaning: "Encryption of the connection; `none` only for a server on this machine."},
	{path: "notify.channels[].topic", limit: like(topicARN, "the ARN of a topic of SNS").optional(),
		meaning: "SNS topic; the AWS credentials of the call are used."},
	{path: "notify.channels[].repository", limit: like(repository, "a repository, such as team/service").optional(),
		meaning: "Repository on GitHub, or project on GitLab."},
	{path: "notify.channels[].api", limit: like(apiAddress, "an address without user and query").optional(),
		meaning: "API of a code host other than the public one, such as https://git.example.org/api/v4."},
	{path: "notify.repeat", limit: oneOf(RepeatOnChange, RepeatAlways),
		meaning: "Whether an event is sent only if the run before did not have it, or always."},

	{path: "policy", source: "Pipeline Stages", limit: policies,
		meaning: "Stages by branch pattern; the longest matching pattern applies, `*` matches every branch. publish needs test and " +
			"train, image needs publish, deploy needs image. Outside the sandbox it can only remove stages: there " +
			"`--release-branch` decides which branches may publish, push images and deploy."},
})

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
