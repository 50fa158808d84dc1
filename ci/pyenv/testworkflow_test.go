package pyenv

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestWhatAWorkflowGivesTheTestsIsKnown(t *testing.T) {
	files := map[string]string{
		".github/workflows/a.yml": "on: [push]\nenv: {MODEL_DIR: models, TOKEN: \"${{ secrets.T }}\"}\njobs:\n  lint: {steps: []}\n",
		".github/workflows/ci.yaml": "on: {pull_request: }\njobs:\n  test:\n    env: {WORKERS: 2, DB: \"postgres://u:p@localhost/x\"}\n" +
			"    services: {redis: {image: redis}, postgres: {image: postgres}}\n    steps: [{run: pytest, env: {DEBUG: true}}]\n",
		".github/workflows/nightly.yml": "on: {schedule: []}\nenv: {OTHER: x}\njobs: {x: {services: {kafka: {image: k}}}}\n",
		".github/workflows/broken.yml":  "on: [push",
	}
	around := detect(t, files).Around
	assert.Equal(t, map[string]string{"MODEL_DIR": "models", "WORKERS": "2", "DEBUG": "true"}, around.Vars)
	assert.Contains(t, around.ServicesNext(), ".github/workflows/ci.yaml starts postgres, redis beside the tests, and the pipeline does not")
	assert.Contains(t, around.VarsNext([]string{"GONE", "WORKERS"}, "test.vars"), `test.vars: {WORKERS: "2"}`)
	assert.Empty(t, around.VarsNext([]string{"GONE"}, "test.vars"))
	assert.Empty(t, detectFor(t, verdict.Train, files).Around, "a training does not run beside them")
	assert.Empty(t, detect(t, nil).Around.ServicesNext())
}

func TestTestsOfOtherNamesAreFound(t *testing.T) {
	names := []string{"app/latest.py", "app/attestation.py", "shop/tests/__init__.py", "shop/tests/double_case.py", "tests.py", "unit/FooTest.py"}
	assert.Equal(t, names[3:], OtherTests(names))
	assert.Equal(t, "shop/tests/double_case.py looks like tests: pytest loads other names by test.command: [python, -m, pytest, -v, -o, "+
		`"python_files=*.py", shop/tests, tests.py, unit]`, OtherTestsNext(names))
	assert.Empty(t, OtherTestsNext(names[:3]))
}
