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

// conventional matches names that application modules do not have. The first two are pytest's defaults.
var conventional = []string{"**/test_*.py", "**/*_test.py", "**/tests.py", "**/conftest.py", "**/tests/**", "**/test/**"}

// counting decides which measured files count towards the totals.
type counting struct {
	floors config.Coverage
	// modules are the files that pytest collected tests from.
	modules map[string]bool
	// given are the files that the tests could see, sorted.
	given []string
	// generated are the files that the project's build added to them.
	generated []string
}

// made reports whether a measured file was created while the tests ran. Such a file is not part of the source, and tests
// could create one only to raise their coverage.
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

// isTest reports whether a measured file is part of the tests and so does not count towards any total:
//
// - files that the configuration omits, and the default globs of tests;
//
// - files that pytest collected tests from, if they match the project's names for test modules.
//
// Tests are covered by running them, so counting them would raise every total. An application module with a doctest is not a
// test. A file that a gate names by its path always counts. A file that matches a gate's glob counts unless pipeline.yaml
// omits it or its name is that of a test.
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

// named reports whether a pattern is the path of a single file.
func named(pattern, name string) bool { return path.Clean(pattern) == name }

// notCounted returns a table of the measured tests that count towards no total, or nil if there are none.
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

// odd returns collected modules that do not have the name of a test. They do not count because a setting of the project makes
// them tests.
func (n *counting) odd(tests *coverage.Report) []string {
	var found []string
	for _, f := range tests.Files {
		if n.modules[f.Path] && !glob.MatchAny(conventional, f.Path) && !glob.MatchAny(n.floors.Omit, f.Path) {
			found = append(found, fmt.Sprintf("%s (%d lines)", f.Path, f.Totals().Lines))
		}
	}
	return found
}

// testsByName returns measured files outside of test folders that only their name makes tests: pytest collected none from
// them.
func (n *counting) testsByName(tests *coverage.Report) []string {
	var found []string
	for _, name := range paths(tests) {
		if !n.modules[name] && glob.MatchAny(conventional[:2], name) && !glob.MatchAny(conventional[4:], name) {
			found = append(found, name)
		}
	}
	return found
}

// group is a set of files with its own coverage floor.
type group struct {
	name string
	config.Floor
}

func groupsOf(c config.Coverage) []group {
	return []group{{"critical paths", c.Critical}, {"model components", c.Model}}
}

// anyGate reports whether any coverage floor can fail the stage.
func anyGate(c config.Coverage) bool {
	return c.Total > 0 || c.Branch > 0 || slices.ContainsFunc(groupsOf(c), func(g group) bool { return g.Min > 0 && len(g.Paths) > 0 })
}

// judgeUnset warns about coverage floors that are not set.
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
		// If there is a floor for all lines, those for groups are optional.
		stage.Warnings[len(stage.Warnings)-1].Remark = c.Total > 0
	}
}

// under reports whether a file was to be measured: whether it is in a source directory, or in a source package wherever
// Python finds that package.
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
