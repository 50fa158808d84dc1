// Package teststage runs the test stage for real: real environments, real pytest, on
// small projects of every usual shape.
package teststage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/testrun"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// project is files by path.
type project map[string]string

// calculator is a flat project with a covered and an uncovered branch.
func calculator() project {
	return project{
		"requirements-test.txt": "pytest\npytest-cov\n",
		"calc/__init__.py":      "",
		"calc/model.py":         "def sign(x):\n    if x < 0:\n        return -1\n    return 1\n",
		"calc/unused.py":        "A = 1\nB = 2\n",
		"tests/test_calc.py":    "from calc.model import sign\n\ndef test_sign():\n    assert sign(3) == 1\n",
	}
}

func (p project) with(more project) project {
	for name, content := range more {
		p[name] = content
	}
	return p
}

func (p project) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range p {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
	}
	return dir
}

// run runs the stage on a project, with the defaults unless adjust changes them.
func run(t *testing.T, p project, adjust func(runner.Runner, *testrun.Input)) *testrun.Result {
	t.Helper()
	return runDir(t, p.write(t), adjust)
}

func runDir(t *testing.T, dir string, adjust func(runner.Runner, *testrun.Input)) *testrun.Result {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: makes real Python environments")
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is missing: pytest cannot run")
	}
	r, err := native.New(native.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.WithoutCancel(t.Context()))) })
	in := testrun.Input{Config: config.Default(), Source: native.Source(dir), Scratch: t.TempDir(), Python: "3.11"}
	in.Config.Test.Coverage.Total = 0
	if adjust != nil {
		adjust(r, &in)
	}
	result := testrun.Run(t.Context(), r, in)
	for _, f := range result.Stage.Problems {
		t.Logf("%s: %s\n  %s", f.Code, f.Cause, strings.Join(f.Details, "\n  "))
	}
	if result.Stage.Code == testrun.EnvironmentFailed.Name {
		t.Logf("an environment could not be made; is there a network?")
	}
	return result
}

func codes(found []verdict.Finding) []string {
	var names []string
	for _, f := range found {
		names = append(names, f.Code)
	}
	return names
}

func TestCountsEqualThoseOfPytest(t *testing.T) {
	r := run(t, calculator(), nil)
	require.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Equal(t, 1, r.JUnit.Passed)
	assert.Equal(t, 1, r.JUnit.Files["tests/test_calc.py"].Passed)
	// coverage.py, by hand: calc/model.py 4 statements, 1 missed; calc/unused.py 2, 2
	// missed; 2 branches, 1 taken. Tests are not counted.
	totals := r.Coverage.Totals()
	assert.Equal(t, []int{6, 3, 2, 1}, []int{totals.Lines, totals.Covered, totals.Branches, totals.Taken})
	assert.Equal(t, []string{"REQUIREMENTS_UNLOCKED", "GATES_NONE", "GATE_UNSET"}, codes(r.Stage.Warnings))
	var files []string
	for _, f := range r.Stage.Files {
		files = append(files, f.Path)
		if f.Local == "" {
			assert.NotEmpty(t, f.Content, f.Path)
			continue
		}
		assert.FileExists(t, filepath.Join(f.Local, map[bool]string{true: "index.html"}[f.Path == "test/htmlcov"]))
	}
	assert.Equal(t, []string{"test/coverage.xml", "test/htmlcov", "test/junit.xml", "test/durations.json"}, files)
}

func TestSeveralSourcesAreNotMixedUp(t *testing.T) {
	// coverage.py names files relative to each source and loses one of two of the same name.
	r := run(t, calculator().with(project{"other/__init__.py": "", "other/model.py": "X = 1\n"}), func(_ runner.Runner, in *testrun.Input) {
		in.Config.Test.Coverage.Source = []string{"calc", "other"}
		in.Config.Test.Coverage.Model = config.Floor{Paths: []string{"other/model.py"}, Min: 0}
	})
	require.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Equal(t, 7, r.Coverage.Totals().Lines)
}

func TestASourceLayoutWithoutConfiguration(t *testing.T) {
	r := run(t, project{
		"pyproject.toml":        "[build-system]\nrequires = [\"setuptools\"]\n[project]\nname = \"my-thing\"\nversion = \"1.2\"\n[project.optional-dependencies]\ntest = [\"pytest\"]\n",
		"src/thing/__init__.py": "from importlib.metadata import version\n__version__ = version(\"my-thing\")\n",
		"src/thing/unused.py":   "A = 1\n",
		"test/test_thing.py":    "import subprocess, sys, os\nimport thing\n\ndef test_version(tmp_path):\n    os.chdir(tmp_path)\n    assert thing.__version__ == '1.2'\n    subprocess.run([sys.executable, '-c', 'import thing'], check=True)\n",
	}, nil)
	require.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Equal(t, 3, r.Coverage.Totals().Lines, "src/thing/unused.py counts, though nothing imports it")
	assert.Equal(t, "src/thing/__init__.py", r.Coverage.Files[0].Path)
	assert.Contains(t, codes(r.Stage.Warnings), testrun.ToolsAdded.Name)
}

// What pytest and its plugins count in other ways than one element for one test.
func TestATestIsCountedOnceWhateverTheReportHolds(t *testing.T) {
	again := "N = []\n\n%sdef test_flaky():\n    N.append(1)\n    assert len(N) > 2\n\ndef test_good(): pass\n"
	for name, c := range map[string]struct {
		packages, addopts, tests, want, code string
		flaky                                bool
	}{
		"subtests": {"", "", "import unittest\n\ndef test_s(subtests):\n    for i in range(4):\n        with subtests.test(i=i):\n            assert i < 9\n\nclass T(unittest.TestCase):\n    def test_u(self):\n        for i in range(3):\n            with self.subTest(i=i):\n                self.assertLess(i, 9)\n",
			"2: 2 passed", "", false},
		"subtests that fail":               {"", "", "def test_s(subtests):\n    for i in range(4):\n        with subtests.test(i=i):\n            assert i % 2\n", "1: 0 passed, 1 failed", "TESTS_FAILED", false},
		"subtests by a plugin, in workers": {"pytest<9\npytest-subtests\npytest-xdist", "-n 2", "def test_s(subtests):\n    for i in range(4):\n        with subtests.test(i=i):\n            assert i < 9\n", "1: 1 passed", "", false},
		"a tear-down that fails":           {"", "", "import pytest\n\n@pytest.fixture\ndef bad():\n    yield\n    raise RuntimeError('x')\n\ndef test_p(bad): pass\n", "1: 0 passed, 1 errored", "TESTS_FAILED", false},
		"a test that fails with it":        {"", "", "import pytest\n\n@pytest.fixture\ndef bad():\n    yield\n    raise RuntimeError('x')\n\ndef test_p(bad): assert 0\n", "1: 0 passed, 1 failed", "TESTS_FAILED", false},
		"pytest-rerunfailures":             {"pytest-rerunfailures", "--reruns 3", fmt.Sprintf(again, ""), "2: 1 passed, 1 flaky", "", true},
		"pytest-rerunfailures, in workers": {"pytest-rerunfailures\npytest-xdist", "--reruns 3 -n 2", fmt.Sprintf(again, ""), "2: 1 passed, 1 flaky", "", true},
		"pytest-rerunfailures, in vain":    {"pytest-rerunfailures", "--reruns 1", fmt.Sprintf(again, ""), "2: 1 passed, 1 failed", "TESTS_FAILED", false},
		"pytest-retry":                     {"pytest-retry", "--retries 3", fmt.Sprintf(again, ""), "2: 1 passed, 1 flaky", "", true},
		"flaky":                            {"flaky", "", "from flaky import flaky\n" + fmt.Sprintf(again, "@flaky(max_runs=4)\n"), "2: 1 passed, 1 flaky", "", true},
		"a failure that prints 20 MB":      {"", "", "def test_p():\n    print('x' * 20_000_000)\n    assert 0\n", "1: 0 passed, 1 failed", "TESTS_FAILED", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := calculator()
			delete(p, "tests/test_calc.py")
			p["requirements-test.txt"] += c.packages + "\n"
			p["tests/test_counted.py"] = c.tests
			p["pytest.ini"] = "[pytest]\naddopts = " + c.addopts + "\n"
			r := run(t, p, nil)
			assert.Equal(t, c.code, r.Stage.Code, r.Stage.Cause)
			assert.Len(t, r.Stage.Problems, map[bool]int{true: 1}[c.code != ""])
			for _, e := range r.Stage.Evidence {
				if e.Name == "tests" {
					assert.Equal(t, c.want, e.Value)
				}
			}
			require.NotNil(t, r.JUnit)
			assert.Equal(t, c.flaky, slices.Contains(codes(r.Stage.Warnings), "FLAKY_TESTS"))
		})
	}
}

func TestFailuresAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		files  project
		adjust func(runner.Runner, *testrun.Input)
		code   string
		cause  string
	}{
		"a failing test": {project{"tests/test_bad.py": "def test_bad():\n    assert 1 == 2\n"}, nil, "TESTS_FAILED", "tests/test_bad.py::test_bad (assert 1 == 2)"},
		"no test":        {project{"tests/test_calc.py": "X = 1\n"}, nil, "NO_TESTS", ""},
		"all skipped": {project{"tests/test_calc.py": "import pytest\n\n@pytest.mark.skip(reason='why')\ndef test_a(): pass\n\n@pytest.mark.xfail\ndef test_b(): assert 0\n"},
			nil, "ALL_SKIPPED", "1 skipped, 1 xfailed"},
		"a file that does not import": {project{"tests/test_bad.py": "import nope\n"}, nil, "COLLECTION_ERROR", "tests/test_bad.py"},
		"a broken conftest":           {project{"tests/conftest.py": "import nope\n"}, nil, "COLLECTION_ERROR", "nope"},
		"an unknown option":           {nil, func(_ runner.Runner, in *testrun.Input) { in.Config.Test.Command = []string{"pytest", "--nope"} }, "PYTEST_USAGE", "--nope"},
		"a test that kills the process": {project{"tests/test_bad.py": "import os\n\ndef test_bad():\n    os.kill(os.getpid(), 9)\n"},
			nil, "RUNNER_KILLED", "tests/test_bad.py::test_bad ran"},
		"a test that kills what started it": {project{"tests/test_bad.py": "import os\n\ndef test_bad():\n    os.kill(os.getppid(), 9)\n    import time; time.sleep(30)\n"},
			nil, "RUNNER_KILLED", ""},
		"a test that leaves with exit code 0": {project{"tests/test_bad.py": "import os\n\ndef test_bad():\n    os._exit(0)\n"},
			nil, "RUNNER_KILLED", "tests/test_bad.py::test_bad ran"},
		"a test that ends pytest early": {project{"tests/test_aaa.py": "import pytest\n\ndef test_early():\n    pytest.exit('enough', returncode=0)\n\ndef test_b(): pass\n"},
			nil, "REPORT_DISAGREES", "collected"},
		"a test that writes its own report": {project{"tests/test_bad.py": "import atexit, os\nos.makedirs('.report', exist_ok=True)\natexit.register(lambda: open('.report/junit.xml', 'w').write('<testsuites><testsuite tests=\"1\">'))\n\ndef test_bad(): pass\n"},
			nil, "REPORT_MALFORMED", "byte"},
		"a hanging test": {project{"tests/test_bad.py": "import threading\n\ndef test_hang():\n    threading.Event().wait()\n"},
			func(_ runner.Runner, in *testrun.Input) { in.Config.Test.Timeout = config.Duration(8 * time.Second) }, "TIMEOUT", "tests/test_bad.py::test_hang"},
		"coverage below the gate": {nil, func(_ runner.Runner, in *testrun.Input) { in.Config.Test.Coverage.Total = 50.01 }, "COVERAGE_BELOW", "50.00% of lines"},
		"a glob without files": {nil, func(_ runner.Runner, in *testrun.Input) {
			in.Config.Test.Coverage.Model = config.Floor{Paths: []string{"lstm/**"}, Min: 90}
		},
			"COVERAGE_EMPTY_SET", "lstm/**"},
		"no coverage":                       {project{"pytest.ini": "[pytest]\naddopts = --no-cov\n"}, nil, "COVERAGE_MISSING", ""},
		"a requirement that does not exist": {project{"requirements-test.txt": "pytest==0.0.0.1\n"}, nil, "ENV_FAILED", "uv"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, calculator().with(c.files), c.adjust)
			assert.NotEqual(t, verdict.Pass, r.Stage.Verdict)
			assert.Equal(t, c.code, r.Stage.Code)
			assert.Contains(t, r.Stage.Cause, c.cause)
			assert.NotEmpty(t, r.Stage.Next)
		})
	}
}
