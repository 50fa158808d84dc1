package engine

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

func TestAStepOnAGPU(t *testing.T) {
	step := runner.Step{Name: "train", Env: runner.Environment{Python: "3.11", Install: [][]string{{"uv"}}}, Args: []string{"python"}, GPU: true}
	e, r := newRunner(t, passed)
	e.Answer("stdout", "/dev/nvidia0\n")
	result, err := r.Run(t.Context(), step)
	require.NoError(t, err)
	assert.Equal(t, 0, result.ExitCode)
	assert.Contains(t, e.Queries(), "experimentalWithAllGPUs")

	for sentence, c := range map[string]struct {
		answer any
		cause  string
	}{
		"an engine without support":        {errors.New("GPU support is not enabled, set _EXPERIMENTAL_DAGGER_GPU_SUPPORT"), "started without"},
		"an engine without NVIDIA's tools": {errors.New("exec /usr/bin/nvidia-container-runtime-hook: no such file"), "cannot give a container a GPU"},
		"a machine without a device":       {"", "no device of a GPU"},
	} {
		e, r := newRunner(t, passed)
		e.Answer("stdout", c.answer)
		_, err := r.Run(t.Context(), step)
		problem := runner.Problem(err)
		require.NotNil(t, problem, "%s: %v", sentence, err)
		assert.Equal(t, runner.CodeGPUMissing.Name, problem.Code.Name, sentence)
		assert.Contains(t, problem.Cause, c.cause, sentence)
		assert.NotContains(t, e.Queries(), `"uv"`, "%s: nothing is installed before", sentence)
	}

	e, r = newRunner(t, passed)
	e.Answer("stdout", errors.New("not found"))
	_, err = r.Run(t.Context(), step)
	var env *runner.EnvironmentError
	require.ErrorAs(t, err, &env, "an image that is not there says nothing about GPUs")

	step.GPU = false
	e, r = newRunner(t, passed)
	_, err = r.Run(t.Context(), step)
	require.NoError(t, err)
	assert.NotContains(t, e.Queries(), "GPU")
}
