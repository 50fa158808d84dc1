package teststage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/testrun"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// library is a project of several modules, each with branches that only some tests take.
func library() project {
	p := project{
		"requirements-test.txt": "pytest\npytest-cov\n",
		"lib/__init__.py":       "",
		"lib/unused.py":         "A = 1\n",
		"lib/shared.py":         "def both(x):\n    if x:\n        y = 1\n    else:\n        y = 2\n    return y\n",
		"pytest.ini":            "[pytest]\nmarkers = slow: takes long\n",
		"tests/test_empty.py":   "X = 1\n",
	}
	for _, name := range []string{"a", "b", "c"} {
		p["lib/"+name+".py"] = "from lib.shared import both\n\ndef f(x):\n    for i in range(x):\n        if i > 2:\n            return both(i)\n    return both(0)\n"
		p["tests/test_"+name+".py"] = fmt.Sprintf("import pytest\nfrom lib.%s import f\n\n@pytest.mark.parametrize('x', [0, 1, 'x::y', 9])\ndef test_f(x):\n    assert f(x if x != 'x::y' else 2)\n\nclass TestK:\n    @pytest.mark.slow\n    def test_m(self):\n        assert f(%d)\n\n@pytest.mark.skip(reason='no')\ndef test_s(): pass\n", name, len(name))
	}
	return p
}

// content is a file of the report.
func content(t *testing.T, r *testrun.Result, name string) string {
	t.Helper()
	for _, f := range r.Stage.Files {
		if f.Path == name {
			if f.Local == "" {
				return string(f.Content)
			}
			data, err := os.ReadFile(f.Local)
			require.NoError(t, err)
			return string(data)
		}
	}
	t.Fatalf("the report has no %s", name)
	return ""
}

func TestShardsEqualOneRun(t *testing.T) {
	dir := library().write(t)
	whole := runDir(t, dir, nil)
	require.Equal(t, verdict.Pass, whole.Stage.Verdict)
	require.Equal(t, 18, whole.JUnit.Total())
	durations := filepath.Join(t.TempDir(), "durations.json")
	require.NoError(t, os.WriteFile(durations, []byte(content(t, whole, "test/durations.json")), 0o600))
	for name, adjust := range map[string]func(*testrun.Input){
		"by number":               func(in *testrun.Input) { in.Shards = 4 },
		"by durations":            func(in *testrun.Input) { in.Shards, in.Durations = 3, durations },
		"with several sources":    func(in *testrun.Input) { in.Shards, in.Config.Test.Coverage.Source = 2, []string{"lib", "tests"} },
		"with workers":            func(in *testrun.Input) { in.Shards, in.Workers = 2, "2" },
		"with more than there is": func(in *testrun.Input) { in.Shards = 20 },
		"on the oldest Python":    func(in *testrun.Input) { in.Shards, in.Python = 2, "3.10" },
		"workers without shards":  func(in *testrun.Input) { in.Workers = "2" },
	} {
		t.Run(name, func(t *testing.T) {
			r := runDir(t, dir, func(_ runner.Runner, in *testrun.Input) { adjust(in) })
			require.Equal(t, verdict.Pass, r.Stage.Verdict)
			assert.Equal(t, whole.JUnit.Counts, r.JUnit.Counts)
			for file, counts := range whole.JUnit.Files {
				assert.Equal(t, counts.Counts, r.JUnit.Files[file].Counts, file)
			}
			require.Len(t, r.Coverage.Files, len(whole.Coverage.Files))
			for i, f := range whole.Coverage.Files {
				assert.Equal(t, f.Path, r.Coverage.Files[i].Path)
				assert.Equal(t, f.Lines, r.Coverage.Files[i].Lines, "lines and branches of %s", f.Path)
			}
			assert.Contains(t, content(t, r, "test/junit.xml"), "test_s")
		})
	}
}

func TestADurationlessTestOfAKnownFileIsNotLost(t *testing.T) {
	durations := filepath.Join(t.TempDir(), ".test_durations")
	require.NoError(t, os.WriteFile(durations, []byte(`{"tests/test_a.py::test_f[0]": 3, "tests/test_b.py::test_f[0]": 1, "tests/test_gone.py::x": 5}`), 0o600))
	r := run(t, library(), func(_ runner.Runner, in *testrun.Input) { in.Shards, in.Durations = 3, durations })
	require.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Equal(t, 18, r.JUnit.Total())
}

func TestAFailureOfOneShardIsTold(t *testing.T) {
	r := run(t, library().with(project{"tests/test_z.py": "import os, signal\n\ndef test_kill():\n    os.kill(os.getpid(), signal.SIGKILL)\n"}), func(_ runner.Runner, in *testrun.Input) { in.Shards = 3 })
	assert.Equal(t, "RUNNER_KILLED", r.Stage.Code)
	assert.Contains(t, r.Stage.Cause, "shard 3 of 3")
	assert.Contains(t, r.Stage.Cause, "tests/test_z.py::test_kill")
	r = run(t, library().with(project{"tests/test_z.py": "import nope\n"}), func(_ runner.Runner, in *testrun.Input) { in.Shards = 2 })
	assert.Equal(t, "COLLECTION_ERROR", r.Stage.Code)
	assert.Contains(t, r.Stage.Cause, "tests/test_z.py could not be loaded, so its tests")
}

func TestAFlakyTestIsNotPassed(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "ran")
	flaky := fmt.Sprintf("import os\n\ndef test_flaky():\n    there = os.path.exists(%q)\n    open(%q, 'w').close()\n    assert there\n", mark, mark)
	r := run(t, library().with(project{"tests/test_z.py": flaky}), func(_ runner.Runner, in *testrun.Input) { in.Reruns = 2 })
	require.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Equal(t, 1, r.JUnit.Flaky)
	assert.Contains(t, codes(r.Stage.Warnings), "FLAKY_TESTS")
	assert.Contains(t, content(t, r, "test/junit.xml"), "<flakyFailure")
	r = run(t, library().with(project{"tests/test_z.py": "def test_bad():\n    assert 1 == 2\n"}), func(_ runner.Runner, in *testrun.Input) { in.Reruns = 1 })
	assert.Equal(t, "TESTS_FAILED", r.Stage.Code)
	assert.Equal(t, 1, r.JUnit.Failed)
}

func TestOnlyWhatAChangeCanAffectRuns(t *testing.T) {
	for name, c := range map[string]struct {
		more             project
		changed, removed []string
		want             int
		everything       string
	}{
		"a module":                      {nil, []string{"lib/a.py"}, nil, 6, ""},
		"a module that others use":      {project{"tests/test_z.py": "def test_z(): pass\n"}, []string{"lib/shared.py"}, nil, 18, ""},
		"a test":                        {nil, []string{"tests/test_b.py"}, nil, 6, ""},
		"a conftest":                    {project{"tests/conftest.py": "", "other/test_o.py": "def test_o(): pass\n"}, []string{"tests/conftest.py"}, nil, 18, ""},
		"a module named in a string":    {project{"tests/test_z.py": "from unittest import mock\n\ndef test_z():\n    with mock.patch('lib.unused.A', 2): pass\n"}, []string{"lib/unused.py"}, nil, 1, ""},
		"a module imported by its name": {project{"tests/test_z.py": "import importlib\n\ndef test_z():\n    importlib.import_module('lib.unused')\n"}, []string{"lib/unused.py"}, nil, 1, ""},
		"a test that starts programs":   {project{"tests/test_z.py": "import subprocess\n\ndef test_z(): pass\n"}, []string{"lib/a.py"}, nil, 7, ""},
		"a relative import":             {project{"lib/rel.py": "from . import unused\n", "tests/test_z.py": "from lib.rel import unused\n\ndef test_z(): pass\n"}, []string{"lib/unused.py"}, nil, 1, ""},
		"a module that no test reaches": {nil, []string{"lib/unused.py"}, nil, 18, "no test is known"},
		"a file that is no Python":      {project{"data.json": "{}"}, []string{"data.json"}, nil, 18, "no Python file"},
		"a file that is gone":           {nil, []string{"lib/a.py"}, []string{"lib/gone.py"}, 18, "was removed"},
		"a document that no test sees":  {project{"docs/a.md": ""}, []string{"docs/a.md"}, []string{"README.md"}, 18, "nothing changed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, library().with(c.more), func(_ runner.Runner, in *testrun.Input) {
				in.Config.Test.Command = []string{"python", "-m", "pytest"}
				in.Config.Test.Inputs.Exclude = []string{"*.md", "docs/**"}
				in.Changes = &testrun.Changes{Since: "main", Changed: c.changed, Removed: c.removed}
			})
			require.Equal(t, verdict.Pass, r.Stage.Verdict)
			assert.Equal(t, c.want, r.JUnit.Total())
			warned := ""
			for _, w := range r.Stage.Warnings {
				if w.Code == "CHANGES_UNKNOWN" {
					warned = w.Cause
				}
			}
			assert.Contains(t, warned, c.everything)
			assert.Equal(t, c.everything == "", warned == "")
		})
	}
}

func TestCategoriesByMark(t *testing.T) {
	r := run(t, library(), func(_ runner.Runner, in *testrun.Input) {
		in.Config.Test.Categories = []config.Category{{Name: "slow", Marker: "slow"}}
		in.Workers = "2"
	})
	require.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Equal(t, []string{"slow", "3", "3"}, r.Stage.Blocks[0].Table.Rows[0][:3])
	r = run(t, library(), func(_ runner.Runner, in *testrun.Input) {
		in.Config.Test.Categories = []config.Category{{Name: "slow", Marker: "slow"}}
		in.Category = "slow"
	})
	assert.Equal(t, 3, r.JUnit.Total())
}

func TestACategoryIsItsFilesAndItsMark(t *testing.T) {
	for name, c := range map[string]struct {
		adjust func(*testrun.Input)
		want   int
	}{
		"either of both":              {func(*testrun.Input) {}, 6 + 2},
		"in shards":                   {func(in *testrun.Input) { in.Shards = 2 }, 6 + 2},
		"in workers":                  {func(in *testrun.Input) { in.Workers = "2" }, 6 + 2},
		"within paths":                {func(in *testrun.Input) { in.Paths = []string{"tests/test_a.py", "tests/test_b.py"} }, 6 + 1},
		"within paths that have none": {func(in *testrun.Input) { in.Paths = []string{"tests/test_empty.py"} }, 0},
		"within a keyword":            {func(in *testrun.Input) { in.Keyword = "test_m" }, 3},
		"within a mark":               {func(in *testrun.Input) { in.Marker = "not slow" }, 5},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, library(), func(_ runner.Runner, in *testrun.Input) {
				in.Config.Test.Categories = []config.Category{{Name: "all", Paths: []string{"tests/**"}}, {Name: "mine", Paths: []string{"tests/test_a.py"}, Marker: "slow"}}
				in.Category = "mine"
				c.adjust(in)
			})
			if c.want == 0 {
				assert.Equal(t, "NO_TESTS", r.Stage.Code)
				return
			}
			require.Equal(t, verdict.Pass, r.Stage.Verdict)
			assert.Equal(t, []string{"mine", fmt.Sprint(c.want)}, r.Stage.Blocks[0].Table.Rows[0][:2])
			assert.Equal(t, c.want, r.JUnit.Total())
			assert.Contains(t, codes(r.Stage.Warnings), "SELECTION")
		})
	}
}

func TestShardsShareASuiteThatWaits(t *testing.T) {
	p := project{"requirements-test.txt": "pytest\npytest-cov\n", "m.py": "A = 1\n",
		"tests/test_wait.py": "import time\nimport pytest\nimport m\n\n@pytest.mark.parametrize('n', range(24))\ndef test_wait(n):\n    time.sleep(1)\n"}
	dir := p.write(t)
	took := func(shards int) time.Duration {
		started := time.Now()
		r := runDir(t, dir, func(_ runner.Runner, in *testrun.Input) { in.Shards, in.Fresh = shards, "again" })
		require.Equal(t, verdict.Pass, r.Stage.Verdict)
		require.Equal(t, 24, r.JUnit.Passed)
		return time.Since(started)
	}
	took(2) // makes the environment
	one, four := took(1), took(4)
	t.Logf("24 tests of 1 s: %.1f s in one run, %.1f s in 4 shards, %.1f times as fast", one.Seconds(), four.Seconds(), one.Seconds()/four.Seconds())
	assert.Less(t, four, one)
}

func TestNoSecretIsInReachOfATest(t *testing.T) {
	const canary = "canary-" + "6f1e2b"
	t.Setenv("AWS_SECRET_ACCESS_KEY", canary)
	t.Setenv("CANARY_TOKEN", canary)
	r := run(t, calculator().with(project{"tests/test_env.py": `import os
import pathlib

def test_env():
    print(dict(os.environ))
    seen = [str(dict(os.environ))]
    for name in ("environ", "cmdline"):
        for process in (os.getpid(), os.getppid()):
            try:
                seen.append(pathlib.Path(f"/proc/{process}/{name}").read_bytes().decode("utf-8", "replace"))
            except OSError:
                pass
    assert 0, "\n".join(seen)
`}), nil)
	require.Equal(t, "TESTS_FAILED", r.Stage.Code)
	whole := fmt.Sprintf("%+v", r.Stage)
	for _, f := range r.Stage.Files {
		if info, err := os.Stat(f.Local); f.Local != "" && err == nil && !info.IsDir() {
			whole += content(t, r, f.Path)
		}
	}
	require.Contains(t, whole, "PYTEST_CURRENT_TEST", "the test has printed its environment")
	assert.False(t, strings.Contains(whole, canary), "the canary shows up in the report")
}
