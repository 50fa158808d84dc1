package testrun

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPagesOfCoverageRunNoScript(t *testing.T) {
	left := green().
		with("htmlcov/index.html", "\xef\xbb\xbf<html><head><script>alert(1)</script></head></html>").
		with("htmlcov/deep/x.html", "<script src=coverage_html.js></script>").
		with("htmlcov/coverage_html.js", "alert(1)").with("htmlcov/.gitignore", "*").with("htmlcov/x.svg", "<svg onload=alert(1)>").
		with("htmlcov/style.css", "a{}").with("htmlcov/[odd].png", "PNG").with("htmlcov/status.json", "{}")
	r := judge(t, input(t), 0, left)
	var dir string
	for _, f := range r.Stage.Files {
		if f.Path == "test/htmlcov" {
			dir = f.Local
		}
	}
	require.NotEmpty(t, dir)
	var found []string
	require.NoError(t, filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, err = filepath.Rel(dir, name)
			found = append(found, filepath.ToSlash(name))
		}
		return err
	}))
	assert.Equal(t, []string{"[odd].png", "deep/x.html", "index.html", "style.css"}, found)
	for _, name := range []string{"index.html", "deep/x.html"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		policy, script := strings.Index(string(content), "default-src 'none'"), strings.Index(string(content), "<script")
		assert.Greater(t, script, policy, "the policy comes before what the page holds")
		assert.Positive(t, policy)
		assert.NotContains(t, string(content), "\xef\xbb\xbf")
	}
	assert.Error(t, makeInert(filepath.Join(dir, "none")))

	// A page of holes would be gigabytes of memory.
	require.NoError(t, os.Truncate(filepath.Join(dir, "index.html"), 20<<30))
	require.ErrorContains(t, makeInert(dir), "index.html has 21474836480 bytes")
	assert.NoFileExists(t, filepath.Join(dir, "index.html"))
	assert.FileExists(t, filepath.Join(dir, "deep/x.html"))
}

func TestOnlyPagesOfCoverageAreTakenOver(t *testing.T) {
	for name, want := range map[string]bool{
		"htmlcov/index.html": true, "htmlcov/z_5f5a_größe_py.html": true, "htmlcov/style_cb.css": true, "htmlcov/keybd_closed_cb.png": true,
		"htmlcov/coverage_html_cb.js": false, "junit.xml": false, "htmlcov/a\xffb.html": false, "htmlcov/a\nb.html": false,
		"htmlcov/a\x1b[31mred.html": false, "htmlcov/a\u202eb.html": false,
	} {
		assert.Equal(t, want, isPage(name), "%q", name)
	}
}
