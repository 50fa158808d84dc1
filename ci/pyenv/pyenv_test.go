package pyenv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const hashedLine = "six==1.17.0 \\\n    --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000\n"

func detect(t *testing.T, files map[string]string, requirements ...string) *Project {
	t.Helper()
	return detectFor(t, verdict.Test, files, requirements...)
}

func detectFor(t *testing.T, stage string, files map[string]string, requirements ...string) *Project {
	t.Helper()
	p, err := Detect(t.Context(), fake.Files(files), Request{Stage: stage, Requirements: requirements, Python: "3.12"})
	require.NoError(t, err)
	return p
}

func commands(p *Project) []string {
	var out []string
	for _, c := range p.install {
		out = append(out, strings.Join(c, " "))
	}
	return out
}

func found(p *Project) []string {
	var out []string
	for _, f := range p.Findings {
		out = append(out, f.Code.Name)
	}
	return out
}

const (
	uvSync  = "uv sync --quiet --frozen --active --python python --no-python-downloads --inexact --no-install-project --no-install-workspace"
	project = "[project]\nname = \"a\"\ndependencies = []\n"
	build   = "[build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n"
)

func TestDetectChoosesTheMostExactFile(t *testing.T) {
	const (
		poetryExport = "uv tool run --quiet --from poetry==" + poetryVersion + " --with poetry-plugin-export==" + poetryExportVersion +
			" poetry export --no-interaction --format requirements.txt --output " + exported
		pdmExport    = "env PDM_CHECK_UPDATE=false uv tool run --quiet --from pdm==" + pdmVersion + " pdm export --format requirements --output " + exported
		hashedExport = "uv pip install --require-hashes -r " + exported
		listed       = "uv pip install -r " + generatedFile
	)
	for name, c := range map[string]struct {
		files  map[string]string
		kind   Kind
		locked bool
		want   []string
		env    []string
	}{
		"a lock file with hashes wins over all else": {
			map[string]string{"requirements/test.lock": hashedLine, "uv.lock": "", "pyproject.toml": project, "requirements.txt": "six"},
			Hashed, true, []string{"uv pip install --require-hashes -r requirements/test.lock"}, []string{"requirements/test.lock"},
		},
		"a plain test file is installed with the application's": {
			map[string]string{"requirements.txt": "six", "requirements-test.txt": "pytest", "requirements-dev.txt": "black"},
			Requirements, false, []string{"uv pip install -r requirements.txt -r requirements-test.txt"}, []string{"requirements-test.txt", "requirements.txt"},
		},
		"in their folder, by the names of the root": {
			map[string]string{"requirements/requirements.txt": "six", "requirements/requirements-dev.txt": "pytest"},
			Requirements, false, []string{"uv pip install -r requirements/requirements.txt -r requirements/requirements-dev.txt"},
			[]string{"requirements/requirements-dev.txt", "requirements/requirements.txt"},
		},
		"a test file that includes the application's stands alone": {
			map[string]string{"requirements.txt": "six", "requirements-test.txt": "-r requirements.txt\n-c limits.txt # why\npytest", "limits.txt": "six<2"},
			Requirements, false, []string{"uv pip install -r requirements-test.txt"}, []string{"limits.txt", "requirements-test.txt", "requirements.txt"},
		},
		"a test file beside settings of tools alone": {
			map[string]string{"requirements-test.txt": "pytest", "setup.cfg": "[coverage:report]\nomit = a.py\n", "pyproject.toml": "[tool.ruff]\n"},
			Requirements, false, []string{"uv pip install -r requirements-test.txt"}, []string{"requirements-test.txt"},
		},
		"a test file beside a script called setup.py": {
			map[string]string{"requirements-test.txt": "pytest", "setup.py": "print('download the data')\n"},
			Requirements, false, []string{"uv pip install -r requirements-test.txt"}, []string{"requirements-test.txt"},
		},
		"a test file beside settings of tools and a setup.py": {
			map[string]string{"requirements-test.txt": "pytest", "setup.cfg": "[flake8]\n", "setup.py": "from setuptools import setup\nsetup(name='x')\n"},
			Requirements, false, []string{"uv pip install -r requirements-test.txt -r setup.py"},
			[]string{"requirements-test.txt", "setup.cfg", "setup.py"},
		},
		"a lone requirements.txt": {
			map[string]string{"requirements.txt": "six"}, Requirements, false, []string{"uv pip install -r requirements.txt"}, []string{"requirements.txt"},
		},
		"an index that only uv knows": {
			map[string]string{"requirements.txt": "six", "pyproject.toml": "[[tool.uv.index]]\nurl = \"http://127.0.0.1\"", "uv.toml": ""},
			Requirements, false, []string{"uv pip install -r requirements.txt"}, []string{"pyproject.toml", "requirements.txt", "uv.toml"},
		},
		"a uv.lock with a test extra and a dev group": {
			map[string]string{"uv.lock": "version = 1", "pyproject.toml": project +
				"[project.optional-dependencies]\ntest = [\n  \"pytest\",\n]\ndocs = []\n[dependency-groups]\ndev = [\"x\"]\n", "requirements.txt": "six"},
			UV, true, []string{uvSync + " --no-default-groups --extra test --group dev"}, []string{"pyproject.toml", "uv.lock"},
		},
		"a uv.lock with default groups": {
			map[string]string{"uv.lock": "", "pyproject.toml": project + "[dependency-groups]\nci = []\ndev = []\n[tool.uv]\ndefault-groups = [\"ci\", \"gone\"]\n"},
			UV, true, []string{uvSync + " --no-default-groups --group ci --group dev"}, []string{"pyproject.toml", "uv.lock"},
		},
		"a uv.lock with a package from git has no hash for it": {
			map[string]string{"uv.lock": "[[package]]\nname = \"x\"\nsource = { git = \"https://example.com/x\" }", "pyproject.toml": project},
			UV, false, []string{uvSync + " --no-default-groups"}, []string{"pyproject.toml", "uv.lock"},
		},
		"a uv.lock of a workspace, with a wheel of the source": {
			map[string]string{
				"uv.lock": "[manifest]\nmembers = [\"a\", \"b\"]\n[[package]]\nname = \"a\"\nsource = { virtual = \".\" }\n" +
					"[[package]]\nname = \"b\"\nsource = { editable = \"libs/b\" }\n[[package]]\nname = \"w\"\nsource = { path = \"vendor/w.whl\" }\n",
				"pyproject.toml": project, "libs/b/pyproject.toml": build + "[project]\nname = \"b\"\n", "vendor/w.whl": "",
			},
			UV, true, []string{uvSync + " --no-install-package b --all-packages --no-default-groups"}, []string{"pyproject.toml", "uv.lock", "vendor/w.whl"},
		},
		"a pylock.toml": {
			map[string]string{"pylock.toml": "lock-version = \"1.0\"", "pyproject.toml": project},
			Pylock, true, []string{"uv pip install -r pylock.toml"}, []string{"pylock.toml"},
		},
		"a pylock.toml for the tests, with a file and a commit": {
			map[string]string{"pylock.toml": "", "pylock.test.toml": "[[packages]]\nname = \"x\"\nvcs = {}\nwheels = [{path = \"v/x.whl\"}]\n", "v/x.whl": ""},
			Pylock, false, []string{"uv pip install -r pylock.test.toml"}, []string{"pylock.test.toml", "v/x.whl"},
		},
		"a poetry.lock with a test group, and one without a name that says so": {
			map[string]string{"poetry.lock": "", "pyproject.toml": "[tool.poetry]\nname = \"a\"\n[tool.poetry.group.test.dependencies]\npytest = \"*\"\n" +
				"[tool.poetry.group.ml.dependencies]\nx = \"*\"\n[tool.poetry.group.gpu]\noptional = true\n[tool.poetry.group.gpu.dependencies]\ny = \"*\"\n" +
				"[tool.poetry.extras]\ntests = [\"x\"]\n"},
			Poetry, true, []string{poetryExport + " --with ml --with test --extras tests", hashedExport}, []string{"poetry.lock", "pyproject.toml"},
		},
		"a poetry.lock of the old form": {
			map[string]string{"poetry.lock": "[[package]]\nname = \"x\"\n[package.source]\ntype = \"git\"",
				"pyproject.toml": "[tool.poetry]\nname = \"a\"\n[tool.poetry.dev-dependencies]\npytest = \"*\"\n"},
			Poetry, false, []string{poetryExport + " --with dev", "uv pip install -r " + exported}, []string{"poetry.lock", "pyproject.toml"},
		},
		"Poetry's tables without a lock": {
			map[string]string{"pyproject.toml": "[tool.poetry]\nname = \"a\"\n[tool.poetry.dependencies]\npython = \"^3.10\"\nsix = \"^1.2\"\n" +
				"[tool.poetry.group.dev.dependencies]\npytest = \"*\"\n"},
			Pyproject, false, []string{listed}, []string{generatedFile},
		},
		"a pdm.lock": {
			map[string]string{"pdm.lock": "[metadata]\ngroups = [\"default\", \"test\"]\n", "pyproject.toml": project +
				"[tool.pdm.dev-dependencies]\ntest = [\"pytest\"]\nunlocked = [\"x\"]\n"},
			PDM, true, []string{pdmExport + " -G test", hashedExport}, []string{"pdm.lock", "pyproject.toml"},
		},
		"requirements for testing in their folder": {
			map[string]string{"pyproject.toml": project, "requirements/testing.txt": "pytest", "requirements/development.txt": "black"},
			Requirements, false, []string{"uv pip install -r requirements/testing.txt -r pyproject.toml"}, []string{"pyproject.toml", "requirements/testing.txt"},
		},
		"requirements without a line": {
			map[string]string{"requirements.txt": "# nothing\n", "requirements-dev.txt": "", "setup.py": "", "tox.ini": "[testenv]\ndeps = pytest\n"},
			Setuptools, false, []string{"uv pip install -r setup.py -r " + generatedFile}, []string{generatedFile, "requirements-dev.txt", "requirements.txt", "setup.py"},
		},
		"requirements of the tests beside setup.py": {
			map[string]string{"setup.py": "setup(install_requires=['six'])", "requirements-dev.txt": "pytest"},
			Requirements, false, []string{"uv pip install -r requirements-dev.txt -r setup.py"}, []string{"requirements-dev.txt", "setup.py"},
		},
		"requirements of the tests that install the project": {
			map[string]string{"pyproject.toml": project + build, "test-requirements.txt": "-e .\npytest"},
			Requirements, false, []string{"uv pip install -r test-requirements.txt -r pyproject.toml"}, []string{"pyproject.toml", "test-requirements.txt"},
		},
		"requirements for development, named the other way": {
			map[string]string{"dev.requirements.txt": "pytest"},
			Requirements, false, []string{"uv pip install -r dev.requirements.txt"}, []string{"dev.requirements.txt"},
		},
		"a pdm.lock of a project without groups": {
			map[string]string{"pdm.lock": "[metadata]\ngroups = [\"default\", \"test\"]\n", "pyproject.toml": project +
				"[project.optional-dependencies]\ntest = [\"pytest\"]\n"},
			PDM, true, []string{pdmExport + " --prod -G test", hashedExport}, []string{"pdm.lock", "pyproject.toml"},
		},
		"PDM's groups without a lock": {
			map[string]string{"pyproject.toml": project + "[tool.pdm.dev-dependencies]\nqa = [\"pytest\"]\n"},
			Pyproject, false, []string{"uv pip install -r pyproject.toml -r " + generatedFile}, []string{generatedFile, "pyproject.toml"},
		},
		"Hatch's environment of the tests": {
			map[string]string{"pyproject.toml": project + "[tool.hatch.envs.hatch-test]\nextra-dependencies = [\"six\"]\nfeatures = [\"qa\"]\n[project.optional-dependencies]\nqa = []\n"},
			Pyproject, false, []string{"uv pip install -r pyproject.toml --extra qa -r " + generatedFile}, []string{generatedFile, "pyproject.toml"},
		},
		"a Pipfile.lock": {
			map[string]string{"Pipfile": "", "Pipfile.lock": `{"_meta":{},"default":{"six":{"version":"==1.17.0","hashes":["sha256:00"],"markers":"python_version >= '3'"}},"develop":{}}`},
			PipfileLock, true, []string{"uv pip install --require-hashes -r " + generatedFile}, []string{generatedFile},
		},
		"a Pipfile": {
			map[string]string{"Pipfile": "[packages]\nsix = \"*\"\n[dev-packages]\npytest = {version = \">=8\"}\n"},
			Pipfile, false, []string{listed}, []string{generatedFile},
		},
		"a tox.ini": {
			map[string]string{"tox.ini": "[testenv]\ndeps =\n  pytest\n  -r{toxinidir}/more.txt\n  py39: old\n", "more.txt": "six"},
			Tox, false, []string{listed}, []string{generatedFile, "more.txt"},
		},
		"an environment of conda": {
			map[string]string{"environment.yml": "dependencies: [python=3.11, numpy=1.26, pip, {pip: [six]}]"},
			Conda, false, []string{listed}, []string{generatedFile},
		},
		"a pyproject.toml alone": {
			map[string]string{"pyproject.toml": project + "optional-dependencies.testing = [\"pytest\"]\n[dependency-groups]\ntest = []\n", "README.md": ""},
			Pyproject, false, []string{"uv pip install -r pyproject.toml --extra testing --group test"}, []string{"pyproject.toml"},
		},
		"a pyproject.toml whose dependencies a build computes": {
			map[string]string{"pyproject.toml": project + "dynamic = [\"dependencies\"]\n", "README.md": "", "src/a/__init__.py": "", "src/a/b.py": ""},
			Pyproject, false, []string{"uv pip install -r pyproject.toml"}, []string{"README.md", "pyproject.toml", "src/a/__init__.py"},
		},
		"only dependency groups": {
			map[string]string{"pyproject.toml": "[dependency-groups]\ntests = []\n"},
			Pyproject, false, []string{"uv pip install --group tests"}, []string{"pyproject.toml"},
		},
		"a setup.cfg": {
			map[string]string{"setup.cfg": "[metadata]\nname = a\n[options.extras_require]\ntest =\n    pytest\n", "setup.py": ""},
			Setuptools, false, []string{"uv pip install -r setup.cfg --extra test"}, []string{"setup.cfg", "setup.py"},
		},
		"a setup.py": {map[string]string{"setup.py": ""}, Setuptools, false, []string{"uv pip install -r setup.py"}, []string{"setup.py"}},
		"a setup.py with extras": {
			map[string]string{"setup.py": "setup(name='a', keywords={'tests': 1}, extras_require={\n 'dev': [], 'docs': []})"},
			Setuptools, false, []string{"uv pip install -r setup.py --extra dev"}, []string{"setup.py"},
		},
		"nothing": {map[string]string{"a.py": ""}, None, false, nil, nil},
		"requirements that name the project itself": {
			map[string]string{"requirements-dev.txt": "-e .[test,extra]  # us\npytest\n", "pyproject.toml": "[build-system]\n[project]\nname = \"a\"\n"},
			Requirements, false, []string{"uv pip install -r requirements-dev.txt -r pyproject.toml --extra test --extra extra"}, []string{"pyproject.toml", "requirements-dev.txt"},
		},
		"requirements that name directories and files of the source": {
			map[string]string{
				"requirements.txt": "--find-links ./vendor\n-e ./libs/common\nother @ file:./libs/other\n./wheels/x-1-py3-none-any.whl\nsix\n",
				"vendor/y.whl":     "", "wheels/x-1-py3-none-any.whl": "", "libs/common/pyproject.toml": build + project, "libs/common/a.py": "",
				"libs/other/setup.py": "",
			},
			Requirements, false, []string{"uv pip install -r requirements.txt -r libs/common/pyproject.toml -r libs/other/setup.py"},
			[]string{"libs/common/pyproject.toml", "libs/other/setup.py", "requirements.txt", "vendor/y.whl", "wheels/x-1-py3-none-any.whl"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := detect(t, c.files)
			assert.Equal(t, c.kind, p.Kind)
			assert.Equal(t, c.locked, p.Locked)
			assert.Equal(t, c.want, commands(p))
			env := p.Environment(fake.New(), fake.Files(c.files))
			assert.Equal(t, "3.12", env.Python)
			names, err := env.Files.List(t.Context())
			require.NoError(t, err)
			assert.ElementsMatch(t, c.env, names)
			switch {
			case c.kind == None:
				assert.Contains(t, found(p), RequirementsNone.Name)
			case !c.locked:
				require.Contains(t, found(p), RequirementsUnlocked.Name)
				at := slices.Index(found(p), RequirementsUnlocked.Name)
				// The sentence of the training: one report shows both.
				assert.Equal(t, "the packages of "+strings.Join(p.From, ", ")+" are installed without hashes", p.Findings[at].Cause)
			default:
				assert.Empty(t, found(p))
			}
		})
	}
}

func TestDetectTakesTheLineOutThatNamesTheProject(t *testing.T) {
	files := map[string]string{"requirements-dev.txt": "-e .\npytest\n", "setup.py": ""}
	env := detect(t, files).Environment(fake.New(), fake.Files(files))
	content, err := env.Files.Read(t.Context(), "requirements-dev.txt", 1000)
	require.NoError(t, err)
	assert.Equal(t, "pytest\n", string(content))
}

func TestDetectUsesTheConfiguredFiles(t *testing.T) {
	p := detect(t, map[string]string{"a.lock": hashedLine, "b.txt": "six", "requirements/test.lock": hashedLine}, "a.lock", "./b.txt")
	assert.Equal(t, []string{"uv pip install --require-hashes -r a.lock", "uv pip install -r b.txt"}, commands(p))
	assert.False(t, p.Locked)
	assert.Equal(t, Requirements, p.Kind)
}

func TestDetectRefusesUnusableRequirements(t *testing.T) {
	files := map[string]string{
		"a.txt":       "-r gone.txt\n-r ../x.txt\n-r https://example.com/r.txt\n-e ./sub/lib\n/home/me/x.whl\n-e ./bare\n",
		".gitmodules": "[submodule \"sub\"]\n\tpath = sub\n", "bare/readme": "", "pyproject.toml": "[project\n",
	}
	_, err := Detect(t.Context(), fake.Files(files), Request{Requirements: []string{"a.txt", "missing.txt"}})
	var invalid *InvalidError
	require.ErrorAs(t, err, &invalid)
	assert.Contains(t, invalid.Wrong[0], "pyproject.toml cannot be read: line 1: ")
	assert.Equal(t, []string{
		"gone.txt, which a.txt includes, is not in the source", "../x.txt, which a.txt includes, is outside of the source",
		"a.txt installs ./sub/lib, which is not in the source: it is in the git submodule sub, which was not checked out (git submodule update --init)",
		"a.txt installs /home/me/x.whl: a path of one machine, which is not in the source",
		"bare has no pyproject.toml, setup.cfg or setup.py, and cannot be installed", "missing.txt is not in the source",
	}, invalid.Wrong[1:])
	problem := invalid.Problem(RequirementsInvalid)
	assert.Contains(t, problem.Cause, "6 more")
	assert.Equal(t, invalid.Wrong, problem.Details)

	_, err = Detect(t.Context(), tooLarge{fake.Files(map[string]string{"requirements.txt": ""}), runner.ErrTooLarge}, Request{})
	require.ErrorAs(t, err, &invalid)
	assert.Contains(t, invalid.Error(), "larger than")
}

func TestDetectNamesALockedDirectoryThatIsNotThere(t *testing.T) {
	for lock, content := range map[string]string{
		"uv.lock":     "[[package]]\nname = \"x\"\nsource = { directory = \"%s\" }\n",
		"poetry.lock": "[[package]]\nname = \"x\"\n[package.source]\ntype = \"directory\"\nurl = \"%s\"\n",
		"pylock.toml": "[[packages]]\nname = \"x\"\ndirectory = { path = \"%s\" }\n",
	} {
		for where, want := range map[string]string{"../x": " installs ../x, which is outside of the source", "x": " installs x, which is not in the source"} {
			_, err := Detect(t.Context(), fake.Files(map[string]string{lock: fmt.Sprintf(content, where), "pyproject.toml": project}), Request{})
			var invalid *InvalidError
			require.ErrorAs(t, err, &invalid, lock)
			assert.Equal(t, lock+want, invalid.Wrong[0])
		}
	}
}

// tooLarge is a tree whose files cannot be read.
type tooLarge struct {
	runner.Files
	err error
}

func (f tooLarge) Read(context.Context, string, int64) ([]byte, error) { return nil, f.err }

func TestDetectPassesOnWhatCannotBeRead(t *testing.T) {
	broken := errors.New("disk on fire")
	_, err := Detect(t.Context(), tooLarge{fake.Files(map[string]string{"requirements.txt": ""}), broken}, Request{})
	require.ErrorIs(t, err, broken)
	_, err = Detect(t.Context(), unlisted{fake.Files(nil)}, Request{})
	require.ErrorIs(t, err, errUnlisted)
}

var errUnlisted = errors.New("no list")

type unlisted struct{ runner.Files }

func (unlisted) List(context.Context) ([]string, error) { return nil, errUnlisted }

func TestDetectReadsWhatTheProjectIs(t *testing.T) {
	p := detect(t, map[string]string{
		"pyproject.toml":        "[build-system]\nrequires = [\"hatchling\"]\n[project]\nname = \"my-thing\" # the name\nversion = '1.2'\n[project.scripts]\nthing = \"thing.cli:main\"\n[project.entry-points.\"pytest11\"]\nplug = \"thing.plug\"\n",
		"src/thing/__init__.py": "",
	})
	assert.True(t, p.Package)
	assert.True(t, p.SrcLayout)
	assert.Equal(t, []string{"src"}, p.PythonPath())
	assert.Equal(t, "my-thing 1.2", p.Name+" "+p.Version)
	assert.Equal(t, map[string]map[string]string{"console_scripts": {"thing": "thing.cli:main"}, "pytest11": {"plug": "thing.plug"}}, p.EntryPoints)

	flat := detect(t, map[string]string{"setup.cfg": "[metadata]\nname = x\nversion = attr: x.__version__\n", "x/__init__.py": ""})
	assert.Equal(t, []string{"."}, flat.PythonPath())
	assert.Empty(t, flat.Version)
	for _, application := range []string{"", "[build-system]\n[tool.uv]\npackage = false\n", "[build-system]\n[tool.poetry]\npackage-mode = false\n"} {
		p := detect(t, map[string]string{"pyproject.toml": application, "x/__init__.py": ""})
		assert.False(t, p.Package, application)
		assert.Empty(t, p.PythonPath())
	}
}

func TestDetectReportsSettingsThatPytestIgnores(t *testing.T) {
	for name, c := range map[string]struct {
		file, content string
		want          bool
	}{
		"[tool:pytest] in pytest.ini":       {"pytest.ini", "# c\n[tool:pytest]\naddopts = -x\n", true},
		"[tool:pytest] in .pytest.ini":      {".pytest.ini", "[tool:pytest]\n", true},
		"[tool:pytest] in tox.ini":          {"tox.ini", "[tox]\n[tool:pytest]\n", true},
		"[pytest] in setup.cfg":             {"setup.cfg", "[pytest]\n", true},
		"[pytest.ini_options] in pyproject": {"pyproject.toml", "[pytest.ini_options]\n", true},
		"[pytest] in pytest.ini":            {"pytest.ini", "[pytest]\n", false},
		"[tool:pytest] in setup.cfg":        {"setup.cfg", "[tool:pytest]\n", false},
		"both in pytest.ini":                {"pytest.ini", "[pytest]\n[tool:pytest]\n", false},
		"the right table in pyproject.toml": {"pyproject.toml", "[tool.pytest.ini_options]\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := detect(t, map[string]string{c.file: c.content, "requirements/test.lock": hashedLine})
			assert.Equal(t, c.want, len(p.Findings) == 1 && p.Findings[0].Code == PytestConfigIgnored, "%v", p.Findings)
		})
	}
}

func FuzzDetect(f *testing.F) {
	f.Add("[project]\nname = \"a\"\n", "[tool:pytest]\n", "-r a.txt\n-e .\n")
	f.Add("[tool.poetry.dependencies]\na = [{version = \"^1\", python = \"~3\"}]\n", "[testenv]\ndeps = {[x]y}\n", "[[package]]\nsource = 1\n")
	f.Fuzz(func(t *testing.T, pyproject, ini, requirements string) {
		for _, name := range []string{"requirements.txt", "uv.lock", "poetry.lock", "Pipfile", "Pipfile.lock", "environment.yml", "pylock.toml", "pdm.lock"} {
			files := fake.Files(map[string]string{"pyproject.toml": pyproject, "pytest.ini": ini, "setup.cfg": ini, "tox.ini": ini, name: requirements})
			p, err := Detect(t.Context(), files, Request{Python: "3.11"})
			if err != nil {
				var invalid *InvalidError
				require.ErrorAs(t, err, &invalid, fmt.Sprint(err))
				continue
			}
			assert.NotEmpty(t, p.Kind)
			_, _, err = ChoosePython(t.Context(), files)
			require.NoError(t, err)
		}
	})
}

func TestCodesAreComplete(t *testing.T) {
	for _, c := range Codes() {
		assert.NotEmpty(t, c.Meaning, c.Name)
		assert.NotEmpty(t, c.Remedy, c.Name)
		assert.Equal(t, verdict.Test, c.Stage)
	}
	for _, c := range CodesFor(verdict.Train) {
		assert.Equal(t, verdict.Train, c.Stage)
	}
}

// An engine shares an installation only between equal files, whatever tree they come from.
func TestFewTextsAreTakenFromMemory(t *testing.T) {
	r := fake.New()
	for name, c := range map[string]struct {
		files  map[string]string
		memory bool
	}{
		"requirements":         {map[string]string{"requirements.txt": "-r more.txt\n", "more.txt": "six\n"}, true},
		"lines taken out":      {map[string]string{"requirements.txt": "-e .\nsix\n", "setup.py": "setup()"}, false}, // a build reads more
		"a wheel":              {map[string]string{"requirements.txt": "./x.whl\n", "x.whl": "PK"}, false},
		"too long for a query": {map[string]string{"requirements.txt": strings.Repeat("six\n", keptTexts)}, false},
	} {
		source := fake.Files(c.files)
		p := detect(t, c.files)
		assert.Equal(t, c.memory, p.texts != nil, name)
		names, err := p.Environment(r, source).Files.List(t.Context())
		require.NoError(t, err)
		assert.Subset(t, names, []string{"requirements.txt"}, name)
	}
}
