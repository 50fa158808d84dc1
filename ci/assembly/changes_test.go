package assembly

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHostChanges(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is missing: changes of the host's tree cannot be told")
	}
	dir := t.TempDir()
	app := filepath.Join(dir, "app")
	run := func(args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"}, args...)...)
		command.Dir = dir
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	write := func(name, content string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	for _, name := range []string{"app/same.py", "app/changed.py", "app/gone.py", "app/staged.py", "outside.py"} {
		write(name, "1")
	}
	run("init", "-q")
	run("add", ".")
	run("commit", "-qm", "one")
	run("branch", "base")
	write("app/changed.py", "2")
	run("commit", "-qam", "two")
	write("app/staged.py", "2")
	run("add", ".")
	write("app/new é.py", "1")
	write("outside.py", "2")
	require.NoError(t, os.Remove(filepath.Join(app, "gone.py")))

	changed, removed, err := hostChanges(t.Context(), app, "base")
	require.NoError(t, err)
	assert.Equal(t, []string{"changed.py", "new é.py", "staged.py"}, changed)
	assert.Equal(t, []string{"gone.py"}, removed)

	_, _, err = hostChanges(t.Context(), app, "nowhere")
	require.ErrorContains(t, err, "git merge-base: ")
	_, _, err = hostChanges(t.Context(), t.TempDir(), "base")
	require.Error(t, err, "no repository")
}
