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
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "proof.json")
	recall := func() map[string]any {
		var proofs map[string]any
		require.NoError(t, json.Unmarshal(memory(t, "recall", dir), &proofs))
		return proofs
	}
	assert.Empty(t, recall())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "torn.json"), []byte(`{"seen": "20`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "strange.txt"), nil, 0o600))
	assert.Empty(t, recall(), "what cannot be read is left out")

	for i := range 52 {
		require.NoError(t, os.WriteFile(file, []byte(`{"number": `+strconv.Itoa(i)+`}`), 0o600))
		memory(t, "remember", dir, "key"+strconv.Itoa(i), file)
	}
	proofs := recall()
	assert.Len(t, proofs, 50)
	assert.Equal(t, map[string]any{"number": 51.0}, proofs["key51"])
	assert.NotContains(t, proofs, "key0")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 50, "nothing unfinished stays")
}
