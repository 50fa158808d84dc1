package pyenv

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestWhatAWorkflowGivesTheTestsIsKnown(t *testing.T) {
	files := map[string]string{
		".github/workflows/a.yml": "on: [push]\nenv: {MODEL_DIR: models, TOKEN: \"${{ secrets.T }}\"}\njobs:\n  unit: {steps: [{run: \"pip install x && make test\"}]}\n" +
			"  lint: {env: {LINT: a}, services: {mysql: {image: m}}, steps: [{run: \"pip install pytest\\nruff check\"}]}\n" +
			"  push: {env: {TAG: a}, steps: [{run: \"docker build . -t tests\"}]}\n",
		".github/workflows/ci.yaml": "on: {pull_request: }\njobs:\n  test:\n    env: {WORKERS: 2, DB: \"postgres://u:p@localhost/x\"}\n" +
			"    services: {redis: {image: redis}, postgres: {image: postgres}}\n    steps: [{run: pytest, env: {DEBUG: true}}]\n",
		".github/workflows/nightly.yml": "on: {schedule: []}\nenv: {OTHER: x}\njobs: {x: {services: {kafka: {image: k}}}}\n",
		".github/workflows/broken.yml":  "on: [push",
	}
	around := detect(t, files).Around
	assert.Equal(t, map[string]string{"MODEL_DIR": "models", "WORKERS": "2", "DEBUG": "true"}, around.Vars)
	assert.Equal(t, map[string][]string{".github/workflows/a.yml": {"pip install x && make test"}, ".github/workflows/ci.yaml": {"pytest"}},
		around.Commands)
	assert.Contains(t, around.ServicesNext(), ".github/workflows/ci.yaml starts postgres, redis beside the tests, and the pipeline does not")
	assert.Contains(t, around.VarsNext([]string{"GONE", "WORKERS"}, "test.vars"), `test.vars: {WORKERS: "2"}`)
	assert.Empty(t, around.VarsNext([]string{"GONE"}, "test.vars"))
	assert.Empty(t, detectFor(t, verdict.Train, files).Around, "a training does not run beside them")
	assert.Empty(t, detect(t, nil).Around.ServicesNext())
}

func TestAJobRunsTests(t *testing.T) {
	for command, want := range map[string]bool{"python -m pytest -q": true, "uv run pytest": true, "tox -e py312": true, "make unit-test": true,
		"just ci": true, "poetry run task test": true, "bash scripts/run_tests.sh": true, "./gradlew build": false, "sh ./tests.sh": true,
		"pip install pytest tox": false, "make build": false, "docker build -t a/tests .": false, "pip install -e . ; coverage run -m unittest": true,
		"make latest": false, "python -m build": false} {
		var one job
		require.NoError(t, yaml.Unmarshal([]byte("steps: [{uses: a}, {run: '"+command+"'}]"), &one))
		assert.Equal(t, want, one.tests(), command)
	}
}

func TestTestsOfOtherNamesAreFound(t *testing.T) {
	names := []string{"app/latest.py", "app/attestation.py", "shop/tests/__init__.py", "shop/tests/double_case.py", "tests.py", "unit/FooTest.py"}
	assert.Equal(t, names[3:], OtherTests(names))
	assert.Equal(t, "shop/tests/double_case.py looks like tests: pytest loads other names by test.command: [python, -m, pytest, -v, -o, "+
		`"python_files=*.py", shop/tests, tests.py, unit]`, OtherTestsNext(names))
	assert.Empty(t, OtherTestsNext(names[:3]))
}
