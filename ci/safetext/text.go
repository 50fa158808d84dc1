// Package safetext makes text from outside safe to show: it removes control characters and
// commands of CI systems, and masks secrets. Apply Redact before Text and Line: they cut text,
// and half a secret is not recognised.
package safetext

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxText is the default limit of Text, in characters.
	MaxText = 20000
	// MaxLine is the default limit of Line, in characters.
	MaxLine = 2000
)

var (
	// ANSI escape sequences: CSI, OSC (ended by BEL or ST), other string sequences,
	// and two-character escapes. What does not match still loses its ESC.
	ansi = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b[\\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\\\)?|\x1b[ -/]*[0-Z\\\\^-~]")
	// Commands that CI systems take anywhere in a line: ##[error] (GitHub
	// Actions, v1), ##vso[...] (Azure), ##teamcity[...].
	hashCommand = regexp.MustCompile(`##(\w*\[)`)
	// Commands that they take at the start of a line: ::set-output (GitHub Actions, v2).
	colonCommand = regexp.MustCompile(`(?m)^([\s\p{Z}]*):(:+)`)
)

// Text makes text from outside safe to print in a terminal, in a CI job's log and in a
// report: no escape sequences, no control characters besides newline and tab, no
// bidirectional or invisible formatting, no command of a CI system, valid UTF-8, at most
// limit characters (0 means MaxText).
func Text(s string, limit int) string {
	if limit <= 0 {
		limit = MaxText
	}
	// Nothing beyond four bytes a character and some slack for what is removed can
	// survive the cut; the rest is not worth scanning.
	if most := 16*limit + 4096; len(s) > most {
		s = s[:most]
	}
	if harmless(s) {
		return Cut(s, limit)
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	// Each pass only where there is something for it: most text has none of these.
	if strings.ContainsRune(s, '\x1b') {
		s = ansi.ReplaceAllString(s, "")
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(visible, s)
	if strings.Contains(s, "##") {
		s = hashCommand.ReplaceAllString(s, "# #$1")
	}
	if strings.Contains(s, "::") {
		s = colonCommand.ReplaceAllString(s, "$1: $2")
	}
	return Cut(s, limit)
}

// Line is Text on one line: runs of white space become one space. A limit of 0 means MaxLine.
func Line(s string, limit int) string {
	if limit <= 0 {
		limit = MaxLine
	}
	// Twice: joining lines can bring a command to the start of the only line.
	return Text(strings.Join(strings.Fields(Text(s, 4*limit)), " "), limit)
}

// harmless reports whether s needs no change, as most text.
func harmless(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x7f || c < ' ' && c != '\n' && c != '\t' {
			return false
		}
	}
	return !strings.Contains(s, "::") && !strings.Contains(s, "##")
}

// visible drops invisible characters and those that change how their neighbours are shown.
func visible(r rune) rune {
	switch {
	case r >= ' ' && r < 0x7f || r == '…':
		return r
	case r == '\n' || r == '\t':
		return r
	case r == '\r' || r == '\v' || r == '\f' || r == '\u0085' || r == '\u2028' || r == '\u2029':
		return '\n'
	case r == '\u200c' || r == '\u200d':
		return r // joiners, which scripts and emoji need
	case unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r):
		return -1
	case r >= 0xE0100 && r <= 0xE01EF: // invisible selectors, able to carry hidden text
		return -1
	}
	return r
}

// Count is a number with its noun, such as "1 file is" or "2 files are".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Cut shortens s to limit characters, the last being an ellipsis.
func Cut(s string, limit int) string {
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	n := 0
	for i := range s {
		if n == limit-1 {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
