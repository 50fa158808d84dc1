package testrun

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestTheCoverageOfAChange(t *testing.T) {
	report := &coverage.Report{Files: []*coverage.File{{Path: "a.py", Lines: []coverage.Line{{Number: 1, Hit: true}, {Number: 2}, {Number: 3}}}}}
	judged := func(base *Base, selective bool) *Result {
		r := &Result{Coverage: report}
		judgeChange(r, base, selective)
		return r
	}
	lines := coverage.Changed{"a.py": {1: true, 2: true}}
	r := judged(&Base{Since: "main", Lines: lines}, false)
	assert.InDelta(t, 0.5, r.Stage.Measures[0].Value, 0)
	assert.Equal(t, "changed", r.Stage.Measures[0].Of)
	assert.Equal(t, LinesUncovered.Name, r.Stage.Warnings[0].Code)
	assert.Equal(t, []string{"a.py:2: no test executes line 2"}, r.Stage.Warnings[0].Details)
	assert.Empty(t, judged(nil, false).Stage.Evidence)
	assert.Empty(t, judged(&Base{Since: "main", Lines: lines}, true).Stage.Measures, "a selection says nothing about the lines")
	assert.Equal(t, LinesUnknown.Name, judged(&Base{Unknown: "no history"}, false).Stage.Warnings[0].Code)
	r = judged(&Base{Since: "main"}, false)
	assert.Empty(t, r.Stage.Measures, "nothing of nothing is not 100 %")
	assert.Contains(t, fmt.Sprint(r.Stage.Evidence), "no executable line")
	assert.Empty(t, judged(&Base{Lines: coverage.Changed{"a.py": {1: true}}}, false).Stage.Warnings)
}

func TestEveryUncoveredPlaceOfAChangeIsNoted(t *testing.T) {
	file := &coverage.File{Path: "a.py"}
	lines := map[int32]bool{}
	for n := range 100 {
		// Lines 5, 6 and 7 of each ten are not executed, line 8 is none, and 9 is not executed either.
		if last := n % 10; last != 8 {
			file.Lines = append(file.Lines, coverage.Line{Number: int32(n + 1), Hit: last < 5})
		}
		lines[int32(n+1)] = true
	}
	r := &Result{Coverage: &coverage.Report{Files: []*coverage.File{file}}}
	judgeChange(r, &Base{Since: "main", Lines: coverage.Changed{"a.py": lines}}, false)
	assert.Len(t, r.Stage.Notes, maxUncovered)
	assert.Equal(t, verdict.Note{File: "a.py", Line: 6, EndLine: 8, Level: verdict.NoteWarning, Title: notExecuted,
		Text: "The change adds or alters these lines, and no test executes them"}, r.Stage.Notes[0])
	assert.Equal(t, 10, r.Stage.Notes[1].Line)
	assert.Zero(t, r.Stage.Notes[1].EndLine)
	noteUncovered(&r.Stage, file)
	assert.Len(t, r.Stage.Notes, maxUncovered, "the file's changed lines are noted")
}
