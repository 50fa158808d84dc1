package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// handedOver is the variable with the descriptor from which the environment is read.
	handedOver = "OPENSTACK_RCA_ENVIRONMENT_FD"
	// pipeHolds is the capacity of every pipe (16 pages of 4 KiB).
	pipeHolds = 64 << 10
)

// hideEnvironment keeps the steps of a run, which are processes of the same user, from
// reading the variables of this process, which the system shows to that user: it starts the
// program again without them, and passes them in a pipe. Afterwards they are in this process's
// environment as before. On Linux, other processes of the user cannot read its memory and
// descriptors either; those of root can.
//
// After an error steps can read the variables; everything else works.
func hideEnvironment() error {
	if fd := os.Getenv(handedOver); fd != "" {
		protectMemory()
		return takeOver(fd)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	hidden, shown := split(os.Environ())
	if len(hidden) == 0 {
		protectMemory()
		return nil
	}
	content, err := json.Marshal(hidden)
	if err != nil {
		return fmt.Errorf("hand the environment over: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("hand the environment over: %w", err)
	}
	// A user with very many pipes may get smaller ones.
	if err = w.SetWriteDeadline(time.Now().Add(time.Second)); err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, w.Close()); err == nil {
		var fd int
		// A copy that stays open in the next program.
		if fd, err = syscall.Dup(int(r.Fd())); err == nil {
			err = syscall.Exec(program, os.Args, append(shown, handedOver+"="+strconv.Itoa(fd)))
			err = errors.Join(err, syscall.Close(fd))
		}
	}
	return fmt.Errorf("start over with a hidden environment: %w", errors.Join(err, r.Close()))
}

// split divides variables into those for the pipe and those that stay in place: those that hold
// no secret, so that a start without one costs nothing, and the longest, if there are too many.
func split(environ []string) (hidden, shown []string) {
	sorted := slices.SortedStableFunc(slices.Values(environ), func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	size := len("[]")
	for _, pair := range sorted {
		if harmless(pair) {
			shown = append(shown, pair)
			continue
		}
		// No byte of a string takes more than six in JSON.
		quoted, err := json.Marshal(pair)
		size += len(quoted) + 1
		if err != nil || size > pipeHolds {
			shown = append(shown, pair)
		} else {
			hidden = append(hidden, pair)
		}
	}
	return hidden, shown
}

var (
	// shownNames are variables of a shell that say who works where, and those that Go reads
	// before the program starts.
	shownNames = regexp.MustCompile(`^(?:COLORTERM|DEBIAN_FRONTEND|EDITOR|HOME|HOSTNAME|LANG|LANGUAGE|LC_[A-Z]+|LOGNAME|LS_COLORS|NAME|` +
		`PAGER|PATH|SHELL|TERM|TZ|USER|XDG_SESSION_TYPE|GO(?:COVERDIR|DEBUG|GC|MAXPROCS|MEMLIMIT|TRACEBACK))$`)
	smallNumber = regexp.MustCompile(`^[0-9]{0,6}$`)
)

// harmless reports whether a variable, as NAME=value, cannot hold a secret: by its name, or as
// its value is a small number, a truth value or the path of a file, which every process can see.
func harmless(pair string) bool {
	name, value, _ := strings.Cut(pair, "=")
	if shownNames.MatchString(name) || smallNumber.MatchString(value) || value == "true" || value == "false" {
		return true
	}
	if !strings.HasPrefix(value, "/") {
		return false
	}
	_, err := os.Stat(value)
	return err == nil
}

// takeOver puts the variables that were handed over into the environment.
func takeOver(descriptor string) error {
	if err := os.Unsetenv(handedOver); err != nil {
		return err
	}
	fd, err := strconv.Atoi(descriptor)
	if err != nil || fd < 3 {
		return fmt.Errorf("take the environment over: %s is no descriptor of ours: %q", handedOver, descriptor)
	}
	file := os.NewFile(uintptr(fd), "environment")
	content, err := io.ReadAll(io.LimitReader(file, pipeHolds))
	var pairs []string
	if err = errors.Join(err, file.Close()); err == nil {
		err = json.Unmarshal(content, &pairs)
	}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		err = errors.Join(err, os.Setenv(name, value))
	}
	if err != nil {
		return fmt.Errorf("take the environment over: %w", err)
	}
	return nil
}
