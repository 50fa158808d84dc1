//go:build unix

package filetree

import (
	"errors"
	"io/fs"
	"syscall"
)

// hasLinks reports whether a file has more than one name.
func hasLinks(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || stat.Nlink > 1
}

// isNotDir tells a path below a file, which does not exist either.
func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
