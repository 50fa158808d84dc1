package testrun

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// Limits for the events file, which test code could write to.
const (
	maxEventLine  = 32 << 20 // the id of a test contains its parameters, which may be megabytes
	maxEventBytes = 512 << 20
	maxEventTests = 2_000_000
	// maxEventTexts limits for how many tests the output is kept.
	maxEventTexts = 500
)

// events are what the plugin recorded during the run.
type events struct {
	// seen is set if there is at least one event, ended if the session ended; status is the exit code that pytest then
	// intended.
	seen, ended bool
	status      int
	// before is the exit code of an earlier pytest of the same command whose reports were overwritten; 0 means none.
	before int
	// directory is the path in which the tests ran.
	directory string
	// pytest is the version, because versions count the tests of a report differently.
	pytest [2]int
	// loading is the module that was loaded last; modules are the files that contain tests.
	loading string
	modules map[string]bool
	// left is what was left out of the collection; nil if unknown.
	left *leftOut
	// loaded are the modules in which pytest looked for tests.
	loaded map[string]bool
	hollow hollow
	// turned are tests that raised an error but were reported as passed.
	turned []string
	// fault is the exception that ended the session, or nil.
	fault *fault
	// added are the tools that the pipeline added to the project's own.
	added []string
	// results is the number of results that pytest counts, including subtests; see Options.Declared of package junit.
	results int
	// collected is the number of selected tests; -1 if unknown.
	collected int
	// tests are the tests that started, by id.
	tests map[string]*eventTest
	order []string
}

// leftOut describes the tests that the project keeps from running.
type leftOut struct {
	// deselected counts tests left out by -k, -m, --deselect or a plugin; removed counts those that disappeared from the list
	// of tests silently; examples has some of both.
	deselected, removed int
	examples            []string
	// ignored are test modules that --ignore or a conftest.py kept from being loaded.
	ignored []string
	// untaken are functions in loaded modules that are named like tests but were not collected.
	untaken []string
	// unloaded are files in the command's directories that are named like test modules but were neither loaded nor ignored.
	unloaded []string
}

func (l *leftOut) any() bool {
	return l != nil && l.deselected+l.removed+len(l.ignored)+len(l.untaken)+len(l.unloaded) > 0
}

// fault is an exception outside of any test.
type fault struct {
	kind, text string
	// file and line are the innermost line of the project in its traceback; file may be empty.
	file string
	line int
}

// eventTest is one test according to the events.
type eventTest struct {
	finished bool
	outcome  junit.Outcome
	// reruns counts the attempts that a plugin of the project announced as reruns. starts and results reveal unannounced
	// ones.
	reruns, starts, results int
	// attempt counts the results of the current attempt.
	attempt int
	seconds float64
	markers []string
	// text is the end of the failure, output the end of what the test printed.
	text, output string
	// parts are the failed subtests with their output.
	parts []string
}

// raisedLine matches pytest's line about an assertion or exception.
var raisedLine = regexp.MustCompile(`(?m)^E\s+(.*)$`)

// part adds a failed subtest. A rerun may report it again.
func (t *eventTest) part(name, text string) {
	if m := raisedLine.FindStringSubmatch(text); m != nil {
		name += ": " + m[1]
	}
	if name = xmlscan.Clip(name, 300); len(t.parts) < shown && !slices.Contains(t.parts, name) {
		t.parts = append(t.parts, name)
	}
}

// running returns the tests that started and did not end, in the order in which they started.
func (e *events) running() []string {
	var ids []string
	for _, id := range e.order {
		if !e.tests[id].finished {
			ids = append(ids, id)
		}
	}
	return ids
}

// finished returns how many tests ended.
func (e *events) finished() int { return len(e.order) - len(e.running()) }

// bad returns how many tests failed or had an error.
func (e *events) bad() int {
	n := 0
	for _, t := range e.tests {
		if t.outcome == junit.Failed || t.outcome == junit.Errored {
			n++
		}
	}
	return n
}

// join adds the events of another part of the same run.
func (e *events) join(other *events) {
	e.seen = e.seen || other.seen
	maps.Copy(e.modules, other.modules)
	maps.Copy(e.loaded, other.loaded)
	if other.left != nil {
		var untaken []string
		if e.left != nil {
			untaken = e.left.untaken
		}
		e.left = other.left // each part sees the whole suite, except for files that only other parts load
		e.left.untaken = slices.Compact(slices.Sorted(slices.Values(slices.Concat(untaken, other.left.untaken))))
	}
	e.hollow.join(other.hollow)
	for _, name := range other.added {
		if !slices.Contains(e.added, name) {
			e.added = append(e.added, name)
		}
	}
	for _, id := range other.order {
		if e.tests[id] == nil {
			e.order = append(e.order, id)
		}
		e.tests[id] = other.tests[id]
	}
}

// cases returns the tests as cases of a JUnit report.
func (e *events) cases() []junit.Case {
	cases := make([]junit.Case, 0, len(e.order))
	for _, id := range e.order {
		t := e.tests[id]
		file, rest, _ := strings.Cut(id, "::")
		class, name := "", rest
		if i := strings.LastIndex(rest, "::"); i >= 0 && !strings.Contains(rest[i:], "[") {
			name = rest[i+2:]
			class = strings.ReplaceAll(rest[:i], "::", ".")
		}
		c := junit.Case{
			ClassName: strings.Trim(strings.ReplaceAll(strings.TrimSuffix(file, ".py"), "/", ".")+"."+class, "."),
			Name:      name, File: file, Seconds: t.seconds, Outcome: t.outcome,
		}
		switch {
		case !t.finished:
			c.Outcome, c.Message = junit.Errored, "the run ended while this test was running"
		case c.Outcome == "":
			c.Outcome = junit.Passed
		}
		if t.text != "" {
			c.Tail = strings.Split(strings.TrimSpace(t.text), "\n")
			c.Message = c.Tail[len(c.Tail)-1]
		}
		cases = append(cases, c)
	}
	return cases
}

// complete adds the tests' output to failures for which the JUnit report has none.
func (e *events) complete(cases []junit.Case) {
	for i := range cases {
		if t := e.tests[cases[i].ID()]; t != nil && len(cases[i].Output) == 0 {
			cases[i].Output = safetext.LastLines(t.output, 12)
		}
	}
}

func newEvents() *events {
	return &events{collected: -1, tests: map[string]*eventTest{}, modules: map[string]bool{}, loaded: map[string]bool{}}
}

// readEvents reads the events file. An incomplete last line is normal for a killed run; any other invalid line is an error.
func readEvents(r io.Reader) (*events, error) {
	e := newEvents()
	lines := bufio.NewScanner(io.LimitReader(r, maxEventBytes))
	lines.Buffer(make([]byte, 0, 64<<10), maxEventLine)
	var broken error
	texts := 0
	for n := 1; lines.Scan(); n++ {
		if broken != nil {
			return e, broken
		}
		var event struct {
			Event, ID, When, Outcome, Text, Output, Directory, Pytest, File, Type, Of string
			Added, Markers, Examples, Ignored, Untaken                                []string
			Tests, Status, Deselected, Removed, Line, Before                          int
			Seconds                                                                   float64
			Part, Raised, Plain                                                       bool
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			broken = fmt.Errorf("read events: line %d: %w", n, err)
			continue
		}
		e.seen = true
		event.ID = junit.ShortID(event.ID)
		switch event.Event {
		case "session":
			e.added = event.Added[:min(len(event.Added), 20)]
			e.directory, e.before = xmlscan.Clip(event.Directory, 4096), event.Before
			_, _ = fmt.Sscanf(event.Pytest, "%d.%d", &e.pytest[0], &e.pytest[1]) // anything unreadable stays 0
		case "load":
			e.loading = xmlscan.Clip(event.File, 4096)
		case "module":
			if len(e.modules) < maxEventTests {
				e.modules[event.File] = true
			}
		case "loaded":
			if len(e.loaded) < maxEventTests {
				e.loaded[event.File] = true
			}
		case "left_out":
			e.left = &leftOut{deselected: event.Deselected, removed: event.Removed, examples: event.Examples, ignored: event.Ignored,
				untaken: event.Untaken}
		case "error":
			if e.fault != nil {
				break // a worker that ends takes other tests with it
			}
			e.fault = &fault{kind: xmlscan.Clip(event.Type, 200), text: xmlscan.Clip(event.Text, 1000), file: xmlscan.Clip(event.File, 4096),
				line: event.Line}
		case "optimized":
			e.hollow.optimized, e.hollow.plain = true, event.Plain
		case "hollow":
			e.hollow.note(event.Type, event.ID)
		case "collected":
			e.collected = event.Tests
		case "end":
			e.ended, e.status = true, event.Status
		case "start", "result", "finish":
			t := e.tests[event.ID]
			if t == nil {
				if len(e.order) >= maxEventTests {
					return e, errors.New("read events: there are more tests than allowed")
				}
				t = &eventTest{}
				e.tests[event.ID] = t
				e.order = append(e.order, event.ID)
			}
			switch event.Event {
			case "start":
				t.finished, t.attempt = false, 0
				t.starts++
			case "finish":
				t.finished = true
			default:
				if event.Text != "" || event.Output != "" {
					texts++
				}
				if texts > maxEventTexts {
					event.Text, event.Output = "", ""
				}
				e.results += t.counts(event.When, event.Outcome, e.pytest)
				t.markers = event.Markers[:min(len(event.Markers), 100)]
				if event.Raised && event.Outcome == "passed" && t.reruns == 0 { // pytest-retry reports its last attempt as the first
					e.turned = append(e.turned, event.ID)
				}
				t.result(event.When, event.Outcome, event.Text, event.Seconds, event.Part)
				if event.Part && event.Outcome == "failed" {
					t.part(event.Of, event.Text)
				}
				if event.Output != "" {
					t.output = xmlscan.Clip(event.Output, 2000)
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		return e, fmt.Errorf("read events: %w", err)
	}
	return e, nil
}

// counts returns by how much a result increases the number of tests in pytest's report. A failed teardown after a failed test
// is a separate element: before pytest 9.1 it was not counted; since then it is, but a teardown that fails after any other
// outcome is not. Each version's LogXML implements it this way.
func (t *eventTest) counts(when, outcome string, pytest [2]int) int {
	before := t.attempt
	t.attempt++
	if outcome == "rerun" || outcome == "retried" { // pytest-rerunfailures, pytest-retry
		// Discard the results of this attempt, subtests included.
		t.reruns++
		t.attempt, t.outcome, t.text = 0, "", ""
		return 0
	}
	t.results++
	if when == "teardown" && outcome == "failed" {
		since := pytest[0] > 9 || pytest[0] == 9 && pytest[1] >= 1
		if again := t.outcome == junit.Failed; again != since && (again || before > 0) {
			return 0
		}
	}
	return 1
}

// again reports whether the test ran more than once. A test that is named twice on the command line has as many results as
// starts.
func (t *eventTest) again() bool {
	return t.reruns > 0 || t.finished && t.starts > max(1, t.results)
}

// options returns the options for reading the report of the same run.
func (e *events) options() junit.Options {
	o := junit.Options{Again: func(id string) bool {
		t := e.tests[id]
		return t != nil && t.again()
	}, Told: func(id string) junit.Outcome {
		t := e.tests[id]
		if t == nil || !t.finished {
			return ""
		}
		return t.outcome
	}}
	if e.ended {
		o.Declared = e.results
	}
	return o
}

// flaky returns the tests that passed after failed attempts.
func (e *events) flaky() []string {
	var ids []string
	for _, id := range e.order {
		if t := e.tests[id]; t.again() && t.outcome == junit.Passed {
			ids = append(ids, id)
		}
	}
	return ids
}

// result records a result. A skipped or expected-to-fail subtest does not affect its test; a failed one fails it.
func (t *eventTest) result(when, outcome, text string, seconds float64, part bool) {
	t.seconds += max(0, seconds)
	found := map[string]junit.Outcome{"passed": junit.Passed, "failed": junit.Failed, "skipped": junit.Skipped,
		"xfailed": junit.XFailed}[outcome]
	if found == junit.Failed && when != "call" {
		found = junit.Errored
	}
	if part && (found == junit.Skipped || found == junit.XFailed) {
		return
	}
	gravity := []junit.Outcome{"", junit.Passed, junit.XFailed, junit.Skipped, junit.Errored, junit.Failed}
	if slices.Index(gravity, found) > slices.Index(gravity, t.outcome) {
		t.outcome, t.text = found, xmlscan.Clip(text, 2000)
	}
}
