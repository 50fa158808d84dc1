package testrun

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A script that no test runs is named with the setting that leaves it out, and only where that
// would be enough.
func TestTheScriptsThatCostTheGateAreNamed(t *testing.T) {
	next := func(files ...string) string {
		r := judge(t, input(t), 0, green().with("coverage.xml", covered(files...)))
		require.Equal(t, []string{"COVERAGE_BELOW"}, codes(r.Stage.Problems)[:1])
		return r.Stage.Next
	}
	found := next("lstm/model.py 100 100", "main.py 0 900")
	assert.Contains(t, found, "No test runs main.py, which the pipeline starts as a script")
	assert.Contains(t, found, `test.coverage.omit: ["tests/**", "**/test_*.py", "**/conftest.py", "setup.py", "docs/**", "main.py"]`)
	assert.NotContains(t, next("lstm/model.py 60 100", "main.py 0 900"), "main.py", "it would not be enough")
	assert.NotContains(t, next("lstm/model.py 100 100", "other.py 0 900"), "other.py", "code that no test runs counts")
	assert.NotContains(t, next("lstm/model.py 100 100", "main.py 1 900"), "main.py", "a test runs it")
}

func TestAModuleThatCostsTheGateIsNamedLikeAScript(t *testing.T) {
	for _, file := range []string{"a/fit.py", "src/a/fit.py", "a/fit/__main__.py"} {
		in := input(t)
		in.Config.Train.Command = []string{"python", "-m", "a.fit"}
		r := judge(t, in, 0, green().with("coverage.xml", covered("lstm/model.py 100 100", file+" 0 900")))
		assert.Contains(t, r.Stage.Next, "No test runs "+file+", which the pipeline starts", file)
	}
}
