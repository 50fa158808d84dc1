package pyenv

import (
	"slices"
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
	for _, place := range slices.Clone(places) {
		places = append(places, pixiTargets(place)...)
	}
	var out []string
	for _, place := range places {
		marker := place.str(pixiMarker)
		packages := place.sub("dependencies")
		for _, name := range keys(packages) {
			spec := packages.str(name) + packages.sub(name).str("version")
			if line, ok := condaRequirement(name + " " + strings.ReplaceAll(spec, " ", "")); ok {
				out = append(out, line+marker)
			} else if name != "python" && name != "pip" {
				d.project.Unread = append(d.project.Unread, name+" of "+label)
			}
		}
		packages = place.sub("pypi-dependencies")
		for _, name := range keys(packages) {
			for _, line := range (poetry{d}).entry(name, packages[name], nil) {
				if strings.Contains(line, " ; ") {
					line += strings.Replace(marker, " ; ", " and ", 1)
				} else if !strings.HasPrefix(line, "-") {
					line += marker
				}
				out = append(out, line)
			}
		}
	}
	d.parts("group", features)
	d.pipInstall(d.generated(out, label))
}

// pixiMarker is the key under which pixiTargets keeps the marker of a platform; pixi has no such key.
const pixiMarker = "\x00marker"

// pixiTargets returns what a place declares for POSIX systems and Linux alone, with markers. A package that the place declares for
// all platforms too is left out: pip would want both versions, pixi wants that of the platform.
func pixiTargets(place table) []table {
	var found []table
	for _, target := range [][2]string{
		{"unix", "os_name == 'posix'"}, {"linux", "sys_platform == 'linux'"},
		{"linux-64", "sys_platform == 'linux' and platform_machine == 'x86_64'"},
		{"linux-aarch64", "sys_platform == 'linux' and platform_machine == 'aarch64'"},
	} {
		one := table{pixiMarker: " ; " + target[1]}
		for _, kind := range []string{"dependencies", "pypi-dependencies"} {
			packages := table{}
			for name, spec := range place.sub("target", target[0], kind) {
				if !place.sub("dependencies").has(name) && !place.sub("pypi-dependencies").has(name) {
					packages[name] = spec
				}
			}
			one[kind] = packages
		}
		found = append(found, one)
	}
	return found
}
