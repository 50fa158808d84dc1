package assembly

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

func TestTheConfigurationAboveASourceIsFound(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for sentence, c := range map[string]struct {
		files        []string
		source, want string
	}{
		"in the parent":                   {[]string{"pipeline.yaml", "src/app.py"}, "src", "."},
		"two above":                       {[]string{"pipeline.yaml", ".git/HEAD", "src/deep/app.py"}, "src/deep", "."},
		"the source has its own":          {[]string{"pipeline.yaml", "src/pipeline.yaml"}, "src", ""},
		"the source is a project":         {[]string{"pipeline.yaml", "lib/pyproject.toml"}, "lib", ""},
		"the source has its requirements": {[]string{"pipeline.yaml", "lib/requirements-dev.txt"}, "lib", ""},
		"the source is a checkout":        {[]string{"pipeline.yaml", "lib/.git/HEAD"}, "lib", ""},
		"not beyond the checkout":         {[]string{"pipeline.yaml", "a/.git/HEAD", "a/b/c.py"}, "a/b", ""},
		"nowhere":                         {[]string{".git/HEAD", "a/b.py"}, "a", ""},
		"a source that is not there":      {[]string{".git/HEAD"}, "gone", ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range c.files {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
			}
			t.Chdir(dir)
			assert.Equal(t, c.want, configAbove(c.source))
		})
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	require.NoError(t, os.Mkdir(filepath.Join(home, "three-files"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(home, config.FileName), nil, 0o600))
	assert.Empty(t, configAbove(filepath.Join(home, "three-files")), "what lies in the home belongs to nothing")
}
