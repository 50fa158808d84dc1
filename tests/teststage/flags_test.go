package teststage

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/testrun"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// called is what a call of the module printed, and its exit status.
type called struct {
	exit        int
	stdout, all string
}

// call calls the module by the CLI and a real engine.
func call(t *testing.T, env []string, args ...string) called {
	t.Helper()
	reachable.Engine(t)
	command := exec.CommandContext(t.Context(), "dagger", append([]string{"--progress=plain", "call"}, args...)...)
	command.Dir, command.Env = reachable.Root(), append(os.Environ(), env...)
	var stdout, all bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &all
	err := command.Run()
	said := called{stdout: stdout.String(), all: stdout.String() + all.String()}
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		said.exit = failed.ExitCode()
	} else {
		require.NoError(t, err, said.all)
	}
	return said
}

// outcome is what these tests read of the stage in report.json.
type outcome struct {
	Verdict, Code, Cause string
	Evidence             []struct{ Name, Value string }
	Problems, Warnings   []verdict.Finding
}

func (o outcome) fact(name string) string {
	for _, e := range o.Evidence {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// stage is the outcome of the only stage, or of what was refused before it.
func (c called) stage(t *testing.T) outcome {
	t.Helper()
	require.Equal(t, 0, c.exit, c.all)
	var run struct {
		Preflight *outcome
		Stages    []outcome
	}
	require.NoError(t, json.Unmarshal([]byte(c.stdout), &run), c.all)
	if run.Preflight != nil && run.Preflight.Verdict == "fail" {
		return *run.Preflight
	}
	require.NotEmpty(t, run.Stages)
	return run.Stages[0]
}

// moody is a project with a test that fails after another and passes alone, two skipped
// tests, and a gate that anything passes.
func moody() project {
	return project{
		"requirements-test.txt": pinned,
		"pipeline.yaml":         "python: \"3.11\"\ntest: {coverage: {total: 0}}\n",
		"calc/__init__.py":      "",
		"calc/model.py":         "def sign(x):\n    if x < 0:\n        return -1\n    return 1\n",
		"tests/test_calc.py": "import pytest\nfrom calc.model import sign\n\nSEEN = []\n\ndef test_sign():\n    SEEN.append(sign(3))\n    assert sign(-1) == -1\n\n" +
			"def test_alone():\n    assert not SEEN\n\n@pytest.mark.skip(reason='one')\ndef test_s(): pass\n\n@pytest.mark.skip(reason='two')\ndef test_t(): pass\n",
	}
}

func TestSkippedFlakyAndFallenCoverageUnderTheEngine(t *testing.T) {
	reachable.Engine(t)
	covered := call(t, nil, "--source", moody().write(t), "test", "coverage", "contents")
	require.Equal(t, 0, covered.exit, covered.all)
	baseline := filepath.Join(t.TempDir(), "coverage.xml")
	require.NoError(t, os.WriteFile(baseline, []byte(covered.stdout), 0o600))

	less := moody()
	less["tests/test_calc.py"] = strings.Replace(less["tests/test_calc.py"], "assert sign(-1) == -1", "assert True", 1)
	source := less.write(t)
	tested := func(args ...string) outcome {
		return call(t, nil, append(append([]string{"--source", source, "test", "--baseline", baseline}, args...), "json")...).stage(t)
	}
	s := tested("--rerun-failed", "2", "--max-skipped", "1")
	assert.Equal(t, "fail", s.Verdict)
	assert.Equal(t, "TOO_MANY_SKIPPED", s.Code)
	assert.Contains(t, s.Cause, "2")
	assert.Equal(t, "4: 1 passed, 1 flaky, 2 skipped", s.fact("tests"))
	assert.Contains(t, codes(s.Warnings), "FLAKY_TESTS")
	assert.Contains(t, codes(s.Warnings), "COVERAGE_DROPPED")

	s = tested("--rerun-failed", "2", "--max-skipped", "2", "--tolerance", "40")
	assert.Equal(t, "pass", s.Verdict, s.Cause)
	assert.Contains(t, codes(s.Warnings), "FLAKY_TESTS", "flaky is never plainly passed")
	assert.NotContains(t, codes(s.Warnings), "COVERAGE_DROPPED")

	s = tested("--max-skipped", "2")
	assert.Equal(t, "TESTS_FAILED", s.Code)
	assert.Contains(t, s.Cause, "tests/test_calc.py::test_alone")

	summary := call(t, nil, "--source", source, "test", "--rerun-failed", "1", "summary")
	require.Equal(t, 0, summary.exit, summary.all)
	assert.Contains(t, summary.stdout, "flaky")
	enforced := call(t, nil, "--source", source, "test", "--rerun-failed", "1", "--max-skipped", "1", "enforce")
	assert.Equal(t, 1, enforced.exit)
	assert.Contains(t, enforced.all, "FAIL test TOO_MANY_SKIPPED")
}

func TestAMatrixUnderTheEngineNamesThePythonThatFails(t *testing.T) {
	reachable.Engine(t)
	p := moody()
	p["tests/test_calc.py"] = "import sys\n\ndef test_old():\n    assert sys.version_info < (3, 12)\n"
	source := p.write(t)
	s := call(t, nil, "--source", source, "test", "--python", "3.10", "--python", "3.12", "json").stage(t)
	assert.Equal(t, "fail", s.Verdict)
	assert.Equal(t, "TESTS_FAILED", s.Code)
	assert.Contains(t, s.Cause, "3.12")
	report := t.TempDir()
	require.Equal(t, 0, call(t, nil, "--source", source, "test", "--python", "3.10,3.12", "report", "export", "--path", report).exit)
	for _, version := range []string{"3.10", "3.12"} {
		assert.FileExists(t, filepath.Join(report, "test", "python"+version, "junit.xml"))
	}
	markdown, err := os.ReadFile(filepath.Join(report, "report.md"))
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^\| *3\.10 *\| *pass`, string(markdown))
	assert.Regexp(t, `(?m)^\| *3\.12 *\| *fail`, string(markdown))
}

// Every way in which a run can end without saying so, or say what is not so.
func TestRunsThatLieOnAnEngine(t *testing.T) {
	c := onEngine(t, nil)
	for name, k := range map[string]struct {
		code, cause, tests string
	}{
		"a hanging test":                      {"TIMEOUT", "tests/test_bad.py::test_bad", "import threading\n\ndef test_bad():\n    threading.Event().wait()\n"},
		"a test that leaves with exit code 0": {"RUNNER_KILLED", "tests/test_bad.py::test_bad", "import os\n\ndef test_bad():\n    os._exit(0)\n"},
		"a test that is killed":               {"RUNNER_KILLED", "tests/test_bad.py::test_bad", "import os\n\ndef test_bad():\n    os.kill(os.getpid(), 9)\n"},
		"a test that kills what started it":   {"RUNNER_KILLED", "", "import os\n\ndef test_bad():\n    os.kill(os.getppid(), 9)\n    import time; time.sleep(30)\n"},
		"a test that kills everything":        {"RUNNER_KILLED", "", "import os\n\ndef test_bad():\n    os.kill(-1, 9)\n"},
		"a crash in native code":              {"RUNNER_KILLED", "tests/test_bad.py::test_bad", "import ctypes\n\ndef test_bad():\n    ctypes.string_at(0)\n"},
		"a failure that exits with 0":         {"TESTS_FAILED", "tests/test_bad.py::test_bad", "import atexit, os\natexit.register(os._exit, 0)\n\ndef test_bad():\n    assert 0\n"},
		"a forged report": {"REPORT_DISAGREES", "", "import atexit\n\ndef forge():\n    text = open('.report/junit.xml').read().replace('failures=\"1\"', 'failures=\"0\"')\n" +
			"    import os, re\n    open('.report/junit.xml', 'w').write(re.sub('<failure.*?</failure>', '', text, flags=re.S))\n    os._exit(0)\n\natexit.register(forge)\n\ndef test_bad():\n    assert 0\n"},
		"a report of an earlier run": {"RUNNER_KILLED", "", "import os, pathlib\n\ndef test_bad():\n    pathlib.Path('.report').mkdir(exist_ok=True)\n" +
			"    pathlib.Path('.report/junit.xml').write_text('<testsuites><testsuite tests=\"1\"><testcase classname=\"tests.test_bad\" name=\"test_bad\" time=\"0\"/></testsuite></testsuites>')\n    os._exit(0)\n"},
		"a file that does not import":   {"COLLECTION_ERROR", "tests/test_bad.py", "import nope\n"},
		"only skipped tests":            {"ALL_SKIPPED", "", "import pytest\n\n@pytest.mark.skip(reason='x')\ndef test_bad(): pass\n"},
		"a test that ends pytest early": {"REPORT_DISAGREES", "", "import pytest\n\ndef test_a():\n    pytest.exit('enough', returncode=0)\n\ndef test_bad(): pass\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := project{"requirements-test.txt": pinned, "app.py": "A = 1\n", "tests/test_bad.py": k.tests}
			started := time.Now()
			r := c.run(t, p, func(in *testrun.Input) { in.Config.Test.Timeout = config.Duration(20 * time.Second) })
			assert.Equal(t, k.code, r.Stage.Code, r.Stage.Cause)
			assert.Contains(t, r.Stage.Cause, k.cause)
			assert.NotEqual(t, verdict.Pass, r.Stage.Verdict)
			assert.Less(t, time.Since(started), 2*time.Minute)
		})
	}
	t.Run("a process that a test leaves behind is not waited for", func(t *testing.T) {
		r := c.run(t, project{"requirements-test.txt": pinned, "app.py": "A = 1\n", "tests/test_left.py": "import app\nimport subprocess\n\ndef test_left():\n    subprocess.Popen(['sleep', '600'], start_new_session=True)\n"},
			func(in *testrun.Input) { in.Config.Test.Timeout = config.Duration(time.Minute) })
		assert.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Cause)
	})
}

func TestAReportAboveTheLimitStaysWhereItIs(t *testing.T) {
	c := onEngine(t, nil)
	p := project{"requirements-test.txt": pinned, "app.py": "A = 1\n", "tests/test_large.py": `import atexit
import app

def grow():
    for name, size in (("junit.xml", 2 << 30), ("coverage.xml", 600 << 20)):
        with open(".report/" + name, "r+b") as report:
            report.truncate(size)

atexit.register(grow)

def test_a(): assert app.A
`}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	scratch := t.TempDir()
	r := c.run(t, p, func(in *testrun.Input) { in.Scratch = scratch })
	runtime.ReadMemStats(&after)
	assert.Equal(t, []string{"REPORT_MALFORMED", "COVERAGE_INVALID"}, codes(r.Stage.Problems))
	assert.Contains(t, r.Stage.Cause, "larger than allowed")
	assert.Less(t, after.Sys-before.Sys, uint64(100<<20))
	var written int64
	require.NoError(t, filepath.WalkDir(scratch, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			written += info.Size()
		}
		return err
	}))
	assert.Less(t, written, int64(10<<20), "bytes on this disk")
	t.Logf("%d bytes on disk, %d bytes of memory", written, after.Sys-before.Sys)
}

func TestNoSecretOfACallIsInReachOfATest(t *testing.T) {
	reachable.Engine(t)
	const canary = "canary-" + "e02d77"
	p := moody()
	p["tests/test_calc.py"] = `import os
import pathlib

def test_env():
    seen = [str(dict(os.environ))]
    canary = "-".join(["canary", "e02d77"]).encode()  # Python would fold a sum into its own .pyc
    for place in ("/env", "/opt", "/venv", "/root", "/etc", "/.step", "/run", "/tmp", "/src"):
        for path in pathlib.Path(place).rglob("*"):
            try:
                if path.is_file() and path.stat().st_size < 200_000 and canary in path.read_bytes():
                    seen.append(f"FOUND in {path}")
            except OSError:
                pass
    for name in ("environ", "cmdline"):
        for process in pathlib.Path("/proc").glob(f"[0-9]*/{name}"):
            try:
                seen.append(process.read_bytes().decode("utf-8", "replace"))
            except OSError:
                pass
    assert 0, "\n".join(seen)
`
	args := []string{"-vvv", "--source", p.write(t), "--environment", "staging", "--ref", "main", "--mlflow-tracking-uri", "http://mlflow.example.org", "--mlflow-artifact-root", "s3://bucket/models"}
	for _, flag := range []string{"mlflow-token", "aws-access-key-id", "aws-secret-access-key", "aws-session-token", "docker-username", "docker-password"} {
		args = append(args, "--"+flag, "env:TEST_CANARY")
	}
	report := t.TempDir()
	said := call(t, []string{"TEST_CANARY=" + canary}, append(args, "test", "report", "export", "--path", report)...)
	require.Equal(t, 0, said.exit, said.all)
	assert.NotContains(t, said.all, canary)
	printed := false
	require.NoError(t, filepath.WalkDir(report, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		assert.False(t, bytes.Contains(content, []byte(canary)), path)
		assert.False(t, bytes.Contains(content, []byte("FOUND in /")), path)
		printed = printed || bytes.Contains(content, []byte("PYTEST_CURRENT_TEST"))
		return err
	}))
	assert.True(t, printed, "the test has printed its environment")
}

func TestSelectionsUnderTheEngine(t *testing.T) {
	reachable.Engine(t)
	p := library()
	p["requirements-test.txt"] = pinned
	p["pipeline.yaml"] = "python: \"3.11\"\ntest:\n  coverage: {total: 100}\n  categories: [{name: mine, paths: [tests/test_a.py], marker: slow}]\n"
	source := p.write(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a path":                     {[]string{"--path", "tests/test_a.py"}, "6: 5 passed, 1 skipped"},
		"two paths":                  {[]string{"--path", "tests/test_a.py", "--path", "tests/test_b.py::TestK"}, "7: 6 passed, 1 skipped"},
		"a keyword":                  {[]string{"--keyword", "test_f and not 9"}, "9: 9 passed"},
		"a marker":                   {[]string{"--marker", "slow"}, "3: 3 passed"},
		"a category":                 {[]string{"--category", "mine"}, "8: 7 passed, 1 skipped"},
		"a category within a path":   {[]string{"--category", "mine", "--path", "tests/test_b.py"}, "1: 1 passed"},
		"a keyword that fits none":   {[]string{"--keyword", "nothing_like_it"}, ""},
		"a path that is not there":   {[]string{"--path", "tests/gone.py"}, ""},
		"a category that is unknown": {[]string{"--category", "gone"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := call(t, nil, append(append([]string{"--source", source, "test"}, c.args...), "json")...).stage(t)
			if c.want == "" {
				assert.NotEqual(t, "pass", s.Verdict)
				assert.Contains(t, []string{"NO_TESTS", "BAD_ARGUMENT", "TEST_ARGUMENT"}, s.Code, s.Cause)
				return
			}
			assert.Equal(t, "pass", s.Verdict, s.Cause)
			assert.Equal(t, c.want, s.fact("tests"))
			assert.Contains(t, codes(s.Warnings), "SELECTION", "no gate is held, and that is said")
		})
	}
}
