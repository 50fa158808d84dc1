package scaffold

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// TestAFloorIsLoweredInSight: what a run reached becomes the floor, never a higher one, and both the file and
// the terminal say what it was lowered from.
func TestAFloorIsLoweredInSight(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for name, c := range map[string]struct {
		stated   string
		fraction float64
		want     float64
		why      string
	}{
		"nobody has a floor":               {"", 118.0 / 187, 63, "Lowered from 80 (the default): one run executes N. Raise it with the tests."},
		"the default is reached":           {"", 0.8, 80, ""},
		"the default is just not reached":  {"", 0.79999, 79, "Lowered from 80"},
		"a whole percent stays itself":     {"", 0.58, 58, "Lowered from 80"},
		"much more is reached":             {"", 1, 80, ""},
		"the project's own is reached":     {"report.fail_under=60", 0.6, 60, "Pyproject.toml demands it"},
		"the project's own is not reached": {"report.fail_under=60", 0.35, 35, "Lowered from 60 (pyproject.toml demands it)"},
		"that of several runs":             {"report.fail_under=100\nrun.parallel=true", 0.99, 80, ""},
		"several runs, and little":         {"report.fail_under=100\nrun.parallel=true", 0.7, 70, "Lowered from 80"},
		"nothing is executed":              {"", 0, 0, "No floor instead of 80 (the default), and each run warns of it"},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := propose(t, map[string]string{"a/__init__.py": "", "run.py": "", "tests/test_a.py": "",
				"pyproject.toml": "[project]\nname='thing'\nrequires-python='>=3.11'\n[tool.coverage]\n" + c.stated + "\n"})
			p.Measured(c.fraction, "N")
			cfg, err := config.Load([]byte(p.Config()), config.Sandbox)
			require.NoError(t, err, p.Config())
			assert.InDelta(t, c.want, cfg.Test.Coverage.Total, 0)
			assert.Contains(t, strings.ToLower(p.Config()), strings.ToLower(c.why))
			text := p.Text(nil, none)
			assert.Contains(t, text, "one run of the tests executes N of the lines")
			assert.NotContains(t, text, "the required coverage")
			assert.NotContains(t, text, "the coverage of one run:")
			assert.Equal(t, strings.Contains(c.why, "owered"), strings.Contains(text, "lowered from"), text)
			assert.Equal(t, 1, strings.Count(p.Config(), "coverage:"), "one section: %s", p.Config())
		})
	}
}

func TestARunThatMeasuresNothingLeavesTheFloor(t *testing.T) {
	p, _ := propose(t, map[string]string{"a.py": "", "tests/test_a.py": ""})
	p.Unmeasured("FAIL test TESTS_FAILED: 1 of 2")
	cfg, err := config.Load([]byte(p.Config()), config.Sandbox)
	require.NoError(t, err)
	assert.InDelta(t, 80, cfg.Test.Coverage.Total, 0)
	text := p.Text(nil, func(string) (string, bool) { return "", false })
	assert.Contains(t, text, "how much the tests execute: FAIL test TESTS_FAILED: 1 of 2")
	assert.Contains(t, text, "call init --measure again")
	assert.NotContains(t, text, "the required coverage")
}

func TestAnOwnFloorIsNoQuestion(t *testing.T) {
	p, _ := propose(t, map[string]string{"a.py": "", "tests/test_a.py": ""})
	said := func(own string) string { return p.Text(nil, func(string) (string, bool) { return own, true }) }
	assert.NotContains(t, said("test: {coverage: {total: 70}}"), "the required coverage")
	assert.Contains(t, said("name: x"), "the required coverage")
	assert.Contains(t, said("a: [\x00"), "the required coverage")
}
