package deployment_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// ECS names the digest of an image some time after it was pulled. Until then nothing is known, and nothing differs.
func TestADigestThatIsNotNamedYetIsNoOther(t *testing.T) {
	byTag := fakeaws.Behaviour{Image: "registry/rca:1"}
	w := newWorld("rolling")
	w.Behave(newTask, byTag)
	w.request.Started = func(context.Context, string) {
		w.clock.At(2*time.Minute, func() { w.new(fakeaws.Behaviour{Image: byTag.Image}) })
	}
	require.Nil(t, w.deploy().Problem)

	w = newWorld("rolling")
	w.Behave(newTask, byTag)
	outcome := w.deploy()
	assertCode(t, deployment.DigestUnknown, outcome)
	assert.Contains(t, outcome.Problem.Cause, "registry/rca:1, and ECS does not name its digest")
	assert.NotEmpty(t, outcome.Problem.Published)

	w = newWorld("rolling")
	w.request.Container = "other"
	assertCode(t, deployment.DigestUnknown, w.deploy())

	w = newWorld("rolling")
	w.Behave(newTask, fakeaws.Behaviour{Image: "registry/rca@" + oldDigest})
	start := w.clock.Now()
	assertCode(t, deployment.DigestMismatch, w.deploy())
	assert.Less(t, w.clock.Now().Sub(start), 3*time.Minute, "a digest that is named and differs stays so")
}

// TestAnImageOfTheIndexRuns: ECS may name what runs by the digest of the index or of the platform's image.
func TestAnImageOfTheIndexRuns(t *testing.T) {
	const childDigest = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
	asked := 0
	members := func(_ context.Context, digest string) ([]string, error) {
		asked++
		assert.Equal(t, newDigest, digest)
		return []string{"sha256:4444", childDigest}, nil
	}
	w := newWorld("blue_green")
	w.request.Members = members
	require.Nil(t, w.deploy().Problem)
	assert.Zero(t, asked, "nobody is asked where the digest itself runs")

	w = newWorld("blue_green")
	w.new(fakeaws.Behaviour{Digest: childDigest})
	w.request.Members = members
	require.Nil(t, w.deploy().Problem)
	assert.Positive(t, asked)
	require.Nil(t, deployment.Verify(w.ctx, w.ECS, w.clock, w.request).Problem, "and again, when nothing is changed")

	w = newWorld("rolling")
	w.new(fakeaws.Behaviour{Digest: oldDigest})
	w.request.Members = members
	assertCode(t, deployment.DigestMismatch, w.deploy())

	w = newWorld("rolling")
	w.new(fakeaws.Behaviour{Digest: childDigest})
	assertCode(t, deployment.DigestMismatch, w.deploy())

	w = newWorld("rolling")
	w.new(fakeaws.Behaviour{Digest: childDigest})
	failures := 2
	w.request.Members = func(ctx context.Context, digest string) ([]string, error) {
		if failures--; failures >= 0 {
			return nil, errors.New("the registry is down")
		}
		return members(ctx, digest)
	}
	require.Nil(t, w.deploy().Problem, "a registry that answers in the end")

	w = newWorld("rolling")
	w.new(fakeaws.Behaviour{Digest: childDigest})
	w.request.Members = func(context.Context, string) ([]string, error) { return nil, errors.New("the registry is down") }
	start := w.clock.Now()
	outcome := w.deploy()
	assertCode(t, deployment.IndexUnreadable, outcome)
	assert.Contains(t, outcome.Problem.Cause, "the registry is down")
	assert.GreaterOrEqual(t, w.clock.Now().Sub(start), time.Minute)
}
