package filetree_test

import (
	"context"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
)

func texts(names ...string) map[string][]byte {
	m := map[string][]byte{}
	for _, name := range names {
		m[name] = []byte("content of " + name)
	}
	return m
}

// fixed is some time long ago.
var fixed = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

func list(t *testing.T, files runner.Files) []string {
	t.Helper()
	names, err := files.List(t.Context())
	require.NoError(t, err)
	return names
}

func write(t *testing.T, dir, name, content string, mode fs.FileMode) {
	t.Helper()
	file := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), mode))
}

func TestFilter(t *testing.T) {
	tree := filetree.New(texts("a.py", "src/b.py", "src/deep/c.py", "src/deep/c.txt", "ümlaut dir/d e.py", "data/x.csv"))
	cases := map[string]struct {
		include, exclude, want []string
	}{
		"nothing given keeps everything":            {nil, nil, []string{"a.py", "data/x.csv", "src/b.py", "src/deep/c.py", "src/deep/c.txt", "ümlaut dir/d e.py"}},
		"a pattern without slash is for the root":   {[]string{"*.py"}, nil, []string{"a.py"}},
		"two stars match any depth, none included":  {[]string{"**/*.py"}, nil, []string{"a.py", "src/b.py", "src/deep/c.py", "ümlaut dir/d e.py"}},
		"a directory takes all below it":            {[]string{"src/deep/"}, nil, []string{"src/deep/c.py", "src/deep/c.txt"}},
		"a glob that names a directory does so too": {[]string{"**/de*"}, nil, []string{"src/deep/c.py", "src/deep/c.txt"}},
		"exclude comes after include":               {[]string{"src"}, []string{"**/*.txt", "src/b.py"}, []string{"src/deep/c.py"}},
		"an excluded directory is gone":             {nil, []string{"src", "data"}, []string{"a.py", "ümlaut dir/d e.py"}},
		"alternatives":                              {[]string{"{a.py,data}"}, nil, []string{"a.py", "data/x.csv"}},
		"a leading ./ means nothing":                {[]string{"./a.py"}, nil, []string{"a.py"}},
		"the root":                                  {[]string{"."}, []string{"s*", "d*", "ü*"}, []string{"a.py"}},
		"nothing matches":                           {[]string{"none"}, nil, []string{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			assert.ElementsMatch(t, c.want, list(t, tree.Filter(c.include, c.exclude)))
		})
	}
}

func TestInvalidDescriptionsFailOnUse(t *testing.T) {
	tree := filetree.New(texts("a", "d/b"))
	cases := map[string]struct {
		files runner.Files
		want  string
	}{
		"a pattern that is no glob":         {tree.Filter([]string{"[a"}, nil), "syntax error in pattern"},
		"a pattern that leads out":          {tree.Filter(nil, []string{"../x"}), "leads out of the tree"},
		"an absolute pattern":               {tree.Filter([]string{"/etc"}, nil), "leads out of the tree"},
		"a negated pattern":                 {tree.Filter([]string{"!a"}, nil), "negation is not supported"},
		"two bad patterns are both named":   {tree.Filter([]string{"[a", "/b"}, nil), "/b"},
		"a part that leads out":             {tree.Sub("../d"), "leads out of the tree"},
		"a part that is missing":            {tree.Sub("none"), "file does not exist"},
		"a part that is a file":             {tree.Sub("a"), "it is a file"},
		"an overlay outside":                {tree.With("../x", tree), "leads out of the tree"},
		"an overlay of another runner":      {tree.With("x", nil), "belongs to another runner"},
		"an overlay of a directory on file": {tree.With("a", tree), "a is a file"},
		"an absolute path":                  {filetree.New(texts("/a")), "not relative and clean"},
		"a path with dots":                  {filetree.New(texts("a/../b")), "not relative and clean"},
		"a file that is a directory":        {filetree.New(texts("a", "a/b")), "a is a file"},
		"a directory that is missing":       {filetree.Dir(filepath.Join(t.TempDir(), "none")), "no such file"},
		"an operation on a failed tree":     {filetree.New(texts("/a")).Filter(nil, nil).Sub("x").With("y", tree), "not relative and clean"},
		"an overlay by a failed tree":       {tree.With("y", filetree.New(texts("/a"))), "not relative and clean"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := c.files.List(t.Context())
			require.ErrorContains(t, err, c.want)
			_, err = c.files.Digest(t.Context())
			require.ErrorContains(t, err, c.want)
			_, err = c.files.Read(t.Context(), "a", 10)
			require.Error(t, err)
			require.ErrorContains(t, c.files.Export(t.Context(), t.TempDir()), c.want)
		})
	}
}

func TestSubAndWith(t *testing.T) {
	tree := filetree.New(texts("a", "d/b"))
	assert.Equal(t, []string{"b"}, list(t, tree.Sub("d/")))
	assert.Equal(t, []string{"a", "d/b"}, list(t, tree.Sub(".")))
	over := tree.With("d", filetree.New(map[string][]byte{"b": []byte("new"), "c": nil})).With(".", filetree.New(texts("e")))
	assert.Equal(t, []string{"a", "d/b", "d/c", "e"}, list(t, over))
	content, err := over.Read(t.Context(), "d/b", 3)
	require.NoError(t, err)
	assert.Equal(t, "new", string(content))
	content, err = tree.Read(t.Context(), "d/b", 100)
	require.NoError(t, err)
	assert.Equal(t, "content of d/b", string(content), "the tree itself is unchanged")
}

func TestReadLimits(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "five", "12345", 0o644)
	for name, files := range map[string]runner.Files{"memory": filetree.New(map[string][]byte{"five": []byte("12345")}), "disk": filetree.Dir(dir)} {
		t.Run(name, func(t *testing.T) {
			content, err := files.Read(t.Context(), "five", 5)
			require.NoError(t, err)
			assert.Equal(t, "12345", string(content))
			_, err = files.Read(t.Context(), "five", 4)
			require.ErrorIs(t, err, runner.ErrTooLarge)
			_, err = files.Read(t.Context(), "six", 4)
			require.ErrorIs(t, err, fs.ErrNotExist)
			_, err = files.Read(t.Context(), "../five", 5)
			require.ErrorContains(t, err, "leads out")
		})
	}
}

func TestDigestIsOfPathsBitsAndBytes(t *testing.T) {
	digest := func(files runner.Files) string {
		t.Helper()
		d, err := files.Digest(t.Context())
		require.NoError(t, err)
		return d
	}
	dir := t.TempDir()
	write(t, dir, "a", "1", 0o644)
	write(t, dir, "d/b", "2", 0o600)
	onDisk := digest(filetree.Dir(dir))
	assert.Equal(t, onDisk, digest(filetree.New(map[string][]byte{"a": []byte("1"), "d/b": []byte("2")})), "where the bytes are does not matter")
	assert.Regexp(t, `^sha256:[0-9a-f]{64}$`, onDisk)

	require.NoError(t, os.Chtimes(filepath.Join(dir, "a"), fixed, fixed))
	assert.Equal(t, onDisk, digest(filetree.Dir(dir)), "times do not matter")
	require.NoError(t, os.Chmod(filepath.Join(dir, "a"), 0o755))
	assert.NotEqual(t, onDisk, digest(filetree.Dir(dir)), "the executable bit does")
	assert.NotEqual(t, onDisk, digest(filetree.New(map[string][]byte{"a": []byte("1"), "d/c": []byte("2")})))
	assert.NotEqual(t, onDisk, digest(filetree.New(map[string][]byte{"a": []byte("1"), "d/b": []byte("3")})))
}

func TestAFileThatChangesUnderTheRunIsAnError(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "1", 0o644)
	tree := filetree.Dir(dir)
	_, err := tree.Digest(t.Context())
	require.NoError(t, err)
	write(t, dir, "a", "2", 0o644)
	_, err = tree.Read(t.Context(), "a", 10)
	require.ErrorIs(t, err, filetree.ErrChanged)
	require.ErrorIs(t, tree.Export(t.Context(), t.TempDir()), filetree.ErrChanged)
}

func TestLinks(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "secret", "s", 0o600)
	dir := t.TempDir()
	write(t, dir, "real/file", "1", 0o755)
	link := func(target, name string) { require.NoError(t, os.Symlink(target, filepath.Join(dir, name))) }
	link("real/file", "to-file")
	link("real", "to-dir")
	tree := filetree.Dir(dir)
	assert.Equal(t, []string{"real/file", "to-dir/file", "to-file"}, list(t, tree))

	link(filepath.Join(outside, "secret"), "escape")
	link(outside, "data")
	link("none", "dangling")
	link("..", "real/up")
	tree = filetree.Dir(dir)
	_, err := tree.List(t.Context())
	require.Error(t, err)
	for _, want := range []string{"take escape:", "outside of the tree", "take dangling:", "take data:", "take real/up:", "leads back"} {
		assert.ErrorContains(t, err, want, "all faults are named at once")
	}
	_, err = tree.Read(t.Context(), "escape", 10)
	require.ErrorContains(t, err, "outside of the tree")
	_, err = tree.Read(t.Context(), "to-file", 10)
	require.NoError(t, err, "a faulty neighbour does not matter to one file")
	_, err = tree.Sub("data").List(t.Context())
	require.ErrorContains(t, err, "outside of the tree")

	assert.Equal(t, []string{"real/file"}, list(t, tree.Filter([]string{"real/file"}, nil)))
	_, err = tree.Filter([]string{"data/*.csv"}, nil).List(t.Context())
	require.ErrorContains(t, err, "take data:", "files asked for behind a link are not silently missing")
	assert.Empty(t, list(t, tree.Filter([]string{"**/*.csv"}, nil)), "files asked for anywhere do not make every link an error")
}

func TestWhatIsReadableLeavesOutTheRest(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write(t, dir, "main.py", "1", 0o644)
	for name, target := range map[string]string{"escape": "/etc/passwd", "data": outside, "dangling": "none"} {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	all := filetree.Dir(dir)
	tree := all.Readable()
	assert.Equal(t, []string{"main.py"}, list(t, tree))
	require.NoError(t, tree.Export(t.Context(), t.TempDir()))
	got, err := tree.Digest(t.Context())
	require.NoError(t, err)
	want, err := all.Filter([]string{"*.py"}, nil).Digest(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, got)
	_, err = all.List(t.Context())
	require.ErrorContains(t, err, "take escape:", "the tree itself still refuses")

	var fault *runner.FileError
	for name, files := range map[string]runner.Files{"itself": tree, "filtered": tree.Filter([]string{"e*"}, nil), "laid over": tree.With("b", filetree.New(texts("c")))} {
		_, err = files.Read(t.Context(), "escape", 10)
		require.ErrorAs(t, err, &fault, "%s: what is left out is not taken for missing", name)
		_, err = files.Size(t.Context(), "escape")
		require.ErrorAs(t, err, &fault, name)
	}
	_, err = tree.Sub("data").List(t.Context())
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, []string{"data/x", "main.py"}, list(t, tree.With("data", filetree.New(texts("x")))), "a file may take its place")
	_, err = filetree.Dir(filepath.Join(dir, "none")).Readable().List(t.Context())
	require.ErrorContains(t, err, "no such file")
}

func TestExport(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "victim", "old", 0o644)
	dir := t.TempDir()
	write(t, dir, "run.sh", "#!", 0o755)
	tree := filetree.Dir(dir).With("ü b", filetree.New(map[string][]byte{"x y": {0, 255}}))
	to := filepath.Join(t.TempDir(), "new", "dir")
	write(t, to, "kept", "k", 0o644)
	require.NoError(t, os.Symlink(filepath.Join(outside, "victim"), filepath.Join(to, "run.sh")))

	require.NoError(t, tree.Export(t.Context(), to))

	info, err := os.Lstat(filepath.Join(to, "run.sh"))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o755), info.Mode(), "a regular executable file, not the link")
	victim, err := os.ReadFile(filepath.Join(outside, "victim"))
	require.NoError(t, err)
	assert.Equal(t, "old", string(victim))
	binary, err := os.ReadFile(filepath.Join(to, "ü b", "x y"))
	require.NoError(t, err)
	assert.Equal(t, []byte{0, 255}, binary)
	assert.FileExists(t, filepath.Join(to, "kept"))

	require.NoError(t, os.RemoveAll(filepath.Join(to, "ü b")))
	require.NoError(t, os.Symlink(outside, filepath.Join(to, "ü b")))
	require.Error(t, tree.Export(t.Context(), to), "not through a link that leads out")
	assert.NoFileExists(t, filepath.Join(outside, "x y"))
	require.Error(t, tree.Export(t.Context(), filepath.Join(to, "kept")))
}

func TestPathsTakesOnlyWhatIsNamed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "report/a.xml", "1", 0o644)
	write(t, dir, "odd [1]*.txt", "1", 0o644)
	write(t, dir, "other", "1", 0o644)
	require.NoError(t, os.Symlink(os.TempDir(), filepath.Join(dir, "escape")))
	assert.Equal(t, []string{"odd [1]*.txt", "report/a.xml"}, list(t, filetree.Paths(dir, []string{"report", "odd [1]*.txt", "missing", "other/below"})))
	_, err := filetree.Paths(dir, []string{"escape"}).List(t.Context())
	require.ErrorContains(t, err, "outside of the tree")
	_, err = filetree.Paths(dir, []string{"../x"}).List(t.Context())
	require.ErrorContains(t, err, "leads out")
	write(t, dir, "in/side", "1", 0o644)
	require.NoError(t, os.Symlink("in", filepath.Join(dir, "alias")))
	assert.Equal(t, []string{"alias/side"}, list(t, filetree.Paths(dir, []string{"alias/side"})))
	outside := t.TempDir()
	write(t, outside, "x", "1", 0o644)
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "far")))
	_, err = filetree.Paths(dir, []string{"far/x"}).List(t.Context())
	require.ErrorContains(t, err, "outside of the tree")
}

func TestACancelledContextEndsReading(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", strings.Repeat("x", 1<<20), 0o644)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tree := filetree.Dir(dir)
	_, err := tree.List(cancelled)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, []string{"a"}, list(t, tree), "the failed attempt is not remembered")
	_, err = tree.Digest(cancelled)
	require.ErrorIs(t, err, context.Canceled)
}

func TestTheLargestLimitReadsTheWholeFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "content", 0o644)
	for name, tree := range map[string]*filetree.Tree{"in memory": filetree.New(map[string][]byte{"a": []byte("content")}), "on the host": filetree.Dir(dir)} {
		content, err := tree.Read(t.Context(), "a", math.MaxInt64)
		require.NoError(t, err, name)
		assert.Equal(t, "content", string(content), name)
	}
}
