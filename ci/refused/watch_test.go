package refused

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

func TestAStepWithANetworkIsLeftAlone(t *testing.T) {
	step := runner.Step{Name: "train", PythonPath: []string{"src"}}
	assert.Equal(t, step, Watch(fake.New(), step))
	step.Offline = true
	watched := Watch(fake.New(), step)
	assert.Equal(t, []string{watchDir, "src"}, watched.PythonPath)
	require.Len(t, watched.Inputs, 1)
	assert.Empty(t, step.Inputs)
}

// The hosts are named even if the program hides them, and the project's own sitecustomize
// runs as it would without.
func TestTheHostsThatAProgramHidesAreNamed(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	dir, own := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sitecustomize.py"), watcher, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(own, "sitecustomize.py"), []byte("print('the own one')\n"), 0o600))
	run := func(program string) string {
		command := exec.Command(python, "-c", program)
		command.Env = []string{"PYTHONPATH=" + dir + ":" + own, "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
		assert.Contains(t, string(out), "the own one")
		return string(out)
	}
	// Names that end in .invalid exist nowhere; a numeric address needs no resolution.
	const hidden = "import socket\nfor n in ('data.example.invalid', 'data.example.invalid', b'two.example.invalid', 'localhost', None):\n" +
		" try: socket.getaddrinfo(n, 80)\n except OSError: pass\n"
	said := run(hidden)
	assert.Equal(t, []string{"data.example.invalid", "two.example.invalid"}, Hosts(said))
	assert.Len(t, slices.DeleteFunc(strings.Split(strings.TrimSpace(said), "\n"), Own), 1, "its lines are told from the program's")
	const address = "import socket\ns = socket.socket(); s.settimeout(0.01)\ntry: s.connect(('192.0.2.7', 80))\nexcept OSError: pass\n" +
		"try: s.connect(('127.0.0.1', 1))\nexcept OSError: pass\n"
	assert.Equal(t, []string{"192.0.2.7"}, Hosts(run(address)))
	assert.Empty(t, Hosts(run("print('fine')")))
}
