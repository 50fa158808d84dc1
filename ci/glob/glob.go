// Package glob matches slash-separated relative paths against the patterns of pipeline.yaml: those of doublestar,
// with ** for any number of directories and {a,b} for alternatives.
package glob

import (
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Match reports whether a pattern takes a path. One that names a directory takes all below it; an empty one takes nothing.
func Match(pattern, name string) bool {
	if pattern == "" {
		return false
	}
	pattern = strings.TrimSuffix(strings.TrimPrefix(pattern, "./"), "/")
	if pattern == "." || pattern == "" {
		return true
	}
	return doublestar.MatchUnvalidated(pattern, name) || doublestar.MatchUnvalidated(pattern+"/**", name)
}

// MatchAny reports whether one of the patterns takes a path, as Match has it.
func MatchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return Match(pattern, name) })
}

var special = regexp.MustCompile(`[*?\[\]{}\\!]`)

// Escape makes a pattern that matches the path name and no other.
func Escape(name string) string { return special.ReplaceAllString(name, `\$0`) }

// EscapeAll is Escape for each name.
func EscapeAll(names []string) []string {
	patterns := make([]string, len(names))
	for i, name := range names {
		patterns[i] = Escape(name)
	}
	return patterns
}
