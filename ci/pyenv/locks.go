package pyenv

import (
	"io/fs"
	"path"
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

// exported is the file that another lock format is converted to.
const exported = "openstack-rca-exported.txt"

// locked installs from a tool's lock.
type locked struct{ *draft }

// uvLock installs with uv from its own lock, because uv knows indexes, workspaces and hashes. Packages in the source are
// built with the project instead.
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
	existing := uvGroups(d.toml)
	if members := lock.sub("manifest").strs("members"); d.stage == verdict.Test && len(members) > 0 {
		// Tests of a workspace import its members even if the root does not depend on them.
		sync = append(sync, "--all-packages")
		for _, pkg := range lock.list("package") {
			if slices.Contains(members, pkg.str("name")) {
				existing = append(existing, keys(pkg.sub("dev-dependencies"))...)
			}
		}
	}
	groups := slices.DeleteFunc(installedByDefault(d.stage, uvDefaultGroups(d.toml)), func(name string) bool {
		return !slices.Contains(existing, name)
	})
	own := d.chosen(existing)
	for _, name := range own {
		// Of conflicting groups, the one named after the stage is used.
		groups = slices.DeleteFunc(groups, func(other string) bool { return !slices.Contains(own, other) && conflict(lock, name, other) })
		if !slices.Contains(groups, name) {
			groups = append(groups, name)
		}
	}
	extras := d.chosen(d.extras())
	d.parts("extra", extras)
	d.parts("group", groups)
	sync = append(sync, "--no-default-groups")
	sync = append(sync, options("--extra", extras)...)
	d.project.install = [][]string{append(sync, options("--group", groups)...)}
}

// uvGroups returns the project's group names in uv's sense.
func uvGroups(toml table) []string {
	existing := keys(toml.sub("dependency-groups"))
	if toml.sub("tool", "uv").has("dev-dependencies") {
		existing = append(existing, "dev")
	}
	return existing
}

// uvDefaultGroups returns the groups that uv installs by default.
func uvDefaultGroups(toml table) []string {
	uv := toml.sub("tool", "uv")
	switch {
	case uv.str("default-groups") == "all":
		return uvGroups(toml)
	case uv.has("default-groups"):
		return uv.strs("default-groups")
	}
	return []string{"dev"}
}

// conflict reports whether a uv lock declares two groups as conflicting.
func conflict(lock table, one, other string) bool {
	sets, _ := lock["conflicts"].([]any)
	return slices.ContainsFunc(sets, func(set any) bool {
		var groups []string
		for _, member := range (table{"set": set}).list("set") {
			groups = append(groups, member.str("group"))
		}
		return slices.Contains(groups, one) && slices.Contains(groups, other)
	})
}

// lockedDir is a package in a directory, as named in a lock.
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

// pylockFile returns the stage's PEP 751 lock, or an empty string.
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
	// Selected groups replace those that the lock lists as default.
	lock := d.table(name)
	groups, extras := chosen(d.stage, lock.strs("dependency-groups")), chosen(d.stage, lock.strs("extras"))
	if len(groups) > 0 {
		groups = slices.Compact(slices.Sorted(slices.Values(append(installedByDefault(d.stage, lock.strs("default-groups")), groups...))))
	}
	d.parts("group", groups)
	d.parts("extra", extras)
	d.pipInstall(slices.Concat([]string{"-r", name}, options("--group", groups), options("--extra", extras)))
}

// export installs from a lock that its tool converts to a requirements file. Packages from git or a directory have no hash;
// if there are any, only existing hashes are checked.
func (d *draft) export(commands [][]string, unhashed bool) {
	install := []string{"uv", "pip", "install", "--require-hashes", "-r", exported}
	if unhashed {
		install = []string{"uv", "pip", "install", "-r", exported}
	}
	d.project.install = append(slices.Clone(commands), install)
}

// pdmLock exports the lock with PDM.
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
	extras := slices.DeleteFunc(d.chosen(d.extras()), func(name string) bool { return !isLocked(name) })
	d.parts("group", wanted)
	d.parts("extra", extras)
	if len(wanted) == 0 {
		export = append(export, "--prod") // without named groups PDM takes all; with one it rejects the option
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
