package daggertest

import (
	"bytes"
	"cmp"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
)

// update rewrites golden files: go test ./ci/image -update. Packages that define the
// flag themselves and this one cannot be linked into one test.
var update = flag.Bool("update", false, "rewrite the golden files of recorded queries")

// normalise prints a query so that equal graphs print equally: the SDK takes the order
// of arguments from a Go map.
func (e *Engine) normalise(doc *ast.QueryDocument) string {
	for _, operation := range doc.Operations {
		sortArguments(operation.SelectionSet)
	}
	var b bytes.Buffer
	formatter.NewFormatter(&b, formatter.WithIndent("  ")).FormatQueryDocument(doc)
	if e.masked == nil {
		return b.String()
	}
	return e.masked.ReplaceAllString(b.String(), e.mask)
}

func sortArguments(set ast.SelectionSet) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			slices.SortFunc(s.Arguments, func(a, b *ast.Argument) int { return cmp.Compare(a.Name, b.Name) })
			for _, a := range s.Arguments {
				sortValue(a.Value)
			}
			sortArguments(s.SelectionSet)
		case *ast.InlineFragment:
			sortArguments(s.SelectionSet)
		}
	}
}

func sortValue(v *ast.Value) {
	if v == nil {
		return
	}
	if v.Kind == ast.ObjectValue {
		slices.SortFunc(v.Children, func(a, b *ast.ChildValue) int { return cmp.Compare(a.Name, b.Name) })
	}
	for _, child := range v.Children {
		sortValue(child.Value)
	}
}

// Golden compares text with a golden file; with -update it writes the file instead.
func Golden(t testing.TB, file, text string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "run the tests with -update to record this file")
	assert.Equal(t, string(want), text, "%s: the recorded queries changed; if that is meant, run the tests with -update", file)
}
