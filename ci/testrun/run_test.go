package testrun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// outputs are what a run leaves, by the names that a test case changes.
type outputs map[string]string

// suite is a JUnit report of the tests given as elements.
func suite(cases ...string) string {
	return `<testsuites><testsuite name="pytest">` + strings.Join(cases, "") + `</testsuite></testsuites>`
}

func passing(name string) string {
	return fmt.Sprintf(`<testcase classname="tests.test_inference" name="%s" file="tests/test_inference.py" time="0.5"/>`, name)
}

const failingCase = `<testcase classname="tests.test_mlflow_x" name="test_bad" file="tests/test_mlflow_x.py" time="1.5"><failure message="assert 1 == 2&#10;where">def test_bad():
E  assert 1 == 2</failure><system-out>printed here</system-out></testcase>`

const skippedCase = `<testcase classname="tests.test_a" name="test_s" file="tests/test_a.py"><skipped type="pytest.skip" message="no network"/></testcase>`

const collectionCase = `<testcase classname="" name="tests.test_broken" file="tests/test_broken.py"><error message="collection failure">E ModuleNotFoundError</error></testcase>`

// covered is a coverage report; each file is "path covered lines".
func covered(files ...string) string {
	var b strings.Builder
	b.WriteString(`<coverage><packages><package name="p"><classes>`)
	for _, f := range files {
		var name string
		var hits, lines int
		_, _ = fmt.Sscanf(f, "%s %d %d", &name, &hits, &lines)
		fmt.Fprintf(&b, `<class filename="%s"><methods/><lines>`, name)
		for i := range lines {
			hit, branch := 0, ""
			if i < hits {
				hit = 1
			}
			if i == 0 {
				branch = ` branch="true" condition-coverage="50% (1/2)" missing-branches="exit"`
			}
			fmt.Fprintf(&b, `<line number="%d" hits="%d"%s/>`, i+1, hit, branch)
		}
		b.WriteString(`</lines></class>`)
	}
	b.WriteString(`</classes></package></packages></coverage>`)
	return b.String()
}

func eventLines(ids ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"event":"session","pytest":"9","added":[]}`+"\n"+`{"event":"collected","tests":%d}`+"\n", len(ids))
	for _, id := range ids {
		fmt.Fprintf(&b, `{"event":"start","id":%q}`+"\n"+`{"event":"result","id":%q,"when":"call","outcome":"passed","seconds":0.5}`+"\n"+`{"event":"finish","id":%q}`+"\n", id, id, id)
	}
	return b.String() + `{"event":"end","status":0}` + "\n"
}

// green is what a run leaves that passes all gates.
func green() outputs {
	return outputs{
		".report/junit.xml":          suite(passing("test_a"), passing("test_b")),
		".report/coverage.xml":       covered("lstm/model.py 95 100", "main.py 5 10"),
		".report/htmlcov/index.html": "<html/>",
		".report/events.jsonl":       eventLines("tests/test_inference.py::test_a", "tests/test_inference.py::test_b"),
	}
}

func (o outputs) with(name, content string) outputs {
	o[".report/"+name] = content
	return o
}

func (o outputs) without(names ...string) outputs {
	for _, name := range names {
		delete(o, ".report/"+name)
	}
	return o
}

func source() runner.Files {
	return fake.Files(map[string]string{
		"main.py": "", "lstm/model.py": "", "tests/test_inference.py": "", "README.md": "", ".report/junit.xml": "stale", "notes.txt": "",
		"requirements/test.lock": "six==1.17.0 --hash=sha256:00\n",
	})
}

func input(t *testing.T) Input {
	t.Helper()
	in := Input{Config: config.Default(), Source: source(), Scratch: t.TempDir()}
	in.Config.Test.Coverage.Critical.Paths = []string{"lstm/**"}
	in.Config.Test.Coverage.Model.Paths = []string{"lstm/model.py"}
	return in
}

// judge runs the stage on what a run left; what was measured is in the source, but for what is called made.
func judge(t *testing.T, in Input, exit int, left outputs) *Result {
	t.Helper()
	measured := map[string]string{}
	for _, part := range strings.Split(left[".report/coverage.xml"], `filename="`)[1:] {
		if name, _, _ := strings.Cut(part, `"`); !strings.Contains(name, "made") {
			measured[name] = ""
		}
	}
	if in.Source != nil && len(measured) > 0 {
		in.Source = fake.Files(measured).With(".", in.Source)
	}
	return Run(t.Context(), fake.New().OnRun(answer(exit, left)), in)
}

func codes(found []verdict.Finding) []string {
	names := []string{}
	for _, f := range found {
		names = append(names, f.Code)
	}
	return names
}

func evidence(s verdict.Stage, name string) verdict.Evidence {
	for _, e := range s.Evidence {
		if e.Name == name {
			return e
		}
	}
	return verdict.Evidence{Name: "no evidence named " + name}
}

func TestRunPassesOnEvidence(t *testing.T) {
	r := judge(t, input(t), 0, green())
	require.Equal(t, verdict.Pass, r.Stage.Verdict, "%+v", r.Stage.Problems)
	assert.Empty(t, r.Stage.Warnings)
	assert.Equal(t, verdict.Evidence{Name: "tests", Value: "2: 2 passed", Want: "all executed tests pass", OK: true}, r.Stage.Evidence[0])
	assert.Equal(t, verdict.Evidence{Name: "line coverage", Value: "90.90% (100 of 110)", Want: ">= 80%", OK: true}, evidence(r.Stage, "line coverage"))
	assert.Equal(t, "95.00% (95 of 100)", evidence(r.Stage, "line coverage, critical paths").Value)
	assert.Equal(t, ">= 90%", evidence(r.Stage, "line coverage, model components").Want)
	assert.Equal(t, "50.00% (2 of 4)", evidence(r.Stage, "branch coverage").Value)
	assert.Equal(t, "Python 3.10, requirements/test.lock, locked by hash", evidence(r.Stage, "environment").Value)
	assert.Equal(t, 2, r.JUnit.Passed)
	assert.Equal(t, 110, r.Coverage.Totals().Lines)

	paths := map[string]string{}
	for _, f := range r.Stage.Files {
		paths[f.Path] = f.Local
	}
	content, err := os.ReadFile(paths["test/junit.xml"])
	require.NoError(t, err)
	assert.Equal(t, green()[".report/junit.xml"], string(content))
	assert.FileExists(t, paths["test/coverage.xml"])
	assert.FileExists(t, filepath.Join(paths["test/htmlcov"], "index.html"))
	assert.Contains(t, paths, "test/durations.json")
	assert.Len(t, paths, 4)
	titles := []string{}
	for _, b := range r.Stage.Blocks {
		titles = append(titles, b.Title)
	}
	assert.Equal(t, []string{"Tests by category", "Slowest tests", "Line coverage by package", "Coverage by file, tests not counted", "End of the test output"}, titles)
	assert.Equal(t, []string{"inference", "2", "2", "0", "0", "0", "0", "0", "1.00"}, r.Stage.Blocks[0].Table.Rows[0])
}

func TestRunSaysThatItIsAnsweredByAnEarlierOne(t *testing.T) {
	earlier := time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)
	fresh := answer(0, green())
	r := Run(t.Context(), fake.New().OnRun(func(step runner.Step) (*runner.Result, error) {
		result, err := fresh(step)
		if err == nil {
			result.Started = earlier
		}
		return result, err
	}), input(t))
	require.Equal(t, verdict.Pass, r.Stage.Verdict, "%+v", r.Stage.Problems)
	assert.Contains(t, evidence(r.Stage, verdict.Reused).Value, "2026-11-30 03:00:00 UTC")
	assert.Empty(t, evidence(judge(t, input(t), 0, green()).Stage, verdict.Reused).Value)
}

func TestRunFailsOnEvidence(t *testing.T) {
	killed := strings.Join(strings.Split(eventLines("tests/test_a.py::test_one", "tests/test_a.py::test_hang"), "\n")[:6], "\n") + "\n"
	for name, c := range map[string]struct {
		exit   int
		left   outputs
		adjust func(*Input, *runner.Result)
		want   []string
		cause  string
	}{
		"a failing test":     {1, green().with("junit.xml", suite(passing("a"), passing("b"), failingCase)), nil, []string{"TESTS_FAILED"}, "1 of 3 tests: tests/test_mlflow_x.py::test_bad (assert 1 == 2)"},
		"an errored test":    {1, green().with("junit.xml", suite(passing("a"), passing("b"), `<testcase name="e"><error message="m"/></testcase>`)), nil, []string{"TESTS_FAILED"}, "e (m)"},
		"no tests":           {5, green().with("junit.xml", suite()).with("events.jsonl", eventLines()), nil, []string{"NO_TESTS"}, "tests/ -v"},
		"a collection error": {2, green().with("junit.xml", suite(collectionCase)).without("coverage.xml", "htmlcov/index.html").with("events.jsonl", `{"event":"session"}`+"\n"+`{"event":"end","status":2}`+"\n"), nil, []string{"COLLECTION_ERROR"}, "tests/test_broken.py could not be loaded"},
		"a broken conftest": {4, outputs{}, func(_ *Input, r *runner.Result) {
			r.Stderr = "ImportError while loading conftest 'x'\nE   NameError: y"
		}, []string{"COLLECTION_ERROR"}, "NameError: y"},
		"a usage error": {4, outputs{}, func(_ *Input, r *runner.Result) {
			r.Stderr = "ERROR: usage: pytest\npytest: error: unrecognized arguments: --x"
		}, []string{"PYTEST_USAGE"}, "--x"},
		"another usage error": {4, outputs{}, func(_ *Input, r *runner.Result) { r.Stdout = "ERROR: file or directory not found: x" }, []string{"PYTEST_USAGE"}, "not found: x"},
		"a keyword that is no expression": {4, green().with("junit.xml", suite()), func(in *Input, r *runner.Result) {
			in.Keyword, r.Stderr = "a and (", "ERROR: Wrong expression passed to '-k': a and (: at column 8: expected not"
		}, []string{"PYTEST_USAGE"}, "Wrong expression passed to '-k': a and ("},
		"a test that is not there": {4, green().with("junit.xml", suite()), func(in *Input, r *runner.Result) {
			in.Paths, r.Stdout = []string{"tests/test_a.py::C"}, "ERROR: not found: /tmp/run/step/tests/test_a.py::C\n(no match in any of [<Module test_a.py>])"
		}, []string{"PYTEST_USAGE"}, "configuration: there is no tests/test_a.py::C"},
		"a marker that no test has": {5, green().with("junit.xml", suite()).with("events.jsonl", eventLines()), func(in *Input, _ *runner.Result) {
			in.Marker = "nope"
		}, []string{"NO_TESTS"}, `tests/ -v, by --marker "nope"`},
		"all skipped":      {0, green().with("junit.xml", suite(skippedCase)).with("events.jsonl", eventLines("a")), nil, []string{"ALL_SKIPPED"}, "none of 1 tests ran"},
		"too many skipped": {0, green().with("junit.xml", suite(skippedCase, passing("a"))), func(in *Input, _ *runner.Result) { in.Config.Test.MaxSkipped = 0 }, []string{"TOO_MANY_SKIPPED"}, "1 test was skipped, 0 may be"},
		"no report": {1, outputs{}, func(_ *Input, r *runner.Result) { r.Stdout = "TypeError: lineno missing\nhello" }, []string{"REPORT_MISSING"},
			"exit code 1 and left no junit.xml: TypeError: lineno missing"},
		"a truncated report": {0, green().with("junit.xml", "<testsuites><testsuite>"), nil, []string{"REPORT_MALFORMED"}, "byte 23"},
		"a killed run":       {137, green().without("junit.xml", "coverage.xml").with("events.jsonl", killed), nil, []string{"RUNNER_KILLED"}, "signal 9 (exit code 137) ended the test run while tests/test_a.py::test_hang ran (1 tests had ended before); it may have run out of memory"},
		"a crashed run":      {139, outputs{}, nil, []string{"RUNNER_KILLED"}, "signal 11"},
		"an internal error":  {3, outputs{}, nil, []string{"RUNNER_KILLED"}, "exit code 3"},
		"an internal error with a report": {3, green().with("junit.xml", suite(`<testcase classname="pytest" name="internal"><error message="internal error"/></testcase>`)),
			nil, []string{"RUNNER_KILLED"}, "exit code 3"},
		"an interrupted run":                         {2, green().without("coverage.xml"), nil, []string{"RUNNER_KILLED"}, "interrupted"},
		"a run that left with exit code 0 in a test": {0, outputs{".report/events.jsonl": killed}, nil, []string{"RUNNER_KILLED"}, "exit code 0 while tests/test_a.py::test_hang ran"},
		"a run out of time":                          {143, outputs{".report/events.jsonl": killed}, func(_ *Input, r *runner.Result) { r.TimedOut = true }, []string{"TIMEOUT"}, "within 10m0s: they were stopped while tests/test_a.py::test_hang ran"},
		"exit code 0 with a failing test":            {0, green().with("junit.xml", suite(passing("a"), failingCase)), nil, []string{"TESTS_FAILED", "REPORT_DISAGREES"}, "1 of 2"},
		"exit code 1 without a failing test":         {1, green(), nil, []string{"REPORT_DISAGREES"}, "the exit code is 1, the report holds no failure"},
		"exit code 5 with tests":                     {5, green(), nil, []string{"REPORT_DISAGREES"}, "no test ran, the report holds 2"},
		"a report that contradicts itself":           {0, green().with("junit.xml", `<testsuite name="s" tests="9">`+passing("a")+passing("b")+`</testsuite>`), nil, []string{"REPORT_DISAGREES"}, `"s" declares 9 tests and holds 2`},
		"a report that lacks a test":                 {0, green().with("junit.xml", suite(passing("a"))), nil, []string{"REPORT_DISAGREES"}, "2 tests ended, the report holds 1"},
		"a run that stopped early":                   {0, green().with("events.jsonl", strings.Replace(eventLines("a", "b"), `"tests":2`, `"tests":7`, 1)), nil, []string{"REPORT_DISAGREES"}, "7 tests were collected and 2 were started"},
		"a run without events":                       {0, green().without("events.jsonl"), nil, []string{"EVENTS_MISSING"}, "did not record its events to the end"},
		"events that are none":                       {0, green().with("events.jsonl", "x\n"+eventLines("a")), nil, []string{"EVENTS_MISSING"}, "read events: line 1"},
		"no coverage":                                {0, green().without("coverage.xml"), func(_ *Input, r *runner.Result) { r.Stderr = "x: CoverageWarning: No data was collected." }, []string{"COVERAGE_MISSING"}, "left no coverage.xml"},
		"nothing imported": {0, green().without("coverage.xml"), func(in *Input, r *runner.Result) {
			in.Config.Test.Coverage.Source = []string{"app"}
			r.Stderr = "x: CoverageWarning: Module app was never imported. (module-not-imported)"
		}, []string{"COVERAGE_MISSING"}, "no test imported app"},
		"broken coverage":              {0, green().with("coverage.xml", "<coverage>"), nil, []string{"COVERAGE_INVALID"}, "byte"},
		"coverage that is NaN":         {0, green().with("coverage.xml", `<coverage line-rate="NaN"/>`), nil, []string{"COVERAGE_INVALID"}, "NaN"},
		"coverage from before the run": {0, green().with("coverage.xml", `<coverage timestamp="1500000000000"/>`), nil, []string{"COVERAGE_INVALID"}, "older than the run"},
		"coverage just below the gate": {0, green().with("coverage.xml", covered("lstm/model.py 100 100", "main.py 1499 1900")), nil, []string{"COVERAGE_BELOW"}, "total: 79.95% of lines, the gate is 80%: 1599 of 2000 are covered"},
		"all gates missed":             {0, green().with("coverage.xml", covered("lstm/model.py 5 10")), func(in *Input, _ *runner.Result) { in.Config.Test.Coverage.Branch = 60 }, []string{"COVERAGE_BELOW", "COVERAGE_BELOW", "COVERAGE_BELOW", "COVERAGE_BELOW"}, "total: 50.00%"},
		"globs without files": {0, green(), func(in *Input, _ *runner.Result) {
			in.Config.Test.Coverage.Critical.Paths = []string{"gone/**", "lstm/**"}
		}, []string{"COVERAGE_EMPTY_SET"}, "critical paths: no measured file matches: gone/**"},
		"only tests were measured": {0, green().with("coverage.xml", covered("tests/test_x.py 1 1")), func(in *Input, _ *runner.Result) {
			in.Config.Test.Coverage.Critical.Paths, in.Config.Test.Coverage.Model.Paths = nil, nil
		}, []string{"COVERAGE_EMPTY_SET"}, "besides tests"},
		"only a module with the name of a test was measured": {0, green().with("coverage.xml", covered("lstm/test_core.py 1 1", "tests/x_test.py 1 1")), func(in *Input, _ *runner.Result) {
			in.Source = fake.Files(map[string]string{"main.py": "", "lstm/test_core.py": "", "tests/x_test.py": "", "tests/test_inference.py": "", "requirements/test.lock": "six==1 --hash=sha256:00\n"})
			in.Config.Test.Coverage.Critical.Paths, in.Config.Test.Coverage.Model.Paths = nil, nil
		}, []string{"COVERAGE_EMPTY_SET"}, "besides tests: by its name, lstm/test_core.py is one, though"},
		"a branch gate without branches":   {0, green().with("coverage.xml", `<coverage><class filename="lstm/model.py"><lines><line number="1" hits="1"/></lines></class></coverage>`), func(in *Input, _ *runner.Result) { in.Config.Test.Coverage.Branch = 1 }, []string{"COVERAGE_EMPTY_SET"}, "branches"},
		"failing tests and coverage below": {1, green().with("junit.xml", suite(passing("a"), failingCase)).with("coverage.xml", covered("lstm/model.py 96 100", "main.py 0 100")), nil, []string{"TESTS_FAILED", "COVERAGE_BELOW"}, "1 of 2"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t)
			ran := ranWith(c.exit, c.left)
			if c.adjust != nil {
				c.adjust(&in, ran)
			}
			r := Run(t.Context(), fake.New().OnRun(func(runner.Step) (*runner.Result, error) { return ran, nil }), in)
			assert.Equal(t, verdict.Fail, r.Stage.Verdict)
			assert.Equal(t, c.want, codes(r.Stage.Problems))
			assert.Contains(t, r.Stage.Cause, c.cause)
			assert.NotEmpty(t, r.Stage.Next)
			assert.NotEmpty(t, r.Stage.Evidence, "the report is complete in spite of the failure")
			assert.Positive(t, r.Stage.Seconds)
		})
	}
}

func TestASourceWithoutTestsIsToldToHaveSome(t *testing.T) {
	in := input(t)
	none := green().with("junit.xml", suite()).with("events.jsonl", eventLines())
	assert.NotContains(t, judge(t, in, 5, none).Stage.Next, "Write a test", "tests/test_inference.py is one by its name")
	in.Source = fake.Files(map[string]string{"main.py": "", "contest.py": ""})
	in.Config.Test.Coverage.Critical.Paths, in.Config.Test.Coverage.Model.Paths = nil, nil
	stage := judge(t, in, 5, none).Stage
	assert.Equal(t, "NO_TESTS", stage.Code)
	assert.Contains(t, stage.Cause, "no file of the source is named test_*.py or *_test.py")
	assert.Contains(t, stage.Next, "Write a test, such as tests/test_main.py")
}

func TestRunShowsFailures(t *testing.T) {
	r := judge(t, input(t), 1, green().with("junit.xml", suite(passing("a"), failingCase, collectionCase)))
	assert.Equal(t, []string{"COLLECTION_ERROR", "TESTS_FAILED"}, codes(r.Stage.Problems))
	assert.Equal(t, []string{"tests/test_mlflow_x.py::test_bad: assert 1 == 2", "    def test_bad():", "    E  assert 1 == 2", "    | printed here"}, r.Stage.Problems[1].Details)
	assert.Equal(t, `openstack-rca test --verbose --path "tests/test_mlflow_x.py::test_bad"`, r.Stage.Problems[1].Next)
	var table *verdict.Table
	for _, b := range r.Stage.Blocks {
		if b.Title == "Failures" {
			table = b.Table
		}
	}
	require.NotNil(t, table)
	assert.Equal(t, []string{"tests/test_mlflow_x.py::test_bad", "failed", "assert 1 == 2"}, table.Rows[1])
}

func TestRunShowsWhatAFailedSetUpPrinted(t *testing.T) {
	r := judge(t, input(t), 1, green().
		with("junit.xml", suite(passing("test_b"), `<testcase classname="tests.test_a" name="test_a" file="tests/test_a.py"><error message="failed on setup"/></testcase>`)).
		with("events.jsonl", `{"event":"start","id":"tests/test_a.py::test_a"}
{"event":"result","id":"tests/test_a.py::test_a","when":"setup","outcome":"failed","output":"error: no bucket\n"}
{"event":"finish","id":"tests/test_a.py::test_a"}
`))
	assert.Equal(t, []string{"tests/test_a.py::test_a: failed on setup", "    | error: no bucket"}, r.Stage.Problems[0].Details)
}

func TestRunSaysWhichFixtureIsMissing(t *testing.T) {
	r := judge(t, input(t), 1, green().
		with("junit.xml", suite(passing("test_b"), `<testcase classname="tests.test_a" name="test_a" file="tests/test_a.py"><error message="failed on setup with &quot;`+
			`file /src/tests/test_a.py, line 2&#10;  def test_a(mocker):&#10;E       fixture 'mocker' not found&#10;&gt;       available fixtures: cache"/></testcase>`)).
		with("events.jsonl", `{"event":"start","id":"tests/test_a.py::test_a"}
{"event":"result","id":"tests/test_a.py::test_a","when":"setup","outcome":"failed","output":""}
{"event":"finish","id":"tests/test_a.py::test_a"}
`))
	assert.Contains(t, r.Stage.Problems[0].Cause, "failed on setup: fixture 'mocker' not found")
}

func TestRunNamesManyFailuresBriefly(t *testing.T) {
	cases := []string{}
	for i := range 50 {
		cases = append(cases, fmt.Sprintf(`<testcase name="t%d"><failure message="m"/></testcase>`, i))
	}
	r := judge(t, input(t), 1, green().with("junit.xml", suite(cases...)))
	assert.Contains(t, r.Stage.Cause, "50 of 50 tests: t0 (m), t1 (m), t2 (m), and 47 more")
	assert.Equal(t, "and 30 more, in test/junit.xml", r.Stage.Problems[0].Details[shown])
}

func TestRunKeepsWhatAKilledRunDid(t *testing.T) {
	events := eventLines("tests/test_a.py::test_one", "tests/test_a.py::TestB::test_two[x::y]")
	events = strings.Join(strings.Split(events, "\n")[:6], "\n") + "\n{\"event\":\"sta"
	r := judge(t, input(t), 137, outputs{".report/events.jsonl": events})
	require.Len(t, r.Stage.Files, 1)
	assert.Equal(t, "test/junit-incomplete.xml", r.Stage.Files[0].Path)
	content, err := os.ReadFile(r.Stage.Files[0].Local)
	require.NoError(t, err)
	assert.Contains(t, string(content), `name="test_one"`)
	assert.Contains(t, string(content), "the run ended while this test was running")
	assert.Equal(t, "1", evidence(r.Stage, "tests that ended before the run did").Value)
}

// TestAnExpressionThatWorkersHide: pytest-xdist ends in an error of its own where pytest refuses one.
func TestAnExpressionThatWorkersHide(t *testing.T) {
	for workers, next := range map[string]string{"": "Look at the plugin or hook that raised it", "2": `Run it without --workers, which hides what pytest says of --keyword "a and ("`} {
		in := input(t)
		in.Keyword, in.Workers = "a and (", workers
		events := `{"event":"session"}` + "\n" + `{"event":"collected","tests":2}` + "\n" +
			`{"event":"error","type":"AssertionError","text":"('test_a', <WorkerController gw1>)"}` + "\n" + `{"event":"end","status":3,"stopped":true}` + "\n"
		r := Run(t.Context(), fake.New().OnRun(func(runner.Step) (*runner.Result, error) {
			internal := suite(`<testcase classname="pytest" name="internal"><error message="internal error"/></testcase>`)
			return fake.Result(3, green().with("junit.xml", internal).with("events.jsonl", events)), nil
		}), in)
		assert.Equal(t, "RUNNER_KILLED", r.Stage.Code)
		assert.Contains(t, r.Stage.Next, next)
		assert.Len(t, r.Stage.Problems, 1)
	}
}

func TestRunCouldNotRun(t *testing.T) {
	environment := &runner.EnvironmentError{Command: []string{"uv", "pip"}, Output: "no solution\n", Err: errors.New("exit code 1")}
	for name, c := range map[string]struct {
		err   error
		code  string
		cause string
	}{
		"a file of the source cannot be taken": {fmt.Errorf("export: %w", &runner.FileError{Path: "data/pipe", Err: errors.New("a pipe")}), "INTERNAL", "take data/pipe: a pipe"},
		"an installation fails":                {environment, "ENV_FAILED", `install packages with ["uv" "pip"]: exit code 1`},
		"the engine is gone":                   {errors.New("connection refused"), "INTERNAL", "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			r := Run(t.Context(), fake.New().OnRun(fake.Fail(c.err)), input(t))
			assert.Equal(t, verdict.CouldNotRun, r.Stage.Verdict)
			assert.Equal(t, c.code, r.Stage.Code)
			assert.Contains(t, r.Stage.Cause, c.cause)
			if c.code == "ENV_FAILED" {
				assert.Contains(t, r.Stage.Next, "Correct what the installer's last lines name in ")
			}
		})
	}
	odd := errors.Join(&runner.FileError{Path: ".report/htmlcov/pipe", Err: errors.New("it is a pipe")}, &runner.FileError{Path: ".report/x", Err: errors.New("it is a socket")})
	r := Run(t.Context(), fake.New().OnRun(fake.Fail(fmt.Errorf("collect outputs: %w", odd))), input(t))
	assert.Equal(t, verdict.Fail, r.Stage.Verdict, "the run's doing")
	assert.Equal(t, "OUTPUT_UNUSABLE", r.Stage.Code)
	assert.Contains(t, r.Stage.Cause, "the run left .report/htmlcov/pipe, which no report can hold: it is a pipe")

	r = Run(t.Context(), fake.New().OnRun(fake.Fail(environment)), input(t))
	assert.Equal(t, []string{"no solution"}, r.Stage.Problems[0].Details)

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("somebody pressed Ctrl-C"))
	r = Run(ctx, fake.New().OnRun(answer(0, green())), input(t))
	assert.Equal(t, "CANCELLED", r.Stage.Code)
	assert.Contains(t, r.Stage.Cause, "Ctrl-C")
}

func TestRunRefusesTheSource(t *testing.T) {
	for name, c := range map[string]struct {
		source runner.Files
		adjust func(*Input)
		code   string
	}{
		"no source":                      {nil, nil, "SRC_EMPTY"},
		"an empty source":                {fake.Files(nil), nil, "SRC_EMPTY"},
		"a source of no Python":          {fake.Files(map[string]string{"README.md": ""}), nil, "SRC_NOT_PYTHON"},
		"requirements that do not exist": {source(), func(in *Input) { in.Config.Test.Requirements = []string{"gone.txt"} }, "REQUIREMENTS_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t)
			in.Source = c.source
			if c.adjust != nil {
				c.adjust(&in)
			}
			runs := fake.New()
			r := Run(t.Context(), runs, in)
			assert.Equal(t, verdict.Fail, r.Stage.Verdict)
			assert.Equal(t, c.code, r.Stage.Code)
			assert.Empty(t, runs.Steps(), "nothing was run")
		})
	}
	in := input(t)
	in.Source = fake.Files(map[string]string{"../x.py": ""})
	assert.Equal(t, "INTERNAL", Run(t.Context(), fake.New(), in).Stage.Code)
}

// escaping are outputs with a link that leads out.
type escaping struct{ runner.Files }

func (e escaping) Filter([]string, []string) runner.Files { return e }
func (escaping) List(context.Context) ([]string, error)   { return nil, fs.ErrInvalid }

func TestRunRefusesOutputsThatCannotBeListed(t *testing.T) {
	ran := ranWith(0, nil)
	ran.Outputs = escaping{ran.Outputs}
	r := Run(t.Context(), fake.New().OnRun(func(runner.Step) (*runner.Result, error) { return ran, nil }), input(t))
	assert.Equal(t, "OUTPUT_UNUSABLE", r.Stage.Code)
	assert.Contains(t, r.Stage.Cause, "list what the run left")
}

// linking are outputs whose JUnit report arrives here as a link.
type linking struct{ runner.Files }

func (l linking) Filter([]string, []string) runner.Files { return l }
func (l linking) Sub(dir string) runner.Files            { return linking{l.Files.Sub(dir)} }
func (l linking) Export(ctx context.Context, dir string) error {
	report := filepath.Join(dir, "junit.xml")
	return errors.Join(l.Files.Export(ctx, dir), os.Remove(report), os.Symlink("/dev/null", report))
}

func TestRunRefusesAReportThatIsNoFile(t *testing.T) {
	ran := ranWith(0, green())
	ran.Outputs = linking{ran.Outputs}
	r := Run(t.Context(), fake.New().OnRun(func(runner.Step) (*runner.Result, error) { return ran, nil }), input(t))
	assert.Equal(t, "OUTPUT_UNUSABLE", r.Stage.Code)
	assert.Contains(t, r.Stage.Cause, "junit.xml: it is not a regular file")
}

func TestRunDescribesTheStep(t *testing.T) {
	in := input(t)
	in.Config.Test.Vars = map[string]string{"A": "1", "URI": "real"}
	in.ServiceVars = map[string]string{"URI": "http://{{mlflow}}"}
	in.Config.Test.Inputs.Exclude = []string{"notes.txt"}
	in.Fresh = "now"
	r := fake.New().OnRun(answer(0, green()))
	require.Equal(t, verdict.Pass, Run(t.Context(), r, in).Stage.Verdict)
	step := r.Steps()[0]
	assert.Equal(t, "python -m pytest tests/ -v -p openstack_rca_pytest --junitxml=.report/junit.xml -o junit_family=xunit1 -o junit_logging=all -o junit_log_passing_tests=false --cov=. --cov-branch "+
		"--cov-report=html:.report/htmlcov --cov-report=term --cov-fail-under=0", strings.Join(step.Args, " "))
	assert.Equal(t, map[string]string{"A": "1", "URI": "http://{{mlflow}}", "OPENSTACK_RCA_EVENTS": ".report/events.jsonl", "OPENSTACK_RCA_COVERAGE": ".report/coverage.xml",
		"OPENSTACK_RCA_SOURCES": "."}, step.Vars)
	assert.Equal(t, 10*time.Minute, step.Timeout)
	assert.Equal(t, "now", step.Fresh)
	assert.Empty(t, step.Secrets)
	assert.Equal(t, "3.10", step.Env.Python)
	assert.Equal(t, [][]string{
		{"uv", "pip", "install", "--require-hashes", "-r", "requirements/test.lock"},
		{"python", "openstack_rca_tools.py", "pytest==9.2.0", "coverage==7.16.2", "pytest-cov==7.1.0"},
	}, step.Env.Install)
	files, err := step.Env.Files.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"requirements/test.lock"}, files)
	files, err = step.Env.Last.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"openstack_rca_collect.py", "openstack_rca_coverage.py", "openstack_rca_merge.py", "openstack_rca_pytest.py",
		"openstack_rca_select.py", "openstack_rca_tools.py"}, files)
	inputs, err := r.Inputs(t.Context(), 0)
	require.NoError(t, err)
	for _, seen := range []string{"tests/test_inference.py", "README.md"} {
		assert.Contains(t, inputs, seen)
	}
	for _, unseen := range []string{".report/junit.xml", "notes.txt"} {
		assert.NotContains(t, inputs, unseen)
	}
}

func TestRunAdaptsTheCommand(t *testing.T) {
	const options = " -p openstack_rca_pytest"
	packaged := map[string]string{"pyproject.toml": "[build-system]\n[project]\nname = \"a\"\n", "src/a/__init__.py": "", "test/test_a.py": "", "tests-more/test_b.py": ""}
	for name, c := range map[string]struct {
		files  map[string]string
		adjust func(*Input)
		args   string
		end    string
		vars   map[string]string
	}{
		"tests/ gives way where there is no such folder": {packaged, nil, "python -m pytest -v" + options, "", map[string]string{"OPENSTACK_RCA_COVERAGE": ".report/coverage.xml"}},
		"tests/ gives way to testpaths of the project": {map[string]string{"pytest.ini": "[pytest]\ntestpaths = spec tests\n", "spec/test_a.py": "", "tests/test_b.py": ""},
			nil, "python -m pytest -v" + options, "", nil},
		"not to testpaths that are not there": {map[string]string{"pytest.ini": "[pytest]\ntestpaths = spec tests\n", "tests/test_b.py": ""},
			nil, "python -m pytest tests/ -v" + options, "", nil},
		"paths replace those of the command": {map[string]string{"tests/test_a.py": "", "tests/test_b.py": ""},
			func(in *Input) { in.Paths = []string{"tests/test_b.py::test_x"} }, "python -m pytest -v" + options, "tests/test_b.py::test_x", nil},
		"keyword and marker select": {map[string]string{"tests/test_a.py": ""},
			func(in *Input) { in.Keyword, in.Marker = "not slow", "inference" }, "python -m pytest tests/ -v" + options, "-k not slow -m inference", nil},
		"a command that only runs pytest gets the options by the environment": {map[string]string{"run.py": ""},
			func(in *Input) { in.Config.Test.Command = []string{"python", "run.py"}; in.Keyword = "it's" }, "python run.py", "python run.py",
			map[string]string{"PYTEST_ADDOPTS": `'-k' 'it'"'"'s'`}},
		"a missing path of one's own command is pytest's to refuse": {map[string]string{"a.py": ""},
			func(in *Input) { in.Config.Test.Command = []string{"pytest", "spec/"} }, "pytest spec/" + options, "", nil},
		"PYTHONPATH of the configuration is kept": {packaged,
			func(in *Input) { in.Config.Test.Vars = map[string]string{"PYTHONPATH": "lib"} }, "", "", map[string]string{"PYTHONPATH": "lib"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t)
			in.Source = fake.Files(c.files)
			if c.adjust != nil {
				c.adjust(&in)
			}
			r := fake.New().OnRun(answer(0, green()))
			Run(t.Context(), r, in)
			step := r.Steps()[len(r.Steps())-1]
			args := strings.Join(step.Args, " ")
			assert.True(t, strings.HasPrefix(args, c.args), args)
			assert.True(t, strings.HasSuffix(args, c.end), args)
			for name, value := range c.vars {
				assert.Contains(t, step.Vars[name], value, name)
			}
			if c.files["pyproject.toml"] != "" {
				assert.Equal(t, []string{"src", ".openstack-rca/project/site"}, step.PythonPath)
			}
		})
	}
}

func TestRunAddsXdistOnlyWhereTheCommandUsesIt(t *testing.T) {
	for command, want := range map[string]bool{"pytest -n auto": true, "pytest -n4": true, "pytest --numprocesses=2": true, "pytest --dist=load": true, "pytest -v": false, "pytest --no-header": false} {
		assert.Equal(t, want, usesXdist(strings.Fields(command)), command)
	}
	assert.Contains(t, tools([]string{"pytest"}, "", "3.10"), "coverage==7.16.2", "7.17 needs Python 3.11")
	assert.Contains(t, tools([]string{"pytest"}, "", "3.13"), "coverage==7.17.3")
	assert.Contains(t, tools([]string{"pytest", "-n", "2"}, "", "3.11"), "pytest-xdist==3.8.0")
}

func TestRunBuildsThePackage(t *testing.T) {
	in := input(t)
	in.Source = fake.Files(map[string]string{"pyproject.toml": "[build-system]\n[project]\nname = \"a\"\nversion = \"1\"\n", "lib/a/__init__.py": "", "test_a.py": ""})
	built := fake.Files(map[string]string{
		".openstack-rca/project/project.json":       `{"projects":[{"dir":".","name":"a","version":"1","roots":["lib"]}]}`,
		".openstack-rca/project/source/lib/a/_v.py": "V = 1",
		".openstack-rca/project/site/a.dist-info/X": "",
		".openstack-rca/project/bin/a":              "",
	})
	r := fake.New().OnRun(func(runner.Step) (*runner.Result, error) { return &runner.Result{Outputs: built}, nil }).OnRun(answer(0, green()))
	result := Run(t.Context(), r, in)
	require.Len(t, r.Steps(), 2)
	assert.Equal(t, "build", r.Steps()[0].Name)
	tests := r.Steps()[1]
	assert.Equal(t, []string{"lib", ".openstack-rca/project/site"}, tests.PythonPath)
	assert.Equal(t, []string{".openstack-rca/project/bin"}, tests.Path)
	inputs, err := r.Inputs(t.Context(), 1)
	require.NoError(t, err)
	assert.Contains(t, inputs, "lib/a/_v.py")
	assert.Equal(t, "a 1", evidence(result.Stage, "built from the source").Value)

	in.Config.Test.Build = "always"
	failed := fake.New().OnRun(answer(1, nil))
	assert.Equal(t, "PROJECT_BUILD_FAILED", Run(t.Context(), failed, in).Stage.Code)
}

func TestAFloorThatNobodyChoseMayBeginLower(t *testing.T) {
	low := func() outputs { return green().with("coverage.xml", covered("lstm/model.py 95 100", "main.py 45 100")) }
	in := input(t)
	next := judge(t, in, 0, low()).Stage.Next
	assert.Contains(t, next, "write test.coverage.total: 70 into pipeline.yaml")
	failed := judge(t, in, 1, low().with("junit.xml", suite(passing("a"), failingCase)))
	require.Len(t, failed.Stage.Problems, 2)
	assert.NotContains(t, failed.Stage.Problems[1].Next, "write test.coverage.total", "the failed test covers more")
	in.Config.FloorSet = true
	assert.NotContains(t, judge(t, in, 0, low()).Stage.Next, "write test.coverage.total: 70", "a gate that somebody chose is not lowered")

	in.Config.FloorSet = false
	none := green().with("coverage.xml", covered("lstm/model.py 0 100", "main.py 1 200"))
	assert.NotContains(t, judge(t, in, 0, none).Stage.Next, "write test.coverage.total", "a floor of 0 is none")
}

func TestRunHoldsNoGateForASelection(t *testing.T) {
	in := input(t)
	in.Keyword = "one"
	r := judge(t, in, 0, green().with("coverage.xml", covered("lstm/model.py 5 100")))
	assert.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Equal(t, []string{"SELECTION"}, codes(r.Stage.Warnings))
	assert.Contains(t, evidence(r.Stage, "line coverage").Value, "not applied: a selection of the tests ran")
}

func TestRunWarns(t *testing.T) {
	for name, c := range map[string]struct {
		adjust func(*Input)
		left   outputs
		want   []string
	}{
		"of gates without globs": {func(in *Input) {
			in.Config.Test.Coverage.Critical.Paths, in.Config.Test.Coverage.Model.Paths = nil, nil
		}, green(), []string{"GATE_UNSET"}},
		"of an empty category": {func(in *Input) {
			in.Config.Test.Categories = []config.Category{{Name: "gone", Paths: []string{"gone/**"}}}
		}, green(), []string{"CATEGORY_EMPTY"}},
		"of tools that were added":                                     {nil, green().with("events.jsonl", strings.Replace(eventLines("a", "b"), `"added":[]`, `"added":["pytest==9.2.0"]`, 1)), []string{"TOOLS_ADDED"}},
		"of a run without events of a command that only starts pytest": {func(in *Input) { in.Config.Test.Command = []string{"make", "test"} }, green().without("events.jsonl"), []string{"EVENTS_MISSING"}},
		"of a drop":                {func(in *Input) { in.Baseline, in.Tolerance = baseline(t, covered("lstm/model.py 100 100")), 9 }, green(), []string{"COVERAGE_DROPPED"}},
		"of no drop in tolerance":  {func(in *Input) { in.Baseline, in.Tolerance = baseline(t, covered("lstm/model.py 100 100")), 10 }, green(), []string{}},
		"of a broken baseline":     {func(in *Input) { in.Baseline = baseline(t, "<x/>") }, green(), []string{"BASELINE_INVALID"}},
		"of an empty baseline":     {func(in *Input) { in.Baseline = baseline(t, "<coverage/>") }, green(), []string{"BASELINE_INVALID"}},
		"of a stricter fail_under": {nil, green().with("coverage-kept-out.json", `{"settings":[".coveragerc.toml"],"fail_under":99}`), []string{"FAIL_UNDER_REPLACED"}},
		"of pytest-cov's own floor": {func(in *Input) {
			in.Source = fake.Files(map[string]string{"pytest.ini": "[pytest]\naddopts = --cov-fail-under=99\n", "requirements/test.lock": "a==1 --hash=sha256:0", "lstm/model.py": "", "tests/test_a.py": ""})
		}, green().with("coverage-kept-out.json", `{"fail_under":50}`), []string{"FAIL_UNDER_REPLACED"}},
		"of no gate at all":       {func(in *Input) { in.Config.Test.Coverage = config.Coverage{Source: []string{"."}} }, green(), []string{"GATES_NONE"}},
		"of critical paths alone": {func(in *Input) { in.Config.Test.Coverage.Total = 0 }, green(), []string{"GATE_UNSET"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t)
			if c.adjust != nil {
				c.adjust(&in)
			}
			r := judge(t, in, 0, c.left)
			assert.Equal(t, verdict.Pass, r.Stage.Verdict, "%+v", r.Stage.Problems)
			assert.Equal(t, c.want, codes(r.Stage.Warnings), "%+v", r.Stage.Warnings)
		})
	}
}

// baseline is a file with an earlier report.
func baseline(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "coverage.xml")
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

func TestRunBindsServices(t *testing.T) {
	in := input(t)
	in.Needs = []runner.Service{{Name: "mlflow"}}
	in.Services = map[string]*runner.Running{"s3": {Name: "s3"}}
	r := fake.New().OnRun(answer(0, green()))
	require.Equal(t, verdict.Pass, Run(t.Context(), r, in).Stage.Verdict)
	assert.Equal(t, in.Needs, r.Steps()[0].Needs)
	assert.Equal(t, in.Services, r.Steps()[0].Services)

	r = fake.New().OnRun(fake.Fail(&runner.StartError{Service: "s3", Logs: "address in use\n", Err: errors.New("it ended")}))
	got := Run(t.Context(), r, in).Stage
	assert.Equal(t, verdict.CouldNotRun, got.Verdict)
	assert.Equal(t, "SERVICE_FAILED", got.Code)
	assert.Equal(t, []string{"address in use"}, got.Problems[0].Details)
}

func TestRunBelievesNoReportThatTheEventsContradict(t *testing.T) {
	left := green()
	failed := left.with("events.jsonl", strings.Replace(left[".report/events.jsonl"], `"outcome":"passed"`, `"outcome":"failed"`, 1))
	r := judge(t, input(t), 0, failed)
	assert.Equal(t, []string{"REPORT_DISAGREES"}, codes(r.Stage.Problems))
	assert.Contains(t, r.Stage.Cause, "1 tests failed while they ran, the report holds 0")
	left = green()
	status := left.with("events.jsonl", strings.Replace(left[".report/events.jsonl"], `"status":0`, `"status":1`, 1))
	r = judge(t, input(t), 0, status)
	assert.Equal(t, []string{"REPORT_DISAGREES"}, codes(r.Stage.Problems))
	assert.Contains(t, r.Stage.Cause, "pytest ended with status 1")
}

func TestRunReadsNoReportAboveTheLimit(t *testing.T) {
	limit := maxReportBytes
	t.Cleanup(func() { maxReportBytes = limit })
	maxReportBytes = 10
	r := judge(t, input(t), 0, green())
	assert.Equal(t, []string{"REPORT_MALFORMED", "COVERAGE_INVALID"}, codes(r.Stage.Problems))
	assert.Contains(t, r.Stage.Cause, "10 are allowed")
	for _, f := range r.Stage.Files {
		assert.NotContains(t, []string{"test/junit.xml", "test/coverage.xml"}, f.Path)
	}
	left, err := filepath.Glob(filepath.Join(r.Scratch, "*", "*.xml"))
	require.NoError(t, err)
	assert.Empty(t, left, "what is too large is not even brought here")
}

func TestRunMakesAScratchDirectory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	in := input(t)
	in.Scratch = ""
	r := judge(t, in, 0, green())
	assert.DirExists(t, r.Scratch)
	in.Scratch = filepath.Join(t.TempDir(), "gone")
	r = judge(t, in, 0, green())
	assert.Equal(t, "INTERNAL", r.Stage.Code)
}

func TestRunCutsLongTables(t *testing.T) {
	files := []string{"lstm/model.py 100 100"}
	for i := range 300 {
		files = append(files, fmt.Sprintf("pkg%d/m.py 9 10", i))
	}
	r := judge(t, input(t), 0, green().with("coverage.xml", covered(files...)))
	for _, b := range r.Stage.Blocks {
		if b.Bars != nil {
			assert.Len(t, b.Bars.Labels, maxBars)
		}
		if strings.HasPrefix(b.Title, "Coverage by file") {
			assert.Len(t, b.Table.Rows, maxRows+2)
		}
	}
	long := clipList(strings.Repeat("12, ", 100))
	assert.LessOrEqual(t, len(long), 125)
	assert.True(t, strings.HasSuffix(long, ", …"), long)
}

func TestReadEventsIsBounded(t *testing.T) {
	_, err := readEvents(strings.NewReader(`{"event":"` + strings.Repeat("x", maxEventLine) + `"}`))
	require.Error(t, err)
	long := "tests/test_a.py::test_b[" + strings.Repeat("x", 10<<20) + "]"
	e, err := readEvents(strings.NewReader(`{"event":"start","id":"` + long + `"}` + "\n" + `{"event":"finish","id":"` + long + `"}` + "\n"))
	require.NoError(t, err, "a parameter of ten megabytes")
	assert.Equal(t, 1, e.finished())
	assert.Less(t, len(e.order[0]), 1200)
	e, err = readEvents(strings.NewReader(`{"event":"result","id":"a","when":"setup","outcome":"failed","text":"one\ntwo"}` + "\n" +
		`{"event":"finish","id":"a"}` + "\n" + `{"event":"unknown"}` + "\n"))
	require.NoError(t, err)
	cases := e.cases()
	require.Len(t, cases, 1)
	assert.Equal(t, "errored: two", string(cases[0].Outcome)+": "+cases[0].Message)
}

func TestCodesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Codes() {
		assert.NotEmpty(t, c.Meaning, c.Name)
		assert.NotEmpty(t, c.Remedy, c.Name)
		assert.Equal(t, verdict.Test, c.Stage, c.Name)
		assert.False(t, seen[c.Name], "%s is declared twice", c.Name)
		seen[c.Name] = true
	}
}
