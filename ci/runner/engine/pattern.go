package engine

import "strings"

// expand writes {a,b} out: the engine's patterns have no alternatives. A brace without
// its partner stands for itself.
func expand(patterns []string) []string {
	var all []string
	for _, pattern := range patterns {
		all = append(all, alternatives(pattern)...)
	}
	return all
}

func alternatives(pattern string) []string {
	open := -1
	depth := 0
	var cuts []int
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++ // the next character stands for itself
		case '{':
			if depth == 0 {
				open, cuts = i, nil
			}
			depth++
		case ',':
			if depth == 1 {
				cuts = append(cuts, i)
			}
		case '}':
			if depth == 0 {
				continue
			}
			if depth--; depth > 0 {
				continue
			}
			var all []string
			start := open + 1
			for _, cut := range append(cuts, i) {
				all = append(all, alternatives(pattern[:open]+pattern[start:cut]+pattern[i+1:])...)
				start = cut + 1
			}
			return all
		}
	}
	return []string{pattern}
}

// literal makes a pattern that matches a path and nothing else.
func literal(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(path)
}
