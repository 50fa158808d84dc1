//go:build unix

package filetree_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
)

// plenty is more than the tests need.
var plenty = filetree.Limits{Files: 1000, Bytes: 1 << 30}

// left makes what a step left, and an empty directory to take it to.
func left(t *testing.T) (from, to string) {
	t.Helper()
	dir := t.TempDir()
	from, to = filepath.Join(dir, "from"), filepath.Join(dir, "to")
	require.NoError(t, os.Mkdir(from, 0o755))
	require.NoError(t, os.Mkdir(to, 0o755))
	return from, to
}

func TestCollectMovesWhatIsNamed(t *testing.T) {
	from, to := left(t)
	write(t, from, "report/deep/a.xml", "a", 0o600)
	write(t, from, "tool", "t", 0o700)
	write(t, from, "unnamed", "u", 0o600)
	write(t, from, "report/other", "o", 0o600)
	require.NoError(t, os.Symlink("deep/a.xml", filepath.Join(from, "report", "link")))
	require.NoError(t, os.Symlink("report/deep", filepath.Join(from, "linked")))
	require.NoError(t, os.Link(filepath.Join(from, "unnamed"), filepath.Join(from, "twin")))
	before, err := os.Stat(filepath.Join(from, "report", "other"))
	require.NoError(t, err)

	tree, err := filetree.Collect(t.Context(), from, []string{"report", "linked", "tool", "twin", "missing"}, to, plenty)
	require.NoError(t, err)
	assert.Equal(t, []string{"linked/a.xml", "report/deep/a.xml", "report/link", "report/other", "tool", "twin"}, list(t, tree))
	for name, want := range map[string]string{"linked/a.xml": "a", "report/link": "a", "report/deep/a.xml": "a", "tool": "t", "twin": "u"} {
		content, err := tree.Read(t.Context(), name, 10)
		require.NoError(t, err)
		assert.Equal(t, want, string(content), name)
	}
	after, err := os.Stat(filepath.Join(to, "report", "other"))
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after), "a file is moved")
	assert.Equal(t, os.FileMode(0o644), after.Mode().Perm())
	require.NoError(t, os.WriteFile(filepath.Join(from, "unnamed"), []byte("changed"), 0o600))
	content, err := tree.Read(t.Context(), "twin", 10)
	require.NoError(t, err)
	assert.Equal(t, "u", string(content), "a file with a second name is copied")
	info, err := os.Stat(filepath.Join(to, "tool"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), info.Mode().Perm())
}

func TestCollectNamesWhatIsNoFile(t *testing.T) {
	for sentence, c := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"a FIFO":        {func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "out", "fifo"), 0o600) }, "take out/fifo: it is neither a file nor a directory"},
		"a link out":    {func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "out", "link")) }, "take out/link: it is a link to /etc/passwd, outside of the tree"},
		"a broken link": {func(dir string) error { return os.Symlink("nothing", filepath.Join(dir, "out", "link")) }, "take out/link: follow link"},
		"a circle":      {func(dir string) error { return os.Symlink(".", filepath.Join(dir, "out", "link")) }, "take out/link: the link leads back"},
		"no directory":  {os.RemoveAll, "take .: "},
		"too deep": {func(dir string) error {
			root, err := os.OpenRoot(filepath.Join(dir, "out"))
			for range 30 {
				if err != nil {
					return err
				}
				next := (*os.Root)(nil)
				if err = root.Mkdir(strings.Repeat("d", 200), 0o700); err == nil {
					next, err = root.OpenRoot(strings.Repeat("d", 200))
				}
				if closed := root.Close(); err == nil {
					err = closed
				}
				root = next
			}
			if err == nil {
				err = root.Close()
			}
			return err
		}, "file name too long"},
	} {
		t.Run(sentence, func(t *testing.T) {
			from, to := left(t)
			write(t, from, "out/good", "g", 0o600)
			require.NoError(t, c.make(from))
			_, err := filetree.Collect(t.Context(), from, []string{"out"}, to, plenty)
			var fault *runner.FileError
			require.ErrorAs(t, err, &fault)
			assert.ErrorContains(t, err, c.want)
			assert.Empty(t, list(t, filetree.Dir(to)), "nothing is taken")
		})
	}
}

func TestCollectMeasuresBeforeItTakes(t *testing.T) {
	for sentence, c := range map[string]struct {
		limits filetree.Limits
		want   string
	}{
		"as much as is allowed": {filetree.Limits{Files: 12, Bytes: 1<<40 + 10}, ""},
		"a file too many":       {filetree.Limits{Files: 11, Bytes: 1 << 41}, "more than 11 files and directories, many of them in out"},
		"a byte too many":       {filetree.Limits{Files: 12, Bytes: 1<<40 + 9}, "the largest file is out/model with 1099511627776"},
	} {
		t.Run(sentence, func(t *testing.T) {
			from, to := left(t)
			for n := range 10 {
				write(t, from, fmt.Sprintf("out/%d", n), "x", 0o600)
			}
			// A hole that no disk here would hold if it were written out.
			write(t, from, "out/model", "", 0o600)
			require.NoError(t, os.Truncate(filepath.Join(from, "out", "model"), 1<<40))
			tree, err := filetree.Collect(t.Context(), from, []string{"out"}, to, c.limits)
			if c.want == "" {
				require.NoError(t, err)
				assert.Len(t, list(t, tree), 11)
				return
			}
			require.ErrorIs(t, err, filetree.ErrTooMuch)
			require.ErrorContains(t, err, c.want)
			assert.Empty(t, list(t, filetree.Dir(to)))
		})
	}
}

func TestDirectoriesCountToo(t *testing.T) {
	from, to := left(t)
	// Each directory has two links to the next one: 2^20 paths.
	for n := range 20 {
		dir := filepath.Join(from, "out", fmt.Sprint(n))
		require.NoError(t, os.MkdirAll(dir, 0o755))
		for _, name := range []string{"a", "b"} {
			require.NoError(t, os.Symlink(fmt.Sprintf("../%d", n+1), filepath.Join(dir, name)))
		}
	}
	require.NoError(t, os.MkdirAll(filepath.Join(from, "out", "20"), 0o755))
	_, err := filetree.Collect(t.Context(), from, []string{"out"}, to, plenty)
	require.ErrorIs(t, err, filetree.ErrTooMuch)
}

func TestCollectEndsWithItsContext(t *testing.T) {
	from, to := left(t)
	write(t, from, "out/a", "x", 0o600)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := filetree.Collect(ctx, from, []string{"out"}, to, plenty)
	require.ErrorIs(t, err, context.Canceled)
}

func TestHolesStayHoles(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int64{"hole": 64 << 20, "odd": 64<<20 + 7, "empty": 0} {
		write(t, dir, "in/"+name, "", 0o600)
		require.NoError(t, os.Truncate(filepath.Join(dir, "in", name), size))
	}
	write(t, dir, "in/mixed", strings.Repeat("\x00", 1<<20)+"data"+strings.Repeat("\x00", 1<<20), 0o600)
	tree := filetree.Dir(filepath.Join(dir, "in"))
	require.NoError(t, tree.Export(t.Context(), filepath.Join(dir, "out")))
	copied := filetree.Dir(filepath.Join(dir, "out"))
	want, err := tree.Digest(t.Context())
	require.NoError(t, err)
	got, err := copied.Digest(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, got)
	info, err := os.Stat(filepath.Join(dir, "out", "hole"))
	require.NoError(t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	assert.Less(t, stat.Blocks*512, int64(1<<20))
}
