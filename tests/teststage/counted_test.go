package teststage

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/testrun"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// pricing has 11 lines: 2 that its doctest covers, and 9 of report, which nothing runs.
const pricing = "def net(price):\n    \"\"\"\n    >>> net(100)\n    81\n    \"\"\"\n    return price * 81 // 100\n\n\ndef report(rows):\n    total = 0\n    for row in rows:\n" +
	"        if row > 10:\n            total += row\n        else:\n            total -= row\n    if total:\n        return 'high'\n    return 'low'\n"

// store is a project with one module that its tests cover, and one that they do not.
func store() project {
	return project{
		"requirements-test.txt": "pytest\npytest-cov\npytest-xdist\n",
		"svc/__init__.py":       "",
		"svc/util.py":           "def double(x):\n    return 2 * x\n",
		"svc/pricing.py":        pricing,
		"tests/test_util.py":    "from svc.util import double\n\ndef test_double():\n    assert double(2) == 4\n",
	}
}

func warning(r *testrun.Result, code verdict.Code) string {
	for _, w := range r.Stage.Warnings {
		if w.Code == code.Name {
			return w.Cause
		}
	}
	return ""
}

// Whatever a JUnit report names as the file of a test, coverage counts what coverage.py measured.
func TestNoModuleOfTheApplicationLeavesTheTotal(t *testing.T) {
	decorated := "def timed(function):\n    def run():\n        function()\n    return run\n\n\n" + pricing
	// By hand: svc/pricing.py has 11 statements, svc/util.py 2, the decorator 4.
	for name, c := range map[string]struct {
		files  project
		lines  int
		adjust func(*testrun.Input)
	}{
		"doctests":               {project{"pytest.ini": "[pytest]\naddopts = --doctest-modules\n"}, 13, nil},
		"doctests, in workers":   {project{"pytest.ini": "[pytest]\naddopts = --doctest-modules\n"}, 13, func(in *testrun.Input) { in.Workers = "2" }},
		"doctests, in shards":    {project{"pytest.ini": "[pytest]\naddopts = --doctest-modules\n"}, 13, func(in *testrun.Input) { in.Shards = 2 }},
		"doctests of named file": {project{"pytest.ini": "[pytest]\naddopts = --doctest-modules svc/pricing.py\n"}, 13, nil},
		"a decorator": {project{"svc/timing.py": decorated,
			"tests/test_util.py": "from svc.timing import timed\nfrom svc.util import double\n\n\n@timed\ndef test_double():\n    assert double(2) == 4\n"}, 28, nil},
		"a base class": {project{"svc/base.py": "class Base:\n    def test_base(self): assert 1\n\n    def more(self):\n        return 1\n",
			"tests/test_util.py": "from svc.base import Base\nfrom svc.util import double\n\nclass TestIt(Base):\n    def test_double(self): assert double(2) == 4\n"}, 17, nil},
		"an attribute": {project{"tests/test_util.py": "from svc.util import double\n\ndef test_double(record_xml_attribute):\n    record_xml_attribute('file', 'svc/pricing.py')\n    assert double(2) == 4\n"}, 13, nil},
		"tests in modules": {project{"pytest.ini": "[pytest]\npython_files = *.py\n", "svc/util.py": "def double(x):\n    return 2 * x\n\ndef test_it(): assert double(1) == 2\n"}, 14, func(in *testrun.Input) {
			in.Config.Test.Command = []string{"pytest"}
		}},
		"tests beside modules": {project{"svc/util_test.py": "def test_it(): pass\n"}, 13, func(in *testrun.Input) { in.Config.Test.Command = []string{"pytest"} }},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, store().with(c.files), func(_ runner.Runner, in *testrun.Input) {
				in.Config.Test.Coverage.Total = 80
				if c.adjust != nil {
					c.adjust(in)
				}
			})
			assert.Equal(t, "COVERAGE_BELOW", r.Stage.Code, r.Stage.Cause)
			assert.Equal(t, c.lines, r.Coverage.Totals().Lines)
			assert.True(t, slices.ContainsFunc(r.Stage.Evidence, func(e verdict.Evidence) bool {
				return e.Name == "lines of test files, left out of the totals"
			}))
		})
	}
}

func TestNamesDoNotDependOnTheSeedOfHashes(t *testing.T) {
	for seed := range 6 {
		r := run(t, store().with(project{"pytest.ini": "[pytest]\naddopts = --cov=svc --cov=tests\n", "svc/tests/__init__.py": "A = 1\n"}), func(_ runner.Runner, in *testrun.Input) {
			in.Config.Test.Vars = map[string]string{"PYTHONHASHSEED": fmt.Sprint(seed)}
			in.Config.Test.Coverage.Critical = config.Floor{Paths: []string{"svc/util.py"}, Min: 100}
		})
		require.Equal(t, verdict.Pass, r.Stage.Verdict, "seed %d: %s", seed, r.Stage.Cause)
		assert.Equal(t, 14, r.Coverage.Totals().Lines)
	}
}

func TestWhatTheProjectKeepsOutOfCoverageIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		files  project
		says   []string
		adjust func(*testrun.Input)
	}{
		"omit in .coveragerc":              {project{".coveragerc": "[run]\nomit = svc/pricing.py\n"}, []string{"svc/pricing.py (11 lines) (omit)", ".coveragerc"}, nil},
		"omit in setup.cfg":                {project{"setup.cfg": "[coverage:report]\nomit = */pricing.py\n"}, []string{"svc/pricing.py (11 lines) (omit)", "setup.cfg"}, nil},
		"include in tox.ini":               {project{"tox.ini": "[coverage:report]\ninclude = svc/util.py\n"}, []string{"svc/pricing.py (11 lines) (include)"}, nil},
		"exclude_also":                     {project{"pyproject.toml": "[tool.coverage.report]\nexclude_also = ['def report']\n"}, []string{"9 lines of 1 file excluded", "pyproject.toml"}, nil},
		"exclude_also in .coveragerc.toml": {project{".coveragerc.toml": "[tool.coverage.report]\nexclude_also = ['def report']\n"}, []string{"9 lines of 1 file excluded", ".coveragerc.toml"}, nil},
		"pragmas":                          {project{"svc/pricing.py": strings.ReplaceAll(pricing, "report(rows):", "report(rows):  # pragma: no cover")}, []string{"9 lines of 1 file excluded"}, nil},
		"pragmas, in workers": {project{"svc/pricing.py": strings.ReplaceAll(pricing, "report(rows):", "report(rows):  # pragma: no cover")}, []string{"9 lines of 1 file excluded"},
			func(in *testrun.Input) { in.Workers = "2" }},
		"pragmas, in shards": {project{"svc/pricing.py": strings.ReplaceAll(pricing, "report(rows):", "report(rows):  # pragma: no cover")}, []string{"9 lines of 1 file excluded"},
			func(in *testrun.Input) { in.Shards = 2 }},
		"branches": {project{"svc/pricing.py": strings.ReplaceAll(pricing, "if total:", "if total:  # pragma: no branch")}, []string{"1 branching line counts as taken"}, nil},
		"a folder without __init__.py, which counts": {project{"svc/jobs/nightly.py": "A = 1\nB = 2\n"}, nil, nil},
		"a rule of coverage.py's own":                {project{"svc/util.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import svc.pricing\n\ndef double(x):\n    return 2 * x\n"}, nil, nil},
		"a coverage.py without its private interface": {project{"svc/pricing.py": strings.ReplaceAll(pricing, "report(rows):", "report(rows):  # pragma: no cover"),
			"tests/conftest.py": `import sys
import coverage

whole = coverage.Coverage._analyze

def analyze(self, *names, **more):
    if sys._getframe(1).f_globals["__name__"] == "openstack_rca_coverage":
        raise AttributeError("_analyze")
    return whole(self, *names, **more)

coverage.Coverage._analyze = analyze
`}, []string{"cannot be counted with coverage.py 7.", "(AttributeError: _analyze)"}, nil},
		"nothing": {nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, store().with(c.files), func(_ runner.Runner, in *testrun.Input) {
				if c.adjust != nil {
					c.adjust(in)
				}
			})
			require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Cause)
			if told := warning(r, testrun.CoverageNarrowed); len(c.says) == 0 {
				assert.Empty(t, told)
			} else {
				for _, say := range c.says {
					assert.Contains(t, told, say)
				}
			}
		})
	}
	r := run(t, store().with(project{".coveragerc": "[run]\nomit = svc/pricing.py\n"}), func(_ runner.Runner, in *testrun.Input) {
		in.Config.Test.Coverage.Critical = config.Floor{Paths: []string{"svc/**"}, Min: 50}
	})
	assert.Equal(t, "COVERAGE_NARROWED", r.Stage.Code, r.Stage.Cause)
}

func TestTheProjectsOwnFloorIsFoundWhereverItIs(t *testing.T) {
	for file, content := range map[string]string{
		".coveragerc": "[report]\nfail_under = 99\n", ".coveragerc.toml": "[tool.coverage.report]\nfail_under = 99\n", "setup.cfg": "[coverage:report]\nfail_under=99\n",
		"tox.ini": "[coverage:report]\nfail_under = 99\n", "pyproject.toml": "[tool.coverage.report]\nfail_under = 99\n",
	} {
		r := run(t, store().with(project{file: content}), nil)
		assert.Contains(t, warning(r, verdict.Code{Name: "FAIL_UNDER_REPLACED"}), "fail_under = 99 in "+file)
	}
}

func TestTestsThatTheProjectLeavesOutAreTold(t *testing.T) {
	bad := project{"tests/test_bad.py": "import pytest\n\ndef test_bad(): assert 0\n\n@pytest.mark.slow\ndef test_slow(): assert 0\n", "tests/old/test_old.py": "def test_old(): assert 0\n"}
	ini := func(addopts string) string { return "[pytest]\nmarkers = slow\naddopts = " + addopts + "\n" }
	removing := "def pytest_collection_modifyitems(items):\n    items[:] = [i for i in items if i.name == 'test_double']\n"
	for name, c := range map[string]struct {
		files  project
		adjust func(*testrun.Input)
		says   string
	}{
		"--deselect":            {project{"pytest.ini": ini("--deselect tests/test_bad.py --ignore tests/old")}, nil, "2 tests are deselected, 1 test file is ignored"},
		"-k":                    {project{"pytest.ini": ini("-k 'not bad and not slow and not old'")}, nil, "3 tests are deselected: tests/old/test_old.py::test_old"},
		"-k, in workers":        {project{"pytest.ini": ini("-k 'not bad and not slow and not old'")}, func(in *testrun.Input) { in.Workers = "2" }, "3 tests are deselected"},
		"-m":                    {project{"pytest.ini": ini("-m 'not slow' --deselect tests/test_bad.py::test_bad --ignore-glob '*/old/*'")}, nil, "2 tests are deselected, 1 test file is ignored"},
		"collect_ignore":        {project{"tests/conftest.py": "collect_ignore = ['test_bad.py', 'old']\n"}, nil, "2 test files are ignored: tests/old/test_old.py, tests/test_bad.py"},
		"collect_ignore_glob":   {project{"tests/conftest.py": "collect_ignore_glob = ['*bad.py', 'old/*']\n"}, func(in *testrun.Input) { in.Workers = "2" }, "2 test files are ignored"},
		"norecursedirs":         {project{"pytest.ini": "[pytest]\nnorecursedirs = old\naddopts = --deselect tests/test_bad.py\n"}, nil, "2 tests are deselected, 1 test file is ignored"},
		"a hook":                {project{"tests/conftest.py": removing}, nil, "3 tests are taken from the list by a hook"},
		"a hook, in workers":    {project{"tests/conftest.py": removing}, func(in *testrun.Input) { in.Workers = "2" }, "3 tests are taken from the list by a hook"},
		"a hook, in two shards": {project{"tests/conftest.py": removing}, func(in *testrun.Input) { in.Shards = 2 }, "3 tests are taken from the list by a hook"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, store().with(bad).with(c.files), func(_ runner.Runner, in *testrun.Input) {
				if c.adjust != nil {
					c.adjust(in)
				}
			})
			require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Cause)
			assert.Contains(t, warning(r, testrun.TestsDeselected), c.says)
		})
	}
	for name, adjust := range map[string]func(*testrun.Input){
		"a category": func(in *testrun.Input) {
			in.Category = "some"
			in.Config.Test.Categories = []config.Category{{Name: "some", Paths: []string{"tests/test_util.py"}, Marker: "none"}}
		},
		"two shards":   func(in *testrun.Input) { in.Shards = 2 },
		"a keyword":    func(in *testrun.Input) { in.Keyword = "double" },
		"nothing else": func(*testrun.Input) {},
	} {
		r := run(t, store().with(project{"tests/test_more.py": "def test_more(): pass\n"}), func(_ runner.Runner, in *testrun.Input) { adjust(in) })
		require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Cause)
		assert.Empty(t, warning(r, testrun.TestsDeselected), name)
	}
	r := run(t, store().with(project{"pytest.ini": ini("--deselect tests/test_util.py"), "tests/test_more.py": "def test_more(): pass\n"}), func(_ runner.Runner, in *testrun.Input) { in.Config.Test.MinTests = 2 })
	assert.Equal(t, "TOO_FEW_TESTS", r.Stage.Code)
	assert.Contains(t, r.Stage.Cause, "there are 1 tests, at least 2 are demanded: 1 test is deselected")
}

// What ends the process while pytest loads a file is named, also where a library or a worker did it.
func TestTheLineThatEndsTheProcessIsNamed(t *testing.T) {
	cli := project{"svc/cli.py": "import argparse\n\np = argparse.ArgumentParser()\np.add_argument('x')\np.parse_args([])\n", "tests/test_cli.py": "import svc.cli\n\ndef test_a(): pass\n"}
	for name, c := range map[string]struct {
		files  project
		adjust func(*testrun.Input)
		says   string
	}{
		"a module that a test imports": {cli, nil, "line 5 of svc/cli.py ended the process (2) while pytest loaded tests/test_cli.py"},
		"the same in workers":          {cli, func(in *testrun.Input) { in.Workers = "2" }, "line 5 of svc/cli.py ended the process (2)"},
		"a test file":                  {project{"tests/test_x.py": "import sys\nsys.exit()\n"}, nil, "line 2 of tests/test_x.py ended the process"},
		"a conftest.py, with success":  {project{"conftest.py": "raise SystemExit(0)\n"}, nil, "line 1 of conftest.py ended the process (0)"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, store().with(c.files), func(_ runner.Runner, in *testrun.Input) {
				if c.adjust != nil {
					c.adjust(in)
				}
			})
			assert.Equal(t, "PYTEST_EXITED", r.Stage.Code)
			assert.Contains(t, r.Stage.Cause, c.says)
		})
	}
}

// A report that is written again after the run, by a handler of the process, is found.
func TestAReportThatIsWrittenAgainIsFound(t *testing.T) {
	again := func(name, content string) project {
		return project{"conftest.py": "import atexit, os\nR = os.getcwd()\n\ndef go():\n    open(os.path.join(R, '.report', '" + name + "'), 'w').write('''" + content + "''')\n\natexit.register(go)\n"}
	}
	for name, content := range map[string]string{
		"junit.xml":    `<testsuites><testsuite name="pytest" tests="1"><testcase classname="tests.test_util" name="test_double" file="tests/test_util.py"/></testsuite></testsuites>`,
		"events.jsonl": `{"event":"session"}`,
		"coverage.xml": `<coverage><packages><package name="svc"><classes><class filename="svc/util.py"><lines><line number="1" hits="1"/></lines></class></classes></package></packages></coverage>`,
	} {
		r := run(t, store().with(again(name, content)), nil)
		assert.Equal(t, "REPORT_DISAGREES", r.Stage.Code, name)
		assert.Contains(t, r.Stage.Cause, name+" was changed after the run ended")
	}
	r := run(t, store().with(project{"pytest.py": "print('1 passed')\n"}), nil)
	assert.NotEqual(t, verdict.Pass, r.Stage.Verdict, "a file of that name is no pytest")
}
