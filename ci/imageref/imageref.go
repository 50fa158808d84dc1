// Package imageref handles the names of container images: it parses and normalises references,
// decides which tags an image gets, and pins references by digest.
package imageref

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// The labels that the pipeline's own images have, beside those of the OCI image specification.
const (
	labelPrefix = "io.github.openstack-rca."
	// LabelModelSHA256 and LabelModelVersion name the model inside, LabelVolumes the paths of persistent data.
	LabelModelSHA256  = labelPrefix + "model.sha256"
	LabelModelVersion = labelPrefix + "model.version"
	LabelVolumes      = labelPrefix + "volumes"
	// LabelRevision, LabelVersion and LabelBase are of the specification.
	LabelRevision = "org.opencontainers.image.revision"
	LabelVersion  = "org.opencontainers.image.version"
	LabelBase     = "org.opencontainers.image.base.digest"
)

// Repository is a place for images: registry and path, without tag or digest.
type Repository struct{ registry, path string }

// ParseRepository reads [registry/]path. Names without a registry are Docker Hub's, and a
// single word is one of its official images: "app" is index.docker.io/library/app. It
// refuses a tag, a digest and a scheme: the pipeline decides on tags, not the configuration.
func ParseRepository(text string) (Repository, error) {
	switch {
	case text == "":
		return Repository{}, errors.New("parse repository: it is empty")
	case strings.Contains(text, "://"):
		return Repository{}, fmt.Errorf("parse repository %q: write it without a scheme", text)
	case strings.Contains(text, "@"):
		return Repository{}, fmt.Errorf("parse repository %q: write it without a digest", text)
	case strings.Contains(text[strings.LastIndexByte(text, '/')+1:], ":"):
		return Repository{}, fmt.Errorf("parse repository %q: write it without a tag", text)
	case strings.ToLower(text) != text:
		return Repository{}, fmt.Errorf("parse repository %q: a repository's name is lower case", text)
	}
	repo, err := name.NewRepository(text, name.WeakValidation)
	if err != nil {
		return Repository{}, fmt.Errorf("parse repository %q: %w", text, plain(err))
	}
	r := Repository{registry: repo.RegistryStr(), path: repo.RepositoryStr()}
	if r.registry == "docker.io" || r.registry == "registry-1.docker.io" {
		r.registry = name.DefaultRegistry // three names, one registry
	}
	if r.registry == name.DefaultRegistry && !strings.Contains(r.path, "/") {
		r.path = "library/" + r.path
	}
	return r, nil
}

// Registry is the host, "index.docker.io" for Docker Hub.
func (r Repository) Registry() string { return r.registry }

// Path is the path in the registry, such as "library/app".
func (r Repository) Path() string { return r.path }

// String is the full name with Docker Hub spelled docker.io, as docker, ECS and the
// Dagger engine take it.
func (r Repository) String() string {
	registry := r.Registry()
	if registry == name.DefaultRegistry {
		registry = "docker.io"
	}
	return registry + "/" + r.Path()
}

// Pinned is repository@digest.
func (r Repository) Pinned(digest string) (Reference, error) {
	if err := checkDigest(digest); err != nil {
		return Reference{}, err
	}
	return Reference{Repository: r, Digest: digest}, nil
}

// Reference is an image's name with its tag and digest, as far as present. One that was parsed is not changed.
type Reference struct {
	Repository Repository
	// Tag is the tag as written, or empty: "latest" is never assumed.
	Tag string
	// Digest is sha256:..., or empty.
	Digest string
	// written is the text that was parsed.
	written string
}

// Parse reads [registry/]path[:tag][@digest].
func Parse(text string) (Reference, error) {
	rest, digest, pinned := strings.Cut(text, "@")
	if pinned {
		if err := checkDigest(digest); err != nil {
			return Reference{}, fmt.Errorf("parse reference %q: %w", text, err)
		}
	}
	tag := ""
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		rest, tag = rest[:i], rest[i+1:]
		if err := checkTag(tag); err != nil {
			return Reference{}, fmt.Errorf("parse reference %q: %w", text, err)
		}
	}
	repo, err := ParseRepository(rest)
	if err != nil {
		return Reference{}, fmt.Errorf("parse reference %q: %w", text, err)
	}
	return Reference{Repository: repo, Tag: tag, Digest: digest, written: text}, nil
}

// ParsePinned is Parse for references that must have a digest, such as those of a rollout.
func ParsePinned(text string) (Reference, error) {
	ref, err := Parse(text)
	if err != nil {
		return Reference{}, err
	}
	if ref.Digest == "" {
		return Reference{}, fmt.Errorf("parse reference %q: it names no digest; a tag can be moved", text)
	}
	return ref, nil
}

// Written is the reference as it was parsed, without a registry that nobody wrote: what a service was deployed with
// keeps its name. Of one that was not parsed it is String, and empty of the zero value.
func (r Reference) Written() string {
	if r.written != "" || r == (Reference{}) {
		return r.written
	}
	return r.String()
}

// String is the reference, normalised.
func (r Reference) String() string {
	s := r.Repository.String()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

var (
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	// The grammar of the OCI distribution specification.
	tagForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

// checkDigest refuses what is not sha256: and 64 lower-case hex digits.
func checkDigest(digest string) error {
	if !digestForm.MatchString(digest) {
		return fmt.Errorf("digest %q is not sha256: and 64 hex digits", digest)
	}
	return nil
}

// checkTag refuses what registries do not accept as a tag.
func checkTag(tag string) error {
	if !tagForm.MatchString(tag) {
		return fmt.Errorf("tag %q is not letters, digits, '.', '_' and '-' (at most 128)", tag)
	}
	return nil
}

// plain is the library's error without its own preamble.
func plain(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "could not parse reference: "))
}
