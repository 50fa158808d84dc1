package safetext_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

func TestTextOfWindowsIsDecoded(t *testing.T) {
	for content, want := range map[string]string{
		"\xff\xfes\x00i\x00x\x00\n\x00": "six\n", "\xfe\xff\x00s\x00i\x00x": "six", "\xef\xbb\xbfsix": "six", "six": "six",
		"\xff\xfes\x00i": "s", // half a character at the end
		"\xff\xfe":       "", "": "",
	} {
		assert.Equal(t, want, safetext.Decode([]byte(content)))
	}
}
