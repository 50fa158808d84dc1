package pyenv

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

// Further spellings of what tools install: what is installed, in the commands, the files or the generated requirements, and
// what is named as seen and not installed.
func TestFurtherSpellings(t *testing.T) {
	const exclusive = "conflicts = [[{package = \"a\", group = \"dev\"}, {package = \"a\", group = \"test\"}]]\n"
	groups := project + "[dependency-groups]\ndev = [\"x<2\"]\ntest = [\"x\"]\n"
	pylock := "dependency-groups = [\"default\", \"test\", \"docs\"]\ndefault-groups = [\"default\"]\nextras = [\"dev\"]\n"
	for name, c := range map[string]struct {
		files     map[string]string
		installed string
		unread    []string
	}{
		"groups of uv that exclude each other": {map[string]string{"pyproject.toml": groups, "uv.lock": exclusive}, "--no-default-groups --group test", []string{"group dev"}},
		"groups of uv that do not":             {map[string]string{"pyproject.toml": groups, "uv.lock": "conflicts = [[{extra = \"dev\"}]]"}, "--group dev --group test", nil},
		"groups of a workspace's members": {map[string]string{"pyproject.toml": "[tool.uv.workspace]\nmembers = [\"libs/*\"]\n", "libs/b/pyproject.toml": build,
			"uv.lock": "[manifest]\nmembers = [\"b\"]\n[[package]]\nname = \"b\"\nsource = {editable = \"libs/b\"}\n[package.dev-dependencies]\ndev = [{name = \"six\"}]\n"},
			"--all-packages --no-default-groups --group dev", nil},
		"a workspace and nothing else": {map[string]string{"pyproject.toml": "[tool.uv.workspace]\nmembers = [\"libs/**\"]\nexclude = [\"libs/old\"]\n",
			"libs/x/b/pyproject.toml": build + project + "[dependency-groups]\ntest = []\n", "libs/old/pyproject.toml": build + project},
			"install -r libs/x/b/pyproject.toml --group libs/x/b/pyproject.toml:test", nil},
		"a list of sources": {map[string]string{"pyproject.toml": project + "[tool.uv.sources]\nb = [{path = \"libs/b\", marker = \"m\"}, {index = \"i\"}]\n",
			"libs/b/pyproject.toml": build}, "libs/b/pyproject.toml", nil},
		"a path of Poetry beside [project]": {map[string]string{"pyproject.toml": build + project + "[tool.poetry.dependencies]\nb = {path = \"libs/b\"}\n" +
			"[tool.poetry.group.test.dependencies]\npytest = \"*\"\n", "libs/b/setup.py": "", "libs/b/b.py": ""}, "libs/b/b.py", nil},
		"groups of pylock.toml": {map[string]string{"pylock.toml": pylock}, "-r pylock.toml --group default --group test --extra dev", nil},
		"Hatch's templates": {map[string]string{"hatch.toml": "[envs.default]\ndependencies = [\"a\"]\nfeatures = [\"f\"]\n[envs.b]\nextra-dependencies = [\"b\"]\n" +
			"[envs.test]\ntemplate = \"b\"\nextra-dependencies = [\"c\"]\n[envs.lone]\ndetached = true\ndependencies = [\"d\"]\n"}, "a\nb\nc\n", []string{"[envs.lone] of hatch.toml"}},
		"a template of Hatch that leads to itself": {map[string]string{"hatch.toml": "[envs.default]\ntemplate = \"test\"\n[envs.test]\ntemplate = \"default\"\ndependencies = [\"a\"]\n"},
			"a\n", nil},
		"what Hatch itself tests with": {map[string]string{"hatch.toml": "[envs.hatch-test]\nextra-dependencies = [\"a\"]\n"},
			"pytest-mock\npytest-rerunfailures\npytest-xdist[psutil]\na\n", nil},
		"what replaces that":     {map[string]string{"hatch.toml": "[envs.hatch-test]\ndependencies = [\"a\"]\n"}, "\na\n", nil},
		"Hatch's root":           {map[string]string{"hatch.toml": "[envs.test]\ndependencies = [\"b @ {root:uri}/libs/b\", \"x\"]\n", "libs/b/setup.py": ""}, "-r libs/b/setup.py", nil},
		"Hatchling's root":       {map[string]string{"pyproject.toml": build + "[project]\nname = \"a\"\ndependencies = [\"b @ {root:uri}/libs/b\"]\n", "libs/b/setup.py": ""}, "libs/b/setup.py", nil},
		"pdm-backend's root":     {map[string]string{"pyproject.toml": build + "[project]\nname = \"a\"\ndependencies = [\"b @ file:///${PROJECT_ROOT}/b\"]\n", "b/setup.py": ""}, "b/setup.py", nil},
		"the root of PDM's tool": {map[string]string{"pyproject.toml": project + "[tool.pdm.dev-dependencies]\nt = [\"-e file:///${PROJECT_ROOT}/b#egg=b\"]\n", "b/setup.py": ""}, "-r b/setup.py", nil},
		"a name after a path":    {map[string]string{"requirements.txt": "-e ./b#egg=b[x]\n", "b/setup.py": ""}, "-r b/setup.py --extra x", nil},
		"categories of Pipenv": {map[string]string{"Pipfile": "[packages]\na = \"*\"\n[tests]\nb = \"*\"\n[docs]\nc = \"*\"\n"}, "a\nb\n",
			[]string{"category docs"}},
		"categories in its lock": {map[string]string{"Pipfile.lock": `{"_meta":{},"default":{},"develop":{},"test":{"b":{"version":"==1"}}}`}, "b==1\n", nil},
		"markers of Pipenv": {map[string]string{"Pipfile": "[packages]\na = {version = \"*\", sys_platform = \"== 'win32'\"}\n" +
			"b = {version = \">1\", markers = \"x or y\", python_version = \"< '3.8'\"}\n"},
			"a ; sys_platform == 'win32'\nb>1 ; python_version < '3.8' and (x or y)\n", nil},
		"variables of tox with a default": {map[string]string{"tox.ini": "[testenv]\ndeps =\n  -c{env:LIMITS:limits.txt}\n  a{env:A:}\n  {env:B}\n", "limits.txt": "a<2"},
			"-c limits.txt\na\n", []string{"{env:B} in [testenv] deps of tox.ini"}},
		"requirements in another folder": {map[string]string{"service/requirements.txt": "a"}, "", []string{"service/requirements.txt"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := detect(t, c.files)
			names, err := p.Environment(fake.New(), fake.Files(c.files)).Files.List(t.Context())
			require.NoError(t, err)
			all := strings.Join(slices.Concat(commands(p), names, []string{"\n" + string(p.written[generatedFile])}), "\n")
			assert.Contains(t, all, c.installed)
			assert.Equal(t, c.unread, p.Unread)
		})
	}
}

func TestAPathOfPoetryIsBuiltWithTheProject(t *testing.T) {
	p := detect(t, map[string]string{"pyproject.toml": build + project + "[tool.poetry.dependencies]\nb = {path = \"libs/b\"}\n[tool.poetry.group.test]\n",
		"libs/b/setup.py": ""})
	assert.Equal(t, []string{".", "libs/b"}, p.locals)
}

func TestTheGroupsOfTheTestsChooseThePython(t *testing.T) {
	toml := project + "requires-python = \">=3.10\"\n[dependency-groups]\ndev = []\n[tool.uv.dependency-groups]\ndev = {requires-python = \">=3.12\"}\nold = {requires-python = \"<3.11\"}\n"
	version, _, err := ChoosePython(t.Context(), fake.Files(map[string]string{"pyproject.toml": toml}))
	require.NoError(t, err)
	assert.Equal(t, "3.12", version)
}

func TestRemediesOfOtherPlacesAndVersions(t *testing.T) {
	p := detect(t, map[string]string{"service/requirements.txt": "a"})
	require.NotEmpty(t, p.Findings)
	assert.Equal(t, "If service/requirements.txt lists what the tests need, name it in pipeline.yaml: test.requirements: [service/requirements.txt]", p.Findings[0].Next)
	assert.Contains(t, p.InstallNext("error: Required uv version `>=0.14` does not match the running version `0.13.9`. Update"), "allow 0.13.9 too")
}

func TestOptionsOfPipThatUVDoesNotReadInAFile(t *testing.T) {
	p := detect(t, map[string]string{"requirements.txt": "--pre\n--trusted-host h\n--pre\nsix\n"})
	assert.Equal(t, []string{"uv pip install --prerelease allow --allow-insecure-host h -r requirements.txt"}, commands(p))
	assert.Contains(t, p.LockNext(), "--python-version 3.12 --prerelease allow --allow-insecure-host h requirements.txt -o requirements.lock")
	for line, want := range map[string]string{
		"--index-url https://${TOKEN}@h/s":      "requirements.txt has an address with the variable TOKEN, which installations do not see",
		"a @ git+https://u:${PW}@h/a.git":       "requirements.txt has an address with the variable PW",
		"a @ file:///opt/a.whl":                 "requirements.txt installs /opt/a.whl: a path of one machine",
		"-i https://${PIP_USER}@h/s":            "",
		"-e file:///${PROJECT_ROOT}/lib#egg=l":  "",
		"a @ https://h/a.zip ; x == '${TOKEN}'": "",
	} {
		_, err := Detect(t.Context(), fake.Files(map[string]string{"requirements.txt": line, "lib/setup.py": ""}), Request{})
		if want == "" {
			assert.NoError(t, err, line)
		} else {
			assert.ErrorContains(t, err, want, line)
		}
	}
}

func TestTheRemedyOfPackagesThatCannotBeHad(t *testing.T) {
	conda := detect(t, map[string]string{"environment.yml": "dependencies: [libmamba, six, libgomp]"})
	assert.Equal(t, "libmamba\nsix\n", string(conda.written[generatedFile]))
	assert.Contains(t, conda.InstallNext("cause: Because libmamba was not found in the package registry and you require"),
		"does not have libmamba. List what the stage needs from there in requirements-test.txt")
	files := map[string]string{"requirements.txt": "a==1", "requirements-dev.txt": "a==2"}
	assert.Contains(t, detect(t, files).InstallNext("you require a==1 and a==2"), "such as test.requirements: [requirements-dev.txt]")
	assert.NotContains(t, detect(t, files, "requirements.txt").InstallNext("no"), "not for one environment")
}
