package pyproject

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// testLevel are the usual names of files with what the tests need, the best first.
var testLevel = []string{
	"requirements/test.lock", "requirements-test.lock", "requirements/test.txt", "requirements-test.txt",
	"requirements/tests.txt", "requirements-tests.txt", "requirements_test.txt", "test-requirements.txt", "tests/requirements.txt",
	"requirements/dev.lock", "requirements/dev.txt", "requirements-dev.txt", "requirements_dev.txt", "dev-requirements.txt",
}

// base are the usual names of files with what the application needs.
var base = []string{"requirements.lock", "requirements.txt", "requirements/base.txt", "requirements/requirements.txt"}

// forTests and forDevelopment are the usual names of groups and extras.
var (
	forTests       = []string{"test", "tests", "testing"}
	forDevelopment = []string{"dev", "develop", "development"}
)

// usual takes the best of the usual files.
func (d *detector) usual() {
	var test, basic string
	for _, name := range testLevel {
		if d.has(name) {
			test = name
			break
		}
	}
	for _, name := range base {
		if d.has(name) {
			basic = name
			break
		}
	}
	hashed := test != "" && strings.Contains(d.text(test), "--hash=")
	switch {
	case hashed:
		d.requirements([]string{test})
	case d.has("uv.lock") && d.has("pyproject.toml"):
		d.uvLock()
	case d.has("poetry.lock") && d.has("pyproject.toml"):
		d.poetryLock()
	case test != "" && basic != "" && !slices.Contains(d.included(test), basic):
		d.requirements([]string{basic, test})
	case test != "":
		d.requirements([]string{test})
	case basic != "":
		d.requirements([]string{basic})
	case d.toml["project"] != nil || d.toml["dependency-groups"] != nil || d.toml["tool.poetry"] != nil:
		d.pyproject()
	case d.has("setup.cfg") && d.p.Package, d.has("setup.py"):
		d.setuptools()
	}
}

var (
	// include is a line that names another file: -r x, -rx, --requirement=x, -c x.
	include = regexp.MustCompile(`^(?:-r|-c|--requirement|--constraint)(?:\s+|=|)(\S+)`)
	// self is a line that names the project itself: -e ., .[test], --editable=.
	self = regexp.MustCompile(`^(?:(?:-e|--editable)(?:\s+|=))?(?:file:)?\.(?:/)?(?:\[([^\]]*)\])?\s*$`)
)

// lines are a requirements file's lines without comments, continued lines joined.
func lines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var out []string
	for _, line := range strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		if i := strings.Index(" "+line, " #"); i >= 0 {
			line = line[:max(0, i)]
		}
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// included are a file and all that it includes, in the order in which they are met.
func (d *detector) included(name string) []string {
	seen := []string{}
	var follow func(name, by string)
	follow = func(name, by string) {
		switch {
		case slices.Contains(seen, name):
			return
		case !fs.ValidPath(name):
			d.wrong = append(d.wrong, fmt.Sprintf("%s includes %s, which is outside of the source", by, name))
			return
		case !d.has(name):
			wrong := "there is no " + name
			if by != "" {
				wrong += ", which " + by + " includes"
			}
			d.wrong = append(d.wrong, wrong)
			return
		}
		seen = append(seen, name)
		for _, line := range lines(d.text(name)) {
			m := include.FindStringSubmatch(line)
			if m != nil && !strings.Contains(m[1], "://") {
				follow(path.Join(path.Dir(name), m[1]), name)
			}
		}
	}
	follow(path.Clean(name), "")
	return seen
}

// requirements installs from pip's requirements files.
func (d *detector) requirements(names []string) {
	d.p.Kind, d.p.Locked, d.p.From = Hashed, true, names
	var hashed, plain []string
	extras := map[string]bool{}
	isSelf := false
	for _, name := range names {
		tops := d.included(name)
		locked := len(tops) > 0
		for _, file := range tops {
			text := d.text(file)
			kept, dropped := withoutSelf(text)
			if dropped != nil {
				isSelf = true
				for _, e := range dropped {
					extras[e] = true
				}
				d.p.written[file] = []byte(kept)
			}
			if len(lines(text)) > 0 && !strings.Contains(text, "--hash=") && len(lines(kept)) > countIncludes(kept) {
				locked = false
			}
		}
		d.p.files = append(d.p.files, tops...)
		if locked {
			hashed = append(hashed, "-r", path.Clean(name))
		} else {
			plain = append(plain, "-r", path.Clean(name))
		}
	}
	if isSelf {
		plain = append(plain, d.own(slices.Sorted(maps.Keys(extras)))...)
	}
	if len(hashed) > 0 {
		d.p.install = append(d.p.install, append([]string{"uv", "pip", "install", "--require-hashes"}, hashed...))
	}
	if len(plain) > 0 {
		d.p.Kind, d.p.Locked = Requirements, false
		d.p.install = append(d.p.install, append([]string{"uv", "pip", "install"}, plain...))
	}
}

func countIncludes(text string) int {
	n := 0
	for _, line := range lines(text) {
		if include.MatchString(line) || strings.HasPrefix(line, "--") {
			n++
		}
	}
	return n
}

// withoutSelf takes the lines out that name the project itself, which is on PYTHONPATH
// instead, and returns the extras they ask for; nil when there is no such line.
func withoutSelf(text string) (kept string, extras []string) {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		bare, _, _ := strings.Cut(strings.TrimRight(line, "\r"), " #")
		m := self.FindStringSubmatch(strings.TrimSpace(bare))
		if m == nil {
			out = append(out, line)
			continue
		}
		if extras == nil {
			extras = []string{}
		}
		for _, e := range strings.Split(m[1], ",") {
			if e = strings.TrimSpace(e); e != "" {
				extras = append(extras, e)
			}
		}
	}
	return strings.Join(out, "\n"), extras
}

// buildFiles are what a build backend reads to tell a project's dependencies.
var buildFiles = []string{"pyproject.toml", "setup.cfg", "setup.py", "README*", "LICENSE*", "VERSION*", "MANIFEST.in", "requirements*.txt", "requirements/*.txt", "*/__init__.py", "src/*/__init__.py", "**/_version.py", "**/version.py"}

// own are uv's arguments for the project's own dependencies.
func (d *detector) own(extras []string) []string {
	var args []string
	switch {
	case d.toml["project"] != nil || d.toml["tool.poetry"] != nil:
		args = []string{"-r", "pyproject.toml"}
	case d.has("setup.cfg"):
		args = []string{"-r", "setup.cfg"}
	case d.has("setup.py"):
		args = []string{"-r", "setup.py"}
	default:
		return nil
	}
	for _, e := range extras {
		args = append(args, "--extra", e)
	}
	d.p.files = append(d.p.files, "pyproject.toml", "setup.cfg", "setup.py")
	if d.toml["project"] == nil || strings.Contains(d.toml["project"]["dynamic"], "dependencies") {
		d.p.files = append(d.p.files, buildFiles...)
	}
	return args
}

// chosen are those of the usual groups that exist: those for tests, else those for development.
func chosen(existing map[string]string) []string {
	for _, wanted := range [][]string{forTests, forDevelopment} {
		var found []string
		for _, name := range wanted {
			if _, ok := existing[name]; ok {
				found = append(found, name)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

func options(flag string, values []string) []string {
	var out []string
	for _, v := range values {
		out = append(out, flag, v)
	}
	return out
}

func (d *detector) uvLock() {
	d.p.Kind, d.p.From = UV, []string{"uv.lock"}
	d.p.files = []string{"pyproject.toml", "uv.lock", "uv.toml"}
	export := []string{"uv", "export", "--quiet", "--frozen", "--no-emit-project", "--format", "requirements.txt", "--output-file", exported}
	export = append(export, options("--extra", chosen(d.toml["project.optional-dependencies"]))...)
	export = append(export, options("--group", chosen(d.toml["dependency-groups"]))...)
	d.exported(export, strings.Contains(d.text("uv.lock"), "source = { git") || strings.Contains(d.text("uv.lock"), "source = { url"))
}

func (d *detector) poetryLock() {
	d.p.Kind, d.p.From = Poetry, []string{"poetry.lock"}
	d.p.files = []string{"pyproject.toml", "poetry.lock"}
	groups := map[string]string{}
	for table := range d.toml {
		if rest, ok := strings.CutPrefix(table, "tool.poetry.group."); ok {
			group, _, _ := strings.Cut(rest, ".")
			groups[group] = ""
		}
	}
	if d.toml["tool.poetry.dev-dependencies"] != nil {
		groups["dev"] = ""
	}
	maps.Copy(groups, d.toml["dependency-groups"])
	export := []string{"uv", "tool", "run", "--quiet", "--from", "poetry==" + poetryVersion, "--with", "poetry-plugin-export==" + poetryExportVersion,
		"poetry", "export", "--no-interaction", "--format", "requirements.txt", "--output", exported}
	export = append(export, options("--with", chosen(groups))...)
	extras := map[string]string{}
	maps.Copy(extras, d.toml["project.optional-dependencies"])
	maps.Copy(extras, d.toml["tool.poetry.extras"])
	export = append(export, options("--extras", chosen(extras))...)
	d.exported(export, strings.Contains(d.text("poetry.lock"), `type = "git"`) || strings.Contains(d.text("poetry.lock"), `type = "url"`))
}

// exported installs from a lock that another tool turns into a requirements file. A
// package from a git repository has no hash; with one, only the hashes that exist are checked.
func (d *detector) exported(export []string, unhashed bool) {
	install := []string{"uv", "pip", "install", "--require-hashes", "-r", exported}
	if unhashed {
		install = []string{"uv", "pip", "install", "--verify-hashes", "-r", exported}
	}
	d.p.Locked = !unhashed
	d.p.install = [][]string{export, install}
}

func (d *detector) pyproject() {
	d.p.Kind, d.p.From = Pyproject, []string{"pyproject.toml"}
	args := d.own(chosen(d.toml["project.optional-dependencies"]))
	d.p.files = append(d.p.files, "pyproject.toml")
	args = append(args, options("--group", chosen(d.toml["dependency-groups"]))...)
	if len(args) > 0 {
		d.p.install = [][]string{append([]string{"uv", "pip", "install"}, args...)}
	}
}

func (d *detector) setuptools() {
	d.p.Kind = Setuptools
	extras := chosen(scanINI(d.text("setup.cfg"))["options.extras_require"])
	args := d.own(extras)
	d.p.From = args[1:2]
	d.p.install = [][]string{append([]string{"uv", "pip", "install"}, args...)}
}
