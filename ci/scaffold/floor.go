package scaffold

import (
	"fmt"
	"math"
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
)

// floorKey is how much of the code the tests must execute.
const floorKey = "test.coverage.total"

// floor takes the floor that the project has for itself. Files do not tell what the tests reach: see Measured.
func (s *survey) floor(stated pyenv.TestSettings) {
	defaults := config.Default().Test.Coverage.Total
	switch {
	case stated.Floor == 0:
		s.unknown(floorKey, "init --measure runs the tests and finds out; or set `test.coverage.total` to the minimum that you want",
			"the required coverage: no file has fail_under, so it is %v %% of the lines", defaults)
	case stated.Floor == defaults:
	case stated.Combined && stated.Floor > defaults:
		s.unknown(floorKey, "init --measure runs the tests and finds out; or set `test.coverage.total` once you know it",
			"the coverage of one run: the %v %% that %s demands are of several runs together", stated.Floor, stated.FloorFrom)
	default:
		s.set(floorKey, stated.Floor, "%s demands it", stated.FloorFrom)
	}
}

// Measured tells the proposal which fraction of the lines one run of the tests executed, and how that is said,
// such as "63.10% (118 of 187)". Where it is less than the floor, what was reached becomes the floor, with
// the reason: nobody can see a lower gate without seeing that it is one. A floor is never raised.
func (p *Proposal) Measured(fraction float64, said string) {
	asked, by := config.Default().Test.Coverage.Total, "the default"
	at := slices.IndexFunc(p.Settings, func(s Setting) bool { return s.Key == floorKey })
	if at >= 0 {
		if own, ok := p.Settings[at].Value.(float64); ok {
			asked, by = own, p.Settings[at].Why
		}
	}
	p.answered(floorKey)
	p.Found = append(p.Found, fmt.Sprintf("one run of the tests executes %s of the lines", said))
	if fraction*100 >= asked {
		return
	}
	// Whole percents, downwards: a line more or less is no failure.
	reached := math.Floor(fraction*100 + 1e-9)
	floor := Setting{Key: floorKey, Value: reached,
		Why: fmt.Sprintf("lowered from %v (%s): one run executes %s. Raise it with the tests", asked, by, said)}
	if reached == 0 {
		floor.Why = fmt.Sprintf("no floor instead of %v (%s), and each run warns of it: one run executes %s", asked, by, said)
	}
	if at >= 0 {
		p.Settings[at] = floor
	} else {
		p.Settings = append(p.Settings, floor)
	}
}

// Unmeasured tells the proposal why a run of the tests said nothing about coverage.
func (p *Proposal) Unmeasured(why string) {
	p.answered(floorKey)
	p.Unknown = append(p.Unknown, Unknown{What: "how much the tests execute: " + why,
		Next: "solve that, and call init --measure again"})
}

// answered takes out what could not be found out about a setting.
func (p *Proposal) answered(key string) {
	p.Unknown = slices.DeleteFunc(p.Unknown, func(u Unknown) bool { return slices.Contains(u.keys, key) })
}
