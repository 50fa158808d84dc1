package kerasfile_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
)

func TestAVersionIsOneVersion(t *testing.T) {
	for text, want := range map[string]bool{
		"3.13.2": true, "3.14.0rc1": true, "2.16.0+cpu": true, "1!2.0": true, "3.15.0-dev": true, "": false, "3.13.2\n": false, "3.13.2 ": false,
		"3.13.2\r-rhttp://127.0.0.1/r": false, "3.1\v2": false, "3.1\x00": false, "3.1;x": false, "3.1#": false, "3.1 --index-url=x": false, "3.1\u2028x": false,
	} {
		assert.Equal(t, want, kerasfile.ValidVersion(text), "%q", text)
	}
}

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
