package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// proc is where Linux shows processes. Elsewhere nothing is there, and nothing is looked at.
const proc = "/proc"

func processes() (pids []int) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// of reads a file of a process; empty when it has ended or is not ours.
func of(pid int, name string) []byte {
	content, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), name))
	if err != nil {
		return nil
	}
	return content
}

// belongs says whether a process works for a case: in its directory, or with a variable that names it.
func belongs(pid int, work string) bool {
	if cwd, err := os.Readlink(filepath.Join(proc, strconv.Itoa(pid), "cwd")); err == nil && (cwd == work || strings.HasPrefix(cwd, work+"/")) {
		return true
	}
	return bytes.Contains(of(pid, "environ"), []byte(work+"/"))
}

// alive are the processes of a case that have not ended; zombies have.
func alive(work string, except ...int) (pids []int) {
	for _, pid := range processes() {
		if pid == os.Getpid() || slices.Contains(except, pid) || !belongs(pid, work) {
			continue
		}
		if _, state, ok := strings.Cut(string(of(pid, "stat")), ") "); ok && !strings.HasPrefix(state, "Z") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// sweep names the processes that a case left, gives them a moment to end by themselves and then ends them.
func sweep(work string) (left []string) {
	for range 20 {
		if len(alive(work)) == 0 {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, pid := range alive(work) {
		command := strings.TrimSpace(strings.ReplaceAll(string(of(pid, "cmdline")), "\x00", " "))
		left = append(left, strconv.Itoa(pid)+" "+short(command, 120))
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended just now
	}
	return left
}

// watch looks at a running command: for secrets in the arguments of any process and in the variables of the
// processes it starts, and at the room it takes on the disk.
type watch struct {
	work   string
	pid    int
	search *search
	disk   bool
	// native is false on an engine: what the CLI of the engine starts has the caller's variables, and is no step.
	native bool

	stop chan struct{}
	done sync.WaitGroup
	mu   sync.Mutex
	seen []string
	peak int64
}

func watching(work string, pid int, s *search, disk, native bool) *watch {
	w := &watch{work: work, pid: pid, search: s, disk: disk, native: native, stop: make(chan struct{})}
	w.done.Go(func() {
		for {
			w.look()
			select {
			case <-w.stop:
				return
			case <-time.After(150 * time.Millisecond):
			}
		}
	})
	return w
}

func (w *watch) look() {
	own := of(w.pid, "cmdline")
	for _, pid := range processes() {
		if pid == os.Getpid() {
			continue
		}
		command := of(pid, "cmdline")
		found := w.search.in(command)
		for _, name := range found {
			w.add(name + " in the arguments of " + short(string(command), 60))
		}
		// The command itself is given the secrets by its variables; nothing that it starts is. A child
		// has the command's own arguments and variables until it executes something.
		if w.native && pid != w.pid && !bytes.Equal(command, own) && belongs(pid, w.work) {
			for _, name := range w.search.in(of(pid, "environ")) {
				// What a case places itself is the login of a package index, which installations need.
				if name == placed {
					continue
				}
				w.add(name + " in the variables of " + short(strings.ReplaceAll(string(command), "\x00", " "), 60))
			}
		}
	}
	if w.disk {
		used := diskUse(w.work)
		w.mu.Lock()
		w.peak = max(w.peak, used)
		w.mu.Unlock()
	}
}

func (w *watch) add(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.seen, what) {
		w.seen = append(w.seen, what)
	}
}

// end stops watching and returns what was seen, and the most bytes on the disk.
func (w *watch) end() ([]string, int64) {
	close(w.stop)
	w.done.Wait()
	return w.seen, w.peak
}

// diskUse is the room that a directory's files take, in bytes; holes take none.
func diskUse(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		if info, err := entry.Info(); err == nil {
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				bytes += stat.Blocks * 512
			}
		}
		return nil
	})
	return bytes
}

// short cuts a text for a line of output.
func short(text string, limit int) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > limit {
		return text[:limit] + "..."
	}
	return text
}
