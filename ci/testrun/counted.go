package testrun

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// conventional are names that nobody gives to modules of an application.
var conventional = []string{"**/test_*.py", "**/*_test.py", "**/tests.py", "**/conftest.py", "**/tests/**", "**/test/**"}

// isTest reports whether a measured file is part of the tests, hence of no total:
//
//   - what the configuration omits, and the default globs of tests, always;
//   - what pytest collected tests from, by the names that the project gives to test modules.
//
// Tests are covered by running them, so that counting them would raise every share. A module of the
// application with a doctest in it is not a test. What a gate names by its path always counts; what
// the globs of a gate take counts unless pipeline.yaml omits it, or it is a test by its name too.
func (s *session) isTest(name string) bool {
	c := s.in.Config.Test.Coverage
	collected := s.events.modules[name]
	byDefault := glob.MatchAny(config.Default().Test.Coverage.Omit, name)
	if !collected && !byDefault && !glob.MatchAny(c.Omit, name) {
		return false
	}
	for _, pattern := range slices.Concat(c.Critical.Paths, c.Model.Paths) {
		if !glob.Match(pattern, name) {
			continue
		}
		if named(pattern, name) {
			return false
		}
		defaults := config.Default().Test.Coverage.Omit
		omitted := slices.DeleteFunc(slices.Clone(c.Omit), func(pattern string) bool { return slices.Contains(defaults, pattern) })
		byName := glob.MatchAny(conventional, name) && (collected || path.Base(name) == "conftest.py")
		return byName || glob.MatchAny(omitted, name)
	}
	return true
}

// named reports whether a pattern is the path of one file.
func named(pattern, name string) bool { return path.Clean(pattern) == name }

// count divides what was measured into what gates hold and what they leave out.
func (s *session) count() {
	s.result.Coverage, s.tests = s.measured.Split(s.isTest)
	if len(s.tests.Files) == 0 {
		return
	}
	t := s.tests.Totals()
	s.result.Stage.Add("measured lines of tests, in no total", fmt.Sprintf("%d in %d %s", t.Lines, t.Files, plural(t.Files, "file", "files")))
	table := &verdict.Table{Columns: []string{"File", "Lines", "Missing", "Why"}}
	for _, f := range s.tests.Files[:min(len(s.tests.Files), maxRows)] {
		why := "test.coverage.omit"
		if s.events.modules[f.Path] {
			why = "pytest collected tests from it"
		}
		of := f.Totals()
		table.Rows = append(table.Rows, []string{f.Path, strconv.Itoa(of.Lines), strconv.Itoa(of.Lines - of.Covered), why})
	}
	if more := len(s.tests.Files) - maxRows; more > 0 {
		table.Rows = append(table.Rows, []string{fmt.Sprintf("and %d more, in coverage.xml", more), "", "", ""})
	}
	s.leftOutOfCoverage = &verdict.Block{Title: "Files in no total of coverage", Table: table}
}

// odd are the collected modules without the name of a test: they leave the total because a setting
// of the project calls them tests.
func (s *session) odd() []string {
	var found []string
	for _, f := range s.tests.Files {
		if s.events.modules[f.Path] && !glob.MatchAny(conventional, f.Path) && !glob.MatchAny(s.in.Config.Test.Coverage.Omit, f.Path) {
			found = append(found, fmt.Sprintf("%s (%d lines)", f.Path, f.Totals().Lines))
		}
	}
	return found
}

// anyGate reports whether a floor of coverage can fail the stage at all.
func anyGate(c config.Coverage) bool {
	group := func(f config.Floor) bool { return f.Min > 0 && len(f.Paths) > 0 }
	return c.Total > 0 || c.Branch > 0 || group(c.Critical) || group(c.Model)
}

// judgeUnset warns of floors that are not held.
func (s *session) judgeUnset() {
	c := s.in.Config.Test.Coverage
	if !anyGate(c) {
		s.result.Stage.Warn(verdict.CodeGatesNone.In(verdict.Test),
			"no floor of coverage is held: test.coverage.total is 0, and neither critical paths nor model components nor branches have one")
	} else if c.Total == 0 {
		s.result.Stage.Warn(GateUnset, "test.coverage.total is 0, so no floor holds all lines")
	}
	for _, group := range []struct {
		name  string
		floor config.Floor
	}{{"critical paths", c.Critical}, {"model components", c.Model}} {
		if len(group.floor.Paths) == 0 && group.floor.Min > 0 {
			s.result.Stage.Warn(GateUnset, "%s have no globs, so their floor of %s is not held", group.name, percent(group.floor.Min))
		}
	}
}

// under reports whether coverage was to measure a file.
func (p *plan) under(name string) bool {
	return slices.ContainsFunc(p.sources, func(source string) bool {
		source = strings.TrimSuffix(path.Clean(source), "/")
		return source == "." || name == source || strings.HasPrefix(name, source+"/")
	})
}
