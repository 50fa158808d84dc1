package runner

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

var (
	// CodeNoSpace means that the disk is full.
	CodeNoSpace = verdict.Code{
		Name: "NO_SPACE", Stage: "any", Outcome: verdict.CouldNotRun,
		Meaning: "A disk is full, or a quota is used up.",
		Remedy:  "make room where the cause says; without an engine, TMPDIR and XDG_CACHE_HOME choose other disks",
	}
	// CodeOutputUnusable means that one of a step's outputs is not a regular file.
	CodeOutputUnusable = verdict.Code{
		Name: "OUTPUT_UNUSABLE", Stage: "any", Outcome: verdict.Fail,
		Meaning: "Among a step's outputs is something that cannot be kept: a FIFO, a socket, a link out of the folder, " +
			"a mounted file system, a path that is too long; or the folder is gone.",
		Remedy: "remove it at the end of the test or training that makes it, or make it below TMPDIR",
	}
	// CodeOutputTooLarge means that a step's outputs exceed the limits.
	CodeOutputTooLarge = verdict.Code{
		Name: "OUTPUT_TOO_LARGE", Stage: "any", Outcome: verdict.Fail,
		Meaning: "A step left more files, or larger ones, than the limits allow. An output that is a folder counts with everything in it.",
		Remedy:  "remove what is not needed at the end of the test or training, such as checkpoints, or write it below TMPDIR",
	}
	// CodeGPUMissing means that a step needs a GPU, but the machine has none.
	CodeGPUMissing = verdict.Code{
		Name: "GPU_MISSING", Stage: "any", Outcome: verdict.CouldNotRun,
		Meaning: "`train.gpu` asks for a GPU and the machine has none, or its Dagger engine was started without support for GPUs.",
		Remedy: "run on a machine with a GPU and its driver, with an engine that was started with _EXPERIMENTAL_DAGGER_GPU_SUPPORT=1 and " +
			"NVIDIA's container toolkit; or set train.gpu: false",
	}
)

// Codes are all codes of this package.
func Codes() []verdict.Code {
	return []verdict.Code{CodeNoSpace, CodeOutputUnusable, CodeOutputTooLarge, CodeGPUMissing}
}

// Problem returns the problem in an error of a Runner or its Files if that problem is the same for every stage, and nil if
// the stage has to judge the error.
func Problem(err error) *verdict.Problem {
	var problem *verdict.Problem
	if errors.As(err, &problem) {
		return problem
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return verdict.Problemf(CodeNoSpace, "%v", err)
	}
	var environment *EnvironmentError
	if errors.As(err, &environment) {
		for line := range strings.Lines(environment.Output) {
			if strings.Contains(line, "No space left on device") || strings.Contains(line, "Disk quota exceeded") {
				return verdict.Problemf(CodeNoSpace, "%s", fmt.Sprintf("%v: %s", environment, strings.TrimSpace(line)))
			}
		}
	}
	return nil
}
