// Package pyenv decides what the Python environment of a stage is made of: from which
// files it is installed, whether they lock every package by hash, with which Python, and
// what else was seen and not installed. It is the one place that knows this for tests,
// training and serving, on every runner.
//
// Discovery happens here, in Go, and runs nothing. Formats are left to the tools that own
// them wherever possible: uv, Poetry and PDM read their lock files themselves. The project
// itself is built by its own backend: see Build.
package pyenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Kind names what an environment is installed from.
type Kind string

// The kinds, the most exact first.
const (
	Hashed       Kind = "requirements with hashes"
	UV           Kind = "uv.lock"
	Pylock       Kind = "pylock.toml"
	Poetry       Kind = "poetry.lock"
	PDM          Kind = "pdm.lock"
	PipfileLock  Kind = "Pipfile.lock"
	Requirements Kind = "requirements"
	Pyproject    Kind = "pyproject.toml"
	Setuptools   Kind = "setup.cfg"
	Pipfile      Kind = "Pipfile"
	Tox          Kind = "tox.ini"
	Conda        Kind = "environment.yml"
	None         Kind = "nothing"
)

// Request says which environment is asked for.
type Request struct {
	// Stage is verdict.Test, verdict.Train or verdict.Image (serving); Test when empty.
	Stage string
	// Requirements are the files that pipeline.yaml names; with none, the usual files
	// of a Python project are looked for.
	Requirements []string
	// Python is the version of the environment, "3.11".
	Python string
}

// Project is what was found.
type Project struct {
	// Stage and Python are those of the request.
	Stage, Python string
	// Kind and From name what the environment is installed from; Parts are the groups
	// and extras of it.
	Kind  Kind
	From  []string
	Parts []string
	// Locked reports whether every package is pinned by hash.
	Locked bool
	// Package reports whether the project itself is installable, under Name and Version
	// (empty where a build computes it). EntryPoints are its entry points by group, name
	// and object.
	Package       bool
	Name, Version string
	EntryPoints   map[string]map[string]string
	// SrcLayout reports whether Python files lie below src/.
	SrcLayout bool
	// Findings are warnings about the project.
	Findings []Finding
	// Unread are the declarations of packages that were seen and are not installed.
	Unread []string

	// locals are the directories of packages that lie in the source; "." is the project.
	locals []string
	// files are names, globs patterns of what the installation reads; written are files
	// that it reads in another form than the source's.
	files, globs []string
	written      map[string][]byte
	install      [][]string
	// scm are the locals whose build computes the version from git; hint is the version that
	// an sdist carries. requires are the build requirements of all locals.
	scm      map[string]computedVersion
	hint     string
	requires []string
	// srcs are the locals with a src layout; compiled reports whether files need a compiler.
	srcs     []string
	compiled bool
	// named reports whether pipeline.yaml names the requirements, requirementsDir whether there is a
	// directory of that name, poetryOnly whether only Poetry's tables declare packages; for LockNext.
	named, requirementsDir, poetryOnly bool
}

// Finding is one warning. Its code is that of the request's stage.
type Finding struct {
	Code  verdict.Code
	Cause string
	// Next is the remedy as made from the case; the code's when empty.
	Next string
}

// InvalidError lists everything that is wrong with the files that declare packages.
type InvalidError struct{ Wrong []string }

// Error implements error: the first fault, and how many more there are.
func (e *InvalidError) Error() string {
	if len(e.Wrong) > 1 {
		return fmt.Sprintf("%s, and %d more", e.Wrong[0], len(e.Wrong)-1)
	}
	return e.Wrong[0]
}

// Problem is the error as a stage reports it, with a code of its own.
func (e *InvalidError) Problem(code verdict.Code) *verdict.Problem {
	problem := verdict.Problemf(code, "%s", e.Error())
	problem.Details = slices.Clone(e.Wrong)
	return problem
}

// Environment is the environment of the project: the files that its installation reads
// and nothing else, so that a change of any other file keeps it, and the commands.
func (p *Project) Environment(r runner.Runner, source runner.Files) runner.Environment {
	files := r.NewFiles(p.written)
	globs := slices.Clone(p.globs)
	for _, name := range p.files {
		globs = append(globs, glob.Escape(name))
	}
	switch {
	case len(globs) == 0:
	case len(p.written) == 0:
		files = source.Filter(globs, heavy)
	default:
		files = source.Filter(globs, heavy).With(".", files)
	}
	return runner.Environment{Python: p.Python, Files: files, Install: slices.Clone(p.install)}
}

// heavy are directories that nothing is installed from.
var heavy = []string{".git", ".venv", "venv", "node_modules", "**/__pycache__"}

// Summary says in one line what the environment is installed from.
func (p *Project) Summary() string {
	text := string(p.Kind)
	if len(p.From) > 0 {
		text = strings.Join(p.From, ", ")
	}
	if len(p.Parts) > 0 {
		text += " with " + strings.Join(p.Parts, ", ")
	}
	if p.Locked {
		text += ", locked by hash"
	}
	return text
}

// missingModule is what Python prints of an import that found nothing.
var missingModule = regexp.MustCompile(`ModuleNotFoundError: No module named '([^']+)'`)

// Missing is the finding for output in which a module is missing, when the source declares
// packages that are not installed; nil otherwise.
func (p *Project) Missing(output string) *Finding {
	m := missingModule.FindStringSubmatch(output)
	if m == nil || len(p.Unread) == 0 {
		return nil
	}
	cause := fmt.Sprintf("no module named %s; seen and not installed: %s", m[1], strings.Join(p.Unread, ", "))
	return &Finding{Code: For(p.Stage, RequirementsUnread), Cause: cause}
}

// PythonPath are the directories that hold the project's packages in its source, for a
// project that is not built.
func (p *Project) PythonPath() []string {
	switch {
	case p.SrcLayout:
		return []string{"src"}
	case p.Package:
		return []string{"."}
	}
	return nil
}

// Detect examines a source tree. It returns an *InvalidError for files that declare
// packages and cannot be used, with all faults; another error for a tree that cannot be read.
func Detect(ctx context.Context, source runner.Files, request Request) (*Project, error) {
	if request.Stage == "" {
		request.Stage = verdict.Test
	}
	d, err := newDetector(ctx, source, request)
	if err != nil {
		return nil, err
	}
	d.layout()
	d.metadata()
	d.settings()
	d.python()
	if len(request.Requirements) > 0 {
		d.requirements(request.Requirements)
	} else {
		d.usual()
	}
	d.locals()
	if d.err != nil {
		return nil, d.err
	}
	if len(d.wrong) > 0 {
		return nil, &InvalidError{Wrong: slices.Compact(d.wrong)}
	}
	d.unread()
	d.p.named, d.p.poetryOnly = len(request.Requirements) > 0, d.toml.sub("project") == nil && d.toml.sub("tool", "poetry") != nil
	d.p.requirementsDir = slices.ContainsFunc(d.names, func(name string) bool { return strings.HasPrefix(name, "requirements/") })
	switch {
	case d.p.Kind == None && request.Stage == verdict.Test:
		d.find(RequirementsNone, "found none of %s", strings.Join(lookedFor(request.Stage), ", "))
	case !d.p.Locked && request.Stage == verdict.Test:
		d.find(RequirementsUnlocked, "%s pins no hashes", strings.Join(d.p.From, ", "))
		d.p.Findings[len(d.p.Findings)-1].Next = d.p.LockNext()
	}
	return d.p, d.err
}

// LookedFor are the files that Detect looks for, as a message names them.
func LookedFor(stage string) string { return strings.Join(lookedFor(stage), ", ") }

// fileLimit bounds one file that is read: the largest known lock files have 5 MB.
const fileLimit = 32 << 20

type detector struct {
	ctx    context.Context
	source runner.Files
	names  []string
	texts  map[string]string
	tables map[string]table
	toml   table
	stage  string
	p      *Project
	// used are the declarations that the environment is installed from, as unread names them.
	used  map[string]bool
	dirs  map[string]bool
	wrong []string
	err   error
}

func newDetector(ctx context.Context, source runner.Files, request Request) (*detector, error) {
	names, err := source.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list source: %w", err)
	}
	d := &detector{
		ctx: ctx, source: source, names: names, stage: request.Stage,
		texts: map[string]string{}, tables: map[string]table{}, used: map[string]bool{}, dirs: map[string]bool{},
		p: &Project{Kind: None, Stage: request.Stage, Python: request.Python, written: map[string][]byte{}},
	}
	d.toml = d.table("pyproject.toml")
	return d, nil
}

func (d *detector) find(code verdict.Code, format string, args ...any) {
	d.p.Findings = append(d.p.Findings, Finding{Code: For(d.stage, code), Cause: fmt.Sprintf(format, args...)})
}

func (d *detector) fault(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(d.wrong, text) {
		d.wrong = append(d.wrong, text)
	}
}

func (d *detector) has(name string) bool {
	_, found := slices.BinarySearch(d.names, name)
	return found
}

// below reports whether a directory holds any file.
func (d *detector) below(dir string) bool {
	if dir == "." {
		return len(d.names) > 0
	}
	at, _ := slices.BinarySearch(d.names, dir+"/")
	return at < len(d.names) && strings.HasPrefix(d.names[at], dir+"/")
}

// first is the first of some names that the source has.
func (d *detector) first(names []string) string {
	for _, name := range names {
		if d.has(name) {
			return name
		}
	}
	return ""
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
		d.fault("%s is larger than %d MiB", name, fileLimit>>20)
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		d.err = fmt.Errorf("read %s: %w", name, err)
	}
	d.texts[name] = decode(content)
	return d.texts[name]
}

// table reads a TOML file; nil when it is not there or cannot be read, which is a fault.
func (d *detector) table(name string) table {
	if parsed, ok := d.tables[name]; ok {
		return parsed
	}
	parsed, err := parseTOML(d.text(name))
	if err != nil {
		d.fault("%s cannot be read: %v", name, err)
	}
	d.tables[name] = parsed
	return parsed
}

func (d *detector) layout() {
	for _, name := range d.names {
		if strings.HasPrefix(name, "src/") && strings.HasSuffix(name, ".py") {
			d.p.SrcLayout = true
			break
		}
	}
	d.submodules()
}

// metadata reads what the project declares about itself.
func (d *detector) metadata() {
	setup := parseINI(d.text("setup.cfg"))
	project, poetry := d.toml.sub("project"), d.toml.sub("tool", "poetry")
	for _, m := range []struct{ name, version string }{
		{project.str("name"), project.str("version")},
		{poetry.str("name"), poetry.str("version")},
		{setup["metadata"]["name"], setup["metadata"]["version"]},
	} {
		if d.p.Name == "" {
			d.p.Name, d.p.Version = m.name, m.version
		}
	}
	if strings.Contains(d.p.Version, ":") { // "attr: package.__version__"
		d.p.Version = ""
	}
	d.p.Package = d.installable(".")
	d.p.EntryPoints = map[string]map[string]string{}
	for _, c := range []struct {
		group string
		keys  table
	}{{"console_scripts", project.sub("scripts")}, {"console_scripts", poetry.sub("scripts")}, {"gui_scripts", project.sub("gui-scripts")}} {
		d.entryPoints(c.group, c.keys)
	}
	for _, group := range slices.Sorted(maps.Keys(project.sub("entry-points"))) {
		d.entryPoints(group, project.sub("entry-points", group))
	}
}

func (d *detector) entryPoints(group string, keys table) {
	for name, value := range keys {
		if object, ok := value.(string); ok {
			if d.p.EntryPoints[group] == nil {
				d.p.EntryPoints[group] = map[string]string{}
			}
			d.p.EntryPoints[group][name] = object
		}
	}
}
