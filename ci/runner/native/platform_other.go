//go:build !linux && !darwin

package native

import (
	"errors"
	"io"
	"io/fs"
	"os/exec"
)

const supported = false

var errLocked = errors.New("it is locked by another process")

func ownGroup(*exec.Cmd) {}

func signalOf(error) int { return 0 }

func tryLock(string) (io.Closer, error) { return nil, errors.ErrUnsupported }

func isOurs(fs.FileInfo) bool { return false }

func identity(fs.FileInfo) string { return "" }
