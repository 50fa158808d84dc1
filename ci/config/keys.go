package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// keyDoc says what a key means. It is the one source of docs/configuration.md's tables and
// of the descriptions in pipeline.schema.json.
type keyDoc struct {
	// key is the path; "[]" stands for the elements of a list.
	key string
	// meaning is for both; source is the heading of the pipeline document the default
	// comes from, or empty.
	meaning, source string
	// limits are keywords of JSON schema that hold for the value (of a list: each element).
	limits string
}

const (
	relativePath = `"pattern": "^[^/\\\\]"`
	limitPercent = `"minimum": 0, "maximum": 100`
)

// enumOf are the values of a key of which no other is valid.
func enumOf(values []int) string {
	return fmt.Sprintf(`"enum": [%s]`, numbers(values))
}

var keyDocs = []keyDoc{
	{"name", "Name of the application: the first part of folder and resource names.", "S3 Organization", `"pattern": "^[a-z0-9][a-z0-9._-]{0,62}$"`},
	{"python", "Python version of all environments: 3.10 to 3.14. Without it, `.python-version` or `requires-python` of the source chooses, and 3.10 where neither does.", "Environment Variables", `"pattern": "^3\\.1[0-4]$", "minimum": 3.1, "maximum": 3.14`},
	{"exclude", "Globs of files that no stage sees: a change of them runs nothing again.", "", relativePath},

	{"test.requirements", "Requirements files of the test environment; those with hashes are installed with `--require-hashes`. With none, the usual files of a Python project are looked for.", "", relativePath},
	{"test.build", "Whether the project itself is built by its own backend, which makes version files, compiled modules, metadata and commands: `auto` builds a package and warns when that fails, `always` fails then, `never` takes the plain source. Training and serving use the same build.", "", `"enum": ["auto", "always", "never"]`},
	{"test.inputs.include", "Globs of the files the tests may see; everything when empty.", "", relativePath},
	{"test.inputs.exclude", "Globs of exceptions.", "", relativePath},
	{"test.command", "Test command; options for reports and coverage are added to it.", "Unit Tests", ""},
	{"test.vars", "Environment variables of the tests.", "", ""},
	{"test.timeout", "Time limit of the tests, 1s to 24h.", "", ""},
	{"test.max_skipped", "How many tests may be skipped; negative for any number.", "", ""},
	{"test.min_tests", "How many tests there must be at least, skipped ones included; 0 for no floor. Not held for a selection.", "", `"minimum": 0`},
	{"test.categories", "Groups of tests in the report.", "Test Categories", ""},
	{"test.categories[].name", "Name of the group.", "", ""},
	{"test.categories[].paths", "Globs of its test files.", "", relativePath},
	{"test.categories[].marker", "Mark of its tests, as in `@pytest.mark.slow`; instead of paths, or besides them: a test that has either belongs to it.", "", `"pattern": "^([A-Za-z_][A-Za-z0-9_]*)?$"`},
	{"test.services", "Start an MLflow server and an S3 API beside the tests.", "Test Categories", ""},
	{"test.coverage.source", "What is measured, as for `pytest --cov`.", "Unit Tests", relativePath},
	{"test.coverage.omit", "Globs that are no part of any total.", "", relativePath},
	{"test.coverage.total", "Floor for all lines, in percent.", "Test Coverage Requirements", limitPercent},
	{"test.coverage.critical.paths", "Globs of the critical paths; with none the floor is not held, and the report says so.", "Test Coverage Requirements", relativePath},
	{"test.coverage.critical.min", "Floor for their lines, in percent.", "Test Coverage Requirements", limitPercent},
	{"test.coverage.model.paths", "Globs of the model components; with none the floor is not held, and the report says so.", "Test Coverage Requirements", relativePath},
	{"test.coverage.model.min", "Floor for their lines, in percent.", "Test Coverage Requirements", limitPercent},
	{"test.coverage.branch", "Floor for branches, in percent; 0 reports them without a gate.", "", limitPercent},

	{"train.requirements", "Requirements files of the training environment, as for the tests.", "", relativePath},
	{"train.inputs.include", "Globs of the files the training may see; everything when empty. Only these invalidate a training.", "", relativePath},
	{"train.inputs.exclude", "Globs of exceptions.", "", relativePath},
	{"train.command", "Training command.", "Running Pipeline Locally", ""},
	{"train.data_args", "Arguments added to the command when a data set is given; `{{data}}` is its path.", "", ""},
	{"train.vars", "Environment variables of the training. The pipeline adds those of MLflow.", "", ""},
	{"train.timeout", "Time limit of the training, 1s to 24h.", "", ""},
	{"train.experiment", "MLflow experiment the training logs to, `MLFLOW_EXPERIMENT_NAME`.", "Environment Variables", ""},
	{"train.model", "Glob of the model file; exactly one file must match.", "", relativePath},
	{"train.artifacts", "Globs of further files that belong to the model: tokeniser, labels.", "", relativePath},
	{"train.metrics", "JSON file of metrics; empty for the MLflow run that the training logs.", "", ""},
	{"train.predictions", "JSON file of held-out predictions: labels, y_true, y_pred. Optional.", "", ""},
	{"train.golden", "JSON file of a fixed sample with its expected output. Optional.", "", ""},
	{"train.score_command", "Command that loads the model and scores the golden sample; exit code 0 means equal. Optional.", "", ""},
	{"train.gates", "Demands on metrics. Fractions, not percentages.", "Pipeline Metrics", ""},
	{"train.gates[].metric", "Name of the metric.", "", ""},
	{"train.gates[].min", "Lowest value that passes; not held when absent.", "", ""},
	{"train.gates[].max", "Highest value that passes; not held when absent.", "", ""},
	{"train.gates[].alert_below", "Value below which the degradation alert is raised too.", "", ""},
	{"train.gates[].better", "Which direction is better, `higher` or `lower`; when absent, a gate with a maximum alone is on a loss.", "", `"enum": ["", "higher", "lower"]`},
	{"train.gates[].min_absolute_change", "By how much the value must be better than that of the model in production, in the metric's own unit.", "", `"minimum": 0`},
	{"train.gates[].min_relative_change", "The same as a fraction of the value of the model in production.", "", `"minimum": 0`},
	{"train.gates[].tolerance", "By how much the value may be worse than that of the model in production, in the metric's own unit. One point (0.01) when none of these four keys is there.", "", `"minimum": 0`},
	{"train.gates[].relative_tolerance", "The same as a fraction of the value of the model in production; the wider of both tolerances counts.", "", `"minimum": 0`},
	{"train.baseline_margin", "By how much accuracy must exceed the majority class, 0 to 1.", "", `"minimum": 0, "exclusiveMaximum": 1`},
	{"train.min_examples", "Held-out predictions that a measurement needs; fewer are a warning (`FEW_EXAMPLES`): of a handful, all may be right by chance.", "", `"minimum": 1, "maximum": 1000000`},
	{"train.top_k", "How many guesses of a ranking (`y_rank`) may count for accuracy: a training that counts more is refused (`TOP_K_REFUSED`).", "", `"minimum": 1, "maximum": 10000`},
	{"train.recurrent", "The model must have a recurrent layer, such as an LSTM.", "MLflow Integration", ""},
	{"train.allow_layers", "Further layer classes the model may have. Never `Lambda` and `TFSMLayer`, which can hold any code.", "", ""},

	{"train.allow_formats", "Formats besides `.keras` that may pass although nothing can look into them: `h5`, `pickle` (`.pkl`, `.pickle`, `.joblib`). Such a model is loaded only by `train.score_command`, without network and credentials, and is never published.", "", `"enum": ["h5", "pickle"]`},
	{"train.network", "Let the training use the network. Without it every connection fails, also to this host; sockets of one machine's processes (AF_UNIX) work.", "", ""},
	{"train.deterministic", "The training declares that the same inputs give the same bytes: a second training (`--twice`) that differs fails the stage instead of a warning.", "", ""},

	{"publish.model", "Name of the model; the registered model is `<experiment>_<model>`.", "Model Verification", `"pattern": "^[a-z0-9][a-z0-9._-]{0,62}$"`},
	{"publish.experiment", "MLflow experiment; `{{environment}}` stands for the environment.", "Environment Variables", ""},
	{"publish.workspace", "Workspace of an MLflow server that has them (3.10 and later), as in `MLFLOW_WORKSPACE`; its default one when empty.", "", ""},
	{"publish.artifact_root", "`s3://bucket/prefix`, `MLFLOW_ARTIFACT_ROOT`; an argument of the call wins.", "GitHub Secrets Required", `"pattern": "^s3://|^$"`},
	{"publish.region", "Region of the bucket, `AWS_DEFAULT_REGION`.", "GitHub Secrets Required", ""},

	{"image.repository", "`[registry/]name` without tag and digest.", "Environment Variables", ""},
	{"image.base", "Base image; empty for `python:<python>-slim`.", "", ""},
	{"image.platform", "`linux/amd64` or `linux/arm64`; the engine's own when empty. Another one than the engine's needs an engine that emulates it.", "", `"enum": ["", "linux/amd64", "linux/arm64"]`},
	{"image.dockerfile", "Dockerfile in the source to build from; empty for the pipeline's own build. It then says what base, requirements, command, port, user and health check are.", "Docker Integration", `"pattern": "^([^/\\\\].*)?$"`},
	{"image.target", "Stage of the Dockerfile; the last one when empty.", "Docker Integration", ""},
	{"image.build_args", "Arguments of the Dockerfile. No secrets: they stay in the image.", "", ""},
	{"image.source", "Address of the source, for the label `org.opencontainers.image.source`; empty for none.", "", ""},
	{"image.requirements", "Requirements files of serving.", "", relativePath},
	{"image.prune", "Globs, relative to `site-packages`, of files of the packages that serving does without, such as `**/tests`. The image is proven without them.", "", relativePath},
	{"image.inputs.include", "Globs of the files in the image; everything when empty.", "", relativePath},
	{"image.inputs.exclude", "Globs of exceptions.", "", relativePath},
	{"image.command", "Command that starts the application.", "Container Features", ""},
	{"image.vars", "Environment variables in the image. No secrets.", "", ""},
	{"image.model_dir", "Where the model's files go, relative to the application.", "", relativePath},
	{"image.port", "Port of the application.", "Container Features", `"minimum": 1, "maximum": 65535`},
	{"image.health", "Path of the health check.", "Container Features", `"pattern": "^/"`},
	{"image.script_health", "Second path that must answer too; empty for none.", "", `"pattern": "^/|^$"`},
	{"image.page", "Page that a headless browser loads and must see drawn, with a screenshot in the report; empty for none.", "Container Features", `"pattern": "^/|^$"`},
	{"image.imports", "Modules that must import in the image; when empty `tensorflow`, `mlflow` and `streamlit`, as far as they are installed.", "Docker Build Issues", ""},
	{"image.start_budget", "How long the application may take until it is healthy, 1s to 1h.", "", ""},
	{"image.successes", "How many health checks in a row make it healthy.", "", `"minimum": 1, "maximum": 100`},
	{"image.user", "Numeric id the application runs as; never 0, which is root.", "", `"minimum": 1`},
	{"image.volumes", "Absolute paths that the application may write to. Compose keeps their content in named volumes; on ECS it is scratch storage, gone with each task, unless `rollout.volumes` has the path.", "Container Features", `"pattern": "^/."`},
	{"image.max_megabytes", "Budget for the sum of the compressed layers; 0 for none.", "", `"minimum": 0`},

	{"rollout.account", "AWS account of the environment: 12 digits; the guard against the wrong one.", "", ""},
	{"rollout.region", "AWS region.", "GitHub Secrets Required", ""},
	{"rollout.cluster", "ECS cluster.", "Environment Variables", `"pattern": "^[A-Za-z0-9_-]{1,255}$"`},
	{"rollout.service", "ECS service.", "Environment Variables", `"pattern": "^[A-Za-z0-9_-]{1,255}$"`},
	{"rollout.family", "Family of the task definition.", "Planned Implementation", `"pattern": "^[A-Za-z0-9_-]{1,255}$"`},
	{"rollout.cpu", "CPU of a task in units of 1/1024 vCPU.", "Planned Implementation", enumOf(FargateCPU())},
	{"rollout.memory", "Memory of a task in MiB; Fargate has only certain pairs with `cpu`.", "Planned Implementation", `"minimum": 512, "maximum": 122880`},
	{"rollout.desired", "Number of tasks to begin with, from `min` to `max`.", "", `"minimum": 1, "maximum": 5000`},
	{"rollout.min", "Fewest tasks that scaling keeps.", "Deployment Strategy", `"minimum": 0, "maximum": 5000`},
	{"rollout.max", "Most tasks that scaling starts.", "Deployment Strategy", `"minimum": 1, "maximum": 5000`},
	{"rollout.target_cpu", "CPU utilisation that scaling keeps, in percent.", "Deployment Strategy", `"exclusiveMinimum": 0, "maximum": 100`},
	{"rollout.target_memory", "Memory utilisation that scaling keeps, in percent.", "Deployment Strategy", `"exclusiveMinimum": 0, "maximum": 100`},
	{"rollout.strategy", "`rolling`, `blue_green`, `canary` or `linear`.", "Deployment Strategy", `"enum": ["rolling", "blue_green", "canary", "linear"]`},
	{"rollout.bake_minutes", "How long both versions run before the old one ends, 0 to 1440.", "", `"minimum": 0, "maximum": 1440`},
	{"rollout.canary_percent", "Share of the traffic that a `canary` sends to the new version first, 0.1 to 100 in steps of 0.1.", "", `"minimum": 0.1, "maximum": 100`},
	{"rollout.canary_bake_minutes", "How long a `canary` stays at that share, 0 to 1440.", "", `"minimum": 0, "maximum": 1440`},
	{"rollout.linear_step_percent", "Share of the traffic that each step of `linear` moves, 3 to 100 in steps of 0.1.", "", `"minimum": 3, "maximum": 100`},
	{"rollout.linear_step_minutes", "How long `linear` stays at each step below 100 %, 0 to 1440.", "", `"minimum": 0, "maximum": 1440`},
	{"rollout.execution_role", "ARN of the role with which ECS pulls the image and reads secrets; one is made, with no more rights than that, when empty.", "Planned Implementation", ""},
	{"rollout.task_role", "ARN of the application's role.", "", ""},
	{"rollout.infrastructure_role", "ARN of the role with which ECS shifts traffic.", "", ""},
	{"rollout.vpc", "VPC the tasks run in.", "", ""},
	{"rollout.subnets", "Subnets the tasks run in.", "", `"pattern": "^subnet-"`},
	{"rollout.security_groups", "Security groups of the tasks.", "", `"pattern": "^sg-"`},
	{"rollout.vars", "Environment variables of the task. No secrets.", "", ""},
	{"rollout.secrets", "Variables whose values come from the ARN of a Secrets Manager secret or SSM parameter.", "GitHub Secrets Required", `"pattern": "^arn:"`},
	{"rollout.start_period", "Grace of the container's health check, 0s to 5m.", "", ""},
	{"rollout.trial", "Run one task of a new version, which must get healthy, before the service is touched.", "", ""},
	{"rollout.journal", "Where the lock and the record of rollouts are kept, `s3://bucket/prefix`; `publish.artifact_root` when empty. Production's must be the one of staging.", "", `"pattern": "^(s3://.*)?$"`},
	{"rollout.smoke", "Address that must answer 200 during and after a deployment; the load balancer's when empty, `none` for no smoke test.", "", `"pattern": "^(none|https?://.*)?$"`},
	{"rollout.certificate", "ARN of a certificate of AWS Certificate Manager. The load balancer then listens on HTTPS (443) and redirects HTTP (80) to it. When empty it listens on HTTP, unless a listener with a certificate is found: that is kept.", "", `"pattern": "^(arn:.*)?$"`},
	{"rollout.internet_facing", "Make the load balancer public; it needs `certificate`. Cannot be changed later.", "", ""},
	{"rollout.balancer_subnets", "Subnets of the load balancer, in two zones at least; those of the tasks when empty. Public ones if it is `internet_facing`.", "", `"pattern": "^subnet-"`},
	{"rollout.balancer_security_groups", "Security groups of the load balancer; those of the tasks when empty.", "", `"pattern": "^sg-"`},
	{"rollout.assign_public_ip", "Give each task a public address, to pull its image in a public subnet without NAT gateway or VPC endpoints.", "", ""},
	{"rollout.alarm_topic", "ARN of the SNS topic that alarms notify. When empty, actions that an alarm has are kept.", "", `"pattern": "^(arn:.*)?$"`},
	{"rollout.drain", "How long a task may finish its requests after the load balancer took it out, 0s to 1h.", "", ""},
	{"rollout.ephemeral_storage", "Scratch storage of a task in GiB, 20 to 200.", "", `"minimum": 20, "maximum": 200`},
	{"rollout.writable_root", "Leave the container's root file system writable, instead of `/tmp` and the volumes only.", "", ""},
	{"rollout.volumes", "Directories that outlive a task, on Amazon EFS. The file system needs a mount target in each zone of `subnets` whose security group admits port 2049 from the tasks. The connection is encrypted.", "", ""},
	{"rollout.volumes[].path", "Absolute path in the container. `image.user` must be allowed to write there: nothing changes the modes of a file system.", "", `"pattern": "^/."`},
	{"rollout.volumes[].file_system", "Id of the file system, `fs-...`.", "", `"pattern": "^fs-"`},
	{"rollout.volumes[].access_point", "Id of an access point, `fsap-...`, which sets the directory and the user; the root of the file system when empty.", "", `"pattern": "^(fsap-.*)?$"`},
	{"rollout.volumes[].iam", "Mount it with the rights of `task_role`, as a policy of the file system can demand.", "", ""},
	{"rollout.kms_keys", "ARNs of your own KMS keys with which `secrets` are encrypted: the execution role that is made may decrypt with them.", "", `"pattern": "^arn:"`},
	{"rollout.pause_at", "Stages at which a deployment that shifts traffic stops until it is approved: `pre_scale_up`, `post_scale_up`, `pre_production_traffic_shift`, `post_production_traffic_shift`.", "", `"enum": ["pre_scale_up", "post_scale_up", "pre_production_traffic_shift", "post_production_traffic_shift"]`},
	{"rollout.pause_timeout", "How long a pause waits for an answer before the deployment is rolled back, 1m to 336h.", "", ""},
	{"rollout.log_days", "Retention of the log group, in days CloudWatch Logs has.", "Logging", ""},

	{"policy", "Stages by branch pattern; the longest pattern that matches counts, `*` matches every branch. publish needs test and train, image needs publish, deploy needs image. Outside of the sandbox it only takes stages away: there `--release-branch` says which branches may publish, push images and deploy.", "Pipeline Stages", `"enum": ["` + strings.Join(verdict.Stages(), `", "`) + `"]`},
}

// leaf is one key with its type and default.
type leaf struct {
	keyDoc
	kind  reflect.Type
	value any
}

// leaves lists the keys in the order of Config.
func leaves() []leaf {
	docs := map[string]keyDoc{}
	for _, d := range keyDocs {
		docs[d.key] = d
	}
	var all []leaf
	var walk func(path string, v reflect.Value, inList bool)
	walk = func(path string, v reflect.Value, inList bool) {
		if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				if name := keyOf(v.Type().Field(i)); name != "" {
					walk(join(path, name), v.Field(i), inList)
				}
			}
			return
		}
		l := leaf{keyDoc: docs[path], kind: v.Type(), value: v.Interface()}
		l.key = path
		if inList {
			l.value = nil
		}
		all = append(all, l)
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
			walk(path+"[]", reflect.New(v.Type().Elem()).Elem(), true)
		}
	}
	walk("", reflect.ValueOf(Default()), false)
	return all
}

// typeName is the type as the documentation has it.
func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Duration]():
		return "time"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "list of keys"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Slice:
		return "map of lists"
	case t.Kind() == reflect.Map:
		return "map"
	case t.Kind() == reflect.Int:
		return "whole number"
	case t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	default:
		return "text"
	}
}

// KeysMarkdown renders the tables of docs/configuration.md: every key with its type,
// default, meaning and source in the pipeline document.
func KeysMarkdown() string {
	var b strings.Builder
	section := ""
	for _, l := range leaves() {
		top, _, nested := strings.Cut(l.key, ".")
		if !nested {
			top = "general"
		}
		if l.key == "policy" {
			top = "policy"
		}
		if top != section {
			section = top
			fmt.Fprintf(&b, "\n### %s\n\n| Key | Type | Default | Meaning | Document |\n| --- | --- | --- | --- | --- |\n", section)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", l.key, typeName(l.kind), l.defaultText(), l.meaning, l.source)
	}
	return strings.TrimLeft(b.String(), "\n")
}

// defaultText is the default as one would write it in pipeline.yaml.
func (l leaf) defaultText() string {
	if l.value == nil {
		return ""
	}
	v := reflect.ValueOf(l.value)
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
		return "see below"
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		if v.Len() == 0 {
			return "none"
		}
	case reflect.String:
		if v.Len() == 0 {
			return "empty"
		}
		return "`" + v.String() + "`"
	}
	// JSON is YAML, and strings, lists and maps of strings can always be encoded.
	return "`" + strings.ReplaceAll(strings.Trim(string(encode(l.value)), `"`), "|", `\|`) + "`"
}

func encode(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return bytes.TrimSpace(b.Bytes())
}
