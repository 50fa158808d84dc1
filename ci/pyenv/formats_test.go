package pyenv

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

// written are the requirements that another file's declarations became.
func written(t *testing.T, files map[string]string) []string {
	t.Helper()
	return strings.Split(strings.TrimSpace(string(detect(t, files).written[generatedFile])), "\n")
}

func TestPoetrysTablesBecomeRequirements(t *testing.T) {
	got := written(t, map[string]string{"lib/pyproject.toml": build + project, "w.whl": "", "pyproject.toml": `
[tool.poetry]
name = "a"
[tool.poetry.dependencies]
python = "^3.10"
caret = "^1.2.3"
zero = "^0.2"
tilde = "~1.2.3"
wild = "1.*"
exact = "1.0"
range = ">=1,<2"
spaced = ">=1 <2"
any = "*"
either = "^1 || ^2"
extra = {version = "^2", extras = ["x", "y"], markers = "os_name == 'posix'", platform = "linux"}
old = [{version = "<2", python = "<3.11"}, {version = ">=2", python = ">=3.11"}]
commit = {git = "https://example.com/r.git", tag = "v1"}
address = {url = "https://example.com/x.whl"}
here = {path = "lib", develop = true}
wheel = {path = "w.whl"}
left-out = {version = "*", optional = true}
[[tool.poetry.source]]
name = "corp"
url = "http://127.0.0.1/simple"
priority = "primary"
`})
	assert.ElementsMatch(t, []string{
		"--index-url http://127.0.0.1/simple",
		"caret >=1.2.3,<2", "zero >=0.2,<0.3", "tilde >=1.2.3,<1.3", "wild ==1.*", "exact ==1.0", "range >=1,<2", "spaced >=1,<2", "any", "either",
		`extra[x,y] >=2,<3 ; (os_name == 'posix') and sys_platform == "linux"`,
		`old <2 ; python_full_version < "3.11"`, `old >=2 ; python_full_version >= "3.11"`,
		"commit @ git+https://example.com/r.git@v1", "address @ https://example.com/x.whl", "./w.whl",
	}, got)
}

func TestPipfileLockBecomesRequirements(t *testing.T) {
	got := written(t, map[string]string{"Pipfile.lock": `{"_meta":{"sources":[{"url":"https://pypi.org/simple"},{"url":"http://127.0.0.1/s"},{"url":"http://${U}@h/s"}]},
		"default":{"a":{"version":"==1","hashes":["sha256:1","sha256:2"],"extras":["x"],"markers":"m"},"g":{"git":"https://example.com/g","ref":"abc"},"l":{"path":"./lib","editable":true}},
		"develop":{"a":{"version":"==1","hashes":["sha256:1","sha256:2"],"extras":["x"],"markers":"m"},"w":{"file":"w.whl"},"z":{"version":"*"}}}`,
		"lib/setup.py": "", "w.whl": ""})
	assert.Equal(t, []string{
		"--extra-index-url http://127.0.0.1/s", "a[x]==1 ; m --hash=sha256:1 --hash=sha256:2", "g @ git+https://example.com/g@abc", "./w.whl", "z",
	}, got)
	_, err := Detect(t.Context(), fake.Files(map[string]string{"Pipfile.lock": "{"}), Request{})
	assert.ErrorContains(t, err, "Pipfile.lock cannot be read")
}

func TestCondasPackagesBecomeRequirements(t *testing.T) {
	for conda, want := range map[string]string{
		"numpy": "numpy", "numpy=1.26": "numpy==1.26.*", "numpy==1.26.4": "numpy==1.26.4", "numpy=1.26.4=py310_0": "numpy==1.26.4", "numpy 1.26.*": "numpy==1.26.*",
		"numpy>=1.2,<2": "numpy>=1.2,<2", "conda-forge::pytorch=2.1": "torch==2.1.*", "pandas=*": "pandas",
	} {
		got, ok := condaRequirement(conda)
		assert.True(t, ok, conda)
		assert.Equal(t, want, got)
	}
	for _, conda := range []string{"python=3.11", "pip", "cudatoolkit=11", "r-base", "numpy[version='>=1']", "gcc_linux-64"} {
		_, ok := condaRequirement(conda)
		assert.False(t, ok, conda)
	}
	p := detect(t, map[string]string{"environment.yml": "dependencies: [python=3.11, cudatoolkit=11, six]"})
	assert.Equal(t, []string{"cudatoolkit=11 of environment.yml"}, p.Unread)
	_, err := Detect(t.Context(), fake.Files(map[string]string{"environment.yml": "dependencies: {"}), Request{})
	assert.ErrorContains(t, err, "environment.yml cannot be read")
}

func TestToxsDependenciesAreRead(t *testing.T) {
	got := detect(t, map[string]string{"tox.ini": `[base]
deps =
    six
    {[testenv]deps}
[testenv]
deps =
    {[base]deps}
    pytest  # why
    py312,py313: new
    py39: old
    py312-django: both
    -r {toxinidir}/more.txt
    {env:OTHER}
`, "more.txt": "tabulate"})
	assert.Equal(t, "six\npytest\nnew\n-r ./more.txt\n", string(got.written[generatedFile]))
	assert.Equal(t, []string{
		"py39: old in [testenv] deps of tox.ini", "py312-django: both in [testenv] deps of tox.ini", "{env:OTHER} in [testenv] deps of tox.ini",
	}, got.Unread)
	assert.Equal(t, []string{"six"}, written(t, map[string]string{"tox.toml": "[env_run_base]\ndeps = [\"six\"]\n"}))
	assert.Equal(t, []string{"six"}, written(t, map[string]string{"pyproject.toml": "[tool.tox]\nlegacy_tox_ini = \"\"\"\n[testenv]\ndeps = six\n\"\"\"\n"}))
	assert.Equal(t, []string{"uv pip install -r setup.py --extra qa"},
		commands(detect(t, map[string]string{"tox.ini": "[testenv]\nextras = qa\n", "setup.py": "setup(extras_require={'qa': []})"})))
}

func TestReferencesOfToxWithinALine(t *testing.T) {
	got := detect(t, map[string]string{"tox.ini": `[base]
dir = reqs
loop = x{[base]loop}
[testenv]
deps =
    -r{toxinidir}/{[base]dir}/test.txt
    -c {[base]dir}/limits.txt
    {[base]loop}
`, "reqs/test.txt": "six", "reqs/limits.txt": "six<2"})
	assert.Equal(t, "-r ./reqs/test.txt\n-c reqs/limits.txt\n", string(got.written[generatedFile]))
	assert.Contains(t, got.files, "reqs/limits.txt")
	assert.Empty(t, got.Unread)
}

// uv 0.13 joins lines only before an option, such as a hash, and takes no value without a space.
func TestWhatOnlyPipReadsIsWrittenForUV(t *testing.T) {
	for from, want := range map[string]string{
		"\ufeffpytest>=8,\\\r\n<10\r\nsix": "pytest>=8,<10\nsix", "six ; python_version \\\n  >= '3.8'": "six ; python_version   >= '3.8'",
		"a==1 \\\n    --hash=sha256:0\n": "", "# a comment \\\nsix\n": "", "-e \\\n./lib\nsix": "six", "-e git+https://example.com/a@1#egg=a\n": "git+https://example.com/a@1#egg=a\n",
		"-rmore.txt\n-cmore.txt\n-f./lib\n-ihttps://example.com/simple\n-r=more.txt": "-r more.txt\n-c more.txt\n-f ./lib\n-i https://example.com/simple\n-r=more.txt",
	} {
		got := detect(t, map[string]string{"requirements.txt": from, "lib/setup.py": "", "more.txt": "six"})
		assert.Equal(t, want, string(got.written["requirements.txt"]), from)
	}
}

func TestThePythonOfTheProjectIsChosen(t *testing.T) {
	for name, c := range map[string]struct {
		files         map[string]string
		version, from string
	}{
		"nothing":                {map[string]string{}, "", ""},
		".python-version":        {map[string]string{".python-version": "# pin\n3.12.4\n", "pyproject.toml": "[project]\nrequires-python = \">=3.11\""}, "3.12", ".python-version"},
		"one of uv":              {map[string]string{".python-version": "cpython-3.13"}, "3.13", ".python-version"},
		"one that cannot be had": {map[string]string{".python-version": "3.8"}, "", ""},
		"requires-python":        {map[string]string{"pyproject.toml": "[project]\nrequires-python = \">=3.11,<3.13\""}, "3.11", "requires-python of pyproject.toml"},
		"the default is fine":    {map[string]string{"pyproject.toml": "[project]\nrequires-python = \">=3.8\""}, "3.10", "requires-python of pyproject.toml"},
		"not even one":           {map[string]string{"pyproject.toml": "[project]\nrequires-python = \"<3.9\""}, "", ""},
		"Poetry":                 {map[string]string{"pyproject.toml": "[tool.poetry.dependencies]\npython = \"~3.12\""}, "3.12", "python of [tool.poetry.dependencies]"},
		"setup.cfg":              {map[string]string{"setup.cfg": "[options]\npython_requires = >=3.12\n"}, "3.12", "python_requires of setup.cfg"},
		"setup.py":               {map[string]string{"setup.py": "setup(python_requires='>3.11')"}, "3.11", "python_requires of setup.py"},
		"Pipfile":                {map[string]string{"Pipfile": "[requires]\npython_version = \"3.13\""}, "3.13", "python_version of Pipfile"},
		"conda":                  {map[string]string{"environment.yml": "dependencies:\n  - python=3.11.4\n"}, "3.11", "python of environment.yml"},
		"pylock.toml":            {map[string]string{"pylock.toml": "requires-python = \"==3.12.*\""}, "3.12", "requires-python of pylock.toml"},
	} {
		version, from, err := ChoosePython(t.Context(), fake.Files(c.files))
		require.NoError(t, err, name)
		assert.Equal(t, c.version+" "+c.from, version+" "+from, name)
	}
	_, _, err := ChoosePython(t.Context(), unlisted{fake.Files(nil)})
	require.ErrorIs(t, err, errUnlisted)
}

func TestSpecifiersOfPython(t *testing.T) {
	for spec, want := range map[string]string{
		">=3.11": "11 12 13 14", ">=3.11.4": "11 12 13 14", "<3.12": "10 11", "<3.12.3": "10 11 12", "<=3.11": "10 11", ">3.12": "12 13 14",
		"==3.11.*": "11", "==3.11": "11", "3.11": "11", "~=3.11": "11 12 13 14", "~=3.11.2": "11", "^3.12": "12 13 14", "~3.12": "12", "!=3.11.*": "10 12 13 14",
		"!=3.11.1": "10 11 12 13 14", ">=3.10,<3.14,!=3.12.*": "10 11 13", ">=3.11 <3.13": "11 12", "~3.10 || ^3.13": "10 13 14", "<4": "10 11 12 13 14", "<4.0,>=2.7": "10 11 12 13 14",
		">=4": "", "==2.7": "", "3": "10 11 12 13 14", "*": "10 11 12 13 14", "nonsense": "10 11 12 13 14",
	} {
		var got []string
		for minor := oldestMinor; minor <= newestMinor; minor++ {
			if allows(spec, minor) {
				got = append(got, strconv.Itoa(minor))
			}
		}
		assert.Equal(t, want, strings.Join(got, " "), spec)
	}
}

func TestAPythonThatTheProjectDoesNotSupportIsTold(t *testing.T) {
	p := detect(t, map[string]string{"pyproject.toml": project + "requires-python = \">=3.13\"\n"})
	assert.Equal(t, PythonMismatch, p.Findings[0].Code)
	assert.Contains(t, p.Findings[0].Cause, "`python` in pipeline.yaml")
	assert.NotContains(t, found(detect(t, map[string]string{"pyproject.toml": project + "requires-python = \">=3.12\"\n"})), PythonMismatch.Name)
}

func TestINIFilesAreRead(t *testing.T) {
	got := parseINI("top = 1\n[a]\nx = 1\n  2\n# c\n; c\ny: z\n[b\n[c]\n")
	assert.Equal(t, ini{"a": {"x": "1\n2", "y": "z"}, "c": {}}, got)
}

func TestTOMLThatIsBrokenIsAnError(t *testing.T) {
	parsed, err := parseTOML("[a]\nx = [\n")
	require.ErrorContains(t, err, "line ")
	assert.Nil(t, parsed.sub("a"))
	parsed, err = parseTOML("[a]\nx = [1, \"y\", {z = 1}]\nf = false\n")
	require.NoError(t, err)
	a := parsed.sub("a")
	assert.Equal(t, []string{"y"}, a.strs("x"))
	assert.Len(t, a.list("x"), 1)
	assert.True(t, a.isFalse("f"))
	assert.Empty(t, a.str("x"))
	assert.Nil(t, a.sub("x", "y"))
}

func TestWhatIsInstalledAnywayIsNotSeenAsLeftOut(t *testing.T) {
	grouped := project + "[dependency-groups]\ntests = [\"pytest\"]\n[project.optional-dependencies]\nfast = [\"six\"]\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"tox names the group that is installed": {map[string]string{"uv.lock": "", "pyproject.toml": grouped +
			"[tool.tox.env_run_base]\ndependency_groups = [\"tests\"]\n"}, []string{"extra fast"}},
		"tox names an extra that is not": {map[string]string{"uv.lock": "", "pyproject.toml": grouped, "tox.ini": "[testenv]\nextras = fast\n"},
			[]string{"[testenv] deps of tox.ini", "extra fast"}},
		"PDM's groups from its lock": {map[string]string{"pdm.lock": "", "pyproject.toml": project +
			"[tool.pdm.dev-dependencies]\nqa = [\"pytest\"]\n"}, nil},
		"PDM's groups, of which the lock has one": {map[string]string{"pdm.lock": "[metadata]\ngroups = [\"qa\"]\n", "pyproject.toml": project +
			"[tool.pdm.dev-dependencies]\nqa = [\"pytest\"]\nmore = [\"six\"]\n"}, []string{"[tool.pdm.dev-dependencies] of pyproject.toml"}},
	} {
		p, err := Detect(t.Context(), fake.Files(c.files), Request{Python: "3.11"})
		require.NoError(t, err, name)
		assert.Equal(t, c.want, p.Unread, name)
	}
}
