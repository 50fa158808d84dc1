package testrun

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const leftOutEvent = `{"event":"left_out","deselected":1,"removed":2,"examples":["tests/test_a.py::test_x"],"ignored":["tests/test_old.py"]}` + "\n"

func TestTestsThatTheProjectLeavesOut(t *testing.T) {
	left := func() outputs {
		return green().with("events.jsonl", leftOutEvent+green()[".report/events.jsonl"])
	}
	r := judge(t, input(t), 0, left())
	require.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Equal(t, []string{"TESTS_DESELECTED"}, codes(r.Stage.Warnings))
	assert.Equal(t, "1 test is deselected, 2 tests are taken from the list by a hook, 1 test file is ignored: tests/test_a.py::test_x, tests/test_old.py", r.Stage.Warnings[0].Cause)
	assert.Equal(t, "3, and those of 1 file that pytest was told to ignore", evidence(r.Stage, "tests left out").Value)

	in := input(t)
	in.Marker = "slow"
	assert.Equal(t, []string{"SELECTION"}, codes(judge(t, in, 0, left()).Stage.Warnings), "the call asked for it")

	whole := green().with("events.jsonl", strings.ReplaceAll(leftOutEvent, `"deselected":1,"removed":2,"examples":["tests/test_a.py::test_x"],"ignored":["tests/test_old.py"]`, `"deselected":0,"ignored":[]`)+green()[".report/events.jsonl"])
	r = judge(t, input(t), 0, whole)
	assert.Empty(t, r.Stage.Warnings)
	assert.Equal(t, "0", evidence(r.Stage, "tests left out").Value)
}

// A function of which pytest makes no test, and a file that it does not load, are as silent as a test that is removed.
func TestTestsThatWereNeverTaken(t *testing.T) {
	event := `{"event":"left_out","examples":[],"ignored":[],"untaken":["tests/test_a.py::test_x (line 1, replaced in line 5)"]}` + "\n" +
		`{"event":"loaded","file":"tests/test_other.py"}` + "\n"
	r := judge(t, input(t), 0, green().with("events.jsonl", event+green()[".report/events.jsonl"]))
	require.Equal(t, verdict.Pass, r.Stage.Verdict)
	require.Equal(t, []string{"TESTS_DESELECTED"}, codes(r.Stage.Warnings))
	assert.Contains(t, r.Stage.Warnings[0].Cause, "1 function has the name of a test and is none")
	assert.Contains(t, r.Stage.Warnings[0].Cause, "tests/test_a.py::test_x (line 1, replaced in line 5)")
	assert.Contains(t, evidence(r.Stage, "tests left out").Value, "1 function named like tests")
}

func TestFilesOfTestsThatWereNotLoaded(t *testing.T) {
	p := &plan{in: input(t), names: []string{"tests/test_a.py"},
		source: []string{"app/test_core.py", "tests/conftest.py", "tests/deep/b_test.py", "tests/test_a.py", "tests/test_c.py", "tests/test_d.py"}}
	p.in.Config.Test.Command = []string{"pytest", "-q", "tests/"}
	e := newEvents()
	assert.Empty(t, p.unloaded(e), "nothing is known")
	e.left, e.loaded = &leftOut{ignored: []string{"tests/test_d.py"}}, map[string]bool{"tests/test_a.py": true}
	assert.Equal(t, []string{"tests/deep/b_test.py", "tests/test_c.py"}, p.unloaded(e))
	e.left.unloaded = p.unloaded(e)
	assert.Equal(t, "0, and those of 1 file that pytest was told to ignore, and those of 2 files that pytest did not load", e.left.count())
	p.in.Config.Test.Command = []string{"make", "test"}
	assert.Empty(t, p.unloaded(e), "where it looks is not known")
}

func TestATestThatRaisedIsNotPassed(t *testing.T) {
	turned := strings.Replace(green()[".report/events.jsonl"], `"outcome":"passed"`, `"outcome":"passed","raised":true`, 1)
	r := judge(t, input(t), 0, green().with("events.jsonl", turned))
	assert.Equal(t, "REPORT_DISAGREES", r.Stage.Code)
	assert.Contains(t, r.Stage.Cause, "one test raised an error and was reported as passed")

	// pytest-retry makes the report of the first attempt that of the last one, and says before that it tries again.
	first, rest, _ := strings.Cut(turned, `{"event":"result"`)
	id := regexp.MustCompile(`"id":"[^"]+"`).FindString(rest)
	retried := first + `{"event":"result",` + id + `,"when":"call","outcome":"retried"}` + "\n" + `{"event":"result"` + rest
	r = judge(t, input(t), 0, green().with("events.jsonl", retried))
	assert.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Cause)
	assert.Contains(t, codes(r.Stage.Warnings), "FLAKY_TESTS")
}

func TestASourceDoesNotSetThePluginsVariables(t *testing.T) {
	in := input(t)
	in.Config.Test.Vars = map[string]string{"OPENSTACK_RCA_CONTROL": "select.json", "MODE": "x"}
	p := &plan{in: in, built: &pyenv.Built{}}
	vars := p.vars(in, "")
	assert.NotContains(t, vars, "OPENSTACK_RCA_CONTROL")
	assert.Equal(t, "x", vars["MODE"])
}

func TestAFloorForTheNumberOfTests(t *testing.T) {
	in := input(t)
	in.Config.Test.MinTests = 2
	r := judge(t, in, 0, green())
	assert.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Equal(t, verdict.Evidence{Name: "number of tests", Value: "2", Want: ">= 2", OK: true}, evidence(r.Stage, "number of tests"))

	in.Config.Test.MinTests = 3
	r = judge(t, in, 0, green().with("events.jsonl", leftOutEvent+green()[".report/events.jsonl"]))
	assert.Equal(t, "TOO_FEW_TESTS", r.Stage.Code)
	assert.Contains(t, r.Stage.Cause, "there are 2 tests, at least 3 are demanded: 1 test is deselected")
	assert.False(t, evidence(r.Stage, "number of tests").OK)

	in.Keyword = "a"
	assert.Equal(t, verdict.Pass, judge(t, in, 0, green()).Stage.Verdict, "a selection has fewer")
}

func TestAModuleThatEndsTheProcessIsNamed(t *testing.T) {
	session := `{"event":"session","pytest":"9.2.0"}` + "\n" + `{"event":"load","file":"tests/test_a.py"}` + "\n"
	for name, c := range map[string]struct {
		exit                     int
		events, code, says, next string
	}{
		"a module that a test imports": {3, `{"event":"error","type":"SystemExit","text":"2","file":"app/cli.py","line":7}`, "PYTEST_EXITED", "line 7 of app/cli.py ended the process (2) while pytest loaded tests/test_a.py", "openstack-rca test --verbose --path tests/test_a.py"},
		"a test file":                  {3, `{"event":"error","type":"SystemExit","text":"","file":"tests/test_a.py","line":3}`, "PYTEST_EXITED", "line 3 of tests/test_a.py ended the process", ""},
		"a conftest.py, with success":  {0, `{"event":"error","type":"SystemExit","text":"0","file":"conftest.py","line":1}`, "PYTEST_EXITED", "line 1 of conftest.py", ""},
		"a hook that raises":           {3, `{"event":"error","type":"ValueError","text":"bad","file":"conftest.py","line":9}`, "RUNNER_KILLED", "ValueError at line 9 of conftest.py: bad", "plugin or hook"},
		"a crash in native code":       {139, ``, "RUNNER_KILLED", "signal 11 (exit code 139) ended the test run while pytest loaded tests/test_a.py", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := judge(t, input(t), c.exit, outputs{".report/events.jsonl": session + c.events + "\n"})
			assert.Equal(t, []string{c.code}, codes(r.Stage.Problems))
			assert.Contains(t, r.Stage.Cause, c.says)
			assert.Contains(t, r.Stage.Next, c.next)
		})
	}
}

// With -x pytest ends early on purpose; with workers it calls that an interruption.
func TestARunThatStopsAtAFailure(t *testing.T) {
	events := strings.Replace(eventLines("tests/test_mlflow_x.py::test_bad"), `"tests":1`, `"tests":5`, 1)
	events = strings.Replace(events, `"status":0`, `"status":2`, 1)
	events = strings.Replace(events, `"outcome":"passed"`, `"outcome":"failed"`, 1)
	for exit, why := range map[int]string{1: "alone", 2: "in workers"} {
		left := green().with("junit.xml", suite(failingCase)).with("events.jsonl", events).without("coverage.xml", "htmlcov/index.html")
		in := input(t)
		in.Reruns = 2
		r := judge(t, in, exit, left)
		require.Equal(t, []string{"TESTS_FAILED"}, codes(r.Stage.Problems), why)
		assert.Contains(t, r.Stage.Cause, "pytest stopped there (-x, --maxfail or --stepwise), and 4 collected tests did not run", why)
		assert.Contains(t, evidence(r.Stage, "run again").Value, "nothing", "the others would still not have run")
	}
	r := judge(t, input(t), 2, green().with("events.jsonl", strings.Replace(eventLines("a", "b"), `"tests":2`, `"tests":5`, 1)).without("coverage.xml"))
	assert.Equal(t, "RUNNER_KILLED", r.Stage.Code, "nothing failed: it was interrupted")
}
