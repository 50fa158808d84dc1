package assembly

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/supply"
)

// Host is a pipeline on this host.
type Host struct {
	// Backend is what the pipeline runs on.
	Backend pipeline.Backend

	runner *native.Runner
}

// OnHost returns the pipeline of the source directory at path. Steps print to log. The caller
// closes it.
func OnHost(path string, log io.Writer) (*Host, error) {
	if err := checkDir(path); err != nil {
		return nil, fmt.Errorf("open --source: %w", err)
	}
	source := native.Source(path)
	r, err := native.New(native.Options{Log: log})
	if err != nil {
		return nil, err
	}
	work, err := r.WorkDir()
	if err != nil {
		return nil, errors.Join(err, r.Close(context.Background()))
	}
	host := &Host{runner: r}
	host.Backend = pipeline.Backend{Runner: r, Source: source.Readable(), WorkDir: work, Again: runner.Again{Source: path}}
	host.Backend.Unusable = func(ctx context.Context, exclude []string) error {
		_, err := source.Filter(nil, exclude).List(ctx)
		return err
	}
	host.Backend.Import = func(dir string) (runner.Files, error) { return native.Source(dir), nil }
	host.Backend.Root = func(context.Context) ([]string, error) { return rootOf(path) }
	host.Backend.Above = func() string { return configAbove(path) }
	host.Backend.Changes = func(ctx context.Context, since string) (changed, removed []string, err error) {
		return hostChanges(ctx, path, since)
	}
	host.Backend.Patch = func(ctx context.Context, since string) (string, error) { return hostPatch(ctx, path, since) }
	host.Backend.History = gitHistory(path)
	host.Backend.Tool = once(hostTool)
	host.Backend.Memory = func() supply.Memory { return folder(filepath.Join(filepath.Dir(cacheDir()), "found")) }
	host.Backend.AdvisoriesURL = AdvisoriesURL
	host.Backend.Advisories = dailyAdvisories(AdvisoriesURL, cacheDir())
	host.Backend.ImageAdvisories = onceFile(dailyGrype(GrypeURL, cacheDir()))
	host.Backend.ServeApp = func(ctx context.Context, request pipeline.ImageRequest) *pipeline.ImageResult {
		return serveApp(ctx, r, request)
	}
	return host, nil
}

// Files opens a further directory, such as a data set, that a flag names.
func (h *Host) Files(flag, path string) (runner.Files, error) {
	if err := checkDir(path); err != nil {
		return nil, fmt.Errorf("open --%s: %w", flag, err)
	}
	return native.Source(path), nil
}

func checkDir(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", path)
	}
	return nil
}

// Close stops what still runs and removes temporary files.
func (h *Host) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return h.runner.Close(ctx)
}

// Hurry kills what is still stopping, after a second interrupt.
func (h *Host) Hurry() { h.runner.Hurry() }

// rootOf lists the entries of a directory; directories end in a slash.
func rootOf(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	return names, nil
}

// Variables reads the arguments that are variables of an environment. Its secrets are
// registered for masking.
type Variables struct {
	getenv  func(string) string
	secrets *pipeline.Secrets
}

// FromEnvironment reads variables with getenv and registers the secrets among them.
func FromEnvironment(getenv func(string) string, secrets *pipeline.Secrets) Variables {
	return Variables{getenv, secrets}
}

// Target is where to publish, from the variables of the pipeline document. The sandbox does not
// use it.
func (v Variables) Target() publish.Target {
	return publish.Target{
		TrackingURI: v.getenv("MLFLOW_TRACKING_URI"), ArtifactRoot: v.getenv("MLFLOW_ARTIFACT_ROOT"),
		S3Endpoint: v.getenv("MLFLOW_S3_ENDPOINT_URL"), Region: v.getenv("AWS_DEFAULT_REGION"),
		AccessKey: v.Secret("AWS_ACCESS_KEY_ID"), SecretKey: v.Secret("AWS_SECRET_ACCESS_KEY"), SessionToken: v.Secret("AWS_SESSION_TOKEN"),
		// Reports may name users: masking a short name would mask much else.
		MLflowUsername: v.variable("MLFLOW_TRACKING_USERNAME"),
		MLflowPassword: v.Secret("MLFLOW_TRACKING_PASSWORD"), MLflowToken: v.Secret("MLFLOW_TRACKING_TOKEN"),
	}
}

// Registry is the login of the image's registry.
func (v Variables) Registry() pipeline.RegistryOptions {
	return pipeline.RegistryOptions{Username: v.variable("DOCKER_USERNAME"), Password: v.Secret("DOCKER_PASSWORD")}
}

// Secret is the secret in a variable; nil when the variable is empty or unset.
func (v Variables) Secret(name string) runner.Secret { return v.secrets.Keep(v.variable(name)) }

func (v Variables) variable(name string) runner.Secret {
	if v.getenv(name) == "" {
		return nil
	}
	return envSecret{name, v.getenv}
}

// envSecret is a secret in a variable of this process's environment.
type envSecret struct {
	name   string
	getenv func(string) string
}

// Name implements runner.Secret.
func (s envSecret) Name() string { return s.name }

// Plaintext implements runner.Secret.
func (s envSecret) Plaintext(context.Context) (string, error) { return s.getenv(s.name), nil }

// Adopt is a server that runs already, at tcp://host:port or host:port. It is the caller's to
// stop.
func Adopt(name, address string) (*runner.Running, error) {
	place := strings.TrimPrefix(address, "tcp://")
	if host, port, err := net.SplitHostPort(place); err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("%q is not an address such as tcp://127.0.0.1:5000", address)
	}
	return &runner.Running{
		Name: name, Address: place, Inside: place,
		Logs: func() string { return "" }, Stop: func(context.Context) error { return nil },
	}, nil
}
