package conformance

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

func (s *suite) files(t *testing.T) {
	tree := s.texts(map[string]string{
		"a.py": "a", "src/b.py": "b", "src/deep/c.py": "c", "src/deep/c.txt": "text", "data dir/größe.csv": "1;2",
	})
	t.Run("are listed sorted", func(t *testing.T) {
		assert.Equal(t, []string{"a.py", "data dir/größe.csv", "src/b.py", "src/deep/c.py", "src/deep/c.txt"}, names(t, tree))
		assert.Empty(t, names(t, s.texts(nil)))
	})
	for sentence, c := range map[string]struct{ include, exclude, want []string }{
		"filtered by a file":                   {[]string{"src/b.py"}, nil, []string{"src/b.py"}},
		"filtered by a directory":              {[]string{"src/deep"}, nil, []string{"src/deep/c.py", "src/deep/c.txt"}},
		"filtered by a glob of the root":       {[]string{"*.py"}, nil, []string{"a.py"}},
		"filtered by a glob of any depth":      {[]string{"**/*.py"}, nil, []string{"a.py", "src/b.py", "src/deep/c.py"}},
		"filtered by alternatives":             {[]string{"{a.py,data dir}"}, nil, []string{"a.py", "data dir/größe.csv"}},
		"filtered by what to leave out":        {nil, []string{"src", "data dir"}, []string{"a.py"}},
		"filtered by both, leaving out last":   {[]string{"src"}, []string{"**/*.txt"}, []string{"src/b.py", "src/deep/c.py"}},
		"filtered until nothing is left":       {[]string{"none/**"}, nil, nil},
		"filtered by a pattern with two stars": {[]string{"src/**"}, nil, []string{"src/b.py", "src/deep/c.py", "src/deep/c.txt"}},
	} {
		t.Run("are "+sentence, func(t *testing.T) {
			assert.ElementsMatch(t, c.want, names(t, tree.Filter(c.include, c.exclude)))
		})
	}
	t.Run("have parts", func(t *testing.T) {
		assert.Equal(t, []string{"b.py", "deep/c.py", "deep/c.txt"}, names(t, tree.Sub("src")))
		assert.Equal(t, names(t, tree), names(t, tree.Sub(".")))
		_, err := tree.Sub("none").List(t.Context())
		require.Error(t, err, "a part that is missing is not an empty part")
	})
	t.Run("are overlaid", func(t *testing.T) {
		over := tree.Sub("src").
			With("deep", s.texts(map[string]string{"c.py": "new", "d.py": "d"})).
			With(".", s.texts(map[string]string{"e": "e"}))
		assert.Equal(t, []string{"b.py", "deep/c.py", "deep/c.txt", "deep/d.py", "e"}, names(t, over))
		assert.Equal(t, "new", read(t, over, "deep/c.py"))
		assert.Equal(t, "c", read(t, tree, "src/deep/c.py"), "what was overlaid stays as it was")
	})
	t.Run("are read within a limit", func(t *testing.T) {
		assert.Equal(t, "1;2", read(t, tree, "data dir/größe.csv"))
		exact, err := tree.Read(t.Context(), "src/deep/c.txt", 4)
		require.NoError(t, err)
		assert.Equal(t, "text", string(exact))
		_, err = tree.Read(t.Context(), "src/deep/c.txt", 3)
		require.ErrorIs(t, err, runner.ErrTooLarge)
		_, err = tree.Read(t.Context(), "src/none", 3)
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("have a size", func(t *testing.T) {
		size, err := tree.Size(t.Context(), "src/deep/c.txt")
		require.NoError(t, err)
		assert.Equal(t, int64(4), size)
		_, err = tree.Size(t.Context(), "src/none")
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("are exported", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "new", "directory")
		require.NoError(t, tree.Export(t.Context(), dir))
		content, err := os.ReadFile(filepath.Join(dir, "data dir", "größe.csv"))
		require.NoError(t, err)
		assert.Equal(t, "1;2", string(content))
	})
	t.Run("have a digest of their content", func(t *testing.T) {
		one := s.texts(map[string]string{"a": "1", "b/c": "2"})
		assert.Equal(t, digest(t, one), digest(t, s.texts(map[string]string{"b/c": "2", "a": "1"})))
		assert.NotEqual(t, digest(t, one), digest(t, s.texts(map[string]string{"a": "1", "b/c": "3"})))
		assert.NotEqual(t, digest(t, one), digest(t, s.texts(map[string]string{"a": "1", "b/d": "2"})))
	})
	if s.opts.Source != nil {
		t.Run("come from a directory of the host", s.source)
	}
}

func (s *suite) source(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "run me.sh"), []byte("#!/bin/sh\necho ran\n"), 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "data"), []byte{0, 255, 10}, 0o644))
	files := s.opts.Source(t, dir)
	assert.Equal(t, []string{"run me.sh", "sub/data"}, names(t, files))
	assert.Equal(t, "\x00\xff\n", read(t, files, "sub/data"))

	require.NoError(t, os.MkdirAll(filepath.Join(dir, "env", "bin"), 0o755))
	require.NoError(t, os.Symlink("/usr/bin/python3", filepath.Join(dir, "env", "bin", "python")))
	files = s.opts.Source(t, dir).Filter(nil, []string{"env"})
	assert.Equal(t, []string{"run me.sh", "sub/data"}, names(t, files), "links that lead out do not matter where they are left out")
	digest(t, files)

	step := s.python(`open("sub/data", "a").write("changed"); open("new", "w").close()`)
	step.Inputs = []runner.Mount{{Path: ".", Files: files}}
	s.succeed(t, step)
	content, err := os.ReadFile(filepath.Join(dir, "sub", "data"))
	require.NoError(t, err)
	assert.Equal(t, []byte{0, 255, 10}, content, "what a step writes does not reach the source")
	assert.NoFileExists(t, filepath.Join(dir, "new"))

	step = s.python(``)
	step.Args = []string{"./run me.sh"}
	step.Inputs = []runner.Mount{{Path: ".", Files: files}}
	assert.Equal(t, "ran\n", s.succeed(t, step).Stdout, "the executable bit reaches the step")
}
