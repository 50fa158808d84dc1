//go:build !unix

package native

import (
	"context"
	"errors"
	"io"
	"os/exec"
)

const supported = false

var errLocked = errors.New("it is locked by another process")

func ownGroup(*exec.Cmd) {}

func signalOf(error) int { return 0 }

func lock(context.Context, string, bool) (io.Closer, error) { return nil, errors.ErrUnsupported }

func tryLock(string, bool) (io.Closer, error) { return nil, errors.ErrUnsupported }
