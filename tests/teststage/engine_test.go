package teststage

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dagger.io/dagger"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/testrun"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// container runs the stage on an engine.
type container struct {
	client *dagger.Client
	runner *engine.Runner
}

func onEngine(t *testing.T, index func(*dagger.Client) *dagger.Secret) container {
	t.Helper()
	reachable.Engine(t)
	client, err := dagger.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	options := engine.Options{Tunnel: true}
	if index != nil {
		options.Index = index(client)
	}
	r := engine.New(client, options)
	t.Cleanup(func() { require.NoError(t, r.Close(context.Background())) })
	return container{client, r}
}

func (c container) run(t *testing.T, p project, adjust func(*testrun.Input)) *testrun.Result {
	t.Helper()
	in := testrun.Input{Config: config.Default(), Source: c.runner.Source(c.client.Host().Directory(p.write(t))), Scratch: t.TempDir(), Python: "3.11"}
	in.Config.Test.Coverage.Total = 0
	if adjust != nil {
		adjust(&in)
	}
	r := testrun.Run(t.Context(), c.runner, in)
	for _, f := range r.Stage.Problems {
		t.Logf("%s: %s %v", f.Code, f.Cause, f.Details)
	}
	return r
}

// pinned is what the plain projects install.
const pinned = "pytest==9.2.0\npytest-cov==7.1.0\nsix==1.17.0\n"

func TestPlainProjectsOnAnEngine(t *testing.T) {
	c := onEngine(t, nil)
	poetry := project{}
	for _, name := range []string{"pyproject.toml", "poetry.lock"} {
		content, err := os.ReadFile(filepath.Join("testdata", "poetry", name))
		require.NoError(t, err)
		poetry[name] = string(content)
	}
	flat := project{"app/__init__.py": "", "app/m.py": "import six\n\nA = six.PY3\n", "tests/test_m.py": "from app.m import A\n\ndef test_a(): assert A\n"}
	src := project{"src/app/__init__.py": "", "src/app/m.py": "import six\n\nA = six.PY3\n", "tests/test_m.py": "from app.m import A\n\ndef test_a(): assert A\n"}
	for name, p := range map[string]project{
		"requirements, flat":    project{"requirements.txt": "six==1.17.0\n", "requirements-dev.txt": pinned}.with(flat),
		"requirements, src":     project{"requirements-test.txt": pinned}.with(src),
		"pyproject, src":        project{"pyproject.toml": "[build-system]\nrequires = [\"setuptools\"]\n[project]\nname = \"app\"\nversion = \"1\"\ndependencies = [\"six\"]\n[dependency-groups]\ndev = [\"pytest\"]\n"}.with(src),
		"setup.cfg, flat":       project{"setup.cfg": "[metadata]\nname = app\nversion = 1\n[options]\npackages = find:\ninstall_requires = six\n[options.extras_require]\ntest = pytest\n", "setup.py": "from setuptools import setup\nsetup()\n"}.with(flat),
		"poetry.lock":           shop().with(poetry),
		"an ignored pytest.ini": project{"requirements-test.txt": pinned, "pytest.ini": "[tool:pytest]\naddopts = --nope\n"}.with(flat),
		"tests beside the code": {"requirements-test.txt": pinned, "app/__init__.py": "", "app/m.py": "A = 1\n", "app/test_m.py": "from app.m import A\n\ndef test_a(): assert A\n"},
		"a uv.lock":             lockedByUV(t, project{"pyproject.toml": "[project]\nname = \"app\"\nversion = \"1\"\nrequires-python = \">=3.10\"\ndependencies = [\"six\"]\n", "app.py": "import six\n\nA = six.PY3\n", "test_app.py": "from app import A\n\ndef test_a(): assert A\n"}),
	} {
		t.Run(name, func(t *testing.T) {
			r := c.run(t, p, nil)
			require.Equal(t, verdict.Pass, r.Stage.Verdict)
			assert.Equal(t, 1, r.JUnit.Passed)
			assert.Positive(t, r.Coverage.Totals().Covered)
			if name == "an ignored pytest.ini" {
				assert.Contains(t, codes(r.Stage.Warnings), "PYTEST_CONFIG_IGNORED")
			}
		})
	}
}

func TestEveryPythonOnAnEngine(t *testing.T) {
	c := onEngine(t, nil)
	in := testrun.Input{Config: config.Default(), Source: c.runner.Source(c.client.Host().Directory(calculator().with(project{"requirements-test.txt": "six==1.17.0\n"}).write(t))), Scratch: t.TempDir()}
	in.Config.Test.Coverage.Total = 0
	stage := testrun.RunMatrix(t.Context(), c.runner, in, []string{"3.10", "3.11", "3.12", "3.13"})
	require.Equal(t, verdict.Pass, stage.Verdict, "%+v", stage.Problems)
	require.Len(t, stage.Blocks[0].Table.Rows, 4)
	for _, row := range stage.Blocks[0].Table.Rows {
		assert.Equal(t, []string{"pass", "1 passed"}, row[1:3], row[0])
	}
}

func TestShardsOnAnEngineEqualOneRun(t *testing.T) {
	c := onEngine(t, nil)
	fresh := time.Now().Format(time.RFC3339Nano)
	whole := c.run(t, library(), func(in *testrun.Input) { in.Fresh = fresh })
	require.Equal(t, verdict.Pass, whole.Stage.Verdict)
	r := c.run(t, library(), func(in *testrun.Input) { in.Shards, in.Fresh = 3, fresh })
	require.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Equal(t, whole.JUnit.Counts, r.JUnit.Counts)
	for i, f := range whole.Coverage.Files {
		assert.Equal(t, f.Path, r.Coverage.Files[i].Path)
		assert.Equal(t, f.Lines, r.Coverage.Files[i].Lines, f.Path)
	}
}

func TestAFlakyTestIsNeverAnsweredFromTheCache(t *testing.T) {
	c := onEngine(t, nil)
	// It passes in every second only: no cached answer of an earlier attempt may count.
	r := c.run(t, calculator().with(project{"tests/test_z.py": fmt.Sprintf("def test_bad():\n    assert %q == 'x'\n", time.Now())}), func(in *testrun.Input) { in.Reruns = 2 })
	assert.Equal(t, "TESTS_FAILED", r.Stage.Code)
	assert.Equal(t, 1, r.JUnit.Failed)
}

// pipIndex is the package index that pip installs from on this host.
func pipIndex(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "python3", "-c",
		"import os; from pip._internal.models.index import PyPI; print(os.environ.get('PIP_INDEX_URL') or PyPI.simple_url)").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

func TestTheIndexIsNotInReachOfATest(t *testing.T) {
	const canary = "canary-" + "9d4c1a"
	c := onEngine(t, func(client *dagger.Client) *dagger.Secret {
		// The index that pip uses here anyway: one that is public takes no login and ignores it.
		index, err := url.Parse(pipIndex(t))
		require.NoError(t, err)
		index.User = url.UserPassword("user", canary)
		return client.SetSecret("index-"+canary[:6], index.String())
	})
	r := c.run(t, calculator().with(project{"requirements-test.txt": "pytest==9.2.0\npytest-cov==7.1.0\nsix==1.17.0\n", "tests/test_env.py": `import os
import pathlib

def test_env():
    seen = [str(dict(os.environ))]
    for place in ("/env", "/opt", "/venv", "/root", "/etc", "/.step", "/run"):
        for path in pathlib.Path(place).rglob("*"):
            try:
                if path.is_file() and path.stat().st_size < 200_000:
                    if b"canary-" + b"9d4c1a" in path.read_bytes():
                        seen.append(f"FOUND in {path}")
            except OSError:
                pass
    for process in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            seen.append(process.read_bytes().decode("utf-8", "replace"))
        except OSError:
            pass
    assert 0, "\n".join(seen)
`}), nil)
	require.Contains(t, []string{"TESTS_FAILED"}, r.Stage.Code)
	whole := fmt.Sprintf("%+v", r.Stage) + content(t, r, "test/junit.xml")
	require.Contains(t, whole, "PYTEST_CURRENT_TEST")
	assert.NotContains(t, whole, canary)
	assert.NotContains(t, whole, "FOUND in /")
}

func TestAnotherIndexIsUsedAndItsLoginIsNotTold(t *testing.T) {
	const canary = "canary-" + "5b77e0"
	c := onEngine(t, func(client *dagger.Client) *dagger.Secret {
		return client.SetSecret("index-nowhere", "http://user:"+canary+"@127.0.0.1:1/simple/")
	})
	r := c.run(t, calculator(), nil)
	require.Equal(t, "ENV_FAILED", r.Stage.Code)
	assert.NotContains(t, fmt.Sprintf("%+v", r.Stage), canary)
}
