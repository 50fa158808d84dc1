package image

import (
	"regexp"
	"strings"
)

// logLines is how many lines of a log a report shows.
const logLines = 50

// clip shortens text to at most n bytes of whole characters.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n-3], "") + "..."
}

// traced matches what the engine appends to its errors for its progress view.
var traced = regexp.MustCompile(`\s*\[traceparent:[0-9a-f-]+\]`)

// plain is the text of an error for users: one line, redacted.
func (s *session) plain(err error) string {
	return s.redact(oneLine(traced.ReplaceAllString(err.Error(), "")))
}

func oneLine(text string) string { return clip(strings.Join(strings.Fields(text), " "), 500) }
