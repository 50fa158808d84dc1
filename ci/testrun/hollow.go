package testrun

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/junit"
)

// hollow collects the ways in which tests pass whatever the code does.
type hollow struct {
	// optimized is set if Python ran without assertions (-O, PYTHONOPTIMIZE), plain if pytest did not rewrite the assertions
	// of test modules either.
	optimized, plain bool
	// tests failed in a place that pytest does not check, by the way in which they failed.
	tests map[string][]string
	// uncalled counts tests that passed without a call of their function.
	uncalled int
}

// ways are the things tests do that pytest ignores, with the causes for one and for several tests, and the remedy.
var ways = map[string]struct{ one, several, next string }{
	"returned": {"a test returned its result", "%d tests returned their results", "Write assert in the place of return in these tests"},
	"thread": {"a thread of a test ended with an exception", "threads of %d tests ended with exceptions",
		"Hand the exception to the test, such as by concurrent.futures, or catch it in the thread"},
	"uncalled": {"the function of a test was never called: a hook of the project returned as if it had called it",
		"the functions of %d tests were never called: a hook of the project returned as if it had called them", uncalledNext},
}

const uncalledNext = "Let pytest_pyfunc_call in conftest.py call pyfuncitem.obj, or return None for tests that it does not call"

// note records a test, up to a limit.
func (h *hollow) note(way, test string) {
	if h.tests == nil {
		h.tests = map[string][]string{}
	}
	if way == "uncalled" {
		h.uncalled++
	}
	if _, known := ways[way]; known && len(h.tests[way]) < maxEventTexts {
		name, _, _ := strings.Cut(test, "[")
		h.tests[way] = append(h.tests[way], name)
	}
}

// join adds the findings of another part of the same run.
func (h *hollow) join(other hollow) {
	h.optimized, h.plain = h.optimized || other.optimized, h.plain || other.plain
	uncalled := h.uncalled + other.uncalled
	for way, tests := range other.tests {
		for _, test := range tests {
			h.note(way, test)
		}
	}
	h.uncalled = uncalled
}

// judge fails a run whose tests could not fail, and warns about tests that hardly could.
func (h hollow) judge(r *Result, counts junit.Counts, limited bool) {
	switch {
	case h.optimized && h.plain:
		r.fail(TestsHollow, "Python ran without assertions (-O or PYTHONOPTIMIZE) and pytest with --assert=plain, so no assert was executed")
	case h.optimized:
		r.Stage.Warn(TestsHollow, "Python ran without assertions (-O or PYTHONOPTIMIZE): only those in test modules were executed")
	}
	if h.uncalled > 0 && h.uncalled >= counts.Executed() {
		r.problem(TestsHollow, "no function of a test was called: a hook of the project returned as if it had called them").Next = uncalledNext
		return
	}
	for _, way := range slices.Sorted(maps.Keys(h.tests)) {
		tests, words := slices.Compact(slices.Sorted(slices.Values(h.tests[way]))), ways[way]
		r.Stage.WarnNext(TestsHollow, words.next, "%s, which pytest ignores: %s",
			plural(len(tests), words.one, strings.Replace(words.several, "%d", strconv.Itoa(len(tests)), 1)), names(tests, 3))
	}
	if idle := counts.Skipped + counts.XFailed; !limited && idle > counts.Executed() && counts.Executed() > 0 {
		r.Stage.WarnNext(TestsHollow, "Let the tests run, or say with test.max_skipped how many may be skipped",
			"%d of %d tests were skipped or expected to fail", idle, counts.Total())
	}
}
