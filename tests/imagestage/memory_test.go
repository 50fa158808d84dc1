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

	for i := range 16 {
		from := t.TempDir()
		for j := range 2 {
			name := filepath.Join(from, "key"+strconv.Itoa(2*i+j)+".json")
			require.NoError(t, os.WriteFile(name, []byte(`{"number": `+strconv.Itoa(2*i+j)+`, "without_model": "w`+strconv.Itoa(i)+`"}`), 0o600))
		}
		memory(t, "remember", dir, from)
	}
	known := recall()
	assert.Len(t, known, 30)
	assert.Equal(t, "w15", known["key31"])
	assert.NotContains(t, known, "key0")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 30, "nothing unfinished stays")
	content, err := os.ReadFile(filepath.Join(to, "key31.json"))
	require.NoError(t, err)
	assert.JSONEq(t, `{"number": 31, "without_model": "w15"}`, string(content))
}
