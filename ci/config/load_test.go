package config

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everyKey has a value of its own for every key.
const everyKey = `
observe: {min_runs: 30, window_days: 60, coverage_drop: 2.5, silent_days: 14, cloudwatch: true}
notify:
  repeat: always
  channels:
    - {name: mail, type: email, events: [failed], environments: [production], to: [a@example.org], from: b@example.org, host: "localhost:25", tls: none}
    - {name: pr, type: github, repository: team/service, api: https://git.example.org/api/v3}
name: my-app
python: 3.12
system_packages: [libgomp1, libgl1=1.6.0-1]
exclude: [docs]
test:
  build: never
  requirements: [requirements/test.lock]
  inputs: {include: ["src/**"], exclude: ["src/**/*.md"]}
  command: [pytest]
  vars: {MODE: test, WORKERS: 2, DEBUG: true}
  timeout: 1h30m
  max_skipped: 0
  min_tests: 5
  categories: [{name: unit, paths: [tests/unit/**]}]
  services: true
  coverage:
    source: [src]
    omit: ["**/gen_*.py"]
    total: 85.5
    critical: {paths: ["src/api/**"], min: 96}
    model: {paths: ["src/model/**"], min: 91}
    branch: 70
train:
  requirements: [requirements/train.lock]
  inputs: {include: ["src/**"], exclude: []}
  command: [python, -m, my_app.train]
  data_args: ["--data={{data}}"]
  vars: {SEED: 7}
  timeout: 45m
  experiment: my_experiment
  model: out/*.keras
  artifacts: [out/*.json]
  metrics: out/metrics.json
  predictions: out/predictions.json
  golden: out/golden.json
  score_command: [python, -m, my_app.score]
  gates:
    - {metric: f1_macro, min: 0.7, alert_below: 0.6}
    - {metric: val_loss, max: 1.5, better: lower, tolerance: 0.1, relative_tolerance: 0.05}
    - {metric: macro_recall, min_absolute_change: 0.01, min_relative_change: 0.02}
  baseline_margin: 0.1
  min_examples: 20
  top_k: 3
  recurrent: false
  allow_layers: [my_app>Attention]
  allow_formats: [h5]
  format: keras
  allow_domains: [com.microsoft]
  loader: net
  allow_types: [sklearn.tree._tree.Tree]
  network: true
  gpu: true
  deterministic: true
publish:
  model: my_model
  experiment: my_app_{{environment}}
  workspace: team-a
  artifact_root: s3://bucket-one/prefix/x
  region: eu-central-1
image:
  repository: ghcr.io/org/my-app
  base: python:3.12-slim@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  requirements: [requirements/serve.lock]
  inputs: {include: ["src/**"], exclude: []}
  command: [python, -m, my_app]
  vars: {LANG: C.UTF-8}
  model_dir: data/models
  port: 8080
  health: /healthz
  dockerfile: deploy/Dockerfile
  target: production
  platform: linux/arm64
  platforms: [linux/amd64, linux/arm64]
  prune: ["**/tests"]
  slim: true
  build_args: {PYTHON: "3.11"}
  source: https://github.com/acme/rca
  page: /?embed=true
  imports: [streamlit, lstm.inference]
  script_health: /ready
  start_budget: 30s
  successes: 2
  user: 1000
  volumes: [/data]
  max_megabytes: 900
rollout:
  account: 012345678901
  region: eu-central-1
  cluster: c
  service: s
  family: f
  cpu: 2048
  memory: 8192
  desired: 3
  min: 1
  max: 10
  target_cpu: 50
  target_memory: 60
  strategy: canary
  bake_minutes: 15
  canary_percent: 0.3
  canary_bake_minutes: 20
  linear_step_percent: 33.4
  linear_step_minutes: 0
  execution_role: arn:aws:iam::012345678901:role/exec
  task_role: arn:aws:iam::012345678901:role/path/task
  infrastructure_role: arn:aws:iam::012345678901:role/infra
  vpc: vpc-0123456789abcdef0
  subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
  security_groups: [sg-0123456789abcdef0]
  vars: {MODE: live}
  secrets: {ANTHROPIC_API_KEY: "arn:aws:secretsmanager:eu-central-1:012345678901:secret:key-AbCdEf"}
  start_period: 90s
  log_days: 90
  journal: s3://my-bucket/rollouts
  soak: 4h
  trial: false
  smoke: https://rca.example.com/_stcore/health
  certificate: arn:aws:acm:eu-central-1:012345678901:certificate/11111111-2222-3333-4444-555555555555
  internet_facing: true
  balancer_subnets: [subnet-0123456789abcdef2, subnet-0123456789abcdef3]
  balancer_security_groups: [sg-0123456789abcdef1]
  assign_public_ip: true
  alarm_topic: arn:aws:sns:eu-central-1:012345678901:alarms
  drain: 45s
  ephemeral_storage: 50
  writable_root: true
  volumes:
    - {path: /data, file_system: fs-0123456789abcdef0, access_point: fsap-0123456789abcdef0, iam: true}
  kms_keys: ["arn:aws:kms:eu-central-1:012345678901:key/11111111-2222-3333-4444-555555555555"]
  pause_at: [post_scale_up]
  pause_timeout: 2h
  analysis:
    - {name: errors, query: "FILL(bad, 0) / all", success: value < 0.01, failure: value > 0.05, interval: 2m, count: 5, failure_limit: 1,
       inconclusive_limit: 2, late: 3m, prometheus: "http://prometheus:9090", command: [python, check.py], compare: psi, min_samples: 100,
       metrics: [{id: bad, namespace: AWS/ApplicationELB, name: HTTPCode_Target_5XX_Count, stat: Sum, dimensions: {TargetGroup: "{{target_group}}"}}]}
  inconclusive: pause
  services:
    - {name: worker, container: app, port: none, command: [python, worker.py], cpu: 512, memory: 1024, desired: 1, after: [web]}
  tasks: [{name: migrate, command: [python, migrate.py], service: worker, timeout: 5m}]
  adopt: service
  container: web
  task_definition: ecs/task.json
security:
  scan: true
  registry_scan: true
  vex: [security/a.json]
  audit: [licenses, secrets]
  severity: {critical: warn, high: warn, medium: fail, low: warn, negligible: warn, unknown: fail}
  unfixed: note
  grace: {critical: 24h, high: 168h, medium: 720h}
  max_build_age: 48h
  max_data_age: 72h
  min_packages: 20
  allow:
    - {id: CVE-2026-1234, package: openssl, in: image, reason: the command is not there, until: '2027-01-31'}
  allow_secrets:
    - {rule: generic-api-key, path: "tests/data/**", reason: made for the test, until: '2027-01-31'}
  licenses:
    allow: [MIT]
    deny: [AGPL-3.0-only]
    unknown: note
    except: [{package: demo, reason: our own, until: '2027-01-31'}]
policy:
  main: [test, train, audit, publish, image, scan, attest, deploy]
  release/*: [test, train, publish]
  "*": [test]
`

func TestDefaultsAreValid(t *testing.T) {
	for _, content := range []string{"", "\n", "# nothing\n", "---\n", "{}", "test:\n", "\uFEFF", "null"} {
		c, err := Load([]byte(content), "")
		require.NoError(t, err, "%q", content)
		want := Default()
		want.Environment = Sandbox
		assert.Equal(t, want, c, "%q", content)
	}
}

func TestDefaultsAreTheDocuments(t *testing.T) {
	c := Default()
	assert.Equal(t, "3.10", c.Python)
	assert.False(t, c.PythonSet)
	assert.Equal(t, []string{"python", "-m", "pytest", "tests/", "-v"}, c.Test.Command)
	assert.Equal(t, []float64{80, 95, 90}, []float64{c.Test.Coverage.Total, c.Test.Coverage.Critical.Min, c.Test.Coverage.Model.Min})
	assert.Equal(t, "openstack_rca_system_staging", c.Train.Experiment)
	assert.Equal(t, 0.85, *c.Train.Gates[0].Min)
	assert.Equal(t, 0.80, *c.Train.Gates[0].AlertBelow)
	assert.Equal(t, "ap-south-1", c.Publish.Region)
	assert.Equal(t, "openstack-rca-system", c.Image.Repository)
	assert.Equal(t, 7051, c.Image.Port)
	assert.Equal(t, "/_stcore/health", c.Image.Health)
	assert.Equal(t, []string{"openstack-rca-cluster", "openstack-rca-service", "openstack-rca-task"}, []string{c.Rollout.Cluster,
		c.Rollout.Service, c.Rollout.Family})
	assert.Equal(t, []int{1024, 2048}, []int{c.Rollout.CPU, c.Rollout.Memory})
}

func TestEveryKeyIsRead(t *testing.T) {
	c, err := Load([]byte(everyKey), "")
	require.NoError(t, err)
	assert.Equal(t, "3.12", c.Python)
	assert.True(t, c.PythonSet)
	assert.Equal(t, map[string]string{"MODE": "test", "WORKERS": "2", "DEBUG": "true"}, c.Test.Vars)
	assert.Equal(t, 90*time.Minute, c.Test.Timeout.Std())
	assert.Equal(t, 85.5, c.Test.Coverage.Total)
	assert.Equal(t, "7", c.Train.Vars["SEED"])
	assert.Equal(t, "-1", c.Train.Vars["CUDA_VISIBLE_DEVICES"], "maps are merged")
	assert.Equal(t, []string{"docs"}, c.Exclude, "lists are replaced")
	assert.Nil(t, c.Train.Gates[1].Min)
	assert.Equal(t, 1.5, *c.Train.Gates[1].Max)
	assert.Equal(t, "012345678901", c.Rollout.Account, "an account keeps its zeros")
	assert.Equal(t, Default().Policy["main"], c.Policy["main"], "maps are merged")

	again, err := Load(Show(c), "")
	require.NoError(t, err)
	assert.Equal(t, c.Digest(), again.Digest(), "what is shown can be read back")
	assert.Equal(t, string(Show(c)), string(Show(again)))
	// A key that this test forgot would still have its default.
	changed := everyKeyOf(t, c)
	for key, value := range everyKeyOf(t, Default()) {
		if key != "policy.main" && !strings.HasPrefix(key, "train.vars.") && !strings.HasPrefix(key, "image.vars.") {
			assert.NotEqual(t, value, changed[key], key)
		}
	}
}

// everyKeyOf flattens a configuration to its leaves.
func everyKeyOf(t *testing.T, c Config) map[string]string {
	t.Helper()
	var tree any
	content, err := json.Marshal(c)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &tree))
	all := map[string]string{}
	var walk func(string, any)
	walk = func(path string, node any) {
		if m, ok := node.(map[string]any); ok {
			for key, value := range m {
				walk(join(path, key), value)
			}
			return
		}
		all[path] = string(encode(node))
	}
	walk("", tree)
	delete(all, "environment")
	return all
}

func TestOverlays(t *testing.T) {
	const content = `
name: app
rollout: {cpu: 512, memory: 1024, vars: {A: base, B: base}}
policy: {main: [test]}
environments:
  production:
    rollout: {memory: 4096, subnets: [subnet-0123456789abcdef0], vars: {A: production}}
    policy: {main: [test, train]}
  canary-eu:
  staging: {name: other}
`
	for name, tc := range map[string]struct {
		environment string
		check       func(*testing.T, Config)
	}{
		"the sandbox has the base": {"", func(t *testing.T, c Config) {
			assert.Equal(t, Sandbox, c.Environment)
			assert.Equal(t, 1024, c.Rollout.Memory)
			assert.Equal(t, map[string]string{"A": "base", "B": "base"}, c.Rollout.Vars)
		}},
		"production is merged": {Production, func(t *testing.T, c Config) {
			assert.Equal(t, []int{512, 4096}, []int{c.Rollout.CPU, c.Rollout.Memory})
			assert.Equal(t, map[string]string{"A": "production", "B": "base"}, c.Rollout.Vars)
			assert.Equal(t, []string{"test", "train"}, c.Policy["main"])
			assert.Equal(t, "app", c.Name)
		}},
		"an environment of one's own": {"canary-eu", func(t *testing.T, c Config) { assert.Equal(t, "app", c.Name) }},
		"staging":                     {Staging, func(t *testing.T, c Config) { assert.Equal(t, "other", c.Name) }},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Load([]byte(content), tc.environment)
			require.NoError(t, err)
			tc.check(t, c)
		})
	}
	_, err := Load([]byte(content), "prodution")
	assert.EqualError(t, err, `pipeline.yaml: there is no environment "prodution"; did you mean "production"?; there are canary-eu, production, sandbox, staging`)
}

func TestLoadRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ content, want string }{
		"an unknown key": {"test:\n  covrage: {}",
			`pipeline.yaml:2:3: test.covrage: unknown key; did you mean "coverage"?`},
		"an unknown key far from all": {"zzzzzz: 1", "pipeline.yaml:1:1: zzzzzz: unknown key"},
		"a key with dashes": {"test: {max-skipped: 1}",
			`pipeline.yaml:1:8: test.max-skipped: unknown key; did you mean "max_skipped"?`},
		"a threshold of 101": {"test:\n  coverage:\n    total: 101",
			"pipeline.yaml:3:12: test.coverage.total: 101 is not within 0..100"},
		"a negative number of tests": {"test: {min_tests: -1}", "pipeline.yaml:1:19: test.min_tests: -1 is negative"},
		"a fraction as a threshold": {"test: {coverage: {total: 0.8}}",
			"0.8 is less than one percent; it is a percentage, not a fraction: write 80"},
		"a negative threshold":   {"test: {coverage: {branch: -1}}", "-1 is not within 0..100"},
		"NaN":                    {"test: {coverage: {total: .nan}}", "the number .nan; want a number"},
		"infinity":               {"test: {coverage: {total: 1e999}}", "want a number"},
		"a number in quotes":     {`test: {coverage: {total: "80"}}`, `the text "80"; want a number`},
		"a percentage":           {"test: {coverage: {total: 80%}}", `the text "80%"; want a number`},
		"a fraction for a count": {"image: {port: 70.5}", "the number 70.5; want a whole number"},
		"yes for true":           {"test: {services: yes}", `the text "yes"; want true or false`},
		"a list for text":        {"name: [a]", "a list; want text"},
		"text for a list":        {"test: {command: pytest}", `the text "pytest"; want a list, such as [pytest]`},
		"text for a map":         {"test: pytest", `the text "pytest"; want keys with values`},
		"a list for a map":       {"rollout: {vars: [A]}", "a list; want keys with values"},
		"a map for a number":     {"image: {port: {a: 1}}", "keys with values; want a whole number"},
		"a key without a value":  {"name:", "name: no value; want text, or leave the key out"},
		"a list without a value": {"exclude:", "no value; want a list"},
		"a list as the file":     {"- a", "the file holds a list"},
		"text as the file":       {"hello", `the file holds the text "hello"`},
		"a duplicate key": {"name: a\nname: b",
			"pipeline.yaml:2:1: name: the key is here a second time; the first is in line 1"},
		"environments twice":          {"environments: {}\nenvironments: {}", "second time"},
		"an anchor":                   {"name: &a x", "an anchor (&a); anchors and aliases are not supported"},
		"an alias":                    {"test: {vars: {A: &a x, B: *a}}", "an alias (*a); write the value out"},
		"a merge key":                 {"test:\n  vars:\n    <<: {A: b}", "as a key; want a name"},
		"a tag":                       {"name: !!binary aGk=", "a tag (!!binary); tags are not supported"},
		"a list as a key":             {"? [a]\n: b", "as a key; want a name"},
		"two documents":               {"name: a\n---\nname: b", "pipeline.yaml:2: a second document starts here"},
		"a tab":                       {"test:\n\tcommand: [a]", "pipeline.yaml:2:1: not valid YAML: a tab in the indentation"},
		"broken YAML":                 {"test: {command: [a", "pipeline.yaml:1: not valid YAML: "},
		"a broken second document":    {"name: a\n---\n{", "not valid YAML"},
		"UTF-16":                      {"\xff\xfen\x00", "UTF-16; save it as UTF-8"},
		"invalid UTF-8":               {"name: a\n# \xc3\x28", "pipeline.yaml:2: not valid UTF-8"},
		"a file above 1 MiB":          {strings.Repeat("#\n", 600_000), "are more than"},
		"endless nesting":             {"test: {vars: " + strings.Repeat("{a: ", 30) + "x" + strings.Repeat("}", 31), "want text"},
		"a time without a unit":       {"test: {timeout: 90}", "the number 90; want a time with a unit"},
		"a negative time":             {"test: {timeout: -5m}", "-5m is not within 1s..24h"},
		"a time of nothing":           {"train: {timeout: 0s}", "0s is not within"},
		"a name with capitals":        {"name: My App", `"My App" is not a name`},
		"an impossible build":         {"test:\n  build: sometimes", `"sometimes" is not one of auto, always, never`},
		"an old Python":               {`python: "3.9"`, `"3.9" is not one of 3.10`},
		"an option for apt":           {`system_packages: [-oDebug=1]`, `system_packages[0]: "-oDebug=1" is not the name of a Debian package`},
		"a package twice":             {`system_packages: [libgl1, libgl1]`, "system_packages"},
		"Python 3.1":                  {`python: "3.1"`, "is not 3.10"},
		"an empty command":            {"test: {command: []}", "test.command: an empty command"},
		"an empty word as a command":  {`train: {command: [" "]}`, "train.command[0]: an empty command"},
		"NUL in a command":            {`test: {command: [a, "\0"]}`, "a NUL character"},
		"a secret in a command":       {"test: {command: [a, AKIAIOSFODNN7EXAMPLE]}", "looks like a secret"},
		"an absolute path":            {"train: {golden: /etc/passwd}", `"/etc/passwd" is absolute`},
		"a Windows path":              {`train: {golden: 'C:\x'}`, "is absolute"},
		"a path that leaves":          {"test: {requirements: [../x]}", `test.requirements[0]: "../x" leaves the source with ..`},
		"a path with a dot":           {"train: {golden: ./x}", "not a plain relative path"},
		"an empty path":               {"image: {model_dir: ''}", "an empty path"},
		"a backslash":                 {`train: {golden: 'a\b'}`, "has a backslash"},
		"a control character":         {`train: {golden: "a\u202eb"}`, "cannot be printed"},
		"a bad glob":                  {"train: {model: 'a['}", `"a[" is not a valid pattern`},
		"an empty glob":               {"exclude: ['']", "exclude[0]: an empty pattern"},
		"a glob that leaves":          {"exclude: ['../**']", "leaves the source"},
		"data arguments without data": {"train: {data_args: [--data]}", "no argument has {{data}}"},
		"a category without paths":    {"test: {categories: [{name: a}]}", "test.categories[0].paths: no paths"},
		"a category twice":            {"test: {categories: [{name: a, paths: [b]}, {name: a, paths: [b]}]}", "is a category already"},
		"a category without a name":   {"test: {categories: [{paths: [b]}]}", "test.categories[0].name: empty"},
		"nothing to measure":          {"test: {coverage: {source: []}}", "no source"},
		"an accuracy in percent": {"train: {gates: [{metric: val_accuracy, min: 85}]}",
			"train.gates[0].min: 85 is not within 0..1; val_accuracy is a fraction"},
		"a tolerance of the whole range": {"train: {gates: [{metric: val_f1, tolerance: 1}]}",
			"train.gates[0].tolerance: 1 is not below 1; val_f1 is a fraction"},
		"a tolerance of the whole value": {"train: {gates: [{metric: auc, relative_tolerance: 2}]}",
			"train.gates[0].relative_tolerance: 2 is not below 1; auc is a fraction"},
		"a gate whose min is above its max": {"train: {gates: [{metric: loss, min: 2, max: 1}]}", "min 2 is above max 1"},
		"a gate that always holds":          {"train: {gates: [{metric: loss}]}", "the gate would always pass"},
		"a gate without a metric":           {"train: {gates: [{min: 1}]}", "train.gates[0].metric: empty"},
		"a tolerance below zero":            {"train: {gates: [{metric: a, tolerance: -1}]}", "train.gates[0].tolerance: -1 is negative"},
		"better and worse at once":          {"train: {gates: [{metric: a, tolerance: 1, min_absolute_change: 1}]}", "cannot tolerate"},
		"a worse model for better":          {"train: {gates: [{metric: val_accuracy, min: 0.5, better: lower}]}", "is not better when it is lower"},
		"a higher loss for better":          {"train: {gates: [{metric: loss, max: 0.5, better: higher}]}", "is not better when it is higher"},
		"a wrong direction":                 {"train: {gates: [{metric: a, better: bigger}]}", `"bigger" is not one of higher, lower`},
		"a format that is not known":        {"train: {allow_formats: [onnx]}", `"onnx" is not one of h5, pickle, torchscript`},
		"an unknown format of models":       {"train: {format: gguf}", `"gguf" is not one of keras`},
		"a loader in a package":             {"train: {loader: app.net}", "not the name of a module"},
		"a type without a module":           {"train: {allow_types: [Tree]}", "not the name of a type"},
		"an invalid domain":                 {"train: {allow_domains: ['a b']}", "not the name of a domain"},
		"two gates on one metric":           {"train: {gates: [{metric: a, min: 1}, {metric: a, min: 2}]}", "there is a gate on a already"},
		"no examples":                       {"train: {min_examples: 0}", "not within 1"},
		"a top of none":                     {"train: {top_k: 0}", "not within 1"},
		"a wrong workspace":                 {"publish: {workspace: Team A}", "not the name of a workspace"},
		"a margin of 1":                     {"train: {baseline_margin: 1}", "not within 0..1"},
		"a layer that is code":              {"train: {allow_layers: [keras.layers.Lambda]}", "Lambda can hold any code"},
		"a layer that is no name":           {"train: {allow_layers: ['a b']}", "not the name of a layer"},
		"a model name with a slash":         {"publish: {model: a/b}", "publish.model"},
		"an experiment with a slash":        {"publish: {experiment: a/b}", "not a name for an experiment"},
		"an unknown placeholder":            {"publish: {experiment: 'a_{{env}}'}", "{{env}} is not defined here"},
		"an artifact root without s3":       {"publish: {artifact_root: /tmp}", `"/tmp" is not s3://bucket`},
		"a journal that climbs":             {"rollout: {journal: s3://bucket/../x}", "is not s3://bucket"},
		"a margin that is negative":         {"train: {baseline_margin: -0.1}", "-0.1 is not within 0..1"},
		"the second element of a list": {"rollout: {volumes: [{path: /a, file_system: fs-01234567}, {path: b, file_system: x}]}",
			`rollout.volumes[1].file_system: "x" is not a file system`},
		"an artifact root that climbs":  {"publish: {artifact_root: s3://bucket/../x}", "is not s3://bucket"},
		"a wrong region":                {"publish: {region: 'eu west 1'}", `"eu west 1" is not a region`},
		"a repository of one letter":    {"image: {repository: 'localhost:5000/t'}", "at least two characters"},
		"an image with a tag":           {"image: {repository: 'org/app:latest'}", "without tag and digest"},
		"an image in capitals":          {"image: {repository: Org/App}", "is not [registry/]name"},
		"a wrong base image":            {"image: {base: 'a b'}", "is not an image reference"},
		"a target without a Dockerfile": {"image: {target: production}", "image.dockerfile is empty"},
		"a wrong platform":              {"image: {platform: windows/amd64}", `"windows/amd64" is not one of linux/amd64, linux/arm64`},
		"an index of one":               {"image: {platforms: [linux/arm64]}", `one platform is not joined with another`},
		"a platform twice":              {"image: {platforms: [linux/arm64, linux/arm64]}", `linux/arm64 is there already`},
		"pruning outside":               {"image: {prune: [../x]}", "leaves the source with .."},
		"a wrong stage":                 {"image: {dockerfile: Dockerfile, target: 'a b'}", "is not the name of a stage"},
		"a Dockerfile elsewhere":        {"image: {dockerfile: ../Dockerfile}", "leaves the source with .."},
		"a secret for a build":          {"image: {dockerfile: D, build_args: {API_TOKEN: x}}", "by its name a secret"},
		"a source with a user":          {"image: {source: 'https://u:p@x.org/'}", "is not an address without user"},
		"a wrong module":                {"image: {imports: ['os; x']}", "is not the name of a module"},
		"a page without a slash":        {"image: {page: index}", "is not a path of a URL"},
		"port 70000":                    {"image: {port: 70000}", "70000 is not within 1..65535"},
		"a health path without a slash": {"image: {health: health}", "is not a path of a URL"},
		"root":                          {"image: {user: 0}", "0 is root"},
		"a negative user":               {"image: {user: -5}", "image.user: -5"},
		"a relative volume":             {"image: {volumes: [data]}", `"data" is not an absolute path in the container`},
		"the root as a volume":          {"image: {volumes: [/]}", "is not an absolute path"},
		"a variable that is no name":    {"test: {vars: {a-b: c}}", `"a-b" is not a name for a variable`},
		"a secret by its name":          {"image: {vars: {ANTHROPIC_API_KEY: dummy}}", "by its name a secret"},
		"a secret by its value":         {"test: {vars: {X: 'https://user:pass@host/'}}", "looks like a secret"},
		"NUL in a variable":             {`test: {vars: {X: "\0"}}`, "a NUL character"},
		"an account of 11 digits":       {"rollout: {account: 12345678901}", "12 digits"},
		"a family that AWS refuses":     {"rollout: {family: a.b}", `"a.b" is not a name that Amazon ECS accepts`},
		"a CPU size there is not":       {"rollout: {cpu: 1000}", "Fargate has no task of 1000 CPU units"},
		"a pair Fargate does not have": {"rollout: {cpu: 256, memory: 4096}",
			"rollout.memory: Fargate has no task of 256 CPU units with 4096 MiB; with 256 units it has 512, 1024, 2048"},
		"too much memory":            {"rollout: {memory: 16384}", "with 1024 units it has 2048, 3072"},
		"min above max":              {"rollout: {min: 9}", "min 9 is above max 6"},
		"desired outside of both":    {"rollout: {desired: 1}", "desired 1 is not within min 2 and max 6"},
		"no tasks":                   {"rollout: {desired: 0, min: 0}", "0 is not within 1..5000"},
		"a target of 0 %":            {"rollout: {target_cpu: 0}", "0 is not above 0"},
		"a strategy there is not":    {"rollout: {strategy: bluegreen}", `did you mean "blue_green"?`},
		"a bake of two days":         {"rollout: {bake_minutes: 2880}", "not within 0..1440"},
		"a canary of nothing":        {"rollout: {canary_percent: 0}", "rollout.canary_percent: 0 is not within 0.1..100"},
		"a canary of more than all":  {"rollout: {canary_percent: 100.1}", "100.1 is not within 0.1..100"},
		"a canary of a fine share":   {"rollout: {canary_percent: 5.25}", "5.25 is not a multiple of 0.1"},
		"a canary that is no number": {"rollout: {canary_percent: .nan}", "canary_percent"},
		"a canary of two days": {"rollout: {canary_bake_minutes: 2880}",
			"rollout.canary_bake_minutes: 2880 is not within 0..1440"},
		"steps of 2.9 %": {"rollout: {linear_step_percent: 2.9}",
			"rollout.linear_step_percent: 2.9 is not within 3..100"},
		"steps of a fine share":    {"rollout: {linear_step_percent: 33.33}", "33.33 is not a multiple of 0.1"},
		"steps of negative length": {"rollout: {linear_step_minutes: -1}", "rollout.linear_step_minutes: -1 is not within 0..1440"},
		"a role that is no ARN":    {"rollout: {task_role: admin}", "is not the ARN of a role"},
		"a role of another account": {"rollout: {account: 111122223333, task_role: 'arn:aws:iam::444455556666:role/x'}",
			"the ARN is of account 444455556666"},
		"a wrong VPC":                 {"rollout: {vpc: default}", "is not a VPC"},
		"a wrong subnet":              {"rollout: {subnets: [a]}", "rollout.subnets[0]: \"a\" is not a subnet"},
		"a subnet twice":              {"rollout: {subnets: [subnet-01234567, subnet-01234567]}", "is there already"},
		"a literal secret":            {"rollout: {secrets: {KEY: hunter22}}", "the value is not the ARN of"},
		"a secret of another account": {"rollout: {account: 111122223333, secrets: {K: 'arn:aws:ssm:eu-west-1:444455556666:parameter/x'}}", "the ARN is of account 444455556666"},
		"a secret that is a variable too": {"rollout: {vars: {K: a}, secrets: {K: 'arn:aws:ssm:eu-west-1:444455556666:parameter/x'}}",
			"under rollout.vars too"},
		"a secret under a bad name": {"rollout: {secrets: {'a b': 'arn:aws:ssm:eu-west-1:444455556666:parameter/x'}}",
			"not a name for a variable"},
		"a start period ECS refuses":           {"rollout: {start_period: 10m}", "10m is not within 0s..5m"},
		"a retention there is not":             {"rollout: {log_days: 31}", "31 is not a retention"},
		"a stage there is not":                 {"policy: {main: [tests]}", `policy.main[0]: there is no stage "tests"; did you mean "test"?`},
		"deploy without image":                 {"policy: {main: [test, train, publish, deploy]}", "policy.main[3]: deploy without image"},
		"publish without train":                {"policy: {main: [test, publish]}", "publish without train"},
		"a stage twice":                        {"policy: {main: [test, test]}", "test is there already"},
		"every branch deploys":                 {"policy: {'*': [test, train, publish]}", "publish for every branch"},
		"every branch deploys, in other words": {"policy: {'**/*': [test, train, publish]}", "publish for every branch"},
		"a wrong branch pattern":               {"policy: {'a[': [test]}", "is not a pattern for branches"},
		"an overlay's unknown key": {"environments:\n  production:\n    rolout: {}",
			`pipeline.yaml:3:5: environments.production.rolout: unknown key; did you mean "rollout"?`},
		"an overlay's impossible value": {"environments:\n  production:\n    rollout: {min: 7}",
			"pipeline.yaml:3:20: environments.production.rollout.min: min 7 is above max 6"},
		"an overlay in an overlay": {"environments: {staging: {environments: {}}}",
			"environments.staging.environments: unknown key"},
		"an environment's bad name": {"environments: {'a b': {}}", "not a name for an environment"},
		"environments as a list":    {"environments: [staging]", "a list; want keys with values"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load([]byte(tc.content), "")
			var all *Errors
			require.ErrorAs(t, err, &all)
			assert.Contains(t, err.Error(), tc.want)
			for _, p := range all.Problems {
				assert.Equal(t, FileName, p.File)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := Load([]byte("name: X\ntest:\n  command: pytest\n  coverage: {total: 101, totl: 1}\nimage: {port: 70000}\nenvironments:\n  staging: {name: Y}\n"), "")
	assert.EqualError(t, err, strings.TrimSpace(`
pipeline.yaml:1:7: name: "X" is not a name: lower-case letters, digits, '.', '_' and '-', at most 63, the first a letter or digit
pipeline.yaml:3:12: test.command: the text "pytest"; want a list, such as [pytest]
pipeline.yaml:4:21: test.coverage.total: 101 is not within 0..100
pipeline.yaml:4:26: test.coverage.totl: unknown key; did you mean "total"?
pipeline.yaml:5:15: image.port: 70000 is not within 1..65535
pipeline.yaml:7:19: environments.staging.name: "Y" is not a name: lower-case letters, digits, '.', '_' and '-', at most 63, the first a letter or digit`))
	var all *Errors
	require.True(t, errors.As(err, &all))
	p := all.Verdict()
	assert.Equal(t, "CONFIG_INVALID", p.Code.Name)
	assert.Equal(t, "pipeline.yaml has 6 problems", p.Cause)
	assert.Len(t, p.Details, 6)
	assert.Equal(t, verdict.Fail, p.Code.Outcome)
	single := (&Errors{Problems: all.Problems[:1]}).Verdict()
	assert.Contains(t, single.Error(), "FAIL preflight CONFIG_INVALID: pipeline.yaml:1:7: name:")
}

func TestTooManyProblemsAreCounted(t *testing.T) {
	_, err := Load([]byte("test: {command: ["+strings.Repeat("[],", 500)+"a]}"), "")
	var all *Errors
	require.ErrorAs(t, err, &all)
	assert.Len(t, all.Problems, maxProblems+1)
	assert.Equal(t, "401 more problems", all.Problems[maxProblems].Message)
}

func TestALiteralSecretIsNotRepeated(t *testing.T) {
	_, err := Load([]byte("rollout: {secrets: {KEY: hunter22}}\ntest: {vars: {X: AKIAIOSFODNN7EXAMPLE}}"), "")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "hunter22")
	assert.NotContains(t, err.Error(), "AKIA")
}

func TestDigest(t *testing.T) {
	one, err := Load(nil, "")
	require.NoError(t, err)
	two, err := Load([]byte("name: openstack-rca-system # the default"), Sandbox)
	require.NoError(t, err)
	shown, err := Load(Show(one), "")
	require.NoError(t, err)
	assert.Equal(t, one.Digest(), shown.Digest(), "an empty list is the same as none")
	other, err := Load([]byte("image: {port: 7052}"), "")
	require.NoError(t, err)
	assert.Equal(t, one.Digest(), two.Digest())
	assert.NotEqual(t, one.Digest(), other.Digest())
	assert.Regexp(t, `^sha256:[0-9a-f]{64}$`, one.Digest())
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]string{"90s": "1m30s", "10m": "10m", "1h": "1h", "1h30m": "1h30m", "500ms": "500ms", "0s": "0s",
		"24h": "24h"} {
		var d Duration
		require.NoError(t, d.UnmarshalJSON(encode(text)))
		content, err := json.Marshal(d)
		require.NoError(t, err)
		assert.Equal(t, `"`+want+`"`, string(content))
	}
	var d Duration
	assert.ErrorContains(t, d.UnmarshalJSON([]byte(`"90"`)), "is not a time with a unit")
	assert.ErrorContains(t, d.UnmarshalJSON([]byte(`90`)), "read duration")
}

func TestTheSizesOfFargateAreListed(t *testing.T) {
	_, err := Load([]byte("rollout: {cpu: 4096, memory: 1024}"), "")
	assert.ErrorContains(t, err, "it has 8192 to 30720 in steps of 1024")
	_, err = Load([]byte("rollout: {cpu: 65536, memory: 1024}"), "")
	assert.ErrorContains(t, err, "it has 256, 512, 1024, 2048, 4096, 8192, 16384, 32768")
	for _, memory := range []int{61440, 122880, 249856} {
		_, err = Load([]byte("rollout: {cpu: 32768, memory: "+strconv.Itoa(memory)+"}"), "")
		assert.NoError(t, err)
	}
	_, err = Load([]byte("rollout: {cpu: 32768, memory: 65536}"), "")
	assert.ErrorContains(t, err, "with 32768 units it has 61440, 122880, 249856")
}

func TestTheRegionsOfAllPartitions(t *testing.T) {
	for _, region := range []string{"ap-south-1", "eusc-de-east-1", "us-gov-west-1", "us-isob-east-1", "cn-northwest-1"} {
		_, err := Load([]byte("rollout: {region: "+region+"}"), "")
		assert.NoError(t, err, region)
	}
	for _, wrong := range []string{"ap-south", "eusc-de-1", "aws-global", "xx-mars-1"} {
		_, err := Load([]byte("rollout: {region: "+wrong+"}"), "")
		assert.ErrorContains(t, err, "is not a region", wrong)
	}
	// A bucket may be in another store than AWS's.
	_, err := Load([]byte("publish: {region: ch-gva-2}"), "")
	assert.NoError(t, err)
}

func TestOwnCodesAreComplete(t *testing.T) {
	_, err := verdict.Codes(OwnCodes(), verdict.OwnCodes())
	assert.NoError(t, err)
}

func FuzzLoad(f *testing.F) {
	for _, s := range []string{"", everyKey, "a: &a [*a]", "test: {vars: {<<: *x}}", "? ?\n", "- - -", "environments: {a: {a: b}}", "\t",
		"policy: {'{': [test]}", "name: !!float 3", "%YAML 1.1\n---\n", "test: {categories: [{}]}"} {
		f.Add([]byte(s), "staging")
	}
	f.Fuzz(func(t *testing.T, content []byte, environment string) {
		c, err := Load(content, environment)
		if err != nil {
			var all *Errors
			require.ErrorAs(t, err, &all)
			require.NotEmpty(t, all.Problems)
			for _, r := range err.Error() {
				assert.True(t, r == '\n' || !unicode.IsControl(r), "%q", err)
			}
			return
		}
		again, err := Load(Show(c), "")
		require.NoError(t, err, "what is shown can be read back")
		again.Environment = c.Environment
		assert.Equal(t, c.Digest(), again.Digest())
	})
}

// TestAnExceptionForEveryFile would switch the search for secrets off.
func TestAnExceptionForEveryFile(t *testing.T) {
	for path, refused := range map[string]bool{"**": true, "**/*": true, "tests/**": false, "**/*.pem": false, "*": true, "*.*": true} {
		_, err := Load([]byte("security:\n  allow_secrets:\n    - {rule: x, path: \""+path+"\", reason: y, until: '2027-01-31'}\n"), "")
		if refused {
			require.ErrorContains(t, err, "every file", path)
		} else {
			require.NoError(t, err, path)
		}
	}
}

func TestAChannelHasNoKeyThatDoesNothing(t *testing.T) {
	_, err := Load([]byte(`
environments: {qa: {}}
notify:
  channels:
    - {name: a, type: slack, to: [a@example.org], environments: [qa, stagging]}
    - {name: b, type: email, to: [a@example.org], from: b@example.org, host: "h:25", repository: x/y}
    - {name: c, type: gitlab, repository: x/y, api: "https://git.example.org", tls: none}
`), "staging")
	for _, want := range []string{"channels[0].to: a channel of type slack has no to", "channels[1].repository: a channel of type email has no",
		"channels[2].tls: a channel of type gitlab has no tls", `pipeline.yaml:5:70: notify.channels[0].environments[1]: there is no environment "stagging"`} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), `no environment "qa"`)
}

func TestACommandThatRunsMakeSeesTheMakefile(t *testing.T) {
	for command, seen := range map[string]bool{
		"[make, train]": true, "[/usr/bin/make, train]": true, `[sh, -c, "cd src && make train"]`: true,
		"[python, make.py]": false, "[python, -m, makefiles]": false, "[cmake, .]": false,
	} {
		for _, section := range []string{"train", "image"} {
			cfg, err := Load([]byte(section+":\n  command: "+command+"\n"), "")
			require.NoError(t, err)
			assert.Equal(t, !seen || section != "train", slices.Contains(cfg.Train.Inputs.Exclude, "Makefile"), command)
			assert.Equal(t, !seen || section != "image", slices.Contains(cfg.Image.Inputs.Exclude, "Makefile"), command)
		}
	}
	cfg, err := Load([]byte("train: {command: [make], inputs: {exclude: [Makefile]}}\n"), "")
	require.NoError(t, err)
	assert.Equal(t, []string{"Makefile"}, cfg.Train.Inputs.Exclude, "what pipeline.yaml has stays")
	cfg, err = Load([]byte("environments: {staging: {train: {command: [make]}}}\n"), "staging")
	require.NoError(t, err)
	assert.NotContains(t, cfg.Train.Inputs.Exclude, "Makefile")
	assert.Contains(t, Default().Train.Inputs.Exclude, "Makefile")
}
