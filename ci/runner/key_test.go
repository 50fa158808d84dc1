package runner_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

func TestKey(t *testing.T) {
	assert.Regexp(t, "^[0-9a-f]{64}$", runner.Key("a", 1, nil))
	assert.Equal(t, runner.Key("a", 1), runner.Key("a", 1))
	assert.NotEqual(t, runner.Key("a", "b"), runner.Key("ab"))
	assert.NotEqual(t, runner.Key("a", "b"), runner.Key([]string{"a", "b"}))
	assert.Empty(t, runner.Key(make(chan int)), "nothing is kept under a key that says nothing")
}

func TestProgramIsThisFile(t *testing.T) {
	name, err := os.Executable()
	require.NoError(t, err)
	sum, err := runner.FileSHA256(name)
	require.NoError(t, err)
	assert.Equal(t, sum, runner.Program())
	_, err = runner.FileSHA256(filepath.Join(t.TempDir(), "none"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}
