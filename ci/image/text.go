package image

import "strings"

// logLines is how much of a log a report shows.
const logLines = 50

// lastLines are the last n lines of text that are not blank.
func lastLines(text string, n int) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n \t"); line != "" {
			lines = append(lines, clip(line, 1000))
		}
	}
	return lines[max(0, len(lines)-n):]
}

// clip shortens text to at most n bytes, at a rune's border.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n-3], "") + "..."
}

func oneLine(text string) string { return clip(strings.Join(strings.Fields(text), " "), 500) }
