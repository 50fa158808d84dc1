package native

import (
	"fmt"
	"io/fs"
	"syscall"
)

// identity is what no program can set back after it has written to a file, or replaced it.
func identity(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d %d %d", stat.Ino, stat.Ctimespec.Sec, stat.Ctimespec.Nsec)
}
