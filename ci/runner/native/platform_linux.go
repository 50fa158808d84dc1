package native

import (
	"fmt"
	"io/fs"
	"syscall"
)

// identity returns what no program can restore after writing to a file or replacing it.
func identity(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d %d %d", stat.Ino, stat.Ctim.Sec, stat.Ctim.Nsec)
}
