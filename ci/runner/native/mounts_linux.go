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
	// detach is MNT_DETACH of umount2(2): also one that something still uses is gone from here.
	detach = 2
	// noFollow is UMOUNT_NOFOLLOW.
	noFollow = 8
)

// unmountBelow takes away what a step has mounted at or below a directory, as root or by FUSE, and returns
// where. To remove a directory through a mount would remove what is mounted: folders of the user, a bucket.
func unmountBelow(dir string) (found []string, err error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no /proc: whoever made such a place knows what is in it
	}
	if err != nil {
		return nil, fmt.Errorf("look for mounts: %w", err)
	}
	resolved, err := filepath.EvalSymlinks(dir) // the kernel names a mount without links
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for mounts: %w", err)
	}
	found = mountsBelow(string(content), resolved)
	// The last one lies on top.
	for _, at := range slices.Backward(found) {
		if err := syscall.Unmount(at, detach|noFollow); err != nil {
			return found, fmt.Errorf("unmount %s: %w", at, err)
		}
	}
	return found, nil
}

// mountsBelow are the mount points at or below a directory, in the order in which they were mounted.
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

// unescaped undoes what the kernel does to blanks, line ends and backslashes of a path: \040.
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
