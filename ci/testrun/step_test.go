package testrun

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheNameOfATestCanBeTypedAndRunsNothing(t *testing.T) {
	for arg, want := range map[string]string{
		"tests/test_a.py": "tests/test_a.py", "tests/test_a.py::test_b": `"tests/test_a.py::test_b"`,
		"t.py::x[a b]": `"t.py::x[a b]"`, "t.py::x[$(id)]": `'t.py::x[$(id)]'`, "t.py::x[`id`]": "'t.py::x[`id`]'",
		"t.py::x['$a']": `'t.py::x['"'"'$a'"'"']'`,
	} {
		assert.Equal(t, want, typed(arg))
	}
}
