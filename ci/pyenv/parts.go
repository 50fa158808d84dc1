package pyenv

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// withParts is an element of the key requirements that adds extras or groups to what is installed otherwise: ".[cli,dev]".
var withParts = regexp.MustCompile(`^\.\[\s*([\w.-]+(?:\s*,\s*[\w.-]+)*)\s*\]$`)

// splitParts separates the extras and groups that requirements name from the files.
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

// asked are the extras and groups that a stage asks for by name.
type asked struct{ *draft }

// chosen are the usual extras or groups of the stage that exist, and those that pipeline.yaml asks for.
func (d *draft) chosen(existing []string) []string {
	found := chosen(d.stage, existing)
	for _, name := range d.asked {
		if slices.Contains(existing, name) && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found
}

// askedParts are uv's arguments for what the project depends on, with the extras and groups that pipeline.yaml asks for.
func (d asked) askedParts() []string {
	of := func(existing []string) []string {
		return slices.DeleteFunc(slices.Clone(d.asked), func(name string) bool { return !slices.Contains(existing, name) })
	}
	extras, groups := of(d.extras()), of(keys(d.toml.sub("dependency-groups")))
	d.parts("extra", extras)
	d.parts("group", groups)
	return append(d.own(".", extras), options("--group", groups)...)
}

// askedBesides installs them beside the files that pipeline.yaml names.
func (d asked) askedBesides() {
	if len(d.asked) > 0 {
		d.project.Locked = false
		d.pipInstall(d.askedParts())
	}
}

// unknownParts reports what pipeline.yaml asks for and no extra or group is called.
func (d asked) unknownParts() {
	for _, name := range d.asked {
		if !d.used["extra "+name] && !d.used["group "+name] {
			d.fault("%s.requirements asks for .[%s]: what is installed (%s) has no extra and no group of this name",
				d.stage, name, d.project.Summary())
		}
	}
}

// setupExtra is an extra that a setup.py writes out.
var setupExtra = regexp.MustCompile(`['"]([A-Za-z0-9._-]+)['"]\s*(?:\]\s*=|:)\s*[\[(]([^\])]*)[\])]`)

// offer notes, by the normalised names of packages, which extras and groups that are not installed declare them.
func (d asked) offer() {
	offered, installed := map[string][]string{}, map[string]bool{}
	add := func(label string, requirements []string) {
		for _, requirement := range requirements {
			m := requirementName.FindStringSubmatch(requirement)
			switch {
			case m == nil:
			case !slices.Contains(d.project.Unread, label):
				installed[normal(m[1])] = true
			case !slices.Contains(offered[normal(m[1])], label): // one for each marker
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
	if groups := toml.sub("tool", "poetry", "group"); d.project.Kind != UV && d.project.Kind != PDM { // whose locks do not have them
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

// alsoLocked adds what packages depend on by the lock that is installed: no extra is needed for it.
func (d asked) alsoLocked(installed map[string]bool) {
	depend := map[string][]string{}
	for _, lock := range d.project.From {
		if lock != "uv.lock" && lock != "poetry.lock" && lock != "pdm.lock" {
			continue
		}
		for _, pkg := range d.table(lock).list("package") {
			name := normal(pkg.str("name"))
			depend[name] = append(depend[name], keys(pkg.sub("dependencies"))...) // Poetry's form
			for _, of := range pkg.list("dependencies") {
				depend[name] = append(depend[name], of.str("name")) // uv's
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

// Wanted are the extras and groups that are not installed and declare packages which some modules come from: as an element of
// the key requirements, such as ".[cli,dev]", and as words. Both are empty without any. What the source has itself is no package.
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
		// The one that has most of what is missing, so that few are installed.
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
