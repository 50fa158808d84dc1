package pyenv

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// pipenv reads the files of Pipenv.
type pipenv struct{ *draft }

// notCategories are the keys of a Pipenv file that are not categories of packages, or are the application's.
var notCategories = []string{"source", "requires", "scripts", "pipenv", "build-system", "packages", "dev-packages", "_meta",
	"default", "develop"}

// categories returns the sections that the stage installs: the application's, development packages for the tests, and custom
// ones named after the stage.
func (p pipenv) categories(all []string, application, development string) []string {
	sections := []string{application}
	if p.stage == verdict.Test {
		sections = append(sections, development)
	}
	all = slices.DeleteFunc(all, func(name string) bool { return slices.Contains(notCategories, name) })
	own := chosen(p.stage, all)
	p.parts("category", own)
	for _, name := range all {
		if !slices.Contains(own, name) {
			p.project.Unread = append(p.project.Unread, "category "+name)
		}
	}
	return append(sections, own...)
}

// lock converts Pipfile.lock to requirements: its entries are requirements, split into the keys of an object.
func (p pipenv) lock() {
	p.project.Kind, p.project.From, p.project.Locked = PipfileLock, []string{"Pipfile.lock"}, true
	var lock map[string]map[string]any
	if err := json.Unmarshal([]byte(p.text("Pipfile.lock")), &lock); err != nil {
		p.fault("Pipfile.lock cannot be read: %v", err)
		return
	}
	var out []string
	out = append(out, pipfileSources(table(lock["_meta"]).list("sources"))...)
	for _, section := range p.categories(slices.Sorted(maps.Keys(lock)), "default", "develop") {
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
	for _, section := range p.categories(keys(file), "packages", "dev-packages") {
		for _, name := range keys(file.sub(section)) {
			if line, _ := p.line("Pipfile", name, file.sub(section)[name]); line != "" {
				out = append(out, line)
			}
		}
	}
	p.pipInstall(p.generated(out, "Pipfile"))
}

// variable matches a variable in an address, which Pipenv expands.
var variable = regexp.MustCompile(`\$\{?\w`)

func pipfileSources(sources []table) []string {
	var out []string
	for i, source := range sources {
		address := source.str("url")
		switch {
		case address == "" || variable.MatchString(address) || strings.Contains(address, "//pypi.org/"):
			// This machine's index serves it, or the address contains credentials.
		case i == 0:
			out = append(out, "--index-url "+address)
		default:
			out = append(out, "--extra-index-url "+address)
		}
	}
	return out
}

// line converts one entry to a requirement: "*", ">=1", or an object.
func (p pipenv) line(file, name string, entry any) (line string, hashed bool) {
	if text, ok := entry.(string); ok {
		return strings.TrimSuffix(name+" "+strings.TrimPrefix(text, "*"), " "), false
	}
	fields, _ := entry.(map[string]any)
	t := table(fields)
	if extras := t.strs("extras"); len(extras) > 0 {
		name += "[" + strings.Join(extras, ",") + "]"
	}
	markers := pipfileMarkers(t)
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

// markerNames are the keys of an entry that are environment markers, such as sys_platform = "== 'win32'".
var markerNames = []string{
	"os_name", "sys_platform", "platform_machine", "platform_python_implementation", "platform_release", "platform_system",
	"platform_version", "python_version", "python_full_version", "implementation_name", "implementation_version",
}

func pipfileMarkers(entry table) string {
	var all []string
	for _, name := range markerNames {
		if value := entry.str(name); value != "" {
			all = append(all, name+" "+value)
		}
	}
	if m := entry.str("markers"); m != "" && len(all) > 0 {
		all = append(all, "("+m+")")
	} else if m != "" {
		all = []string{m}
	}
	if len(all) == 0 {
		return ""
	}
	return " ; " + strings.Join(all, " and ")
}

func extrasOf(name string) string {
	if at := strings.Index(name, "["); at >= 0 {
		return name[at:]
	}
	return ""
}
