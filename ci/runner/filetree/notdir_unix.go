//go:build unix

package filetree

import (
	"errors"
	"syscall"
)

// isNotDir tells a path below a file, which does not exist either.
func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
