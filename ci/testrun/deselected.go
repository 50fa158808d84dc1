package testrun

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// report lists the tests that the project's own settings keep from running. It warns about them unless the call selected
// tests itself, which leaves out more.
func (l *leftOut) report(stage *verdict.Stage, in Input) {
	if l == nil {
		return
	}
	stage.Add("tests left out", l.count())
	if !l.any() || in.Selective() {
		return
	}
	stage.WarnNext(TestsDeselected, l.next(), "%s", strings.TrimPrefix(l.words(), ": "))
	warned := &stage.Warnings[len(stage.Warnings)-1]
	for _, some := range [][]string{l.examples, l.ignored, l.untaken, l.unloaded} {
		warned.Details = append(warned.Details, some[:min(len(some), shown)]...)
	}
}

// next returns the remedy for tests that were probably left out by mistake, or an empty string if the code's own remedy fits.
func (l *leftOut) next() string {
	var parts []string
	if len(l.untaken) > 0 {
		parts = append(parts, "give functions of the same name in one file names of their own, take __init__ out of classes of tests, "+
			"and look at python_functions and python_classes in pytest's settings; a function that is no test needs another name")
	}
	if len(l.unloaded) > 0 {
		parts = append(parts, "let python_files in pytest's settings, and exclude and test.inputs in pipeline.yaml, leave the files in")
	}
	if len(parts) == 0 || l.deselected+l.removed+len(l.ignored) > 0 {
		return ""
	}
	text := strings.Join(parts, "; ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// count formats the numbers.
func (l *leftOut) count() string {
	text := strconv.Itoa(l.deselected + l.removed)
	if n := len(l.ignored); n > 0 {
		text += fmt.Sprintf(", and those of %d %s that pytest was told to ignore", n, plural(n, "file", "files"))
	}
	if n := len(l.unloaded); n > 0 {
		text += fmt.Sprintf(", and those of %d %s that pytest did not load", n, plural(n, "file", "files"))
	}
	if n := len(l.untaken); n > 0 {
		text += fmt.Sprintf(", and %d %s named like tests", n, plural(n, "function", "functions"))
	}
	return text
}

// unloaded returns files in the command's directories that are named like test modules but were not loaded by pytest:
// settings use other names for test modules, or pipeline.yaml hides the files. It returns nil if the run did not record what
// was loaded.
func (p *plan) unloaded(e *events) []string {
	if e.left == nil || len(e.loaded) == 0 {
		return nil
	}
	command := p.in.Config.Test.Command
	at := slices.IndexFunc(command, isPytest)
	if at < 0 {
		return nil
	}
	var within []string
	for _, arg := range command[at+1:] {
		if !strings.HasPrefix(arg, "-") && p.exists(arg) {
			within = append(within, path.Clean(arg))
		}
	}
	var found []string
	for _, name := range p.source {
		if !glob.MatchAny(conventional[:2], name) || e.loaded[name] || slices.Contains(e.left.ignored, name) {
			continue
		}
		if slices.ContainsFunc(within, func(folder string) bool { return strings.HasPrefix(name, folder+"/") || name == folder }) {
			found = append(found, name)
		}
	}
	return found
}

// words describes what was left out; it is empty if nothing was.
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
	if n := len(l.untaken); n > 0 {
		parts = append(parts, fmt.Sprintf("%d %s the name of a test and %s none", n, plural(n, "function has", "functions have"),
			plural(n, "is", "are")))
	}
	if n := len(l.unloaded); n > 0 {
		parts = append(parts, fmt.Sprintf("%d test %s not loaded", n, plural(n, "file is", "files are")))
	}
	examples := ""
	if all := slices.Concat(l.examples, l.ignored, l.untaken, l.unloaded); len(all) > 0 {
		examples = ": " + names(all, 3)
	}
	return ": " + strings.Join(parts, ", ") + examples
}

// stoppedWords describes how much of the suite did not run because pytest stopped at a failure.
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
