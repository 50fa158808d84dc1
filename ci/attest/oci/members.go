package oci

import (
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Member is an image of an index.
type Member struct {
	// Platform is for example linux/arm64 or linux/arm/v7, Digest sha256:<hex>.
	Platform, Digest string
	// Image is the image itself.
	Image Image
}

// maxMembers limits the number of images of an index.
const maxMembers = 32

// Members returns the images of an index in order, or none for a single image. Attestations that builders add are not
// members. It returns an error if the platform of an entry is unknown.
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

// isNote reports whether an entry is BuildKit's attestation of another one: provenance or a bill of materials.
func isNote(m v1.Descriptor) bool {
	return m.Platform != nil && m.Platform.OS == "unknown" && m.Annotations["vnd.docker.reference.type"] == "attestation-manifest"
}
