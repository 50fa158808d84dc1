package testrun

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/refused"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Sizes of the report's tables.
const (
	maxRows = 200
	maxBars = 40
)

// report adds the findings to the stage: counts as evidence, tables and charts as blocks.
func report(result *Result, p *plan, found *outcome, notCounted *verdict.Block) {
	stage := &result.Stage
	if r := result.JUnit; r != nil {
		stage.Evidence = slices.Insert(stage.Evidence, 0, verdict.Evidence{
			Name: "tests", Value: fmt.Sprintf("%d: %s", r.Total(), r.Counts), Want: "all executed tests pass", OK: r.Bad() == 0 && r.Executed() > 0,
		})
		for of, n := range map[string]int{"passed": r.Passed, "failed": r.Bad(), "skipped": r.Skipped + r.XFailed, "flaky": r.Flaky} {
			stage.Measure(verdict.MeasureTests, of, float64(n), nil)
		}
		slices.SortFunc(stage.Measures, func(a, b verdict.Measure) int { return strings.Compare(a.Name+a.Of, b.Name+b.Of) })
		if limit := p.in.Config.Test.MaxSkipped; limit >= 0 {
			stage.Gate("skipped tests", strconv.Itoa(r.Skipped), "<= "+strconv.Itoa(limit), r.Skipped <= limit)
		}
		if floor := p.in.Config.Test.MinTests; floor > 0 && !found.selective {
			stage.Gate("number of tests", strconv.Itoa(r.Total()), ">= "+strconv.Itoa(floor), r.Total() >= floor)
		}
		if left := found.events.left; left != nil {
			left.unloaded = p.unloaded(found.events)
		}
		found.events.left.report(stage, p.in)
		found.events.hollow.judge(result, r.Counts, p.in.Config.Test.MaxSkipped >= 0)
		categories(stage, p.in, found, r)
		failures(stage, found.events, r)
		noteFailures(stage, r)
		slowest(stage, r)
		stage.Files = append(stage.Files, verdict.ReportFile{Path: "test/durations.json", Content: durationsJSON(found.events)})
	} else if found.events.seen {
		stage.Add("tests that ended before the run did", strconv.Itoa(found.events.finished()))
	}
	if len(found.events.added) > 0 {
		stage.Remark(ToolsAdded, "added %s", strings.Join(found.events.added, ", "))
	}
	if n := len(found.parts); n > 1 {
		stage.Add("shards", strconv.Itoa(n))
	}
	output := unsealed(found.ran.Stdout) + "\n" + found.ran.Stderr
	for _, f := range p.project.Explain(output) {
		stage.Warn(f.Code, "%s", f.Cause)
	}
	if hosts := refused.Hosts(output); len(hosts) > 0 && len(result.problems) > 0 {
		stage.Warn(refused.Test, "%s", strings.Join(hosts, ", "))
	}
	stage.Add("exit code of the test command", strconv.Itoa(found.ran.ExitCode))
	stage.Add("test command took", fmt.Sprintf("%.1f s", found.ran.Seconds))
	stage.Add("ran at", found.ran.Started.UTC().Format(time.RFC3339Nano))
	project := p.project
	stage.Add("environment", "Python "+p.step.Env.Python+", "+project.Summary())
	if built := p.built.Summary; built != "" {
		stage.Add("built from the source", built)
	}
	if len(project.Unread) > 0 {
		stage.Add("seen and not installed", strings.Join(project.Unread, ", "))
	}
	if result.Coverage != nil {
		changedBlock(stage, p.in.Changes, found.selected, result.Coverage)
		coverageBlocks(stage, result.Coverage, p.in.Config.Test.Coverage)
		if notCounted != nil {
			stage.Blocks = append(stage.Blocks, *notCounted)
		}
	}
	if out := tail(found.ran, 100); len(out) > 0 {
		stage.Blocks = append(stage.Blocks, verdict.Block{Title: "End of the test output", Log: strings.Join(out, "\n")})
	}
}

// category is a group of tests with its counts.
type category struct {
	name string
	junit.FileCounts
}

// groups sorts tests into the configured categories, by file or marker. A test belongs to the first matching category, or to
// "other".
type groups struct {
	categories []config.Category
	events     *events
	found      []category
}

func newGroups(categories []config.Category, e *events) *groups {
	g := &groups{categories: categories, events: e, found: make([]category, len(categories)+1)}
	for i, c := range categories {
		g.found[i].name = c.Name
	}
	g.found[len(categories)].name = "other"
	return g
}

func (g *groups) add(c junit.Case) {
	if c.Collection {
		return
	}
	file := c.File
	if file == "" {
		file = c.ClassName
	}
	at := len(g.categories)
	for i, k := range g.categories {
		t := (*eventTest)(nil)
		if k.Marker != "" {
			t = g.events.tests[c.ID()]
		}
		if t != nil && slices.Contains(t.markers, k.Marker) ||
			glob.MatchAny(k.Paths, file) {
			at = i
			break
		}
	}
	g.found[at].Add(c)
}

func (g *groups) all() []category {
	last := len(g.categories)
	if g.found[last].Total() == 0 {
		return g.found[:last]
	}
	return g.found
}

func categories(stage *verdict.Stage, in Input, found *outcome, r *junit.Report) {
	table := &verdict.Table{Columns: []string{"Category", "Tests", "Passed", "Failed", "Errored", "Skipped", "Xfailed", "Flaky", "Seconds"}}
	row := func(name string, c junit.Counts, seconds float64) {
		table.Rows = append(table.Rows, []string{name, strconv.Itoa(c.Total()), strconv.Itoa(c.Passed), strconv.Itoa(c.Failed),
			strconv.Itoa(c.Errored), strconv.Itoa(c.Skipped), strconv.Itoa(c.XFailed), strconv.Itoa(c.Flaky),
			strconv.FormatFloat(seconds, 'f', 2, 64)})
	}
	configured := in.Config.Test.Categories
	// The default categories are those of the pipeline document; other projects may not have them.
	isDefault := reflect.DeepEqual(configured, config.Default().Test.Categories)
	for _, c := range found.groups {
		if c.Total() == 0 && isDefault {
			continue
		}
		if c.Total() == 0 && !found.selective {
			stage.Warn(CategoryEmpty, "category %s holds no test", c.name)
		}
		row(c.name, c.Counts, c.Seconds)
	}
	row("all", r.Counts, r.Seconds)
	stage.Blocks = append(stage.Blocks, verdict.Block{Title: "Tests by category", Table: table, Summary: true})
}

func failures(stage *verdict.Stage, e *events, r *junit.Report) {
	all := slices.Concat(r.CollectionErrors, r.Failures)
	if len(all) == 0 {
		return
	}
	table := &verdict.Table{Columns: []string{"Test", "Outcome", "Assertion"}}
	for _, c := range all[:min(len(all), maxRows)] {
		table.Rows = append(table.Rows, []string{c.ID(), string(c.Outcome), firstLine(c.Message)})
	}
	stage.Blocks = append(stage.Blocks,
		verdict.Block{Title: "Failures", Table: table, Summary: true},
		verdict.Block{Title: "Last lines of the failures", Log: strings.Join(e.details(all), "\n")})
}

func slowest(stage *verdict.Stage, r *junit.Report) {
	if len(r.Slowest) == 0 {
		return
	}
	table := &verdict.Table{Columns: []string{"Test", "Seconds"}}
	for _, c := range r.Slowest {
		table.Rows = append(table.Rows, []string{c.ID(), strconv.FormatFloat(c.Seconds, 'f', 2, 64)})
	}
	stage.Blocks = append(stage.Blocks, verdict.Block{Title: "Slowest tests", Table: table, Summary: true})
}

// changedBlock lists the lines of changed files that no test executes.
func changedBlock(stage *verdict.Stage, changed *Changes, selected *selectedFiles, r *coverage.Report) {
	if changed == nil {
		return
	}
	if changed.Unknown != "" {
		stage.Warn(ChangesUnknown, "%s", changed.Unknown)
	} else if selected != nil && selected.Everything != "" {
		stage.Warn(ChangesUnknown, "%s", selected.Everything)
	}
	table := &verdict.Table{Columns: []string{"File", "Lines", "Missing", "Coverage", "Missing lines"}}
	for _, f := range r.Files {
		if t := f.Totals(); slices.Contains(changed.Changed, f.Path) && t.Covered < t.Lines && len(table.Rows) < maxRows {
			table.Rows = append(table.Rows, []string{f.Path, strconv.Itoa(t.Lines), strconv.Itoa(t.Lines - t.Covered), t.LineRate().String(),
				clipList(f.Missing())})
			noteUncovered(stage, f)
		}
	}
	if len(table.Rows) > 0 {
		stage.Blocks = append(stage.Blocks,
			verdict.Block{Title: "Uncovered lines of files changed since " + changed.Since, Table: table, Summary: true})
	}
}

func coverageBlocks(stage *verdict.Stage, r *coverage.Report, c config.Coverage) {
	bars := &verdict.BarChart{Unit: "%", Max: 100, Threshold: c.Total}
	packages := r.Packages()
	slices.SortStableFunc(packages, func(a, b coverage.Package) int { return cmp.Compare(a.LineRate().Percent(), b.LineRate().Percent()) })
	for _, p := range packages {
		if p.Lines > 0 && len(bars.Labels) < maxBars {
			bars.Labels = append(bars.Labels, p.Name)
			bars.Values = append(bars.Values, p.LineRate().Percent())
		}
	}
	if len(bars.Labels) > 0 {
		stage.Blocks = append(stage.Blocks, verdict.Block{Title: "Line coverage by package", Bars: bars})
	}
	table := &verdict.Table{Columns: []string{"File", "Lines", "Missing", "Coverage", "Branches", "Missing lines"}}
	row := func(name string, t coverage.Totals, lines string) {
		table.Rows = append(table.Rows, []string{name, strconv.Itoa(t.Lines), strconv.Itoa(t.Lines - t.Covered), t.LineRate().String(),
			t.BranchRate().String(), lines})
	}
	for _, f := range r.Files[:min(len(r.Files), maxRows)] {
		row(f.Path, f.Totals(), clipList(f.Missing()))
	}
	if more := len(r.Files) - maxRows; more > 0 {
		table.Rows = append(table.Rows, []string{fmt.Sprintf("and %d more, in coverage.xml", more), "", "", "", "", ""})
	}
	row("total", r.Totals(), "")
	stage.Blocks = append(stage.Blocks, verdict.Block{Title: "Coverage by file, tests not counted", Table: table})
}

// clipList shortens a list at a comma.
func clipList(list string) string {
	const limit = 120
	if len(list) <= limit {
		return list
	}
	return list[:strings.LastIndex(list[:limit], ",")+1] + " …"
}

// sortedByCount returns the keys, most frequent first.
func sortedByCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(counts[b]-counts[a], strings.Compare(a, b)) })
}
