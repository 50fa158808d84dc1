// Package registry reads and writes images and tags in the repository of a registry, and says what its
// errors mean. It never moves a tag unless it is told to.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Repository is a repository that this process talks to.
type Repository struct {
	name name.Repository
	opts []remote.Option
}

// At opens a repository. address is where the registry is reached, and only differs from
// the repository's own in the sandbox.
func At(ctx context.Context, address string, repo imageref.Repository, opts ...remote.Option) (Repository, error) {
	var parsed name.Repository
	var err error
	if address == "" {
		parsed, err = name.NewRepository(repo.Registry() + "/" + repo.Path())
	} else {
		parsed, err = name.NewRepository(address+"/"+repo.Path(), name.Insecure)
	}
	if err != nil {
		return Repository{}, fmt.Errorf("open repository %s: %w", repo, err)
	}
	return Repository{name: parsed, opts: append([]remote.Option{remote.WithContext(ctx), remote.WithUserAgent("openstack-rca"),
		// The callers retry, depending on the kind of failure.
		remote.WithRetryBackoff(remote.Backoff{Steps: 1})}, opts...)}, nil
}

// Image is an image of the repository. What is read of it is compared with its digest on the way.
func (r Repository) Image(digest string) (v1.Image, error) {
	return remote.Image(r.name.Digest(digest), r.opts...)
}

// Read is the manifest of a digest, of an image or an index. It is compared with the digest on the way.
func (r Repository) Read(digest string) (*remote.Descriptor, error) {
	return remote.Get(r.name.Digest(digest), r.opts...)
}

// Tagged is the full name of a tag.
func (r Repository) Tagged(tag string) string { return r.name.Tag(tag).String() }

// DigestOf returns what a tag names; empty when there is no such tag.
func (r Repository) DigestOf(tag string) (string, error) {
	descriptor, err := remote.Head(r.name.Tag(tag), r.opts...)
	if isStatus(err, http.StatusNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up tag %s: %w", tag, err)
	}
	return descriptor.Digest.String(), nil
}

// Write pushes an image under a tag, without the layers that are there already. Layers are
// sent one at a time: the sandbox's registry may be behind a tunnel in which all streams share
// one connection, and a slow layer would block those that it waits for.
func (r Repository) Write(tag string, image v1.Image) error {
	if err := remote.Write(r.name.Tag(tag), image, append([]remote.Option{remote.WithJobs(1)}, r.opts...)...); err != nil {
		return fmt.Errorf("write tag %s: %w", tag, err)
	}
	return nil
}

// Put pushes a manifest under a tag. What it names must be in the repository.
func (r Repository) Put(tag string, manifest remote.Taggable) error {
	if err := remote.Put(r.name.Tag(tag), manifest, r.opts...); err != nil {
		return fmt.Errorf("write tag %s: %w", tag, err)
	}
	return nil
}

// Tag sets a tag on a digest and reads it back. A tag that already names the digest is not
// set again: remote.Tag always writes, and a registry with immutable tags refuses that
// (aws/containers-roadmap#2179).
func (r Repository) Tag(tag, digest string) error {
	has, err := r.DigestOf(tag)
	if err != nil || has == digest {
		return err
	}
	descriptor, err := r.Read(digest)
	if err != nil {
		return fmt.Errorf("read %s: %w", digest, err)
	}
	if err := remote.Tag(r.name.Tag(tag), descriptor, r.opts...); err != nil {
		if has != "" && isImmutable(err) {
			return &Immovable{Tag: tag, Has: has, Err: err}
		}
		return fmt.Errorf("set tag %s: %w", tag, err)
	}
	got, err := r.DigestOf(tag)
	if err != nil {
		return err
	}
	if got != digest {
		return &Mismatch{What: "tag " + tag, Got: got, Want: digest}
	}
	return nil
}

// Immovable is the error of a registry that refused to move a tag, as one with immutable tags does.
type Immovable struct {
	Tag, Has string
	Err      error
}

func (i *Immovable) Error() string {
	return fmt.Sprintf("move tag %s, which names %s: %v", i.Tag, i.Has, i.Err)
}

func (i *Immovable) Unwrap() error { return i.Err }

// Mismatch is the error of a registry that has another digest than expected.
type Mismatch struct{ What, Got, Want string }

func (m *Mismatch) Error() string {
	if m.Got == "" {
		return fmt.Sprintf("%s does not exist, it should name %s", m.What, m.Want)
	}
	return fmt.Sprintf("%s names %s, not %s", m.What, m.Got, m.Want)
}

func isStatus(err error, status int) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == status
}

// isImmutable reports whether a registry refused to move a tag because its tags do not move: Amazon ECR answers 400,
// Harbor 412, Quay 409; others say so in words.
func isImmutable(err error) bool {
	return isStatus(err, http.StatusBadRequest) || isStatus(err, http.StatusPreconditionFailed) || isStatus(err, http.StatusConflict) ||
		strings.Contains(strings.ToLower(err.Error()), "immutable")
}

var (
	authWords = regexp.MustCompile(`(?i)\b(401|403)\b|unauthori[sz]ed|authentication required|` +
		`access (to the resource )?is? ?denied|denied:|insufficient_scope|no basic auth`)
	throttleWords = regexp.MustCompile(`(?i)\b429\b|too ?many ?requests|rate limit|throttl`)
	outageWords   = regexp.MustCompile(`(?i)\b50[0-9]\b|internal server error|bad gateway|service unavailable|gateway timeout|` +
		`connection refused|connection reset|no such host|i/o timeout|unexpected EOF|TLS handshake|` +
		`server gave HTTP response|dial tcp|x509`)
)

// CodeOf is the code for a registry's error.
func CodeOf(err error) verdict.Code {
	var answer *transport.Error
	if errors.As(err, &answer) {
		switch {
		case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
			return PushAuth
		case answer.StatusCode == http.StatusTooManyRequests:
			return PushThrottled
		case answer.StatusCode >= 500:
			return PushUnavailable
		}
	}
	var wrong *Mismatch
	if errors.As(err, &wrong) {
		return DigestMismatch
	}
	switch text := err.Error(); {
	case throttleWords.MatchString(text):
		return PushThrottled
	case authWords.MatchString(text):
		return PushAuth
	case outageWords.MatchString(text):
		return PushUnavailable
	}
	return PushFailed
}
