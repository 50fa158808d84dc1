package native

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	// detach is MNT_DETACH of umount2(2), which also works for a file system that is in use.
	detach = 2
	// noFollow is UMOUNT_NOFOLLOW.
	noFollow = 8
)

// unmountBelow unmounts what a step has mounted at or below a directory, as root or with FUSE, and returns the mount points.
// Removing the directory with a mount in it would remove the mounted files: the user's directories, or a bucket.
func unmountBelow(dir string) (found []string, err error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no /proc: there is nothing to look up
	}
	if err != nil {
		return nil, fmt.Errorf("look for mounts: %w", err)
	}
	resolved, err := filepath.EvalSymlinks(dir) // the kernel lists mount points without links
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for mounts: %w", err)
	}
	found = mountsBelow(string(content), resolved)
	// The last mount lies on top.
	for _, at := range slices.Backward(found) {
		if err := syscall.Unmount(at, detach|noFollow); err != nil {
			return found, fmt.Errorf("unmount %s: %w", at, err)
		}
	}
	return found, nil
}

// mountsBelow returns the mount points at or below a directory, in the order in which they were mounted.
func mountsBelow(mountinfo, dir string) []string {
	var found []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if at := unescaped(fields[4]); at == dir || strings.HasPrefix(at, dir+"/") {
			found = append(found, at)
		}
	}
	return found
}

// unescaped reverses the kernel's escapes for blanks, line ends and backslashes in a path, such as \040.
func unescaped(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}
