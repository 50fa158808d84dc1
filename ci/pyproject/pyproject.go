// Package pyproject finds out what kind of Python project a source tree is: what its
// test environment is installed from and how, where its packages lie, and which of its
// settings do not do what their author meant. It runs nothing.
package pyproject

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Kind says what a project's environment is installed from.
type Kind string

// The kinds, the most exact first.
const (
	Hashed       Kind = "requirements with hashes"
	UV           Kind = "uv.lock"
	Poetry       Kind = "poetry.lock"
	Requirements Kind = "requirements"
	Pyproject    Kind = "pyproject.toml"
	Setuptools   Kind = "setup.cfg"
	None         Kind = "nothing"
)

// Pinned versions of what exports a poetry.lock.
const (
	poetryVersion       = "2.2.1"
	poetryExportVersion = "1.9.0"
)

// exported is the file that a lock of another form is converted to.
const exported = "openstack-rca-exported.txt"

// Project is what was found.
type Project struct {
	// Kind and From say what the environment is installed from.
	Kind Kind
	From []string
	// Locked says that every package is pinned by hash.
	Locked bool
	// Package says that the project itself is installable, under Name and Version
	// (empty where a build would compute it); EntryPoints are its entry points by
	// group, name and object.
	Package       bool
	Name, Version string
	EntryPoints   map[string]map[string]string
	// SrcLayout says that the packages lie in src/.
	SrcLayout bool
	// Findings are warnings about the project.
	Findings []Finding

	files   []string
	written map[string][]byte
	install [][]string
}

// Finding is one warning.
type Finding struct {
	Code  verdict.Code
	Cause string
}

// Environment is the test environment of the project: the files its installation
// reads and nothing else, and the commands.
func (p *Project) Environment(r runner.Runner, source runner.Files, python string) runner.Environment {
	files := r.NewFiles(p.written)
	if len(p.files) > 0 {
		files = source.Filter(p.files, nil).With(".", files)
	}
	return runner.Environment{Python: python, Files: files, Install: slices.Clone(p.install)}
}

// PythonPath are the directories to put on PYTHONPATH, relative to the source, so that
// the project's own packages are found. The project is not built into the environment:
// that would make a new environment for every change of the source.
func (p *Project) PythonPath() []string {
	switch {
	case p.SrcLayout:
		return []string{"src"}
	case p.Package:
		return []string{"."}
	}
	return nil
}

// Detect examines a source tree. requirements are the files named by the configuration;
// with none, the usual files of a Python project are looked for. It returns a
// *verdict.Problem for requirements that cannot be used, another error for a tree
// that cannot be read.
func Detect(ctx context.Context, source runner.Files, requirements []string) (*Project, error) {
	names, err := source.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list source: %w", err)
	}
	d := &detector{ctx: ctx, source: source, names: names, texts: map[string]string{}, p: &Project{Kind: None, written: map[string][]byte{}}}
	d.layout()
	d.metadata()
	d.settings()
	if len(requirements) > 0 {
		d.requirements(requirements)
	} else {
		d.usual()
	}
	if d.err != nil {
		return nil, d.err
	}
	if len(d.wrong) > 0 {
		problem := verdict.Problemf(RequirementsInvalid, "%s", d.wrong[0])
		if len(d.wrong) > 1 {
			problem.Cause = fmt.Sprintf("%s, and %d more", d.wrong[0], len(d.wrong)-1)
		}
		problem.Details = d.wrong
		return nil, problem
	}
	switch {
	case d.p.Kind == None:
		d.find(RequirementsNone, "found none of %s", strings.Join(append(slices.Clone(testLevel[:4]), "uv.lock", "poetry.lock", "pyproject.toml", "setup.cfg", "requirements.txt"), ", "))
	case !d.p.Locked:
		d.find(RequirementsUnlocked, "%s pins no hashes", strings.Join(d.p.From, ", "))
	}
	return d.p, nil
}

// fileLimit bounds one file that is read: the largest known lock files have 5 MB.
const fileLimit = 32 << 20

type detector struct {
	ctx    context.Context
	source runner.Files
	names  []string
	texts  map[string]string
	toml   toml
	p      *Project
	wrong  []string
	err    error
}

func (d *detector) find(code verdict.Code, format string, args ...any) {
	d.p.Findings = append(d.p.Findings, Finding{code, fmt.Sprintf(format, args...)})
}

func (d *detector) has(name string) bool {
	_, found := slices.BinarySearch(d.names, name)
	return found
}

// text reads a file; "" when it is not there.
func (d *detector) text(name string) string {
	if text, ok := d.texts[name]; ok {
		return text
	}
	if !d.has(name) || d.err != nil {
		return ""
	}
	content, err := d.source.Read(d.ctx, name, fileLimit)
	switch {
	case errors.Is(err, runner.ErrTooLarge):
		d.wrong = append(d.wrong, fmt.Sprintf("%s is larger than %d MiB", name, fileLimit>>20))
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		d.err = fmt.Errorf("read %s: %w", name, err)
	}
	d.texts[name] = strings.TrimPrefix(string(content), "\ufeff")
	return d.texts[name]
}

func (d *detector) layout() {
	for _, name := range d.names {
		rest, in := strings.CutPrefix(name, "src/")
		if in && strings.HasSuffix(rest, ".py") && (strings.Count(rest, "/") == 0 || strings.Count(rest, "/") == 1 && strings.HasSuffix(rest, "/__init__.py")) {
			d.p.SrcLayout = true
			return
		}
	}
}

// metadata reads what the project says about itself.
func (d *detector) metadata() {
	d.toml = scanTOML(d.text("pyproject.toml"))
	setup := scanINI(d.text("setup.cfg"))
	for _, m := range []struct{ name, version string }{
		{unquote(d.toml["project"]["name"]), unquote(d.toml["project"]["version"])},
		{unquote(d.toml["tool.poetry"]["name"]), unquote(d.toml["tool.poetry"]["version"])},
		{setup["metadata"]["name"], setup["metadata"]["version"]},
	} {
		if d.p.Name == "" {
			d.p.Name, d.p.Version = m.name, m.version
		}
	}
	if strings.Contains(d.p.Version, ":") { // "attr: package.__version__"
		d.p.Version = ""
	}
	_, build := d.toml["build-system"]
	d.p.Package = (build || d.has("setup.py") || setup["metadata"]["name"] != "") &&
		d.toml["tool.uv"]["package"] != "false" && d.toml["tool.poetry"]["package-mode"] != "false"
	d.p.EntryPoints = map[string]map[string]string{}
	for section, keys := range d.toml {
		group, is := strings.CutPrefix(section, "project.entry-points.")
		switch {
		case section == "project.scripts" || section == "tool.poetry.scripts":
			group = "console_scripts"
		case !is:
			continue
		}
		d.p.EntryPoints[group] = map[string]string{}
		for key, value := range keys {
			d.p.EntryPoints[group][key] = unquote(value)
		}
	}
}

// settings looks for settings that have no effect.
func (d *detector) settings() {
	for _, c := range []struct{ file, ignored, read string }{
		{"pytest.ini", "tool:pytest", "pytest"},
		{".pytest.ini", "tool:pytest", "pytest"},
		{"tox.ini", "tool:pytest", "pytest"},
		{"setup.cfg", "pytest", "tool:pytest"},
	} {
		sections := scanINI(d.text(c.file))
		_, ignored := sections[c.ignored]
		_, read := sections[c.read]
		if ignored && !read {
			d.find(PytestConfigIgnored, "%s has its settings under [%s], which pytest ignores in this file: name the section [%s]", c.file, c.ignored, c.read)
		}
	}
	_, options := d.toml["pytest.ini_options"]
	_, table := d.toml["tool:pytest"]
	if options || table {
		d.find(PytestConfigIgnored, "pyproject.toml has pytest's settings in a table that pytest ignores: name it [tool.pytest.ini_options]")
	}
}
