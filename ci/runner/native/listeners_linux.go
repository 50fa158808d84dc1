package native

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// listeners returns the lines of the kernel's TCP table for listening sockets of a process or its descendants. It is empty if
// there are none or they cannot be read.
func listeners(pid int) string {
	inodes := map[string]bool{}
	for _, process := range family(pid) {
		links, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(process), "fd", "*"))
		if err != nil {
			continue
		}
		for _, link := range links {
			if to, err := os.Readlink(link); err == nil {
				if inode, ok := strings.CutPrefix(to, "socket:["); ok {
					inodes[strings.TrimSuffix(inode, "]")] = true
				}
			}
		}
	}
	var found strings.Builder
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(content)) {
			// 0A is TCP_LISTEN.
			if fields := strings.Fields(line); len(fields) > 9 && fields[3] == "0A" && inodes[fields[9]] {
				found.WriteString(line)
			}
		}
	}
	return found.String()
}

// family returns a process and all its descendants.
func family(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return []int{pid}
	}
	children := map[int][]int{}
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		parent, _ := status(child)
		children[parent] = append(children[parent], child)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
