package pyenv

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

func TestSettingsOfTestsAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  TestSettings
	}{
		"none":   {map[string]string{"a.py": ""}, TestSettings{}},
		"broken": {map[string]string{"pyproject.toml": "[tool.pytest\n\x00"}, TestSettings{}},
		"pyproject.toml": {map[string]string{"pyproject.toml": "[tool.pytest.ini_options]\ntestpaths=['unit','more']\naddopts='-q --cov=app --cov lib'\n" +
			"[tool.coverage.report]\nfail_under=91.5\n[tool.coverage.run]\nparallel=true\nsource=['x']\n"},
			TestSettings{Paths: []string{"unit", "more"}, PathsFrom: "pyproject.toml", Measured: []string{"app", "lib"}, MeasuredFrom: "pyproject.toml",
				Floor: 91.5, FloorFrom: "pyproject.toml", Combined: true}},
		"the first file counts": {map[string]string{"pytest.ini": "[pytest]\nminversion = 6\n", "setup.cfg": "[tool:pytest]\ntestpaths = t\n"},
			TestSettings{}},
		"an empty file counts": {map[string]string{"pytest.ini": "", "setup.cfg": "[tool:pytest]\ntestpaths = t\n"}, TestSettings{}},
		"pytest 9's own file comes first": {map[string]string{"pytest.toml": "[pytest]\ntestpaths = ['spec']\n", "pytest.ini": "[pytest]\ntestpaths = t\n"},
			TestSettings{Paths: []string{"spec"}, PathsFrom: "pytest.toml"}},
		"ini": {map[string]string{"setup.cfg": "[tool:pytest]\ntestpaths = t\n[coverage:run]\nsource =\n  a\n  b\n[coverage:report]\nfail_under = 100\n" +
			"[coverage:paths]\nsource = x\n"},
			TestSettings{Paths: []string{"t"}, PathsFrom: "setup.cfg", Measured: []string{"a", "b"}, MeasuredFrom: "setup.cfg", Floor: 100, FloorFrom: "setup.cfg",
				Combined: true}},
		"pytest-cov's floor comes first": {map[string]string{"pyproject.toml": "[tool.pytest.ini_options]\naddopts='--cov-fail-under=60.5 --cov=app'\n" +
			"[tool.coverage.report]\nfail_under=100\n[tool.coverage.run]\nparallel=true\n"},
			TestSettings{Measured: []string{"app"}, MeasuredFrom: "pyproject.toml", Floor: 60.5, FloorFrom: "pyproject.toml"}},
		"pytest-cov's floor that is none": {map[string]string{"pytest.ini": "[pytest]\naddopts = --cov-fail-under=0 --cov-fail-under=101\n"}, TestSettings{}},
		"doctests":                        {map[string]string{"pytest.ini": "[pytest]\naddopts =\n  --doctest-modules\n"}, TestSettings{Doctests: "pytest.ini"}},
		"a file of coverage.py alone": {map[string]string{".coveragerc.toml": "[run]\nsource = ['a']\n[report]\nfail_under = 70\n"},
			TestSettings{Measured: []string{"a"}, MeasuredFrom: ".coveragerc.toml", Floor: 70, FloorFrom: ".coveragerc.toml"}},
		"the same with a prefix": {map[string]string{".coveragerc": "[coverage:report]\nfail_under = 70\n[report]\nfail_under = 60\n"},
			TestSettings{Floor: 70, FloorFrom: ".coveragerc"}},
		"a floor that is none": {map[string]string{".coveragerc": "[report]\nfail_under = 900\n[run]\nsource_pkgs = a, b\n"},
			TestSettings{Measured: []string{"a", "b"}, MeasuredFrom: ".coveragerc"}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := ReadTestSettings(t.Context(), fake.Files(c.files))
			require.NoError(t, err)
			if len(found.Paths) == 0 {
				found.Paths = nil
			}
			assert.Equal(t, c.want, found)
		})
	}
}
