package engine

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestExpand(t *testing.T) {
	for pattern, want := range map[string][]string{
		"plain/**":          {"plain/**"},
		"*.{py,csv}":        {"*.py", "*.csv"},
		"{a,b}/{c,d}":       {"a/c", "a/d", "b/c", "b/d"},
		"{a,{b,c}}.txt":     {"a.txt", "b.txt", "c.txt"},
		"{only}":            {"only"},
		"a{,.bak}":          {"a", "a.bak"},
		"unclosed{a,b":      {"unclosed{a,b"},
		"closing}only":      {"closing}only"},
		`escaped\{a,b\}`:    {`escaped\{a,b\}`},
		"ends with slash\\": {"ends with slash\\"},
	} {
		assert.Equal(t, want, expand([]string{pattern}), pattern)
	}
	assert.Nil(t, expand(nil))
}

func TestLiteral(t *testing.T) {
	assert.Equal(t, `odd \[1\]\*\?.txt`, literal("odd [1]*?.txt"))
}
