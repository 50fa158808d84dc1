package assembly

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
)

// Host is a pipeline on this host.
type Host struct {
	// Backend is what the pipeline runs on.
	Backend pipeline.Backend

	runner *native.Runner
}

// OnHost makes a pipeline of the source directory at path. What runs prints to log.
// The caller closes it.
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
	host.Backend = pipeline.Backend{Runner: r, Source: source, WorkDir: work}
	host.Backend.Import = func(dir string) (runner.Files, error) { return native.Source(dir), nil }
	host.Backend.Changes = func(ctx context.Context, since string) (changed, removed []string, err error) {
		return hostChanges(ctx, path, since)
	}
	host.Backend.ServeApp = func(ctx context.Context, request pipeline.ImageRequest) *pipeline.ImageResult {
		return serveApp(ctx, r, request)
	}
	return host, nil
}

// Files opens a further directory, such as a data set.
func (h *Host) Files(path string) (runner.Files, error) {
	if err := checkDir(path); err != nil {
		return nil, fmt.Errorf("open --data: %w", err)
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

// Close ends what still runs and removes temporary files.
func (h *Host) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return h.runner.Close(ctx)
}

// Hurry ends what is told to end at once: somebody has interrupted the run a second time.
func (h *Host) Hurry() { h.runner.Hurry() }

// TargetFromEnvironment reads where to publish from the variables that the pipeline
// document names. The sandbox does not use it.
func TargetFromEnvironment(getenv func(string) string) publish.Target {
	secret := func(name string) runner.Secret {
		if getenv(name) == "" {
			return nil
		}
		return envSecret{name, getenv}
	}
	return publish.Target{
		TrackingURI: getenv("MLFLOW_TRACKING_URI"), ArtifactRoot: getenv("MLFLOW_ARTIFACT_ROOT"),
		S3Endpoint: getenv("MLFLOW_S3_ENDPOINT_URL"), Region: getenv("AWS_DEFAULT_REGION"),
		AccessKey: secret("AWS_ACCESS_KEY_ID"), SecretKey: secret("AWS_SECRET_ACCESS_KEY"), SessionToken: secret("AWS_SESSION_TOKEN"),
		MLflowUsername: secret("MLFLOW_TRACKING_USERNAME"), MLflowPassword: secret("MLFLOW_TRACKING_PASSWORD"), MLflowToken: secret("MLFLOW_TRACKING_TOKEN"),
	}
}

// EnvironmentSecret is a secret in a variable of this process's environment.
func EnvironmentSecret(name string, getenv func(string) string) runner.Secret {
	return envSecret{name, getenv}
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
