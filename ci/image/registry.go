package image

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dagger.io/dagger"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/registry"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// The sandbox's registry.
const (
	// SandboxImage is the registry's image.
	SandboxImage = "registry:2"
	// SandboxPort is its port.
	SandboxPort = 5000
	// SandboxHost is its name in references. By default an engine speaks plain HTTP to
	// localhost only; its RegistryService option makes the name stand for the service.
	SandboxHost = "localhost:5000"
)

// sandbox is the registry of a run.
type sandbox struct {
	service *dagger.Service
	running *runner.Running
	session *session
}

func (s *session) openSandbox(ctx context.Context) (*sandbox, *verdict.Problem) {
	service := engine.WithoutTrustUpdate(s.client.Container().From(SandboxImage)).
		WithEnvVariable("OPENSTACK_RCA_RUN", s.id).
		WithExposedPort(SandboxPort).
		AsService(dagger.ContainerAsServiceOpts{UseEntrypoint: true})
	running, err := s.engine.Serve(ctx, "registry", service, SandboxPort, "/v2/", startGrace)
	if err != nil {
		return nil, s.engineProblem(ctx, CodeSandboxRegistry, "start "+SandboxImage, err)
	}
	return &sandbox{service: service, running: running, session: s}, nil
}

func (r *sandbox) close(ctx context.Context) { r.session.engine.Retire(ctx, r.running) }

// modelOf returns the SHA-256 of the model in an image, by its label; empty without one.
func modelOf(r registry.Repository, digest string) (string, error) {
	image, err := r.Image(digest)
	if err != nil {
		return "", fmt.Errorf("read manifest of %s: %w", digest, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return "", fmt.Errorf("read configuration of %s: %w", digest, err)
	}
	return config.Config.Labels[LabelModelSHA256], nil
}

// candidate is an image in a registry.
type candidate struct {
	reference imageref.Reference
	digest    string
	image     v1.Image
	config    *v1.ConfigFile
	layers    []v1.Descriptor
	// size is the sum of the compressed layers in bytes.
	size int64
}

// fetch reads manifest and configuration of a digest. Both are compared with their own
// digests on the way.
func fetch(r registry.Repository, digest string) (*candidate, error) {
	image, err := r.Image(digest)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c := &candidate{digest: digest, image: image, config: config, layers: manifest.Layers}
	for _, layer := range manifest.Layers {
		c.size += layer.Size
	}
	return c, nil
}

// date gives an image one time for everything in its configuration, pushes the result
// under a tag and returns its digest. Layers are not touched.
func date(r registry.Repository, digest, tag string, created time.Time) (string, error) {
	image, err := r.Image(digest)
	if err != nil {
		return "", fmt.Errorf("read manifest: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return "", fmt.Errorf("read configuration: %w", err)
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: created}
	for i := range config.History {
		config.History[i].Created = v1.Time{Time: created}
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	hash, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("write manifest: %w", err)
	}
	return hash.String(), r.Write(tag, image)
}

// tagProblem is the problem of a tag that could not be set. An immutable tag has a remedy of
// its own, because running the stage again would not help.
func (p pusher) tagProblem(err error) *verdict.Problem {
	problem := verdict.Problemf(CodeTagFailed, "%s", p.plain(err))
	var refused *registry.Immovable
	if errors.As(err, &refused) {
		problem.Next = "Exclude the tag " + refused.Tag + " from the repository's immutable tags (docs/image.md), and run the stage again: " +
			"the digest is there, and only the missing tags are set"
	}
	return problem
}
