package teststage

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/testrun"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const setuptools = "[build-system]\nrequires = [\"setuptools>=77\"]\nbuild-backend = \"setuptools.build_meta\"\n[project]\nname = \"acme-x\"\nversion = \"1.0\"\n"

// lines are the lines that one file has in a report; 0 when it has none.
func lines(r *coverage.Report, name string) int {
	for _, f := range r.Files {
		if f.Path == name {
			return f.Totals().Lines
		}
	}
	return 0
}

func TestModulesOfNamespacePackagesCountThoughNoTestImportsThem(t *testing.T) {
	two := "def f():\n    return 1\n"
	for name, c := range map[string]struct {
		files   project
		counted string
		source  []string
	}{
		"below src":                     {project{"src/acme/x/a.py": two, "tests/test_x.py": "def test_x(): pass\nimport acme.x.a\n", "src/acme/y/b.py": two}, "src/acme/y/b.py", nil},
		"in a package that a build has": {project{"pyproject.toml": setuptools + "[tool.setuptools.packages.find]\ninclude = [\"acme*\"]\n", "acme/x/a.py": two, "helper.py": two, "tests/test_x.py": "import helper\n\ndef test_x(): pass\n"}, "acme/x/a.py", nil},
		"beside a module that is used":  {project{"app/a.py": two, "app/deep/b.py": two, "tests/test_x.py": "import app.a\n\ndef test_x(): pass\n"}, "app/deep/b.py", nil},
		"beside tests":                  {project{"app/a.py": two, "app/b.py": two, "app/test_x.py": "import app.a\n\ndef test_x(): pass\n"}, "app/b.py", nil},
		"in a source that is named":     {project{"lib/a.py": two, "lib/deep/b.py": two, "tests/test_x.py": "import lib.a\n\ndef test_x(): pass\n"}, "lib/deep/b.py", []string{"lib"}},
		"where the project has its own --cov": {project{"app/a.py": two, "app/b.py": two, "pytest.ini": "[pytest]\naddopts = --cov\n",
			"tests/test_x.py": "import app.a\n\ndef test_x(): pass\n"}, "app/b.py", nil},
	} {
		t.Run(name, func(t *testing.T) {
			files := project{"requirements-test.txt": "pytest\npytest-cov\npytest-xdist\n"}.with(c.files)
			for _, workers := range []string{"", "2"} {
				r := run(t, files, func(_ runner.Runner, in *testrun.Input) {
					in.Workers = workers
					if c.source != nil {
						in.Config.Test.Coverage.Source = c.source
					}
				})
				require.NotNil(t, r.Coverage, r.Stage.Cause)
				assert.Equal(t, 2, lines(r.Coverage, c.counted), "workers %q: %v", workers, r.Coverage.Totals())
			}
		})
	}
}

// pytest loads its plugins before pytest-cov begins, and the workers of xdist remove what was measured before them. A project
// that has pytest-cov itself sees what that counts.
func TestAProjectThatIsAPluginIsMeasuredFromItsImport(t *testing.T) {
	files := project{
		"requirements-test.txt": "pytest\npytest-xdist\n",
		"pyproject.toml":        setuptools + "[project.entry-points.pytest11]\nplug = \"plug.hooks\"\n[tool.setuptools]\npackages = [\"plug\"]\n",
		"plug/__init__.py":      "A = 1\nB = 2\n",
		"plug/hooks.py":         "import plug\n\nC = plug.A\n",
		"tests/test_x.py":       "import plug.hooks\n\ndef test_x(): assert plug.hooks.C == 1\n\ndef test_y(): pass\n",
	}
	for name, adjust := range map[string]func(*testrun.Input){
		"alone": func(*testrun.Input) {}, "workers": func(in *testrun.Input) { in.Workers = "2" }, "shards": func(in *testrun.Input) { in.Shards = 2 },
	} {
		r := run(t, files, func(_ runner.Runner, in *testrun.Input) {
			in.Config.Test.Coverage.Source = []string{"plug"}
			adjust(in)
		})
		require.NotNil(t, r.Coverage, r.Stage.Cause)
		assert.Equal(t, 4, r.Coverage.Totals().Covered, "%s: %s", name, r.Stage.Cause)
	}
	r := run(t, files.with(project{"requirements-test.txt": "pytest\npytest-cov\n"}), func(_ runner.Runner, in *testrun.Input) {
		in.Config.Test.Coverage.Source = []string{"plug"}
	})
	require.NotNil(t, r.Coverage, r.Stage.Cause)
	assert.Zero(t, r.Coverage.Totals().Covered, r.Stage.Cause)
}

func TestFoldersThatAreNoPackageDoNotCount(t *testing.T) {
	r := run(t, project{
		"requirements-test.txt": "pytest\npytest-cov\n", "app/a.py": "X = 1\n", "scripts/deploy.py": "Y = 1\n", "app/old-data/b.py": "Z = 1\n",
		"tests/helpers.py": "H = 1\n", "tests/data/broken.py": "def (\n", "tests/test_a.py": "import app.a, helpers\n\ndef test_a(): pass\n",
		".coveragerc": "[run]\nomit = app/legacy.py\n", "app/legacy.py": "L = 1\n",
	}, nil)
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Cause)
	assert.Equal(t, 1, r.Coverage.Totals().Lines, "app/a.py alone")
	assert.Contains(t, warning(r, testrun.CoverageNarrowed), "scripts/deploy.py", "what does not count is named")
}

func TestThePipelinesOptionsDoNotWarn(t *testing.T) {
	files := project{
		"requirements-test.txt": "pytest\npytest-cov\npytest-xdist\n", "app/__init__.py": "", "app/a.py": "X = 1\n", "app/b.py": "Y = 1\n",
		"pytest.ini": "[pytest]\nfilterwarnings = error\n", ".coveragerc": "[run]\ninclude = app/a.py\n", "tests/test_a.py": "import app.a\n\ndef test_a(): pass\n",
	}
	for _, workers := range []string{"", "2"} {
		r := run(t, files, func(_ runner.Runner, in *testrun.Input) { in.Workers = workers })
		require.NotNil(t, r.Coverage, r.Stage.Cause)
		assert.Equal(t, 2, r.Coverage.Totals().Lines, "coverage.py ignores the include of [run] where a source is given")
		assert.Empty(t, r.Stage.Code)
	}
	r := run(t, files.with(project{"tests/test_b.py": "import warnings\n\ndef test_b(): warnings.warn('--cov')\n"}), nil)
	assert.Equal(t, testrun.TestsFailed.Name, r.Stage.Code, "other warnings are still errors")
}

func TestModulesThatABuildMovesAreNamed(t *testing.T) {
	r := run(t, project{
		"requirements-test.txt": "pytest\npytest-cov\n",
		"pyproject.toml":        setuptools + "[tool.setuptools]\npackages = [\"moved\"]\npackage-dir = {moved = \"lib\"}\n",
		"lib/__init__.py":       "", "lib/core.py": "def f():\n    return 1\n", "tests/test_m.py": "from moved.core import f\n\ndef test_f(): assert f() == 1\n",
	}, func(_ runner.Runner, in *testrun.Input) { in.Config.Test.Coverage.Total = 0 })
	require.Contains(t, warning(r, pyenv.ModulesMoved), "moved/core.py")
	for _, f := range r.Coverage.Files {
		assert.NotContains(t, f.Path, ".openstack-rca", "what a build made is not the source")
	}
	r = run(t, project{
		"requirements-test.txt": "pytest\npytest-cov\n",
		"pyproject.toml":        setuptools + "[tool.setuptools]\npackages = [\"moved\"]\npackage-dir = {moved = \"lib\"}\n",
		"lib/core.py":           "def f():\n    return 1\n", "tests/test_m.py": "from moved.core import f\n\ndef test_f(): assert f() == 1\n",
	}, nil)
	require.Equal(t, testrun.CoverageEmptySet.Name, r.Stage.Code, "nothing of the source was executed")
	assert.Equal(t, pyenv.ModulesMoved.Remedy, r.Stage.Next)
}

func TestTheRemedyOfAVersionThatOnlyGitKnows(t *testing.T) {
	files := project{
		"src/acme/__init__.py": "X = 1\n", "requirements-test.txt": "pytest\npytest-cov\n",
		"tests/test_v.py": "import importlib.metadata\nimport acme\n\ndef test_v(): assert importlib.metadata.version('acme') == '3.2.1'\n",
	}
	for name, more := range map[string]project{
		"setuptools-scm": {"pyproject.toml": "[build-system]\nrequires = [\"setuptools>=77\", \"setuptools-scm\"]\nbuild-backend = \"setuptools.build_meta\"\n" +
			"[project]\nname = \"acme\"\ndynamic = [\"version\"]\n[tool.setuptools_scm]\n"},
		"versioningit, which reads no variable": {"pyproject.toml": "[build-system]\nrequires = [\"hatchling\", \"versioningit\"]\nbuild-backend = \"hatchling.build\"\n" +
			"[project]\nname = \"acme\"\ndynamic = [\"version\"]\n[tool.hatch.version]\nsource = \"versioningit\"\n"},
		"setup.py": {"setup.py": "from setuptools import setup\nsetup(name='acme', use_scm_version=True, packages=['acme'], package_dir={'': 'src'})\n",
			"pyproject.toml": "[build-system]\nrequires = [\"setuptools>=77\", \"setuptools-scm\"]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, files.with(more), nil)
			assert.Contains(t, warning(r, pyenv.VersionUnknown), "0.0.0")
			assert.Equal(t, testrun.TestsFailed.Name, r.Stage.Code, r.Stage.Cause)
			r = run(t, files.with(more), func(_ runner.Runner, in *testrun.Input) {
				in.Config.Test.Vars = map[string]string{"SETUPTOOLS_SCM_PRETEND_VERSION": "3.2.1"}
			})
			assert.Empty(t, warning(r, pyenv.VersionUnknown))
			assert.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Cause)
		})
	}
}

// What an environment lacks is compiled in each run anew, because runs do not change it.
func TestPytestsPluginsAreCompiledWithTheEnvironment(t *testing.T) {
	r := run(t, project{
		"requirements-test.txt": "pytest\npytest-cov\n", "app/a.py": "X = 1\n",
		"tests/test_a.py": `import os, sys

import app.a


def test_compiled():
    for name in ("openstack_rca_pytest", "openstack_rca_collect", "pytest_cov.plugin", "pytest_cov.engine"):
        cached = os.path.dirname(sys.modules[name].__file__) + "/__pycache__"
        kept = [entry for entry in os.listdir(cached) if entry.startswith(name.split(".")[-1] + ".")]
        assert kept and os.path.getmtime(os.path.join(cached, kept[0])) < os.path.getmtime("tests/test_a.py"), name
`,
	}, nil)
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Cause)
}
