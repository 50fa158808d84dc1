package imageref

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// Facts are the input of Tags. All are optional.
type Facts struct {
	// Ref is the branch or tag that is built.
	Ref string
	// Commit is its full hash, CommitTime when it was made.
	Commit     string
	CommitTime time.Time
	// ModelVersion is the published model's number, 0 when it is not published.
	ModelVersion int
	// Environment is sandbox, staging or production.
	Environment string
	// Platform is set for an image that is to be joined with those of other platforms, such as linux/arm64.
	Platform string
}

// Tag is one name for a digest.
type Tag struct {
	Name string
	// Immutable tags never move to another digest: an image that would need that is refused.
	Immutable bool
	// First tags stay on the first digest they were set on; a later image with the same model
	// does not get it, one with another model is refused.
	First bool
}

var (
	semver  = regexp.MustCompile(`^v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)$`)
	hexForm = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
)

// Version is the image's version: the ref if it is a version tag such as v1.2.3, else
// the commit's time and hash, which sort by age; empty when neither is known.
func (f Facts) Version() string {
	if m := semver.FindStringSubmatch(shortRef(f.Ref)); m != nil {
		return "v" + m[1]
	}
	if f.CommitTime.IsZero() || !hexForm.MatchString(f.Commit) {
		return ""
	}
	return f.CommitTime.UTC().Format("20060102-150405") + "-" + f.Commit[:7]
}

// Tags decides the names of an image, the first being the one it is pushed under:
//
//	sha-<commit>  immutable: one commit, one image
//	<version>     immutable
//	model-v<N>    the first image with that model. It never moves, and later images with the same
//	              model, made of other code, are not refused for it
//	<environment> the newest image of the environment
//	latest        only on main, and not in the sandbox
//
// An image that is to be joined with those of other platforms gets the immutable ones, each with its
// architecture: sha-<commit>-arm64. Those without belong to the index.
//
// It returns an error that lists every fact that cannot be part of a tag.
func Tags(f Facts) ([]Tag, error) {
	var tags []Tag
	var wrong []string
	if f.Commit != "" {
		if hexForm.MatchString(f.Commit) {
			tags = append(tags, Tag{Name: "sha-" + f.Commit, Immutable: true})
		} else {
			wrong = append(wrong, fmt.Sprintf("commit %q is not a hash in lower-case hex", f.Commit))
		}
	}
	if v := f.Version(); v != "" {
		tags = append(tags, Tag{Name: v, Immutable: true})
	}
	switch {
	case f.ModelVersion > 0:
		tags = append(tags, Tag{Name: fmt.Sprintf("model-v%d", f.ModelVersion), First: true})
	case f.ModelVersion < 0:
		wrong = append(wrong, fmt.Sprintf("model version %d is negative", f.ModelVersion))
	}
	if f.Environment != "" {
		tags = append(tags, Tag{Name: f.Environment})
	}
	if shortRef(f.Ref) == "main" && f.Environment != spec.Sandbox {
		tags = append(tags, Tag{Name: "latest"})
	}
	if len(tags) == 0 && len(wrong) == 0 {
		// Every push needs a name.
		tags = append(tags, Tag{Name: "unversioned"})
	}
	if f.Platform != "" {
		tags = ofPlatform(tags, f.Platform)
	}
	for _, tag := range tags {
		if err := checkTag(tag.Name); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("make tags: %s", strings.Join(wrong, "; "))
	}
	return tags, nil
}

// ofPlatform are the tags of an image of one platform: those that never move, or the first where all do.
func ofPlatform(tags []Tag, platform string) []Tag {
	var own []Tag
	for _, tag := range tags {
		if tag.Immutable {
			own = append(own, tag)
		}
	}
	if len(own) == 0 {
		own = tags[:min(1, len(tags))]
	}
	_, architecture, _ := strings.Cut(platform, "/")
	for i := range own {
		own[i].Name += "-" + strings.ReplaceAll(architecture, "/", "-")
	}
	return own
}

func shortRef(ref string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		ref = strings.TrimPrefix(ref, prefix)
	}
	return ref
}
