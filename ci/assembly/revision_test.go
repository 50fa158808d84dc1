package assembly

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheRevisionOfACheckout(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	for _, name := range []string{"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"} {
		t.Setenv(name, os.DevNull)
	}
	t.Setenv("HOME", t.TempDir())
	dir := t.TempDir()
	app := filepath.Join(dir, "app")
	git := func(args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), "git", args...)
		command.Dir = dir
		command.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2026-01-31T12:00:00Z", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b.example",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b.example")
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	write := func(name, content string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	write("app/main.py", "print()\n")
	assert.Equal(t, Revision{}, RevisionOf(t.Context(), app, ""), "no repository")
	assert.Equal(t, Revision{}, RevisionOf(t.Context(), filepath.Join(dir, "gone"), ""), "no directory")
	git("init", "-q", "-b", "feature/x")
	assert.Equal(t, Revision{}, RevisionOf(t.Context(), app, ""), "no commit")
	git("add", ".")
	git("commit", "-q", "-m", "a: b")

	clean := RevisionOf(t.Context(), app, "")
	assert.Equal(t, "feature/x", clean.Ref)
	assert.Len(t, clean.Commit, 40)
	assert.Equal(t, "2026-01-31T12:00:00Z", clean.Time[:19]+"Z")
	assert.Empty(t, clean.Uncommitted)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(app, link))
	assert.Equal(t, clean, RevisionOf(t.Context(), link, ""), "a link into the repository")

	write("beside.py", "not part of the source\n")
	write("app/report/report.json", "{}")
	assert.Equal(t, clean, RevisionOf(t.Context(), app, filepath.Join(app, "report")), "neither the source's nor a report")
	write("app/new.py", "")
	write("app/main.py", "print(1)\n")
	assert.Equal(t, []string{"main.py", "new.py", "report/"}, RevisionOf(t.Context(), app, "").Uncommitted)

	git("checkout", "-q", "--detach")
	detached := RevisionOf(t.Context(), app, "")
	assert.Empty(t, detached.Ref, "a detached HEAD names no branch")
	assert.Equal(t, clean.Commit, detached.Commit)
}
