package teststage

import (
	"archive/zip"
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/testrun"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// wheel is a package of one empty module, which no index has.
func wheel(t *testing.T, name string) string {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	info := name + "-1.0.dist-info/"
	for file, content := range map[string]string{
		name + ".py":      "X = 1\n",
		info + "METADATA": "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n",
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info + "RECORD":   name + ".py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n",
	} {
		f, err := w.Create(file)
		require.NoError(t, err)
		_, err = f.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.String()
}

func TestPackagesThatOtherToolsDeclareAreInstalled(t *testing.T) {
	vendored := project{
		"vendor/only_here-1.0-py3-none-any.whl": wheel(t, "only_here"),
		"tests/test_a.py":                       "import only_here\n\ndef test_a(): assert only_here.X\n", "app.py": "X = 1\n",
	}
	index := "[[tool.uv.index]]\nname = \"local\"\nurl = \"./vendor\"\nformat = \"flat\"\nexplicit = true\n[tool.uv.sources]\nonly_here = { index = \"local\" }\n"
	declared := "[project]\nname = \"a\"\nversion = \"1\"\nrequires-python = \">=3.10\"\ndependencies = [\"only_here\"]\n"
	six := project{"app.py": "\"\"\"The application.\"\"\"\n\n__version__ = \"1\"\n", "tests/test_a.py": "import six\n\ndef test_a(): assert six\n"}
	for name, files := range map[string]project{
		"an explicit index in a directory": vendored.with(project{"pyproject.toml": declared + index}),
		"the same, locked by uv":           lockedByUV(t, vendored.with(project{"pyproject.toml": declared + index})),
		"links of uv":                      vendored.with(project{"pyproject.toml": declared + "[tool.uv]\nfind-links = [\"./vendor\"]\n"}),
		"flit's own tables": six.with(project{"pyproject.toml": "[build-system]\nrequires = [\"flit_core<4\"]\nbuild-backend = \"flit_core.buildapi\"\n" +
			"[tool.flit.metadata]\nmodule = \"app\"\nauthor = \"A\"\nrequires = [\"six\"]\n"}),
		"an environment of tox": six.with(project{"tox.ini": "[testenv:test]\ndeps = six\n"}),
		"uv's older table":      six.with(project{"pyproject.toml": "[project]\nname = \"a\"\nversion = \"1\"\n[tool.uv]\ndev-dependencies = [\"six\"]\n"}),
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, files, func(_ runner.Runner, in *testrun.Input) { in.Config.Test.Coverage.Total = 0 })
			for _, p := range r.Stage.Problems {
				t.Log(p.Cause, p.Details)
			}
			assert.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Cause)
		})
	}
}

// What the newest pytest and its plugins do, counted once a test.
func TestTheNewestPytestIsCountedAsItCounts(t *testing.T) {
	skipping := "import pytest\n\ndef test_s(subtests):\n    for i in range(3):\n        with subtests.test(i=i):\n            if i == 2: pytest.skip('no')\n\n" +
		"def test_x(subtests):\n    with subtests.test():\n        pytest.xfail('later')\n"
	again := "N = [0]\n\ndef test_r(subtests):\n    N[0] += 1\n    for i in range(2):\n        with subtests.test(i=i):\n            assert N[0] > 1\n"
	stopping := "def test_a(): assert 0\n\ndef test_b(): assert 0\n\ndef test_c(): pass\n\ndef test_d(): pass\n"
	for name, c := range map[string]struct{ more, ini, tests, counts, code, warned string }{
		"subtests that skip or are expected to fail":  {"", "", skipping, "2: 2 passed", "", ""},
		"the same in workers":                         {"", "-n 2", skipping, "2: 2 passed", "", ""},
		"reruns of a test with subtests":              {"pytest-rerunfailures\n", "--reruns 2", again, "1: 0 passed, 1 flaky", "", testrun.FlakyTests.Name},
		"the same reruns in workers":                  {"pytest-rerunfailures\n", "--reruns 2 -n 2", again, "1: 0 passed, 1 flaky", "", testrun.FlakyTests.Name},
		"a stop at the first failure":                 {"", "-x", stopping, "", testrun.TestsFailed.Name, ""},
		"a stop at the first failure, in workers":     {"", "-x -n 2", stopping, "", testrun.TestsFailed.Name, ""},
		"a stop at the second failure, in one worker": {"", "--maxfail 2 -n 1", stopping, "", testrun.TestsFailed.Name, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, project{
				"requirements-test.txt": "pytest==9.2.0\npytest-cov==7.1.0\npytest-xdist==3.8.0\n" + c.more, "pytest.ini": "[pytest]\naddopts = " + c.ini + "\n",
				"app.py": "X = 1\n", "tests/test_a.py": "import app\n" + c.tests,
			}, func(_ runner.Runner, in *testrun.Input) { in.Config.Test.Coverage.Total = 0 })
			assert.Equal(t, c.code, r.Stage.Code, r.Stage.Cause)
			if c.counts != "" {
				assert.Contains(t, r.Stage.Evidence[0].Value, c.counts)
			}
			if c.warned != "" {
				assert.Contains(t, codes(r.Stage.Warnings), c.warned)
			}
		})
	}
}
