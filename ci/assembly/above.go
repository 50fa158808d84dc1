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

// configAbove is the folder above a source that has the pipeline.yaml of its project, relative to the source; empty
// where there is none, and for a source that has anything of a project of its own. It looks no further than the
// checkout, and not at the user's home, where a file may lie that belongs to nothing.
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
