package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"dagger.io/dagger"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
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

// registry is a repository that this process talks to.
type registry struct {
	repo name.Repository
	opts []remote.Option
}

// at opens a repository. address is where the registry is reached, and only differs from
// the repository's own in the sandbox.
func at(ctx context.Context, address string, repo imageref.Repository, opts ...remote.Option) (registry, error) {
	var parsed name.Repository
	var err error
	if address == "" {
		parsed, err = name.NewRepository(repo.Registry() + "/" + repo.Path())
	} else {
		parsed, err = name.NewRepository(address+"/"+repo.Path(), name.Insecure)
	}
	if err != nil {
		return registry{}, fmt.Errorf("open repository %s: %w", repo, err)
	}
	return registry{repo: parsed, opts: append([]remote.Option{remote.WithContext(ctx), remote.WithUserAgent("openstack-rca"),
		// The callers retry, depending on the kind of failure.
		remote.WithRetryBackoff(remote.Backoff{Steps: 1})}, opts...)}, nil
}

// digestOf returns what a tag names; empty when there is no such tag.
func (r registry) digestOf(tag string) (string, error) {
	descriptor, err := remote.Head(r.repo.Tag(tag), r.opts...)
	if isStatus(err, http.StatusNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up tag %s: %w", tag, err)
	}
	return descriptor.Digest.String(), nil
}

// modelOf returns the SHA-256 of the model in an image, by its label; empty without one.
func (r registry) modelOf(digest string) (string, error) {
	image, err := remote.Image(r.repo.Digest(digest), r.opts...)
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
	reference, digest string
	image             v1.Image
	config            *v1.ConfigFile
	layers            []v1.Descriptor
	// size is the sum of the compressed layers in bytes.
	size int64
}

// fetch reads manifest and configuration of a digest. Both are compared with their own
// digests on the way.
func (r registry) fetch(digest string) (*candidate, error) {
	image, err := remote.Image(r.repo.Digest(digest), r.opts...)
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
func (r registry) date(digest, tag string, created time.Time) (string, error) {
	image, err := remote.Image(r.repo.Digest(digest), r.opts...)
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
	return hash.String(), r.write(tag, image)
}

// write pushes an image under a tag, without the layers that are there already. Layers are
// sent one at a time: the sandbox's registry may be behind a tunnel in which all streams share
// one connection, and a slow layer would block those that it waits for.
func (r registry) write(tag string, image v1.Image) error {
	if err := remote.Write(r.repo.Tag(tag), image, append([]remote.Option{remote.WithJobs(1)}, r.opts...)...); err != nil {
		return fmt.Errorf("write tag %s: %w", tag, err)
	}
	return nil
}

// tag sets a tag on a digest and reads it back. A tag that already names the digest is not
// set again: remote.Tag always writes, and a registry with immutable tags refuses that
// (aws/containers-roadmap#2179).
func (r registry) tag(tag, digest string) error {
	has, err := r.digestOf(tag)
	if err != nil || has == digest {
		return err
	}
	descriptor, err := remote.Get(r.repo.Digest(digest), r.opts...)
	if err != nil {
		return fmt.Errorf("read %s: %w", digest, err)
	}
	if err := remote.Tag(r.repo.Tag(tag), descriptor, r.opts...); err != nil {
		if has != "" && isStatus(err, http.StatusBadRequest) {
			return &immovable{tag: tag, has: has, err: err}
		}
		return fmt.Errorf("set tag %s: %w", tag, err)
	}
	got, err := r.digestOf(tag)
	if err != nil {
		return err
	}
	if got != digest {
		return &mismatch{what: "tag " + tag, got: got, want: digest}
	}
	return nil
}

// immovable is the error of a registry that refused to move a tag, as one with immutable tags does.
type immovable struct {
	tag, has string
	err      error
}

func (i *immovable) Error() string {
	return fmt.Sprintf("move tag %s, which names %s: %v", i.tag, i.has, i.err)
}

func (i *immovable) Unwrap() error { return i.err }

// tagProblem is the problem of a tag that could not be set. An immutable tag has a remedy of
// its own, because running the stage again would not help.
func (p pusher) tagProblem(err error) *verdict.Problem {
	problem := verdict.Problemf(CodeTagFailed, "%s", p.plain(err))
	var refused *immovable
	if errors.As(err, &refused) {
		problem.Next = "Exclude the tag " + refused.tag + " from the repository's immutable tags (docs/image.md), and run the stage again: " +
			"the digest is there, and only the missing tags are set"
	}
	return problem
}

// mismatch is the error of a registry that has another digest than expected.
type mismatch struct{ what, got, want string }

func (m *mismatch) Error() string {
	if m.got == "" {
		return fmt.Sprintf("%s does not exist, it should name %s", m.what, m.want)
	}
	return fmt.Sprintf("%s names %s, not %s", m.what, m.got, m.want)
}

func isStatus(err error, status int) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == status
}

var (
	authWords = regexp.MustCompile(`(?i)\b(401|403)\b|unauthori[sz]ed|authentication required|` +
		`access (to the resource )?is? ?denied|denied:|insufficient_scope|no basic auth`)
	throttleWords = regexp.MustCompile(`(?i)\b429\b|too ?many ?requests|rate limit|throttl`)
	outageWords   = regexp.MustCompile(`(?i)\b50[0-9]\b|internal server error|bad gateway|service unavailable|gateway timeout|` +
		`connection refused|connection reset|no such host|i/o timeout|unexpected EOF|TLS handshake|` +
		`server gave HTTP response|dial tcp|x509`)
)

// pushCode is the code for a registry's error.
func pushCode(err error) verdict.Code {
	var answer *transport.Error
	if errors.As(err, &answer) {
		switch {
		case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
			return CodePushAuth
		case answer.StatusCode == http.StatusTooManyRequests:
			return CodePushThrottled
		case answer.StatusCode >= 500:
			return CodePushUnavailable
		}
	}
	var wrong *mismatch
	if errors.As(err, &wrong) {
		return CodeDigestMismatch
	}
	switch text := err.Error(); {
	case throttleWords.MatchString(text):
		return CodePushThrottled
	case authWords.MatchString(text):
		return CodePushAuth
	case outageWords.MatchString(text):
		return CodePushUnavailable
	}
	return CodePushFailed
}
