package assembly

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/coverage"
)

func TestHostChanges(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is missing: changes of the host's tree cannot be told")
	}
	dir := t.TempDir()
	app := filepath.Join(dir, "app")
	run := func(args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com",
			"-c", "init.defaultBranch=main"}, args...)...)
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

	patch, err := hostPatch(t.Context(), app, "base")
	require.NoError(t, err)
	lines, err := coverage.ParsePatch(patch)
	require.NoError(t, err)
	assert.Equal(t, coverage.Changed{"changed.py": {1: true}, "new é.py": {1: true}, "staged.py": {1: true}}, lines)
	_, err = hostPatch(t.Context(), app, "nowhere")
	require.ErrorContains(t, err, "git merge-base: ")
	_, err = hostPatch(t.Context(), t.TempDir(), "base")
	require.Error(t, err, "no repository")
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(app, "link.py")))
	_, err = hostPatch(t.Context(), app, "base")
	require.Error(t, err, "what is outside of the root is not read")
	require.NoError(t, os.Remove(filepath.Join(app, "link.py")))

	_, _, err = hostChanges(t.Context(), app, "nowhere")
	require.ErrorContains(t, err, "git merge-base: ")
	_, _, err = hostChanges(t.Context(), t.TempDir(), "base")
	require.Error(t, err, "no repository")
}

// A source may bring its .git along: what its configuration names must not run, and git must
// not see the variables of this process.
func TestTheRepositorysOwnConfigurationRunsNothing(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is missing: changes of the host's tree cannot be told")
	}
	dir := t.TempDir()
	ran := filepath.Join(t.TempDir(), "ran")
	program := filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\nenv >> "+ran+"\ncat\n"), 0o700)) //nolint:gosec // git is to run it
	run := func(args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com",
			"-c", "init.defaultBranch=main"}, args...)...)
		command.Dir = dir
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.py"), []byte("1"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.txt"), []byte("1"), 0o600))
	run("init", "-q")
	run("add", "a.py", "b.txt")
	run("commit", "-qm", "one")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.py"), []byte("2"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.txt"), []byte("2"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".gitattributes"), []byte("*.py filter=f diff=d\n*.txt filter=x=y\n"), 0o600))
	for key, value := range map[string]string{
		"core.fsmonitor": program, "core.hooksPath": dir, "filter.f.clean": program, "filter.f.process": program,
		"filter.f.required": "true", "filter.x=y.clean": program,
		"diff.external": program, "diff.d.textconv": program, "diff.d.command": program, "core.pager": program,
	} {
		run("config", key, value)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "a-value-of-no-use")
	changed, _, err := hostChanges(t.Context(), dir, "HEAD")
	require.NoError(t, err)
	assert.Equal(t, []string{".gitattributes", "a.py", "b.txt", "program"}, changed)
	assert.NoFileExists(t, ran)

	r := repository{dir: dir, options: []string{"-c", "alias.show-env=!env"}}
	seen, err := r.git(t.Context(), "show-env")
	require.NoError(t, err)
	assert.NotContains(t, seen, "AWS_SECRET_ACCESS_KEY")
}
