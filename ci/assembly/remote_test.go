package assembly

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheBranchOfARemoteIsItsCommit(t *testing.T) {
	loose, packed := strings.Repeat("a", 40), strings.Repeat("b", 40)
	files := map[string]string{
		"refs/remotes/origin/main": loose + "\n", "refs/remotes/origin/HEAD": "ref: refs/remotes/origin/main\n", "refs/remotes/origin/broken": "x",
		"packed-refs": "# pack-refs with: peeled fully-peeled sorted\n" + packed + " refs/remotes/origin/release/1.x\n^" + loose + "\n" +
			packed + " refs/remotes/origin/main\n" + "short refs/remotes/origin/short\n",
	}
	read := func(name string) string { return files[name] }
	for since, want := range map[string]string{
		"origin/main": loose, "origin/release/1.x": packed, "origin/gone": "origin/gone", "origin/broken": "origin/broken", "origin/short": "origin/short",
		"origin/HEAD": "origin/HEAD", "main": "main", "feature/x": "feature/x", "origin/main~1": "origin/main~1", "a/../b": "a/../b", loose: loose,
	} {
		assert.Equal(t, want, remoteCommit(read, since), since)
	}
	assert.Equal(t, "origin/main", remoteCommit(func(string) string { return "" }, "origin/main"))
}
