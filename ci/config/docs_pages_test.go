package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Between backquotes the documentation also names files and hosts that begin like keys.
var notKeys = regexp.MustCompile(`\.(go|json|md|xml|log|txt|html|py|in|lock)$|^test\.case\.name$`)

func TestTheDocumentationNamesKeysThatExist(t *testing.T) {
	known := map[string]bool{}
	for _, k := range keys {
		path := strings.ReplaceAll(k.path, "[]", "")
		for {
			known[path] = true
			dot := strings.LastIndex(path, ".")
			if dot < 0 {
				break
			}
			path = path[:dot]
		}
	}
	require.True(t, known["test.coverage"] && known["rollout.volumes.path"])
	key := regexp.MustCompile("`((?:test|train|publish|image|rollout)\\.[a-z_.]+[a-z])`")
	checked := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "examples/*/*.md"} {
		pages, err := filepath.Glob(filepath.Join("..", "..", pattern))
		require.NoError(t, err)
		for _, page := range pages {
			text, err := os.ReadFile(page)
			require.NoError(t, err)
			for _, found := range key.FindAllStringSubmatch(string(text), -1) {
				if notKeys.MatchString(found[1]) {
					continue
				}
				checked++
				assert.True(t, known[found[1]], "%s: %s is not a key", strings.TrimPrefix(page, "../../"), found[1])
			}
		}
	}
	assert.Greater(t, checked, 100)
}
