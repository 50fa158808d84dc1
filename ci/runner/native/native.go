// Package native runs steps as processes on this host: an environment is a virtual
// environment in a cache directory, a step gets a scratch directory with copies of its
// inputs. It is a convenience for one machine without an engine. It isolates a step
// from mistakes, not from malice: a step runs as the user who started it.
package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Options adjust a Runner. The zero value is good for use.
type Options struct {
	// CacheDir holds environments, tools and results of earlier steps;
	// openstack-rca in the user's cache directory when empty.
	CacheDir string
	// Log receives the live output of steps and services, each line with the name of
	// its step in front; nil for none.
	Log io.Writer
	// PythonFor names the interpreter for a version such as "3.11"; nil or an empty
	// answer looks for one on this host.
	PythonFor func(version string) string
	// GPU reports whether this machine has a GPU; nil looks for the devices.
	GPU func() bool
	// Grace is the time between the request to end and the end by force;
	// launch.DefaultGrace when zero.
	Grace time.Duration
	// KeptBytes limits the size of all results that are kept for later runs; 2 GiB when zero.
	// The environments that are kept may have five times as much.
	KeptBytes int64
}

// Runner is a runner.Runner on this host. It is safe for concurrent use. Close it.
type Runner struct {
	opts Options
	log  *lineLog
	// temp holds scratch directories and the outputs of steps until Close.
	temp string
	// alive is the lock on temp; without the lock, temp would be removed as that of a killed process.
	alive io.Closer
	// hurry is closed when commands are killed instead of stopped.
	hurry    chan struct{}
	hurrying sync.Once

	environments *environments
	results      *results

	mu       sync.Mutex
	warnings []runner.Warning
	services []*runner.Running
	ports    map[int]bool
}

var (
	_ runner.Runner    = (*Runner)(nil)
	_ runner.Talkative = (*Runner)(nil)
)

// New returns a runner. It returns an error if this system is not supported or a directory
// cannot be made.
func New(opts Options) (*Runner, error) {
	if !supported {
		return nil, errors.New("start native runner: it needs Linux or macOS")
	}
	if opts.CacheDir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find cache directory: %w", err)
		}
		opts.CacheDir = filepath.Join(base, "openstack-rca")
	}
	cache, err := filepath.Abs(opts.CacheDir)
	if err != nil {
		return nil, fmt.Errorf("find cache directory: %w", err)
	}
	opts.CacheDir = cache
	if opts.Grace == 0 {
		opts.Grace = launch.DefaultGrace
	}
	if opts.KeptBytes == 0 {
		opts.KeptBytes = keptBytes
	}
	for _, part := range []string{"env", "tools", "steps"} {
		if err := os.MkdirAll(filepath.Join(cache, part), 0o700); err != nil {
			return nil, fmt.Errorf("make cache directory: %w", err)
		}
	}
	temp, lock, err := makeTemp()
	if err != nil {
		return nil, err
	}
	adopt()
	r := &Runner{
		opts: opts, temp: temp, alive: lock, hurry: make(chan struct{}), log: &lineLog{w: opts.Log},
		results: &results{dir: filepath.Join(cache, "steps"), temp: temp, limit: opts.KeptBytes}, ports: map[int]bool{},
	}
	r.environments = &environments{host: r, interpreters: map[string]*interpreter{}}
	return r, nil
}

// Source is a directory of this host as a tree for steps. It is read when it is
// needed; links that lead out of it are refused when a step would see them.
func Source(dir string) *filetree.Tree { return filetree.Dir(dir) }

// Name implements runner.Runner.
func (r *Runner) Name() string { return "native" }

// NewFiles implements runner.Runner.
func (r *Runner) NewFiles(contents map[string][]byte) runner.Files { return filetree.New(contents) }

// Redact implements runner.Talkative.
func (r *Runner) Redact(hide func(string) string) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.log.redact = hide
}

// Warnings implements runner.Talkative.
func (r *Runner) Warnings() []runner.Warning {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.warnings)
}

func (r *Runner) warn(code verdict.Code, format string, args ...any) {
	warning := runner.Warning{Code: code, Text: fmt.Sprintf(format, args...)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.warnings, warning) {
		r.warnings = append(r.warnings, warning)
	}
}

// Close stops all services and removes everything but the cache. The outputs of steps
// cannot be read afterwards.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	services := r.services
	r.services = nil
	r.mu.Unlock()
	errs := make([]error, len(services))
	var stopping sync.WaitGroup
	for i, running := range services {
		stopping.Go(func() {
			if err := running.Stop(ctx); err != nil {
				errs[i] = fmt.Errorf("stop service %s: %w", running.Name, err)
			}
		})
	}
	stopping.Wait()
	return errors.Join(append(errs, r.environments.close(), removeAll(r.temp), r.alive.Close())...)
}

// Hurry kills commands that are being stopped, now or later, without a grace period. It does
// not stop commands itself: the context and Close do.
func (r *Runner) Hurry() { r.hurrying.Do(func() { close(r.hurry) }) }

// WorkDir makes a directory that lasts until Close, for the caller's own files.
func (r *Runner) WorkDir() (string, error) {
	dir, err := os.MkdirTemp(r.temp, "files-")
	if err != nil {
		return "", fmt.Errorf("make work directory: %w", err)
	}
	return dir, nil
}

// scratch makes a directory for one command: work, home and tmp are below it.
func (r *Runner) scratch(kind string) (string, error) {
	dir, err := os.MkdirTemp(r.temp, kind+"-")
	if err != nil {
		return "", fmt.Errorf("make scratch directory: %w", err)
	}
	for _, part := range []string{"work", "home", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, part), 0o700); err != nil {
			return "", fmt.Errorf("make scratch directory: %w", err)
		}
	}
	return dir, nil
}

// place makes the tree that a command finds in its working directory.
func place(mounts []runner.Mount) runner.Files {
	var tree runner.Files = filetree.New(nil)
	for _, m := range mounts {
		if m.Files != nil {
			tree = tree.With(m.Path, m.Files)
		}
	}
	return tree
}

// addresses returns the replacer of {{name}} placeholders.
func addresses(services map[string]*runner.Running, more map[string]string) *strings.Replacer {
	var pairs []string
	for name, running := range services {
		pairs = append(pairs, "{{"+name+"}}", running.Inside)
	}
	for name, value := range more {
		pairs = append(pairs, "{{"+name+"}}", value)
	}
	return strings.NewReplacer(pairs...)
}

// removeAll removes a tree even if a command made its directories read-only.
//
// Mounted file systems are never deleted: if one cannot be unmounted, the directory stays.
func removeAll(dir string) error {
	if _, err := unmountBelow(dir); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	// The next removal reports the same error in more detail.
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return err
	})
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}
