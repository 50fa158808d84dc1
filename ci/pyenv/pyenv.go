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
	"fmt"
	"maps"
	"path"
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
	// Exclude are the globs whose files the source has lost, to explain what is missing.
	Exclude []string
	// System are the packages of Debian that the environment needs besides.
	System []string
}

// Project is what was found.
type Project struct {
	// Stage, Python and System are those of the request.
	Stage, Python string
	System        []string
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
	// srcHides is set where src on the path would hide other modules.
	srcHides bool
	// Stated is what the settings of pytest say, those of coverage.py aside; for the tests only.
	Stated TestSettings
	// Around is what a workflow gives the tests beside packages; for the tests only.
	Around Surroundings
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
	// directory of that name, tool whether some packages are
	// declared for the tool that runs the tests; for LockNext.
	named, requirementsDir, tool bool
	// locker is the tool that reads all of pyproject.toml and locks it.
	locker string
	// options are those of the files that uv takes in its command.
	options []string
	// pipsOwn are files that were written anew because uv does not read all that pip reads; for LockNext.
	pipsOwn []string
	// stale are packages that are declared and not in the lock, modules where the source has what could be imported.
	stale   []string
	modules map[string]string
	// offered are the extras and groups that are not installed, by the packages that they declare; see Wanted.
	offered map[string][]string
	// computed are the extras that are not installed and whose packages only setup.py knows.
	computed []string
	// listed are the requirements files that were seen and are not installed, each with the packages that it and those it includes
	// name; the one for the stage comes first.
	listed []listing
	// asked are the extras and groups that pipeline.yaml names.
	asked []string
	// texts are all files that the installation reads, if they are few; nil otherwise.
	texts map[string][]byte
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
	case p.texts != nil:
		// Equal texts are equal to an engine, whatever tree they come from: the stages share the installation.
		files = r.NewFiles(p.texts)
	case len(p.written) == 0:
		files = source.Filter(globs, heavy)
	default:
		files = source.Filter(globs, heavy).With(".", files)
	}
	return runner.Environment{Python: p.Python, System: p.System, Files: files, Install: slices.Clone(p.install)}
}

// heavy are directories that nothing is installed from.
var heavy = []string{".git", ".venv", "venv", ".tox", ".nox", "**/node_modules", "**/__pycache__"}

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

var (
	// missing is what Python prints of an import that found nothing, and pytest of a plugin that is not there.
	missing = regexp.MustCompile(`(?:ModuleNotFoundError: No module named '[\w.]+'|fixture '\w+' not found|` +
		`'\w+' not found in .markers. configuration option|unrecognized arguments: [^\n]{1,80}|` +
		`async def functions are not natively supported)`)
	// forNumPy1 is what NumPy, and TensorFlow before 2.18, print of a package that was built for NumPy 1 and found NumPy 2.
	forNumPy1 = regexp.MustCompile(`compiled using NumPy 1\.x cannot be run in|_ARRAY_API not found|` +
		`numpy\.core\.multiarray failed to import|` +
		`Unable to convert function return value to a Python type! The signature was\s+(?:E\s+)?\(\) -> handle`)
)

// Explain finds in the output of what failed that it lacks a module or a plugin of pytest, while the source declares packages
// that are not installed; or that packages do not fit each other.
func (p *Project) Explain(output string) (found []Finding) {
	if m := missing.FindString(output); m != "" && len(p.Unread) > 0 {
		cause := fmt.Sprintf("%s; seen and not installed: %s", m, strings.Join(p.Unread, ", "))
		found = append(found, Finding{Code: For(p.Stage, RequirementsUnread), Cause: cause})
	}
	if forNumPy1.MatchString(output) {
		found = append(found, Finding{Code: For(p.Stage, NumPyMismatch), Cause: "a package that was built for NumPy 1 was loaded beside NumPy 2"})
	}
	return found
}

// PythonPath are the directories that hold the project's packages in its source, for a
// project that is not built: src, but for one whose modules would hide others.
func (p *Project) PythonPath() []string {
	switch {
	case p.SrcLayout && !p.srcHides:
		return []string{"src"}
	case p.SrcLayout, p.Package:
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
	tree, err := readTree(ctx, source)
	if err != nil {
		return nil, err
	}
	tree.exclude = request.Exclude
	d := &draft{tree: tree, stage: request.Stage, used: map[string]bool{}, project: &Project{
		Kind: None, Stage: request.Stage, Python: request.Python, System: request.System,
		SrcLayout: slices.ContainsFunc(tree.names, isSrc), written: map[string][]byte{},
		srcHides: srcHides(tree.names),
	}}
	for _, dir := range tree.submodules {
		d.project.find(SubmoduleEmpty, "the git submodule %s has no files", dir)
	}
	if name := pointer(tree); name != "" {
		d.project.find(LFSPointer, "%s is a pointer of Git LFS, and not the file", name)
	}
	d.project.metadata(tree)
	d.project.settings(tree)
	if request.Stage == verdict.Test {
		d.project.Around = surroundings(tree)
	}
	d.project.comparePython(tree)
	var files []string
	if files, d.asked = splitParts(request.Requirements); len(files) > 0 {
		lists{d}.requirements(files)
		asked{d}.askedBesides()
	} else {
		d.usual()
	}
	asked{d}.unknownParts()
	d.locals()
	if d.err != nil {
		return nil, d.err
	}
	if len(d.wrong) > 0 {
		return nil, &InvalidError{Wrong: slices.Compact(d.wrong)}
	}
	d.project.named, d.project.locker = len(files) > 0, locker(d)
	d.unread()
	asked{d}.offer()
	listUnread(d)
	d.lockStale()
	d.project.modules = d.ownModules()
	d.project.requirementsDir = slices.ContainsFunc(d.names, func(name string) bool { return strings.HasPrefix(name, "requirements/") })
	switch {
	case d.project.Kind == None && request.Stage == verdict.Test:
		d.project.find(RequirementsNone, "found none of %s", strings.Join(lookedFor(request.Stage), ", "))
		at := slices.IndexFunc(d.project.Unread, func(name string) bool { return requirementsName.MatchString(path.Base(name)) })
		if name := listingOf(d.project, "pytest"); name != "" {
			at = slices.Index(d.project.Unread, name)
		}
		if at >= 0 {
			d.project.Findings[len(d.project.Findings)-1].Next = fmt.Sprintf("If %s lists what the tests need, name it in pipeline.yaml: "+
				"test.requirements: [%s]", d.project.Unread[at], d.project.Unread[at])
		}
	case !d.project.Locked && request.Stage == verdict.Test:
		d.project.find(RequirementsUnlocked, "the packages of %s are installed without hashes", strings.Join(d.project.From, ", "))
		d.project.Findings[len(d.project.Findings)-1].Next = d.project.LockNext()
	}
	d.project.keepTexts(tree)
	return d.project, d.err
}

// keptTexts bounds the texts that travel in a query.
const keptTexts = 128 << 10

// keepTexts keeps what the installation reads, if that are no more than some texts that were read.
func (p *Project) keepTexts(t *tree) {
	all, size := maps.Clone(p.written), 0
	for _, name := range p.files {
		text, read := t.texts[name]
		switch {
		case !t.has(name) || all[name] != nil:
		case !read || text == "":
			return
		default:
			all[name] = []byte(text)
		}
		size += len(all[name])
	}
	if len(p.globs) == 0 && size <= keptTexts {
		p.texts = all
	}
}

// LookedFor are the files that Detect looks for, as a message names them.
func LookedFor(stage string) string { return strings.Join(lookedFor(stage), ", ") }

// draft is a project while it is decided what it is installed from.
type draft struct {
	*tree
	stage   string
	project *Project
	// used are the declarations that the environment is installed from, as unread names them.
	used map[string]bool
	// asked are the extras and groups that pipeline.yaml names.
	asked []string
}

func isSrc(name string) bool {
	return strings.HasPrefix(name, "src/") && strings.HasSuffix(name, ".py")
}

func (p *Project) find(code verdict.Code, format string, args ...any) {
	p.Findings = append(p.Findings, Finding{Code: For(p.Stage, code), Cause: fmt.Sprintf(format, args...)})
}

// metadata reads what the project declares about itself.
func (p *Project) metadata(t *tree) {
	setup := parseINI(t.text("setup.cfg"))
	project, poetry := t.toml.sub("project"), t.toml.sub("tool", "poetry")
	for _, m := range []struct{ name, version string }{
		{project.str("name"), project.str("version")},
		{poetry.str("name"), poetry.str("version")},
		{setup["metadata"]["name"], setup["metadata"]["version"]},
	} {
		if p.Name == "" {
			p.Name, p.Version = m.name, m.version
		}
	}
	if strings.Contains(p.Version, ":") { // "attr: package.__version__"
		p.Version = ""
	}
	p.Package = t.installable(".")
	p.EntryPoints = map[string]map[string]string{}
	for _, c := range []struct {
		group string
		keys  table
	}{{"console_scripts", project.sub("scripts")}, {"console_scripts", poetry.sub("scripts")}, {"gui_scripts", project.sub("gui-scripts")}} {
		p.entryPoints(c.group, c.keys)
	}
	for _, group := range slices.Sorted(maps.Keys(project.sub("entry-points"))) {
		p.entryPoints(group, project.sub("entry-points", group))
	}
}

func (p *Project) entryPoints(group string, keys table) {
	for name, value := range keys {
		if object, ok := value.(string); ok {
			if p.EntryPoints[group] == nil {
				p.EntryPoints[group] = map[string]string{}
			}
			p.EntryPoints[group][name] = object
		}
	}
}
