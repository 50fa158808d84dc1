package kerasfile_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
)

// What the archive says of itself ends in the requirements that the registry hands out.
func TestAKerasVersionWithALineBreakIsRefused(t *testing.T) {
	for _, version := range []string{`3.13.2\r-rhttp://127.0.0.1/r`, `3.13.2\n--index-url=x`, `3.13.2 # x`} {
		entries := good(text(t, functional(lstm(), dense())))
		entries[0].content = `{"keras_version": "` + version + `"}`
		report := inspect(t, pack(t, entries...), kerasfile.Options{})
		require.Len(t, report.Problems, 1, version)
		assert.Equal(t, kerasfile.VersionInvalid.Name, report.Problems[0].Code.Name)
		assert.Empty(t, report.KerasVersion)
	}
}
