package safetext_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

func TestLastLines(t *testing.T) {
	assert.Equal(t, []string{"  b", "c"}, safetext.LastLines("a\n\n  b \r\n \t\nc\n\n", 2), "blank lines do not count, indents stay")
	assert.Equal(t, []string{"a"}, safetext.LastLines("a", 5))
	assert.Equal(t, []string{"\uFFFDa"}, safetext.LastLines("\xffa", 1))
	for _, nothing := range []string{"", "\n", " \n\t\r\n"} {
		assert.Empty(t, safetext.LastLines(nothing, 5))
	}
	assert.Empty(t, safetext.LastLines("a", 0))
	long := safetext.LastLines(strings.Repeat("é", 5000), 1)
	assert.Len(t, []rune(long[0]), 1000)
	assert.True(t, strings.HasSuffix(long[0], "…"))
}
