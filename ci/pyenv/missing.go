package pyenv

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

var (
	// NoModule matches Python's message about a failed import.
	NoModule = regexp.MustCompile(`No module named '([\w.]+)'`)
	// advised matches a command that a library recommends if another one is missing.
	advised = regexp.MustCompile("pip3? install (?:-U |--upgrade )?[\"'`]?([A-Za-z0-9][\\w.-]*(?:\\[[\\w,-]+\\])?)")
	// separators matches the characters that are equivalent in package names.
	separators = regexp.MustCompile(`[-_.]+`)
	// requirementName matches the name at the start of a requirement.
	requirementName = regexp.MustCompile(`^\s*([A-Za-z0-9][\w.-]*)`)
)

// provides maps modules to packages of another name.
var provides = map[string]string{"sklearn": "scikit-learn", "cv2": "opencv-python-headless", "yaml": "pyyaml", "PIL": "pillow",
	"dotenv": "python-dotenv", "bs4": "beautifulsoup4", "dateutil": "python-dateutil", "jwt": "pyjwt", "jose": "python-jose",
	"multipart": "python-multipart", "skimage": "scikit-image", "imblearn": "imbalanced-learn", "psycopg2": "psycopg2-binary"}

// noPlugin matches pytest's message about a fixture or an option whose plugin is missing.
var noPlugin = regexp.MustCompile(`fixture '(\w+)' not found|unrecognized arguments: (--?[a-z]+(?:-[a-z]+)*)`)

// plugins maps common fixtures and options of pytest to their packages.
var plugins = map[string]string{
	"mocker": "pytest-mock", "benchmark": "pytest-benchmark", "httpx_mock": "pytest-httpx", "snapshot": "syrupy",
	"requests_mock": "requests-mock", "faker": "faker", "freezer": "pytest-freezer", "aiohttp_client": "pytest-aiohttp",
	"respx_mock": "respx", "datadir": "pytest-datadir", "httpserver": "pytest-httpserver", "event_loop": "pytest-asyncio",
	"-n": "pytest-xdist", "--dist": "pytest-xdist", "--numprocesses": "pytest-xdist", "--asyncio-mode": "pytest-asyncio",
	"--timeout": "pytest-timeout", "--reruns": "pytest-rerunfailures", "--ds": "pytest-django", "--html": "pytest-html",
	"--benchmark-skip": "pytest-benchmark", "--benchmark-disable": "pytest-benchmark", "--mypy": "pytest-mypy",
	"--ruff": "pytest-ruff", "--random-order": "pytest-random-order", "--nbval": "nbval", "--nbmake": "nbmake",
}

// adds are the commands that add and lock a package, for the tests and for the application.
var adds = map[Kind][2]string{UV: {"uv add --dev", "uv add"}, Poetry: {"poetry add --group dev", "poetry add"},
	PDM: {"pdm add --dev", "pdm add"}, PipfileLock: {"pipenv install --dev", "pipenv install"},
	Pipfile: {"pipenv install --dev", "pipenv install"}}

// normal returns the normalised name of a package.
func normal(name string) string { return separators.ReplaceAllString(strings.ToLower(name), "-") }

// MissingNext returns the remedy for a failure whose output says that a module, shared library or program is missing: the
// package to add, or the source directory to put on the path. It is empty for any other failure.
func (p *Project) MissingNext(output string) string {
	if p == nil {
		return ""
	}
	if next := notThere(p.System, output); next != "" {
		return next
	}
	name := ""
	var modules []string
	if all := NoModule.FindAllStringSubmatch(output, -1); len(all) > 0 {
		for _, m := range all {
			modules = append(modules, m[1])
		}
		module, _, part := strings.Cut(all[len(all)-1][1], ".") // that of the last traceback
		dir, own := p.modules[module]
		switch {
		case own && part: // Python found its parent package
			return ""
		case own:
			return fmt.Sprintf("The source has %s in %s, where Python does not look. Write into pipeline.yaml: %s.vars: {PYTHONPATH: %s}",
				module, cmp.Or(strings.TrimPrefix(dir, "."), "its root"), p.Stage, dir)
		}
		name = provides[module]
		if name == "" {
			name = strings.ReplaceAll(module, "_", "-")
		}
	} else if m := advised.FindStringSubmatch(output); m != nil {
		name = m[1]
	} else if m := noPlugin.FindStringSubmatch(output); m != nil {
		name = plugins[m[1]+m[2]]
	} else if strings.Contains(output, "async def functions are not natively supported") {
		name = "pytest-asyncio"
	}
	element, words := p.Wanted(modules)
	switch {
	case name == "":
		return ""
	case element != "" && !p.named:
		return fmt.Sprintf("Write %s.requirements: [\"%s\"] into pipeline.yaml: %s", p.Stage, element, words)
	case listingOf(p, name) != "":
		file := listingOf(p, name)
		return fmt.Sprintf("Write %s.requirements: [%s] into pipeline.yaml: %s has %s", p.Stage,
			strings.Join(withFile(p, file), ", "), file, name)
	case slices.Contains(p.stale, normal(name)):
		return fmt.Sprintf("%s is not in %s, which is older than what declares it. %s", name, p.From[0], relocks[p.Kind])
	}
	where := "requirements.txt"
	if len(p.From) > 0 {
		where = p.From[0]
	}
	next := fmt.Sprintf("Add %s to %s", name, where)
	if commands, ok := adds[p.Kind]; ok {
		command := commands[0]
		if p.Stage != verdict.Test {
			command = commands[1]
		}
		next = fmt.Sprintf("Add the missing package: %s %s", command, name)
	} else if p.Locked {
		next = fmt.Sprintf("Add %s to what %s is locked from, and lock again", name, where)
	}
	switch files := slices.DeleteFunc(slices.Clone(p.Unread), func(unread string) bool { return !ofSomeTool(unread) }); {
	case len(p.computed) > 0 && !p.named:
		next = fmt.Sprintf("If one of the extras %s has %s, write %s.requirements: [\".[NAME]\"] into pipeline.yaml. Otherwise: %s",
			some(p.computed, 5), name, p.Stage, next)
	case len(files) > 0:
		next = fmt.Sprintf("If one of %s has %s, name that file under %s.requirements of pipeline.yaml. Otherwise: %s",
			some(files, 3), name, p.Stage, next)
	}
	return next
}

// ownModules maps the names by which the source's files and directories could be imported to the topmost directory that has
// them.
func (t *tree) ownModules() map[string]string {
	own := map[string]string{}
	for _, name := range t.names {
		if module, is := strings.CutSuffix(name, ".py"); is {
			for ; module != "."; module = path.Dir(module) {
				dir, known := own[path.Base(module)]
				if found := path.Dir(module); !known || strings.Count(found, "/") < strings.Count(dir, "/") || found == "." {
					own[path.Base(module)] = found
				}
			}
		}
	}
	return own
}

// lockStale finds packages that pyproject.toml declares and its lock lacks, because the lock is older. Requirements with a
// marker are skipped: a lock may omit what no supported Python installs.
func (d *draft) lockStale() {
	lock := map[Kind]string{UV: "uv.lock", Poetry: "poetry.lock", PDM: "pdm.lock"}[d.project.Kind]
	if lock == "" {
		return
	}
	locked, packages := map[string]bool{normal(d.project.Name): true}, d.table(lock).list("package")
	if len(packages) == 0 {
		return
	}
	for _, pkg := range packages {
		locked[normal(pkg.str("name"))] = true
	}
	var declared []string
	requirements := d.toml.sub("project").strs("dependencies")
	for _, group := range keys(d.toml.sub("dependency-groups")) {
		requirements = append(requirements, d.toml.sub("dependency-groups").strs(group)...)
	}
	for _, requirement := range requirements {
		if m := requirementName.FindStringSubmatch(requirement); m != nil && !strings.Contains(requirement, ";") {
			declared = append(declared, m[1])
		}
	}
	poetry := d.toml.sub("tool", "poetry")
	if d.project.Kind != Poetry { // no other lock has what these tables declare
		poetry = nil
	}
	tables := []table{poetry.sub("dependencies")}
	for _, group := range keys(poetry.sub("group")) {
		tables = append(tables, poetry.sub("group", group, "dependencies"))
	}
	for _, dependencies := range tables {
		for _, name := range keys(dependencies) {
			entry := dependencies.sub(name)
			_, several := dependencies[name].([]any)
			if name != "python" && !several && !entry.has("markers") && !entry.has("python") && !entry.has("platform") {
				declared = append(declared, name)
			}
		}
	}
	for _, name := range declared {
		if name = normal(name); !locked[name] && !slices.Contains(d.project.stale, name) {
			d.project.stale = append(d.project.stale, name)
		}
	}
	if len(d.project.stale) > 0 {
		d.project.find(LockStale, "%s does not have %s, which pyproject.toml declares", lock, some(d.project.stale, 5))
		d.project.Findings[len(d.project.Findings)-1].Next = relocks[d.project.Kind]
	}
}
