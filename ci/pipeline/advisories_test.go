package pipeline

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAdvisories(t *testing.T) {
	b, _ := backend(t, withConfig(""))
	archive := write(t, "pypi.zip", "the records")
	b.Advisories = func(context.Context) (string, error) { return archive, nil }
	b.ImageAdvisories = func(context.Context) (string, error) { return "", errors.New("no route") }
	dir := filepath.Join(t.TempDir(), "for", "them")
	text, err := Advisories(t.Context(), b, dir)
	require.ErrorContains(t, err, "Grype: no route")
	assert.Contains(t, text, "pypi.zip (Python packages, from osv.dev): 11 bytes, sha256:")
	assert.FileExists(t, filepath.Join(dir, "pypi.zip"), "what came is there")
	b.Advisories = func(context.Context) (string, error) { return archive + ".gone", nil }
	b.ImageAdvisories = nil
	_, err = Advisories(t.Context(), b, dir)
	require.ErrorContains(t, err, "write advisories")
	_, err = Advisories(t.Context(), b, archive)
	require.ErrorContains(t, err, "write advisories")
}
