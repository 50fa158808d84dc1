//go:build unix

package trainstage_test

import (
	"context"
	_ "embed"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

//go:embed testdata/build_keras.py
var buildKeras []byte

// What the oldest and the newest of the pinned versions write for their public classes and
// operations is taken; names.json was read out of their source only.
func TestWhatKerasWritesIsTaken(t *testing.T) {
	reachable.Python(t)
	if testing.Short() {
		t.Skip("installing Keras takes a minute; run without -short")
	}
	r, err := native.New(native.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.Background())) })
	for _, version := range []string{"3.10.0", "3.15.1"} {
		result, err := r.Run(t.Context(), runner.Step{
			Name: "build " + version,
			Env: runner.Environment{Python: "3.11", Files: r.NewFiles(nil),
				Install: [][]string{{"uv", "pip", "install", "--quiet", "keras==" + version, "jax==0.10.2", "numpy==2.4.6", "scipy==1.17.1"}}},
			Inputs: []runner.Mount{{Path: ".", Files: r.NewFiles(map[string][]byte{"build_keras.py": buildKeras})}},
			Args:   []string{"python", "build_keras.py", "all.keras"}, Vars: map[string]string{"KERAS_BACKEND": "jax"},
			Outputs: []string{"all.keras"}, Timeout: 10 * time.Minute,
		})
		require.NoError(t, err)
		require.Zero(t, result.ExitCode, result.Stderr)
		made, err := strconv.Atoi(strings.TrimSpace(result.Stdout))
		require.NoError(t, err)
		assert.Greater(t, made, 400, "most of what is public was built")
		dir := t.TempDir()
		require.NoError(t, result.Outputs.Export(t.Context(), dir))
		report, err := kerasfile.Inspect(t.Context(), filepath.Join(dir, "all.keras"), kerasfile.Options{Recurrent: true})
		require.NoError(t, err)
		for _, problem := range report.Problems {
			t.Errorf("Keras %s: %s", version, problem.Cause)
		}
		assert.Equal(t, version, report.KerasVersion)
	}
}
