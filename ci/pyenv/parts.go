package pyenv

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// withParts matches an element of the key requirements that adds extras or groups: ".[cli,dev]".
var withParts = regexp.MustCompile(`^\.\[\s*([\w.-]+(?:\s*,\s*[\w.-]+)*)\s*\]$`)

// splitParts separates extras and groups from files in the key requirements.
func splitParts(requirements []string) (files, parts []string) {
	for _, name := range requirements {
		m := withParts.FindStringSubmatch(name)
		if m == nil {
			files = append(files, name)
			continue
		}
		for _, part := range strings.Split(m[1], ",") {
			parts = append(parts, strings.TrimSpace(part))
		}
	}
	return files, parts
}

// asked returns the extras and groups that a stage names.
type asked struct{ *draft }

// chosen returns the existing usual extras or groups of the stage, and those that pipeline.yaml names.
func (d *draft) chosen(existing []string) []string {
	found := chosen(d.stage, existing)
	for _, name := range d.asked {
		if slices.Contains(existing, name) && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found
}

// askedParts returns uv's arguments for the project's dependencies with the extras and groups that pipeline.yaml names.
func (d asked) askedParts() []string {
	of := func(existing []string) []string {
		return slices.DeleteFunc(slices.Clone(d.asked), func(name string) bool { return !slices.Contains(existing, name) })
	}
	extras, groups := of(d.extras()), of(keys(d.toml.sub("dependency-groups")))
	d.parts("extra", extras)
	d.parts("group", groups)
	return append(d.own(".", extras), options("--group", groups)...)
}

// askedBesides installs them besides the files that pipeline.yaml names.
func (d asked) askedBesides() {
	if len(d.asked) > 0 {
		d.project.Locked = false
		d.pipInstall(d.askedParts())
	}
}

// unknownParts reports names in pipeline.yaml that are neither an extra nor a group.
func (d asked) unknownParts() {
	for _, name := range d.asked {
		if !d.used["extra "+name] && !d.used["group "+name] {
			d.fault("%s.requirements asks for .[%s]: what is installed (%s) has no extra and no group of this name",
				d.stage, name, d.project.Summary())
		}
	}
}

// setupExtra matches an extra that is written out in setup.py.
var setupExtra = regexp.MustCompile(`['"]([A-Za-z0-9._-]+)['"]\s*(?:\]\s*=|:)\s*[\[(]([^\])]*)[\])]`)

// offer records, by normalised package name, which uninstalled extras and groups declare a package.
func (d asked) offer() {
	offered, installed := map[string][]string{}, map[string]bool{}
	add := func(label string, requirements []string) {
		for _, requirement := range requirements {
			m := requirementName.FindStringSubmatch(requirement)
			switch {
			case m == nil:
			case !slices.Contains(d.project.Unread, label):
				installed[normal(m[1])] = true
			case !slices.Contains(offered[normal(m[1])], label): // one per marker
				offered[normal(m[1])] = append(offered[normal(m[1])], label)
			}
		}
	}
	toml, setup := d.toml, parseINI(d.text("setup.cfg"))["options.extras_require"]
	for _, place := range []struct {
		kind  string
		table table
	}{
		{"extra ", toml.sub("project", "optional-dependencies")}, {"extra ", toml.sub("tool", "poetry", "extras")},
		{"extra ", toml.sub("tool", "flit", "metadata", "requires-extra")}, {"group ", toml.sub("dependency-groups")},
	} {
		for _, name := range keys(place.table) {
			add(place.kind+name, place.table.strs(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(setup)) {
		add("extra "+name, lines(setup[name]))
	}
	if groups := toml.sub("tool", "poetry", "group"); d.project.Kind != UV && d.project.Kind != PDM { // whose locks do not contain them
		for _, name := range keys(groups) {
			add("group "+name, keys(groups.sub(name, "dependencies")))
		}
	}
	literal := map[string]bool{}
	for _, m := range setupExtra.FindAllStringSubmatch(d.text("setup.py"), -1) {
		literal[m[1]] = true
		add("extra "+m[1], strings.FieldsFunc(m[2], func(r rune) bool { return strings.ContainsRune("'\",\n", r) }))
	}
	for _, label := range d.project.Unread {
		name, is := strings.CutPrefix(label, "extra ")
		if is && toml.sub("project") == nil && !literal[name] && setup[name] == "" && slices.Contains(setupExtras(d.text("setup.py")), name) {
			d.project.computed = append(d.project.computed, name)
		}
	}
	add("", toml.sub("project").strs("dependencies"))
	add("", keys(toml.sub("tool", "poetry", "dependencies")))
	add("", lines(parseINI(d.text("setup.cfg"))["options"]["install_requires"]))
	for name := range d.used {
		if requirementsName.MatchString(name) {
			add("", lines(d.text(name)))
		}
	}
	d.alsoLocked(installed)
	maps.DeleteFunc(offered, func(name string, _ []string) bool { return installed[name] })
	d.project.offered, d.project.asked = offered, d.asked
}

// alsoLocked adds the dependencies in the installed lock: they need no extra.
func (d asked) alsoLocked(installed map[string]bool) {
	depend := map[string][]string{}
	for _, lock := range d.project.From {
		if lock != "uv.lock" && lock != "poetry.lock" && lock != "pdm.lock" {
			continue
		}
		for _, pkg := range d.table(lock).list("package") {
			name := normal(pkg.str("name"))
			depend[name] = append(depend[name], keys(pkg.sub("dependencies"))...) // Poetry's format
			for _, of := range pkg.list("dependencies") {
				depend[name] = append(depend[name], of.str("name")) // uv's format
			}
			for _, requirement := range pkg.strs("dependencies") {
				if m := requirementName.FindStringSubmatch(requirement); m != nil {
					depend[name] = append(depend[name], m[1])
				}
			}
		}
	}
	open := slices.Collect(maps.Keys(installed))
	for len(open) > 0 {
		name := open[0]
		open = open[1:]
		for _, of := range depend[name] {
			if of = normal(of); !installed[of] {
				installed[of], open = true, append(open, of)
			}
		}
	}
}

// Wanted returns the uninstalled extras and groups that declare packages for some missing modules: as an element of the key
// requirements, such as ".[cli,dev]", and in words. Both are empty if there are none. Modules of the source itself are
// ignored.
func (p *Project) Wanted(modules []string) (element, words string) {
	open := map[string]bool{}
	for _, module := range modules {
		module, _, _ = strings.Cut(module, ".")
		name := normal(module)
		if provided := provides[module]; provided != "" {
			name = provided
		}
		if len(p.offered[name]) > 0 && p.modules[module] == "" {
			open[name] = true
		}
	}
	var parts, why []string
	for len(open) > 0 {
		// Prefer the one that has most of what is missing, to install few.
		found := map[string][]string{}
		for name := range open {
			for _, label := range p.offered[name] {
				found[label] = append(found[label], name)
			}
		}
		best := ""
		for _, label := range slices.Sorted(maps.Keys(found)) {
			if best == "" || len(found[label]) > len(found[best]) {
				best = label
			}
		}
		slices.Sort(found[best])
		parts, why = append(parts, best[len("extra "):]), append(why, best+" has "+strings.Join(found[best], ", "))
		for _, name := range found[best] {
			delete(open, name)
		}
	}
	if len(parts) == 0 {
		return "", ""
	}
	return ".[" + strings.Join(slices.Concat(p.asked, parts), ",") + "]", strings.Join(why, "; ")
}
