package testrun

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// shardOf is what a shard leaves that ran the named tests of tests/test_inference.py.
func shardOf(total int, names ...string) outputs {
	var cases, ids []string
	for _, name := range names {
		cases = append(cases, passing(name))
		ids = append(ids, "tests/test_inference.py::"+name)
	}
	return outputs{
		".report/junit.xml":      suite(cases...),
		".report/events.jsonl":   eventLines(ids...),
		".report/coverage.data":  "data",
		".report/selection.json": fmt.Sprintf(`{"shard":{"files":{"tests/test_inference.py":[%d,%d]},"ignored":[]}}`, total, len(names)),
	}
}

// sharded answers the steps of a run in two shards and of the union of their coverage.
func sharded(shards map[int]outputs, exits map[int]int) *fake.Runner {
	return fake.New().OnRun(func(step runner.Step) (*runner.Result, error) {
		if step.Name == "coverage of all shards" {
			return ranWith(0, map[string]string{".report/coverage.xml": covered("lstm/model.py 95 100"), ".report/htmlcov/index.html": ""}), nil
		}
		var n int
		_, err := fmt.Sscanf(step.Name, "pytest, shard %d", &n)
		return ranWith(exits[n], shards[n]), err
	})
}

func TestRunUnitesShards(t *testing.T) {
	in := input(t)
	in.Shards = 2
	r := sharded(map[int]outputs{1: shardOf(3, "test_a", "test_b"), 2: shardOf(3, "test_c")}, nil)
	got := Run(t.Context(), r, in)
	require.Equal(t, verdict.Pass, got.Stage.Verdict, "%+v", got.Stage.Problems)
	assert.Equal(t, 3, got.JUnit.Passed)
	assert.Equal(t, "2", evidence(got.Stage, "shards").Value)
	assert.Equal(t, 100, got.Coverage.Totals().Lines)
	steps := r.Steps()
	require.Len(t, steps, 3)
	for _, step := range steps[:2] {
		assert.Contains(t, strings.Join(step.Args, " "), "--cov-branch --cov-report= --cov-fail-under=0")
		assert.Equal(t, ".report/coverage.data", step.Vars["COVERAGE_FILE"])
	}
	told, err := r.Inputs(t.Context(), 2)
	require.NoError(t, err)
	assert.Equal(t, "data", told[".openstack-rca/1/coverage.data"])
	assert.Contains(t, told[".openstack-rca/merge.json"], `"parts":[".openstack-rca/0/coverage.data",".openstack-rca/1/coverage.data"]`)
	control, err := r.Inputs(t.Context(), 0)
	require.NoError(t, err)
	assert.Contains(t, control[".openstack-rca/control.json"], `"of":2,"durations":{}`)
}

func TestRunFailsOnShards(t *testing.T) {
	good := shardOf(3, "test_c")
	for name, c := range map[string]struct {
		first outputs
		exit  int
		want  []string
		cause string
	}{
		"a test that no shard ran":               {shardOf(3, "test_a"), 0, []string{"REPORT_DISAGREES"}, "tests/test_inference.py has 3 tests, the shards ran 2"},
		"shards that disagree":                   {shardOf(2, "test_a", "test_b"), 0, []string{"REPORT_DISAGREES"}, "shards disagree about tests/test_inference.py"},
		"a file that every shard left to others": {shardOf(3, "test_a", "test_b").with("selection.json", `{"shard":{"files":{"tests/test_inference.py":[3,2]},"ignored":["tests/test_lost.py"]}}`), 0, []string{"REPORT_DISAGREES"}, "tests/test_lost.py was loaded by no shard"},
		"a shard without selection":              {shardOf(3, "test_a", "test_b").without("selection.json"), 0, []string{"REPORT_DISAGREES"}, "shard 1 of 2 did not tell"},
		"a killed shard":                         {shardOf(3).without("junit.xml", "coverage.data"), 137, []string{"RUNNER_KILLED"}, "shard 1 of 2: signal 9"},
		"a shard without report":                 {outputs{}, 1, []string{"REPORT_MISSING", "REPORT_DISAGREES", "COVERAGE_MISSING"}, "exit code 1"},
		"a broken report":                        {shardOf(3, "test_a", "test_b").with("junit.xml", "<testsuites>"), 0, []string{"REPORT_MALFORMED"}, "shard 1 of 2: "},
		"a broken selection":                     {shardOf(3, "test_a", "test_b").with("selection.json", "{"), 0, []string{"REPORT_MALFORMED", "REPORT_DISAGREES"}, "what was selected"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t)
			in.Shards = 2
			got := Run(t.Context(), sharded(map[int]outputs{1: c.first, 2: good}, map[int]int{1: c.exit}), in)
			assert.Equal(t, verdict.Fail, got.Stage.Verdict)
			assert.Subset(t, append(codes(got.Stage.Problems), "COVERAGE_MISSING"), c.want)
			assert.Contains(t, got.Stage.Cause, c.cause)
		})
	}
}

func TestRunLetsAShardHaveNothingToDo(t *testing.T) {
	in := input(t)
	in.Shards = 2
	got := Run(t.Context(), sharded(map[int]outputs{1: shardOf(1, "test_a"), 2: shardOf(1)}, map[int]int{2: 5}), in)
	assert.Equal(t, verdict.Pass, got.Stage.Verdict, "%+v", got.Stage.Problems)
}

func TestRunSaysWhenCoverageCannotBeUnited(t *testing.T) {
	in := input(t)
	in.Shards = 2
	two := sharded(map[int]outputs{1: shardOf(2, "test_a"), 2: shardOf(2, "test_b")}, nil)
	r := fake.New().OnRun(func(step runner.Step) (*runner.Result, error) {
		if step.Name == "coverage of all shards" {
			broken := ranWith(1, nil)
			broken.Stderr = "coverage.exceptions.DataError: no data"
			return broken, nil
		}
		return two.Run(t.Context(), step)
	})
	got := Run(t.Context(), r, in)
	assert.Equal(t, []string{"COVERAGE_INVALID"}, codes(got.Stage.Problems))
	assert.Contains(t, got.Stage.Cause, "no data")
	got = Run(t.Context(), fake.New().OnRun(fake.Fail(&runner.EnvironmentError{Err: errors.New("no network")})), in)
	assert.Equal(t, "ENV_FAILED", got.Stage.Code)
}

// reported is a file of the report.
func reported(t *testing.T, of *Result, path string) string {
	t.Helper()
	for _, f := range of.Stage.Files {
		if f.Path == path {
			content, err := os.ReadFile(f.Local)
			require.NoError(t, err)
			return string(content)
		}
	}
	require.Fail(t, "the report has no "+path)
	return ""
}

func TestRunRunsFailuresAgain(t *testing.T) {
	failed := green().with("junit.xml", suite(passing("a"), failingCase)).
		with("events.jsonl", eventLines("tests/test_inference.py::a", "tests/test_mlflow_x.py::test_bad"))
	again := func(element string) outputs {
		return outputs{".report/junit.xml": suite(element), ".report/events.jsonl": eventLines("tests/test_mlflow_x.py::test_bad")}
	}
	passes := `<testcase classname="tests.test_mlflow_x" name="test_bad" file="tests/test_mlflow_x.py" time="0.1"/>`
	in := input(t)
	in.Reruns = 2
	r := fake.New().OnRun(answer(1, failed)).OnRun(answer(1, again(failingCase))).OnRun(answer(0, again(passes)))
	got := Run(t.Context(), r, in)
	require.Equal(t, verdict.Pass, got.Stage.Verdict, "%+v", got.Stage.Problems)
	assert.Equal(t, []string{"FLAKY_TESTS"}, codes(got.Stage.Warnings))
	assert.Contains(t, got.Stage.Warnings[0].Cause, "tests/test_mlflow_x.py::test_bad")
	assert.Equal(t, "2: 1 passed, 1 flaky", evidence(got.Stage, "tests").Value)
	steps := r.Steps()
	require.Len(t, steps, 3)
	assert.NotEqual(t, steps[1].Fresh, steps[2].Fresh, "no attempt is answered from a cache")
	assert.True(t, strings.HasSuffix(strings.Join(steps[1].Args, " "), "--no-cov tests/test_mlflow_x.py::test_bad"), steps[1].Args)
	assert.Contains(t, reported(t, got, "test/junit.xml"), "<flakyFailure")

	r = fake.New().OnRun(answer(1, failed)).OnRun(answer(1, again(failingCase)))
	got = Run(t.Context(), r, in)
	assert.Equal(t, "TESTS_FAILED", got.Stage.Code)
	assert.Len(t, r.Steps(), 3)

	r = fake.New().OnRun(answer(1, failed)).OnRun(answer(137, outputs{}))
	assert.Equal(t, "TESTS_FAILED", Run(t.Context(), r, in).Stage.Code, "an attempt that was killed is none that passed")
	in.Reruns = 0
	r = fake.New().OnRun(answer(1, failed))
	assert.Equal(t, "TESTS_FAILED", Run(t.Context(), r, in).Stage.Code)
	assert.Len(t, r.Steps(), 1)
}

// What pytest-rerunfailures and subtests leave: a failed element of the first attempt in a run that passed.
func TestRunMarksWhatAPluginRanAgain(t *testing.T) {
	const id = "tests/test_mlflow_x.py::test_bad"
	result := func(outcome string, part bool) string {
		return fmt.Sprintf(`{"event":"result","id":%q,"when":"call","outcome":%q,"part":%t}`+"\n", id, outcome, part)
	}
	start := fmt.Sprintf(`{"event":"start","id":%q}`+"\n", id)
	events := `{"event":"session","pytest":"9.2.0","added":[]}` + "\n" + `{"event":"collected","tests":1}` + "\n" +
		start + result("failed", true) + result("rerun", false) + start + result("passed", true) + result("passed", false) +
		fmt.Sprintf(`{"event":"finish","id":%q}`, id) + "\n" + `{"event":"end","status":0}` + "\n"
	passes := `<testcase classname="tests.test_mlflow_x" name="test_bad" file="tests/test_mlflow_x.py" time="0.1"/>`
	got := Run(t.Context(), fake.New().OnRun(answer(0, green().with("junit.xml", suite(failingCase, passes)).with("events.jsonl", events))), input(t))
	require.Equal(t, verdict.Pass, got.Stage.Verdict, "%+v", got.Stage.Problems)
	assert.Equal(t, []string{"FLAKY_TESTS"}, codes(got.Stage.Warnings))
	assert.Equal(t, "1: 0 passed, 1 flaky", evidence(got.Stage, "tests").Value)
	report := reported(t, got, "test/junit.xml")
	assert.Contains(t, report, "<flakyFailure")
	assert.NotContains(t, report, "<failure")
}

func TestRunDoesNotRunABrokenSuiteAgain(t *testing.T) {
	var cases []string
	for i := range maxReruns + 1 {
		cases = append(cases, fmt.Sprintf(`<testcase name="t%d" file="a.py"><failure message="m"/></testcase>`, i))
	}
	in := input(t)
	in.Reruns = 1
	r := fake.New().OnRun(answer(1, green().with("junit.xml", suite(cases...))))
	got := Run(t.Context(), r, in)
	assert.Equal(t, "TESTS_FAILED", got.Stage.Code)
	assert.Len(t, r.Steps(), 1)
	assert.Contains(t, evidence(got.Stage, "run again").Value, "51 tests failed, up to 50")
}

func TestRunSelectsByChanges(t *testing.T) {
	in := input(t)
	in.Config.Test.Inputs.Exclude = []string{"*.md", "docs/**"}
	in.Changes = &Changes{Since: "main", Changed: []string{"README.md", "lstm/model.py", "tests/test_inference.py"}, Removed: []string{"docs/a.md", "gone.py"}}
	left := green().with("selection.json", `{"changes":{"files":1,"of":3,"everything":""}}`).with("coverage.xml", covered("lstm/model.py 5 100"))
	r := fake.New().OnRun(answer(0, left))
	got := Run(t.Context(), r, in)
	require.Equal(t, verdict.Pass, got.Stage.Verdict, "%+v", got.Stage.Problems)
	assert.Equal(t, []string{"SELECTION"}, codes(got.Stage.Warnings))
	assert.Contains(t, got.Stage.Warnings[0].Cause, "1 of 3 test files: those that by their imports can reach what changed since main")
	told, err := r.Inputs(t.Context(), 0)
	require.NoError(t, err)
	assert.JSONEq(t, `{"changes":{"changed":["lstm/model.py","tests/test_inference.py"],"removed":["gone.py"]}}`, told[".openstack-rca/control.json"])
	var uncovered *verdict.Block
	for i, b := range got.Stage.Blocks {
		if strings.HasPrefix(b.Title, "Uncovered lines") {
			uncovered = &got.Stage.Blocks[i]
		}
	}
	require.NotNil(t, uncovered)
	assert.True(t, uncovered.Summary)
	assert.Equal(t, []string{"lstm/model.py", "100", "95", "5.00%", "6-100"}, uncovered.Table.Rows[0])

	// Everything ran: the gates are held.
	left = green().with("selection.json", `{"changes":{"files":3,"of":3,"everything":"conftest.txt changed"}}`)
	got = Run(t.Context(), fake.New().OnRun(answer(0, left)), in)
	assert.Equal(t, []string{"CHANGES_UNKNOWN"}, codes(got.Stage.Warnings))
	assert.Equal(t, ">= 80%", evidence(got.Stage, "line coverage").Want)

	in.Changes = &Changes{Since: "main", Unknown: "no history"}
	r = fake.New().OnRun(answer(0, green()))
	got = Run(t.Context(), r, in)
	assert.Equal(t, []string{"CHANGES_UNKNOWN"}, codes(got.Stage.Warnings))
	assert.Empty(t, r.Steps()[0].Vars["OPENSTACK_RCA_CONTROL"])
	in.Changes, in.Full = &Changes{Since: "main", Changed: []string{"main.py"}}, true
	r = fake.New().OnRun(answer(0, green()))
	assert.Empty(t, Run(t.Context(), r, in).Stage.Warnings)
	assert.Empty(t, r.Steps()[0].Vars["OPENSTACK_RCA_CONTROL"])
}

func TestRunSelectsACategory(t *testing.T) {
	in := input(t)
	in.Category = "inference"
	r := fake.New().OnRun(answer(0, green()))
	Run(t.Context(), r, in)
	args := strings.Join(r.Steps()[0].Args, " ")
	assert.True(t, strings.HasPrefix(args, "python -m pytest -v") && strings.HasSuffix(args, " tests/test_inference.py"), args)

	in.Config.Test.Categories = []config.Category{{Name: "slow", Marker: "slow"}}
	in.Category, in.Marker = "slow", "not gpu"
	r = fake.New().OnRun(answer(0, green()))
	Run(t.Context(), r, in)
	assert.Contains(t, strings.Join(r.Steps()[0].Args, " "), "-m (not gpu) and (slow)")

	in.Config.Test.Categories = []config.Category{{Name: "slow", Paths: []string{"gone/**"}}}
	got := Run(t.Context(), fake.New(), in)
	assert.Equal(t, "NO_TESTS", got.Stage.Code, "an empty category is no reason to run everything")
}

func TestRunSelectsACategoryByItsFilesOrItsMark(t *testing.T) {
	in := input(t)
	in.Config.Test.Categories = []config.Category{{Name: "other", Paths: []string{"tests/**"}}, {Name: "api", Paths: []string{"tests/test_inference.py"}, Marker: "api"}}
	in.Category = "api"
	r := fake.New().OnRun(answer(0, green()))
	got := Run(t.Context(), r, in)
	step := r.Steps()[0]
	assert.NotContains(t, strings.Join(step.Args, " "), "test_inference.py", "a test of any file may have the mark")
	require.Equal(t, ".openstack-rca/control.json", step.Vars["OPENSTACK_RCA_CONTROL"])
	told, err := step.Inputs[1].Files.Read(t.Context(), "control.json", 1<<20)
	require.NoError(t, err)
	assert.JSONEq(t, `{"category":{"files":["tests/test_inference.py"],"marker":"api"}}`, string(told))
	assert.Equal(t, "api", got.Stage.Blocks[0].Table.Rows[0][0], "what was asked for comes first, and takes its tests before others do")

	// Files of a category and files by --path: those that are both.
	in.Config.Test.Categories[1].Marker = ""
	in.Paths = []string{"tests"}
	r = fake.New().OnRun(answer(0, green()))
	Run(t.Context(), r, in)
	step = r.Steps()[0]
	assert.Equal(t, "tests", step.Args[len(step.Args)-1])
	told, err = step.Inputs[1].Files.Read(t.Context(), "control.json", 1<<20)
	require.NoError(t, err)
	assert.JSONEq(t, `{"category":{"files":["tests/test_inference.py"],"marker":""}}`, string(told))
}

func TestRunCountsCategoriesByMark(t *testing.T) {
	in := input(t)
	in.Config.Test.Categories = []config.Category{{Name: "slow", Marker: "slow"}}
	left := green()
	left = left.with("events.jsonl", strings.Replace(left[".report/events.jsonl"], `"outcome":"passed"`, `"outcome":"passed","markers":["slow"]`, 1))
	got := judge(t, in, 0, left)
	assert.Equal(t, "slow", got.Stage.Blocks[0].Table.Rows[0][0])
	assert.Equal(t, "1", got.Stage.Blocks[0].Table.Rows[0][1])
	assert.Equal(t, []string{"other", "1"}, got.Stage.Blocks[0].Table.Rows[1][:2])
}

func TestRunRefusesArgumentsAllAtOnce(t *testing.T) {
	in := input(t)
	in.Shards, in.Reruns, in.Workers, in.Tolerance, in.Category = 65, -1, "many", 101, "gone"
	r := fake.New()
	got := Run(t.Context(), r, in)
	assert.Equal(t, []string{"TEST_ARGUMENT", "TEST_ARGUMENT", "TEST_ARGUMENT", "TEST_ARGUMENT", "TEST_ARGUMENT"}, codes(got.Stage.Problems))
	assert.Empty(t, r.Steps())
	for workers, good := range map[string]bool{"1": true, "auto": true, "logical": true, "0": false, "-2": false, "2x": false, "257": false} {
		in := input(t)
		in.Workers = workers
		assert.Equal(t, good, len(in.check()) == 0, workers)
	}
	// A path outside of the source would collect tests that are no part of what is judged.
	for path, good := range map[string]bool{
		"tests": true, ".": true, "tests/../tests/test_a.py": true, "tests/test_a.py::test_b[../x]": true,
		"../": false, "tests/../../x": false, "/etc": false, "": false, "../x.py::test_b": false, "--collect-only": false,
	} {
		in := input(t)
		in.Paths = []string{path}
		assert.Equal(t, good, len(in.check()) == 0, path)
	}
}

func TestRunSharesTestsAmongWorkers(t *testing.T) {
	in := input(t)
	in.Workers = "auto"
	r := fake.New().OnRun(answer(0, green()))
	Run(t.Context(), r, in)
	assert.Contains(t, strings.Join(r.Steps()[0].Args, " "), "-n auto")
	assert.Contains(t, r.Steps()[0].Env.Install[len(r.Steps()[0].Env.Install)-1], "pytest-xdist==3.8.0")
}

func TestDurations(t *testing.T) {
	write := func(content string) Input {
		in := input(t)
		in.Durations = filepath.Join(t.TempDir(), "durations")
		require.NoError(t, os.WriteFile(in.Durations, []byte(content), 0o600))
		return in
	}
	found, err := readDurations(t.Context(), write(suite(passing("a"), skippedCase, collectionCase)))
	require.NoError(t, err)
	assert.Equal(t, map[string]float64{"tests/test_inference.py::a": 0.5, "tests/test_a.py::test_s": 0}, found)
	found, err = readDurations(t.Context(), write(`{"a.py::b": 2}`))
	require.NoError(t, err)
	assert.Equal(t, map[string]float64{"a.py::b": 2}, found)
	for _, wrong := range []string{"", "{", "<x/>", `{"a": -1}`, `{"a": 1e9}`, `{"a": "b"}`} {
		in := write(wrong)
		_, err := readDurations(t.Context(), in)
		require.Error(t, err, wrong)
		in.Shards = 2
		got := Run(t.Context(), sharded(map[int]outputs{1: shardOf(2, "test_a"), 2: shardOf(2, "test_b")}, nil), in)
		assert.Equal(t, []string{"DURATIONS_UNUSED"}, codes(got.Stage.Warnings))
	}
	in := input(t)
	in.Source = fake.Files(map[string]string{".test_durations": `{"a.py::b": 2}`})
	found, err = readDurations(t.Context(), in)
	require.NoError(t, err)
	assert.Len(t, found, 1)
	in.Durations = "/nowhere"
	_, err = readDurations(t.Context(), in)
	require.Error(t, err)

	many := map[string]float64{}
	for i := range maxDurations + 1 {
		many[fmt.Sprintf("a.py::t%d", i)] = 1
	}
	assert.Equal(t, map[string]float64{"a.py": maxDurations + 1}, compact(many))

	got := judge(t, input(t), 0, green())
	for _, f := range got.Stage.Files {
		if f.Path == "test/durations.json" {
			var recorded map[string]float64
			require.NoError(t, json.Unmarshal(f.Content, &recorded))
			assert.Equal(t, map[string]float64{"tests/test_inference.py::test_a": 0.5, "tests/test_inference.py::test_b": 0.5}, recorded)
		}
	}
}

func TestRunMatrix(t *testing.T) {
	in := input(t)
	r := fake.New().OnRun(func(step runner.Step) (*runner.Result, error) {
		if step.Env.Python == "3.12" {
			return ranWith(1, green().with("junit.xml", suite(passing("a"), failingCase))), nil
		}
		return ranWith(0, green()), nil
	})
	stage := RunMatrix(t.Context(), r, in, []string{"3.11", "3.12"})
	assert.Equal(t, "TESTS_FAILED", stage.Code)
	assert.True(t, strings.HasPrefix(stage.Cause, "Python 3.12: 1 of 2 tests"), stage.Cause)
	assert.Equal(t, "2: 2 passed", evidence(stage, "Python 3.11, tests").Value)
	assert.Equal(t, [][]string{{"3.11", "pass"}, {"3.12", "fail TESTS_FAILED"}}, [][]string{stage.Blocks[0].Table.Rows[0][:2], stage.Blocks[0].Table.Rows[1][:2]})
	paths := []string{}
	for _, f := range stage.Files {
		paths = append(paths, f.Path)
	}
	assert.Contains(t, paths, "test/python3.11/junit.xml")
	assert.Contains(t, paths, "test/python3.12/coverage.xml")

	stage = RunMatrix(t.Context(), r, in, []string{"3.12"})
	assert.Equal(t, "TESTS_FAILED", stage.Code)
	assert.Equal(t, "3.12", r.Steps()[2].Env.Python)
	assert.Equal(t, verdict.Pass, RunMatrix(t.Context(), r, in, nil).Verdict)
}

func TestEachTestIsASpan(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)))
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	judge(t, input(t), 1, green().with("junit.xml", suite(passing("a"), failingCase, skippedCase)))
	found := map[string]string{}
	for _, span := range recorder.Ended() {
		for _, a := range span.Attributes() {
			if a.Key == attrStatus {
				found[span.Name()] = a.Value.AsString() + " " + span.Status().Description
			}
		}
		assert.True(t, span.EndTime().After(span.StartTime()), span.Name())
	}
	assert.Equal(t, map[string]string{
		"a": "success ", "tests/test_inference.py": "success ",
		"test_bad": "failure assert 1 == 2", "tests/test_mlflow_x.py": "failure tests of this file failed",
		"test_s": "skipped ", "tests/test_a.py": "success ",
	}, found)
	s := &spans{sent: maxSpans}
	s.add(junit.Case{Name: "a", Outcome: junit.Passed})
	assert.Empty(t, s.order, "beyond the bound only failures are sent")
}
