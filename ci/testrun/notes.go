package testrun

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// place is what pytest prints at the end of a traceback's entry: tests/test_a.py:12: AssertionError.
var place = regexp.MustCompile(`^(\S+\.py):(\d+):`)

// noteFailures puts each failure beside its line: the last one of the test's own file that the
// traceback names, else the file alone.
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

// noteUncovered puts a warning at the first uncovered line of a changed file.
func noteUncovered(stage *verdict.Stage, f *coverage.File) {
	for _, line := range f.Lines {
		if !line.Hit {
			stage.Note(verdict.Note{File: f.Path, Line: int(line.Number), Level: verdict.NoteWarning, Title: "no test executes this",
				Text: "Lines without a test in this changed file: " + clipList(f.Missing())})
			return
		}
	}
}
