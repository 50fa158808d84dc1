package pyenv

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

func TestWhatExcludeLeavesOutIsSaid(t *testing.T) {
	source := fake.Files(map[string]string{"requirements.txt": "-e .github/scripts\n-r doc/more.txt\n./gone\n"})
	_, err := Detect(t.Context(), source, Request{Requirements: []string{"requirements.txt"}, Exclude: []string{".git", ".github", "doc/*.txt"}})
	var invalid *InvalidError
	require.ErrorAs(t, err, &invalid)
	assert.Equal(t, []string{
		"doc/more.txt, which requirements.txt includes, is not in the source: exclude of pipeline.yaml leaves out doc/*.txt; set it without this glob",
		"requirements.txt installs .github/scripts, which is not in the source: exclude of pipeline.yaml leaves out .github; set it without this glob",
		"requirements.txt installs ./gone, which is not in the source",
	}, invalid.Wrong)
}

// What a build reads is taken along, and nothing whose change should keep the environment.
func TestFilesThatABuildReadsAreTakenAlong(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"a path": {map[string]string{"setup.py": "open('bits/bits.h')", "bits/bits.h": "", "bits/core.py": "", "bits/bits.c": ""}, []string{"bits/bits.h", "setup.py"}},
		"a path in parts": {map[string]string{"setup.py": "os.path.join(here, 'app', 'meta.json')", "app/meta.json": "", "app/other.json": ""},
			[]string{"app/meta.json", "setup.py"}},
		"a directory of lists": {map[string]string{"setup.py": "open(join('deps', kind + '.txt'))", "deps/run.txt": "", "deps/core.py": "", "doc/a.txt": ""},
			[]string{"deps/run.txt", "setup.py"}},
		"a module at its side":    {map[string]string{"setup.py": "import versioneer", "versioneer.py": "", "main.py": ""}, []string{"PKG-INFO", "setup.py", "versioneer.py"}},
		"a package that it asks":  {map[string]string{"setup.py": "from app import VERSION", "app/core/x.py": "", "app/x.so": ""}, []string{"app/core/x.py", "setup.py"}},
		"sources of an extension": {map[string]string{"setup.py": "Extension('m', ['m.c', 'x/n.pyx'])", "m.c": "", "x/n.pyx": ""}, []string{"setup.py"}},
		"an attribute of setuptools": {map[string]string{
			"pyproject.toml":  project + "dynamic = [\"version\", \"dependencies\"]\n[tool.setuptools.dynamic]\nversion = {attr = \"app.meta.VERSION\"}\ndependencies = {file = [\"deps/run.list\"]}\n[tool.mypy]\nfiles = [\"src/app/core.py\"]\n",
			"src/app/meta.py": "", "src/app/core.py": "", "deps/run.list": "",
		}, []string{"deps/run.list", "pyproject.toml", "src/app/meta.py"}},
		"a version of Hatch": {map[string]string{
			"pyproject.toml": project + "dynamic = [\"dependencies\"]\n[tool.hatch.version]\npath = \"app/release.py\"\n", "app/release.py": "", "app/core.py": "",
		}, []string{"app/release.py", "pyproject.toml"}},
		"setup.cfg": {map[string]string{"setup.cfg": "[metadata]\nname = a\nversion = attr: app.meta.v\nlong_description = file: doc/long.adoc\n", "app/meta.py": "", "doc/long.adoc": "", "app/core.py": ""},
			[]string{"app/meta.py", "doc/long.adoc", "setup.cfg"}},
		"a module in the directory of the packages": {map[string]string{
			"setup.cfg": "[metadata]\nname = a\nversion = attr: app.v\n[options]\npackage_dir =\n    = python\n", "python/app/__init__.py": "", "python/app/core.py": "",
		}, []string{"python/app/__init__.py", "setup.cfg"}},
		"the same in pyproject.toml": {map[string]string{
			"pyproject.toml": project + "dynamic = [\"version\", \"dependencies\"]\n[tool.setuptools]\npackage-dir = {\"\" = \"code\"}\n" +
				"[tool.setuptools.dynamic]\nversion = {attr = \"app.meta.V\"}\n", "code/app/meta.py": "", "code/app/core.py": "", "other/app/meta.py": "",
		}, []string{"code/app/meta.py", "pyproject.toml"}},
		"no more than is named": {map[string]string{"setup.py": "setup(name='a')", "app/core.py": "", "b/a/x.py": ""}, []string{"setup.py"}},
	} {
		t.Run(name, func(t *testing.T) {
			source := fake.Files(c.files)
			got, err := detect(t, c.files).Environment(fake.New(), source).Files.List(t.Context())
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}
