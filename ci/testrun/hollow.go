package testrun

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/junit"
)

// hollow are the ways in which tests pass whatever the code does.
type hollow struct {
	// optimized means that Python ran without assertions (-O, PYTHONOPTIMIZE), plain that pytest did not
	// rewrite those of test modules either.
	optimized, plain bool
	// returned are tests that returned a value, which pytest ignores.
	returned []string
}

// join adds what another part of the same run told.
func (h *hollow) join(other hollow) {
	h.optimized, h.plain = h.optimized || other.optimized, h.plain || other.plain
	h.returned = append(h.returned, other.returned...)
}

// judge fails a run whose tests could not fail, and warns of those that could hardly.
func (h hollow) judge(r *Result, counts junit.Counts, limited bool) {
	switch {
	case h.optimized && h.plain:
		r.fail(TestsHollow, "Python ran without assertions (-O or PYTHONOPTIMIZE) and pytest with --assert=plain, so no assert was executed")
	case h.optimized:
		r.Stage.Warn(TestsHollow, "Python ran without assertions (-O or PYTHONOPTIMIZE): only those in test modules were executed")
	}
	if len(h.returned) > 0 {
		var tests []string
		for _, id := range h.returned {
			name, _, _ := strings.Cut(id, "[")
			tests = append(tests, name)
		}
		slices.Sort(tests)
		tests = slices.Compact(tests)
		r.Stage.WarnNext(TestsHollow, "Write assert in the place of return in these tests", "%s, which pytest ignores: %s",
			plural(len(tests), "a test returned its result", fmt.Sprintf("%d tests returned their results", len(tests))), names(tests, 3))
	}
	if idle := counts.Skipped + counts.XFailed; !limited && idle > counts.Executed() && counts.Executed() > 0 {
		r.Stage.WarnNext(TestsHollow, "Let the tests run, or say with test.max_skipped how many may be skipped",
			"%d of %d tests were skipped or expected to fail", idle, counts.Total())
	}
}
