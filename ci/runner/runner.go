// Package runner is the seam between what a stage runs and where it runs.
//
// A stage describes a Step: a Python environment, the files the step may see, a
// command, and the outputs it must leave. A Runner executes it: package engine in
// cached containers of a Dagger engine, package native as processes on this host.
// The seam is deliberately small. What a stage needs of Dagger beyond it (images),
// it takes from Dagger itself.
package runner

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Runner executes steps and services.
type Runner interface {
	// Name is "engine" or "native".
	Name() string

	// NewFiles makes a tree of the given contents, keyed by slash-separated relative path.
	NewFiles(contents map[string][]byte) Files

	// Run executes one step and returns what it left, whatever its exit code.
	// An error means that the step could not be run at all: no environment, no
	// engine, a cancelled context. It never means that the command failed.
	Run(ctx context.Context, step Step) (*Result, error)

	// Start starts a service and returns when it accepts connections. The caller stops it.
	Start(ctx context.Context, service Service) (*Running, error)
}

// Warning is what a reader of the report should know about how steps were run.
type Warning struct {
	Code verdict.Code
	Text string
}

// Talkative is a Runner that shows the live output of steps and services, and that has
// warnings about the machine they ran on. The native runner is one; in containers there is
// nothing to warn of, and the engine shows the output itself.
type Talkative interface {
	// Redact sets what hides the secrets of the run in the live output.
	Redact(hide func(string) string)
	// Warnings returns, once each, what has been found so far.
	Warnings() []Warning
}

// Files is an immutable tree of files, held wherever its runner keeps files. A tree
// of one runner means nothing to another.
type Files interface {
	// Filter keeps what matches one of the include patterns (everything if there are no
	// include patterns) and no exclude pattern. Patterns are doublestar globs over
	// slash-separated relative paths; a pattern that names a directory takes all below it.
	Filter(include, exclude []string) Files

	// Sub is the tree below a directory of this tree.
	Sub(path string) Files

	// With overlays another tree of the same runner at path ("." for the root).
	With(path string, other Files) Files

	// List returns the relative paths of all regular files, sorted.
	List(ctx context.Context) ([]string, error)

	// Read returns one file. A missing file is fs.ErrNotExist; one of more than
	// limit bytes is ErrTooLarge, and is not read.
	Read(ctx context.Context, path string, limit int64) ([]byte, error)

	// Size is the number of bytes of one file. A missing file is fs.ErrNotExist.
	Size(ctx context.Context, path string) (int64, error)

	// Export writes the tree into a directory of this process's file system,
	// creating it if need be.
	Export(ctx context.Context, dir string) error

	// Digest identifies the content: paths, modes' executable bits and bytes, not
	// times or owners. The same content has the same digest in every session of
	// the same runner.
	Digest(ctx context.Context) (string, error)
}

// Where a runner has a live log, the lines of an installation begin with InstallFor and the name of the step or service
// that needs it. Installing is a line of the runner's own where the installer says nothing.
const (
	InstallFor = "install for "
	Installing = "installing packages"
)

// Step is one command in one environment.
type Step struct {
	// Name says what the step does, for progress and traces: "pytest", "train".
	Name string

	// Env is the Python environment the command runs in.
	Env Environment

	// Inputs are all the files the command sees, placed in its working directory.
	Inputs []Mount

	// Args is the command. "python" is the environment's interpreter. In an
	// argument and in Vars, {{NAME}} stands for the address host:port of the
	// service bound under that name.
	Args []string

	// Vars is the whole environment of the command besides PATH, HOME, TMPDIR,
	// LANG and the variables that say where the system's CA certificates are, and on a host
	// those that choose among its GPUs. Nothing else of the host's environment is inherited.
	Vars map[string]string

	// Path and PythonPath are directories of the working directory that the variables of
	// these names begin with; the runner makes them absolute. PYTHONPATH of Vars follows.
	Path, PythonPath []string

	// Secrets are environment variables whose values must not be logged or cached.
	Secrets map[string]Secret

	// Services are started services that the command may talk to, by name.
	Services map[string]*Running

	// Needs are services that are started for this step alone and stopped after it.
	// The command reaches them by their names, as it does Services. They do not keep
	// a step from being answered from the cache: then they are not started at all.
	Needs []Service

	// Outputs are the paths, relative to the working directory, that the step may
	// leave: files or directories. What is missing afterwards is missing in
	// Result.Outputs; whether that is a failure is for the stage to judge.
	Outputs []string

	// Timeout ends the command and all its children. Zero means 30 minutes.
	Timeout time.Duration

	// Offline refuses the command every connection: sockets of a network cannot be made,
	// by it or its children. Those between processes of one machine (AF_UNIX) can. Where
	// the system has no means for it, Result.NetworkOpen says so. It does not go with
	// Services and Needs.
	Offline bool

	// ListMade asks for Result.Made.
	ListMade bool

	// ListAltered asks for Result.Altered.
	ListAltered bool

	// GPU lets the command use the GPUs of the machine. Where there are none, Run ends with a
	// problem of CodeGPUMissing before anything is installed.
	GPU bool

	// Fresh, when not empty, makes the step run again for each different value
	// instead of being answered from the cache.
	Fresh string
}

// Environment is a Python interpreter with packages installed from lock files.
// Equal environments are made once.
type Environment struct {
	// Python is the version, "3.11".
	Python string

	// Files are the files the installation reads (lock files), and nothing else:
	// a change of any of them makes a new environment.
	Files Files

	// System are the packages of Debian that it needs besides, as apt names them. On a host they must be
	// there already.
	System []string

	// Compiler asks for a C compiler besides. On a host it is the host's own, with that of Rust if there is one.
	Compiler bool

	// Install are the commands that install the packages, run in a directory that
	// holds Files. "uv" and "python" are on the path, the environment is active.
	// Example: {"uv", "pip", "install", "--require-hashes", "-r", "train.lock"}.
	Install [][]string

	// Last are further files, which only the last command reads: an engine keeps what the
	// commands before it made for all environments that begin with them.
	Last Files
}

// Mount places a tree in the working directory of a step or service.
type Mount struct {
	// Path is relative to the working directory; "." is the directory itself.
	Path string
	// Files is the tree to place there.
	Files Files
}

// Secret is a value that is fetched only where it is used.
type Secret interface {
	// Name identifies the secret in messages; it is not secret.
	Name() string
	// Plaintext returns the value. Do not log, return or store it.
	Plaintext(ctx context.Context) (string, error)
}

// Result is what a step left.
type Result struct {
	// ExitCode is the command's exit code; 128+N when signal N ended it.
	ExitCode int
	// TimedOut reports whether the time limit ended the command.
	TimedOut bool
	// Seconds is how long the command took when it ran, not how long a cached answer took.
	Seconds float64
	// Started is when the command ran, in UTC.
	Started time.Time
	// Stdout and Stderr are the last 64 KiB of each stream.
	Stdout, Stderr string
	// NetworkOpen reports whether an Offline step could reach the network, because this system
	// has no filter of system calls.
	NetworkOpen bool
	// Made are the files of the working directory that a ListMade step made or changed, declared as outputs or not:
	// slash-separated relative paths, those nearest to the root first, at most 200, without hidden ones and caches.
	Made []string
	// Altered are the Python files among the inputs that a ListAltered step changed or removed: slash-separated
	// relative paths, sorted, at most 200, without those in hidden folders.
	Altered []string
	// Outputs holds those of Step.Outputs that exist.
	Outputs Files
}

// Service is a server that steps, or this process, talk to.
type Service struct {
	// Name is the name under which steps reach it.
	Name string
	// Env, Inputs, Args and Vars are as in Step. In Args and Vars {{port}} stands for
	// the port to listen on and {{bind}} for the address to listen on.
	Env    Environment
	Inputs []Mount
	Args   []string
	Vars   map[string]string
	// Path and PythonPath are as in Step.
	Path, PythonPath []string
	// Services are started services that this one talks to, as in Step.
	Services map[string]*Running
	// Port is the preferred port; the native runner takes a free one instead, unless neither Args nor Vars hold {{port}}.
	Port int
	// Ready is an HTTP path that answers below 400 once the service serves; empty
	// means that an accepted TCP connection is enough.
	Ready string
	// StartTimeout bounds the start. Zero means 90 seconds.
	StartTimeout time.Duration
	// Waiting is called about once a second while the service is not ready, with the listening sockets of its processes as
	// in StartError.Sockets, and the port on which it should listen. True ends the start: it can never be ready. A runner
	// that does not know the sockets never calls it; nil waits.
	Waiting func(sockets string, port int) (hopeless bool)
}

// Running is a started service.
type Running struct {
	// Name is the service's name.
	Name string
	// Started is when its process was started, after its environment was made. It is zero
	// where the runner does not know.
	Started time.Time
	// Address is host:port as this process reaches it.
	Address string
	// Inside is host:port as steps reach it that have it among their Services.
	Inside string
	// Logs returns the last lines the service printed, as far as the runner has them.
	Logs func() string
	// Ended reports whether its process has ended by itself, and how. It is nil where the
	// runner does not know.
	Ended func() (ending string, ended bool)
	// Stop ends the service. It is safe to call twice.
	Stop func(ctx context.Context) error
	// Handle is the runner's own; stages do not touch it.
	Handle any
}

// Search is the value of a search path: dirs below a working directory, then what was there.
func Search(workdir string, dirs []string, then string) string {
	all := make([]string, 0, len(dirs)+1)
	for _, dir := range dirs {
		all = append(all, path.Join(workdir, dir))
	}
	if then != "" {
		all = append(all, then)
	}
	return strings.Join(all, ":")
}
