package image_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TestAnImageOfAnIndexLeavesItsTags: the tags without an architecture are the index's, and none of this image's moves.
func TestAnImageOfAnIndexLeavesItsTags(t *testing.T) {
	w := newWorld(t)
	w.production()
	w.in.Config.Image.Platforms = []string{"linux/amd64", "linux/arm64"}
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	want := map[string]string{"sha-" + commit + "-amd64": r.Reference.Digest, "20261122-100000-0f1e2d3-amd64": r.Reference.Digest}
	assert.Equal(t, want, w.tags(w.registry, "acme/rca"), "amd64 is the default outside the sandbox")
}
