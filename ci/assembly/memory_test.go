package assembly

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFolderKeepsWhatWasFound(t *testing.T) {
	ctx := t.Context()
	f := folder(filepath.Join(t.TempDir(), "found"))
	assert.Nil(t, f.Recall(ctx, "a"))
	require.NoError(t, f.Keep(ctx, map[string][]byte{"a": []byte("1")}))
	assert.Equal(t, "1", string(f.Recall(ctx, "a")))
	require.NoError(t, f.Keep(ctx, map[string][]byte{"a": []byte("2")}))
	assert.Equal(t, "2", string(f.Recall(ctx, "a")))
	assert.Nil(t, f.Recall(ctx, ""))
	info, err := os.Stat(filepath.Join(string(f), "a"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, os.Truncate(filepath.Join(string(f), "a"), maxFound+1))
	assert.Nil(t, f.Recall(ctx, "a"), "not one of Keep's")
	require.NoError(t, os.Mkdir(filepath.Join(string(f), "dir"), 0o700))
	assert.Nil(t, f.Recall(ctx, "dir"))
	require.NoError(t, os.Remove(filepath.Join(string(f), "dir")))

	part := filepath.Join(string(f), ".part-old")
	require.NoError(t, os.WriteFile(part, nil, 0o600))
	require.NoError(t, os.Chtimes(part, time.Now().Add(-48*time.Hour), time.Now().Add(-48*time.Hour)))
	for i := range keptFound + 5 {
		name := strconv.Itoa(i)
		require.NoError(t, f.Keep(ctx, map[string][]byte{name: []byte(name)}))
		require.NoError(t, os.Chtimes(filepath.Join(string(f), name), time.Now(), time.Now().Add(time.Duration(i-100)*time.Second)))
	}
	entries, err := os.ReadDir(string(f))
	require.NoError(t, err)
	assert.Len(t, entries, keptFound)
	assert.NoFileExists(t, part)
	assert.Nil(t, f.Recall(ctx, "0"))
	assert.NotNil(t, f.Recall(ctx, strconv.Itoa(keptFound+4)))

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.ErrorContains(t, folder(file).Keep(ctx, map[string][]byte{"a": nil}), "keep what was found")
}
