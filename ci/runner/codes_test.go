package runner_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestProblemsOfAnyStage(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "/scratch/model", Err: syscall.ENOSPC}
	for sentence, c := range map[string]struct {
		err         error
		code, cause string
	}{
		"a full disk":           {fmt.Errorf("export: %w", full), "NO_SPACE", "write /scratch/model"},
		"one of several errors": {errors.Join(errors.New("first"), full), "NO_SPACE", "write /scratch/model"},
		"a used up quota":       {&os.PathError{Op: "write", Path: "/home/x", Err: syscall.EDQUOT}, "NO_SPACE", "/home/x"},
		"an installation that filled the disk": {
			&runner.EnvironmentError{Command: []string{"uv"}, Output: "one\nerror: No space left on device (os error 28)\n", Err: errors.New("exit code 2")},
			"NO_SPACE", `install packages with ["uv"]: exit code 2: error: No space left on device (os error 28)`,
		},
		"a problem that the runner has named": {fmt.Errorf("run: %w", verdict.Problemf(runner.CodeOutputUnusable, "a FIFO")), "OUTPUT_UNUSABLE", "a FIFO"},
	} {
		problem := runner.Problem(c.err)
		require.NotNil(t, problem, sentence)
		assert.Equal(t, c.code, problem.Code.Name, sentence)
		assert.Contains(t, problem.Cause, c.cause, sentence)
	}
	for sentence, err := range map[string]error{
		"none":                   nil,
		"of the stage":           errors.New("no such command"),
		"another installation":   &runner.EnvironmentError{Output: "hash mismatch", Err: errors.New("exit code 1")},
		"a file that is missing": os.ErrNotExist,
	} {
		assert.Nil(t, runner.Problem(err), sentence)
	}
}
