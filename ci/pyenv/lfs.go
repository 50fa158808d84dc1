package pyenv

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/glob"
)

const (
	// pointerLimit is more than a pointer has; mostPointers is how many files are looked at, as all or none are fetched.
	pointerLimit, mostPointers = 1 << 10, 5
)

// inLFS is a line of .gitattributes for files that Git LFS holds.
var inLFS = regexp.MustCompile(`(?m)^(?:/|(\*\*/)?)([^\s#]+)[ \t][^\n]*\bfilter=lfs\b`)

// pointer is a file of Git LFS that the stage sees and that was not fetched; empty without one.
func pointer(t *tree) string {
	var patterns []string
	for _, m := range inLFS.FindAllStringSubmatch(t.text(".gitattributes"), -1) {
		pattern := m[2]
		if !strings.Contains(pattern, "/") && !strings.HasPrefix(m[0], "/") {
			pattern = "**/" + pattern
		}
		patterns = append(patterns, pattern)
	}
	looked := 0
	for _, name := range t.names {
		if looked == mostPointers || len(patterns) == 0 {
			break
		}
		if !glob.MatchAny(patterns, name) || glob.MatchAny(t.exclude, name) {
			continue
		}
		looked++
		// One that is larger is the file itself; what cannot be read, the stage reports.
		if content, err := t.source.Read(t.ctx, name, pointerLimit); err == nil && bytes.HasPrefix(content, []byte("version https://git-lfs")) {
			return name
		}
	}
	return ""
}
