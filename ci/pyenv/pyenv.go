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

// Kind names the source of an environment's packages.
type Kind string

// Kinds, most exact first.
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

// Request selects an environment.
type Request struct {
	// Stage is verdict.Test, verdict.Train or verdict.Image (serving); it defaults to Test.
	Stage string
	// Requirements are the files that pipeline.yaml names. Without any, the usual files of a Python project are searched.
	Requirements []string
	// Python is the version of the environment, "3.11".
	Python string
	// Exclude are the globs whose files are hidden, to explain what is missing.
	Exclude []string
	// System are the additional Debian packages.
	System []string
}

// Project is the result of Detect.
type Project struct {
	// Stage, Python and System are those of the request.
	Stage, Python string
	System        []string
	// Kind and From name the source of the packages; Parts are its groups and extras.
	Kind  Kind
	From  []string
	Parts []string
	// Locked is set if every package is pinned by hash.
	Locked bool
	// Package is set if the project itself is installable, as Name and Version (empty if a build computes it). EntryPoints
	// are its entry points by group, name and object.
	Package       bool
	Name, Version string
	EntryPoints   map[string]map[string]string
	// SrcLayout is set if there are Python files below src/.
	SrcLayout bool
	// srcHides is set if src on the path would hide other modules.
	srcHides bool
	// Stated are pytest's settings without those of coverage.py; only for tests.
	Stated TestSettings
	// Around is what a workflow provides to the tests besides packages; only for tests.
	Around Surroundings
	// Findings are warnings about the project.
	Findings []Finding
	// Unread are declarations of packages that are not installed.
	Unread []string

	// locals are the directories of packages in the source; "." is the project.
	locals []string
	// files are names and globs patterns of what the installation reads; written are files that it reads in another form than
	// in the source.
	files, globs []string
	written      map[string][]byte
	install      [][]string
	// scm are the locals whose build computes the version from git; hint is the version recorded in an sdist. requires are
	// the build requirements of all locals.
	scm      map[string]computedVersion
	hint     string
	requires []string
	// srcs are the locals with a src layout; compiled is set if files need a compiler.
	srcs     []string
	compiled bool
	// For LockNext: named is set if pipeline.yaml names the requirements, requirementsDir if there is a directory of that
	// name, tool if some packages are declared for the tool that runs the tests.
	named, requirementsDir, tool bool
	// locker is the tool that reads all of pyproject.toml and can lock it.
	locker string
	// options are the options in requirements files that uv accepts only on its command line.
	options []string
	// pipsOwn are files that were rewritten because uv does not support everything that pip does; for LockNext.
	pipsOwn []string
	// stale are declared packages that the lock lacks; modules are what could be imported from the source.
	stale   []string
	modules map[string]string
	// offered are the uninstalled extras and groups by the packages that they declare; see Wanted.
	offered map[string][]string
	// computed are uninstalled extras whose packages only setup.py knows.
	computed []string
	// listed are the requirements files that are not installed, each with the packages that it and its includes name. The one
	// for the stage comes first.
	listed []listing
	// asked are the extras and groups that pipeline.yaml names.
	asked []string
	// texts are all files that the installation reads if there are few, otherwise nil.
	texts map[string][]byte
}

// Finding is one warning, with a code of the request's stage.
type Finding struct {
	Code  verdict.Code
	Cause string
	// Next is a specific remedy; if it is empty, the code's remedy applies.
	Next string
}

// InvalidError lists everything that is wrong with the files that declare packages.
type InvalidError struct{ Wrong []string }

// Error returns the first fault and the number of others.
func (e *InvalidError) Error() string {
	if len(e.Wrong) > 1 {
		return fmt.Sprintf("%s, and %d more", e.Wrong[0], len(e.Wrong)-1)
	}
	return e.Wrong[0]
}

// Problem converts the error to a stage's problem.
func (e *InvalidError) Problem(code verdict.Code) *verdict.Problem {
	problem := verdict.Problemf(code, "%s", e.Error())
	problem.Details = slices.Clone(e.Wrong)
	return problem
}

// Environment returns the project's environment: the commands and exactly the files that its installation reads, so that it
// does not change with other files.
func (p *Project) Environment(r runner.Runner, source runner.Files) runner.Environment {
	files := r.NewFiles(p.written)
	globs := slices.Clone(p.globs)
	for _, name := range p.files {
		globs = append(globs, glob.Escape(name))
	}
	switch {
	case len(globs) == 0:
	case p.texts != nil:
		// Engines treat equal contents as equal, wherever they come from, so the stages share the installation.
		files = r.NewFiles(p.texts)
	case len(p.written) == 0:
		files = source.Filter(globs, heavy)
	default:
		files = source.Filter(globs, heavy).With(".", files)
	}
	return runner.Environment{Python: p.Python, System: p.System, Files: files, Install: slices.Clone(p.install)}
}

// heavy are directories that contain nothing to install from.
var heavy = []string{".git", ".venv", "venv", ".tox", ".nox", "**/node_modules", "**/__pycache__"}

// Summary describes in one line what the environment is installed from.
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
	// missing matches Python's message about a failed import, and pytest's about a missing plugin.
	missing = regexp.MustCompile(`(?:ModuleNotFoundError: No module named '[\w.]+'|fixture '\w+' not found|` +
		`'\w+' not found in .markers. configuration option|unrecognized arguments: [^\n]{1,80}|` +
		`async def functions are not natively supported)`)
	// forNumPy1 matches the messages of NumPy, and of TensorFlow before 2.18, about a package that was built for NumPy 1 but
	// finds NumPy 2.
	forNumPy1 = regexp.MustCompile(`compiled using NumPy 1\.x cannot be run in|_ARRAY_API not found|` +
		`numpy\.core\.multiarray failed to import|` +
		`Unable to convert function return value to a Python type! The signature was\s+(?:E\s+)?\(\) -> handle`)
)

// Explain adds findings from the output of a failure: a missing module or plugin of pytest for which the source declares
// packages that are not installed, and packages that do not fit each other.
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

// PythonPath returns the directories of the project's packages in a source that is not built: src, unless its modules would
// hide others.
func (p *Project) PythonPath() []string {
	switch {
	case p.SrcLayout && !p.srcHides:
		return []string{"src"}
	case p.SrcLayout, p.Package:
		return []string{"."}
	}
	return nil
}

// Detect examines a source tree. It returns an *InvalidError with all faults for files that declare packages and cannot be
// used, and another error for an unreadable tree.
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

// keptTexts limits how much text is sent in a query.
const keptTexts = 128 << 10

// keepTexts keeps the files that the installation reads, if there are few.
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

// LookedFor lists the files that Detect searches, for messages.
func LookedFor(stage string) string { return strings.Join(lookedFor(stage), ", ") }

// draft is a project while its source of packages is being chosen.
type draft struct {
	*tree
	stage   string
	project *Project
	// used are the labels of the declarations that are installed.
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
