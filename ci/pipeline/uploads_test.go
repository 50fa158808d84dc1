package pipeline

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/glob"
)

// What a first call uploads is the module, and its source. The limits are a tenth above what they
// are: who needs more raises them knowingly, in a review.
func TestTheModuleUploadsNoMoreThanItNeeds(t *testing.T) {
	const moduleKB, exampleKB = 4_000, 1_050
	root := filepath.Join("..", "..")
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git tells which files are of the repository")
	}
	listed, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Skip("not a checkout of git")
	}
	var module struct {
		Include []string `json:"include"`
	}
	content, err := os.ReadFile(filepath.Join(root, "dagger.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &module))
	var without []string
	for _, pattern := range module.Include {
		excluded, ok := strings.CutPrefix(pattern, "!")
		require.True(t, ok, "%s: everything else is part of the module", pattern)
		without = append(without, excluded)
	}
	sizes := map[string]int64{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // removed and not committed yet
		}
		require.NoError(t, err)
		switch {
		case strings.HasPrefix(name, "examples/openstack-rca/"):
			sizes["example"] += info.Size()
		case !glob.MatchAny(without, name):
			sizes["module"] += info.Size()
			assert.Less(t, info.Size(), int64(400_000), "%s: does the module need it?", name)
		}
	}
	t.Logf("the module has %d KB, the example %d KB", sizes["module"]/1000, sizes["example"]/1000)
	assert.Less(t, sizes["module"], int64(moduleKB*1000))
	assert.Less(t, sizes["example"], int64(exampleKB*1000))
	assert.Positive(t, sizes["module"])
	assert.Positive(t, sizes["example"])
}
