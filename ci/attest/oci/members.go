package oci

import (
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Member is an image of an index.
type Member struct {
	// Platform is such as linux/arm64 or linux/arm/v7, Digest sha256:<hex>.
	Platform, Digest string
	// Image is the image itself.
	Image Image
}

// maxMembers bounds the images of an index.
const maxMembers = 32

// Members are the images of an index, in its order; none for an image. What builders note about an image
// beside it is no member. An error is also for an index of which it cannot be said what all of it is for.
func (i Image) Members() ([]Member, error) {
	found, err := remote.Get(i.digest, i.opts...)
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	if !found.MediaType.IsIndex() {
		return nil, nil
	}
	all, err := i.members(found)
	if err != nil {
		return nil, fmt.Errorf("read index %s: %w", i.digest.DigestStr(), err)
	}
	return all, nil
}

func (i Image) members(found *remote.Descriptor) ([]Member, error) {
	index, err := found.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if n := len(manifest.Manifests); n > maxMembers {
		return nil, fmt.Errorf("it has %d images, more than %d", n, maxMembers)
	}
	seen := map[string]bool{}
	var all []Member
	for _, m := range manifest.Manifests {
		switch {
		case isNote(m):
			continue
		case m.Platform == nil || m.Platform.OS == "" || m.Platform.Architecture == "" || m.Platform.OS == "unknown":
			return nil, fmt.Errorf("it does not say what platform %s is for", m.Digest)
		case !m.MediaType.IsImage():
			return nil, fmt.Errorf("%s in it is no image (%s)", m.Digest, m.MediaType)
		case seen[m.Platform.String()]:
			return nil, fmt.Errorf("it has two images for %s", m.Platform)
		}
		seen[m.Platform.String()] = true
		image := Image{digest: i.digest.Context().Digest(m.Digest.String()), opts: i.opts}
		all = append(all, Member{Platform: m.Platform.String(), Digest: m.Digest.String(), Image: image})
	}
	if len(all) == 0 {
		return nil, errors.New("it has no image")
	}
	return all, nil
}

// isNote reports whether a member is what BuildKit says about another one: provenance and bills of materials.
func isNote(m v1.Descriptor) bool {
	return m.Platform != nil && m.Platform.OS == "unknown" && m.Annotations["vnd.docker.reference.type"] == "attestation-manifest"
}
