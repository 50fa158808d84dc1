package testrun

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// clockSlack is how far two clocks that stamp the same run may be apart.
const clockSlack = 5 * time.Second

// gate is one demand on coverage with what was found.
type gate struct {
	name   string
	totals coverage.Totals
	rate   coverage.Rate
	min    float64
	// state is "ok", "below", "empty" or why the gate is not held.
	state string
	held  bool
}

func (g gate) ok() bool { return !g.held || g.state == "ok" }

// judgeCoverage holds the gates. A run that did not come to its end writes no coverage
// report; that it is missing is then no news.
func (s *session) judgeCoverage() {
	s.judgeUnset()
	// pytest-cov writes nothing when -x ends the session.
	incomplete := s.stopped() || s.ran.ExitCode == exitInterrupted || len(s.problems) > 0 && s.problems[0].Code.Name != TestsFailed.Name
	switch {
	case s.coverageErr == nil && s.measured != nil && s.stale():
		s.coverageErr = fmt.Errorf("%w: written at %s, the run began at %s", errStale,
			s.measured.Timestamp.Format(time.RFC3339), s.ran.Started.UTC().Format(time.RFC3339))
		fallthrough
	case s.coverageErr != nil:
		s.fail(CoverageInvalid, "%v", s.coverageErr)
		return
	case s.measured == nil:
		if !incomplete {
			s.problem(CoverageMissing, "the run left no %s", coverageFile).Details = warnings(s.ran.Stdout + "\n" + s.ran.Stderr)
		}
		return
	}
	s.count()
	s.holdGates()
	s.judgeKeptOut()
	s.compare()
	s.ownFloor()
}

func (s *session) stale() bool {
	return !s.measured.Timestamp.IsZero() && !s.ran.Started.IsZero() && s.measured.Timestamp.Before(s.ran.Started.Add(-clockSlack))
}

func (s *session) holdGates() {
	c := s.in.Config.Test.Coverage
	own := s.result.Coverage
	total := own.Totals()
	gates := []gate{s.hold("total", total, total.LineRate(), c.Total)}
	if total.Lines == 0 {
		gates[0].state = "empty"
		s.fail(CoverageEmptySet, "no line of %s was measured besides tests", strings.Join(s.plan.sources, ", "))
	}
	for _, group := range []struct {
		name  string
		floor config.Floor
	}{{"critical paths", c.Critical}, {"model components", c.Model}} {
		g := gate{name: group.name, min: group.floor.Min, state: "not held: no paths are configured"}
		if len(group.floor.Paths) > 0 {
			files, err := own.Group(group.floor.Paths)
			t := files.Totals()
			g = s.hold(group.name, t, t.LineRate(), group.floor.Min)
			if err != nil {
				g.state, g.held = "empty", true
				p := s.problem(CoverageEmptySet, "%s: %s", group.name, strings.ReplaceAll(err.Error(), "\n", "; "))
				p.Details = []string{"measured files: " + names(paths(own), 20)}
			}
		}
		gates = append(gates, g)
	}
	branches := gate{name: "branches", totals: total, rate: total.BranchRate(), min: c.Branch, state: "reported only"}
	if c.Branch > 0 {
		branches = s.hold("branches", total, total.BranchRate(), c.Branch)
		if total.Branches == 0 {
			branches.state = "empty"
			s.fail(CoverageEmptySet, "branches: none was measured")
		}
	}
	gates = append(gates, branches)
	if s.selective() {
		s.result.Stage.Warn(Selection, "%s", s.selection())
	}
	for _, g := range gates {
		s.record(g, own, c)
	}
}

// hold makes a gate of what was found. Selections hold none.
func (s *session) hold(name string, t coverage.Totals, rate coverage.Rate, minimum float64) gate {
	g := gate{name: name, totals: t, rate: rate, min: minimum, held: true, state: "ok"}
	switch {
	case s.selective():
		g.held, g.state = false, "not held: a selection of the tests ran"
	case !rate.AtLeast(minimum):
		g.state = "below"
	}
	return g
}

// record adds a gate to the evidence and, when it did not hold, to the problems.
func (s *session) record(g gate, own *coverage.Report, c config.Coverage) {
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
		want = ">= " + percent(g.min) + ", " + g.state
	}
	s.result.Stage.Gate(name, value, want, g.ok())
	if g.rate.Whole > 0 {
		set, floor := strings.Fields(g.name)[0], g.min/100
		measured := &floor
		if !g.held {
			measured = nil
		}
		s.result.Stage.Measure(verdict.MeasureCoverage, set, float64(g.rate.Part)/float64(g.rate.Whole), measured)
	}
	if !g.held || g.state != "below" {
		return
	}
	files := own
	switch g.name {
	case "critical paths":
		files, _ = own.Group(c.Critical.Paths)
	case "model components":
		files, _ = own.Group(c.Model.Paths)
	}
	p := s.problem(CoverageBelow, "%s: %s of %s, the gate is %s: %d of %d are covered", g.name, g.rate,
		strings.TrimSuffix(unit, " coverage")+"s", percent(g.min), g.rate.Part, g.rate.Whole)
	p.Details = missing(files, g.name == "branches")
	if g.name == "total" {
		p.Next = s.withoutScripts(own, g.min)
	}
}

// withoutScripts is the remedy for coverage that is only below its gate because of the scripts that
// train.command and image.command start, and no test runs; empty otherwise. It is for the user to
// say that they count for nothing.
func (s *session) withoutScripts(own *coverage.Report, minimum float64) string {
	commands := slices.Concat(s.in.Config.Train.Command, s.in.Config.Image.Command)
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
	for _, glob := range slices.Concat(s.in.Config.Test.Coverage.Omit, scripts) {
		omit = append(omit, strconv.Quote(glob))
	}
	return fmt.Sprintf("Test the missing lines that the report names. No test runs %s, which the pipeline starts as a script: to leave it out, set "+
		"test.coverage.omit: [%s] in pipeline.yaml", strings.Join(scripts, " and "), strings.Join(omit, ", "))
}

// percent writes a floor as it was configured.
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

// byMissing are the files that miss anything, those that miss most first.
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
	sort.SliceStable(files, func(i, j int) bool { return miss(files[i]) > miss(files[j]) })
	return files
}

func paths(r *coverage.Report) []string {
	var out []string
	for _, f := range r.Files {
		out = append(out, f.Path)
	}
	return out
}

// compare warns of a drop below the baseline.
func (s *session) compare() {
	if s.in.Baseline == "" {
		return
	}
	base, err := readCoverage(s.in.Baseline)
	if err != nil {
		s.result.Stage.Warn(BaselineInvalid, "%v", err)
		return
	}
	counted, _ := base.Split(s.isTest)
	before, now := counted.Totals().LineRate(), s.result.Coverage.Totals().LineRate()
	if before.Whole == 0 {
		s.result.Stage.Warn(BaselineInvalid, "it holds no line that counts")
		return
	}
	points, beyond := now.Dropped(before, s.in.Tolerance)
	if !s.selective() {
		s.result.Stage.Add("line coverage of the baseline", before.String())
		if beyond {
			s.result.Stage.Warn(CoverageDropped, "total coverage is %s, it was %s: %s points less, %s are tolerated", now, before, points,
				percent(s.in.Tolerance))
		}
	}
}

// readCoverage reads a coverage report of this process's file system.
func readCoverage(name string) (*coverage.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open coverage report: %w", err)
	}
	r, err := coverage.Parse(f, xmlscan.Limits{})
	return r, errors.Join(err, f.Close())
}

// warnings are the lines of an output in which coverage.py or pytest-cov warn.
func warnings(text string) []string {
	var out []string
	for _, line := range safetext.LastLines(text, 2000) {
		if strings.Contains(line, "CoverageWarning") || strings.Contains(line, "CovReportWarning") || strings.Contains(line, "No data") {
			out = append(out, line)
		}
	}
	return out[:min(len(out), shown)]
}
