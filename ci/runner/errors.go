package runner

import (
	"errors"
	"fmt"
)

// ErrTooLarge is returned by Files.Read for a file above the limit.
var ErrTooLarge = errors.New("file is larger than allowed")

// EnvironmentError is the error of a step whose environment could not be made: the interpreter
// is missing or an installation failed.
type EnvironmentError struct {
	// Command is the failed installation command, or empty.
	Command []string
	// Output is the end of what it printed.
	Output string
	// Err is the cause.
	Err error
}

// Error implements error.
func (e *EnvironmentError) Error() string {
	if len(e.Command) == 0 {
		return fmt.Sprintf("make environment: %v", e.Err)
	}
	return fmt.Sprintf("install packages with %q: %v", e.Command, e.Err)
}

// Unwrap returns the cause.
func (e *EnvironmentError) Unwrap() error { return e.Err }

// StartError is the error of a service that did not become ready.
type StartError struct {
	// Service is the service's name.
	Service string
	// Logs are its last lines.
	Logs string
	// Alive is set if its process was still running when the time was over.
	Alive bool
	// Sockets are the listening sockets of its processes, as lines of the kernel's table
	// /proc/net/tcp; empty where the runner cannot know. Port is where it should listen.
	Sockets string
	Port    int
	// Err is the cause.
	Err error
}

// Error implements error.
func (e *StartError) Error() string {
	return fmt.Sprintf("start service %s: %v", e.Service, e.Err)
}

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// FileError is the error of an entry that a tree cannot hold: a pipe, a socket, a link that
// leads out of the tree, or an unreadable file.
type FileError struct {
	// Path is relative to the tree, slash-separated.
	Path string
	// Err is the cause.
	Err error
}

// Error implements error.
func (e *FileError) Error() string { return fmt.Sprintf("take %s: %v", e.Path, e.Err) }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }
