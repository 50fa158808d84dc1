package pipeline

import (
	"testing"

	"github.com/stretchr/testify/assert"

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
