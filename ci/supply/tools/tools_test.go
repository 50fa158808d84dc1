package tools

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFind(t *testing.T) {
	for _, name := range Names() {
		tool, err := Find(name)
		require.NoError(t, err)
		assert.Regexp(t, `^\d+\.\d+\.\d+$`, tool.Version)
		assert.True(t, tool.Is("Application: x\nVersion: "+tool.Version+"\n"))
		assert.True(t, tool.Is("v"+tool.Version))
		assert.False(t, tool.Is(tool.Version+"1"))
		assert.Contains(t, tool.Build("/out/x"), tool.Package)
		assert.Regexp(t, `(?m)^(tool )?\s*`+tool.Package+`$`, tool.Pin(tool.Mod), "it is a tool of the module")
		assert.Regexp(t, `^1\.\d+\.\d+$`, tool.GoVersion())
		assert.Greater(t, strings.Count(tool.Pin(tool.Sum), "\n"), 300)
	}
	_, err := Find("trivy")
	require.ErrorContains(t, err, `find tool "trivy"`)
	assert.Empty(t, Tool{Mod: "none.mod"}.GoVersion())
}
