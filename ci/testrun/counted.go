package testrun

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// conventional are names that nobody gives to modules of an application; the first two are those of pytest.
var conventional = []string{"**/test_*.py", "**/*_test.py", "**/tests.py", "**/conftest.py", "**/tests/**", "**/test/**"}

// counting decides which measured files count in the totals.
type counting struct {
	floors config.Coverage
	// modules are the files that pytest collected tests from.
	modules map[string]bool
	// given are the files that the tests were given, sorted.
	given []string
	// generated are the files that the project's build added to these.
	generated []string
}

// made reports whether a measured file was made while the tests ran. It is no code of the source, and what is
// made to be run raises every share.
func (n *counting) made(name string) bool {
	_, there := slices.BinarySearch(n.given, name)
	return !there
}

func (n *counting) warnMade(stage *verdict.Stage, made *coverage.Report) {
	var files, generated []string
	for _, f := range made.Files {
		text := fmt.Sprintf("%s (%d %s)", f.Path, f.Totals().Lines, plural(f.Totals().Lines, "line", "lines"))
		if slices.Contains(n.generated, f.Path) {
			generated = append(generated, text)
		} else {
			files = append(files, text)
		}
	}
	if len(generated) > 0 {
		stage.Remark(CoverageNarrowed, "made by the project's build, so left out of the totals: %s", names(generated, 3))
	}
	if len(files) > 0 {
		stage.WarnNext(CoverageNarrowed, "Keep the files in the source if their lines are to count",
			"made while the tests ran, so left out of the totals: %s", names(files, 3))
	}
}

// isTest reports whether a measured file is part of the tests, hence of no total:
//
//   - what the configuration omits, and the default globs of tests, always;
//   - what pytest collected tests from, by the names that the project gives to test modules.
//
// Tests are covered by running them, so that counting them would raise every share. A module of the
// application with a doctest in it is not a test. What a gate names by its path always counts; what
// the globs of a gate take counts unless pipeline.yaml omits it, or it is a test by its name too.
func (n *counting) isTest(name string) bool {
	c, collected := n.floors, n.modules[name]
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

// notCounted is the table of the tests that were measured and are in no total; nil when there are none.
func notCounted(stage *verdict.Stage, tests *coverage.Report, modules map[string]bool) *verdict.Block {
	if len(tests.Files) == 0 {
		return nil
	}
	t := tests.Totals()
	stage.Add("lines of test files, left out of the totals", fmt.Sprintf("%d in %d %s", t.Lines, t.Files, plural(t.Files, "file", "files")))
	table := &verdict.Table{Columns: []string{"File", "Lines", "Missing", "Why"}}
	for _, f := range tests.Files[:min(len(tests.Files), maxRows)] {
		why := "test.coverage.omit"
		if modules[f.Path] {
			why = "pytest collected tests from it"
		}
		of := f.Totals()
		table.Rows = append(table.Rows, []string{f.Path, strconv.Itoa(of.Lines), strconv.Itoa(of.Lines - of.Covered), why})
	}
	if more := len(tests.Files) - maxRows; more > 0 {
		table.Rows = append(table.Rows, []string{fmt.Sprintf("and %d more, in coverage.xml", more), "", "", ""})
	}
	return &verdict.Block{Title: "Files that coverage leaves out of its totals", Table: table}
}

// odd are the collected modules without the name of a test: they leave the total because a setting
// of the project calls them tests.
func (n *counting) odd(tests *coverage.Report) []string {
	var found []string
	for _, f := range tests.Files {
		if n.modules[f.Path] && !glob.MatchAny(conventional, f.Path) && !glob.MatchAny(n.floors.Omit, f.Path) {
			found = append(found, fmt.Sprintf("%s (%d lines)", f.Path, f.Totals().Lines))
		}
	}
	return found
}

// group is a set of files with a floor of its own.
type group struct {
	name string
	config.Floor
}

func groupsOf(c config.Coverage) []group {
	return []group{{"critical paths", c.Critical}, {"model components", c.Model}}
}

// anyGate reports whether a floor of coverage can fail the stage at all.
func anyGate(c config.Coverage) bool {
	return c.Total > 0 || c.Branch > 0 || slices.ContainsFunc(groupsOf(c), func(g group) bool { return g.Min > 0 && len(g.Paths) > 0 })
}

// judgeUnset warns of floors that are not held.
func judgeUnset(stage *verdict.Stage, c config.Coverage) {
	if !anyGate(c) {
		stage.Warn(verdict.CodeGatesNone.In(verdict.Test),
			"no floor of coverage is held: test.coverage.total is 0, and neither critical paths nor model components nor branches have one")
	} else if c.Total == 0 {
		stage.Warn(GateUnset, "test.coverage.total is 0, so no floor holds all lines")
	}
	var unset []string
	for _, group := range groupsOf(c) {
		if len(group.Paths) == 0 && group.Min > 0 {
			unset = append(unset, fmt.Sprintf("%s (%s)", group.name, percent(group.Min)))
		}
	}
	if len(unset) > 0 {
		stage.Warn(GateUnset, "floors without globs are not applied: %s", strings.Join(unset, ", "))
		// Where one for all lines holds, those for groups of files are an offer.
		stage.Warnings[len(stage.Warnings)-1].Remark = c.Total > 0
	}
}

// under reports whether coverage was to measure a file: it lies in a directory that is a source, or in a package that is one by its
// name, wherever Python finds that.
func (p *plan) under(name string) bool {
	roots := slices.Concat([]string{".", "src"}, p.built.PythonPath)
	return slices.ContainsFunc(p.sources, func(source string) bool {
		source = path.Clean(source)
		if source == "." || name == source || strings.HasPrefix(name, source+"/") {
			return true
		}
		module := strings.ReplaceAll(source, ".", "/")
		return !p.exists(source) && slices.ContainsFunc(roots, func(root string) bool {
			at := path.Join(root, module)
			return name == at+".py" || strings.HasPrefix(name, at+"/")
		})
	})
}
