package testrun

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestAModuleThatIsNotInstalledIsToldFirst(t *testing.T) {
	lacks := func(module string) verdict.Finding {
		in := input(t)
		in.Source = in.Source.With(".", fake.Files(map[string]string{"lib/mine/__init__.py": ""}))
		said := strings.ReplaceAll(collectionCase, "ModuleNotFoundError", "ModuleNotFoundError: No module named '"+module+"'")
		return judge(t, in, 2, green().with("junit.xml", suite(said))).Stage.Problems[0]
	}
	found := lacks("six")
	assert.Equal(t, "tests/test_broken.py could not be loaded, so its tests did not run: No module named 'six'", found.Cause)
	assert.Contains(t, found.Next, "Add six to ")
	assert.Contains(t, lacks("mine").Next, "test.vars: {PYTHONPATH: lib}", "it is in the source")
	assert.Contains(t, lacks("mine.part").Next, "--path tests/test_broken.py", "Python found what it is a part of")
}

func TestEachFailedSubtestIsNamed(t *testing.T) {
	part := func(i int) string {
		return fmt.Sprintf(`{"event":"result","id":"tests/test_mlflow_x.py::test_bad","when":"call","outcome":"failed","part":true,"of":"test_bad (i=%d)","text":"E   assert %d"}`+"\n", i, i)
	}
	lines := strings.Replace(eventLines("tests/test_a.py::a", "tests/test_mlflow_x.py::test_bad"), `{"event":"end"`, part(1)+part(3)+part(3)+`{"event":"end"`, 1)
	r := judge(t, input(t), 1, green().with("junit.xml", suite(passing("a"), failingCase)).with("events.jsonl", lines))
	details := strings.Join(r.Stage.Problems[0].Details, "\n")
	assert.Equal(t, "TESTS_FAILED", r.Stage.Code)
	assert.Contains(t, details, "    - test_bad (i=1): assert 1\n    - test_bad (i=3): assert 3\n    | printed here")
}

func TestACommandThatTheEnvironmentLacks(t *testing.T) {
	for command, want := range map[string]string{
		"uv run pytest tests": "leave uv run out: test.command: [pytest, tests]", "tox -e py310": "set test.command to what tox runs",
	} {
		in := input(t)
		in.Config.Test.Command = strings.Fields(command)
		tool := in.Config.Test.Command[0]
		ran := ranWith(127, outputs{})
		ran.Stderr = "run " + tool + ": No such file or directory"
		r := Run(t.Context(), fake.New().OnRun(func(runner.Step) (*runner.Result, error) { return ran, nil }), in)
		assert.Equal(t, "REPORT_MISSING", r.Stage.Code)
		assert.Contains(t, r.Stage.Cause, "test.command begins with "+tool)
		assert.Contains(t, r.Stage.Next, want)
	}
}

func TestMoreWarningsThanPytestAllows(t *testing.T) {
	lines := strings.Replace(eventLines("tests/test_a.py::a", "tests/test_a.py::b"), `{"event":"end"`, `{"event":"end","status":6`, 1)
	ran := ranWith(6, green().with("events.jsonl", lines))
	ran.Stdout += "Tests pass, but maximum allowed warnings exceeded: 2 > 0\n"
	r := Run(t.Context(), fake.New().OnRun(func(runner.Step) (*runner.Result, error) { return ran, nil }), input(t))
	assert.Equal(t, "TOO_MANY_WARNINGS", codes(r.Stage.Problems)[0])
	assert.Equal(t, "pytest's --max-warnings is exceeded: 2 > 0", r.Stage.Cause)
}

func TestAPluginThatATestNeedsIsNamed(t *testing.T) {
	next := func(said string) string {
		bad := strings.ReplaceAll(failingCase, `message="assert 1 == 2`, `message="`+said)
		return judge(t, input(t), 1, green().with("junit.xml", suite(passing("a"), bad))).Stage.Next
	}
	assert.Contains(t, next("Failed: async def functions are not natively supported."), "Add pytest-asyncio to ")
	assert.Contains(t, next("assert 'pip install six' in said"), "--path")
	refused := "requests.exceptions.SSLError: HTTPSConnectionPool(host='%s', port=1): Max retries exceeded (CERTIFICATE_VERIFY_FAILED)"
	assert.Contains(t, next(fmt.Sprintf(refused, "localhost")), `test.vars: {REQUESTS_CA_BUNDLE: "", CURL_CA_BUNDLE: ""}. Then `)
	assert.NotContains(t, next(fmt.Sprintf(refused, "example.com")), "CA_BUNDLE", "a server elsewhere")
}

func TestNoTestsBecauseAllAreDeselected(t *testing.T) {
	lines := strings.Replace(eventLines(), `{"event":"end"`, `{"event":"left_out","deselected":2,"examples":["tests/test_a.py::a"]}`+"\n"+`{"event":"end"`, 1)
	stage := judge(t, input(t), 5, green().with("junit.xml", suite()).with("events.jsonl", lines)).Stage
	assert.Equal(t, "NO_TESTS", stage.Code)
	assert.Contains(t, stage.Cause, "2 tests are deselected: tests/test_a.py::a")
	assert.Contains(t, stage.Next, "Remove the option from addopts")
}
