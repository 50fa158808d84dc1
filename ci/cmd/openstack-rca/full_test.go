package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAPlanThatCannotBeWrittenIsNoSuccess(t *testing.T) {
	// Nothing can be written to a file that is open for reading.
	path := filepath.Join(t.TempDir(), "out")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	closed, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = closed.Close() }()
	assert.Equal(t, 2, execute(t.Context(), []string{"plan", "--source", filepath.Join(root, "examples", "openstack-rca"), "--ref", "main"},
		closed, os.Stderr))
}
