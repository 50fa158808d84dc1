package image

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dagger.io/dagger"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// plan is where the image goes and what it will be called. The first tag is the one it
// is pushed under.
type plan struct {
	repo imageref.Repository
	tags []imageref.Tag
}

func (s *session) plan() (plan, error) {
	repo, repoErr := repository(s.in)
	tags, tagErr := imageref.Tags(facts(s.in))
	return plan{repo: repo, tags: tags}, errors.Join(repoErr, tagErr)
}

// pushSandbox pushes to the sandbox's registry and reads back what arrived there. Outside
// of the sandbox that is the rehearsal: the image that is looked through and run is one
// that has been through a registry, and is known by its digest.
func (s *session) pushSandbox(ctx context.Context, r *sandbox, image *dagger.Container, p plan) (*candidate, *verdict.Problem) {
	repo, err := imageref.ParseRepository(SandboxHost + "/" + p.repo.Path())
	if err != nil {
		return nil, verdict.Problemf(CodeConfigInvalid, "image.repository: %v", err)
	}
	address, err := repo.Tagged(p.tags[0].Name)
	if err != nil {
		return nil, verdict.Problemf(CodeConfigInvalid, "image tag: %v", err)
	}
	published, err := image.Publish(ctx, address, dagger.ContainerPublishOpts{RegistryService: r.service})
	if err != nil {
		return nil, s.engineProblem(ctx, CodeSandboxRegistry, "push to the sandbox's registry", err)
	}
	pushed, err := imageref.ParsePinned(published)
	if err != nil {
		return nil, verdict.Problemf(CodeEngineFailed, "read the engine's answer: %v", err)
	}
	registry, err := at(ctx, r.running.Address, repo)
	if err != nil {
		return nil, verdict.Problemf(CodeSandboxRegistry, "%v", err)
	}
	if problem := s.compare(registry, p.tags[0].Name, pushed.Digest); problem != nil {
		return nil, problem
	}
	c, err := registry.fetch(pushed.Digest)
	if err != nil {
		return nil, verdict.Problemf(pushCode(err), "read back %s: %v", pushed.Digest, err)
	}
	if c.reference, err = repo.Pinned(pushed.Digest); err != nil {
		return nil, verdict.Problemf(CodeEngineFailed, "%v", err)
	}
	if !s.in.Push.real() {
		for _, tag := range p.tags[1:] {
			if err := registry.tag(tag.Name, pushed.Digest); err != nil {
				return nil, verdict.Problemf(CodeTagFailed, "%v", err)
			}
		}
		s.stage.Add("tags", tagNames(p.tags))
	}
	return c, nil
}

// compare reads a tag back.
func (s *session) compare(r registry, tag, digest string) *verdict.Problem {
	got, err := r.digestOf(tag)
	if err == nil && got != digest {
		err = &mismatch{what: "tag " + tag, got: got, want: digest}
	}
	if err != nil {
		return verdict.Problemf(pushCode(err), "read back what was pushed: %s", s.plain(err))
	}
	return nil
}

// push pushes the proven image to its real registry, under its first tag, and sets the
// other tags on the digest that arrived.
func (s *session) push(ctx context.Context, image *dagger.Container, p plan, digest string) (string, []*verdict.Problem) {
	reference, err := p.repo.Pinned(digest)
	if err != nil {
		return "", []*verdict.Problem{verdict.Problemf(CodeEngineFailed, "%v", err)}
	}
	auth, problem := s.auth(ctx)
	if problem != nil {
		return "", []*verdict.Problem{problem}
	}
	registry, err := at(ctx, "", p.repo, remote.WithAuth(auth))
	if err != nil {
		return "", []*verdict.Problem{verdict.Problemf(CodeConfigInvalid, "%v", err)}
	}
	there, problem := s.checkTags(registry, p.tags, digest)
	if problem != nil {
		return "", []*verdict.Problem{problem}
	}
	if !there {
		if problem := s.publish(ctx, image, p, digest); problem != nil {
			return "", []*verdict.Problem{problem}
		}
	}
	if problem := s.compare(registry, p.tags[0].Name, digest); problem != nil {
		problem.Published = []string{p.repo.String() + ":" + p.tags[0].Name}
		return "", []*verdict.Problem{problem}
	}
	s.stage.Published = append(s.stage.Published, reference)
	for _, tag := range p.tags[1:] {
		if err := registry.tag(tag.Name, digest); err != nil {
			// Judge adds up what is published; the digest is there already.
			published := s.stage.Published
			s.stage.Published = nil
			problem := verdict.Problemf(CodeTagFailed, "%s", s.plain(err))
			problem.Published = published
			return "", []*verdict.Problem{problem}
		}
		s.stage.Published = append(s.stage.Published, p.repo.String()+":"+tag.Name)
	}
	s.stage.Add("tags", tagNames(p.tags))
	return reference, nil
}

// auth is the login for this process' own requests.
func (s *session) auth(ctx context.Context) (authn.Authenticator, *verdict.Problem) {
	if s.in.Push.Password == nil {
		return authn.Anonymous, nil
	}
	password, err := s.in.Push.Password.Plaintext(ctx)
	if err != nil {
		return nil, verdict.Problemf(CodePushAuth, "the registry's password cannot be read")
	}
	return &authn.Basic{Username: s.in.Push.Username, Password: strings.TrimSpace(password)}, nil
}

// checkTags refuses to go on when an immutable tag names another digest. It reports
// whether the first tag names this digest already: then there is nothing to push.
func (s *session) checkTags(r registry, tags []imageref.Tag, digest string) (there bool, problem *verdict.Problem) {
	for i, tag := range tags {
		if !tag.Immutable && i > 0 {
			continue
		}
		got, err := r.digestOf(tag.Name)
		switch {
		case err != nil:
			return false, verdict.Problemf(pushCode(err), "%s", s.plain(err))
		case got == digest && i == 0:
			there = true
		case got != "" && got != digest && tag.Immutable:
			return false, verdict.Problemf(CodeTagTaken, "tag %s names %s, this image is %s", tag.Name, got, digest)
		}
	}
	return there, nil
}

// pushes is how often a push is tried when the registry is not to blame for good; each
// pause is twice the one before it.
const (
	pushes    = 3
	pushPause = 2 * time.Second
)

// publish lets the engine push. Repeating it is harmless: blobs are known by their content.
func (s *session) publish(ctx context.Context, image *dagger.Container, p plan, digest string) *verdict.Problem {
	address, err := p.repo.Tagged(p.tags[0].Name)
	if err != nil {
		return verdict.Problemf(CodeConfigInvalid, "image tag: %v", err)
	}
	if s.in.Push.Password != nil {
		// Last, and right here: a login makes everything after it new in each session.
		image = image.WithRegistryAuth(p.repo.LoginAddress(), s.in.Push.Username, s.in.Push.Password)
	}
	pause := pushPause
	for attempt := 1; ; attempt++ {
		published, err := image.Publish(ctx, address)
		if err == nil {
			return s.pushedDigest(published, digest)
		}
		if ctx.Err() != nil {
			return cancelled(ctx, "the push")
		}
		code := pushCode(err)
		if attempt == pushes || (code != CodePushThrottled && code != CodePushUnavailable) {
			return verdict.Problemf(code, "push %s: %s", address, s.plain(err))
		}
		if err := pauseFor(ctx, pause); err != nil {
			return cancelled(ctx, "the push")
		}
		pause *= 2
	}
}

func (s *session) pushedDigest(published, want string) *verdict.Problem {
	ref, err := imageref.ParsePinned(published)
	if err != nil {
		return verdict.Problemf(CodeEngineFailed, "read the engine's answer: %v", err)
	}
	if ref.Digest != want {
		problem := verdict.Problemf(CodeDigestMismatch, "pushed %s, but %s is what was run and found healthy", ref.Digest, want)
		problem.Published = []string{published}
		return problem
	}
	return nil
}

// pauseFor is sleep, except in tests.
var pauseFor = sleep

// sleep waits for d or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait: %w", ctx.Err())
	case <-timer.C:
		return nil
	}
}

func tagNames(tags []imageref.Tag) string {
	names := make([]string, len(tags))
	for i, tag := range tags {
		names[i] = tag.Name
	}
	return strings.Join(names, ", ")
}
