package image

import (
	"regexp"
	"strings"
)

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

// traced is what the engine appends to its errors for its own progress view.
var traced = regexp.MustCompile(`\s*\[traceparent:[0-9a-f-]+\]`)

// plain is an error for users: one line, redacted.
func (s *session) plain(err error) string {
	return s.redact(oneLine(traced.ReplaceAllString(err.Error(), "")))
}

func oneLine(text string) string { return clip(strings.Join(strings.Fields(text), " "), 500) }
