package assembly

import (
	"bufio"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gitIn runs git in a directory, without the user's settings.
func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.invalid"}, args...)...) //nolint:gosec // of the test
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.TrimSpace(string(out))
}

func TestGitHistory(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	dir := t.TempDir()
	gitIn(t, dir, "init", "-q", "-b", "main")
	put := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		gitIn(t, dir, "add", "-A")
		gitIn(t, dir, "commit", "-qm", name)
	}
	put("a/settings.py", "the first")
	first := gitIn(t, dir, "rev-parse", "HEAD")
	put("a/settings.py", "the second")
	put("large.bin", strings.Repeat("x", maxBlob+1))
	gitIn(t, dir, "checkout", "-q", "-b", "other")
	put("b c.txt", "of another branch")
	gitIn(t, dir, "checkout", "-q", "main")
	gitIn(t, dir, "rm", "-q", "a/settings.py")
	gitIn(t, dir, "commit", "-qm", "delete")

	for name, from := range map[string]string{"a checkout": dir, "a .git directory": filepath.Join(dir, ".git")} {
		out := t.TempDir()
		h, err := gitHistory(from)(t.Context(), out)
		require.NoError(t, err, name)
		assert.Equal(t, 3, h.Files, name)
		assert.Equal(t, 1, h.Left, name)
		found := map[string]string{}
		require.NoError(t, filepath.WalkDir(out, func(file string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(file) //nolint:gosec // of the test
			inner, _ := filepath.Rel(out, file)
			id, path, _ := strings.Cut(filepath.ToSlash(inner), "/")
			found[string(content)] = path
			if string(content) == "the first" {
				assert.Equal(t, map[string]string{id: first}, h.Commits(t.Context(), []string{id, strings.Repeat("0", 40)}), name)
			}
			return err
		}))
		assert.Equal(t, map[string]string{"the first": "a/settings.py", "the second": "a/settings.py", "of another branch": "b c.txt"}, found, name)
	}

	shallow := filepath.Join(t.TempDir(), "shallow")
	gitIn(t, dir, "clone", "-q", "--depth", "1", "file://"+dir, shallow)
	_, err := gitHistory(shallow)(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "shallow")
	_, err = gitHistory(t.TempDir())(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "git rev-parse")

	gone := gitIn(t, dir, "rev-parse", first+":a/settings.py")
	require.NoError(t, os.Remove(filepath.Join(dir, ".git", "objects", gone[:2], gone[2:])))
	_, err = gitHistory(dir)(t.Context(), t.TempDir())
	require.Error(t, err, "an object is gone")
}

// TestGitHistoryOfAnOddRepository: what hides commits hides no content, the commit of a merge is its own, and nothing
// that the configuration names runs.
func TestGitHistoryOfAnOddRepository(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	dir, fired := t.TempDir(), filepath.Join(t.TempDir(), "fired")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	gitIn(t, dir, "init", "-q", "-b", "main")
	put := func(name string) string {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600))
		gitIn(t, dir, "add", "-A")
		return gitIn(t, dir, "rev-parse", ":"+name)
	}
	commit := func(args ...string) string {
		now = now.Add(time.Second)
		t.Setenv("GIT_COMMITTER_DATE", now.Format(time.RFC3339))
		gitIn(t, dir, append([]string{"commit", "-q", "-m", "x"}, args...)...)
		return gitIn(t, dir, "rev-parse", "HEAD")
	}
	want := map[string]string{}
	id := put("first")
	commit()
	// A signature makes git ask a program, if it is to show it.
	text := strings.Replace(gitIn(t, dir, "cat-file", "commit", "HEAD")+"\n", "\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n"+
		" aaaa\n -----END PGP SIGNATURE-----\n\n", 1)
	object := filepath.Join(t.TempDir(), "object")
	require.NoError(t, os.WriteFile(object, []byte(text), 0o600))
	want[id] = gitIn(t, dir, "hash-object", "-t", "commit", "-w", object)
	gitIn(t, dir, "reset", "-q", "--hard", want[id])
	gitIn(t, dir, "checkout", "-q", "-b", "side")
	id = put("side")
	want[id] = commit()
	gitIn(t, dir, "checkout", "-q", "main")
	id = put("main")
	want[id] = commit()
	gitIn(t, dir, "merge", "-q", "--no-commit", "side")
	id = put("of the merge")
	want[id] = commit()
	gitIn(t, dir, "rm", "-q", "-f", "of the merge", "side")
	cut := commit()
	id = put("stashed")
	now = now.Add(time.Second)
	t.Setenv("GIT_COMMITTER_DATE", now.Format(time.RFC3339))
	gitIn(t, dir, "stash", "-q")
	gitIn(t, dir, "replace", "--graft", cut)

	program := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\ntouch '"+fired+"'\n"), 0o700)) //nolint:gosec // it is to run, if anything does
	for _, key := range []string{"gpg.program", "core.fsmonitor", "core.pager", "diff.external"} {
		gitIn(t, dir, "config", key, program)
	}
	gitIn(t, dir, "config", "log.showSignature", "true")

	h, err := gitHistory(dir)(t.Context(), t.TempDir())
	require.NoError(t, err)
	assert.Equal(t, len(want)+1, h.Files)
	found := h.Commits(t.Context(), append(slices.Collect(maps.Keys(want)), id))
	assert.NotEmpty(t, found[id])
	delete(found, id)
	assert.Equal(t, want, found)
	assert.NoFileExists(t, fired)
}

func TestWriteBlobs(t *testing.T) {
	names := map[string]string{"aa": "../../up", "bb": "b"}
	out := t.TempDir()
	files, _, err := writeBlobs(bufio.NewReader(strings.NewReader("aa blob 2\nhi\ncc tree 3\nxyz\nbb blob 0\n\n")), names, out)
	require.NoError(t, err)
	assert.Equal(t, 2, files)
	assert.FileExists(t, filepath.Join(out, "aa", "file"), "a path that leaves the directory does not")
	for text, want := range map[string]string{
		"aa missing\n": "is missing", "aa blob x\n": "another form", "aa blob 9\nhi": "ended early", "a b 2 2\nhi\n": "another form",
		"aa blob 2\nhiX": "ended early",
	} {
		_, _, err := writeBlobs(bufio.NewReader(strings.NewReader(text)), names, t.TempDir())
		require.ErrorContains(t, err, want, text)
	}
}
