package pyproject

import (
	"context"
	"errors"
	"fmt"
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
	p, err := Detect(t.Context(), fake.Files(files), requirements)
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

func TestDetectChoosesTheMostExactFile(t *testing.T) {
	const (
		uvExport     = "uv export --quiet --frozen --no-emit-project --format requirements.txt --output-file " + exported
		poetryExport = "uv tool run --quiet --from poetry==" + poetryVersion + " --with poetry-plugin-export==" + poetryExportVersion + " poetry export --no-interaction --format requirements.txt --output " + exported
		hashedExport = "uv pip install --require-hashes -r " + exported
	)
	for name, c := range map[string]struct {
		files  map[string]string
		kind   Kind
		locked bool
		want   []string
		env    []string
	}{
		"a lock file with hashes wins over all else": {
			map[string]string{"requirements/test.lock": hashedLine, "uv.lock": "", "pyproject.toml": "[project]\nname='a'", "requirements.txt": "six"},
			Hashed, true, []string{"uv pip install --require-hashes -r requirements/test.lock"}, []string{"requirements/test.lock"},
		},
		"a plain test file is installed with the application's": {
			map[string]string{"requirements.txt": "six", "requirements-test.txt": "pytest", "requirements-dev.txt": "black"},
			Requirements, false, []string{"uv pip install -r requirements.txt -r requirements-test.txt"}, []string{"requirements-test.txt", "requirements.txt"},
		},
		"a test file that includes the application's stands alone": {
			map[string]string{"requirements.txt": "six", "requirements-test.txt": "-r requirements.txt\n-c limits.txt # why\npytest", "limits.txt": "six<2"},
			Requirements, false, []string{"uv pip install -r requirements-test.txt"}, []string{"limits.txt", "requirements-test.txt", "requirements.txt"},
		},
		"a lone requirements.txt": {
			map[string]string{"requirements.txt": "six"}, Requirements, false, []string{"uv pip install -r requirements.txt"}, []string{"requirements.txt"},
		},
		"a uv.lock with a test extra and a dev group": {
			map[string]string{"uv.lock": "version = 1", "pyproject.toml": "[project]\nname = \"a\"\n[project.optional-dependencies]\ntest = [\n  \"pytest\",\n]\ndocs = []\n[dependency-groups]\ndev = [\"x\"]\n", "requirements.txt": "six"},
			UV, true, []string{uvExport + " --extra test --group dev", hashedExport}, []string{"pyproject.toml", "uv.lock"},
		},
		"a uv.lock with a package from git has no hash for it": {
			map[string]string{"uv.lock": "source = { git = \"https://example.com/x\" }", "pyproject.toml": "[project]\nname = \"a\"\n"},
			UV, false, []string{uvExport, "uv pip install --verify-hashes -r " + exported}, []string{"pyproject.toml", "uv.lock"},
		},
		"a poetry.lock with a test group": {
			map[string]string{"poetry.lock": "", "pyproject.toml": "[tool.poetry]\nname = \"a\"\n[tool.poetry.group.test.dependencies]\npytest = \"*\"\n[tool.poetry.extras]\ntests = [\"x\"]\n"},
			Poetry, true, []string{poetryExport + " --with test --extras tests", hashedExport}, []string{"poetry.lock", "pyproject.toml"},
		},
		"a poetry.lock of the old form": {
			map[string]string{"poetry.lock": "type = \"git\"", "pyproject.toml": "[tool.poetry]\nname = \"a\"\n[tool.poetry.dev-dependencies]\npytest = \"*\"\n"},
			Poetry, false, []string{poetryExport + " --with dev", "uv pip install --verify-hashes -r " + exported}, []string{"poetry.lock", "pyproject.toml"},
		},
		"a pyproject.toml alone": {
			map[string]string{"pyproject.toml": "[project]\nname = \"a\"\noptional-dependencies.testing = [\"pytest\"]\n[dependency-groups]\ntest = []\n", "README.md": ""},
			Pyproject, false, []string{"uv pip install -r pyproject.toml --extra testing --group test"}, []string{"pyproject.toml"},
		},
		"a pyproject.toml whose dependencies a build computes": {
			map[string]string{"pyproject.toml": "[project]\nname = \"a\"\ndynamic = [\"dependencies\"]\n", "README.md": "", "src/a/__init__.py": "", "src/a/b.py": ""},
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
		"nothing":    {map[string]string{"a.py": ""}, None, false, nil, nil},
		"requirements that name the project itself": {
			map[string]string{"requirements-dev.txt": "-e .[test,extra]  # us\npytest\n", "pyproject.toml": "[build-system]\n[project]\nname = \"a\"\n"},
			Requirements, false, []string{"uv pip install -r requirements-dev.txt -r pyproject.toml --extra extra --extra test"}, []string{"pyproject.toml", "requirements-dev.txt"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := detect(t, c.files)
			assert.Equal(t, c.kind, p.Kind)
			assert.Equal(t, c.locked, p.Locked)
			assert.Equal(t, c.want, commands(p))
			env := p.Environment(fake.New(), fake.Files(c.files), "3.12")
			assert.Equal(t, "3.12", env.Python)
			names, err := env.Files.List(t.Context())
			require.NoError(t, err)
			assert.ElementsMatch(t, c.env, names)
			switch {
			case c.kind == None:
				assert.Contains(t, found(p), RequirementsNone.Name)
			case !c.locked:
				assert.Contains(t, found(p), RequirementsUnlocked.Name)
			default:
				assert.Empty(t, found(p))
			}
		})
	}
}

func TestDetectTakesTheLineOutThatNamesTheProject(t *testing.T) {
	files := map[string]string{"requirements-dev.txt": "-e .\npytest\n", "setup.py": ""}
	env := detect(t, files).Environment(fake.New(), fake.Files(files), "3.11")
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
	_, err := Detect(t.Context(), fake.Files(map[string]string{"a.txt": "-r gone.txt\n-r ../x.txt\n-r https://example.com/r.txt"}), []string{"a.txt", "missing.txt"})
	var problem *verdict.Problem
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, RequirementsInvalid, problem.Code)
	assert.Equal(t, []string{"there is no gone.txt, which a.txt includes", "a.txt includes ../x.txt, which is outside of the source", "there is no missing.txt"}, problem.Details)
	assert.Contains(t, problem.Cause, "2 more")

	_, err = Detect(t.Context(), tooLarge{fake.Files(map[string]string{"requirements.txt": ""}), runner.ErrTooLarge}, nil)
	require.ErrorAs(t, err, &problem)
	assert.Contains(t, problem.Cause, "larger than")
}

// tooLarge is a tree whose files cannot be read.
type tooLarge struct {
	runner.Files
	err error
}

func (f tooLarge) Read(context.Context, string, int64) ([]byte, error) { return nil, f.err }

func TestDetectPassesOnWhatCannotBeRead(t *testing.T) {
	broken := errors.New("disk on fire")
	_, err := Detect(t.Context(), tooLarge{fake.Files(map[string]string{"requirements.txt": ""}), broken}, nil)
	require.ErrorIs(t, err, broken)
	_, err = Detect(t.Context(), unlisted{fake.Files(nil)}, nil)
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

func TestScanTOML(t *testing.T) {
	tables := scanTOML(`
top = 1
[a]
text = """
[not.a.table]
key = "no"
"""
list = [
  "x", # ] comment
  "[y]",
]
quoted."b.c" = 'v\'
after = "esc \" # no comment"
[[many]]
x = { y = "}" }
`)
	assert.Equal(t, "1", tables[""]["top"])
	assert.NotContains(t, tables, "not.a.table")
	assert.NotContains(t, tables["a"], "key")
	assert.Equal(t, `esc \" # no comment`, unquote(tables["a"]["after"]))
	assert.Contains(t, tables["a"]["list"], "[y]")
	assert.Equal(t, `{ y = "}" }`, tables["many"]["x"])
}

func FuzzDetect(f *testing.F) {
	f.Add("[project]\nname = \"a\"\n", "[tool:pytest]\n", "-r a.txt\n-e .\n")
	f.Fuzz(func(t *testing.T, pyproject, ini, requirements string) {
		p, err := Detect(t.Context(), fake.Files(map[string]string{"pyproject.toml": pyproject, "pytest.ini": ini, "setup.cfg": ini, "requirements.txt": requirements}), nil)
		if err != nil {
			var problem *verdict.Problem
			require.ErrorAs(t, err, &problem, fmt.Sprint(err))
			return
		}
		assert.NotEmpty(t, p.Kind)
	})
}

func TestCodesAreComplete(t *testing.T) {
	for _, c := range Codes() {
		assert.NotEmpty(t, c.Meaning, c.Name)
		assert.NotEmpty(t, c.Remedy, c.Name)
		assert.Equal(t, verdict.Test, c.Stage)
	}
}
