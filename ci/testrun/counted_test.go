package testrun

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// collected adds test modules to events.
func collected(events string, modules ...string) string {
	var b strings.Builder
	for _, name := range modules {
		fmt.Fprintf(&b, `{"event":"module","file":%q}`+"\n", name)
	}
	return b.String() + events
}

func TestAGateCountsWhatWasMeasuredAndNotTests(t *testing.T) {
	// A JUnit report names the application's file for a doctest, and wherever else a test's code lies.
	named := suite(passing("test_b"), `<testcase classname="main" name="main.f" file="main.py"/>`)
	for name, c := range map[string]struct {
		modules, critical, omit []string
		covered                 string
		total, gate             string
	}{
		"a module with a doctest":                        {nil, []string{"app/**"}, nil, "main.py 1 4", "1 of 4", ""},
		"a module that is named like a test and is none": {nil, []string{"lstm/**"}, nil, "app/ab_test.py 1 4", "1 of 4", ""},
		"a test module, wherever it is":                  {[]string{"app/ab_test.py"}, nil, nil, "app/ab_test.py 4 4,app/a.py 1 2", "1 of 2", ""},
		"tests within the paths of a gate":               {[]string{"app/tests/test_a.py"}, []string{"app/**"}, nil, "app/tests/test_a.py 9 9,app/a.py 1 2", "1 of 2", "1 of 2"},
		"an application's module that holds tests":       {[]string{"app/a.py"}, []string{"app/**"}, nil, "app/a.py 1 2,app/b.py 2 2", "3 of 4", "3 of 4"},
		"the same where no gate names it":                {[]string{"app/a.py"}, nil, nil, "app/a.py 1 2,app/b.py 2 2", "2 of 2", ""},
		"a gate that names a test by its path":           {[]string{"app/test_a.py"}, []string{"app/test_a.py"}, nil, "app/test_a.py 1 2,app/b.py 2 2", "3 of 4", "1 of 2"},
		"a default glob alone takes nothing from a gate": {nil, []string{"app/**"}, nil, "app/test_bench.py 1 4,app/b.py 2 2", "3 of 6", "3 of 6"},
		"what pipeline.yaml omits":                       {nil, []string{"app/**"}, []string{"app/gen/**"}, "app/gen/a.py 1 4,app/b.py 2 2", "2 of 2", "2 of 2"},
		"but not what a gate names by its path":          {nil, []string{"app/gen/a.py"}, []string{"app/gen/**"}, "app/gen/a.py 1 4,app/b.py 2 2", "3 of 6", "1 of 4"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t)
			in.Config.Test.Coverage = config.Coverage{Source: []string{"."}, Total: 1, Omit: append(c.omit, config.Default().Test.Coverage.Omit...)}
			if c.gate != "" {
				in.Config.Test.Coverage.Critical = config.Floor{Paths: c.critical, Min: 1}
			}
			events := collected(eventLines("tests/test_inference.py::test_b", "main.py::main.f"), c.modules...)
			r := judge(t, in, 0, green().with("junit.xml", named).with("events.jsonl", events).with("coverage.xml", covered(strings.Split(c.covered, ",")...)))
			require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Cause)
			assert.Contains(t, evidence(r.Stage, "line coverage").Value, "("+c.total+")")
			if c.gate != "" {
				assert.Contains(t, evidence(r.Stage, "line coverage, critical paths").Value, "("+c.gate+")")
			}
		})
	}
}

func TestWhatIsNotCountedIsListed(t *testing.T) {
	r := judge(t, input(t), 0, green().
		with("events.jsonl", collected(eventLines("tests/test_inference.py::test_a", "tests/test_inference.py::test_b"), "check/check_a.py")).
		with("coverage.xml", covered("lstm/model.py 95 100", "tests/helper.py 1 3", "check/check_a.py 4 5")).
		with("coverage-kept-out.json", `{}`))
	assert.Equal(t, "8 in 2 files", evidence(r.Stage, "lines of test files, left out of the totals").Value)
	last := r.Stage.Blocks[len(r.Stage.Blocks)-2]
	assert.Equal(t, "Files that coverage leaves out of its totals", last.Title)
	assert.Equal(t, [][]string{{"check/check_a.py", "5", "1", "pytest collected tests from it"}, {"tests/helper.py", "3", "2", "test.coverage.omit"}}, last.Table.Rows)
	require.Equal(t, []string{"COVERAGE_NARROWED"}, codes(r.Stage.Warnings), "a name that only the project's settings make a test's")
	assert.Contains(t, r.Stage.Warnings[0].Cause, "check/check_a.py (5 lines)")
}

func TestTheRemedyOfNoLinesIsTheSettingThatLeavesThemOut(t *testing.T) {
	for _, kept := range []string{`{"unmeasured":{"main.py":{"lines":64,"why":"run:omit"}}}`, `{"excluded":{"main.py":{"lines":7}}}`} {
		in := input(t)
		in.Config.Test.Coverage.Critical.Paths, in.Config.Test.Coverage.Model.Paths = nil, nil
		r := judge(t, in, 0, green().with("coverage.xml", covered("tests/test_x.py 1 1")).with("coverage-kept-out.json", kept))
		assert.Equal(t, "COVERAGE_EMPTY_SET", r.Stage.Code)
		assert.Contains(t, r.Stage.Next, "Solve COVERAGE_NARROWED first")
	}
}

func TestCoverageThatTheProjectNarrows(t *testing.T) {
	files := map[string]string{"main.py": "", "lstm/model.py": "", "lstm/old.py": "", "app/a.py": "", "app/b.py": "", "scripts/x.py": "", "tests/test_inference.py": "", "requirements/test.lock": "six==1 --hash=sha256:00\n"}
	for name, c := range map[string]struct {
		kept     string
		adjust   func(*Input)
		code     string
		warnings []string
		says     string
	}{
		"nothing": {`{"unmeasured":{},"excluded":{}}`, nil, "", []string{}, ""},
		"omit": {`{"settings":[".coveragerc"],"unmeasured":{"app/a.py":{"lines":64,"why":"run:omit"}}}`, nil, "", []string{"COVERAGE_NARROWED"},
			"not in the report: app/a.py (64 lines) (omit); coverage.py's settings are in .coveragerc"},
		"include":        {`{"unmeasured":{"app/a.py":{"lines":1,"why":"report:include"}}}`, nil, "", []string{"COVERAGE_NARROWED"}, "app/a.py (1 line) (include)"},
		"never imported": {`{"settings":["setup.cfg"],"unmeasured":{"scripts/x.py":{"lines":2,"why":""}}}`, nil, "", []string{"COVERAGE_NARROWED"}, "does not look into folders without __init__.py"},
		"cannot be read": {`{"unmeasured":{"app/b.py":{"lines":0,"why":"it cannot be parsed"}}}`, nil, "", []string{"COVERAGE_NARROWED"}, "app/b.py (it cannot be parsed)"},
		"lines":          {`{"excluded":{"app/a.py":{"lines":500,"branches":2},"app/b.py":{"lines":1}}}`, nil, "", []string{"COVERAGE_NARROWED"}, "501 lines of 2 files excluded by comments or settings; 2 branching lines count as taken"},
		"a version that cannot tell": {`{"version":"9.1","excluded":{},"unknown":"AttributeError: no_branch"}`, nil, "", []string{"COVERAGE_NARROWED"},
			"what comments and settings exclude cannot be counted with coverage.py 9.1 (AttributeError: no_branch)"},
		"lines of tests":  {`{"excluded":{"tests/test_inference.py":{"lines":5}},"unmeasured":{"tests/a.py":{"lines":5}}}`, nil, "", []string{}, ""},
		"not in source":   {`{"unmeasured":{"app/a.py":{"lines":64,"why":"run:omit"}}}`, func(in *Input) { in.Config.Test.Coverage.Source = []string{"lstm"} }, "", []string{}, ""},
		"omitted as told": {`{"unmeasured":{"app/a.py":{"lines":64,"why":"run:omit"}}}`, func(in *Input) { in.Config.Test.Coverage.Omit = []string{"app/a.py"} }, "", []string{}, ""},
		"made by a test":  {`{"unmeasured":{"app/made.py":{"lines":64,"why":""}}}`, nil, "", []string{}, ""},
		"named by a gate": {`{"unmeasured":{"lstm/old.py":{"lines":64,"why":"run:omit"}}}`, nil, "COVERAGE_NARROWED", []string{"COVERAGE_NARROWED"}, ""},
		"named, in a selection": {`{"unmeasured":{"lstm/old.py":{"lines":64,"why":""}}}`, func(in *Input) { in.Keyword = "a" }, "",
			[]string{"SELECTION", "COVERAGE_NARROWED"}, ""},
		"no JSON": {`{`, nil, "COVERAGE_INVALID", []string{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t)
			in.Source = fake.Files(files)
			if c.adjust != nil {
				c.adjust(&in)
			}
			r := judge(t, in, 0, green().with("coverage-kept-out.json", c.kept))
			assert.Equal(t, c.code, r.Stage.Code, r.Stage.Cause)
			assert.Equal(t, c.warnings, codes(r.Stage.Warnings))
			if c.says != "" {
				assert.Contains(t, r.Stage.Warnings[0].Cause, c.says)
				assert.Equal(t, name == "omit", strings.Contains(r.Stage.Warnings[0].Cause, "settings are in"), "only where settings are the cause")
			}
		})
	}
}

func TestAPackageThatIsMeasuredByItsNameIsWatchedWhereverItLies(t *testing.T) {
	p := &plan{sources: []string{"kit", "lib.core", "tool", "app"}, names: []string{"app/a.py"}, built: &pyenv.Built{PythonPath: []string{"packages/one"}}}
	for _, name := range []string{"kit/a.py", "src/kit/sub/a.py", "packages/one/kit/a.py", "src/lib/core/a.py", "tool.py", "app/a.py"} {
		assert.True(t, p.under(name), name)
	}
	for _, name := range []string{"lib/a.py", "kitchen/a.py", "examples/kit/a.py", "src/app/a.py"} {
		assert.False(t, p.under(name), name)
	}
}

// coverage.py reads the files after the tests: one that they made shorter would have fewer lines to cover.
func TestAFileThatTheTestsChangeIsNotMeasured(t *testing.T) {
	p := &plan{in: input(t), sources: []string{"app"}, built: &pyenv.Built{}}
	result := &Result{}
	j := &coverageJudge{Result: result, plan: p, counting: &counting{floors: p.in.Config.Test.Coverage}}
	j.judgeAltered([]string{"tests/test_a.py", "setup.py", "app/test_b.py"})
	assert.Empty(t, result.problems, "none of them counts")
	j.judgeAltered([]string{"app/core.py", "app/core.py"})
	require.Len(t, result.problems, 1)
	assert.Equal(t, "COVERAGE_INVALID", result.problems[0].Code.Name)
	assert.Contains(t, result.problems[0].Cause, "app/core.py was changed or removed while the tests ran")
}

// Lines that a test writes to run them would raise every share.
func TestAFileThatTheTestsMakeDoesNotCount(t *testing.T) {
	with := green().with("coverage.xml", covered("lstm/model.py 100 100", "main.py 0 100", "lstm/made.py 9000 9000"))
	r := judge(t, input(t), 0, with)
	require.Equal(t, verdict.Fail, r.Stage.Verdict)
	assert.Equal(t, "COVERAGE_BELOW", r.Stage.Code)
	assert.Contains(t, r.Stage.Cause, "total: 50.00% of lines")
	assert.Equal(t, []string{"COVERAGE_NARROWED"}, codes(r.Stage.Warnings))
	assert.Contains(t, r.Stage.Warnings[0].Cause, "made while the tests ran, so left out of the totals: lstm/made.py (9000 lines)")
}

func TestAFileOfTheBuildIsARemark(t *testing.T) {
	stage := &verdict.Stage{}
	made := &coverage.Report{Files: []*coverage.File{{Path: "src/a/_version.py"}, {Path: "src/a/made.py"}}}
	(&counting{generated: []string{"src/a/_version.py"}}).warnMade(stage, made)
	require.Len(t, stage.Warnings, 2)
	assert.True(t, stage.Warnings[0].Remark)
	assert.Contains(t, stage.Warnings[0].Cause, "made by the project's build, so left out of the totals: src/a/_version.py")
	assert.Contains(t, stage.Warnings[1].Cause, "made while the tests ran, so left out of the totals: src/a/made.py")
}

func TestTheRemedyIsForWhatIsMissing(t *testing.T) {
	assert.Empty(t, narrowedNext(false, false, false))
	assert.NotContains(t, narrowedNext(false, false, true), "leaves the file out")
	assert.Contains(t, narrowedNext(false, false, true), "pragma: no cover")
	assert.True(t, strings.HasPrefix(narrowedNext(true, true, true), "Remove the setting"))
	assert.NotContains(t, narrowedNext(true, false, false), "__init__.py")
}

func TestARemedyIsForTheFirstFault(t *testing.T) {
	below := covered("lstm/model.py 96 100", "main.py 0 100")
	r := judge(t, input(t), 2, green().with("junit.xml", suite(passing("a"), collectionCase)).with("coverage.xml", below).
		with("events.jsonl", eventLines("tests/test_inference.py::a")))
	require.Equal(t, []string{"COLLECTION_ERROR", "COVERAGE_BELOW"}, codes(r.Stage.Problems))
	assert.Equal(t, "Solve COLLECTION_ERROR first: the tests that did not run cover nothing", r.Stage.Problems[1].Next)
	assert.Empty(t, r.Stage.Problems[1].Details)
	r = judge(t, input(t), 1, green().with("junit.xml", suite(passing("a"), failingCase)).with("coverage.xml", below).
		with("events.jsonl", eventLines("tests/test_inference.py::a")))
	require.Equal(t, []string{"TESTS_FAILED", "COVERAGE_BELOW"}, codes(r.Stage.Problems))
	assert.Contains(t, r.Stage.Problems[1].Next, "Solve TESTS_FAILED first")

	for said, want := range map[string]string{
		"pluggy._manager.PluginValidationError: Plugin 'flake8' for hook 'pytest_collect_file'\n":       "The plugin flake8 does not fit the pytest",
		"pluggy._manager.PluginValidationError: unknown hook 'pytest_warning_captured' in plugin <x>\n": "does not fit the pytest that is installed",
		"INTERNALERROR> TypeError: x\n": "Look at the plugin or hook that raised it",
	} {
		r := Run(t.Context(), fake.New().OnRun(func(runner.Step) (*runner.Result, error) {
			ran := ranWith(3, outputs{})
			ran.Stdout = said
			return ran, nil
		}), input(t))
		assert.Equal(t, "RUNNER_KILLED", r.Stage.Code)
		assert.Contains(t, r.Stage.Next, want, said)
	}
}

func TestMorePagesThanAnybodyReadsAreLeft(t *testing.T) {
	p := &part{}
	for i := range maxPages + 1 {
		p.files = append(p.files, fmt.Sprintf("%s/%d.html", htmlDir, i))
	}
	result := &Result{}
	p.readCoverage(result)
	require.Len(t, result.Stage.Warnings, 1)
	assert.Equal(t, "REPORT_FILE", result.Stage.Warnings[0].Code)
	assert.Empty(t, result.Stage.Files)
}
