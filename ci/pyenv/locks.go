package pyenv

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Pinned versions of the tools that read their own locks.
const (
	poetryVersion       = "2.2.1"
	poetryExportVersion = "1.9.0"
	pdmVersion          = "2.27.0"
)

// exported is the file that a lock of another form is converted to.
const exported = "openstack-rca-exported.txt"

// locked installs from the lock of a tool.
type locked struct{ *draft }

// uvLock lets uv install from its own lock: it knows indexes, workspaces and hashes.
// Packages that lie in the source are built with the project instead.
func (d locked) uvLock() {
	d.project.Kind, d.project.From, d.project.Locked = UV, []string{"uv.lock"}, true
	d.project.files = append(d.project.files, "pyproject.toml", "uv.lock", "uv.toml")
	lock := d.table("uv.lock")
	sync := []string{
		"uv", "sync", "--quiet", "--frozen", "--active", "--python", "python", "--no-python-downloads", "--inexact",
		"--no-install-project", "--no-install-workspace",
	}
	for _, pkg := range lock.list("package") {
		source := pkg.sub("source")
		if source.has("git") || source.has("url") {
			d.project.Locked = false
		}
		for _, kind := range []string{"editable", "directory", "virtual"} {
			dir := source.str(kind)
			if dir == "" {
				continue
			}
			if dir != "." {
				sync = append(sync, "--no-install-package", pkg.str("name"))
			}
			d.lockedDir("uv.lock", dir)
		}
		if file := source.str("path"); file != "" {
			d.takeAlong("uv.lock", file)
		}
		if index := source.str("registry"); index != "" && !strings.Contains(index, "://") {
			d.takeAlong("uv.lock", index) // a directory of packages: a flat index
		}
	}
	if d.stage == verdict.Test && len(lock.sub("manifest").strs("members")) > 1 {
		// The tests of a workspace import its members, whether or not the root depends on them.
		sync = append(sync, "--all-packages")
	}
	existing := keys(d.toml.sub("dependency-groups"))
	byDefault := []string{"dev"}
	if d.toml.sub("tool", "uv").has("default-groups") {
		byDefault = d.toml.sub("tool", "uv").strs("default-groups")
	}
	if d.toml.sub("tool", "uv").str("default-groups") == "all" {
		byDefault = existing
	}
	if legacy := d.toml.sub("tool", "uv"); legacy.has("dev-dependencies") {
		existing = append(existing, "dev")
	}
	groups := installedByDefault(d.stage, byDefault)
	groups = slices.DeleteFunc(groups, func(name string) bool { return !slices.Contains(existing, name) })
	for _, name := range chosen(d.stage, existing) {
		if !slices.Contains(groups, name) {
			groups = append(groups, name)
		}
	}
	extras := chosen(d.stage, d.extras())
	d.parts("extra", extras)
	d.parts("group", groups)
	sync = append(sync, "--no-default-groups")
	sync = append(sync, options("--extra", extras)...)
	d.project.install = [][]string{append(sync, options("--group", groups)...)}
}

// lockedDir is a package in a directory, as a lock names it.
func (d *draft) lockedDir(lock, dir string) {
	dir = path.Clean(dir)
	switch {
	case dir == ".":
	case !fs.ValidPath(dir):
		d.fault("%s installs %s, which is outside of the source", lock, dir)
	case !d.below(dir):
		d.fault("%s installs %s, which is not in the source%s", lock, dir, d.whyMissing(dir))
	default:
		d.local(dir)
	}
}

// pylockFile is the lock of PEP 751 for the stage, or "".
func pylockFile(t *tree, stage string) string {
	var found []string
	for _, wanted := range groupNames[stage] {
		for _, name := range wanted {
			found = append(found, "pylock."+name+".toml")
		}
	}
	return t.first(append(found, "pylock.toml"))
}

func (d locked) pylock(name string) {
	d.project.Kind, d.project.From, d.project.Locked = Pylock, []string{name}, true
	d.project.files = append(d.project.files, name)
	d.used[name] = true
	for _, pkg := range d.table(name).list("packages") {
		if pkg.has("vcs") {
			d.project.Locked = false
		}
		if dir := pkg.sub("directory").str("path"); dir != "" {
			d.lockedDir(name, dir)
			d.project.takeDir(path.Clean(dir))
		}
		for _, kind := range []table{pkg.sub("archive"), pkg.sub("sdist")} {
			if file := kind.str("path"); file != "" {
				d.takeAlong(name, file)
			}
		}
		for _, wheel := range pkg.list("wheels") {
			if file := wheel.str("path"); file != "" {
				d.takeAlong(name, file)
			}
		}
	}
	d.pipInstall([]string{"-r", name})
}

// export installs from a lock that its own tool turns into a requirements file. A package
// from git or a directory has no hash; with one, only the hashes that exist are checked.
func (d *draft) export(commands [][]string, unhashed bool) {
	install := []string{"uv", "pip", "install", "--require-hashes", "-r", exported}
	if unhashed {
		install = []string{"uv", "pip", "install", "-r", exported}
	}
	d.project.install = append(slices.Clone(commands), install)
}

// pdmLock lets PDM export its lock.
func (d locked) pdmLock() {
	d.project.Kind, d.project.From = PDM, []string{"pdm.lock"}
	d.project.files = append(d.project.files, "pyproject.toml", "pdm.lock")
	export := []string{
		"env", "PDM_CHECK_UPDATE=false", "uv", "tool", "run", "--quiet", "--from", "pdm==" + pdmVersion,
		"pdm", "export", "--format", "requirements", "--output", exported,
	}
	locked := d.table("pdm.lock").sub("metadata").strs("groups")
	groups := keys(d.toml.sub("dependency-groups"))
	for _, name := range keys(d.toml.sub("tool", "pdm", "dev-dependencies")) {
		if !slices.Contains(groups, name) {
			groups = append(groups, name)
		}
	}
	isLocked := func(name string) bool { return len(locked) == 0 || slices.Contains(locked, name) }
	wanted := slices.DeleteFunc(installedByDefault(d.stage, groups), func(name string) bool { return !isLocked(name) })
	extras := slices.DeleteFunc(chosen(d.stage, d.extras()), func(name string) bool { return !isLocked(name) })
	d.parts("group", wanted)
	d.parts("extra", extras)
	if len(wanted) == 0 {
		export = append(export, "--prod") // without groups that are named, PDM takes all; beside one it refuses the option
	}
	d.used[pdmDevelopment] = len(wanted) == len(groups)
	export = append(export, options("-G", append(slices.Clone(extras), wanted...))...)
	unhashed := false
	for _, pkg := range d.table("pdm.lock").list("package") {
		if dir := pkg.str("path"); dir != "" {
			unhashed = true
			if found, isDir := d.resolve("pdm.lock", dir); isDir {
				d.local(found)
			}
			d.takeAlong("pdm.lock", dir)
		}
		unhashed = unhashed || pkg.has("git") || pkg.has("url")
	}
	d.project.Locked = !unhashed
	d.export([][]string{export}, unhashed)
}

// pipenv reads the files of Pipenv.
type pipenv struct{ *draft }

var pipfileSection = map[bool][]string{true: {"default", "develop"}, false: {"default"}}

// lock turns Pipfile.lock into requirements: its entries are requirements already,
// spread over the keys of an object.
func (p pipenv) lock() {
	p.project.Kind, p.project.From, p.project.Locked = PipfileLock, []string{"Pipfile.lock"}, true
	var lock map[string]map[string]any
	if err := json.Unmarshal([]byte(p.text("Pipfile.lock")), &lock); err != nil {
		p.fault("Pipfile.lock cannot be read: %v", err)
		return
	}
	var out []string
	out = append(out, pipfileSources(table(lock["_meta"]).list("sources"))...)
	for _, section := range pipfileSection[p.stage == verdict.Test] {
		for _, name := range keys(lock[section]) {
			line, hashed := p.line("Pipfile.lock", name, lock[section][name])
			p.project.Locked = p.project.Locked && hashed
			if line != "" && !slices.Contains(out, line) {
				out = append(out, line)
			}
		}
	}
	p.used["Pipfile"] = true
	args := p.generated(out, "Pipfile.lock")
	if p.project.Locked {
		args = append([]string{"--require-hashes"}, args...)
	}
	p.pipInstall(args)
}

// pipfile installs what Pipfile declares.
func (p pipenv) pipfile() {
	p.project.Kind, p.project.From = Pipfile, []string{"Pipfile"}
	file := p.table("Pipfile")
	out := pipfileSources(file.list("source"))
	sections := []string{"packages"}
	if p.stage == verdict.Test {
		sections = append(sections, "dev-packages")
	}
	for _, section := range sections {
		for _, name := range keys(file.sub(section)) {
			if line, _ := p.line("Pipfile", name, file.sub(section)[name]); line != "" {
				out = append(out, line)
			}
		}
	}
	p.pipInstall(p.generated(out, "Pipfile"))
}

// variable is a reference to the environment in an address, as Pipenv expands it.
var variable = regexp.MustCompile(`\$\{?\w`)

func pipfileSources(sources []table) []string {
	var out []string
	for i, source := range sources {
		address := source.str("url")
		switch {
		case address == "" || variable.MatchString(address) || strings.Contains(address, "//pypi.org/"):
			// The index of this machine serves it, or the address holds a login.
		case i == 0:
			out = append(out, "--index-url "+address)
		default:
			out = append(out, "--extra-index-url "+address)
		}
	}
	return out
}

// line is the requirement of one entry: "*", ">=1", or an object.
func (p pipenv) line(file, name string, entry any) (line string, hashed bool) {
	if text, ok := entry.(string); ok {
		return strings.TrimSuffix(name+" "+strings.TrimPrefix(text, "*"), " "), false
	}
	fields, _ := entry.(map[string]any)
	t := table(fields)
	if extras := t.strs("extras"); len(extras) > 0 {
		name += "[" + strings.Join(extras, ",") + "]"
	}
	markers := ""
	if m := t.str("markers"); m != "" {
		markers = " ; " + m
	}
	switch {
	case t.has("path") || t.has("file"):
		where := t.str("path") + t.str("file")
		if strings.Contains(where, "://") {
			return name + " @ " + where + markers, false
		}
		if found, isDir := p.resolve(file, where); isDir {
			return "-e ./" + found + extrasOf(name), true
		}
		return "./" + path.Clean(where) + markers, false
	case t.has("git"):
		ref := t.str("ref")
		if ref != "" {
			ref = "@" + ref
		}
		return fmt.Sprintf("%s @ git+%s%s%s", name, t.str("git"), ref, markers), false
	}
	line = name + strings.TrimPrefix(t.str("version"), "*") + markers
	hashes := t.strs("hashes")
	for _, hash := range hashes {
		line += " --hash=" + hash
	}
	return line, len(hashes) > 0
}

func extrasOf(name string) string {
	if at := strings.Index(name, "["); at >= 0 {
		return name[at:]
	}
	return ""
}
