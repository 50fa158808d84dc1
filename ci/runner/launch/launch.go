// Package launch runs one command for a runner, inside of a container or on this
// host, by a small Python script that needs nothing but the standard library of
// Python 3.10 or later: both runners then treat time limits, left-over processes,
// output and secrets in the same way.
//
// A runner writes a Spec as JSON, runs `python -I launch.py SPEC.json` with the values
// of the secrets in the environment, and reads the Result that the script wrote.
package launch

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// Script is the launcher, launch.py.
//
//go:embed launch.py
var Script string

const (
	// TailBytes is how much of the end of each stream a result holds.
	TailBytes = 64 << 10
	// MaxResultBytes bounds a result: two tails in which every byte is escaped.
	MaxResultBytes = 1 << 20
	// MaxMade is how many names of files a result holds.
	MaxMade = 200
	// DefaultTimeout is what runner.Step promises for a zero Timeout.
	DefaultTimeout = 30 * time.Minute
	// DefaultGrace is the time between the request to end and the end by force.
	DefaultGrace = 10 * time.Second
)

// Spec says what to run.
type Spec struct {
	// Args is the command; its first element is looked up in the PATH of Env.
	Args []string `json:"args"`
	// Cwd is the working directory; it must exist.
	Cwd string `json:"cwd"`
	// Env is the whole environment of the command but for the secrets.
	Env map[string]string `json:"env"`
	// TimeoutSeconds ends the command: SIGTERM to its process group, SIGKILL after
	// GraceSeconds. Zero means no limit.
	TimeoutSeconds float64 `json:"timeout_seconds"`
	// GraceSeconds is DefaultGrace when zero.
	GraceSeconds float64 `json:"grace_seconds,omitempty"`
	// Stdout and Stderr are files that receive the whole (masked) streams; empty for none.
	Stdout string `json:"stdout,omitempty"`
	Stderr string `json:"stderr,omitempty"`
	// Result is the file that receives the result.
	Result string `json:"result"`
	// SecretNames are the variables that the launcher finds in its own environment,
	// hands on to the command and masks wherever the command prints their values.
	SecretNames []string `json:"secret_names,omitempty"`
	// WatchStdin ends the command when the launcher's input ends, which it does when
	// the process that started the launcher dies, however it dies.
	WatchStdin bool `json:"watch_stdin,omitempty"`
	// Offline keeps the command from making sockets of a network, by a filter of system
	// calls (seccomp, Linux on x86-64 and arm64).
	Offline bool `json:"offline,omitempty"`
	// OwnFiles gives each file of the working directory, up to 256 MiB, contents of its own
	// if it is a hard link. Some programs refuse links, such as NLTK 3.10 for its data.
	OwnFiles bool `json:"own_files,omitempty"`
	// ListMade asks for Result.Made.
	ListMade bool `json:"list_made,omitempty"`
	// ListAltered asks for Result.Altered.
	ListAltered bool `json:"list_altered,omitempty"`
}

// Result is how the command ended.
type Result struct {
	// ExitCode is 128+N when signal N ended the command, 127 when there is no such
	// command and 126 when it cannot be executed.
	ExitCode int `json:"exit_code"`
	// TimedOut reports whether the time limit ended the command.
	TimedOut bool `json:"timed_out"`
	// Stopped reports whether the launcher was asked to end the command.
	Stopped bool `json:"stopped"`
	// NetworkOpen reports whether an offline command could reach the network, because this
	// system has no filter of system calls.
	NetworkOpen bool `json:"network_open,omitempty"`
	// Made are the files of the working directory that the command made or changed, at most MaxMade.
	Made []string `json:"made,omitempty"`
	// Altered are the Python files among the inputs that the command changed or removed, at most MaxMade.
	Altered []string `json:"altered,omitempty"`
	// Seconds is how long the command ran.
	Seconds float64 `json:"seconds"`
	// Started is when it was started, in UTC.
	Started time.Time `json:"started"`
	// Stdout and Stderr are the last TailBytes of each stream, valid UTF-8.
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
}

// Marshal checks a spec and returns the JSON for the launcher. The error lists all
// that is wrong.
func Marshal(spec Spec) ([]byte, error) {
	var wrong []error
	if len(spec.Args) == 0 || spec.Args[0] == "" {
		wrong = append(wrong, errors.New("no command"))
	}
	if spec.Cwd == "" {
		wrong = append(wrong, errors.New("no working directory"))
	}
	if spec.Result == "" {
		wrong = append(wrong, errors.New("no file for the result"))
	}
	for what, seconds := range map[string]float64{"time limit": spec.TimeoutSeconds, "grace period": spec.GraceSeconds} {
		if seconds < 0 || math.IsNaN(seconds) || math.IsInf(seconds, 0) {
			wrong = append(wrong, fmt.Errorf("a %s of %v seconds", what, seconds))
		}
	}
	for i, arg := range spec.Args {
		if strings.ContainsRune(arg, 0) || !utf8.ValidString(arg) {
			wrong = append(wrong, fmt.Errorf("argument %d contains a NUL or is not UTF-8", i))
		}
	}
	for name, value := range spec.Env {
		if err := CheckVariable(name, value); err != nil {
			wrong = append(wrong, err)
		}
		if slices.Contains(spec.SecretNames, name) {
			wrong = append(wrong, fmt.Errorf("variable %s is a secret and a plain value", name))
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("describe command: %w", errors.Join(wrong...))
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("describe command: %w", err)
	}
	return data, nil
}

// CheckVariable refuses what cannot be in an environment. The error does not show the
// value: it may be a secret.
func CheckVariable(name, value string) error {
	switch {
	case name == "" || strings.ContainsAny(name, "=\x00"):
		return fmt.Errorf("variable %q: the name is empty or contains = or NUL", name)
	case strings.ContainsRune(value, 0) || !utf8.ValidString(value):
		return fmt.Errorf("variable %s: the value contains a NUL or is not UTF-8", name)
	}
	return nil
}

// Parse reads a result. It refuses what the launcher cannot have written: a step may
// have damaged the file.
func Parse(data []byte) (*Result, error) {
	if len(data) > MaxResultBytes {
		return nil, fmt.Errorf("parse result: %d bytes, at most %d", len(data), MaxResultBytes)
	}
	var raw struct {
		ExitCode *int       `json:"exit_code"`
		Started  *time.Time `json:"started"`
	}
	result := &Result{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(result); err != nil {
		return nil, fmt.Errorf("parse result: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse result: something follows it")
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("parse result: %w", err)
	}
	var wrong []error
	if raw.ExitCode == nil || result.ExitCode < 0 || result.ExitCode > 255 {
		wrong = append(wrong, errors.New("the exit code is missing or not of 0 to 255"))
	}
	if raw.Started == nil || result.Started.IsZero() {
		wrong = append(wrong, errors.New("the time of the start is missing"))
	}
	if result.Seconds < 0 {
		wrong = append(wrong, errors.New("the duration is negative"))
	}
	if len(result.Stdout) > TailBytes || len(result.Stderr) > TailBytes {
		wrong = append(wrong, fmt.Errorf("a stream has more than %d bytes", TailBytes))
	}
	if len(result.Made) > MaxMade || len(result.Altered) > MaxMade {
		wrong = append(wrong, fmt.Errorf("more than %d names of files", MaxMade))
	}
	for _, name := range slices.Concat(result.Made, result.Altered) {
		if !fs.ValidPath(name) {
			wrong = append(wrong, fmt.Errorf("%q is no path below the working directory", name))
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("parse result: %w", errors.Join(wrong...))
	}
	result.Started = result.Started.UTC()
	return result, nil
}

// ReadFile reads and parses a result file. A missing file is fs.ErrNotExist: the
// launcher was ended before it could write one.
func ReadFile(path string) (result *Result, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read result: %w", errors.Join(err, fs.ErrInvalid))
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxResultBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	return Parse(data)
}

// Runner returns the result as a stage sees it.
func (r Result) Runner(outputs runner.Files) *runner.Result {
	return &runner.Result{
		ExitCode: r.ExitCode, TimedOut: r.TimedOut, Seconds: r.Seconds, Started: r.Started,
		Stdout: r.Stdout, Stderr: r.Stderr, NetworkOpen: r.NetworkOpen, Made: r.Made, Altered: r.Altered, Outputs: outputs,
	}
}
