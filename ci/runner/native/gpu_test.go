//go:build unix

package native_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

const showGPU = `echo "gpu=$CUDA_VISIBLE_DEVICES,$HIP_VISIBLE_DEVICES"`

func TestGPUsAreHiddenFromAStepThatDoesNotAsk(t *testing.T) {
	t.Setenv("CUDA_VISIBLE_DEVICES", "3")
	assert.Contains(t, run(t, open(t, options(t)), sh(showGPU)).Stdout, "gpu=-1,-1")
}

func TestAStepGetsTheGPUThatTheHostChose(t *testing.T) {
	t.Setenv("CUDA_VISIBLE_DEVICES", "3")
	t.Setenv("HIP_VISIBLE_DEVICES", "")
	opts := options(t)
	opts.GPU = func() bool { return true }
	step := sh(showGPU)
	step.GPU = true
	assert.Contains(t, run(t, open(t, opts), step).Stdout, "gpu=3,\n")
}

func TestAMachineWithoutAGPU(t *testing.T) {
	opts := options(t)
	opts.GPU = func() bool { return false }
	r := open(t, opts)
	step := installing(r, []string{"false"})
	step.GPU = true
	_, err := r.Run(t.Context(), step)
	problem := runner.Problem(err)
	require.NotNil(t, problem, "before anything is installed: %v", err)
	assert.Equal(t, runner.CodeGPUMissing.Name, problem.Code.Name)
	assert.Contains(t, problem.Cause, "/dev/nvidia")
}
