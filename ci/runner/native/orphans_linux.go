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
	// orphansTimeout limits the wait for orphans. A process blocked in a system call on a broken disk does not end.
	orphansTimeout = 5 * time.Second
)

// adopt makes this process the parent of processes left by a killed launcher. Otherwise only the launcher could find those
// that its command started in other sessions.
func adopt() {
	// If it fails, as on a very old kernel, only an additional safety net is missing.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0)
}

// endOrphans kills what killed launchers left behind. A running launcher ends its own processes.
func endOrphans() {
	for deadline := time.Now().Add(orphansTimeout); time.Now().Before(deadline); {
		found := orphans()
		if len(found) == 0 {
			return
		}
		// Their children become ours once they are gone, so each generation takes a round.
		for _, pid := range found {
			// Both calls fail for a process that has just ended.
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
		time.Sleep(time.Millisecond)
	}
}

// orphans returns this process's children in other sessions. Processes that it starts itself share its session; a launcher
// gives its command a new session, and no descendant can join ours.
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

// status returns the parent and session of a process, or zeros if it is gone.
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
