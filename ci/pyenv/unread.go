package pyenv

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ofMLflow matches directories of MLflow's local runs: models there have their own requirements.
var ofMLflow = regexp.MustCompile(`(?:^|/)(?:mlruns|mlartifacts)/`)

// unread lists the declarations of packages that are not installed.
func (d *draft) unread() {
	var seen []string
	for _, from := range d.project.From {
		d.used[from] = true
	}
	seen = append(seen, usualNames(d.stage)...)
	if d.stage != verdict.Test {
		seen = append(seen, usualNames(verdict.Test)...)
	}
	seen = append(seen, base...)
	var deeper []string
	for _, name := range d.names {
		if requirementsName.MatchString(name) {
			seen = append(seen, name)
		} else if requirementsName.MatchString(path.Base(name)) && !ofMLflow.MatchString(name) {
			deeper = append(deeper, name)
		}
	}
	// A repository may have examples in a hundred directories.
	seen = append(seen, deeper[:min(len(deeper), 5)]...)
	seen = append(seen, "pixi.toml", "pixi.lock", "conda-lock.yml", "noxfile.py", "uv.lock", "pylock.toml", "poetry.lock", "pdm.lock",
		"Pipfile.lock", "Pipfile", "constraints.txt", condaFile(d.tree, d.stage))
	seen = slices.DeleteFunc(seen, func(name string) bool { return !d.has(name) })
	for _, found := range (toolFiles{d.tree, d.project.Python}).testTools() {
		if len(found.lines)+len(found.left) > 0 || !d.uses("group ", found.groups) || !d.uses("extra ", found.extras) {
			seen = append(seen, found.label)
		}
		if d.used[found.label] {
			for _, left := range found.left {
				seen = append(seen, left+" in "+found.label)
			}
		}
	}
	seen = append(seen, d.toolEnvironments()...)
	for _, name := range keys(d.toml.sub("dependency-groups")) {
		seen = append(seen, "group "+name)
	}
	for _, name := range keys(d.toml.sub("tool", "poetry", "group")) {
		seen = append(seen, "group "+name)
	}
	for _, name := range d.extras() {
		seen = append(seen, "extra "+name)
	}
	for _, name := range seen {
		// A .in file is the source of its .txt or .lock file.
		stem, isSource := strings.CutSuffix(name, ".in")
		made := isSource && (d.used[stem+".txt"] || d.used[stem+".lock"])
		if !made && !d.used[name] && !slices.Contains(d.project.Unread, name) {
			d.project.Unread = append(d.project.Unread, name)
		}
	}
}

// uses reports whether all of some groups or extras are installed.
func (d *draft) uses(kind string, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return !d.used[kind+name] })
}

// requirementsName matches the name of a requirements file of any purpose.
var requirementsName = regexp.MustCompile(`^(?:(?:requirements|requires|reqs|deps)/[\w.-]+|` +
	`[\w.-]*(?:requirements|constraints)[\w.-]*)\.(?:txt|in|lock)$`)

// toolEnvironments are places in which the project's tools declare packages that no stage installs.
func (t *tree) toolEnvironments() []string {
	var found []string
	for _, place := range hatchPlaces(t) {
		for _, name := range keys(place.envs) {
			if env := place.envs.sub(name); len(env.strs("dependencies"))+len(env.strs("extra-dependencies")) > 0 {
				found = append(found, place.label(name))
			}
		}
	}
	if t.toml.sub("tool", "pixi") != nil {
		found = append(found, pixiInProject)
	}
	if testsRequire.MatchString(t.text("setup.py")) {
		found = append(found, "tests_require of setup.py")
	}
	return found
}

// testsRequire matches what setuptools installed for its former test command.
var testsRequire = regexp.MustCompile(`\btests_require\s*=`)
