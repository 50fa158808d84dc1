package join

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/registry"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// manifest is an index as it is written.
type manifest []byte

// RawManifest implements remote.Taggable.
func (m manifest) RawManifest() ([]byte, error) { return m, nil }

// MediaType says what the manifest is.
func (m manifest) MediaType() (types.MediaType, error) { return types.OCIImageIndex, nil }

func (m manifest) digest() string {
	sum := sha256.Sum256(m)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// described are the labels that the index repeats as annotations. All images have the same.
var described = []string{
	"org.opencontainers.image.created", "org.opencontainers.image.title", "org.opencontainers.image.source",
	imageref.LabelRevision, imageref.LabelVersion, imageref.LabelModelSHA256, imageref.LabelModelVersion,
}

// index is the manifest of the index. The same images give the same bytes.
func (j *joint) index() (manifest, error) {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: map[string]string{}}
	for _, m := range j.result.Members {
		index.Manifests = append(index.Manifests, v1.Descriptor{
			MediaType: m.from.MediaType, Size: m.from.Size, Digest: m.from.Digest,
			Platform: &v1.Platform{OS: m.config.OS, Architecture: m.config.Architecture, Variant: m.config.Variant},
		})
	}
	for _, name := range described {
		if value := j.result.Members[0].label(name); value != "" {
			index.Annotations[name] = value
		}
	}
	return json.Marshal(index)
}

// tags are those that never move, the first being the one that the index is pushed under.
func (j *joint) tags() ([]string, error) {
	first := j.result.Members[0]
	facts := imageref.Facts{Ref: first.Proof.Run.Ref, Commit: first.label(imageref.LabelRevision)}
	if created, err := time.Parse(time.RFC3339, first.label("org.opencontainers.image.created")); err == nil {
		facts.CommitTime = created
	}
	all, err := imageref.Tags(facts)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, tag := range all {
		if tag.Immutable {
			names = append(names, tag.Name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no tag is one that never moves")
	}
	return names, nil
}

// push pushes the index, once, under the tags that never move.
func (j *joint) push(to registry.Repository) {
	if !j.in.Permit.Allows(verdict.Image) {
		j.problem(policy.CodeBlocked.In(verdict.Image), "the gate gave no permit")
		return
	}
	index, err := j.index()
	if err != nil {
		j.problem(Unreadable, "write the index: %v", err)
		return
	}
	tags, err := j.tags()
	if err != nil {
		j.problem(OtherCommit, "make tags: %v", err)
		return
	}
	digest := index.digest()
	j.tell()
	stage := &j.result.Stage
	missing, ok := j.missing(to, tags, digest)
	if !ok {
		return
	}
	repository := j.result.Members[0].reference.Repository
	reference, err := repository.Pinned(digest)
	if err != nil {
		j.problem(Unreadable, "%v", err)
		return
	}
	for i, tag := range tags {
		if !slices.Contains(missing, tag) {
			continue
		}
		if i == 0 {
			err = to.Put(tag, index)
		} else {
			err = to.Tag(tag, digest)
		}
		if err == nil {
			err = named(to, tag, digest)
		}
		if err != nil {
			problem := verdict.Problemf(registry.CodeOf(err), "%v", err)
			problem.Published = stage.Published
			stage.Published = nil
			j.problems = append(j.problems, problem)
			return
		}
		if i == 0 {
			stage.Published = append(stage.Published, reference.String())
		}
		stage.Published = append(stage.Published, repository.String()+":"+tag)
	}
	if len(missing) == 0 {
		stage.Add("pushed", "nothing: the index is there with all its tags")
	}
	stage.Add("tags", strings.Join(tags, ", "))
	j.result.Reference, j.result.Manifest = reference, index
}

// missing are the tags that do not name the digest yet. None may name another one.
func (j *joint) missing(in registry.Repository, tags []string, digest string) (missing []string, ok bool) {
	before := len(j.problems)
	for _, tag := range tags {
		switch got, err := in.DigestOf(tag); {
		case err != nil:
			j.problem(registry.CodeOf(err), "%v", err)
		case got == "":
			missing = append(missing, tag)
		case got != digest:
			j.problem(registry.TagTaken, "tag %s names %s, this index is %s", tag, got, digest)
		}
	}
	return missing, len(j.problems) == before
}

// named reads a tag back.
func named(in registry.Repository, tag, digest string) error {
	got, err := in.DigestOf(tag)
	if err == nil && got != digest {
		err = &registry.Mismatch{What: "tag " + tag, Got: got, Want: digest}
	}
	return err
}
