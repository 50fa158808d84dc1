package verdict

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMarkdownText(t *testing.T) {
	const wj = "\u2060"
	for name, tc := range map[string]struct{ in, want string }{
		"names stay legible":     {"tests/test_inference.py 97.1 % (3 of 4)", "tests/test_inference.py 97.1 % (3 of 4)"},
		"a table cell stays one": {"a|b", `a\|b`},
		"no HTML":                {"<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)>"},
		"no entity":              {"&lt;b&gt; & &#60;", "&amp;lt;b&amp;gt; & &amp;#" + wj + "60;"},
		"no link or image":       {"![x](https://evil)", `!\[x\](https:` + wj + `//evil)`},
		"no mention":             {"ping @octocat", "ping @" + wj + "octocat"},
		"an image's reference":   {"r.io/app@sha256:" + strings.Repeat("ab", 32), "r.io/app@sha256:" + strings.Repeat("ab", 32)},
		"a digest is no name":    {"@sha256:" + strings.Repeat("ab", 32), "@" + wj + "sha256:" + strings.Repeat("ab", 32)},
		"no automatic link":      {"www.evil.com http://evil", "www" + wj + ".evil.com http:" + wj + "//evil"},
		"no issue reference":     {"fixes #12", "fixes #" + wj + "12"},
		"no code or emphasis":    {"`a` *b* _c_ ~d~", "\\`a\\` \\*b\\* \\_c\\_ \\~d\\~"},
		"no heading":             {"# big", `\# big`},
		"no list":                {"1. one", `1\. one`},
		"no quote":               {"> said", `\> said`},
		"a backslash is itself":  {`C:\dir|x`, `C:\\dir\|x`},
		"lines are joined":       {"a\n# b", "a # b"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, mdText(tc.in, 0)) })
	}
	assert.Equal(t, "``` a``b ```", mdCode("a``b", 0))
	assert.Equal(t, "`a¦b`", mdCode("a|b", 0))
	assert.Empty(t, mdCode("", 0))
	assert.True(t, strings.HasPrefix(mdFence("x\n````\n"), "`````text\n"))
}

func FuzzMarkdownText(f *testing.F) {
	for _, s := range []string{"", "<b>", "a|b `c` *d*", "@me http://x www.y", "\x1b[31mx\x1b[0m", `\\\|`} {
		f.Add(s, 40)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		cell := mdText(s, 1+(limit&0x7fffffff)%5000)
		assert.NotContains(t, cell, "<")
		assert.NotRegexp(t, regexp.MustCompile("(^|[^\\\\])[`*|\\[\\]]"), strings.ReplaceAll(cell, `\\`, ""))
		assert.NotRegexp(t, regexp.MustCompile(`(^|\W)@\w|://|www\.`), cell)
	})
}
