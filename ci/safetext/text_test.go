package safetext

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestText(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"plain text stays":                         {"tests/test_a.py::test_b[x-1] ok\n\tindented", "tests/test_a.py::test_b[x-1] ok\n\tindented"},
		"colours go":                               {"\x1b[31;1mred\x1b[0m", "red"},
		"a title escape goes with its text":        {"a\x1b]0;owned\x07b", "ab"},
		"a hyperlink escape goes":                  {"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"},
		"an unfinished escape cannot eat the log":  {"\x1b]0;never ends\nnext line", "\nnext line"},
		"escapes inside escapes leave no ESC":      {"\x1b[\x1b[0m31mx", "[31mx"},
		"carriage returns become lines":            {"a\r\nb\rc", "a\nb\nc"},
		"control characters go":                    {"a\x00b\x08c\x7fd\u009be", "abcde"},
		"bidirectional controls go":                {"user\u202egnp.exe\u2066x\u2069\u200f", "usergnp.exex"},
		"zero-width and byte order marks go":       {"a\u200bb\ufeffc\u00add", "abcd"},
		"hidden tag characters go":                 {"a\U000E0041\U000E0042b", "ab"},
		"joined emoji stay":                        {"👩\u200d💻 naïve 測試", "👩\u200d💻 naïve 測試"},
		"invalid UTF-8 is shown as such":           {"a\xff\xfeb", "a\uFFFDb"},
		"a workflow command is disarmed":           {"::set-output name=x::y", ": :set-output name=x::y"},
		"also behind white space":                  {"ok\n  \u00a0::error::x", "ok\n  \u00a0: :error::x"},
		"also when an escape hid it":               {"\x1b[0m:\x1b[0m:stop-commands::x", ": :stop-commands::x"},
		"old workflow commands anywhere":           {"x ##[error]boo ##vso[task.setvariable]", "x # #[error]boo # #vso[task.setvariable]"},
		"unicode line separators are lines":        {"a\u2028::add-mask::b", "a\n: :add-mask::b"},
		"double colons inside a line are harmless": {"a::b", "a::b"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, Text(tc.in, 0)) })
	}
	assert.Equal(t, "abcd…", Text("abcdefgh", 5))
	assert.Len(t, []rune(Text(strings.Repeat("é", 1<<20), 100)), 100)
}

func TestLine(t *testing.T) {
	assert.Equal(t, "a b c", Line("  a\n\tb \r\n c\n", 0))
	assert.Equal(t, ": :x", Line("\n\n::x", 0))
	assert.Equal(t, "a : :x", Line("a\n::x", 0))
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "\x1b[31mx\x1b[0m", "::set-env::", "##[x]", "\u202e", "a\r\n::b", "\x1b]8;;x\x07", ":::::", "####[["} {
		f.Add(s, 40)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 1 + (limit&0x7fffffff)%5000
		out := Text(s, limit)
		assert.True(t, utf8.ValidString(out))
		assert.LessOrEqual(t, utf8.RuneCountInString(out), limit)
		assert.NotRegexp(t, regexp.MustCompile(`##\w*\[`), out)
		for _, line := range strings.Split(out, "\n") {
			assert.False(t, strings.HasPrefix(strings.TrimFunc(line, unicode.IsSpace), "::"), "%q", line)
		}
		for _, r := range out {
			assert.True(t, r == '\n' || r == '\t' || !unicode.IsControl(r), "%U", r)
			assert.False(t, r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069, "%U", r)
		}
		line := Line(s, limit)
		assert.NotContains(t, line, "\n")
		assert.False(t, strings.HasPrefix(line, "::"))
	})
}
