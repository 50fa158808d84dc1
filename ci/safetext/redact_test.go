package safetext_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

func TestRedactLeavesTheRest(t *testing.T) {
	same := "nothing to hide: abc 123"
	assert.Equal(t, same, safetext.Redact()(same))
	assert.Equal(t, same, safetext.Redact("", "  ", "abc")(same), "values shorter than 4 bytes would mask half the report")
	assert.Equal(t, "*** and ***", safetext.Redact("password", "password-long")("password-long and password"), "the longest first")
}

// A password may be a word that reports are full of.
func TestAWordIsHiddenWhereItStandsAlone(t *testing.T) {
	for name, tc := range map[string]struct{ secret, text, want string }{
		"a word":                     {"pass", "3 passed, the password is pass, bypass", "3 passed, the password is ***, bypass"},
		"with punctuation around it": {"secret", "user:secret@host secret.", "user:***@host ***."},
		"a number":                   {"1234", "12345 of 1234", "12345 of ***"},
		"an identifier":              {"test_a", "test_a test_ab my_test_a", "*** test_ab my_test_a"},
		"another case":               {"Pass", "pass PASS Pass", "pass PASS ***"},
		"short, of two kinds":        {"ab1", "ab1", "ab1"},
		"short, of two kinds of it":  {"abc12", "abc12 abc123", "*** abc123"},
		"no word, wherever it is":    {"c4n4ry88", "xc4n4ry88x", "x***x"},
		"a long word, wherever":      {"correcthorsebatterystaple", "xcorrecthorsebatterystaplex", "x***x"},
		"a word in base64":           {"pass", "cGFzcw== cGFzcw", "*** ***"},
		"a word and a phrase":        {"pass", "p-a-s-s", "p-a-s-s"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, safetext.Redact(tc.secret)(tc.text)) })
	}
	assert.Equal(t, "*** ***", safetext.Redact("pass", "pass-phrase")("pass-phrase pass"))
	assert.True(t, safetext.Masks("pass"))
	assert.False(t, safetext.Masks(" abc\n"))
	assert.False(t, safetext.Masks(""))
}

func TestRedactXML(t *testing.T) {
	hide := safetext.Redact("testcase", "c4n4ry88")
	for name, tc := range map[string]struct{ in, want string }{
		"markup stays":                        {`<testcase name="a testcase"/>`, `<testcase name="a ***"/>`},
		"text, comments and CDATA":            {`<a><!-- c4n4ry88 --><![CDATA[c4n4ry88]]>c4n4ry88</a>`, `<a><!-- *** --><![CDATA[***]]>***</a>`},
		"everywhere if it is not well formed": {`<testcase name="c4n4ry88"`, `<*** name="***"`},
		"nothing to mask":                     {`<testsuite/>`, `<testsuite/>`},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, safetext.RedactXML(tc.in, hide)) })
	}
}
