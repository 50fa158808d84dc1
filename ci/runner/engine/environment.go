package engine

import (
	"context"
	_ "embed"
	"errors"
	"strings"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// uvLock pins the installer by version and hash.
//
//go:embed uv.lock
var uvLock string

// SystemCAs is where Debian-like images keep the trusted certificates. The engine
// adds the host's own to it; programs that bring a bundle of their own must be
// pointed there, or they fail behind a company proxy.
const SystemCAs = "/etc/ssl/certs/ca-certificates.crt"

// WithSystemCAs points pip, uv, requests and OpenSSL at the system's certificates.
func WithSystemCAs(ctr *dagger.Container) *dagger.Container {
	return ctr.
		WithEnvVariable("SSL_CERT_FILE", SystemCAs).
		WithEnvVariable("PIP_CERT", SystemCAs).
		WithEnvVariable("REQUESTS_CA_BUNDLE", SystemCAs).
		WithEnvVariable("CURL_CA_BUNDLE", SystemCAs).
		WithEnvVariable("UV_SYSTEM_CERTS", "true").
		WithEnvVariable("UV_NATIVE_TLS", "true")
}

// Image is the base image for a Python version.
func (r *Runner) Image(python string) string {
	if r.opts.Image != nil {
		return r.opts.Image(python)
	}
	return "python:" + python + "-slim"
}

// Base is the interpreter of a version with uv beside it and an empty virtual
// environment active in /venv. Nothing of a project is in it, so all share it, and none of
// its commands pays for an update of the certificate store.
func (r *Runner) Base(python string) *dagger.Container { return r.BaseOn("", python) }

// searchPath is PATH in an environment: its own programs first.
const searchPath = "/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"

// BaseOn is Base for a platform; the engine's own when empty.
func (r *Runner) BaseOn(platform dagger.Platform, python string) *dagger.Container {
	return r.baseFrom(platform, r.Image(python))
}

// compilerImage is the base image with a C compiler: the slim image of the same Python has
// none. An image that Options name is taken as it is.
func (r *Runner) compilerImage(python string) string {
	if r.opts.Image != nil {
		return r.opts.Image(python)
	}
	return strings.TrimSuffix(r.Image(python), "-slim")
}

func (r *Runner) baseFrom(platform dagger.Platform, image string) *dagger.Container {
	from := r.client.Container(dagger.ContainerOpts{Platform: platform}).From(image)
	return r.WithoutIndex(r.WithIndex(WithSystemCAs(WithoutTrustUpdate(from))).
		WithNewFile("/opt/uv.lock", uvLock).
		// uv must not come from a cache that untrusted code can write to: no cache mount here.
		WithExec([]string{"python", "-m", "venv", "/opt/uv"}).
		WithExec([]string{"/opt/uv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--require-hashes", "-r", "/opt/uv.lock"}).
		WithExec([]string{"/opt/uv/bin/uv", "venv", "--quiet", "--python", "python3", "/venv"}).
		WithExec([]string{"ln", "-s", "/opt/uv/bin/uv", "/usr/local/bin/uv"})).
		WithEnvVariable("VIRTUAL_ENV", "/venv").
		WithEnvVariable("PATH", searchPath)
}

// WithDownloadCache mounts uv's download cache for a Python version: an accelerator
// only, since installations check hashes. Compiling to bytecode at installation saves
// each later start the same work, because a container forgets what it compiled.
func (r *Runner) WithDownloadCache(ctr *dagger.Container, python string) *dagger.Container {
	return ctr.
		WithMountedCache("/root/.cache/uv", r.client.CacheVolume("openstack-rca-uv-"+python)).
		WithEnvVariable("UV_LINK_MODE", "copy").
		WithEnvVariable("UV_COMPILE_BYTECODE", "1")
}

// indexVariables are under which names pip and uv look for the address of their index.
var indexVariables = []string{"PIP_INDEX_URL", "UV_DEFAULT_INDEX"}

// WithIndex lets installations use the index that was given.
func (r *Runner) WithIndex(ctr *dagger.Container) *dagger.Container {
	if r.opts.Index != nil {
		for _, name := range indexVariables {
			ctr = ctr.WithSecretVariable(name, r.opts.Index)
		}
	}
	return ctr
}

// WithoutIndex takes it away again: what runs in the environment must not see it.
func (r *Runner) WithoutIndex(ctr *dagger.Container) *dagger.Container {
	if r.opts.Index != nil {
		for _, name := range indexVariables {
			ctr = ctr.WithoutSecretVariable(name)
		}
	}
	return ctr
}

// environment is Base with an environment's packages installed, made once and cached.
func (r *Runner) environment(ctx context.Context, env runner.Environment) (*dagger.Container, error) {
	ctr := r.Base(env.Python)
	if env.Compiler {
		ctr = r.baseFrom("", r.compilerImage(env.Python))
	}
	if len(env.Install) > 0 {
		ctr = r.WithIndex(r.WithDownloadCache(ctr, env.Python))
		if env.Files != nil {
			dir, err := r.Directory(env.Files)
			if err != nil {
				return nil, &runner.EnvironmentError{Err: err}
			}
			ctr = ctr.WithDirectory("/env", dir)
		}
		ctr = ctr.WithWorkdir("/env")
		for _, command := range env.Install {
			ctr = ctr.WithExec(command)
		}
		ctr = r.WithoutIndex(ctr.WithoutMount("/root/.cache/uv"))
	}
	ctr, err := ctr.Sync(ctx)
	if err != nil {
		return nil, environmentError(err)
	}
	return ctr, nil
}

// environmentError keeps what the failed installation printed.
func environmentError(err error) error {
	var exec *dagger.ExecError
	if errors.As(err, &exec) {
		return &runner.EnvironmentError{Command: exec.Cmd, Output: tail(exec.Stderr+exec.Stdout, 8<<10), Err: errors.New("exit code " + itoa(exec.ExitCode))}
	}
	return &runner.EnvironmentError{Err: err}
}
