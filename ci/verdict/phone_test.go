package verdict_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// pageOf is the page of a run.
func pageOf(t *testing.T, run *verdict.Run) string {
	t.Helper()
	_, _, _, page := written(t, run)
	return page
}

// TestTheTopOfThePageSaysWhatToDo: which stages failed, why, and what to do, before anything else.
func TestTheTopOfThePageSaysWhatToDo(t *testing.T) {
	run := failedRun()
	run.Stages[1].Judge(verdict.Problemf(codeSlow.In(verdict.Train), "accuracy is 0.7"))
	page := pageOf(t, run)
	top, _, found := strings.Cut(page, "</header>")
	require.True(t, found)
	first := strings.Index(top, `<a class="stage" href="#stage-test">test</a> <code>COVERAGE_BELOW</code> line coverage is 79.95 %`)
	second := strings.Index(top, `<a class="stage" href="#stage-train">train</a>`)
	facts := strings.Index(top, `<dl class="facts">`)
	require.True(t, first > 0 && second > first && facts > second, "both failing stages, before the facts")
	assert.Contains(t, top, "critical paths: 91.0 %", "each of the first problems")
	many := failedRun()
	var problems []*verdict.Problem
	for range 5 {
		problems = append(problems, verdict.Problemf(codeBelow, "below"))
	}
	many.Stages[0].Judge(problems...)
	long, _, _ := strings.Cut(pageOf(t, many), "</header>")
	assert.Contains(t, long, `<a href="#stage-test">and 2 more</a>`)
	assert.Contains(t, top, "<strong>Next:</strong> Add tests for the files listed")
	assert.Contains(t, top, `Not started because of this: <a href="#stage-publish">publish</a>, <a href="#stage-image">image</a>`)
	assert.NotContains(t, top, "BLOCKED", "what waits is not what is to be solved")

	calm, _, _ := strings.Cut(pageOf(t, passedRun()), "</header>")
	assert.NotContains(t, calm, `class="todo"`)
	for _, link := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		assert.Contains(t, page, `id="`+link[1]+`"`, "a link leads somewhere")
	}
}

// TestThePageFitsAPhone holds the rules that make it fit, as seen in a browser 360 pixels wide.
// There, a table's cells are rows with their headings, since columns would be a letter wide.
func TestThePageFitsAPhone(t *testing.T) {
	page := pageOf(t, failedRun())
	style, _, _ := strings.Cut(page, "</style>")
	_, narrow, found := strings.Cut(style, "@media screen and (max-width: 640px)")
	require.True(t, found)
	for _, rule := range []string{"table, tbody, tr, td { display: block; }", "thead { display: none; }", "content: attr(data-label)"} {
		assert.Contains(t, narrow, rule)
	}
	wide, _, _ := strings.Cut(style, "@media screen and (max-width: 640px)")
	assert.NotRegexp(t, `(?m)^th, td \{[^}]*overflow-wrap: anywhere`, wide, "it makes a column as narrow as a letter")
	cells := regexp.MustCompile(`<td[ >]`).FindAllString(page, -1)
	headed := regexp.MustCompile(`<td[^>]*data-label=|<td(?: class="long")?><span class="label">`).FindAllString(page, -1)
	assert.Len(t, headed, len(cells), "each cell has its heading with it")
	assert.Contains(t, style, "figure { overflow-x: auto; }", "a chart scrolls by itself")
	assert.Contains(t, style, "@media screen and (prefers-color-scheme: dark)", "paper is white")
	_, paper, found := strings.Cut(style, "@media print")
	require.True(t, found)
	assert.NotContains(t, paper, "section { break-inside", "it leaves pages empty")
	assert.Contains(t, paper, "pre { max-height: 24em")
}
