package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

func TestInitProposesWhatIsMissing(t *testing.T) {
	source := map[string]string{"main.py": "print()\n", "tests/test_a.py": ""}
	setup := Init(t.Context(), Backend{Source: fake.Files(source)}, InitOptions{CI: "gitlab", Folder: "x", Version: "v1.2.0"})
	assert.Empty(t, setup.Failure)
	assert.Contains(t, setup.New["pipeline.yaml"], "name: x")
	assert.Contains(t, setup.New[".gitlab-ci.yml"], "openstack-rca@v1.2.0")
	for name, content := range setup.New {
		source[name] = content
	}
	again := Init(t.Context(), Backend{Source: fake.Files(source)}, InitOptions{CI: "gitlab", Folder: "x", Version: "v1.2.0"})
	assert.Empty(t, again.New)
	assert.Contains(t, again.Text, "unchanged  pipeline.yaml")
}

func TestInitSaysWhatStandsInItsWay(t *testing.T) {
	for want, c := range map[string]struct {
		files map[string]string
		ci    string
	}{
		"--ci travis: want one of azure": {map[string]string{"a.py": ""}, "travis"},
		"pipeline.yml is not read":       {map[string]string{"a.py": "", "pipeline.yml": ""}, ""},
		"pipeline.yaml/ is a directory":  {map[string]string{"a.py": "", "pipeline.yaml/x": ""}, ""},
	} {
		setup := Init(t.Context(), Backend{Source: fake.Files(c.files)}, InitOptions{CI: c.ci})
		assert.Contains(t, setup.Failure, want)
		assert.Empty(t, setup.New)
	}
	assert.Equal(t, "v1.2.0", ReleaseOf("v1.2.0"))
	assert.Empty(t, ReleaseOf("development, modified"))
	assert.Empty(t, ReleaseOf("v0.0.0-20261129-abc"))
}

// tested is what a run of one test leaves that executes a number of ten lines.
func tested(executed int, outcome string) func(runner.Step) (*runner.Result, error) {
	lines, status := "", 0
	for i := range 10 {
		hit := 0
		if i < executed {
			hit = 1
		}
		lines += fmt.Sprintf(`<line number="%d" hits="%d"/>`, i+1, hit)
	}
	body := ""
	if outcome != "passed" {
		body, status = `<failure message="assert 1 == 2">assert 1 == 2</failure>`, 1
	}
	id := "tests/test_a.py::test_a"
	left := map[string]string{
		".report/junit.xml": `<testsuites><testsuite name="pytest"><testcase classname="tests.test_a" name="test_a" file="tests/test_a.py" time="0.5">` +
			body + `</testcase></testsuite></testsuites>`,
		".report/coverage.xml": `<coverage><packages><package name="p"><classes><class filename="main.py"><methods/><lines>` + lines +
			`</lines></class></classes></package></packages></coverage>`,
		".report/htmlcov/index.html": "<html/>",
		".report/events.jsonl": fmt.Sprintf(`{"event":"session","pytest":"9","added":[]}
{"event":"collected","tests":1}
{"event":"start","id":%q}
{"event":"result","id":%q,"when":"call","outcome":%q,"seconds":0.5}
{"event":"finish","id":%q}
{"event":"end","status":%d}
`, id, id, outcome, id, status),
	}
	seal := "\nopenstack-rca: sealed"
	for _, name := range slices.Sorted(maps.Keys(left)) {
		if name = strings.TrimPrefix(name, ".report/"); !strings.Contains(name, "/") {
			sum := sha256.Sum256([]byte(left[".report/"+name]))
			seal += " " + name + "=" + hex.EncodeToString(sum[:])[:32]
		}
	}
	return func(runner.Step) (*runner.Result, error) {
		ran := fake.Result(status, left)
		ran.Stdout = seal + "\n"
		return ran, nil
	}
}

func TestInitMeasuresOnce(t *testing.T) {
	source := map[string]string{"main.py": "print()\n", "tests/test_a.py": "", "requirements.txt": "six==1.17.0\n"}
	ownFile := Init(t.Context(), Backend{Source: fake.Files(source)}, InitOptions{Folder: "x"}).New["pipeline.yaml"]
	for name, c := range map[string]struct {
		files              map[string]string
		answer             func(runner.Step) (*runner.Result, error)
		file, text, failed string
	}{
		"less than the default": {nil, tested(6, "passed"), "total: 60", "test.coverage.total: 60 (lowered from 80 (the default): one run executes 60.00% (6 of 10)", ""},
		"enough":                {nil, tested(9, "passed"), "name: x", "one run of the tests executes 90.00% (9 of 10)", ""},
		"a test fails":          {nil, tested(6, "failed"), "name: x", "how much the tests execute: FAIL test TESTS_FAILED", "TESTS_FAILED"},
		"the file is one's own": {map[string]string{"pipeline.yaml": "name: mine\n"}, tested(6, "passed"), "", "test.coverage.total: 60", ""},
		"the floor is one's own": {map[string]string{"pipeline.yaml": "test: {coverage: {total: 70}}\n"}, tested(6, "passed"), "",
			"one run of the tests executes 60.00%", ""},
		"the file is that of init": {map[string]string{"pipeline.yaml": ownFile}, tested(6, "passed"), "", "again      pipeline.yaml", ""},
		"a file that no run reads": {map[string]string{"pipeline.yaml": "test: {coverage: {total: 700}}\n"}, tested(6, "passed"), "",
			"how much the tests execute", "CONFIG_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(source)
			for path, content := range c.files {
				files[path] = content
			}
			b, r := Backend{Source: fake.Files(files), WorkDir: t.TempDir()}, fake.New()
			b.Runner = r.OnRun(c.answer)
			setup := Init(t.Context(), b, InitOptions{Folder: "x", Measure: true, Call: Options{Stages: []string{"deploy"}}})
			assert.Empty(t, setup.Failure)
			assert.Contains(t, setup.New["pipeline.yaml"], c.file)
			assert.Contains(t, setup.Text, c.text)
			if c.files["pipeline.yaml"] == ownFile {
				assert.Equal(t, ownFile, setup.Old["pipeline.yaml"])
				assert.Contains(t, setup.Again["pipeline.yaml"], "total: 60")
			} else {
				assert.Empty(t, setup.Again)
			}
			assert.NotContains(t, strings.Join(setup.Unmeasured, "\n"), "COVERAGE_BELOW", "what is reached is to be found out")
			assert.Contains(t, strings.Join(setup.Unmeasured, "\n"), c.failed)
			assert.Equal(t, c.failed == "", len(setup.Unmeasured) == 0, "%v", setup.Unmeasured)
			assert.LessOrEqual(t, len(r.Steps()), 1)
			if own := c.files["pipeline.yaml"]; strings.Contains(own, "total") {
				assert.NotContains(t, setup.Text, "test.coverage.total: 60", "one's own floor stays")
			}
		})
	}
}
