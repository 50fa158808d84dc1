package native

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
)

const (
	// format is part of every key of the cache: change it with the way environments
	// or results are made.
	format = "1"
	// keptEnvironments is how many environments stay; one of them can be gigabytes.
	keptEnvironments = 8
	// doneFile says that a directory of the cache is complete.
	doneFile = "done.json"
	// installTimeout bounds one installation command.
	installTimeout = 30 * time.Minute
)

// uvLock pins the installer by version and hash. It is the engine runner's file.
//
//go:embed uv.lock
var uvLock string

// environment is a virtual environment that is complete and stays until Close.
type environment struct {
	dir  string
	key  string
	base *interpreter
}

func (e *environment) bin() string { return filepath.Join(e.dir, "venv", "bin") }

// environment returns the virtual environment for env, making it if need be. Virtual
// environments cannot be moved (scripts name their interpreter by its absolute path),
// so it is made in its final place; a marker written last says that it is complete.
func (r *Runner) environment(ctx context.Context, env runner.Environment) (*environment, error) {
	base, err := r.python(ctx, env.Python)
	if err != nil {
		return nil, environmentError(err)
	}
	files := env.Files
	if files == nil {
		files = filetree.New(nil)
	}
	digest, err := files.Digest(ctx)
	if err != nil {
		return nil, environmentError(fmt.Errorf("read installation files: %w", err))
	}
	key, err := keyOf(format, base.path, base.String(), digest, env.Install, uvLock)
	if err != nil {
		return nil, environmentError(err)
	}
	made := &environment{dir: filepath.Join(r.opts.CacheDir, "env", key), key: key, base: base}
	fresh, err := r.complete(ctx, made.dir, func() bool { return isProgram(filepath.Join(made.bin(), "python")) }, func() error {
		return r.make(ctx, made, files, env.Install)
	})
	if err != nil {
		return nil, environmentError(err)
	}
	if fresh {
		r.pruneEnvironments()
	}
	return made, nil
}

// complete sees to it that a directory of the cache is there and whole, with a lock
// that keeps it there. fresh says that it was made now.
func (r *Runner) complete(ctx context.Context, dir string, works func() bool, make func() error) (fresh bool, err error) {
	release, err := r.only(ctx, dir)
	if err != nil {
		return false, err
	}
	defer release()
	r.mu.Lock()
	held := r.held[dir]
	r.mu.Unlock()
	if held != nil {
		if isDone(dir) && works() {
			return false, nil
		}
		// Somebody damaged it: our own lock must not keep us from making it again.
		r.mu.Lock()
		delete(r.held, dir)
		r.mu.Unlock()
		if err := held.Close(); err != nil {
			return false, fmt.Errorf("unlock %s: %w", dir, err)
		}
	}
	// Another process may remove the directory between the making and the use, once.
	for range 3 {
		shared, err := r.lock(ctx, dir, false)
		if err != nil {
			return false, err
		}
		if isDone(dir) && works() {
			touch(filepath.Join(dir, doneFile))
			r.mu.Lock()
			r.held[dir] = shared
			r.mu.Unlock()
			return fresh, nil
		}
		if err := shared.Close(); err != nil {
			return false, fmt.Errorf("unlock %s: %w", dir, err)
		}
		if err := r.makeLocked(ctx, dir, works, make); err != nil {
			return false, err
		}
		fresh = true
	}
	return false, fmt.Errorf("make %s: it does not work or disappears as soon as it is made", dir)
}

func (r *Runner) makeLocked(ctx context.Context, dir string, works func() bool, make func() error) (err error) {
	exclusive, err := r.lock(ctx, dir, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, exclusive.Close()) }()
	if isDone(dir) && works() {
		return nil
	}
	if err := removeAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make cache directory: %w", err)
	}
	if err := make(); err != nil {
		return errors.Join(err, removeAll(dir))
	}
	done := filepath.Join(dir, doneFile)
	if err := os.WriteFile(done+".partial", []byte("{}\n"), 0o600); err != nil {
		return fmt.Errorf("complete environment: %w", err)
	}
	if err := os.Rename(done+".partial", done); err != nil {
		return fmt.Errorf("complete environment: %w", err)
	}
	return nil
}

// patience is how long we wait for another process before we say so.
const patience = time.Second

// lock takes the lock of a directory of the cache and says when that takes long.
func (r *Runner) lock(ctx context.Context, dir string, exclusive bool) (io.Closer, error) {
	told := time.AfterFunc(patience, func() {
		r.log.say("environment", "waiting for another process that makes or uses "+dir)
	})
	defer told.Stop()
	return lock(ctx, dir+".lock", exclusive)
}

// only lets one goroutine at a time look at a directory of the cache.
func (r *Runner) only(ctx context.Context, dir string) (release func(), err error) {
	r.mu.Lock()
	token := r.making[dir]
	if token == nil {
		token = make(chan struct{}, 1)
		r.making[dir] = token
	}
	r.mu.Unlock()
	select {
	case token <- struct{}{}:
		return func() { <-token }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *Runner) make(ctx context.Context, env *environment, files runner.Files, install [][]string) error {
	work := filepath.Join(env.dir, "files")
	if err := files.Export(ctx, work); err != nil {
		return fmt.Errorf("write installation files: %w", err)
	}
	venv := filepath.Join(env.dir, "venv")
	path := env.bin() + ":" + systemPath
	// Without pip: the engine's environments have none either, uv installs.
	if err := r.install(ctx, env.base, work, path, nil, []string{env.base.path, "-I", "-m", "venv", "--without-pip", venv}); err != nil {
		return err
	}
	if len(install) == 0 {
		return nil
	}
	uv, err := r.uv(ctx, env.base)
	if err != nil {
		return err
	}
	path = env.bin() + ":" + uv + ":" + systemPath
	for _, command := range install {
		if err := r.install(ctx, env.base, work, path, map[string]string{"VIRTUAL_ENV": venv}, command); err != nil {
			return err
		}
	}
	return nil
}

// uv returns the directory that holds the pinned uv, installing it if need be.
func (r *Runner) uv(ctx context.Context, base *interpreter) (string, error) {
	// uv is a program of its own: which Python has installed it does not matter.
	key, err := keyOf(format, uvLock)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(r.opts.CacheDir, "tools", "uv-"+key)
	venv := filepath.Join(dir, "venv")
	bin, python := filepath.Join(dir, "bin"), filepath.Join(venv, "bin", "python")
	_, err = r.complete(ctx, dir, func() bool { return isProgram(filepath.Join(bin, "uv")) }, func() error {
		if err := os.WriteFile(filepath.Join(dir, "uv.lock"), []byte(uvLock), 0o600); err != nil {
			return fmt.Errorf("write lock file: %w", err)
		}
		for _, command := range [][]string{
			{base.path, "-I", "-m", "venv", venv},
			{python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", "uv.lock"},
		} {
			if err := r.install(ctx, base, dir, systemPath, nil, command); err != nil {
				return err
			}
		}
		// A directory with nothing but uv in it: this environment's python must not be on a path.
		if err := os.Mkdir(bin, 0o700); err != nil {
			return fmt.Errorf("place uv: %w", err)
		}
		if err := os.Symlink(filepath.Join("..", "venv", "bin", "uv"), filepath.Join(bin, "uv")); err != nil {
			return fmt.Errorf("place uv: %w", err)
		}
		return nil
	})
	return bin, err
}

// install runs one command of an installation in a directory.
func (r *Runner) install(ctx context.Context, base *interpreter, work, path string, more map[string]string, command []string) error {
	dir, err := r.scratch("install")
	if err != nil {
		return err
	}
	vars, secrets := installVariables(os.Environ(), r.opts.CacheDir, filepath.Join(dir, "tmp"))
	vars["PATH"] = path
	maps.Copy(vars, more)
	stdout, stderr := r.log.named("install"), r.log.named("install")
	p, err := r.start(base.path, dir, launch.Spec{
		Args: command, Cwd: work, Env: vars, TimeoutSeconds: installTimeout.Seconds(),
		SecretNames: slices.Sorted(maps.Keys(secrets)),
	}, secrets, stdout, stderr)
	if err != nil {
		return &runner.EnvironmentError{Command: command, Err: errors.Join(err, removeAll(dir))}
	}
	result, err := p.wait(ctx)
	<-p.done
	stdout.flush()
	stderr.flush()
	if err := errors.Join(err, removeAll(dir)); err != nil {
		return &runner.EnvironmentError{Command: command, Err: err}
	}
	if result.TimedOut {
		err = fmt.Errorf("it took longer than %s", installTimeout)
	} else if result.ExitCode != 0 {
		err = fmt.Errorf("exit code %d", result.ExitCode)
	}
	if err != nil {
		output := strings.TrimSpace(result.Stderr + "\n" + result.Stdout)
		if slices.Contains(command, "venv") {
			err = fmt.Errorf("%w; the Python at %s lacks its venv module (Debian and Ubuntu: the package python3-venv)", err, base.path)
		}
		return &runner.EnvironmentError{Command: command, Output: output[max(0, len(output)-8<<10):], Err: err}
	}
	return nil
}

// isProgram says whether a file or link still leads to a program: the interpreter that
// an environment was made from may have been removed since.
func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func isDone(dir string) bool {
	info, err := os.Lstat(filepath.Join(dir, doneFile))
	return err == nil && info.Mode().IsRegular()
}

// pruneEnvironments removes the environments that were not used for longest, except
// those that a process uses now.
func (r *Runner) pruneEnvironments() {
	done, err := filepath.Glob(filepath.Join(r.opts.CacheDir, "env", "*", doneFile))
	if err != nil {
		return
	}
	for _, file := range oldestFirst(done, keptEnvironments) {
		dir := filepath.Dir(file)
		exclusive, err := tryLock(dir+".lock", true)
		if err != nil {
			continue
		}
		// The marker goes first: half an environment must not look like one.
		if err := errors.Join(os.Remove(file), removeAll(dir), exclusive.Close()); err != nil {
			r.log.say("environment", fmt.Sprintf("an old environment could not be removed: %v", err))
		}
	}
}

// oldestFirst returns all but the newest kept of the given files.
func oldestFirst(files []string, kept int) []string {
	times := map[string]time.Time{}
	for _, file := range files {
		if info, err := os.Lstat(file); err == nil {
			times[file] = info.ModTime()
		} else if !errors.Is(err, fs.ErrNotExist) {
			times[file] = time.Time{}
		}
	}
	names := slices.SortedFunc(maps.Keys(times), func(a, b string) int { return times[a].Compare(times[b]) })
	return names[:max(0, len(names)-kept)]
}

// keyOf makes a name of the cache from everything that a thing depends on.
func keyOf(parts ...any) (string, error) {
	data, err := json.Marshal(parts)
	if err != nil {
		return "", fmt.Errorf("make cache key: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16]), nil
}
