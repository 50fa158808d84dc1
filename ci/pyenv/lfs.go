package pyenv

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/glob"
)

const (
	// pointerLimit is larger than any pointer file. mostPointers limits how many files are checked, because either all or
	// none are fetched.
	pointerLimit, mostPointers = 1 << 10, 5
)

// inLFS matches a line of .gitattributes about files in Git LFS.
var inLFS = regexp.MustCompile(`(?m)^(?:/|(\*\*/)?)([^\s#]+)[ \t][^\n]*\bfilter=lfs\b`)

// pointer returns a file visible to the stage that is an unfetched Git LFS pointer, or an empty string.
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
		// A larger file is the real one. Unreadable files are reported by the stage.
		if content, err := t.source.Read(t.ctx, name, pointerLimit); err == nil && bytes.HasPrefix(content, []byte("version https://git-lfs")) {
			return name
		}
	}
	return ""
}
