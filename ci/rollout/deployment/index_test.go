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
