package testrun

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/junit"
)

// What pytest declares, read off its own reports: a tear-down that fails is counted in one way before
// pytest 9.1, and in the other since.
func TestEventsCountAsThatPytestDoes(t *testing.T) {
	result := func(when, outcome string) string {
		return `{"event":"result","id":"t","when":"` + when + `","outcome":"` + outcome + `"}` + "\n"
	}
	for name, c := range map[string]struct {
		events      string
		before, now int
		outcome     junit.Outcome
	}{
		"passed":                      {result("call", "passed"), 1, 1, junit.Passed},
		"passed, tear-down fails":     {result("call", "passed") + result("teardown", "failed"), 2, 1, junit.Errored},
		"failed, tear-down fails":     {result("call", "failed") + result("teardown", "failed"), 1, 2, junit.Failed},
		"skipped, tear-down fails":    {result("call", "skipped") + result("teardown", "failed"), 2, 1, junit.Errored},
		"set-up and tear-down fail":   {result("setup", "failed") + result("teardown", "failed"), 2, 1, junit.Errored},
		"run again, then passed":      {result("call", "failed") + result("call", "rerun") + result("call", "passed"), 2, 2, junit.Passed},
		"run again, tear-down fails":  {result("call", "rerun") + result("call", "passed") + result("teardown", "failed"), 2, 1, junit.Errored},
		"a part skipped, then passed": {`{"event":"result","id":"t","when":"call","outcome":"skipped","part":true}` + "\n" + result("call", "passed"), 2, 2, junit.Passed},
		"a part failed":               {`{"event":"result","id":"t","when":"call","outcome":"failed","part":true}` + "\n" + result("call", "failed"), 2, 2, junit.Failed},
		"a part passed, then skipped": {`{"event":"result","id":"t","when":"call","outcome":"passed","part":true}` + "\n" + result("call", "skipped"), 2, 2, junit.Skipped},
	} {
		for version, want := range map[string]int{"8.4.2": c.before, "9.0.3": c.before, "9.1.0": c.now, "10.0.0": c.now} {
			e, err := readEvents(strings.NewReader(`{"event":"session","pytest":"` + version + `"}` + "\n" + `{"event":"start","id":"t"}` + "\n" + c.events))
			require.NoError(t, err)
			assert.Equal(t, want, e.results, "%s, pytest %s", name, version)
			assert.Equal(t, c.outcome, e.tests["t"].outcome, name)
		}
	}
}
