package scaffold

import (
	"fmt"
	"math"
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
)

// floorKey is the key of the total coverage floor.
const floorKey = "test.coverage.total"

// floor proposes the project's own coverage floor. What the tests really reach is not in the files; see Measured.
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

// Measured adds the measured coverage to the proposal: the fraction of executed lines, and its text, such as "63.10% (118 of
// 187)". If it is below the floor it becomes the floor, with the reason as a comment, so that nobody overlooks a lowered
// gate. A floor is never raised.
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
	// Whole percents, rounded down, so that one line more or less is not a failure.
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

// Unmeasured adds to the proposal why coverage could not be measured.
func (p *Proposal) Unmeasured(why string) {
	p.answered(floorKey)
	p.Unknown = append(p.Unknown, Unknown{What: "how much the tests execute: " + why,
		Next: "solve that, and call init --measure again"})
}

// answered removes the open questions that a setting answers.
func (p *Proposal) answered(key string) {
	p.Unknown = slices.DeleteFunc(p.Unknown, func(u Unknown) bool { return slices.Contains(u.keys, key) })
}
