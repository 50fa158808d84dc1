package imagestage_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// memory runs the script that keeps proofs, with this host's Python.
func memory(t *testing.T, args ...string) []byte {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on this machine")
	}
	out, err := exec.CommandContext(t.Context(), python, append([]string{"-I", "../../ci/image/scripts/memory.py"}, args...)...).Output()
	require.NoError(t, err)
	return out
}

func TestProofsAreKeptWholeAndTheNewestOfThem(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	recall := func() map[string]string {
		var known map[string]string
		require.NoError(t, json.Unmarshal(memory(t, "recall", dir, to), &known))
		return known
	}
	assert.Empty(t, recall())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "torn.json"), []byte(`{"seen": "20`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "list.json"), []byte(`[]`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "strange.txt"), nil, 0o600))
	assert.Empty(t, recall(), "what cannot be read is left out")

	for i := range 31 {
		from := t.TempDir()
		for j := range 2 {
			name := filepath.Join(from, "key"+strconv.Itoa(2*i+j)+".json")
			require.NoError(t, os.WriteFile(name, []byte(`{"number": `+strconv.Itoa(2*i+j)+`, "without_model": "w`+strconv.Itoa(i)+`"}`), 0o600))
		}
		memory(t, "remember", dir, from)
	}
	known := recall()
	assert.Len(t, known, 60)
	assert.Equal(t, "w30", known["key61"])
	assert.NotContains(t, known, "key0")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 60, "nothing unfinished stays")
	content, err := os.ReadFile(filepath.Join(to, "key61.json"))
	require.NoError(t, err)
	assert.JSONEq(t, `{"number": 61, "without_model": "w30"}`, string(content))
}

func TestWhatOthersFoundIsKeptAsItIs(t *testing.T) {
	dir, from, to := t.TempDir(), t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(from, "a.found"), []byte("no JSON"), 0o600))
	memory(t, "remember", dir, from)
	assert.JSONEq(t, `{"a.found": ""}`, string(memory(t, "recall", dir, to)))
	content, err := os.ReadFile(filepath.Join(to, "a.found"))
	require.NoError(t, err)
	assert.Equal(t, "no JSON", string(content))

	// All together have a bound: the oldest make room.
	for i := range 10 {
		from = t.TempDir()
		file, err := os.Create(filepath.Join(from, strconv.Itoa(i)+".found"))
		require.NoError(t, err)
		require.NoError(t, file.Truncate(8<<20))
		require.NoError(t, file.Close())
		memory(t, "remember", dir, from)
	}
	var known map[string]string
	require.NoError(t, json.Unmarshal(memory(t, "recall", dir, t.TempDir()), &known))
	assert.Len(t, known, 8)
	assert.Contains(t, known, "9.found")
}
