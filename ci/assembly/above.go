package assembly

import (
	"os"
	"path/filepath"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// projectFiles are what a folder has that is a project of its own, by glob.
var projectFiles = []string{
	config.FileName, ".git", "pyproject.toml", "setup.py", "setup.cfg", "requirements*", "Pipfile", "environment.y*ml", "Dockerfile",
}

// configAbove is the closest folder above a source that has a pipeline.yaml, relative to the source. It is empty if
// no folder has one, or if the source is a project itself (projectFiles). The search ends at the checkout, and leaves
// out the user's home, where a stray file may lie.
func configAbove(source string) string {
	dir, err := filepath.Abs(source)
	if err != nil || has(dir, projectFiles...) {
		return ""
	}
	home, _ := os.UserHomeDir() // without one there is nothing to stop at
	for above := ".."; ; above = filepath.Join("..", above) {
		parent := filepath.Dir(dir)
		switch {
		case parent == dir || parent == home:
			return ""
		case has(parent, config.FileName):
			return filepath.Join(source, above)
		case has(parent, ".git"):
			return ""
		}
		dir = parent
	}
}

// has reports whether a directory has an entry of one of the names.
func has(dir string, names ...string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, entry := range entries {
		for _, name := range names {
			if ok, err := filepath.Match(name, entry.Name()); ok && err == nil {
				return true
			}
		}
	}
	return false
}
