package codes

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

var update = flag.Bool("update", false, "rewrite docs/codes.md")

func TestTheDocumentationHasEveryCode(t *testing.T) {
	all, err := All()
	require.NoError(t, err)
	file := filepath.Join("..", "..", "docs", "codes.md")
	text := codesMarkdown(all)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, text, string(written), "run go test ./ci/codes -update")
}

func TestEveryCodeSaysWhatItMeansAndWhatToDo(t *testing.T) {
	all, err := All()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	name := regexp.MustCompile(`^[A-Z][A-Z0-9_]+$`)
	for _, code := range all {
		assert.Regexp(t, name, code.Name)
		assert.NotEmpty(t, code.Meaning, code.Name)
		assert.NotEmpty(t, code.Remedy, code.Name)
		assert.Contains(t, append(verdict.Stages(), verdict.Preflight, "any"), code.Stage, code.Name)
	}
}
