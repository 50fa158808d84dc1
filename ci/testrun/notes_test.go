package testrun

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestFailuresAreNotedBesideTheirLines(t *testing.T) {
	stage := &verdict.Stage{}
	noteFailures(stage, &junit.Report{
		CollectionErrors: []junit.Case{{File: "tests/test_b.py", Collection: true, Message: "SyntaxError"}},
		Failures: []junit.Case{
			{File: "tests/test_a.py", ClassName: "tests.test_a", Name: "test_x", Message: "assert 1 == 2\nmore",
				Tail: []string{"tests/test_a.py:4: ", "app/core.py:9: ValueError", "tests/test_a.py:77: AssertionError", "other.py:x: y"}},
			{Name: "nowhere"},
		},
	})
	assert.Equal(t, []verdict.Note{
		{File: "tests/test_b.py", Level: verdict.NoteError, Title: "this file cannot be loaded", Text: "tests/test_b.py: SyntaxError"},
		{File: "tests/test_a.py", Line: 77, Level: verdict.NoteError, Title: "test failed", Text: "tests/test_a.py::test_x: assert 1 == 2"},
	}, stage.Notes)
}

func TestTheFirstUncoveredLineIsNoted(t *testing.T) {
	stage := &verdict.Stage{}
	noteUncovered(stage, &coverage.File{Path: "a.py", Lines: []coverage.Line{{Number: 1, Hit: true}, {Number: 2}, {Number: 3}}})
	noteUncovered(stage, &coverage.File{Path: "b.py", Lines: []coverage.Line{{Number: 1, Hit: true}}})
	assert.Equal(t, []verdict.Note{{File: "a.py", Line: 2, Level: verdict.NoteWarning, Title: "no test executes this",
		Text: "Lines without a test in this changed file: 2-3"}}, stage.Notes)
}
