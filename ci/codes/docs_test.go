package codes

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// variables are the beginnings of names that look like codes and are environment variables, or
// values of other systems.
var variables = regexp.MustCompile(`^(AWS|MLFLOW|DOCKER|PIP|GITHUB|IMAGE_ADDRESS|RCA|MISE|SETUPTOOLS|IMMUTABLE|MODEL_DIR|ROLLBACK_FAILED|CI|CIRCLE|NO_COLOR|SIGN_KEY|PUBLIC_KEY|CUDA|CUBLAS|TF|UV)(_|$)`)

func TestTheDocumentationNamesCodesThatExist(t *testing.T) {
	all, err := All()
	require.NoError(t, err)
	known := map[string]bool{}
	for _, code := range all {
		known[code.Name] = true
	}
	require.True(t, known["COVERAGE_BELOW"])
	code := regexp.MustCompile("`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`")
	checked := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "examples/*/*.md"} {
		pages, err := filepath.Glob(filepath.Join("..", "..", pattern))
		require.NoError(t, err)
		for _, page := range pages {
			text, err := os.ReadFile(page)
			require.NoError(t, err)
			for _, found := range code.FindAllStringSubmatch(string(text), -1) {
				checked++
				assert.True(t, known[found[1]] || variables.MatchString(found[1]), "%s: %s is not a code", strings.TrimPrefix(page, "../../"), found[1])
			}
		}
	}
	assert.Greater(t, checked, 100)
}
