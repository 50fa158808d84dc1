package runner_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

func TestTheNameOfATestCanBeTypedAndRunsNothing(t *testing.T) {
	for arg, want := range map[string]string{
		"tests/test_a.py": "tests/test_a.py", "tests/test_a.py::test_b": `"tests/test_a.py::test_b"`,
		"t.py::x[a b]": `"t.py::x[a b]"`, "t.py::x[$(id)]": `'t.py::x[$(id)]'`, "t.py::x[`id`]": "'t.py::x[`id`]'",
		"t.py::x['$a']": `'t.py::x['"'"'$a'"'"']'`, "": `""`,
	} {
		assert.Equal(t, want, runner.Typed(arg))
	}
	assert.Equal(t, "'a b' 'c'", runner.Quote("a b", "c"))
	assert.Empty(t, runner.Quote())
}

func TestAFunctionIsCalledAgainAsItWas(t *testing.T) {
	path := runner.Option{Name: "path", Value: "t.py::x"}
	odd := runner.Option{Name: "path", Value: `t.py::x[a,"b"]`}
	for want, got := range map[string]string{
		"openstack-rca train --verbose":                                   runner.Again{}.Command("train"),
		"openstack-rca train --verbose ":                                  runner.Again{Source: "."}.Command("train") + " ",
		`openstack-rca test --verbose --path "t.py::x"`:                   runner.Again{Source: "."}.Command("test", path),
		`openstack-rca test --verbose --source "a b" --path "t.py::x"`:    runner.Again{Source: "a b"}.Command("test", path),
		`openstack-rca test --verbose --path 't.py::x[a,"b"]'`:            runner.Again{}.Command("test", odd),
		`dagger call --source . test --path "t.py::x" summary`:            runner.Again{Engine: true}.Command("test", path),
		`dagger call --source . test --path '"t.py::x[a,""b""]"' summary`: runner.Again{Engine: true}.Command("test", odd),

		"openstack-rca init":                                runner.Again{Source: "."}.Init(),
		"openstack-rca init --source dir":                   runner.Again{Source: "dir"}.Init(),
		"dagger call --source . init files export --path .": runner.Again{Engine: true}.Init(),
	} {
		assert.Equal(t, want, got)
	}
}
