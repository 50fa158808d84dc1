package testrun

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/junit"
)

// TestTheExcerptSaysWhatDiffers as pytest 9 writes it: the end of a full diff alone misleads.
func TestTheExcerptSaysWhatDiffers(t *testing.T) {
	list := `assert [1.0, 1.0, 1.0, 1.0, 1.0] == [1.0, 1.0, 1.0, 2, 1.0]
  
  At index 3 diff: 1.0 != 2
  
  Full diff:
    [
        1.0,
        1.0,
        1.0,
  -     2,
  +     1.0,
        1.0,
    ]`
	text := "    def test_x():\n>       assert xs == ys\nE       " + strings.ReplaceAll(list, "\n", "\nE       ") + "\n\ntests/test_x.py:4: AssertionError"
	tail := strings.Split(text, "\n")
	found := strings.Join(excerpt(junit.Case{Message: list, Tail: tail[len(tail)-12:]}), "\n")
	assert.Equal(t, "  At index 3 diff: 1.0 != 2\ntests/test_x.py:4: AssertionError", found)

	for sentence, c := range map[string]struct {
		message string
		tail    []string
		want    []string
	}{
		"a short failure keeps its code": {"assert 1 == 2\n +  where 1 = f()", []string{"    def test():", ">       assert f() == 2", "E       assert 1 == 2", "E        +  where 1 = f()", "", "t.py:2: AssertionError"},
			[]string{"    def test():", ">       assert f() == 2", "E       assert 1 == 2", "E        +  where 1 = f()", "", "t.py:2: AssertionError"}},
		"a dictionary": {"assert {'a': 1} == {'a': 2}\n  \n  Differing items:\n  {'a': 1} != {'a': 2}\n  \n  Full diff:\n  x", []string{"1", "2", "3", "4", "5", "6", "t.py:2: AssertionError"},
			[]string{"  Differing items:", "  {'a': 1} != {'a': 2}", "t.py:2: AssertionError"}},
		"many lines":                  {"ValueError: a\n1\n2\n3\n4\n5\n6\n7", []string{"x"}, []string{"1", "2", "3", "4", "5", "6", "..."}},
		"one line, far above its end": {"boom", []string{"1", "2", "3", "4", "5", "6", "7"}, []string{"2", "3", "4", "5", "6", "7"}},
		"nothing":                     {"", nil, nil},
	} {
		t.Run(sentence, func(t *testing.T) {
			assert.Equal(t, c.want, excerpt(junit.Case{Message: c.message, Tail: c.tail}))
		})
	}
}
