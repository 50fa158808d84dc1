package tutorial

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// TestTheStartOnAnEngine types what the README begins with, in a clone, where an engine is reachable: `make demo`, and
// the call beside it, which then takes most of its work from the engine's cache.
func TestTheStartOnAnEngine(t *testing.T) {
	if testing.Short() {
		t.Skip("the example trains for minutes")
	}
	reachable.Engine(t)
	d := newDesk(t)
	clone := exec.CommandContext(t.Context(), "git", "clone", "--quiet", "--no-local", root, filepath.Join(d.dir, "clone"))
	if out, err := clone.CombinedOutput(); err != nil {
		t.Skipf("this is no git checkout: %s", out)
	}
	d.dir = filepath.Join(d.dir, "clone")
	typed := 0
	for _, b := range blocks(t, "README.md") {
		_, called, _ := strings.Cut(b.text, "# with an engine\n")
		called, _, _ = strings.Cut(called, "\n\n")
		switch {
		case b.text == "make demo\n":
			said, err := d.types(t, b)
			require.NoError(t, err, said)
			assert.NotContains(t, said, "no Dagger engine")
			assert.FileExists(t, filepath.Join(d.dir, "report", "report.html"))
		case called != "":
			said, err := d.types(t, block{text: called})
			require.NoError(t, err, said)
			assert.Contains(t, said, "| image | ✅ pass")
		default:
			continue
		}
		typed++
	}
	assert.Equal(t, 2, typed, "README.md has a start with an engine, and the call for it")
}
