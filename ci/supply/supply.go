// Package supply looks for what should not be shipped: known vulnerabilities and unpinned versions in the locks, secrets in
// the files, and licences that are not allowed.
//
// Everything is judged here, in Go, from the findings; a program's exit code decides nothing. What could not be examined
// never passes: each search must also find something that was planted for it.
package supply

import (
	"context"
	"errors"
	"path"
	"slices"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
	"github.com/openstack-rca/openstack-rca/ci/supply/judge"
	"github.com/openstack-rca/openstack-rca/ci/supply/locks"
	"github.com/openstack-rca/openstack-rca/ci/supply/secrets"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Input are the arguments of an audit.
type Input struct {
	// Config is the run's configuration; Checks are the checks to make, from config.Checks.
	Config config.Config
	Checks []string
	// Source is the complete tree.
	Source runner.Files
	// Advisories is the local path of the database; if it is empty, Fetch is called.
	Advisories string
	// Fetch returns the local path of a current database; nil if none can be fetched.
	Fetch func(ctx context.Context) (string, error)
	// Import makes a local directory available to steps.
	Import func(dir string) (runner.Files, error)
	// Tool returns a tree with only the named program in its root. It is nil if no program is available.
	Tool func(ctx context.Context, name string) (runner.Files, error)
	// History writes all earlier file contents of the source into a directory, as id/path; nil if they are not to be
	// searched.
	History func(ctx context.Context, dir string) (History, error)
	// Registry returns the registry's own findings about the image; nil if it is not asked.
	Registry func(ctx context.Context) (Opinion, error)
	// Memory has the reports of earlier runs; it may be nil.
	Memory Memory
	// Scratch is an existing local directory for files that are too large for memory.
	Scratch string
	// Now is the time of the judgement.
	Now time.Time
}

// audit is one audit in progress.
type audit struct {
	Input
	runner   runner.Runner
	stage    verdict.Stage
	problems []*verdict.Problem
	projects []*pyenv.Project
	nameless []locks.Loose
	found    results
	// waivers are the findings about all exceptions.
	waivers judge.Exceptions
	// inFiles are the findings in the current files of the source.
	inFiles []secrets.Finding
	// notes are entries to store in the memory; recalls are the times of recalled entries.
	notes   []note
	recalls []time.Time
}

// Audit makes the checks and judges their findings.
func Audit(ctx context.Context, r runner.Runner, in Input) verdict.Stage {
	a := &audit{Input: in, runner: r, stage: verdict.Stage{Name: verdict.Audit}}
	files := a.aside(func(beside *audit) {
		if beside.wants("secrets") {
			secretSearch{beside}.secrets(ctx)
		}
	})
	locked := a.wants("advisories") || a.wants("pinning") || a.wants("licenses")
	if locked && a.locks(ctx) {
		a.pinning()
		if a.wants("advisories") {
			a.stated(ctx, "locks")
			a.advisories(ctx)
		}
		if a.wants("licenses") {
			a.licenses(ctx)
		}
	}
	files()
	if a.History != nil {
		secretSearch{a}.history(ctx)
	}
	for _, check := range config.Checks {
		if !a.wants(check) {
			a.stage.Add(check, "not looked at: security.audit does not name it")
		}
	}
	a.report()
	return *a.remember(ctx, a.stage.Judge(a.problems...))
}

// aside runs a part of an audit concurrently with a stage of its own. The returned function waits for it and adds its
// findings to this audit.
func (a *audit) aside(do func(beside *audit)) (wait func()) {
	beside := &audit{Input: a.Input, runner: a.runner, stage: verdict.Stage{Name: a.stage.Name}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(beside)
	}()
	return func() {
		<-done
		a.problems, a.stage.Evidence = append(a.problems, beside.problems...), append(a.stage.Evidence, beside.stage.Evidence...)
		a.stage.Warnings = append(a.stage.Warnings, beside.stage.Warnings...)
		a.found.secrets, a.inFiles = beside.found.secrets, beside.inFiles
		a.waive(beside.waivers)
	}
}

func (in Input) wants(check string) bool { return slices.Contains(in.Checks, check) }

func (a *audit) fail(code verdict.Code, format string, args ...any) *verdict.Problem {
	p := verdict.Problemf(a.own(code), format, args...)
	a.problems = append(a.problems, p)
	return p
}

// own returns a code as this stage raises it.
func (a *audit) own(code verdict.Code) verdict.Code {
	if code.Stage == "any" {
		return code.In(a.stage.Name)
	}
	return code
}

// fileLimit limits the size of a file that declares packages.
const fileLimit = 32 << 20

// unlocked are declarations of packages without pinned versions.
var unlocked = []pyenv.Kind{pyenv.Pyproject, pyenv.Setuptools, pyenv.Pipfile, pyenv.Tox, pyenv.Conda}

// locks reads the locks of all environments. It reports whether all of them could be read.
func (a *audit) locks(ctx context.Context) bool {
	source := a.Source.Filter(nil, a.Config.Exclude)
	before := len(a.problems)
	var files []string
	plain := map[string]bool{}
	add := func(name string, requirements bool) {
		if !slices.Contains(files, name) {
			files = append(files, name)
		}
		plain[name] = plain[name] || requirements
	}
	for _, want := range []pyenv.Request{
		{Stage: verdict.Test, Requirements: a.Config.Test.Requirements},
		{Stage: verdict.Train, Requirements: a.Config.Train.Requirements},
		{Stage: verdict.Image, Requirements: a.Config.Image.Requirements},
	} {
		want.Python, want.Exclude = a.Config.Python, a.Config.Exclude
		project, err := pyenv.Detect(ctx, source, want)
		var invalid *pyenv.InvalidError
		switch {
		case errors.As(err, &invalid):
			problem := invalid.Problem(LockUnreadable)
			// Environments often share files, and so the fault.
			if !slices.ContainsFunc(a.problems, func(p *verdict.Problem) bool { return p.Cause == problem.Cause }) {
				a.problems = append(a.problems, problem)
			}
			continue
		case err != nil:
			a.fail(LockUnreadable, "%v", err)
			continue
		}
		a.projects = append(a.projects, project)
		for _, name := range project.From {
			if slices.Contains(unlocked, project.Kind) || slices.Contains([]string{"pyproject.toml", "setup.cfg", "setup.py"}, path.Base(name)) {
				entry := locks.Loose{Text: "the dependencies, which no lock pins", File: name}
				if !slices.Contains(a.found.loose, entry) { // environments often share files
					a.found.loose = append(a.found.loose, entry)
				}
				continue
			}
			add(name, project.Kind == pyenv.Hashed || project.Kind == pyenv.Requirements)
		}
	}
	counted := 0
	for i := 0; i < len(files); i++ {
		content, err := source.Read(ctx, files[i], fileLimit)
		if err != nil {
			a.fail(LockUnreadable, "%s: %v", files[i], err)
			continue
		}
		read, err := locks.Read(files[i], content, plain[files[i]])
		if err != nil {
			a.fail(LockUnreadable, "%v", err)
			continue
		}
		for _, name := range read.Includes {
			add(name, true)
		}
		if read.Counted != len(read.Packages) {
			a.fail(ScanEmpty, "%s has %d packages, and only %d of them were understood", files[i], read.Counted, len(read.Packages))
		}
		counted += read.Counted
		a.found.packages = append(a.found.packages, read.Packages...)
		a.found.loose = append(a.found.loose, read.Loose...)
		a.nameless = append(a.nameless, read.Nameless...)
	}
	slices.Sort(files)
	distinct := locks.Distinct(a.found.packages)
	a.stage.Add("locks", joinOr(files, "none"))
	least := a.Config.Security.MinPackages
	a.stage.Gate("packages looked at", plural(len(distinct), "package"), ">= "+plural(least, "package"), len(distinct) >= least)
	if len(distinct) < least && len(a.problems) == before {
		problem := a.fail(ScanEmpty, "the locks pin %s; security.min_packages is %d", plural(len(distinct), "package"), least)
		if loose := a.found.loose; len(loose) > 0 {
			problem.Cause += "; " + where(loose[0].File, loose[0].Line) + " has no exact version: " + loose[0].Text
			if len(loose) > 1 {
				problem.Cause += ", and " + plural(len(loose)-1, "more")
			}
			if at := slices.IndexFunc(a.projects, func(p *pyenv.Project) bool { return !p.Locked }); at >= 0 {
				problem.Next = a.projects[at].LockNext()
			}
		}
	}
	return len(a.problems) == before
}

// pinning requires exact versions. It also belongs to the check for advisories, because unpinned packages cannot be compared.
func (a *audit) pinning() {
	unhashed := 0
	for _, p := range a.found.packages {
		if !p.Hashed {
			unhashed++
		}
	}
	a.stage.Add("locked packages without a hash", plural(unhashed, "package"))
	a.stage.Gate("requirements without an exact version", plural(len(a.found.loose), "requirement"), "none", len(a.found.loose) == 0)
	if len(a.found.loose) == 0 {
		return
	}
	problem := a.fail(DependencyUnpinned, "%s: %s", where(a.found.loose[0].File, a.found.loose[0].Line), a.found.loose[0].Text)
	if more := len(a.found.loose) - 1; more > 0 {
		problem.Cause += ", and " + plural(more, "more")
	}
	for _, l := range a.found.loose {
		problem.Details = append(problem.Details, where(l.File, l.Line)+": "+l.Text)
	}
}

// control is a package that every database of Python packages lists as vulnerable.
var control = locks.Package{Name: "jinja2", Version: "2.4.1", File: "planted"}

// split separates the control's findings from those of the locks.
func split(all []advisory.Finding, packages []locks.Package) (found []advisory.Finding, seen bool) {
	own := slices.ContainsFunc(packages, func(p locks.Package) bool { return p.Name == control.Name && p.Version == control.Version })
	for _, f := range all {
		if f.Type == "pypi" && f.Package == control.Name && f.Version == control.Version {
			seen = true
			if !own {
				continue
			}
		}
		found = append(found, f)
	}
	return found, seen
}
