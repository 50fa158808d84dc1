package pipeline

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

func TestThePythonIsTheOneGivenThenTheConfiguredThenTheProjects(t *testing.T) {
	files := fake.Files(map[string]string{".python-version": "3.12\n"})
	for name, c := range map[string]struct {
		content, given, want string
	}{
		"given":         {"python: \"3.11\"\n", "3.13", "3.13"},
		"configured":    {"python: \"3.11\"\n", "", "3.11"},
		"the project's": {"", "", "3.12"},
	} {
		cfg, err := config.Load([]byte(c.content), "")
		require.NoError(t, err, name)
		require.NoError(t, choosePython(t.Context(), files, &cfg, c.given), name)
		assert.Equal(t, c.want, cfg.Python, name)
	}
	cfg := config.Default()
	require.NoError(t, choosePython(t.Context(), fake.Files(map[string]string{"a.py": ""}), &cfg, ""))
	assert.Equal(t, "3.10", cfg.Python)
}
