package filetree

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// patterns are cleaned doublestar globs.
type patterns []string

// compile checks patterns; the error lists all that are wrong.
func compile(globs []string) (patterns, error) {
	var compiled patterns
	var wrong []error
	for _, glob := range globs {
		clean := path.Clean(glob)
		switch {
		case strings.HasPrefix(glob, "!"):
			wrong = append(wrong, fmt.Errorf("use pattern %q: negation is not supported, use the exclude list", glob))
		case !fs.ValidPath(clean):
			wrong = append(wrong, fmt.Errorf("use pattern %q: it leads out of the tree", glob))
		case !doublestar.ValidatePattern(clean):
			wrong = append(wrong, fmt.Errorf("use pattern %q: %w", glob, doublestar.ErrBadPattern))
		default:
			compiled = append(compiled, clean)
		}
	}
	return compiled, errors.Join(wrong...)
}

// match reports whether a pattern matches the path or one of the directories it is in.
func (p patterns) match(name string) bool {
	for _, pattern := range p {
		if pattern == "." {
			return true
		}
		for dir := name; dir != "."; dir = path.Dir(dir) {
			if doublestar.MatchUnvalidated(pattern, dir) {
				return true
			}
		}
	}
	return false
}

// reach reports whether a pattern names something below the path. An unusable link must
// not hide that files were asked for behind it.
func (p patterns) reach(name string) bool {
	depth := strings.Count(name, "/") + 1
	for _, pattern := range p {
		segments := strings.Split(pattern, "/")
		if len(segments) <= depth {
			continue
		}
		head := strings.Join(segments[:depth], "/")
		if !strings.Contains(head, "**") && doublestar.MatchUnvalidated(head, name) {
			return true
		}
	}
	return false
}
