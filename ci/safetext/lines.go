package safetext

import "strings"

// maxLastLine bounds a line of LastLines, in characters.
const maxLastLine = 1000

// LastLines returns the last n lines of text that are not blank, without white space at their ends.
func LastLines(text string, n int) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n \t"); line != "" {
			lines = append(lines, line)
		}
	}
	lines = lines[max(0, len(lines)-n):]
	for i, line := range lines {
		lines[i] = Cut(strings.ToValidUTF8(line, "\uFFFD"), maxLastLine)
	}
	return lines
}
