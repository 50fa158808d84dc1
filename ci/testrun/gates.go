package testrun

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// clockSlack is the largest accepted difference between two clocks that stamp the same run.
const clockSlack = 5 * time.Second

// gate is one coverage requirement with its result.
type gate struct {
	name   string
	files  *coverage.Report
	totals coverage.Totals
	rate   coverage.Rate
	min    float64
	// state is "ok", "below", "empty" or the reason why the gate is not applied.
	state string
	held  bool
}

func (g gate) ok() bool { return !g.held || g.state == "ok" }

// coverageJudge compares the measured coverage with the floors and records the findings in the result.
type coverageJudge struct {
	*Result
	*plan
	*counting
	// kept is what the coverage report leaves out.
	kept *keptOut
	// selective is set if only a part of the suite ran; then no floor is enforced.
	selective bool
}

// judgeCoverage applies the gates. An incomplete run writes no coverage report, so a missing one is then not reported
// separately. It returns a table of the files that count towards no total, or nil.
func judgeCoverage(result *Result, p *plan, found *outcome) *verdict.Block {
	floors := p.in.Config.Test.Coverage
	judgeUnset(&result.Stage, floors)
	report, err := found.coverage, found.err
	if err == nil && report != nil && stale(report.Timestamp, found.ran.Started) {
		err = fmt.Errorf("%w: written at %s, the run began at %s", errStale,
			report.Timestamp.Format(time.RFC3339), found.ran.Started.UTC().Format(time.RFC3339))
	}
	// pytest-cov writes nothing if -x ends the session.
	incomplete := found.stopped() || found.ran.ExitCode == exitInterrupted ||
		len(result.problems) > 0 && result.problems[0].Code.Name != TestsFailed.Name
	switch {
	case err != nil:
		result.fail(CoverageInvalid, "%v", err)
		return nil
	case report == nil:
		if !incomplete {
			coverageMissing(result, floors.Source, found.ran.Stdout+"\n"+found.ran.Stderr)
		}
		return nil
	}
	c := &counting{floors: floors, modules: found.events.modules, given: p.names, generated: p.built.Generated}
	var others *coverage.Report
	result.Coverage, others = report.Split(func(name string) bool { return c.isTest(name) || c.made(name) })
	tests, made := others.Split(func(name string) bool { return !c.isTest(name) })
	block := notCounted(&result.Stage, tests, c.modules)
	c.warnMade(&result.Stage, made)
	j := &coverageJudge{Result: result, plan: p, counting: c, kept: found.kept, selective: found.selective}
	j.holdGates(selectionWords(p.in, found.selected), c.testsByName(tests))
	j.judgeAltered(found.ran.Altered)
	if j.kept != nil {
		j.judgeKeptOut(c.odd(tests))
	}
	compare(result, c, p.in, found.selective)
	judgeChange(result, p.in.Base, found.selective)
	if found.kept != nil {
		ownFloor(&result.Stage, found.kept, p.project.Stated, floors.Total)
	}
	return block
}

var neverImported = regexp.MustCompile(`CoverageWarning: Module (\S+) was never imported`)

// coverageMissing explains why pytest-cov wrote no report, as far as the output tells.
func coverageMissing(result *Result, source []string, output string) {
	p := result.problem(CoverageMissing, "the run left no %s", coverageFile)
	p.Details = warnings(output)
	m := neverImported.FindStringSubmatch(output)
	if m == nil {
		return
	}
	p.Cause += ": no test imported " + m[1]
	where := "the setting of coverage.py that names it"
	if slices.Contains(source, m[1]) {
		where = "test.coverage.source in pipeline.yaml"
	}
	p.Next = "Correct " + where + ", if the package has another name; else import it in a test"
}

func stale(written, began time.Time) bool {
	return !written.IsZero() && !began.IsZero() && written.Before(began.Add(-clockSlack))
}

// empty adds the problem of a gate without lines. If the tests ran copies of the files, no glob can be corrected.
func (j *coverageJudge) empty(details []string, next, format string, args ...any) {
	p := j.problem(CoverageEmptySet, format, args...)
	p.Next, p.Details = next, details
	if slices.ContainsFunc(j.built.Findings, func(f pyenv.Finding) bool { return f.Code.Name == pyenv.ModulesMoved.Name }) {
		p.Next = pyenv.ModulesMoved.Remedy
	}
}

func (j *coverageJudge) holdGates(selection string, byName []string) {
	c, own := j.floors, j.Coverage
	total := own.Totals()
	gates := []gate{j.hold("total", own, total.LineRate(), c.Total)}
	if total.Lines == 0 {
		gates[0].state = "empty"
		cause, next := "no line of %s was measured besides tests", "Let a test import the code, and check test.coverage.source of pipeline.yaml"
		switch {
		case j.byProject():
			next = "Solve COVERAGE_NARROWED first: the project's own settings or comments leave all lines out"
		case len(byName) > 0:
			files := strings.ReplaceAll(names(byName, 3), "%", "%%")
			cause += ": by its name, " + files + " is one, though pytest found no test in it"
			next = "If it is part of the application, rename it, or list its path in test.coverage.critical.paths of pipeline.yaml: then it counts"
		}
		j.empty(nil, next, cause, strings.Join(j.sources, ", "))
	}
	for _, group := range groupsOf(c) {
		g := gate{name: group.name, min: group.Min, state: "not applied: no paths are configured"}
		if len(group.Paths) > 0 {
			files, err := own.Group(group.Paths)
			g = j.hold(group.name, files, files.Totals().LineRate(), group.Min)
			if err != nil {
				g.state, g.held = "empty", true
				j.empty([]string{"measured files: " + names(paths(own), 20)}, "",
					"%s: %s", group.name, strings.ReplaceAll(err.Error(), "\n", "; "))
			}
		}
		gates = append(gates, g)
	}
	branches := gate{name: "branches", totals: total, rate: total.BranchRate(), min: c.Branch, state: "reported only"}
	if c.Branch > 0 {
		branches = j.hold("branches", own, total.BranchRate(), c.Branch)
		if total.Branches == 0 {
			branches.state = "empty"
			j.empty(nil, "Set test.coverage.branch to 0: the code has no branches", "branches: none was measured")
		}
	}
	gates = append(gates, branches)
	if j.selective {
		j.Stage.Warn(Selection, "%s", selection)
	}
	for _, g := range gates {
		j.record(g)
	}
}

// hold applies a gate to the measured coverage. Runs of a selection enforce none.
func (j *coverageJudge) hold(name string, files *coverage.Report, rate coverage.Rate, minimum float64) gate {
	g := gate{name: name, files: files, totals: files.Totals(), rate: rate, min: minimum, held: true, state: "ok"}
	switch {
	case j.selective:
		g.held, g.state = false, "not applied: a selection of the tests ran"
	case !rate.AtLeast(minimum):
		g.state = "below"
	}
	return g
}

// record adds a gate to the evidence and, if it failed, to the problems.
func (j *coverageJudge) record(g gate) {
	unit := "line coverage"
	if g.name == "branches" {
		unit = "branch coverage"
	}
	value := fmt.Sprintf("%s (%d of %d)", g.rate, g.rate.Part, g.rate.Whole)
	name := unit
	if g.name == "critical paths" || g.name == "model components" {
		name += ", " + g.name
		if g.totals.Files == 0 && !g.held {
			value = g.state
		}
	}
	want := ""
	if g.held {
		want = ">= " + percent(g.min)
	} else if g.totals.Files > 0 && g.min > 0 {
		value += ", floor of " + percent(g.min) + " " + g.state // not shown as a gate: a tick would suggest that it was enforced
	}
	j.Stage.Gate(name, value, want, g.ok())
	if g.rate.Whole > 0 {
		var floor *float64
		if g.held {
			floor = new(g.min / 100)
		}
		j.Stage.Measure(verdict.MeasureCoverage, strings.Fields(g.name)[0], float64(g.rate.Part)/float64(g.rate.Whole), floor)
	}
	if !g.held || g.state != "below" {
		return
	}
	p := j.problem(CoverageBelow, "%s: %s of %s, the gate is %s: %d of %d are covered", g.name, g.rate,
		strings.TrimSuffix(unit, " coverage")+"s", percent(g.min), g.rate.Part, g.rate.Whole)
	p.Details = missing(g.files, g.name == "branches")
	switch first := j.problems[0].Code.Name; first {
	case NoTests.Name, CollectionError.Name: // the missing lines are not the tests' fault
		p.Next, p.Details = "Solve "+first+" first: the tests that did not run cover nothing", nil
		return
	case TestsFailed.Name:
		p.Next = "Solve " + first + " first: a test that fails may end before what it covers. Then test the missing lines that the report names"
	}
	if g.name == "total" && p.Next == "" {
		p.Next = withoutScripts(j.in.Config, g.files, g.min)
		// A floor of 0 is not a floor, and the coverage of a run with failures is too low to propose.
		if p.Next == "" && !j.in.Config.FloorSet && g.rate.Part*100 >= g.rate.Whole && len(j.problems) == 1 {
			p.Next = beginWith(g.rate, g.min)
		}
	}
}

// beginWith is the remedy for a project that has not chosen a floor: it can start with today's coverage. It never proposes to
// lower a floor that was set explicitly.
func beginWith(reached coverage.Rate, minimum float64) string {
	return fmt.Sprintf("Test the missing lines that the report names. Nobody chose the floor of %s, it is the default: to begin with what "+
		"the tests reach, write test.coverage.total: %d into pipeline.yaml, as init --measure does, and raise it with the tests",
		percent(minimum), reached.Part*100/max(reached.Whole, 1))
}

// withoutScripts is the remedy if coverage misses its gate only because of the scripts that train.command and image.command
// start and no test runs; otherwise it is empty. The user has to decide that they do not count.
func withoutScripts(c config.Config, own *coverage.Report, minimum float64) string {
	commands := slices.Concat(c.Train.Command, c.Image.Command)
	for i, word := range commands {
		if i > 0 && commands[i-1] == "-m" { // a module
			file := strings.ReplaceAll(word, ".", "/")
			commands = append(commands, file+".py", "src/"+file+".py", file+"/__main__.py", "src/"+file+"/__main__.py")
		}
	}
	var scripts []string
	var rest coverage.Report
	for _, f := range own.Files {
		if f.Totals().Covered == 0 && slices.Contains(commands, f.Path) {
			scripts = append(scripts, f.Path)
		} else {
			rest.Files = append(rest.Files, f)
		}
	}
	if rate := rest.Totals().LineRate(); len(scripts) == 0 || rate.Whole == 0 || !rate.AtLeast(minimum) {
		return ""
	}
	var omit []string
	for _, glob := range slices.Concat(c.Test.Coverage.Omit, scripts) {
		omit = append(omit, strconv.Quote(glob))
	}
	return fmt.Sprintf("Test the missing lines that the report names. No test runs %s, which the pipeline starts as a script: to leave it "+
		"out, set test.coverage.omit: [%s] in pipeline.yaml", strings.Join(scripts, " and "), strings.Join(omit, ", "))
}

// percent formats a floor as it was configured.
func percent(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) + "%" }

// missing names the files with the most uncovered lines.
func missing(r *coverage.Report, branches bool) []string {
	files := byMissing(r, branches)
	var out []string
	for _, f := range files[:min(len(files), shown)] {
		t := f.Totals()
		if branches {
			out = append(out, fmt.Sprintf("%s: %d of %d branches not taken", f.Path, t.Branches-t.Taken, t.Branches))
			continue
		}
		out = append(out, fmt.Sprintf("%s: %s, missing %s", f.Path, t.LineRate(), xmlscan.Clip(f.Missing(), 200)))
	}
	if more := len(files) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("and %d more files", more))
	}
	return out
}

// byMissing returns the files with uncovered lines, most first.
func byMissing(r *coverage.Report, branches bool) []*coverage.File {
	miss := func(f *coverage.File) int {
		t := f.Totals()
		if branches {
			return t.Branches - t.Taken
		}
		return t.Lines - t.Covered
	}
	var files []*coverage.File
	for _, f := range r.Files {
		if miss(f) > 0 {
			files = append(files, f)
		}
	}
	slices.SortStableFunc(files, func(a, b *coverage.File) int { return miss(b) - miss(a) })
	return files
}

func paths(r *coverage.Report) []string {
	var out []string
	for _, f := range r.Files {
		out = append(out, f.Path)
	}
	return out
}

// compare warns if coverage fell below the baseline.
func compare(r *Result, c *counting, in Input, selective bool) {
	if in.Baseline == "" {
		return
	}
	base, err := readCoverage(in.Baseline)
	if err != nil {
		r.Stage.Warn(BaselineInvalid, "%v", err)
		return
	}
	counted, _ := base.Split(c.isTest)
	before, now := counted.Totals().LineRate(), r.Coverage.Totals().LineRate()
	if before.Whole == 0 {
		r.Stage.Warn(BaselineInvalid, "it holds no line that counts")
		return
	}
	points, beyond := now.Dropped(before, in.Tolerance)
	if !selective {
		r.Stage.Add("line coverage of the baseline", before.String())
		if beyond {
			r.Stage.Warn(CoverageDropped, "total coverage is %s, it was %s: %s points less, %s are tolerated", now, before, points,
				percent(in.Tolerance))
		}
	}
}

// readCoverage reads a local coverage report.
func readCoverage(name string) (*coverage.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open coverage report: %w", err)
	}
	r, err := coverage.Parse(f, xmlscan.Limits{})
	return r, errors.Join(err, f.Close())
}

// warnings returns the lines in which coverage.py or pytest-cov warn.
func warnings(text string) []string {
	var out []string
	for _, line := range safetext.LastLines(text, 2000) {
		if strings.Contains(line, "CoverageWarning") || strings.Contains(line, "CovReportWarning") || strings.Contains(line, "No data") {
			out = append(out, line)
		}
	}
	return out[:min(len(out), shown)]
}
