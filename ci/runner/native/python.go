package native

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// oldest is the oldest Python that can run launch.py.
var oldest = [3]int{3, 10, 0}

// interpreter is a Python installed on this host.
type interpreter struct {
	// path is the interpreter itself, neither a shim nor a virtual environment's link.
	path    string
	version [3]int
}

func (i *interpreter) String() string {
	return fmt.Sprintf("%d.%d.%d", i.version[0], i.version[1], i.version[2])
}

// python finds the interpreter for a version: the one that Options.PythonFor names, then
// pythonX.Y on the PATH, then those that pyenv and uv installed, then python3. A python3 of
// another version is used, with a warning, if it is not older than oldest.
//
// "uv python find" cannot replace this: uv itself is installed with the interpreter that is
// found here.
func (e *environments) python(ctx context.Context, version string) (*interpreter, error) {
	wanted, err := parseVersion(version)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	known := e.interpreters[version]
	e.mu.Unlock()
	if known != nil {
		return known, nil
	}
	found, err := e.lookUp(ctx, version, wanted)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.interpreters[version] = found
	return found, nil
}

func (e *environments) lookUp(ctx context.Context, version string, wanted []int) (*interpreter, error) {
	vars := discoveryVariables(os.Environ(), e.host.opts.CacheDir)
	if e.host.opts.PythonFor != nil {
		if path := e.host.opts.PythonFor(version); path != "" {
			found, err := probe(ctx, path, vars)
			if err != nil {
				return nil, err
			}
			return found, recent(found)
		}
	}
	for _, candidate := range candidates(version) {
		found, err := probe(ctx, candidate, vars)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		// A shim whose version is missing or a broken installation: try the next one.
		if err == nil && slices.Equal(found.version[:len(wanted)], wanted) && recent(found) == nil {
			return found, nil
		}
	}
	found, err := probe(ctx, "python3", vars)
	if err == nil {
		err = recent(found)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("find Python %[1]s: %[2]w; install it (pyenv install %[1]s, uv python install %[1]s, "+
			"or your system's package python%[1]s) or put it on the PATH", version, err)
	}
	e.host.warn(CodeOtherPython, "Python %s is not installed here; the stages ran on %s from %s", version, found, found.path)
	return found, nil
}

func recent(found *interpreter) error {
	if slices.Compare(found.version[:], oldest[:]) < 0 {
		return fmt.Errorf("%s is Python %s, at least %d.%d is needed", found.path, found, oldest[0], oldest[1])
	}
	return nil
}

var versionPattern = regexp.MustCompile(`^3\.(\d{1,3})(?:\.(\d{1,3}))?$`)

// parseVersion reads "3.11" or "3.11.7".
func parseVersion(version string) ([]int, error) {
	match := versionPattern.FindStringSubmatch(version)
	if match == nil {
		return nil, fmt.Errorf("find Python %q: a version looks like 3.11", version)
	}
	wanted := []int{3}
	for _, digits := range match[1:] {
		if digits == "" {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			return nil, fmt.Errorf("find Python %q: %w", version, err)
		}
		wanted = append(wanted, n)
	}
	return wanted, nil
}

// candidates are the commands and paths to try for a version, in order of preference.
func candidates(version string) []string {
	minor := version
	if parts := strings.SplitN(version, ".", 3); len(parts) == 3 {
		minor = parts[0] + "." + parts[1]
	}
	list := []string{"python" + minor}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/nonexistent"
	}
	pyenv := os.Getenv("PYENV_ROOT")
	if pyenv == "" {
		pyenv = filepath.Join(home, ".pyenv")
	}
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		data = filepath.Join(home, ".local", "share")
	}
	for _, pattern := range []string{
		filepath.Join(pyenv, "versions", version+"*", "bin", "python"+minor),
		filepath.Join(data, "uv", "python", "cpython-"+version+"*", "bin", "python"+minor),
	} {
		// Glob fails only on a malformed pattern, such as a home directory with brackets in its name.
		matches, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		slices.Sort(matches)
		slices.Reverse(matches)
		list = append(list, matches...)
	}
	return append(list, "python3")
}

// describeItself is what an interpreter runs to print its path and version. One in a virtual
// environment names the one it was made from, which has none of its packages.
const describeItself = `import json, sys
json.dump([getattr(sys, "_base_executable", sys.executable), *sys.version_info[:3]], sys.stdout)`

// probe runs an interpreter, which may be the shim of a version manager, and reads its path
// and version. vars is its whole environment: it needs none of the pipeline's credentials.
func probe(ctx context.Context, command string, vars []string) (*interpreter, error) {
	path, err := exec.LookPath(command)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", command, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-I", "-c", describeItself)
	cmd.Env = vars
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		line, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return nil, fmt.Errorf("run %s: %w: %s", path, err, line)
	}
	found := &interpreter{}
	fields := []any{&found.path, &found.version[0], &found.version[1], &found.version[2]}
	if err := json.Unmarshal(stdout.Bytes(), &fields); err != nil {
		return nil, fmt.Errorf("run %s: read its version: %w", path, err)
	}
	if !filepath.IsAbs(found.path) {
		return nil, fmt.Errorf("run %s: %w", path, errors.New("it does not know where it is"))
	}
	return found, nil
}

// environmentError wraps an error as a *runner.EnvironmentError, which runner.Runner promises.
func environmentError(err error) error {
	var known *runner.EnvironmentError
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &runner.EnvironmentError{Err: err}
}
