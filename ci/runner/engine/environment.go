package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// SystemCAs is the bundle of trusted certificates in Debian-like images. The engine adds the
// host's certificates to it. Programs with a bundle of their own are pointed there, or they
// would fail behind a company proxy.
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

// WithoutTrustUpdate removes update-ca-certificates from a container.
//
// An engine with certificates of its own, as behind a company proxy, adds them to every
// container and removes them again. It runs this command each time, if there is one, which
// costs a second of processor time. Without it the engine appends them to the bundle, which
// is what everything here reads: SystemCAs. Not for containers that install packages of the
// distribution, whose own scripts may need the command.
func WithoutTrustUpdate(ctr *dagger.Container) *dagger.Container {
	return ctr.WithoutFile("/usr/sbin/update-ca-certificates")
}

// images makes the base containers of environments.
type images struct {
	client *dagger.Client
	// index and image are those of Options.
	index *dagger.Secret
	image func(python string) string
	// vars are the variables of the images, by Python version.
	vars sync.Map
}

// Image is the base image for a Python version.
func (i *images) Image(python string) string {
	if i.image != nil {
		return i.image(python)
	}
	return "python:" + python + "-slim"
}

// Base is a container with a Python version, uv, and an empty virtual environment active in
// /venv. Nothing of a project is in it, so all projects share it.
func (i *images) Base(python string) *dagger.Container { return i.BaseOn("", python) }

// searchPath is PATH in an environment: the environment's own programs come first.
const searchPath = "/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"

// BaseOn is Base for a platform, the engine's own when empty, with packages of Debian; see WithSystem.
func (i *images) BaseOn(platform dagger.Platform, python string, system ...string) *dagger.Container {
	return i.baseFrom(platform, i.Image(python), system)
}

// compilerImage is the base image with a C compiler, which the slim images lack. An image
// from Options is used as it is.
func (i *images) compilerImage(python string) string {
	if i.image != nil {
		return i.image(python)
	}
	return strings.TrimSuffix(i.Image(python), "-slim")
}

// installSystem installs packages of Debian and leaves nothing of apt behind. What it makes gets one fixed time, as
// in the scripts of the image, so that an image of the same packages is the same whenever it is made.
const installSystem = `set -eu
touch /tmp/.begun
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /var/cache/ldconfig/aux-cache \
	/var/log/apt /var/log/dpkg.log /var/log/alternatives.log /var/cache/debconf/*-old /var/lib/dpkg/*-old
find / -xdev -newer /tmp/.begun ! -type l -exec touch -d @315532800 {} +
rm /tmp/.begun
touch -d @315532800 /tmp`

// systemCommand is how a failed installation of packages of Debian is named.
var systemCommand = []string{"apt-get", "install", "--no-install-recommends"}

// WithSystem installs packages of Debian, as apt names them, in a container of an image that has apt. It installs
// from what the index has today: the engine caches it, and the digest of an image names the result.
func WithSystem(ctr *dagger.Container, names []string) *dagger.Container {
	if len(names) == 0 {
		return ctr
	}
	return ctr.WithExec(append([]string{"sh", "-c", installSystem, systemCommand[0]}, names...))
}

func (i *images) baseFrom(platform dagger.Platform, image string, system []string) *dagger.Container {
	from := WithSystem(i.client.Container(dagger.ContainerOpts{Platform: platform}).From(image), system)
	return i.WithoutIndex(i.WithIndex(WithSystemCAs(WithoutTrustUpdate(from))).
		WithNewFile("/opt/uv.lock", runner.UVLock).
		// uv must not come from a cache that untrusted code can write to: no cache mount here.
		WithExec([]string{"python", "-m", "venv", "/opt/uv"}).
		WithExec([]string{"/opt/uv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
			"--no-cache-dir", "--require-hashes", "-r", "/opt/uv.lock"}).
		WithExec([]string{"/opt/uv/bin/uv", "venv", "--quiet", "--python", "python3", "/venv"}).
		WithExec([]string{"ln", "-s", "/opt/uv/bin/uv", "/usr/local/bin/uv"})).
		WithEnvVariable("VIRTUAL_ENV", "/venv").
		WithEnvVariable("PATH", searchPath)
}

// WithDownloadCache mounts uv's download cache for a Python version. It only saves time:
// installations check hashes. Bytecode is compiled at installation, because a container
// loses what it compiles when it ends.
func (i *images) WithDownloadCache(ctr *dagger.Container, python string) *dagger.Container {
	return ctr.
		// One after the other: two that begin together would both download what they share, and keep it twice.
		WithMountedCache("/root/.cache/uv", i.client.CacheVolume("openstack-rca-uv-"+python),
			dagger.ContainerWithMountedCacheOpts{Sharing: dagger.CacheSharingModeLocked}).
		WithEnvVariable("UV_LINK_MODE", "copy").
		WithEnvVariable("UV_COMPILE_BYTECODE", "1")
}

// indexVariables are the variables that pip and uv read the address of their index from.
var indexVariables = []string{"PIP_INDEX_URL", "UV_DEFAULT_INDEX"}

// WithIndex lets installations use the index that was given.
func (i *images) WithIndex(ctr *dagger.Container) *dagger.Container {
	if i.index != nil {
		for _, name := range indexVariables {
			ctr = ctr.WithSecretVariable(name, i.index)
		}
	}
	return ctr
}

// WithoutIndex undoes WithIndex: what runs in the environment must not see the index.
func (i *images) WithoutIndex(ctr *dagger.Container) *dagger.Container {
	if i.index != nil {
		for _, name := range indexVariables {
			ctr = ctr.WithoutSecretVariable(name)
		}
	}
	return ctr
}

// environment returns Base with the packages of an environment installed. The engine caches it.
func (r *Runner) environment(ctx context.Context, env runner.Environment) (*dagger.Container, error) {
	image := r.Image(env.Python)
	if env.Compiler {
		image = r.compilerImage(env.Python)
	}
	ctr := r.baseFrom("", image, env.System)
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
		for i, command := range env.Install {
			if env.Last != nil && i == len(env.Install)-1 {
				last, err := r.Directory(env.Last)
				if err != nil {
					return nil, &runner.EnvironmentError{Err: err}
				}
				ctr = ctr.WithDirectory("/env", last)
			}
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

// environmentError wraps an error as a *runner.EnvironmentError, with the end of what the
// failed installation printed.
func environmentError(err error) error {
	var exec *dagger.ExecError
	if errors.As(err, &exec) {
		command := exec.Cmd
		if len(command) > 3 && command[2] == installSystem {
			command = slices.Concat(systemCommand, command[4:])
		}
		return &runner.EnvironmentError{
			Command: command, Output: tail(exec.Stderr+exec.Stdout, 8<<10), Err: fmt.Errorf("exit code %d", exec.ExitCode),
		}
	}
	return &runner.EnvironmentError{Err: err}
}

// execOutput returns the end of what a failed command of the engine printed.
func execOutput(err error) string {
	var exec *dagger.ExecError
	if errors.As(err, &exec) {
		return tail(exec.Stdout+exec.Stderr, 8<<10)
	}
	return ""
}

// tail returns the last n bytes of text.
func tail(text string, n int) string { return text[max(0, len(text)-n):] }
