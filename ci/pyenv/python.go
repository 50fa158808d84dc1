package pyenv

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Minor versions of Python 3 that environments can have; the oldest is the default.
const oldestMinor, newestMinor = 10, 14

// ProjectName returns the project's name from pyproject.toml or setup.cfg. It is empty if there is none or the files cannot
// be read, which another function reports.
func ProjectName(ctx context.Context, source runner.Files) string {
	t, err := readTree(ctx, source)
	if err != nil {
		return ""
	}
	toml := t.toml
	var setup string
	if m := setupName.FindStringSubmatch(t.text("setup.py")); m != nil {
		setup = m[1]
	}
	return cmp.Or(toml.sub("project").str("name"), toml.sub("tool", "poetry").str("name"),
		parseINI(t.text("setup.cfg"))["metadata"]["name"], setup)
}

// ChoosePython returns the Python version that a project asks for, and the file that does: .python-version, or the oldest
// version that requires-python and similar settings allow. Both are empty if the project asks for none, or for none that is
// available.
func ChoosePython(ctx context.Context, source runner.Files) (version, from string, err error) {
	t, err := readTree(ctx, source)
	if err != nil {
		return "", "", err
	}
	version, from = t.choosePython()
	return version, from, t.err
}

var (
	pinnedPython = regexp.MustCompile(`^(?:c?python[-@ ]?)?3\.(\d+)`)
	// A name after a bracket may be that of an Extension.
	setupName   = regexp.MustCompile(`\bsetup\(\s*(?:[^()]*,\s*)?name\s*=\s*['"]([^'"]+)['"]`)
	setupPython = regexp.MustCompile(`python_requires\s*=\s*['"]([^'"]+)['"]`)
	condaPython = regexp.MustCompile(`(?m)\bpython\s*([=<>!~][^\s,\]'"]*(?:,[=<>!~][^\s\]'"]*)*)`)
	clausePart  = regexp.MustCompile(`^(===?|~=|!=|<=|>=|<|>|\^|~|)\s*v?(\d+)(?:\.(\d+|\*))?(.*)$`)
)

// otherPins are other files that state a project's Python version.
var otherPins = []struct {
	file    string
	pattern *regexp.Regexp
}{
	{".tool-versions", regexp.MustCompile(`(?m)^python\s+3\.(\d+)`)},
	{"mise.toml", regexp.MustCompile(`(?m)^\s*python\s*=\s*"3\.(\d+)`)},
	{"runtime.txt", regexp.MustCompile(`(?m)^python-3\.(\d+)`)},
}

func (t *tree) choosePython() (version, from string) {
	if pinned := lines(t.text(".python-version")); len(pinned) > 0 {
		if m := pinnedPython.FindStringSubmatch(pinned[0]); m != nil {
			if minor, err := strconv.Atoi(m[1]); err == nil && minor >= oldestMinor && minor <= newestMinor {
				return fmt.Sprintf("3.%d", minor), ".python-version"
			}
		}
	}
	for _, other := range otherPins {
		if m := other.pattern.FindStringSubmatch(t.text(other.file)); m != nil {
			if minor, err := strconv.Atoi(m[1]); err == nil && minor >= oldestMinor && minor <= newestMinor {
				return fmt.Sprintf("3.%d", minor), other.file
			}
		}
	}
	spec, from := t.pythonSpec("")
	if spec == "" {
		return "", ""
	}
	for minor := oldestMinor; minor <= newestMinor; minor++ {
		if allows(spec, minor) {
			return fmt.Sprintf("3.%d", minor), from
		}
	}
	return "", ""
}

// pythonSpec returns the Python versions that the project declares, and where.
func (t *tree) pythonSpec(stage string) (spec, from string) {
	poetry, _ := t.toml.sub("tool", "poetry", "dependencies")["python"].(string)
	setup := ""
	if m := setupPython.FindStringSubmatch(t.text("setup.py")); m != nil {
		setup = m[1]
	}
	pipfile := t.table("Pipfile").sub("requires").str("python_version")
	if pipfile != "" {
		pipfile = "==" + pipfile + ".*"
	}
	conda := ""
	if m := condaPython.FindStringSubmatch(t.text(condaFile(t, stage))); m != nil {
		if conda = m[1]; conda[0] == '=' {
			conda = "==" + strings.TrimLeft(conda, "=")
		}
	}
	pixi, label := pixiTables(t)
	for _, c := range [][2]string{
		{t.requiresPython(stage), "requires-python of pyproject.toml"},
		{poetry, "python of [tool.poetry.dependencies]"},
		{parseINI(t.text("setup.cfg"))["options"]["python_requires"], "python_requires of setup.cfg"},
		{setup, "python_requires of setup.py"},
		{t.table("uv.lock").str("requires-python"), "requires-python of uv.lock"},
		{t.table("pylock.toml").str("requires-python"), "requires-python of pylock.toml"},
		{t.table("poetry.lock").sub("metadata").str("python-versions"), "python-versions of poetry.lock"},
		{pipfile, "python_version of Pipfile"},
		{conda, "python of " + condaFile(t, stage)},
		{strings.TrimPrefix(pixi.sub("dependencies").str("python"), "*"), "python of " + label},
	} {
		if c[0] != "" {
			return c[0], c[1]
		}
	}
	return "", ""
}

// requiresPython returns the project's Python versions, and those of the stage's groups in uv's settings.
func (t *tree) requiresPython(stage string) string {
	all := []string{t.toml.sub("project").str("requires-python")}
	for _, name := range append(uvDefaultGroups(t.toml), chosen(cmp.Or(stage, verdict.Test), uvGroups(t.toml))...) {
		all = append(all, t.toml.sub("tool", "uv", "dependency-groups", name).str("requires-python"))
	}
	all = slices.DeleteFunc(all, func(spec string) bool { return spec == "" })
	return strings.Join(all, ",")
}

// allows reports whether some release of Python 3.minor satisfies a specifier of PEP 440 or Poetry. An unreadable specifier
// allows everything; the installer judges it in full.
func allows(spec string, minor int) bool {
	return slices.ContainsFunc(strings.Split(spec, "||"), func(alternative string) bool {
		for _, clause := range strings.FieldsFunc(alternative, func(r rune) bool { return r == ',' }) {
			for _, part := range splitClauses(clause) {
				if !clauseAllows(part, minor) {
					return false
				}
			}
		}
		return true
	})
}

var clauseStart = regexp.MustCompile(`\s+([<>=!~^])`)

// splitClauses splits ">=3.10 <3.12", which Poetry also accepts.
func splitClauses(clause string) []string {
	return strings.Split(clauseStart.ReplaceAllString(strings.TrimSpace(clause), "\x00$1"), "\x00")
}

func clauseAllows(clause string, minor int) bool {
	m := clausePart.FindStringSubmatch(strings.TrimSpace(clause))
	if m == nil {
		return true
	}
	operator, rest := m[1], m[4]
	major, err := strconv.Atoi(m[2])
	if err != nil {
		return true
	}
	bound, exact := 0, m[3] != "" && m[3] != "*"
	if exact {
		if bound, err = strconv.Atoi(m[3]); err != nil {
			return true
		}
	}
	switch {
	case major > 3:
		return slices.Contains([]string{"<", "<=", "!="}, operator)
	case major < 3:
		return slices.Contains([]string{">", ">=", "!="}, operator)
	}
	// A later release of the same minor version exists.
	later := rest != "" && rest != ".0" && rest != ".*"
	switch operator {
	case ">=":
		return minor >= bound
	case ">":
		return minor >= bound
	case "<":
		return minor < bound || later && minor == bound
	case "<=":
		return minor <= bound
	case "!=":
		return !exact || minor != bound || rest != ".*"
	case "^":
		return minor >= bound
	case "~=":
		if rest == "" {
			return minor >= bound
		}
		return minor == bound
	}
	return !exact || minor == bound // ==, ===, ~ and none
}

// comparePython compares the environment's Python with what the project declares.
func (p *Project) comparePython(t *tree) {
	var minor int
	if _, err := fmt.Sscanf(p.Python, "3.%d", &minor); err != nil {
		return
	}
	if pinned := lines(t.text(".python-version")); len(pinned) > 0 {
		m := pinnedPython.FindStringSubmatch(pinned[0])
		wanted := 0
		if m != nil {
			wanted, _ = strconv.Atoi(m[1]) // a number, or a version that does not exist
		}
		if wanted < oldestMinor || wanted > newestMinor {
			p.find(PythonMismatch, "Python %s is used, and .python-version is %q, which cannot be had: there are 3.%d to 3.%d", p.Python, pinned[0],
				oldestMinor, newestMinor)
			return
		}
	}
	if spec, from := t.pythonSpec(p.Stage); spec != "" && !allows(spec, minor) {
		p.find(PythonMismatch, "Python %s is used, and %s is %q: set `python` in pipeline.yaml, or `--python`", p.Python, from, spec)
	}
}

// Virtual returns the directories of sorted files that are virtual environments: those with a pyvenv.cfg, by which Python
// recognises them, and the activation script that every tool writes. (A test may have only the former.) The root of the
// source is never one.
func Virtual(names []string) []string {
	var dirs []string
	for _, name := range names {
		dir, file := path.Split(name)
		_, unix := slices.BinarySearch(names, dir+"bin/activate")
		_, windows := slices.BinarySearch(names, dir+"Scripts/activate")
		if file == "pyvenv.cfg" && dir != "" && (unix || windows) {
			dirs = append(dirs, path.Clean(dir))
		}
	}
	return dirs
}
