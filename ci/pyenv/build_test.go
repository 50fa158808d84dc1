package pyenv

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

var packaged = map[string]string{
	"pyproject.toml":    build + "[project]\nname = \"my-a\"\nversion = \"1.2\"\n[project.scripts]\na = \"a.cli:main\"\n[project.entry-points.pytest11]\nplug = \"a.p\"\n",
	"README.md":         "read me",
	"src/a/cli.py":      "",
	"tests/test_cli.py": "",
	".git/HEAD":         "",
	"secret.env":        "",
}

// left is what the build script leaves for a description and further files.
func left(description string, more ...string) func(runner.Step) (*runner.Result, error) {
	files := map[string]string{projectDir + "/project.json": description}
	for _, name := range more {
		files[projectDir+"/"+name] = ""
	}
	return func(runner.Step) (*runner.Result, error) { return &runner.Result{Outputs: fake.Files(files)}, nil }
}

func buildWith(t *testing.T, files map[string]string, request BuildRequest, answer func(runner.Step) (*runner.Result, error)) (*Built, *fake.Runner) {
	t.Helper()
	r := fake.New().OnRun(answer)
	b, err := detect(t, files).Build(t.Context(), r, fake.Files(files), request)
	require.NoError(t, err)
	return b, r
}

func paths(t *testing.T, files runner.Files) []string {
	t.Helper()
	names, err := files.List(t.Context())
	require.NoError(t, err)
	return names
}

func TestAPackageIsBuiltByItsBackend(t *testing.T) {
	b, r := buildWith(t, packaged, BuildRequest{Exclude: []string{"*.md", "*.env"}, Vars: map[string]string{"CFLAGS": "-O0"}},
		left(`{"projects":[{"dir":".","name":"my-a","version":"1.2","roots":["src"]}]}`, "site/my_a-1.2.dist-info/METADATA", "source/src/a/_version.py", "bin/a"))
	step := r.Steps()[0]
	assert.Equal(t, "python .openstack-rca/openstack_rca_build.py build .", strings.Join(step.Args, " "))
	assert.Equal(t, [][]string{
		{"uv", "pip", "install", "--quiet", "pyproject-hooks==" + hooksVersion, "hatchling"}, {"python", "openstack_rca_build.py", "requires", "."},
	}, step.Env.Install)
	assert.Equal(t, map[string]string{"CFLAGS": "-O0"}, step.Vars)
	assert.False(t, step.Env.Compiler)
	inputs, err := r.Inputs(t.Context(), 0)
	require.NoError(t, err)
	assert.Contains(t, inputs, "README.md", "a build reads what no stage sees")
	assert.NotContains(t, inputs, "secret.env")
	assert.NotContains(t, inputs, ".git/HEAD")
	assert.NotContains(t, paths(t, step.Env.Files), "src/a/cli.py", "a change of a module makes no new environment")

	assert.Equal(t, []string{"src", projectDir + "/site"}, b.PythonPath)
	assert.Equal(t, []string{projectDir + "/bin"}, b.Path)
	assert.Empty(t, b.Findings)
	assert.Equal(t, []string{"src/a/_version.py"}, b.Generated)
	assert.Equal(t, "my-a 1.2", b.Summary)
	all := paths(t, b.Over(fake.Files(map[string]string{"src/a/cli.py": ""})))
	assert.Equal(t, []string{projectDir + "/bin/a", projectDir + "/site/my_a-1.2.dist-info/METADATA", "src/a/_version.py", "src/a/cli.py"}, all)
	used := b.Use(runner.Step{Name: "x"})
	assert.Equal(t, b.PythonPath, used.PythonPath)
	assert.Equal(t, b.Path, used.Path)
}

func TestMovedModulesAreNamed(t *testing.T) {
	b, _ := buildWith(t, packaged, BuildRequest{},
		left(`{"projects":[{"dir":".","name":"my-a","version":"1.2","roots":["src"],"packages":["src/a","../x"],"elsewhere":["b/1.py","b/2.py","b/3.py","b/4.py","b/5.py","b/6.py"]}]}`))
	require.Len(t, b.Findings, 1)
	assert.Equal(t, ModulesMoved, b.Findings[0].Code)
	assert.Contains(t, b.Findings[0].Cause, "b/5.py and 1 more")
	assert.Equal(t, []string{"src/a"}, b.Packages)
}

func TestAProjectThatIsNoPackageIsNotBuilt(t *testing.T) {
	b, r := buildWith(t, map[string]string{"requirements.txt": "six", "src/a.py": ""}, BuildRequest{}, nil)
	assert.Empty(t, r.Steps())
	assert.Equal(t, []string{"src"}, b.PythonPath)
	assert.Empty(t, b.Mounts)
}

func TestABuildThatFailsLeavesThePlainSource(t *testing.T) {
	failing := map[string]func(runner.Step) (*runner.Result, error){
		"the backend fails": left(`{"projects":[{"dir":".","error":"Traceback\nOSError: Readme file does not exist: README.md"}]}`),
		"no environment": func(runner.Step) (*runner.Result, error) {
			return nil, &runner.EnvironmentError{Command: []string{"uv"}, Output: "Readme file does not exist: README.md", Err: errors.New("exit code 1")}
		},
		"the script fails": func(runner.Step) (*runner.Result, error) {
			return &runner.Result{ExitCode: 1, Stderr: "Readme file does not exist: README.md"}, nil
		},
	}
	for name, answer := range failing {
		t.Run(name, func(t *testing.T) {
			b, _ := buildWith(t, packaged, BuildRequest{}, answer)
			require.Len(t, b.Findings, 1)
			assert.Equal(t, ProjectNotBuilt, b.Findings[0].Code)
			assert.Contains(t, b.Findings[0].Cause, "Readme file does not exist")
			assert.NoError(t, b.Failure)
			assert.Equal(t, []string{"src", projectDir + "/site"}, b.PythonPath)
			tree := b.Over(fake.Files(packaged))
			points, err := tree.Read(t.Context(), projectDir+"/site/my_a-1.2.dist-info/entry_points.txt", 1000)
			require.NoError(t, err)
			assert.Equal(t, "[console_scripts]\na = a.cli:main\n[pytest11]\nplug = a.p\n", string(points))

			b, _ = buildWith(t, packaged, BuildRequest{Mode: BuildAlways}, answer)
			assert.ErrorContains(t, b.Failure, "Readme file does not exist")
		})
	}
	for name, answer := range map[string]func(runner.Step) (*runner.Result, error){
		"it takes too long": func(runner.Step) (*runner.Result, error) { return &runner.Result{TimedOut: true, ExitCode: 143}, nil },
		"no description":    func(runner.Step) (*runner.Result, error) { return &runner.Result{}, nil },
		"a broken one":      left("{"),
	} {
		b, _ := buildWith(t, packaged, BuildRequest{}, answer)
		require.Len(t, b.Findings, 1, name)
		assert.Equal(t, ProjectNotBuilt, b.Findings[0].Code)
	}
	b, r := buildWith(t, packaged, BuildRequest{Mode: BuildNever}, nil)
	assert.Empty(t, r.Steps())
	assert.Empty(t, b.Findings)
	assert.Equal(t, []string{"src", projectDir + "/site"}, b.PythonPath)
}

func TestOfABuildsTracebackTheErrorIsShown(t *testing.T) {
	trace := "Traceback (most recent call last):\n" + strings.Repeat("  File \"/x/"+strings.Repeat("y", 90)+".py\", line 280, in build_wheel\n    return f(\n           ^^\n", 9)
	assert.Equal(t, "ValueError: no such table", buildSaid(trace+"ValueError: no such table\n"))
	assert.Equal(t, "a | b", buildSaid("a\n\nb\n"))
	assert.Equal(t, "last", buildSaid(strings.Repeat("z", 600)+"\nlast\n"))
	assert.Empty(t, buildSaid(""))
}

func TestABuildThatCannotBeRunIsAnError(t *testing.T) {
	r := fake.New().OnRun(func(runner.Step) (*runner.Result, error) { return nil, errors.New("no engine") })
	_, err := detect(t, packaged).Build(t.Context(), r, fake.Files(packaged), BuildRequest{})
	require.ErrorContains(t, err, "no engine")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = detect(t, packaged).Build(ctx, fake.New(), fake.Files(packaged), BuildRequest{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestEveryPackageOfTheSourceIsBuilt(t *testing.T) {
	files := map[string]string{
		"requirements.txt": "-e ./libs/b\n./libs/c\n", "libs/b/pyproject.toml": build + "[project]\nname = \"b\"\n", "libs/b/src/b.py": "",
		"libs/c/setup.py": "", "libs/c/c.pyx": "",
	}
	b, r := buildWith(t, files, BuildRequest{}, left(`{"projects":[{"dir":"libs/b","name":"b","version":"0","roots":["libs/b/src"]},`+
		`{"dir":"libs/c","error":"no cython","roots":[]}]}`))
	assert.Equal(t, "python .openstack-rca/openstack_rca_build.py build libs/b libs/c", strings.Join(r.Steps()[0].Args, " "))
	assert.Contains(t, r.Steps()[0].Env.Install[0], "setuptools>=40.8.0", "what an installer takes without a [build-system]")
	assert.True(t, r.Steps()[0].Env.Compiler)
	assert.Equal(t, []string{"libs/b/src", "libs/c", projectDir + "/site"}, b.PythonPath)
	assert.Contains(t, b.Findings[0].Cause, "libs/c was not built: no cython")

	plain, _ := buildWith(t, files, BuildRequest{Mode: BuildNever}, nil)
	assert.Equal(t, []string{"libs/b/src", "libs/c"}, plain.PythonPath)
}

func TestAVersionFromGitIsTold(t *testing.T) {
	computed := func(more string, files map[string]string) map[string]string {
		files["pyproject.toml"] = more + "[project]\nname = \"a\"\ndynamic = [\"version\"]\n"
		files["a.py"] = ""
		return files
	}
	scm := "[build-system]\nrequires = [\"setuptools\", \"setuptools-scm[toml]>=8\"]\n"
	answer := func(version string) func(runner.Step) (*runner.Result, error) {
		return left(`{"projects":[{"dir":".","name":"a","version":"` + version + `","roots":["."]}]}`)
	}
	b, r := buildWith(t, computed(scm, map[string]string{}), BuildRequest{}, answer("0.0.0"))
	assert.Equal(t, "0.0.0", r.Steps()[0].Vars["SETUPTOOLS_SCM_PRETEND_VERSION"])
	require.Len(t, b.Findings, 1)
	assert.Equal(t, VersionUnknown, b.Findings[0].Code)
	assert.Contains(t, b.Findings[0].Next, "SETUPTOOLS_SCM_PRETEND_VERSION under test.vars")
	inputs, err := r.Inputs(t.Context(), 0)
	require.NoError(t, err)
	assert.Contains(t, inputs["PKG-INFO"], "Version: 0.0.0", "some tools read no variable")
	assert.Contains(t, paths(t, r.Steps()[0].Env.Files), "PKG-INFO")

	b, _ = buildWith(t, computed(scm, map[string]string{}), BuildRequest{}, left(`{"projects":[{"dir":".","error":"no git"}]}`))
	assert.Equal(t, []verdict.Code{ProjectNotBuilt, VersionUnknown}, []verdict.Code{b.Findings[0].Code, b.Findings[1].Code})

	b, r = buildWith(t, computed(scm, map[string]string{"PKG-INFO": "Metadata-Version: 2.1\nName: a\nVersion: 4.5.6\n"}), BuildRequest{}, answer("4.5.6"))
	assert.Equal(t, "4.5.6", r.Steps()[0].Vars["SETUPTOOLS_SCM_PRETEND_VERSION"], "an sdist knows its version")
	assert.Empty(t, b.Findings)

	own := BuildRequest{Vars: map[string]string{"SETUPTOOLS_SCM_PRETEND_VERSION": "v7-rc1"}}
	b, r = buildWith(t, computed(scm, map[string]string{}), own, answer("7rc1"))
	assert.Equal(t, "v7-rc1", r.Steps()[0].Vars["PBR_VERSION"], "one variable is enough for every tool")
	assert.Empty(t, b.Findings)
	b, _ = buildWith(t, computed(scm, map[string]string{}), own, answer("0+unknown"))
	assert.Contains(t, b.Findings[0].Cause, "it is 0+unknown instead of v7-rc1")
	assert.Contains(t, b.Findings[0].Next, "git archive")

	_, r = buildWith(t, computed(build, map[string]string{}), BuildRequest{}, answer("1"))
	assert.Empty(t, r.Steps()[0].Vars)
}

func TestAnInstallationThatAsksGitIsToldTheVersion(t *testing.T) {
	p := detect(t, map[string]string{"setup.py": "from setuptools import setup\nsetup(name='a', use_scm_version=True)\n"})
	assert.Contains(t, strings.Join(p.install[0], " "), "env SETUPTOOLS_SCM_PRETEND_VERSION=0.0.0 ")
	assert.Contains(t, string(p.written["PKG-INFO"]), "Version: 0.0.0")
}

func TestTheSameForTrainingAndServing(t *testing.T) {
	files := map[string]string{
		"pyproject.toml": project + "[dependency-groups]\ndev = []\ntrain = []\nml = []\n[project.optional-dependencies]\nserve = []\n[tool.uv]\ndefault-groups = [\"dev\", \"ml\"]\n",
		"uv.lock":        "", "requirements-test.txt": "pytest",
	}
	assert.Equal(t, []string{uvSync + " --no-default-groups --group ml --group train"}, commands(detectFor(t, verdict.Train, files)))
	assert.Equal(t, []string{uvSync + " --no-default-groups --extra serve --group ml"}, commands(detectFor(t, verdict.Image, files)))
	own := map[string]string{"uv.lock": "", "pyproject.toml": project, "requirements-train.txt": "six", "requirements/serve.lock": hashedLine, "tests/requirements.txt": "pytest"}
	assert.Equal(t, []string{"requirements-train.txt"}, detectFor(t, verdict.Train, own).From)
	assert.Equal(t, []string{"requirements/serve.lock"}, detectFor(t, verdict.Image, own).From)
	only := map[string]string{"requirements-dev.txt": "six"}
	assert.Equal(t, []string{"requirements-dev.txt"}, detectFor(t, verdict.Train, only).From, "what the tests run with")
	pipfile := map[string]string{"Pipfile": "[packages]\nsix = \"*\"\n[dev-packages]\npytest = \"*\"\n"}
	assert.Equal(t, "six\n", string(detectFor(t, verdict.Train, pipfile).written[generatedFile]))
	p := detectFor(t, verdict.Train, map[string]string{"tox.ini": "[testenv]\ndeps = pytest\n", ".gitmodules": "path = x"})
	assert.Equal(t, None, p.Kind)
	assert.Equal(t, []string{"[testenv] deps of tox.ini"}, p.Unread)
	assert.Equal(t, For(verdict.Train, SubmoduleEmpty), p.Findings[0].Code)
	for _, stage := range []string{verdict.Test, verdict.Train, verdict.Image} {
		assert.Contains(t, LookedFor(stage), "uv.lock, pylock.toml, poetry.lock")
	}
}

func TestPackagesForAnotherNumPyAreNamed(t *testing.T) {
	p := detect(t, map[string]string{"requirements.txt": "numpy\n"})
	for _, output := range []string{
		"A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.2.6 as it may crash.", "AttributeError: _ARRAY_API not found",
		"ImportError: numpy.core.multiarray failed to import",
		"E   TypeError: Unable to convert function return value to a Python type! The signature was\nE   \t() -> handle",
	} {
		found := p.Explain(output)
		require.Len(t, found, 1, output)
		assert.Equal(t, NumPyMismatch, found[0].Code)
	}
	assert.Empty(t, p.Explain("TypeError: Unable to convert function return value to a Python type! The signature was\n\t(x: int) -> Foo"))
}

func TestWhatWasSeenAndNotInstalledIsNamed(t *testing.T) {
	p := detect(t, map[string]string{
		"requirements.txt": "six", "environment.yml": "dependencies: [x]", "constraints.txt": "", "tox.ini": "[testenv]\ndeps = pytest\n",
		"pyproject.toml": "[dependency-groups]\ndev = []\n[project.optional-dependencies]\nml = []\n",
	})
	assert.Equal(t, []string{"constraints.txt", "environment.yml", "extra ml"}, p.Unread)
	assert.Equal(t, "requirements.txt, [testenv] deps of tox.ini with group dev", p.Summary())
	missing := p.Explain("E   ModuleNotFoundError: No module named 'tabulate'\n")
	require.Len(t, missing, 1)
	assert.Equal(t, RequirementsUnread, missing[0].Code)
	assert.Contains(t, missing[0].Cause, "No module named 'tabulate'; seen and not installed: constraints.txt, environment.yml")
	for _, output := range []string{
		"E       fixture 'mocker' not found", "'asyncio' not found in `markers` configuration option", "error: unrecognized arguments: --timeout=9",
		"async def functions are not natively supported.",
	} {
		assert.Len(t, p.Explain(output), 1, output)
	}
	assert.Empty(t, p.Explain("AssertionError"))
	assert.Empty(t, detect(t, map[string]string{"requirements.txt": "six"}).Explain("ModuleNotFoundError: No module named 'x'"))
	assert.Equal(t, "uv.lock with group dev, locked by hash", detect(t, map[string]string{"uv.lock": "", "pyproject.toml": "[dependency-groups]\ndev = []\n"}).Summary())
}

func TestWhatABuildSaysBeginsWithItsError(t *testing.T) {
	const advice = "\nTo avoid accidental inclusion of unwanted files or directories,\nsetuptools will not proceed with this build.\n" +
		"If you are trying to create a single distribution with multiple packages\non purpose, you should not rely on automatic discovery.\n" +
		"Instead, consider the following options:\n1. set up custom discovery (`find` directive with `include` or `exclude`)\n" +
		"2. use a `src-layout`\n3. explicitly set `py_modules` or `packages` with a list of names\n"
	assert.True(t, strings.HasPrefix(buildSaid("running egg_info\nerror: Multiple top-level packages discovered in a flat-layout: ['ml', 'data'].\n"+advice),
		"error: Multiple top-level packages discovered in a flat-layout: ['ml', 'data']."))
	assert.Equal(t, "hatchling.Unknown.VersionError: no version | see the docs", buildSaid("KeyError: 1\nhatchling.Unknown.VersionError: no version\nsee the docs"))
	assert.Equal(t, "gcc failed | exit status 1", buildSaid("gcc failed\nexit status 1"))
}
