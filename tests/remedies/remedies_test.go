// Package remedies types remedies that are commands into real cases, and looks whether the failure
// is gone: with the real command, uv, git and pytest.
package remedies

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// workshop is what all cases share: the pipeline's command, and an environment with uv and pytest.
type workshop struct{ command, bin string }

var shared = sync.OnceValues(func() (workshop, error) {
	dir, err := os.MkdirTemp("", "remedies")
	if err != nil {
		return workshop{}, err
	}
	w := workshop{filepath.Join(dir, "openstack-rca"), filepath.Join(dir, "venv", "bin")}
	for _, args := range [][]string{
		{"go", "build", "-o", w.command, "../../ci/cmd/openstack-rca"},
		{"python3", "-m", "venv", filepath.Dir(w.bin)},
		{filepath.Join(w.bin, "pip"), "install", "--quiet", "uv==0.13.9", "pytest==9.0.2"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil { //nolint:gosec,noctx // the test's own
			return w, &failure{args, string(out), err}
		}
	}
	return w, nil
})

type failure struct {
	args []string
	out  string
	err  error
}

func (f *failure) Error() string {
	return strings.Join(f.args, " ") + ": " + f.err.Error() + "\n" + f.out
}

// bench opens the workshop, or skips the test with the reason.
func bench(t *testing.T) workshop {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: makes real Python environments")
	}
	for _, program := range []string{"go", "python3", "git"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + " is missing")
		}
	}
	w, err := shared()
	require.NoError(t, err)
	return w
}

// finding is a problem or warning of a report.
type finding struct{ Code, Cause, Next string }

// run runs the pipeline's command on a source, and returns every finding of its report by code; the
// verdict is the cause of the one without a code.
func (w workshop) run(t *testing.T, source string, args ...string) map[string]finding {
	t.Helper()
	report := t.TempDir()
	command := exec.CommandContext(t.Context(), w.command, append(args, "--source", source, "--report", report)...) //nolint:gosec // the test's own
	out, err := command.CombinedOutput()
	content, unread := os.ReadFile(filepath.Join(report, "report.json"))
	require.NoError(t, unread, "%v: %s", err, out)
	type stage struct{ Problems, Warnings []finding }
	var run struct {
		Verdict   string
		Preflight *stage
		Stages    []stage
		Warnings  []finding
	}
	require.NoError(t, json.Unmarshal(content, &run))
	found := map[string]finding{"": {Cause: run.Verdict}}
	stages := append([]stage{{Warnings: run.Warnings}}, run.Stages...)
	if run.Preflight != nil {
		stages = append(stages, *run.Preflight)
	}
	for _, s := range stages {
		for _, f := range append(s.Problems, s.Warnings...) {
			found[f.Code] = f
		}
	}
	return found
}

// typeIn types a command in the root of a source, as a user would in an environment with uv and pytest.
func (w workshop) typeIn(t *testing.T, source, command string) (string, error) {
	t.Helper()
	shell := exec.CommandContext(t.Context(), "bash", "-c", command) //nolint:gosec // a remedy of the product
	shell.Dir = source
	shell.Env = append(os.Environ(), "PATH="+filepath.Dir(w.command)+":"+w.bin+":"+os.Getenv("PATH"), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=protocol.file.allow",
		"GIT_CONFIG_VALUE_0=always", "UV_PYTHON_DOWNLOADS=never")
	out, err := shell.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
	}
	return dir
}

// app is a project whose tests pass.
func app(more map[string]string) map[string]string {
	files := map[string]string{
		"app.py":            "def double(x):\n    return 2 * x\n",
		"tests/test_app.py": "import iniconfig\nfrom app import double\n\ndef test_double():\n    assert double(2) == 4\n",
	}
	for name, content := range more {
		files[name] = content
	}
	return files
}

var (
	lockCommand = regexp.MustCompile(`^Lock them: ([^;]+)`)
	namedKey    = regexp.MustCompile(`then name it in pipeline\.yaml: ([a-z]+)\.requirements: (\[.+\]);`)
)

// TestRequirementsAreLockedByTheRemedy: what the warning says, typed as it is, ends it.
func TestRequirementsAreLockedByTheRemedy(t *testing.T) {
	w := bench(t)
	const needs = "pytest\npytest-cov\niniconfig\n"
	for sentence, files := range map[string]map[string]string{
		"one file":                 {"requirements.txt": needs},
		"two files":                {"requirements.txt": "iniconfig\n", "requirements-test.txt": "pytest\npytest-cov\n"},
		"a directory":              {"requirements/base.txt": "iniconfig\n", "requirements/test.txt": "-r base.txt\npytest\npytest-cov\n"},
		"named in pipeline.yaml":   {"deps.txt": needs, "pipeline.yaml": "test: {requirements: [deps.txt]}\n"},
		"pyproject with a group":   {"pyproject.toml": "[project]\nname = \"app\"\nversion = \"1\"\ndependencies = [\"iniconfig\"]\nrequires-python = \">=3.10\"\n[dependency-groups]\ntest = [\"pytest\", \"pytest-cov\"]\n[tool.uv]\npackage = false\n"},
		"setup.py with an extra":   {"setup.py": "from setuptools import setup\nsetup(name='app', version='1', py_modules=['app'], install_requires=['iniconfig'], extras_require={'test': ['pytest', 'pytest-cov']})\n"},
		"another Python than this": {"requirements.txt": needs + "exceptiongroup; python_version < '3.11'\n", "pipeline.yaml": "python: \"3.11\"\n"},
	} {
		t.Run(sentence, func(t *testing.T) {
			source := write(t, app(files))
			before, ok := w.run(t, source, "test")["REQUIREMENTS_UNLOCKED"]
			require.True(t, ok)
			command := lockCommand.FindStringSubmatch(before.Next)
			require.NotNil(t, command, before.Next)
			out, err := w.typeIn(t, source, command[1])
			require.NoError(t, err, "%s\n%s", before.Next, out)
			if key := namedKey.FindStringSubmatch(before.Next); key != nil {
				require.NoError(t, os.WriteFile(filepath.Join(source, "pipeline.yaml"), []byte(key[1]+": {requirements: "+key[2]+"}\n"), 0o644))
			}
			after := w.run(t, source, "test")
			assert.NotContains(t, after, "REQUIREMENTS_UNLOCKED")
			assert.NotContains(t, after, "ENV_FAILED")
			assert.NotContains(t, after, "TESTS_FAILED")
		})
	}
}

// TestThePythonOfTheRemedyIsOneThatThePackagesAreFor: uv says so in two ways.
func TestThePythonOfTheRemedyIsOneThatThePackagesAreFor(t *testing.T) {
	w := bench(t)
	key := regexp.MustCompile(`Set (python: "3\.\d+") in pipeline\.yaml`)
	for sentence, c := range map[string]struct{ requirement, python string }{
		"a later one":    {"networkx==3.5", "3.10"},
		"an earlier one": {"onnxruntime==1.16.3", "3.13"},
	} {
		t.Run(sentence, func(t *testing.T) {
			source := write(t, app(map[string]string{"requirements.txt": "pytest\niniconfig\n" + c.requirement + "\n",
				"pipeline.yaml": "python: \"" + c.python + "\"\n"}))
			before := w.run(t, source, "test")
			if _, other := before["OTHER_PYTHON"]; other {
				t.Skip("Python " + c.python + " is not on this machine")
			}
			found := key.FindStringSubmatch(before["ENV_FAILED"].Next)
			require.NotNil(t, found, "%v", before)
			require.NoError(t, os.WriteFile(filepath.Join(source, "pipeline.yaml"), []byte(found[1]+"\n"), 0o644))
			after := w.run(t, source, "test")
			if _, other := after["OTHER_PYTHON"]; other {
				t.Skip(found[1] + " is not on this machine")
			}
			assert.NotContains(t, after, "ENV_FAILED")
		})
	}
}

// TestAFailedTestIsRunAloneByTheRemedy: the command shows the same failure and nothing else.
func TestAFailedTestIsRunAloneByTheRemedy(t *testing.T) {
	w := bench(t)
	for sentence, c := range map[string]struct{ test, code, shows string }{
		"a plain test":      {"def test_odd():\n    assert 1 == 2\n", "TESTS_FAILED", "test_odd"},
		"odd parameters":    {"import pytest\n@pytest.mark.parametrize('x', ['a b', '$HOME \\'`'])\ndef test_odd(x):\n    assert x == 'a b'\n", "TESTS_FAILED", "1 failed"},
		"an import missing": {"import not_there\n\ndef test_odd():\n    pass\n", "COLLECTION_ERROR", "not_there"},
	} {
		t.Run(sentence, func(t *testing.T) {
			source := write(t, app(map[string]string{"requirements.txt": "pytest\niniconfig\n", "tests/test_odd.py": c.test}))
			found, ok := w.run(t, source, "test")[c.code]
			require.True(t, ok)
			start := strings.Index(found.Next, "openstack-rca test")
			require.GreaterOrEqual(t, start, 0, found.Next)
			// From elsewhere: the command names the source, as the call did.
			out, err := w.typeIn(t, t.TempDir(), strings.TrimSuffix(found.Next[start:], "."))
			require.Error(t, err, "%s\n%s", found.Next, out)
			assert.Contains(t, out, c.shows, found.Next)
			assert.Contains(t, out, "FAIL test "+c.code+":", "the same failure")
			assert.NotContains(t, out, "test_double", "only what failed")
			require.NoError(t, os.WriteFile(filepath.Join(source, "tests", "test_odd.py"), []byte("def test_odd():\n    pass\n"), 0o644))
			mended := regexp.MustCompile(`::test_odd\[.*\]`).ReplaceAllString(strings.TrimSuffix(found.Next[start:], "."), "::test_odd")
			mended = strings.NewReplacer(`'"'"'`, "", "'", "").Replace(mended)
			out, err = w.typeIn(t, t.TempDir(), mended)
			require.NoError(t, err, "%s\n%s", mended, out)
		})
	}
}

// TestAFailedTrainingIsRunAloneByTheRemedy: it shows what the training prints, in the environment that has its packages.
func TestAFailedTrainingIsRunAloneByTheRemedy(t *testing.T) {
	w := bench(t)
	source := write(t, app(map[string]string{"requirements.txt": "pytest\niniconfig\n", "pipeline.yaml": "train: {metrics: m.json}\n",
		"main.py": "import sys\nimport iniconfig\nprint('epoch 1 of', sys.argv[-1])\nraise ValueError('odd data')\n"}))
	found, ok := w.run(t, source, "train", "--param", "epochs=3")["TRAIN_FAILED"]
	require.True(t, ok)
	command := regexp.MustCompile(`openstack-rca train .*`).FindString(found.Next)
	out, err := w.typeIn(t, t.TempDir(), command)
	require.Error(t, err, "%s\n%s", found.Next, out)
	before, summary, _ := strings.Cut(out, "FAIL train TRAIN_FAILED")
	assert.Contains(t, before, "train | epoch 1 of 3", "as it comes: %s", found.Next)
	assert.Contains(t, summary, "odd data")
}

// TestASubmoduleIsFetchedByTheRemedy in a checkout that was cloned without it.
func TestASubmoduleIsFetchedByTheRemedy(t *testing.T) {
	w := bench(t)
	library := write(t, map[string]string{"helper.py": "def helped():\n    return True\n"})
	origin := write(t, app(map[string]string{
		"requirements.txt":     "pytest\niniconfig\n",
		"tests/test_helped.py": "import sys\nsys.path.insert(0, 'vendor')\nfrom helper import helped\n\ndef test_helped():\n    assert helped()\n",
	}))
	git := "git -c user.name=a -c user.email=a@b.example "
	source := filepath.Join(t.TempDir(), "clone")
	for _, step := range []struct{ dir, command string }{
		{library, "git init -q . && git add . && " + git + "commit -qm 'a: b'"},
		{origin, "git init -q . && git submodule --quiet add file://" + library + " vendor && git add . && " + git + "commit -qm 'a: b'"},
		{origin, "git clone -q . " + source},
	} {
		out, err := w.typeIn(t, step.dir, step.command)
		require.NoError(t, err, out)
	}
	before, ok := w.run(t, source, "test", "--ref", "main")["SUBMODULE_EMPTY"]
	require.True(t, ok)
	command := regexp.MustCompile(`git submodule update[a-z -]*--recursive`).FindString(before.Next)
	out, err := w.typeIn(t, source, command)
	require.NoError(t, err, "%s\n%s", before.Next, out)
	after := w.run(t, source, "test", "--ref", "main")
	assert.NotContains(t, after, "SUBMODULE_EMPTY")
	assert.NotContains(t, after, "COLLECTION_ERROR")
}
