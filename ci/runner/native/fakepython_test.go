//go:build unix

package native_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
)

// TestMain lets this binary stand in for the programs that the runner starts, so that
// its own decisions are tested without Python and without a network: a Python that can
// say its version, make environments and launch commands, pip, and uv. What real ones
// do is tested in tests/runner.
func TestMain(m *testing.M) {
	uv := filepath.Base(os.Args[0]) == "uv"
	if uv || (len(os.Args) > 1 && os.Args[1] == "-I") {
		endAtOnce()
	}
	if uv {
		os.Exit(fakeUV(os.Args[1:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "-I" {
		os.Exit(fakePython(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// endAtOnce starts this stand-in over with GORACE set, unless it is: a program built with
// the race detector sleeps a second before it ends, and the tests start hundreds.
func endAtOnce() {
	if os.Getenv("GORACE") != "" {
		return
	}
	self, err := os.Executable()
	if err == nil {
		err = syscall.Exec(self, os.Args, append(os.Environ(), "GORACE=atexit_sleep_ms=0"))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// fakeVersion is the version that the fake interpreter claims; its file name may end
// in another one, as in "python-3.9.1".
func fakeVersion() string {
	if _, version, ok := strings.Cut(filepath.Base(os.Args[0]), "-"); ok {
		return version
	}
	return "3.11.7"
}

func fakePython(args []string) int {
	switch {
	case args[0] == "-c":
		if strings.HasSuffix(os.Args[0], "broken") {
			return complain("no such version")
		}
		fmt.Printf("[%q, %s]", os.Args[0], strings.ReplaceAll(fakeVersion(), ".", ", "))
		return 0
	case args[0] == "listen":
		listener, err := net.Listen("tcp4", args[1])
		if err != nil {
			return complain(err.Error())
		}
		for {
			connection, err := listener.Accept()
			if err = errors.Join(err, connection.Close()); err != nil {
				return complain(err.Error())
			}
		}
	case slices.Contains(args, "venv"):
		return fakeVenv(args[len(args)-1])
	case slices.Contains(args, "pip"):
		if os.Getenv("PIP_INDEX_URL") == "http://127.0.0.1:1/none" {
			return complain("no matching distribution")
		}
		return link(os.Args[0], filepath.Join(filepath.Dir(os.Args[0]), "uv"))
	case strings.HasSuffix(args[len(args)-1], "spec.json"):
		return fakeLaunch(args[len(args)-1])
	}
	return complain("unexpected arguments: " + strings.Join(args, " "))
}

func fakeVenv(dir string) int {
	if strings.Contains(os.Args[0], "novenv") {
		return complain("No module named venv")
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		return complain(err.Error())
	}
	return link(os.Args[0], filepath.Join(dir, "bin", "python"))
}

// fakeUV writes what it was told and in which environment into that environment.
func fakeUV(args []string) int {
	if slices.Contains(args, "fail") {
		return complain("hash mismatch")
	}
	if args[0] == "cache" { // prune
		if err := os.RemoveAll(filepath.Join(os.Getenv("UV_CACHE_DIR"), "wheels")); err != nil {
			return complain(err.Error())
		}
		return 0
	}
	told, err := json.Marshal(map[string]any{"args": args, "env": os.Environ()})
	if err != nil {
		return complain(err.Error())
	}
	venv := os.Getenv("VIRTUAL_ENV")
	err = errors.Join(
		os.WriteFile(filepath.Join(venv, "uv.json"), told, 0o600),
		os.Mkdir(filepath.Join(venv, "lib"), 0o755), os.WriteFile(filepath.Join(venv, "lib", "six.py"), []byte("six"), 0o644))
	if err != nil {
		return complain(err.Error())
	}
	return 0
}

// fakeLaunch is the launcher without what is tested with the real one.
func fakeLaunch(file string) int {
	data, err := os.ReadFile(file)
	var spec launch.Spec
	if err = errors.Join(err, json.Unmarshal(data, &spec)); err != nil {
		return complain(err.Error())
	}
	var env []string
	for name, value := range spec.Env {
		env = append(env, name+"="+value)
		if name == "PATH" {
			if err := os.Setenv("PATH", value); err != nil {
				return complain(err.Error())
			}
		}
	}
	for _, name := range spec.SecretNames {
		env = append(env, name+"="+os.Getenv(name))
	}
	if slices.Contains(spec.Args, "no-result") {
		return complain("killed")
	}
	var stdout, stderr strings.Builder
	cmd := exec.Command(spec.Args[0], spec.Args[1:]...)
	cmd.Dir, cmd.Env = spec.Cwd, env
	cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &stdout), io.MultiWriter(os.Stderr, &stderr)
	result := launch.Result{Started: time.Now().UTC()}
	if err := cmd.Start(); err != nil {
		return complain(err.Error())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// How the command ended is in its ProcessState.
		_ = cmd.Wait()
	}()
	closed := make(chan struct{})
	// A stubborn one does not end its command when it is told to.
	if spec.WatchStdin && !slices.Contains(spec.Args, "stubborn") {
		go func() {
			// However the input ends, it ends.
			_, _ = io.Copy(io.Discard, os.Stdin)
			close(closed)
		}()
	}
	var limit <-chan time.Time
	if spec.TimeoutSeconds > 0 {
		limit = time.After(time.Duration(spec.TimeoutSeconds * float64(time.Second)))
	}
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-closed:
			closed, result.Stopped = nil, true
			_ = cmd.Process.Kill()
		case <-limit:
			limit, result.TimedOut = nil, true
			_ = cmd.Process.Kill()
		}
	}
	result.ExitCode = cmd.ProcessState.ExitCode()
	if result.ExitCode < 0 {
		result.ExitCode = 137
	}
	result.Seconds = time.Since(result.Started).Seconds()
	result.Stdout, result.Stderr = stdout.String(), stderr.String()
	data, err = json.Marshal(result)
	if err = errors.Join(err, os.WriteFile(spec.Result, data, 0o600)); err != nil {
		return complain(err.Error())
	}
	return 0
}

func link(target, name string) int {
	if err := os.Symlink(target, name); err != nil {
		return complain(err.Error())
	}
	return 0
}

func complain(text string) int {
	fmt.Fprintln(os.Stderr, text)
	return 1
}
