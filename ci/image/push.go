package image

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dagger.io/dagger"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/registry"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// plan is the repository and the tags of the image. It is pushed under the first tag.
type plan struct {
	repo imageref.Repository
	tags []imageref.Tag
}

func (s *session) plan() (plan, error) {
	repo, repoErr := repository(s.in)
	tags, tagErr := imageref.Tags(facts(s.in))
	return plan{repo: repo, tags: tags}, errors.Join(repoErr, tagErr)
}

// buildTag is the tag that the engine pushes in the sandbox, before the image gets its date.
const buildTag = "build"

// pusher pushes the image: to the sandbox's registry, and copies it from there to the real one.
type pusher struct{ *session }

// pushSandbox pushes to the sandbox's registry and reads the image back. A real registry gets a
// copy of that image later: what is inspected and run has been through a registry and is
// identified by its digest.
//
// The engine writes the time of the build into an image's configuration. It is replaced by the
// commit's time, so that the same content always has the same digest.
func (p pusher) pushSandbox(ctx context.Context, r *sandbox, image *dagger.Container, to plan) (*candidate, *verdict.Problem) {
	repo, err := imageref.ParseRepository(SandboxHost + "/" + to.repo.Path())
	if err != nil {
		return nil, verdict.Problemf(CodeConfigInvalid, "image.repository: %v", err)
	}
	published, err := image.Publish(ctx, repo.String()+":"+buildTag, dagger.ContainerPublishOpts{RegistryService: r.service})
	if err != nil {
		return nil, p.engineProblem(ctx, CodeSandboxRegistry, "push to the sandbox's registry", err)
	}
	pushed, err := imageref.ParsePinned(published)
	if err != nil {
		return nil, verdict.Problemf(CodeEngineFailed, "read the engine's answer: %v", err)
	}
	repository, err := registry.At(ctx, r.running.Address, repo)
	if err != nil {
		return nil, verdict.Problemf(CodeSandboxRegistry, "%v", err)
	}
	if problem := p.compare(repository, buildTag, pushed.Digest); problem != nil {
		return nil, problem
	}
	digest, err := date(repository, pushed.Digest, to.tags[0].Name, p.created())
	if err != nil {
		return nil, verdict.Problemf(registry.CodeOf(err), "date the image: %s", p.plain(err))
	}
	c, err := fetch(repository, digest)
	if err != nil {
		return nil, verdict.Problemf(registry.CodeOf(err), "read back %s: %s", digest, p.plain(err))
	}
	if c.reference, err = repo.Pinned(digest); err != nil {
		return nil, verdict.Problemf(CodeEngineFailed, "%v", err)
	}
	if p.in.Push.real() {
		return c, nil
	}
	for _, tag := range to.tags[1:] {
		if err := repository.Tag(tag.Name, digest); err != nil {
			return nil, p.tagProblem(err)
		}
	}
	p.stage.Add("tags", tagNames(to.tags))
	return c, nil
}

// created is the image's time: the commit's, or that of all its files.
func (p pusher) created() time.Time {
	if p.in.CommitTime.IsZero() {
		return time.Unix(epoch, 0).UTC()
	}
	return p.in.CommitTime.UTC().Truncate(time.Second)
}

// compare reads a tag back.
func (p pusher) compare(r registry.Repository, tag, digest string) *verdict.Problem {
	got, err := r.DigestOf(tag)
	if err == nil && got != digest {
		err = &registry.Mismatch{What: "tag " + tag, Got: got, Want: digest}
	}
	if err != nil {
		return verdict.Problemf(registry.CodeOf(err), "read back what was pushed: %s", p.plain(err))
	}
	return nil
}

// push copies the proven image, byte for byte, from the sandbox's registry to the real one
// under its first tag, and sets the other tags on that digest. The engine cannot do it: its
// own image has another digest than the proven one.
func (p pusher) push(ctx context.Context, c *candidate, to plan) (imageref.Reference, []*verdict.Problem) {
	one := func(problem *verdict.Problem) (imageref.Reference, []*verdict.Problem) {
		return imageref.Reference{}, []*verdict.Problem{problem}
	}
	reference, err := to.repo.Pinned(c.digest)
	if err != nil {
		return one(verdict.Problemf(CodeEngineFailed, "%v", err))
	}
	auth, problem := p.registryLogin(ctx, to.repo.Registry())
	if problem != nil {
		return one(problem)
	}
	repository, err := registry.At(ctx, "", to.repo, remote.WithAuth(auth))
	if err != nil {
		return one(verdict.Problemf(CodeConfigInvalid, "%v", err))
	}
	there, problem := p.checkTags(repository, to.tags, c.digest)
	if problem != nil {
		return one(problem)
	}
	if !there {
		if problem := p.copy(ctx, repository, c, to.tags[0].Name); problem != nil {
			return one(problem)
		}
	}
	if problem := p.compare(repository, to.tags[0].Name, c.digest); problem != nil {
		problem.Published = []string{to.repo.String() + ":" + to.tags[0].Name}
		return one(problem)
	}
	published := []string{reference.String(), to.repo.String() + ":" + to.tags[0].Name}
	set := to.tags[:1:1]
	for _, tag := range to.tags[1:] {
		if tag.First {
			kept, err := p.first(repository, tag.Name, c.digest)
			if err != nil {
				problem := p.tagProblem(err)
				problem.Published = published
				return one(problem)
			}
			if kept {
				continue
			}
		} else if err := repository.Tag(tag.Name, c.digest); err != nil {
			problem := p.tagProblem(err)
			problem.Published = published
			return one(problem)
		}
		set = append(set, tag)
		published = append(published, to.repo.String()+":"+tag.Name)
	}
	p.stage.Published = published
	p.stage.Add("tags", tagNames(set))
	return reference, nil
}

// first sets a tag that stays on the first image that had it. kept reports whether another
// image has it, which is no failure.
func (p pusher) first(r registry.Repository, tag, digest string) (kept bool, err error) {
	got, err := r.DigestOf(tag)
	if err != nil {
		return false, err
	}
	if got != "" && got != digest {
		p.stage.Add("tag "+tag, "stays on "+got+", the first image with that model")
		return true, nil
	}
	return false, r.Tag(tag, digest)
}

// checkTags returns a problem if an immutable tag names another digest, or if the model's
// version names an image with another model, which happens when another MLflow server
// assigned the version. there reports whether the first tag already names this digest, so
// that nothing has to be pushed.
func (p pusher) checkTags(r registry.Repository, tags []imageref.Tag, digest string) (there bool, problem *verdict.Problem) {
	for i, tag := range tags {
		if !tag.Immutable && !tag.First && i > 0 {
			continue
		}
		got, err := r.DigestOf(tag.Name)
		switch {
		case err != nil:
			return false, verdict.Problemf(registry.CodeOf(err), "%s", p.plain(err))
		case got == digest && i == 0:
			there = true
		case got != "" && got != digest && tag.Immutable:
			return false, verdict.Problemf(CodeTagTaken, "tag %s names %s, this image is %s", tag.Name, got, digest)
		case got != "" && got != digest && tag.First:
			model, err := modelOf(r, got)
			if err != nil {
				return false, verdict.Problemf(registry.CodeOf(err), "%s", p.plain(err))
			}
			if model != p.in.Model.SHA256 {
				return false, verdict.Problemf(CodeTagTaken, "tag %s names %s, an image with another model (sha256 %q), this one has %s",
					tag.Name, got, clip(model, 80), p.in.Model.SHA256)
			}
		}
	}
	return there, nil
}

// pushes is how often a push is tried when the failure may be temporary. Each pause is twice
// as long as the one before.
const (
	pushes    = 3
	pushPause = 2 * time.Second
)

// copy copies the image. It is idempotent: layers that arrived are not sent again.
func (p pusher) copy(ctx context.Context, to registry.Repository, c *candidate, tag string) *verdict.Problem {
	pause := pushPause
	for attempt := 1; ; attempt++ {
		err := to.Write(tag, c.image)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return cancelled(ctx, "the push")
		}
		code := registry.CodeOf(err)
		if attempt == pushes || (code != CodePushThrottled && code != CodePushUnavailable) {
			return verdict.Problemf(code, "push %s: %s", to.Tagged(tag), p.plain(err))
		}
		if err := pauseFor(ctx, pause); err != nil {
			return cancelled(ctx, "the push")
		}
		pause *= 2
	}
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
