package engine

import (
	"context"
	"strings"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// gpuSupport is what the engine's error says when it was started without support for GPUs.
const gpuSupport = "_EXPERIMENTAL_DAGGER_GPU_SUPPORT"

// withGPUs gives a container all GPUs of the engine's machine.
func withGPUs(ctr *dagger.Container) *dagger.Container {
	// NVIDIA's container toolkit mounts only the libraries that these need.
	return ctr.WithEnvVariable("NVIDIA_DRIVER_CAPABILITIES", "compute,utility").ExperimentalWithAllGPUs()
}

// findGPU returns a problem of runner.CodeGPUMissing unless a container gets a GPU. It asks before
// the environment is made, which may take minutes.
func (r *Runner) findGPU(ctx context.Context, python string) error {
	look := withGPUs(r.client.Container().From(r.Image(python))).
		// Whether there is a GPU is no property of the command, so it must not be answered from the cache.
		WithEnvVariable("OPENSTACK_RCA_FRESH", time.Now().UTC().Format(time.RFC3339Nano)).
		WithExec([]string{"sh", "-c", "ls /dev/nvidia[0-9]* /dev/dxg"}, dagger.ContainerWithExecOpts{Expect: dagger.ReturnTypeAny})
	found, err := look.Stdout(ctx)
	switch {
	case err == nil && strings.Contains(found, "/dev/"):
		return nil
	case err == nil:
		return verdict.Problemf(runner.CodeGPUMissing, "a container of the engine has no device of a GPU")
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case strings.Contains(err.Error(), gpuSupport):
		return verdict.Problemf(runner.CodeGPUMissing, "the engine was started without %s", gpuSupport)
	case strings.Contains(err.Error(), "nvidia"):
		return verdict.Problemf(runner.CodeGPUMissing, "the engine cannot give a container a GPU: %s", tail(err.Error(), 2<<10))
	}
	return environmentError(err)
}
