package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// called runs the command and returns its exit code and what it printed on standard output.
func called(t *testing.T, args ...string) (int, string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	code := execute(t.Context(), args, out, out)
	content, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	require.NoError(t, out.Close())
	return code, string(content)
}

func TestInitWritesOnceAndCheckNever(t *testing.T) {
	source := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(source, "tests"), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(source, "tests", "test_a.py"), []byte("def test(): pass\n"), 0o600))
	config, workflow := filepath.Join(source, "pipeline.yaml"), filepath.Join(source, ".github", "workflows", "pipeline.yml")

	code, out := called(t, "init", "--check", "--source", source, "--ci", "github")
	assert.Equal(t, 1, code, out)
	assert.Contains(t, out, "--- .github/workflows/pipeline.yml")
	assert.NoFileExists(t, config)

	code, out = called(t, "init", "--source", source, "--ci", "github")
	assert.Equal(t, 0, code, out)
	first, err := os.ReadFile(config)
	require.NoError(t, err)
	assert.FileExists(t, workflow)

	code, out = called(t, "init", "--check", "--source", source, "--ci", "github")
	assert.Equal(t, 0, code, out)
	require.NoError(t, os.WriteFile(config, append(first, "# mine\n"...), 0o600))
	code, out = called(t, "init", "--source", source, "--ci", "github")
	assert.Equal(t, 0, code)
	assert.Contains(t, out, "kept       pipeline.yaml")
	mine, err := os.ReadFile(config)
	require.NoError(t, err)
	assert.Contains(t, string(mine), "# mine")
}

func TestInitWritesNothingThroughALink(t *testing.T) {
	source, outside := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(source, "a.py"), nil, 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(source, ".buildkite")))
	code, out := called(t, "init", "--source", source, "--ci", "buildkite")
	assert.NotEqual(t, 0, code, out)
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Empty(t, entries)
	assert.Error(t, writeBelow(source, "../x", ""))
}

func TestOnlyAnUnchangedFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "pipeline.yaml")
	require.NoError(t, os.WriteFile(name, []byte("old"), 0o600))
	require.ErrorContains(t, replaceBelow(dir, "pipeline.yaml", "older", "new"), "changed meanwhile")
	require.NoError(t, replaceBelow(dir, "pipeline.yaml", "old", "new"))
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, "new", string(content))
	require.Error(t, replaceBelow(dir, "gone.yaml", "", "new"))
	require.Error(t, replaceBelow(dir, "../x", "", "new"))
}
