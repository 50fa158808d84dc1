package pyenv

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestVirtualEnvironmentsAreKnownByTheirFiles(t *testing.T) {
	names := []string{"a.py", "apps/env/pyvenv.cfg", "apps/env/bin/activate", "win/pyvenv.cfg", "win/Scripts/activate",
		"tests/data/pyvenv.cfg", "pyvenv.cfg", "bin/activate", "x/bin/activate"}
	slices.Sort(names)
	assert.Equal(t, []string{"apps/env", "win"}, Virtual(names))
	assert.Empty(t, Virtual(nil))
}
