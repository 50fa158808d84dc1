package native

import (
	"path/filepath"
	"runtime"
)

// gpuDevices are the device files of GPUs: NVIDIA's, those of AMD, and any in Windows's Linux.
var gpuDevices = []string{"/dev/nvidia[0-9]*", "/dev/kfd", "/dev/dxg"}

// gpuChoices are the variables that select GPUs. A cluster's scheduler sets them for its jobs.
var gpuChoices = []string{"CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"}

// hasGPU reports whether this machine has a GPU. Every Mac with a processor of Apple's has one.
func (r *Runner) hasGPU() bool {
	if r.opts.GPU != nil {
		return r.opts.GPU()
	}
	if runtime.GOOS == "darwin" && runtime.GOARCH == "arm64" {
		return true
	}
	for _, pattern := range gpuDevices {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// gpuVariables hide the machine's GPUs from a step that did not ask for one, as an engine's container does; otherwise its
// result would depend on the machine. A step that did gets the host's selection.
func gpuVariables(use bool, host func(string) string) map[string]string {
	vars := map[string]string{}
	for _, name := range gpuChoices {
		if !use {
			vars[name] = "-1"
		} else if choice := host(name); choice != "" {
			vars[name] = choice
		}
	}
	return vars
}
