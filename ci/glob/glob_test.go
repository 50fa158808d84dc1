package glob_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/glob"
)

func TestEscapedNamesMatchThemselvesAlone(t *testing.T) {
	names := []string{"a*b.py", "a?b", "[ab]", "{a,b}", `back\slash`, "!not", "!(a)", "plain/name.py", "**"}
	for i, pattern := range glob.EscapeAll(names) {
		assert.Equal(t, glob.Escape(names[i]), pattern)
		for j, name := range names {
			assert.Equal(t, i == j, glob.Match(pattern, name), "%s for %s", pattern, name)
		}
	}
	assert.False(t, glob.Match(glob.Escape("a*b.py"), "axb.py"))
	assert.Empty(t, glob.EscapeAll(nil))
}

func TestMatchAnyNeedsOne(t *testing.T) {
	assert.True(t, glob.MatchAny([]string{"x", "a/**"}, "a/b.py"))
	assert.False(t, glob.MatchAny([]string{"x", ""}, "a/b.py"))
	assert.False(t, glob.MatchAny(nil, "a/b.py"))
}

func TestPatternsTakeFilesAndDirectories(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"tests/**", "tests/a/b.py", true}, {"tests", "tests/a.py", true}, {"tests/", "tests/a.py", true}, {"tests", "tests2/a.py", false},
		{"**/test_*.py", "test_a.py", true}, {"**/test_*.py", "x/y/test_a.py", true}, {"*.py", "a/b.py", false},
		{"./lstm/*.py", "lstm/a.py", true}, {".", "a.py", true}, {"./", "a.py", true}, {"", "a.py", false}, {"{a,b}/*.py", "b/x.py", true},
	} {
		assert.Equal(t, c.want, glob.Match(c.pattern, c.name), "%+v", c)
	}
}
