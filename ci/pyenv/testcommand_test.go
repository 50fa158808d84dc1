package pyenv

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

func TestTheCommandOfTheProjectsOwnToolIsRead(t *testing.T) {
	for name, c := range map[string]struct{ file, text, options, paths, from string }{
		"tox.ini, and where tox installs": {"tox.ini", "[testenv]\ncommands = pytest --doctest-modules {env_site_packages_dir}/app {tox_root}/tests {posargs}\n",
			"--doctest-modules", "app tests", "[testenv] of tox.ini"},
		"lines that continue, defaults of the arguments": {"tox.ini", "[testenv]\ncommands =\n    python -m pytest \\\n        --cov=app --cov-report=term -n auto \\\n        {posargs:app tests}\n",
			"", "app tests", "[testenv] of tox.ini"},
		"everything can be replaced": {"tox.ini", "[testenv]\ncommands = {posargs:pytest --cov -vv tests README.rst}\n", "", "tests README.rst", "[testenv] of tox.ini"},
		"factors, and coverage before it": {"tox.ini", "[testenv]\ncommands =\n    lint: pytest lint\n    coverage run -p --rcfile x -m pytest -Wd -c tox.ini {posargs}\n",
			"-Wd -ctox.ini", "", "[testenv] of tox.ini"},
		"an environment of this Python": {"setup.cfg", "[tox:testenv]\ncommands = pytest app\n[tox:testenv:py312]\ncommands = py.test --basetemp=\"{envtmpdir}\" tests\n",
			"", "tests", "[tox:testenv:py312] of setup.cfg"},
		"tox.toml": {"tox.toml", "[env_run_base]\ncommands = [['pytest', '-m', 'not slow', {replace='posargs', default=['--cov', '{env_site_packages_dir}{/}app'], extend=true}, 'tests']]\n",
			"-m|not slow", "tests", "[env_run_base] of tox.toml"},
		"Hatch": {"pyproject.toml", "[tool.hatch.envs.test.scripts]\ntest = 'python -m unittest discover -s app -p \"*tests.py\"'\n",
			"-o|python_functions=|-o|python_files=*tests.py", "app", "[tool.hatch.envs.test.scripts] of pyproject.toml"},
		"Hatch's arguments": {"hatch.toml", "[envs.default.scripts]\ntest = ['echo', 'pytest {args:tests app}']\n", "", "tests app", "[envs.default.scripts] of hatch.toml"},
		"PDM":               {"pyproject.toml", "[tool.pdm.scripts]\ntest = {cmd = ['pytest', '-k', 'a b', 'app']}\n", "-k|a b", "app", "[tool.pdm.scripts] of pyproject.toml"},
		"poe":               {"pyproject.toml", "[tool.poe.tasks]\ntest = 'pytest --ignore tests/slow app'\n", "--ignore=tests/slow", "app", "[tool.poe.tasks] of pyproject.toml"},
		"Pipenv":            {"Pipfile", "[scripts]\ntests = 'pytest -x app'\n", "", "app", "[scripts] of Pipfile"},
		"make, three times": {"Makefile", "test: build\n\t@uv run --python 3.10 pytest tests/\n\tuv run --python 3.11 pytest tests/\nlint:\n\tpytest app\n", "", "tests", "Makefile"},
		"make, an option of the project": {"Makefile", "test:\n\tAPP_ENV=test pytest --slow --asyncio-mode=auto --alluredir=x tests | tee log; echo done\n",
			"--slow --asyncio-mode=auto", "tests", "Makefile"},
		"what follows it": {"Makefile", "test:\n\tmkdir -p out && pytest app && echo done\n", "", "app", "Makefile"},
		"nox": {"noxfile.py", "import nox\n\n@nox.session\ndef tests(session):\n    session.install('pytest')\n" +
			"    session.run(\n        'coverage', 'run', '-m', \"pytest\", 'app', *session.posargs, env={'A': 'tests'},\n    )\n\n\n" +
			"def docs(session):\n    session.run('pytest', 'tests')\n", "", "app", "noxfile.py"},
		"a workflow": {".github/workflows/ci.yml", "on: [push]\njobs:\n  lint: {steps: [{run: ruff check}, {run: pytest, working-directory: app}]}\n" +
			"  test:\n    steps:\n    - uses: actions/checkout@v4\n    - run: |\n        pip install pytest\n" +
			"        uv run --with pytest pytest -q -m \"not slow\" tests\n        cd other; pytest\n",
			"-m|not slow", "tests", ".github/workflows/ci.yml"},
		"below src": {"Makefile", "test:\n\tpytest lib\n", "", "src/lib", "Makefile"},

		"another runner beside it":  {"tox.ini", "[testenv]\ncommands =\n    pytest tests\n    python -m testtools.run discover\n", "", "", ""},
		"two calls":                 {"tox.ini", "[testenv]\ncommands =\n    pytest tests\n    pytest app\n", "", "", ""},
		"two calls in a line":       {"Makefile", "test:\n\tpytest tests && pytest app\n", "", "", ""},
		"another folder":            {"Makefile", "test:\n\tcd app && pytest\n", "", "", ""},
		"nox with what it computes": {"noxfile.py", "def test(session):\n    session.run('pytest', *args)\n", "", "", ""},
		"workflows with two calls": {".github/workflows/ci.yml", "on: {pull_request: }\njobs: {a: {steps: [{run: pytest tests}]}, b: {steps: [{run: pytest app}]}}\n",
			"", "", ""},
		"a workflow at night":     {".github/workflows/ci.yml", "on: {schedule: [{cron: x}]}\njobs: {a: {steps: [{run: pytest tests}]}}\n", "", "", ""},
		"what is not there":       {"tox.ini", "[testenv]\ncommands = pytest gone\n", "", "", ""},
		"a variable of the shell": {"Makefile", "test:\n\tpytest $(TESTS)\n", "", "", "Makefile"},
		"an option with one":      {"Makefile", "test:\n\tpytest -k $(WHICH)\n", "", "", ""},
		"an installation":         {"Makefile", "test:\n\tpip install pytest\n", "", "", ""},
		"plain unittest":          {"tox.ini", "[testenv]\ncommands = python -m unittest -v {posargs}\n", "", "", ""},
		"broken":                  {"tox.toml", "[env_run_base\ncommands = [[", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"app/a.py": "", "tests/test_a.py": "", "tests/slow/test_b.py": "", "README.rst": "", "src/lib/__init__.py": "",
				"conftest.py": "def pytest_addoption(parser):\n    parser.addoption(\"--slow\")\n"}
			files[c.file] = c.text
			found, err := ReadTestCommand(t.Context(), fake.Files(files), "3.12")
			require.NoError(t, err)
			separator := " "
			if strings.Contains(c.options, "|") {
				separator = "|"
			}
			assert.Equal(t, c.options, strings.Join(found.Options, separator))
			assert.Equal(t, c.paths, strings.Join(found.Paths, " "))
			assert.Equal(t, c.from, found.From)
		})
	}
}

func TestWhatTheCommandSaysOfCoverageAndVariablesIsRead(t *testing.T) {
	read := func(command string) TestCommand {
		found, err := ReadTestCommand(t.Context(), fake.Files(map[string]string{"Makefile": "test:\n\t" + command + "\n", "tests/test_a.py": ""}), "3.12")
		require.NoError(t, err)
		return found
	}
	found := read("APP_ENV=test KEY=$(KEY) pytest --cov=app --cov lib --cov --cov-fail-under 87.5 tests")
	assert.Equal(t, TestCommand{Paths: []string{"tests"}, Vars: []string{"APP_ENV=test"}, Measured: []string{"app", "lib"}, Floor: 87.5,
		From: "Makefile"}, found)
	assert.Equal(t, []string{"a", "b"}, read("coverage run --source=a,b -m pytest --cov-fail-under=nothing").Measured)
	assert.Equal(t, TestCommand{Unread: "Makefile"}, read("pytest tests; pytest gone"), "it is said, not left out in silence")
}
