package pyenv

import (
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// pixiInProject is the place of pixi's tables in pyproject.toml.
const pixiInProject = "[tool.pixi] of pyproject.toml"

// pixiTables returns pixi's tables and where they are, or nil.
func pixiTables(t *tree) (tables table, label string) {
	if t.has("pixi.toml") {
		return t.table("pixi.toml"), "pixi.toml"
	}
	return t.toml.sub("tool", "pixi"), pixiInProject
}

// pixi installs from PyPI what pixi's tables name, including conda packages under their PyPI names.
func pixi(d *draft) {
	tables, label := pixiTables(d.tree)
	d.project.Kind, d.project.From = Conda, []string{label}
	d.used[label], d.used["pixi.toml"] = true, true
	places := []table{tables}
	features := d.chosen(keys(tables.sub("feature")))
	if d.stage == verdict.Test && len(features) == 0 {
		// The environments tell which features the tests get, by their names.
		environments := tables.sub("environments")
		for _, name := range d.chosen(keys(environments)) {
			features = append(features, environments.strs(name)...)
			features = append(features, environments.sub(name).strs("features")...)
		}
	}
	for _, name := range features {
		places = append(places, tables.sub("feature", name))
	}
	var out []string
	for _, place := range places {
		packages := place.sub("dependencies")
		for _, name := range keys(packages) {
			spec := packages.str(name) + packages.sub(name).str("version")
			if line, ok := condaRequirement(name + " " + strings.ReplaceAll(spec, " ", "")); ok {
				out = append(out, line)
			} else if name != "python" && name != "pip" {
				d.project.Unread = append(d.project.Unread, name+" of "+label)
			}
		}
		packages = place.sub("pypi-dependencies")
		for _, name := range keys(packages) {
			out = append(out, poetry{d}.entry(name, packages[name], nil)...)
		}
	}
	d.parts("group", features)
	d.pipInstall(d.generated(out, label))
}
