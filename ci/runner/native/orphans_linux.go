package native

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	// setChildSubreaper is PR_SET_CHILD_SUBREAPER of prctl(2).
	setChildSubreaper = 36
	// orphansTimeout bounds the end of orphans: one in the middle of a call to a broken disk
	// does not end.
	orphansTimeout = 5 * time.Second
)

// adopt makes this process the parent of what a killed launcher leaves. Otherwise only the
// launcher could find what its command has started in sessions of their own.
func adopt() {
	// Without it, as in a very old kernel, only an additional safety net is missing.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0)
}

// endOrphans ends what killed launchers have left. A launcher that lives ends its own.
func endOrphans() {
	for deadline := time.Now().Add(orphansTimeout); time.Now().Before(deadline); {
		found := orphans()
		if len(found) == 0 {
			return
		}
		// Their children are ours once they are gone, so it takes a turn for each generation.
		for _, pid := range found {
			// Both fail for a process that has just ended.
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
		time.Sleep(time.Millisecond)
	}
}

// orphans are the children of this process in other sessions than its own. What this
// process starts itself shares its session; a launcher gives its command a new one, which
// no descendant can leave for ours.
func orphans() []int {
	self := os.Getpid()
	_, session := status(self)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if parent, its := status(pid); parent == self && its != session {
			found = append(found, pid)
		}
	}
	return found
}

// status returns the parent and the session of a process, zeros when it is gone.
func status(pid int) (parent, session int) {
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0
	}
	// The name, in parentheses, may contain anything.
	fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
	if len(fields) < 4 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(string(fields[1]))
	session, _ = strconv.Atoi(string(fields[3]))
	return parent, session
}
