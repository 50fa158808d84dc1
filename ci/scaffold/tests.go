package scaffold

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/pyenv"
)

// tests finds out how the project is tested.
func (s *survey) tests() error {
	stated, err := pyenv.ReadTestSettings(s.ctx, s.request.Source)
	if err != nil {
		return err
	}
	declared, err := pyenv.ReadTestCommand(s.ctx, s.request.Source, s.python)
	if err != nil {
		return err
	}
	s.testCommand(declared, stated)
	s.testRequirements()
	// pytest-cov prefers its command-line options to all settings.
	if len(declared.Measured) > 0 {
		stated.Measured, stated.MeasuredFrom = declared.Measured, declared.From
	}
	if declared.Floor > 0 {
		stated.Floor, stated.FloorFrom, stated.Combined = declared.Floor, declared.From, false
	}
	s.measured(stated)
	s.floor(stated)
	return nil
}

// testCommand compares the default with what the project's own tool runs, or else with where the tests are: the default runs
// tests/, and searches if there is no such directory.
func (s *survey) testCommand(declared pyenv.TestCommand, stated pyenv.TestSettings) {
	if len(declared.Vars) > 0 {
		var pairs []string
		for _, variable := range declared.Vars {
			name, value, _ := strings.Cut(variable, "=")
			pairs = append(pairs, scalar(name)+": "+strconv.Quote(value))
		}
		s.set("test.vars", asYAML("{"+strings.Join(pairs, ", ")+"}"), "what %s gives the tests", declared.From)
	}
	if next := s.project.Around.ServicesNext(); next != "" {
		s.unknown("test.command", next, "how the tests do without %s", strings.Join(s.project.Around.Services, ", "))
	}
	if declared.Unread != "" {
		s.found("%s runs tests in a way that is not taken over, such as in several calls: set test.command if the default is not what you mean",
			declared.Unread)
	}
	var inside, outside []string
	for _, name := range s.tree.names {
		switch {
		case !isTestFile(path.Base(name)):
		case strings.HasPrefix(name, "tests/"):
			inside = append(inside, name)
		default:
			outside = append(outside, name)
		}
	}
	search := []string{"python", "-m", "pytest", "-v"}
	own := slices.ContainsFunc(stated.Paths, func(p string) bool { return path.Clean(p) != "tests" })
	only := func(paths []string) bool { return len(paths) == 1 && path.Clean(paths[0]) == "tests" }
	switch {
	case len(declared.Options) > 0, len(declared.Paths) > 0 && !only(declared.Paths):
		s.set("test.command", slices.Concat(search, declared.Options, declared.Paths), "what %s runs", declared.From)
	case only(declared.Paths):
		s.found("tests in tests/, by %s", declared.From)
	case own && s.tree.below("tests"):
		s.set("test.command", search, "testpaths of %s names more than tests/", stated.PathsFrom)
	case own:
		s.found("tests in %s, by %s", strings.Join(stated.Paths, ", "), stated.PathsFrom)
	case stated.Doctests != "" && s.tree.below("tests") && len(stated.Paths) == 0:
		s.set("test.command", search, "%s has pytest collect doctests, also outside of tests/", stated.Doctests)
	case declared.From != "" && len(outside) > 0 && s.tree.below("tests") && len(stated.Paths) == 0:
		s.set("test.command", search, "%s names no directory, and there are tests outside of tests/, such as %s", declared.From, outside[0])
	case len(inside) == 0 && len(outside) > 0 && s.tree.below("tests"):
		s.set("test.command", search, "the tests are not in tests/ but beside the code, such as %s", outside[0])
	case len(inside)+len(outside) == 0 && s.tree.has("manage.py"):
		s.unknown("test.command", "add pytest-django, and `test.command: [python, -m, pytest, -v]`",
			"tests that pytest finds: manage.py is Django's own runner")
	case len(inside)+len(outside) == 0:
		s.unknown("test.command", cmp.Or(pyenv.OtherTestsNext(s.tree.names), "write tests/test_first.py with a function test_first, or name the "+
			"command in test.command"),
			"any test: no file is called test_*.py")
	case len(inside) > 0 && len(outside) > 0 && len(stated.Paths) == 0:
		s.unknown("test.command", "write `test.command: [python, -m, pytest, -v]` if they belong to the run",
			"whether %d test files outside of tests/ count, such as %s: only tests/ is run", len(outside), outside[0])
	default:
		s.found("files with tests: %d", len(inside)+len(outside))
	}
}

// imports returns the modules that a file imports unconditionally: not in a function or where a failure is caught.
var imports = regexp.MustCompile(`(?m)^(?:import|from)[ \t]+([A-Za-z_]\w*)`)

// testRequirements proposes the extras and groups that the tests import from, and lists what is declared but not installed.
func (s *survey) testRequirements() {
	var modules []string
	read := 0
	for _, name := range s.tree.names {
		if path.Ext(name) != ".py" || !isTest(name) || read == mostFiles {
			continue
		}
		read++
		for _, m := range imports.FindAllStringSubmatch(s.tree.text(name), -1) {
			modules = append(modules, m[1])
		}
	}
	if element, words := s.project.Wanted(modules); element != "" {
		s.set("test.requirements", []string{element}, "the tests import it: %s", words)
		return
	}
	if len(s.project.Unread) > 0 {
		s.found("declared and not installed for the tests: %s. Name a file in test.requirements if a module is missing",
			strings.Join(s.project.Unread[:min(len(s.project.Unread), 8)], ", "))
	}
}

// measured proposes what coverage measures: what the project configures, or else its packages. Scripts in the root, which
// tests rarely run, would otherwise count as uncovered.
func (s *survey) measured(stated pyenv.TestSettings) {
	const key = "test.coverage.source"
	var usable, absent []string
	for _, source := range stated.Measured {
		source = path.Clean(source)
		if !plainName.MatchString(source) || strings.Contains(source, "..") || source == "tests" {
			continue
		}
		if s.tree.measures(source) {
			usable = append(usable, source)
		} else {
			absent = append(absent, source)
		}
	}
	if len(absent) > 0 {
		s.found("%s, which %s measures, is not in the source", strings.Join(absent, ", "), stated.MeasuredFrom)
	}
	switch {
	case slices.Equal(usable, []string{"."}), slices.Equal(usable, []string{"src"}) && s.project.SrcLayout:
		return
	case len(usable) > 0:
		s.set(key, usable, "what %s measures", stated.MeasuredFrom)
		return
	case s.project.SrcLayout:
		return // the default
	}
	packages := s.tree.packages()
	var scripts []string
	// Includes other files such as noxfile.py and examples, which coverage.py would count.
	for _, name := range s.tree.names {
		inside := slices.ContainsFunc(packages, func(dir string) bool { return strings.HasPrefix(name, dir+"/") })
		if path.Ext(name) == ".py" && name[0] != '.' && !inside && !isTest(name) && path.Base(name) != "conftest.py" {
			scripts = append(scripts, name)
		}
	}
	if len(packages) > 0 && len(scripts) > 0 {
		s.set(key, packages, "the packages; files such as %s are not what the tests are for", scripts[0])
	}
}
