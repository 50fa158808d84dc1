package pyenv

import (
	"path"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// listing is a requirements file that exists but is not installed, with the packages that it and its includes name.
type listing struct {
	file  string
	names []string
}

// listUnread reads the requirements files that are not installed. For tests, one with pytest comes first.
func listUnread(d *draft) {
	for _, name := range d.project.Unread {
		if !requirementsName.MatchString(name) || withFile(d.project, name) == nil {
			continue
		}
		found, wrong := listing{file: name}, d.wrong
		for _, file := range d.included(name) {
			for _, line := range lines(d.text(file)) {
				if m := requirementName.FindStringSubmatch(line); m != nil {
					found.names = append(found.names, normal(m[1]))
				}
			}
		}
		d.wrong = wrong // only relevant for what is installed
		d.project.listed = append(d.project.listed, found)
	}
	slices.SortStableFunc(d.project.listed, func(a, b listing) int {
		forTests := func(l listing) int { return strings.Count(strings.Join(l.names, " ")+" ", "pytest ") }
		if d.stage != verdict.Test {
			return forTests(a) - forTests(b)
		}
		return forTests(b) - forTests(a)
	})
}

// listingOf returns the uninstalled requirements file that lists a package, or an empty string.
func listingOf(p *Project, name string) string {
	for _, found := range p.listed {
		if slices.Contains(found.names, normal(name)) {
			return found.file
		}
	}
	return ""
}

// withFile returns the value of the key requirements for what is installed plus one more file, or nil if the key cannot
// express that.
func withFile(p *Project, file string) []string {
	switch p.Kind {
	case None, Requirements, Hashed, Pyproject, Setuptools:
	default:
		return nil
	}
	if p.tool || p.locker == "poetry" && p.Kind == Pyproject {
		return nil
	}
	all := slices.Clone(p.From)
	var parts []string
	for _, part := range p.Parts {
		parts = append(parts, part[len("extra "):])
	}
	if len(parts) > 0 {
		all = append(all, `".[`+strings.Join(parts, ",")+`]"`)
	}
	return append(all, file)
}

// ofSomeTool reports whether the key requirements accepts a file although it is not a pip requirements file.
func ofSomeTool(name string) bool {
	environment := path.Ext(name) == ".yml" || path.Ext(name) == ".yaml"
	return slices.Contains(others, name) || environment && name != "conda-lock.yml"
}
