package release

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Index tells whether an image is an index of images for several platforms. ECS reports the digest of either the index or the
// platform's image.
type Index struct {
	// Members asks the registry for the images of an index, which is named by digest, and returns their digests by platform.
	// It returns none for a plain image. Nil means that no other digest is accepted.
	Members func(ctx context.Context, image imageref.Reference) (map[string]string, error)
	// Expected asks, before any change, whether the index has an image for the tasks' platform.
	Expected bool
}

// checkIndex requires that an index has an image for the tasks. The image's own stage has checked everything else.
func (o *operation) checkIndex(ctx context.Context) *verdict.Problem {
	if !o.in.Index.Expected || o.in.Index.Members == nil {
		return nil
	}
	members, err := o.in.Index.Members(ctx, o.plan.Image)
	if err != nil {
		return verdict.Problemf(deployment.IndexUnreadable, "%v", err)
	}
	if members == nil {
		return nil
	}
	platform, has := rollout.Platform(o.plan), slices.Sorted(maps.Keys(members))
	found := slices.ContainsFunc(has, func(name string) bool { return name == platform || strings.HasPrefix(name, platform+"/") })
	if !o.checkedIndex {
		o.stage().Gate("platforms of the index", strings.Join(has, ", "), platform, found)
		o.checkedIndex = true
	}
	if !found {
		return verdict.Problemf(IndexWithout, "the tasks are %s, and the index has %s", platform, strings.Join(has, ", "))
	}
	return nil
}

// members returns the digests of the images in an index of the application.
func (o *operation) members(ctx context.Context, digest string) ([]string, error) {
	if o.in.Index.Members == nil {
		return nil, nil
	}
	all, err := o.in.Index.Members(ctx, imageref.Reference{Repository: o.plan.Image.Repository, Digest: digest})
	if err != nil && !o.in.Index.Expected { // not known to be an index, so another digest is another image
		return nil, nil //nolint:nilerr // see above
	}
	return slices.Collect(maps.Values(all)), err
}
