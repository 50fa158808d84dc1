package pyenv

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// usualFiles are the usual names of a stage's own requirements files, most exact first.
var usualFiles = map[string][]string{
	verdict.Test: {
		"requirements/test.lock", "requirements-test.lock", "requirements/test.txt", "requirements-test.txt",
		"requirements/tests.txt", "requirements-tests.txt", "requirements_test.txt", "test-requirements.txt",
		"test_requirements.txt", "tests/requirements.txt",
		"requirements/testing.txt", "requirements-testing.txt", "testing-requirements.txt", "test.requirements.txt",
		"requirements/dev.lock", "requirements-dev.lock", "requirements/dev.txt", "requirements-dev.txt", "requirements_dev.txt",
		"dev-requirements.txt", "requirements/development.txt", "requirements-development.txt", "dev.requirements.txt",
		"requirements/local.txt",
		"requirements-test.in", "requirements/test.in", "requirements-dev.in", "requirements/dev.in",
	},
	verdict.Train: {
		"requirements/train.lock", "requirements/train.txt", "requirements-train.lock", "requirements-train.txt",
		"requirements_train.txt", "train-requirements.txt", "requirements/training.txt", "requirements-training.txt",
	},
	verdict.Image: {
		"requirements/serve.lock", "requirements/serve.txt", "requirements-serve.lock", "requirements-serve.txt",
		"requirements_serve.txt", "requirements-docker.txt", "requirements/serving.txt",
		"requirements-serving.txt", "requirements/production.txt", "requirements/prod.txt",
	},
}

// usualNames are the usual names for a stage, also in a directory called requirements.
func usualNames(stage string) (names []string) {
	for _, name := range usualFiles[stage] {
		if names = append(names, name); !strings.Contains(name, "/") {
			names = append(names, "requirements/"+name)
		}
	}
	return names
}

// base are the usual names of files with the application's requirements.
var base = []string{"requirements.lock", "requirements.txt", "requirements/base.txt", "requirements/requirements.txt",
	"requirements/common.txt", "requirements/main.txt", "requirements/core.txt", "requirements/production.txt", "requirements/prod.txt",
	"requirements.in", "requirements/base.in", "requirements/requirements.in", "requirements/main.in"}

// others are declarations of other tools, in order of preference.
var others = []string{
	"uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "pyproject.toml", "setup.cfg", "setup.py",
	"Pipfile", "tox.ini", "environment.yml", "pixi.toml",
}

func lookedFor(stage string) []string {
	return slices.Concat(usualFiles[stage][:4], others[:5], base[:2], others[5:])
}

// groupNames are the usual groups and extras of a stage. The first list with an existing name is used.
var groupNames = map[string][][]string{
	verdict.Test:  {{"test", "tests", "testing"}, {"dev", "develop", "development"}},
	verdict.Train: {{"train", "training"}},
	verdict.Image: {{"serve", "serving"}, {"prod", "production"}},
}

// tooling are groups that only developers of the project need.
var tooling = []string{
	"test", "tests", "testing", "dev", "develop", "development", "doc", "docs", "lint", "linting", "typing", "types", "mypy", "ci",
	"format", "quality", "release", "build", "notebook", "notebooks", "pre-commit", "bench", "benchmark",
}

// chosen returns the existing usual groups of the stage.
func chosen(stage string, existing []string) []string {
	for _, wanted := range groupNames[stage] {
		found := slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return !slices.Contains(existing, name) })
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// installedByDefault returns the groups that a tool installs by default, if the stage needs them: all for tests, others
// without development groups.
func installedByDefault(stage string, groups []string) []string {
	if stage == verdict.Test {
		return groups
	}
	return slices.DeleteFunc(slices.Clone(groups), func(name string) bool { return slices.Contains(tooling, strings.ToLower(name)) })
}

func keys(t table) []string { return slices.Sorted(maps.Keys(t)) }

func options(flag string, values []string) []string {
	var out []string
	for _, v := range values {
		out = append(out, flag, v)
	}
	return out
}

// usual chooses the best of what the source declares.
func (d *draft) usual() {
	specific, basic := d.firstNaming(usualNames(d.stage)), d.firstNaming(base)
	hashed := specific != "" && strings.Contains(d.text(specific), "--hash=")
	pyproject, conda := d.has("pyproject.toml"), condaFile(d.tree, d.stage)
	pixis, _ := pixiTables(d.tree)
	switch {
	case hashed, specific != "" && d.stage != verdict.Test:
		lists{d}.requirements([]string{specific})
	case d.has("uv.lock") && pyproject:
		locked{d}.uvLock()
	case pylockFile(d.tree, d.stage) != "":
		locked{d}.pylock(pylockFile(d.tree, d.stage))
	case d.has("poetry.lock") && pyproject:
		poetry{d}.lock()
	case d.has("pdm.lock") && pyproject:
		locked{d}.pdmLock()
	case d.has("Pipfile.lock"):
		pipenv{d}.lock()
	case specific != "" && basic != "" && !slices.Contains(d.included(specific), basic):
		lists{d}.requirements([]string{basic, specific})
	case specific != "":
		lists{d}.requirements([]string{specific})
		d.dependencies()
	case basic != "":
		lists{d}.requirements([]string{basic})
		d.besides()
	case poetry{d}.declares():
		poetry{d}.unlocked()
	case d.declares() && (conda == "" && pixis == nil || namesPackages(d)):
		d.declared()
	case d.has("Pipfile"):
		pipenv{d}.pipfile()
	case conda != "":
		d.conda(conda)
	case pixis != nil:
		pixi(d)
	case d.stage != verdict.Test && d.firstNaming(usualNames(verdict.Test)) != "":
		// The application also runs with what the tests run with.
		lists{d}.requirements([]string{d.firstNaming(usualNames(verdict.Test))})
	default:
		if scripts := d.inline(); len(scripts) > 0 {
			lists{d}.requirements(scripts)
		}
	}
}

// inlineMetadata starts a script's inline metadata (PEP 723).
var inlineMetadata = regexp.MustCompile(`(?m)^# /// script\s*$`)

// inline returns the scripts in the root that declare their own packages.
func (t *tree) inline() []string {
	return slices.DeleteFunc(slices.Clone(t.names), func(name string) bool {
		return strings.Contains(name, "/") || path.Ext(name) != ".py" || !inlineMetadata.MatchString(t.text(name))
	})
}

// besides adds what the tests need to unlocked requirements of the application; they are resolved together.
func (d *draft) besides() {
	if d.stage != verdict.Test || d.project.Locked {
		return
	}
	d.together(d.wanted(false))
}

// together installs further arguments with the last installation, so that they are resolved together.
func (d *draft) together(args []string) {
	if last := len(d.project.install) - 1; last >= 0 && len(args) > 0 {
		d.project.install[last] = append(d.project.install[last], args...)
		return
	}
	d.pipInstall(args)
}

// dependencies adds the project's own dependencies to requirements for tests alone, unless those pin everything or install
// the project.
func (d *draft) dependencies() {
	mine := []string{"pyproject.toml", "setup.cfg", "setup.py"}
	if d.stage != verdict.Test || d.project.Locked || slices.ContainsFunc(mine, func(name string) bool { return d.used[name] }) {
		return
	}
	if d.toml.sub("project") == nil && d.has("setup.py") && !strings.Contains(d.text("setup.py"), "setup(") {
		return // a script of that name, which builds nothing
	}
	args := asked{d}.askedParts()
	for _, name := range mine {
		if d.used[name] {
			d.project.From = append(slices.Clone(d.project.From), name)
		}
	}
	d.together(args)
}

// declares reports whether a file of the project, or of a tool that runs its tests, declares packages.
func (d *draft) declares() bool {
	return d.toml.sub("project") != nil || d.toml.sub("dependency-groups") != nil || d.toml.sub("tool", "uv", "workspace") != nil ||
		d.has("setup.cfg") && d.project.Package ||
		d.has("setup.py") || flit(d.tree) || len(toolFiles{d.tree, d.project.Python}.testTools()) > 0 && d.stage == verdict.Test
}

// namesPackages reports whether the project's own files declare any package for the stage; some projects leave all to conda.
func namesPackages(d *draft) bool {
	project := d.toml.sub("project")
	return len(project.strs("dependencies"))+len(project.strs("dynamic")) > 0 || flit(d.tree) ||
		parseINI(d.text("setup.cfg"))["options"]["install_requires"] != "" || strings.Contains(d.text("setup.py"), "install_requires") ||
		len(d.chosen(keys(d.toml.sub("dependency-groups"))))+len(d.chosen(d.extras())) > 0 ||
		d.stage == verdict.Test && len(toolFiles{d.tree, d.project.Python}.testTools()) > 0
}

// flit reports whether the project uses flit's own tables, which its backend reads.
func flit(t *tree) bool { return t.toml.sub("tool", "flit", "metadata") != nil && t.installable(".") }

// declared installs what the project declares without a lock.
func (d *draft) declared() {
	switch {
	case d.toml.sub("project") != nil || d.toml.sub("dependency-groups") != nil || d.toml.sub("tool", "uv", "workspace") != nil ||
		flit(d.tree):
		d.project.Kind, d.project.From = Pyproject, []string{"pyproject.toml"}
	case d.has("setup.cfg") && d.project.Package:
		d.project.Kind, d.project.From = Setuptools, []string{"setup.cfg"}
	case d.has("setup.py"):
		d.project.Kind, d.project.From = Setuptools, []string{"setup.py"}
	default:
		d.project.Kind = Tox
	}
	args := d.wanted(true)
	if d.stage == verdict.Test {
		// Tests of a workspace import its members even if the root does not depend on them.
		for _, member := range d.members() {
			args = append(args, d.own(member, nil)...)
			for _, group := range chosen(d.stage, keys(d.manifest(member).sub("dependency-groups"))) {
				args = append(args, "--group", in(member, "pyproject.toml")+":"+group)
			}
		}
	}
	d.pipInstall(args)
}

// wanted installs the stage's groups and extras and, for tests, what the tool that runs them installs in addition. The
// project's own dependencies are included with its extras, or always.
func (d *draft) wanted(always bool) (args []string) {
	groups, extras := d.chosen(keys(d.toml.sub("dependency-groups"))), d.chosen(d.extras())
	var found declaration
	if d.stage == verdict.Test {
		named := len(groups)+len(extras) > 0
		tools := toolFiles{d.tree, d.project.Python}.testTools()
		// A development environment has much that tests do not need.
		if at := slices.IndexFunc(tools, func(tool declaration) bool { return tool.tests || !named }); at >= 0 {
			found = tools[at]
			d.project.From = append(d.project.From, found.label)
			for _, label := range append(found.above, found.label) {
				d.used[label] = true
			}
		}
	}
	for _, name := range found.groups {
		if !slices.Contains(groups, name) {
			groups = append(groups, name)
		}
	}
	for _, name := range found.extras {
		if !slices.Contains(extras, name) {
			extras = append(extras, name)
		}
	}
	if always || len(extras) > 0 {
		args = d.own(".", extras)
	}
	args = append(args, options("--group", groups)...)
	if len(groups) > 0 {
		d.project.files = append(d.project.files, "pyproject.toml")
	}
	d.parts("group", groups)
	d.parts("extra", extras)
	if len(found.lines) > 0 {
		d.project.tool = true
		args = append(args, d.generated(found.lines, found.label)...)
	}
	return args
}

// pipInstall installs with uv's pip interface, using the indexes in the project's own uv configuration.
func (d *draft) pipInstall(args []string) {
	if len(args) == 0 {
		return
	}
	if d.toml.sub("tool", "uv") != nil {
		d.project.files = append(d.project.files, "pyproject.toml")
	}
	if d.has("uv.toml") {
		d.project.files = append(d.project.files, "uv.toml")
	}
	d.project.install = append(d.project.install, slices.Concat([]string{"uv", "pip", "install"}, d.project.options, args))
}

func (d *draft) parts(kind string, names []string) {
	for _, name := range names {
		d.project.Parts = append(d.project.Parts, kind+" "+name)
		d.used[kind+" "+name] = true
	}
}
