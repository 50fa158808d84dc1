package pyenv

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const partly = "[project]\nname = \"a\"\ndependencies = [\"six\"]\n[project.optional-dependencies]\ntest = [\"pytest\"]\n" +
	"cli = [\"click>=8\", \"six==1\"]\nfast = [\"orjson\", \"numpy<2; python_version < '3.9'\", \"numpy\"]\n[dependency-groups]\nqa = [\"numpy\"]\n"

func TestExtrasAndGroupsAreAddedByName(t *testing.T) {
	poetry := "[tool.poetry]\nname = \"a\"\n[tool.poetry.group.qa]\noptional = true\n[tool.poetry.group.qa.dependencies]\nsix = \"*\"\n"
	for name, c := range map[string]struct {
		files map[string]string
		asked []string
		want  string
	}{
		"without a lock": {map[string]string{"pyproject.toml": partly}, []string{".[cli, qa]"},
			"uv pip install -r pyproject.toml --extra test --extra cli --group qa"},
		"from uv.lock":     {map[string]string{"pyproject.toml": partly, "uv.lock": ""}, []string{".[cli]"}, "--extra test --extra cli"},
		"from poetry.lock": {map[string]string{"pyproject.toml": poetry, "poetry.lock": ""}, []string{".[qa]"}, "--with qa"},
		"beside requirements of the tests": {map[string]string{"pyproject.toml": partly, "requirements-dev.txt": "pytest"}, []string{".[qa,fast]"},
			"uv pip install -r requirements-dev.txt -r pyproject.toml --extra fast --group qa"},
		"beside files that are named": {map[string]string{"pyproject.toml": partly, "a.txt": "pytest"}, []string{"a.txt", ".[fast]"},
			"uv pip install -r pyproject.toml --extra fast"},
	} {
		p, err := Detect(t.Context(), fake.Files(c.files), Request{Python: "3.11", Requirements: c.asked})
		require.NoError(t, err, name)
		var all []string
		for _, command := range p.install {
			all = append(all, strings.Join(command, " "))
		}
		assert.Contains(t, strings.Join(all, "\n"), c.want, name)
	}
}

func TestAnExtraThatIsNotThereIsRefused(t *testing.T) {
	for _, files := range []map[string]string{{"pyproject.toml": partly}, {"requirements.txt": "six"}, {"a.py": ""}} {
		_, err := Detect(t.Context(), fake.Files(files), Request{Stage: verdict.Train, Python: "3.11", Requirements: []string{".[gone]"}})
		assert.ErrorContains(t, err, "train.requirements asks for .[gone]", files)
	}
}

func TestThePartsThatDeclareAModuleAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		files          map[string]string
		modules        []string
		element, words string
	}{
		"one has most":                 {map[string]string{"pyproject.toml": partly}, []string{"numpy", "orjson", "click.testing", "os"}, ".[fast,cli]", "extra fast has numpy, orjson; extra cli has click"},
		"installed anyway":             {map[string]string{"pyproject.toml": partly}, []string{"six", "pytest"}, "", ""},
		"a module of the source's own": {map[string]string{"pyproject.toml": partly, "click.py": ""}, []string{"click"}, "", ""},
		"another name": {map[string]string{"setup.cfg": "[metadata]\nname = a\n[options.extras_require]\nyaml =\n    PyYAML>=5\n", "setup.py": ""},
			[]string{"yaml"}, ".[yaml]", "extra yaml has pyyaml"},
		"what uv.lock has for another": {map[string]string{"pyproject.toml": partly, "uv.lock": "[[package]]\nname = \"six\"\ndependencies = [{ name = \"Num_Py\" }]\n" +
			"[[package]]\nname = \"num-py\"\ndependencies = [{ name = \"numpy\" }, { name = \"six\" }]\n"}, []string{"numpy", "orjson"}, ".[fast]", "extra fast has orjson"},
		"what pdm.lock has for another": {map[string]string{"pyproject.toml": partly, "pdm.lock": "[[package]]\nname = \"six\"\ndependencies = [\"numpy<2; os_name == 'x'\"]\n"},
			[]string{"numpy"}, "", ""},
		"what poetry.lock has for another": {map[string]string{"pyproject.toml": partly, "poetry.lock": "[[package]]\nname = \"six\"\n[package.dependencies]\nnumpy = \">=1\"\n"},
			[]string{"numpy"}, "", ""},
		"a lock of another": {map[string]string{"pyproject.toml": partly, "uv.lock": "[[package]]\nname = \"click\"\ndependencies = [{ name = \"orjson\" }]\n"}, []string{"orjson"},
			".[fast]", "extra fast has orjson"},
		"what requirements list": {map[string]string{"pyproject.toml": partly, "requirements.txt": "click"}, []string{"click"}, "", ""},
	} {
		p, err := Detect(t.Context(), fake.Files(c.files), Request{Python: "3.11"})
		require.NoError(t, err, name)
		element, words := p.Wanted(c.modules)
		assert.Equal(t, c.element, element, name)
		assert.Equal(t, c.words, words, name)
	}
	p, err := Detect(t.Context(), fake.Files(map[string]string{"pyproject.toml": partly}), Request{Python: "3.11", Requirements: []string{".[cli]"}})
	require.NoError(t, err)
	assert.Equal(t, "Write test.requirements: [\".[cli,fast]\"] into pipeline.yaml: extra fast has orjson",
		p.MissingNext("E   ModuleNotFoundError: No module named 'orjson'"), "what is there already stays")
}
