package modelfile_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

func TestAVersionIsOneVersion(t *testing.T) {
	for text, want := range map[string]bool{
		"3.13.2": true, "3.14.0rc1": true, "2.16.0+cpu": true, "1!2.0": true, "3.15.0-dev": true, "": false, "3.13.2\n": false, "3.13.2 ": false,
		"3.13.2\r-rhttp://127.0.0.1/r": false, "3.1\v2": false, "3.1\x00": false, "3.1;x": false, "3.1#": false, "3.1 --index-url=x": false, "3.1\u2028x": false,
	} {
		assert.Equal(t, want, modelfile.ValidVersion(text), "%q", text)
	}
}
