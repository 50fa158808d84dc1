package testrun

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// report tells which tests the project keeps from running, and warns of them unless the call itself
// asked for a selection, which leaves out more than that.
func (l *leftOut) report(stage *verdict.Stage, in Input) {
	if l == nil {
		return
	}
	stage.Add("tests left out", l.count())
	if !l.any() || in.Selective() {
		return
	}
	stage.Warn(TestsDeselected, "%s", strings.TrimPrefix(l.words(), ": "))
	warned := &stage.Warnings[len(stage.Warnings)-1]
	warned.Details = append(append([]string{}, l.examples...), l.ignored[:min(len(l.ignored), shown)]...)
}

// count is the fact in numbers.
func (l *leftOut) count() string {
	text := strconv.Itoa(l.deselected + l.removed)
	if n := len(l.ignored); n > 0 {
		text += fmt.Sprintf(", and those of %d %s that pytest was told to ignore", n, plural(n, "file", "files"))
	}
	return text
}

// words says what was left out, and is empty for nothing.
func (l *leftOut) words() string {
	if !l.any() {
		return ""
	}
	var parts []string
	if l.deselected > 0 {
		parts = append(parts, fmt.Sprintf("%d %s deselected", l.deselected, plural(l.deselected, "test is", "tests are")))
	}
	if l.removed > 0 {
		parts = append(parts, fmt.Sprintf("%d %s taken from the list by a hook", l.removed, plural(l.removed, "test is", "tests are")))
	}
	if n := len(l.ignored); n > 0 {
		parts = append(parts, fmt.Sprintf("%d test %s ignored", n, plural(n, "file is", "files are")))
	}
	examples := ""
	if all := append(append([]string{}, l.examples...), l.ignored...); len(all) > 0 {
		examples = ": " + names(all, 3)
	}
	return ": " + strings.Join(parts, ", ") + examples
}

// stoppedWords says how much of the suite did not run because pytest stopped at a failure.
func (o *outcome) stoppedWords() string {
	left := 0
	for _, p := range o.parts {
		if p.stopped() {
			left += max(0, p.events.collected-p.events.finished())
		}
	}
	return fmt.Sprintf("pytest stopped there (-x, --maxfail or --stepwise), and %d collected %s did not run", left,
		plural(left, "test", "tests"))
}
