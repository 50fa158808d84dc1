package pyenv

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const extraTest = project + "[project.optional-dependencies]\ntest = [\"pytest\"]\n"

// Each case is a place in which people declare packages: what is installed from it, in the commands or in the generated
// requirements, and what is named as seen and not installed.
func TestFurtherPlacesOfPackages(t *testing.T) {
	for name, c := range map[string]struct {
		files     map[string]string
		installed string
		unread    []string
	}{
		"a script's own metadata":       {map[string]string{"main.py": "# /// script\n# dependencies = ['six']\n# ///\n", "b.py": "# script"}, "-r main.py", nil},
		"a script beside a declaration": {map[string]string{"main.py": "# /// script\n# ///\n", "requirements.txt": "six"}, "-r requirements.txt", nil},
		"lists in a directory":          {map[string]string{"requirements.txt": "six", "reqs/test.txt": "pytest"}, "-r requirements.txt", []string{"reqs/test.txt"}},
		"flit's own tables": {map[string]string{"pyproject.toml": "[build-system]\nrequires = [\"flit_core<4\"]\n[tool.flit.metadata]\nmodule = \"a\"\n" +
			"[tool.flit.metadata.requires-extra]\ntest = [\"pytest\"]\n"}, "-r pyproject.toml --extra test", nil},
		"rye":              {map[string]string{"pyproject.toml": project + "[tool.rye]\ndev-dependencies = [\"six\"]\n"}, "six", nil},
		"rye's locks":      {map[string]string{"requirements.lock": "six==1\n", "requirements-dev.lock": "six==1\npytest==9\n"}, "-r requirements-dev.lock", nil},
		"uv's older table": {map[string]string{"pyproject.toml": project + "[tool.uv]\ndev-dependencies = [\"six\"]\n"}, "six", nil},
		"poetry's groups in groups": {map[string]string{"pyproject.toml": project + "[tool.poetry.group.dev]\ninclude-groups = [\"qa\"]\n" +
			"[tool.poetry.group.qa]\noptional = true\n[tool.poetry.group.qa.dependencies]\nsix = \"*\"\n"}, "six", nil},
		"an environment of tox": {map[string]string{"tox.ini": "[testenv:test]\ndeps = six\n"}, "six", nil},
		"one for this Python":   {map[string]string{"tox.ini": "[testenv:py312]\ndeps = six\n[testenv:py39]\ndeps = old\n"}, "six", nil},
		"one of tox.toml":       {map[string]string{"tox.toml": "[env.tests]\ndeps = [\"six\"]\n"}, "six", nil},
		"tox's own beside its extra": {map[string]string{"tox.ini": "[testenv]\ndeps = six\nextras = test\n", "pyproject.toml": extraTest},
			"-r pyproject.toml --extra test -r " + generatedFile, nil},
		"tox's own beside the project's extra": {map[string]string{"tox.ini": "[testenv]\ndeps = six\n", "pyproject.toml": extraTest}, "six", nil},
		"Hatch's own beside the project's extra": {map[string]string{"pyproject.toml": extraTest + "[tool.hatch.envs.hatch-test]\nextra-dependencies = [\"six\"]\n"},
			"six", nil},
		"development beside the project's extra": {map[string]string{"pyproject.toml": extraTest + "[tool.pdm.dev-dependencies]\nlint = [\"black\"]\n"},
			"-r pyproject.toml --extra test", []string{"[tool.pdm.dev-dependencies] of pyproject.toml"}},
		"one of tox with the rest of testenv": {map[string]string{"tox.ini": "[testenv]\ndeps = six\n[testenv:py312]\ncommands = pytest\n"}, "six", nil},
		"one of tox with more than testenv": {map[string]string{"tox.ini": "[testenv]\ndeps = old\n[testenv:test]\ndeps =\n  {[testenv]deps}\n  six\n"},
			"old\nsix", nil},
		"several of tox in one name":       {map[string]string{"tox.ini": "[testenv]\ndeps = old\n[testenv:py{311,312}]\ndeps = six\n"}, "six", nil},
		"conditions of tox":                {map[string]string{"tox.ini": "[testenv]\ndeps =\n  test: six\n  !py39: a\n  py{311,312}: b\n"}, "six\na\nb\n", nil},
		"conditions of tox on extras":      {map[string]string{"tox.ini": "[testenv]\nextras =\n  test: test\n", "pyproject.toml": extraTest}, "--extra test", nil},
		"references of tox over two steps": {map[string]string{"tox.ini": "[a]\nb = six\n[c]\nd = {[a]b}\n[testenv]\ndeps = {[c]d}\n"}, "six", nil},
		"references of tox.toml": {map[string]string{"tox.toml": "[env_run_base]\ndeps = [\"old\"]\n[env.test]\n" +
			"deps = [{replace = \"ref\", of = [\"env_run_base\", \"deps\"], extend = true}, \"six\"]\n"}, "old\nsix", nil},
		"references of tox.toml by name": {map[string]string{"tox.toml": "[env.a]\ndeps = [\"six\"]\n[env.test]\n" +
			"deps = [{replace = \"ref\", env = \"a\", key = \"deps\"}, {replace = \"ref\", env = \"test\", key = \"deps\"}]\n"}, "six", nil},
		"what tox.toml takes from elsewhere": {map[string]string{"tox.toml": "[env_run_base]\ndeps = [{replace = \"env\", name = \"X\"}, \"six\"]\n"}, "six",
			[]string{"{replace = \"env\"} in [env_run_base] deps of tox.toml"}},
		"extras of setup.py in a variable": {map[string]string{"setup.py": "qa: dict = dict(\n    test=['pytest'],\n    docs=docs,\n)\nsetup(extras_require=qa)\n"},
			"-r setup.py --extra test", []string{"extra docs"}},
		"a workspace without a package of its own": {map[string]string{"pyproject.toml": "[tool.uv.workspace]\nmembers = [\"libs/*\"]\n[dependency-groups]\ntest = []\n",
			"libs/a/pyproject.toml": build + project}, "--group test -r libs/a/pyproject.toml", nil},
		"conda beside a package that names none": {map[string]string{"environment.yml": "dependencies: [six, pip: [-e .]]", "setup.cfg": "[metadata]\nname = a\n",
			"pyproject.toml": build}, "six", nil},
		"conda beside a package that names some": {map[string]string{"environment.yml": "dependencies: [six]", "setup.cfg": "[metadata]\nname = a\n[options]\ninstall_requires = x\n"},
			"-r setup.cfg", []string{"environment.yml"}},
		"requirements with tox's": {map[string]string{"requirements.txt": "six", "tox.ini": "[testenv]\ndeps =\n  -r requirements.txt\n  pytest-mock\n"},
			"-r requirements.txt -r " + generatedFile, nil},
		"requirements with a group": {map[string]string{"requirements.txt": "six", "pyproject.toml": "[dependency-groups]\ndev = [\"pytest-mock\"]\n"},
			"-r requirements.txt --group dev", nil},
		"requirements with an extra": {map[string]string{"requirements.txt": "six", "pyproject.toml": extraTest},
			"-r requirements.txt -r pyproject.toml --extra test", nil},
		"requirements of nothing but the source": {map[string]string{"requirements.txt": "-e ./lib", "lib/setup.py": "", "tox.ini": "[testenv]\ndeps = six\n"}, "six", nil},
		"requirements with hashes": {map[string]string{"requirements.txt": hashedLine, "tox.ini": "[testenv]\ndeps = six\n"}, "--require-hashes -r requirements.txt",
			[]string{"[testenv] deps of tox.ini"}},
		"files that pip-tools reads": {map[string]string{"requirements.in": "six", "requirements-test.in": "pytest"}, "-r requirements.in -r requirements-test.in", nil},
		"files that it wrote":        {map[string]string{"requirements.in": "six", "requirements.txt": "six==1"}, "-r requirements.txt", nil},
		"constraints":                {map[string]string{"requirements.txt": "-c limits/constraints.txt\nsix", "limits/constraints.txt": "six<2"}, "-r requirements.txt", nil},
		"links of uv":                {map[string]string{"pyproject.toml": project + "[tool.uv]\nfind-links = [\"./vendor\"]\n", "vendor/x.whl": ""}, "vendor/x.whl", nil},
		"an index in a directory": {map[string]string{"pyproject.toml": project + "[[tool.uv.index]]\nname = \"l\"\nurl = \"./vendor\"\nformat = \"flat\"\nexplicit = true\n",
			"vendor/x.whl": ""}, "vendor/x.whl", nil},
		"files for something else": {map[string]string{"requirements.txt": "six", "requirements/ci.txt": "x", "gpu-requirements.txt": "y"}, "-r requirements.txt",
			[]string{"gpu-requirements.txt", "requirements/ci.txt"}},
		"nox and conda-lock": {map[string]string{"noxfile.py": "", "conda-lock.yml": ""}, "", []string{"conda-lock.yml", "noxfile.py"}},
		"pixi": {map[string]string{"pixi.toml": "[dependencies]\npython = \">=3.11\"\nsix = \"1.16.*\"\npytorch = {version = \">=2, <3\"}\nr-base = \"*\"\n[pypi-dependencies]\nmylib = {path = \"./lib\"}\n" +
			"[feature.check.dependencies]\npytest-mock = \"*\"\n[feature.cuda.dependencies]\ncupy = \"*\"\n[environments]\ntest = [\"check\"]\n", "lib/setup.py": ""},
			"torch>=2,<3\nsix==1.16.*\npytest-mock\n", []string{"r-base of pixi.toml"}},
		"what pixi declares for a platform": {map[string]string{"pixi.toml": "[dependencies]\nsix = \"1.16.*\"\n[target.linux-64.dependencies]\nsix = \"*\"\nidna = \">=3\"\n" +
			"[target.win-64.dependencies]\npywin32 = \"*\"\n[feature.test.target.unix.pypi-dependencies]\nattrs = {version = \">=1\", markers = \"python_version > '3'\"}\n"},
			"six==1.16.*\nidna>=3 ; sys_platform == 'linux' and platform_machine == 'x86_64'\nattrs >=1 ; (python_version > '3') and os_name == 'posix'\n", nil},
		"a feature of pixi": {map[string]string{"pyproject.toml": "[tool.pixi.feature.test.pypi-dependencies]\nsix = \">=1\"\n"}, "six >=1\n", nil},
		"pixi beside packages that pyproject.toml names": {map[string]string{"pyproject.toml": "[project]\nname = \"a\"\nversion = \"1\"\ndependencies = [\"x\"]\n[tool.pixi.dependencies]\nsix = \"*\"\n"},
			"-r pyproject.toml", []string{"[tool.pixi] of pyproject.toml"}},
		"another name in hatch": {map[string]string{"pyproject.toml": project + "[tool.hatch.envs.unit]\ndependencies = [\"six\"]\n"}, "-r pyproject.toml",
			[]string{"[tool.hatch.envs.unit] of pyproject.toml"}},
		"tests_require": {map[string]string{"setup.py": "setup(name='a', tests_require=['six'])"}, "-r setup.py", []string{"tests_require of setup.py"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := detect(t, c.files)
			names, err := p.Environment(fake.New(), fake.Files(c.files)).Files.List(t.Context())
			require.NoError(t, err)
			all := strings.Join(slices.Concat(commands(p), names, []string{string(p.written[generatedFile])}), "\n")
			assert.Contains(t, all, c.installed)
			assert.Equal(t, c.unread, p.Unread)
		})
	}
}

// No command locks requirements together with what is declared for a tool, and `uv lock` would leave the latter out.
func TestTheRemedyForALockHasWhatTheToolOfTheTestsDeclares(t *testing.T) {
	for _, files := range []map[string]string{
		{"requirements.txt": "six", "tox.ini": "[testenv]\ndeps = pytest-mock\n"}, {"pyproject.toml": extraTest, "tox.ini": "[testenv]\ndeps = pytest-mock\n"},
	} {
		assert.Contains(t, detect(t, files).LockNext(), "[testenv] deps of tox.ini declares into requirements-test.in and lock it: uv pip compile")
	}
	group := map[string]string{"requirements.txt": "six", "pyproject.toml": "[dependency-groups]\ndev = []\n"}
	assert.Contains(t, detect(t, group).LockNext(), "Write what requirements.txt declares")
}

// The remedy of REQUIREMENTS_UNREAD: any file that it names can be named under requirements.
func TestFilesOfToolsCanBeNamed(t *testing.T) {
	for name, want := range map[string]Kind{
		"uv.lock": UV, "poetry.lock": Poetry, "pdm.lock": PDM, "Pipfile.lock": PipfileLock, "Pipfile": Pipfile, "conda/environment.yml": Conda, "env.yaml": Conda,
		"pixi.toml":              Conda,
		"tests/requirements.txt": Requirements, "pylock.toml": Pylock, "deps/pylock.ci.toml": Pylock,
	} {
		content := map[string]string{"Pipfile.lock": "{}", "uv.lock": "version = 1\n", "tests/requirements.txt": "six"}[name]
		p := detect(t, map[string]string{name: content, "requirements.txt": "six", "pyproject.toml": project}, name)
		assert.Equal(t, want, p.Kind, name)
		assert.Equal(t, []string{name}, p.From, name)
	}
	_, err := Detect(t.Context(), fake.Files(nil), Request{Requirements: []string{"uv.lock"}})
	assert.ErrorContains(t, err, "uv.lock is not in the source")
}

func TestFurtherPlacesOfThePythonVersion(t *testing.T) {
	for name, want := range map[string][2]string{
		".tool-versions": {"nodejs 20\npython 3.12.1\n", "3.12"}, "mise.toml": {"[tools]\npython = \"3.13\"\n", "3.13"}, "runtime.txt": {"python-3.11.4\n", "3.11"},
		"uv.lock": {"version = 1\nrevision = 5\nrequires-python = \">=3.12\"\n", "3.12"}, "poetry.lock": {"[metadata]\npython-versions = \"^3.11\"\n", "3.11"},
		"pixi.toml": {"[dependencies]\npython = \"3.13.*\"\n", "3.13"},
	} {
		version, from, err := ChoosePython(t.Context(), fake.Files(map[string]string{name: want[0]}))
		require.NoError(t, err)
		assert.Equal(t, want[1], version, name)
		assert.Contains(t, from, name)
	}
	for _, pinned := range []string{"3.9", "pypy3.10", "system"} {
		p := detect(t, map[string]string{".python-version": pinned + "\n", "requirements.txt": hashedLine})
		assert.Contains(t, found(p), PythonMismatch.Name, pinned)
	}
}

// The folder of a project whose stages have files of their own, as people call them.
func TestTheFileOfAStageIsFoundByUsualNames(t *testing.T) {
	files := map[string]string{"requirements/common.txt": "six\n", "requirements/local.txt": "-r common.txt\npytest\n",
		"requirements/training.txt": "-r common.txt\ntqdm\n", "requirements/production.txt": "-r common.txt\ngunicorn\n"}
	for stage, want := range map[string]string{verdict.Test: "requirements/local.txt", verdict.Train: "requirements/training.txt", verdict.Image: "requirements/production.txt"} {
		assert.Equal(t, []string{want}, detectFor(t, stage, files).From, stage)
	}
	assert.Equal(t, []string{"environment-dev.yaml"}, detect(t, map[string]string{"environment-dev.yaml": "dependencies: [six]"}).From)
}
