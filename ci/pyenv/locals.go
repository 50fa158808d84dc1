package pyenv

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/openstack-rca/openstack-rca/ci/glob"
)

// buildFiles are what a build backend reads to determine a package's dependencies.
var buildFiles = []string{
	"pyproject.toml", "setup.cfg", "setup.py", "*.md", "*.rst", "*.txt", "*.cfg", "*.in", "LICENSE*", "VERSION*", "PKG-INFO", "hatch_build.py",
	"requirements/*", "*/__init__.py", "src/*/__init__.py", "**/_version.py", "**/version.py", "**/__about__.py", "**/about.py",
}

func in(dir, name string) string { return strings.TrimPrefix(path.Join(dir, name), "./") }

// manifest returns the pyproject.toml of a source directory.
func (t *tree) manifest(dir string) table { return t.table(in(dir, "pyproject.toml")) }

// installable reports whether pip could install a directory.
func (t *tree) installable(dir string) bool {
	toml := t.manifest(dir)
	setup := parseINI(t.text(in(dir, "setup.cfg")))
	return (toml.has("build-system") || t.has(in(dir, "setup.py")) || setup["metadata"]["name"] != "") &&
		!toml.sub("tool", "uv").isFalse("package") && !toml.sub("tool", "poetry").isFalse("package-mode")
}

var (
	// extrasRequire matches where setup.py declares extras, with the name of a variable that holds them.
	extrasRequire = regexp.MustCompile(`extras(?:_require)?\b['"]?\s*[=:]?\s*(\w*)`)
	// quotedKey matches a quoted key of a dict, keyword one in a call of dict().
	quotedKey = regexp.MustCompile(`['"]([A-Za-z0-9._-]+)['"]\s*\]?\s*[:=]`)
	keyword   = regexp.MustCompile(`[(,]\s*(\w+)\s*=`)
)

// setupExtras returns the likely names of extras in a setup.py, which is a program that is not run here.
func setupExtras(setup string) []string {
	at := extrasRequire.FindStringSubmatchIndex(setup)
	if at == nil {
		return nil
	}
	declared := setup[at[0]:]
	var found []string
	if name := setup[at[2]:at[3]]; name != "" {
		if start := regexp.MustCompile(`(?m)^\s*` + name + `\b[^=\n]*=\s*`).FindStringIndex(setup); start != nil && start[0] < at[0] {
			declared = setup[start[0]:]
		}
		if at := strings.Index(declared, "dict("); at >= 0 {
			inside, _, _ := strings.Cut(declared[at+len("dict"):], "\n)")
			for _, m := range keyword.FindAllStringSubmatch(inside, -1) {
				found = append(found, m[1])
			}
		}
	}
	for _, m := range quotedKey.FindAllStringSubmatch(declared, -1) {
		found = append(found, m[1])
	}
	return found
}

// extras returns the names of the project's extras.
func (t *tree) extras() []string {
	toml := t.manifest(".")
	found := append(keys(toml.sub("project", "optional-dependencies")), keys(toml.sub("tool", "poetry", "extras"))...)
	found = append(found, keys(toml.sub("tool", "flit", "metadata", "requires-extra"))...)
	for name := range parseINI(t.text("setup.cfg"))["options.extras_require"] {
		found = append(found, name)
	}
	if toml.sub("project") == nil {
		found = append(found, setupExtras(t.text("setup.py"))...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// local adds a source directory whose package the stage imports.
func (d *draft) local(dir string) {
	if dir != "." && !slices.Contains(d.project.locals, dir) {
		d.project.locals = append(d.project.locals, dir)
	}
}

// own returns uv's arguments for the dependencies of a source package. The package itself is not installed into the
// environment; otherwise every change of the source would create a new environment.
func (d *draft) own(dir string, extras []string) []string {
	toml := d.manifest(dir)
	var file string
	switch {
	case toml.sub("project") != nil || toml.sub("tool", "poetry") != nil:
		file = "pyproject.toml"
	case parseINI(d.text(in(dir, "setup.cfg")))["metadata"]["name"] != "": // it may only contain settings of tools
		file = "setup.cfg"
	case d.has(in(dir, "setup.py")):
		file = "setup.py"
	case toml.has("build-system"):
		file = "pyproject.toml" // the backend has its own tables, such as flit's
	default:
		if dir != "." {
			d.fault("%s has no pyproject.toml, setup.cfg or setup.py, and cannot be installed%s", dir, d.whyMissing(dir))
		}
		return nil
	}
	d.local(dir)
	d.used[in(dir, file)] = true
	for _, name := range []string{"pyproject.toml", "setup.cfg", "setup.py"} {
		if d.has(in(dir, name)) {
			d.project.files = append(d.project.files, in(dir, name))
		}
	}
	project := toml.sub("project")
	dynamic := project.strs("dynamic")
	// If there is a Poetry table, uv does not rely on [project] alone.
	if !project.has("dependencies") || toml.sub("tool", "poetry") != nil ||
		slices.Contains(dynamic, "dependencies") || slices.Contains(dynamic, "optional-dependencies") {
		// uv asks the backend for the dependencies, which reads more than pyproject.toml.
		for _, pattern := range buildFiles {
			d.project.globs = append(d.project.globs, in(glob.Escape(dir), pattern))
		}
		d.project.files = append(d.project.files, d.buildReads(dir)...)
	}
	d.sources(dir)
	return append([]string{"-r", in(dir, file)}, options("--extra", extras)...)
}

// sources adds the paths in a package's [tool.uv.sources], which uv installs from.
func (d *draft) sources(dir string) {
	toml := d.manifest(dir)
	for _, name := range keys(toml.sub("tool", "uv", "sources")) {
		all := toml.sub("tool", "uv", "sources")
		// A source can be a list with one entry per environment.
		for _, source := range append(all.list(name), all.sub(name)) {
			if where := source.str("path"); where != "" {
				d.sourcePath(in(dir, "pyproject.toml"), path.Join(dir, where))
			}
		}
	}
	for _, requirement := range toml.requirements() {
		if m := besideIt.FindStringSubmatch(requirement); m != nil {
			d.sourcePath(in(dir, "pyproject.toml"), path.Join(dir, m[1]))
		}
	}
	for _, uv := range []table{toml.sub("tool", "uv"), d.table("uv.toml")} {
		places := uv.strs("find-links")
		for _, index := range uv.list("index") {
			places = append(places, index.str("url"))
		}
		for _, place := range places {
			if place != "" && (!strings.Contains(place, "://") || strings.HasPrefix(place, "file:./")) {
				d.takeAlong(in(dir, "pyproject.toml"), strings.TrimPrefix(place, "file:"))
			}
		}
	}
	for _, member := range d.members() {
		d.project.takeDir(member)
		d.local(member)
	}
}

// besideIt matches a requirement at a path relative to the project, in the form of Hatchling and pdm-backend.
var besideIt = regexp.MustCompile(`@\s*(?:\{root:uri\}|file:///\$\{PROJECT_ROOT\})/([^\s;#]+)`)

// requirements returns those of [project] and of its extras.
func (t table) requirements() []string {
	project := t.sub("project")
	all := project.strs("dependencies")
	for _, name := range keys(project.sub("optional-dependencies")) {
		all = append(all, project.sub("optional-dependencies").strs(name)...)
	}
	return all
}

// members returns the package directories of the project's workspace.
func (t *tree) members() []string {
	workspace := t.toml.sub("tool", "uv", "workspace")
	in := func(key, dir string) bool {
		return slices.ContainsFunc(workspace.strs(key), func(glob string) bool { return doublestar.MatchUnvalidated(path.Clean(glob), dir) })
	}
	var found []string
	for _, name := range t.names {
		if dir := path.Dir(name); path.Base(name) == "pyproject.toml" && dir != "." && in("members", dir) && !in("exclude", dir) {
			found = append(found, dir)
		}
	}
	return found
}

func (d *draft) sourcePath(file, where string) {
	found, isDir := d.resolve(file, where)
	switch {
	case found == "":
		d.fault("%s installs %s, which is not in the source%s", file, where, d.whyMissing(where))
	case isDir:
		d.local(found)
		d.project.takeDir(found)
	default:
		d.project.files = append(d.project.files, found)
	}
}

// locals adds the packages in the source that the listed packages need for their builds.
func (d *draft) locals() {
	if d.project.Package {
		d.project.locals = append([]string{"."}, d.project.locals...)
	}
	d.project.locals = slices.DeleteFunc(d.project.locals, func(dir string) bool { return !d.installable(dir) && !d.declaresProject(dir) })
	for _, dir := range d.project.locals {
		system := d.manifest(dir).sub("build-system")
		requires := system.strs("requires")
		if len(requires) == 0 {
			requires = []string{"setuptools>=40.8.0"} // pip's default by PEP 517
		}
		d.project.requires = append(d.project.requires, requires...)
	}
	d.project.compiled = slices.ContainsFunc(d.names, func(name string) bool {
		return !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "venv/") && compiledFiles.MatchString(name)
	})
	for _, dir := range d.project.locals {
		if d.below(in(dir, "src")) {
			d.project.srcs = append(d.project.srcs, dir)
		}
	}
	slices.Sort(d.project.requires)
	d.project.requires = slices.Compact(d.project.requires)
	d.version()
}

func (t *tree) declaresProject(dir string) bool {
	return dir != "." && t.manifest(dir).sub("project") != nil
}

var submodule = regexp.MustCompile(`(?m)^\s*path\s*=\s*(\S.*?)\s*$`)

// whyMissing explains a missing path that is in an empty submodule or that exclude hides.
func (t *tree) whyMissing(name string) string {
	for _, dir := range t.submodules {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return ": it is in the git submodule " + dir + ", which was not checked out (git submodule update --init)"
		}
	}
	for _, pattern := range t.exclude {
		if glob.Match(pattern, name) {
			return ": exclude of pipeline.yaml leaves out " + pattern + "; set it without this glob"
		}
	}
	return ""
}
