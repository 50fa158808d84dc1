package teststage

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// shop uses a package that only its lock file brings.
func shop() project {
	return project{
		"shop.py":            "import six\n\ndef text(x):\n    return six.ensure_str(x)\n",
		"tests/test_shop.py": "import iniconfig\nimport shop\n\ndef test_text():\n    assert shop.text(b'a') == 'a'\n",
	}
}

func TestAPoetryLockIsInstalled(t *testing.T) {
	p := shop()
	for _, name := range []string{"pyproject.toml", "poetry.lock"} {
		content, err := os.ReadFile(filepath.Join("testdata", "poetry", name))
		require.NoError(t, err)
		p[name] = string(content)
	}
	r := run(t, p, nil)
	require.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Contains(t, codes(r.Stage.Warnings), "TOOLS_ADDED")
	assert.NotContains(t, codes(r.Stage.Warnings), "REQUIREMENTS_UNLOCKED")
}

// installed is a program of PyPI, installed for this test alone.
func installed(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	venv := filepath.Join(t.TempDir(), "venv")
	for _, command := range [][]string{
		{"python3", "-m", "venv", venv},
		{filepath.Join(venv, "bin", "pip"), "install", "--quiet", name},
	} {
		out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return filepath.Join(venv, "bin", name)
}

// lockedByUV is a project with the lock file that uv makes for it.
func lockedByUV(t *testing.T, p project) project {
	t.Helper()
	dir := p.write(t)
	lock := exec.CommandContext(t.Context(), installed(t, "uv"), "lock", "--quiet")
	lock.Dir = dir
	out, err := lock.CombinedOutput()
	require.NoError(t, err, string(out))
	content, err := os.ReadFile(filepath.Join(dir, "uv.lock"))
	require.NoError(t, err)
	return p.with(project{"uv.lock": string(content)})
}

func TestAUVLockIsInstalled(t *testing.T) {
	p := lockedByUV(t, shop().with(project{
		"pyproject.toml": "[project]\nname = \"shop\"\nversion = \"1.0\"\nrequires-python = \">=3.10\"\ndependencies = [\"six\"]\n\n[dependency-groups]\ndev = [\"pytest\", \"pytest-cov\", \"iniconfig\"]\n",
	}))
	r := run(t, p, nil)
	require.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Equal(t, []string{"GATES_NONE", "GATE_UNSET"}, codes(r.Stage.Warnings), "all is locked, nothing was added")
}
