package teststage

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// TestOnlyAPassIsRememberedUnderTheEngine calls twice, each time in a session of its own, as a user does. The time
// at which a report was begun tells whether it is the first call's.
func TestOnlyAPassIsRememberedUnderTheEngine(t *testing.T) {
	reachable.Engine(t)
	type report struct {
		Verdict, Started string
	}
	passes := moody()
	passes["tests/test_calc.py"] = "from calc.model import sign\n\ndef test_sign():\n    assert sign(-1) == -1\n"
	absent := moody()
	absent["requirements-test.txt"] = pinned + "\nopenstack-rca-has-no-such-package==1.0\n"

	for verdict, p := range map[string]project{"pass": passes, "fail": moody(), "could-not-run": absent} {
		t.Run(verdict, func(t *testing.T) {
			source := p.write(t)
			tested := func() report {
				said := call(t, nil, "--source", source, "test", "json")
				require.Equal(t, 0, said.exit, said.all)
				var r report
				require.NoError(t, json.Unmarshal([]byte(said.stdout), &r))
				require.Equal(t, verdict, r.Verdict, said.stdout)
				return r
			}
			first, second := tested(), tested()
			if verdict == "pass" {
				assert.Equal(t, first.Started, second.Started, "the module was not started for the second call")
			} else {
				assert.NotEqual(t, first.Started, second.Started, "the second call tried again")
			}
			if verdict == "fail" {
				enforced := call(t, nil, "--source", source, "test", "enforce")
				assert.Equal(t, 1, enforced.exit)
				assert.Contains(t, enforced.all, "FAIL test TESTS_FAILED")
			}
		})
	}
}
