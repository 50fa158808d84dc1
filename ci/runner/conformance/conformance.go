// Package conformance is the suite that every real runner passes: what package runner
// promises, as tests that run Python. A runner's own tests call Suite.
package conformance

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// Options say what can be tested where the suite runs.
type Options struct {
	// Python is the version of all environments; "3.11" when empty.
	Python string
	// Packages is whether a Python package index can be reached.
	Packages bool
	// Source makes a directory of this host a tree of the runner; nil leaves the tests
	// of it out.
	Source func(t *testing.T, dir string) runner.Files
	// Cache is a directory of this host in which no secret may be found; empty leaves
	// the search out.
	Cache string
	// Alive reports whether a process that a step has seen by this id still runs; nil
	// leaves the tests of left-over processes out.
	Alive func(pid int) bool
}

// suite is what all tests share.
type suite struct {
	runner runner.Runner
	opts   Options
	// nonce differs in each run of the suite, so that no result comes from an earlier run's cache.
	nonce string
}

// Suite tests the runner that open returns. The runner is opened once and used by all tests
// in sequence; open registers its cleanup.
func Suite(t *testing.T, open func(t *testing.T) runner.Runner, opts Options) {
	t.Helper()
	if opts.Python == "" {
		opts.Python = "3.11"
	}
	nonce := [8]byte{}
	_, err := rand.Read(nonce[:])
	require.NoError(t, err)
	s := &suite{runner: open(t), opts: opts, nonce: hex.EncodeToString(nonce[:])}
	t.Run("files", s.files)
	t.Run("steps", s.steps)
	t.Run("limits", s.limits)
	t.Run("secrets", s.secrets)
	t.Run("cache", s.cache)
	t.Run("environments", s.environments)
	t.Run("services", s.services)
}

// python is a step that runs a Python program in an environment without packages.
func (s *suite) python(program string) runner.Step {
	return runner.Step{
		Name: "conformance",
		Env:  runner.Environment{Python: s.opts.Python},
		Args: []string{"python", "-c", program},
		Vars: map[string]string{"NONCE": s.nonce},
	}
}

// run runs a step that can be run.
func (s *suite) run(t *testing.T, step runner.Step) *runner.Result {
	t.Helper()
	result, err := s.runner.Run(t.Context(), step)
	require.NoError(t, err)
	require.NotNil(t, result)
	return result
}

// succeed runs a step whose command succeeds.
func (s *suite) succeed(t *testing.T, step runner.Step) *runner.Result {
	t.Helper()
	result := s.run(t, step)
	require.Equal(t, 0, result.ExitCode, "stdout: %s\nstderr: %s", result.Stdout, result.Stderr)
	return result
}

func (s *suite) texts(contents map[string]string) runner.Files {
	all := make(map[string][]byte, len(contents))
	for name, text := range contents {
		all[name] = []byte(text)
	}
	return s.runner.NewFiles(all)
}

func names(t *testing.T, files runner.Files) []string {
	t.Helper()
	list, err := files.List(t.Context())
	require.NoError(t, err)
	return list
}

func read(t *testing.T, files runner.Files, name string) string {
	t.Helper()
	content, err := files.Read(t.Context(), name, 1<<20)
	require.NoError(t, err)
	return string(content)
}

func digest(t *testing.T, files runner.Files) string {
	t.Helper()
	sum, err := files.Digest(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, sum)
	return sum
}

// gone waits until a process that was killed has left the process table.
func (s *suite) gone(t *testing.T, pid int) {
	t.Helper()
	assert.Eventually(t, func() bool { return !s.opts.Alive(pid) }, 10*time.Second, 20*time.Millisecond, "process %d is still there", pid)
}

// search looks for a text in all files below a directory.
func search(t *testing.T, dir, text string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	require.NoError(t, err)
	return found
}
