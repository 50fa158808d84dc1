package testrun

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// place matches the last line of an entry in pytest's traceback: tests/test_a.py:12: AssertionError.
var place = regexp.MustCompile(`^(\S+\.py):(\d+):`)

// noteFailures attaches each failure to its line: the last line of the test's own file in the traceback, or else the file.
func noteFailures(stage *verdict.Stage, r *junit.Report) {
	note := func(c junit.Case, what string) {
		if c.File == "" {
			return
		}
		line := 0
		for _, text := range c.Tail {
			m := place.FindStringSubmatch(strings.TrimSpace(text))
			if m == nil || m[1] != c.File {
				continue
			}
			if n, err := strconv.Atoi(m[2]); err == nil {
				line = n
			}
		}
		stage.Note(verdict.Note{File: c.File, Line: line, Level: verdict.NoteError, Title: what, Text: c.ID() + ": " + firstLine(c.Message)})
	}
	for _, c := range r.CollectionErrors {
		note(c, "this file cannot be loaded")
	}
	for _, c := range r.Failures {
		note(c, "test failed")
	}
}

// notExecuted is the title of a note about an uncovered line.
const notExecuted = "no test executes this"

// noteUncovered adds a warning at the first uncovered line of each changed file, unless its changed lines have notes.
func noteUncovered(stage *verdict.Stage, f *coverage.File) {
	if slices.ContainsFunc(stage.Notes, func(n verdict.Note) bool { return n.File == f.Path && n.Title == notExecuted }) {
		return
	}
	for _, line := range f.Lines {
		if !line.Hit {
			stage.Note(verdict.Note{File: f.Path, Line: int(line.Number), Level: verdict.NoteWarning, Title: notExecuted,
				Text: "Lines without a test in this changed file: " + clipList(f.Missing())})
			return
		}
	}
}

// maxUncovered limits the notes about uncovered lines, to leave room for failed tests.
const maxUncovered = 20

// noteChange adds a warning at each uncovered place of a change. f contains only changed lines.
func noteChange(stage *verdict.Stage, f *coverage.File) {
	for i := 0; i < len(f.Lines); i++ {
		if f.Lines[i].Hit {
			continue
		}
		first := i
		for i+1 < len(f.Lines) && !f.Lines[i+1].Hit && f.Lines[i+1].Number == f.Lines[i].Number+1 {
			i++
		}
		if len(stage.Notes) >= maxUncovered {
			return
		}
		note := verdict.Note{File: f.Path, Line: int(f.Lines[first].Number), Level: verdict.NoteWarning, Title: notExecuted,
			Text: "The change adds or alters this line, and no test executes it"}
		if i > first {
			note.EndLine, note.Text = int(f.Lines[i].Number), "The change adds or alters these lines, and no test executes them"
		}
		stage.Note(note)
	}
}
