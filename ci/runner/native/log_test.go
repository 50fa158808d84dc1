package native

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// shown is what the log shows of some writes of a command called x.
func shown(t *testing.T, redact func(string) string, writes ...string) string {
	t.Helper()
	var out bytes.Buffer
	w := (&lineLog{w: &out, redact: redact}).named("x")
	for _, text := range writes {
		n, err := w.Write([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, len(text), n)
	}
	w.flush()
	return out.String()
}

func TestLinesOfTheLog(t *testing.T) {
	for sentence, c := range map[string]struct {
		writes []string
		want   string
	}{
		"whole lines":                        {[]string{"a\nb\n"}, "x | a\nx | b\n"},
		"a line in pieces":                   {[]string{"a", "b", "\nc"}, "x | ab\nx | c\n"},
		"an empty line":                      {[]string{"a\n\nb\n"}, "x | a\nx | \nx | b\n"},
		"a carriage return ends a line":      {[]string{"1%\r2%\r", "3%"}, "x | 1%\nx | 2%\nx | 3%\n"},
		"both ends are one":                  {[]string{"a\r\nb\r", "\nc"}, "x | a\nx | b\nx | c\n"},
		"an empty line after both":           {[]string{"a\r\n\r\nb"}, "x | a\nx | b\n"},
		"commands of CI systems":             {[]string{"a ##[error]b\r::add-mask::c\n"}, "x | a # #[error]b\nx | : :add-mask::c\n"},
		"terminal sequences":                 {[]string{"\x1b]0;title\x07\x1b[2Ja\x1b", "[31mb\n"}, "x | ab\n"},
		"separators of lines besides":        {[]string{"a\u2028::error::b\v::c\n"}, "x | a\nx | : :error::b\nx | : :c\n"},
		"bytes that are no text":             {[]string{"a\xffb\n"}, "x | a\uFFFDb\n"},
		"a character in two writes":          {[]string{"\xc3", "\xa9\n"}, "x | \u00e9\n"},
		"nothing":                            {nil, ""},
		"the end of a line without anything": {[]string{"\n"}, "x | \n"},
	} {
		assert.Equal(t, c.want, shown(t, nil, c.writes...), sentence)
	}
}

func TestALongLineIsCut(t *testing.T) {
	for _, length := range []int{longestLine + 1, longestLine + margin, 1 << 20} {
		got := shown(t, nil, strings.Repeat("a", length), "\nnext\n")
		line, rest, _ := strings.Cut(got, "\n")
		assert.LessOrEqual(t, len(line), longestLine+len("x | …"))
		assert.True(t, strings.HasSuffix(line, "a…"), length)
		assert.Equal(t, "x | next\n", rest)
	}
}

func TestNoSecretInTheLog(t *testing.T) {
	const secret = "correct-horse-battery"
	redact := verdict.Redact(secret)
	assert.Equal(t, "x | a "+verdict.Mask+" b\n", shown(t, redact, "a correct-", "horse-battery b\n"))
	// However the cut of a long line falls, no part of the secret is shown.
	for offset := range 2 * len(secret) {
		for _, at := range []int{longestLine, longestLine + margin} {
			text := strings.Repeat(secret, 20) + strings.Repeat("a", at-20*len(secret)-offset) + secret + "\n"
			assert.NotContains(t, shown(t, redact, text), "correct", offset)
		}
	}
}

func TestOutputWithoutLineEndsIsNotKept(t *testing.T) {
	var out bytes.Buffer
	w := (&lineLog{w: &out}).named("x")
	chunk := bytes.Repeat([]byte("a"), 4<<10)
	for range 16 << 10 {
		_, err := w.Write(chunk)
		require.NoError(t, err)
	}
	w.flush()
	assert.LessOrEqual(t, cap(w.line), 4*(longestLine+margin), "what is scanned again, and held, is bounded")
	assert.LessOrEqual(t, out.Len(), 2*longestLine)
}

func TestTheTailKeepsTheEnd(t *testing.T) {
	kept := &tail{limit: 4}
	for _, text := range []string{"abc", "def", "\xff"} {
		_, err := kept.Write([]byte(text))
		require.NoError(t, err)
	}
	assert.Equal(t, "def\uFFFD", kept.String())
}
