package native

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
)

const (
	// format is part of every cache key. Change it whenever environments or results are made differently.
	format = "2"
	// installTimeout limits one installation command.
	installTimeout = 30 * time.Minute
)

// environments creates the environments of steps and services, each in a slot of the cache, and provides uv, which installs
// packages into them.
type environments struct {
	host *Runner

	mu           sync.Mutex
	interpreters map[string]*interpreter
	// changed counts environments that steps or services modified.
	changed atomic.Int64
	// installer is uv's slot; nil until it is needed.
	installing sync.Mutex
	installer  *slot
}

// close releases the installer.
func (e *environments) close() error {
	e.installing.Lock()
	defer e.installing.Unlock()
	if e.installer == nil {
		return nil
	}
	err := e.installer.lock.Close()
	e.installer = nil
	return err
}

// environment describes a step's environment. Equal environments have the same key.
type environment struct {
	key string
	// label names its installation in the log.
	label   string
	base    *interpreter
	files   runner.Files
	install [][]string
	// path has the directories of system commands and, if the environment asks for them, of the host's compilers.
	path string
}

// describe finds the interpreter of the environment of a step or service and computes its key.
func (e *environments) describe(ctx context.Context, name string, env runner.Environment) (*environment, error) {
	base, err := e.python(ctx, env.Python)
	if err != nil {
		return nil, environmentError(err)
	}
	e.host.checkSystem(ctx, env.System)
	described := &environment{label: runner.InstallFor + name, base: base, files: env.Files, install: env.Install, path: systemPath}
	if env.Compiler {
		described.path = strings.Join(append([]string{systemPath}, compilers(ctx)...), ":")
	}
	if described.files == nil {
		described.files = filetree.New(nil)
	}
	if env.Last != nil {
		described.files = described.files.With(".", env.Last)
	}
	digest, err := described.files.Digest(ctx)
	if err != nil {
		return nil, environmentError(fmt.Errorf("read installation files: %w", err))
	}
	described.key, err = keyOf(format, base.path, base.String(), digest, env.Install, runner.UVLock, described.path)
	return described, environmentError(err)
}

// acquire returns a slot with the environment. The caller owns it until release.
func (e *environments) acquire(ctx context.Context, env *environment) (*slot, error) {
	works := func(dir string) bool { return isProgram(filepath.Join(binaries(dir), "python")) }
	s, err := e.take(ctx, filepath.Join("env", env.key), works, func(dir string) error { return e.make(ctx, env, dir) })
	return s, environmentError(err)
}

// binaries returns the directory of programs of an environment in a slot.
func binaries(dir string) string { return filepath.Join(dir, "venv", "bin") }

// make creates an environment in its final place, because its scripts contain the absolute path of their interpreter.
func (e *environments) make(ctx context.Context, env *environment, dir string) error {
	work, venv := filepath.Join(dir, "files"), filepath.Join(dir, "venv")
	if err := env.files.Export(ctx, work); err != nil {
		return fmt.Errorf("write installation files: %w", err)
	}
	vars := map[string]string{"PATH": binaries(dir) + ":" + env.path, "VIRTUAL_ENV": venv}
	if len(env.install) > 0 {
		uv, err := e.uv(ctx, env.base)
		if err != nil {
			return err
		}
		vars["PATH"] = binaries(dir) + ":" + uv + ":" + env.path
	}
	// Without pip, like the engine's environments; uv installs.
	empty := []string{env.base.path, "-I", "-m", "venv", "--without-pip", venv}
	for _, command := range slices.Concat([][]string{empty}, env.install) {
		if command[0] == "uv" && slices.Contains(command, "--quiet") {
			e.host.log.say(env.label, runner.Installing) // uv will not
		}
		if err := e.install(ctx, env.label, env.base, work, vars, command); err != nil {
			return err
		}
	}
	if len(env.install) > 0 {
		e.trimUV(ctx, env.base, work, vars)
	}
	return nil
}

// trimUV prunes uv's cache once it is larger than all kept environments may be together, because uv has no limit of its own.
// It leaves a cache alone that the user configured.
func (e *environments) trimUV(ctx context.Context, base *interpreter, work string, vars map[string]string) {
	var total int64
	err := filepath.WalkDir(filepath.Join(e.host.opts.CacheDir, "uv"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil { // another process may be cleaning it
			return fs.SkipDir
		}
		if entry.IsDir() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return ctx.Err()
	})
	if err != nil || os.Getenv("UV_CACHE_DIR") != "" || total <= keptEnvironments*e.host.opts.KeptBytes {
		return
	}
	// If another process is installing, pruning is left to the next environment.
	now := maps.Clone(vars)
	now["UV_LOCK_TIMEOUT"] = "1"
	if err := e.install(ctx, "install", base, work, now, []string{"uv", "cache", "prune", "--ci", "--quiet"}); err != nil {
		e.host.log.say("environment", "uv's cache could not be made smaller: "+err.Error())
	}
}

// uv returns the directory of the pinned uv, and installs it if necessary. Its slot is held until Close and verified before
// each use.
func (e *environments) uv(ctx context.Context, base *interpreter) (string, error) {
	e.installing.Lock()
	defer e.installing.Unlock()
	works := func(dir string) bool { return isProgram(filepath.Join(dir, "bin", "uv")) }
	if e.installer != nil {
		if changed, err := e.installer.changes(); err == nil && len(changed) == 0 && works(e.installer.dir) {
			return filepath.Join(e.installer.dir, "bin"), nil
		}
		if err := e.installer.lock.Close(); err != nil {
			return "", fmt.Errorf("unlock uv: %w", err)
		}
		e.installer = nil
	}
	// uv is a standalone program: it does not matter which Python installed it.
	key, err := keyOf(format, runner.UVLock)
	if err != nil {
		return "", err
	}
	e.installer, err = e.take(ctx, filepath.Join("tools", "uv-"+key), works, func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "uv.lock"), []byte(runner.UVLock), 0o600); err != nil {
			return fmt.Errorf("write lock file: %w", err)
		}
		venv, bin := filepath.Join(dir, "venv"), filepath.Join(dir, "bin")
		for _, command := range [][]string{
			{base.path, "-I", "-m", "venv", venv},
			{filepath.Join(venv, "bin", "python"), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
				"--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", "uv.lock"},
		} {
			if err := e.install(ctx, "install", base, dir, map[string]string{"PATH": systemPath}, command); err != nil {
				return err
			}
		}
		// A directory with nothing but uv in it, because this environment's python must not be on a path.
		if err := os.Mkdir(bin, 0o700); err != nil {
			return fmt.Errorf("place uv: %w", err)
		}
		if err := os.Symlink(filepath.Join("..", "venv", "bin", "uv"), filepath.Join(bin, "uv")); err != nil {
			return fmt.Errorf("place uv: %w", err)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(e.installer.dir, "bin"), nil
}

// install runs one command of an installation in a directory; label is its name in the log.
func (e *environments) install(
	ctx context.Context, label string, base *interpreter, work string, more map[string]string, command []string,
) error {
	dir, err := e.host.scratch("install")
	if err != nil {
		return err
	}
	vars, secrets := installVariables(os.Environ(), e.host.opts.CacheDir, filepath.Join(dir, "tmp"))
	maps.Copy(vars, more)
	name := label
	if !slices.ContainsFunc(command, func(arg string) bool { return arg == "uv" || arg == "pip" || arg == "venv" }) {
		name = strings.Replace(label, "install", "prepare", 1) // a program of the environment, such as a server that creates its database
	}
	result, err := e.host.execute(ctx, name, base, dir, launch.Spec{
		Args: command, Cwd: work, Env: vars, TimeoutSeconds: installTimeout.Seconds(),
	}, secrets)
	if err := errors.Join(err, removeAll(dir)); err != nil {
		return &runner.EnvironmentError{Command: command, Err: err}
	}
	switch {
	case result.TimedOut:
		err = fmt.Errorf("it took longer than %s", installTimeout)
	case result.ExitCode == 0:
		return nil
	default:
		err = fmt.Errorf("exit code %d", result.ExitCode)
	}
	output := strings.TrimSpace(result.Stderr + "\n" + result.Stdout)
	if strings.Contains(output, "ensurepip") || strings.Contains(output, "No module named venv") {
		err = fmt.Errorf("%w; the Python at %s lacks its venv module (Debian and Ubuntu: the package python3-venv)", err, base.path)
	}
	return &runner.EnvironmentError{Command: command, Output: output[max(0, len(output)-8<<10):], Err: err}
}

// isProgram reports whether a path, or the target of a link, is an executable file. The interpreter that an environment was
// made from may have been removed.
func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// keyOf returns a cache key for everything that an entry depends on.
func keyOf(parts ...any) (string, error) {
	data, err := json.Marshal(parts)
	if err != nil {
		return "", fmt.Errorf("make cache key: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16]), nil
}
