package release

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/imageref"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// indexes makes images a and b indexes of two platforms.
func (w *world) indexes() {
	w.in.Index = Index{Expected: true, Members: func(_ context.Context, of imageref.Reference) (map[string]string, error) {
		switch of.String() {
		case image("a"):
			return map[string]string{"linux/amd64": "sha256:" + strings.Repeat("1", 64), "linux/arm64/v8": "sha256:" + strings.Repeat("2", 64)}, nil
		case image("b"):
			return map[string]string{"linux/arm64": "sha256:" + strings.Repeat("3", 64)}, nil
		case image("c"):
			return nil, errors.New("the registry is down")
		}
		return nil, nil // an image
	}}
}

func TestAnIndexIsDeployed(t *testing.T) {
	for sentence, tc := range map[string]struct{ platform, reported string }{
		"ECS names the index":            {"", ""},
		"ECS names the image of amd64":   {"linux/amd64", strings.Repeat("1", 64)},
		"ECS names the image of arm64":   {"linux/arm64", strings.Repeat("2", 64)},
		"no platform is said, and amd64": {"", strings.Repeat("1", 64)},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newWorld(t, "blue_green")
			w.indexes()
			w.in.Spec.App.Platform = tc.platform
			if tc.reported != "" {
				w.aws.ECS.Tag(image("a"), "sha256:"+tc.reported)
			}
			w.deployed("a")
			again := w.deployed("a")
			assert.True(t, again.Outcome.Unchanged, "it is recognised as what runs")
			gate := func(e verdict.Evidence) bool { return e.Name == "platforms of the index" }
			require.True(t, gate(again.Stage.Evidence[1]) || gate(again.Stage.Evidence[2]), "%+v", again.Stage.Evidence)

			w.deployed("d") // an image of one platform
			back := Rollback(w.ctx, w.clients(), w.clock, w.in)
			require.Equal(t, verdict.Pass, back.Stage.Verdict, back.Stage.Cause)
			waited := Wait(w.ctx, w.clients(), w.clock, w.in)
			assert.Equal(t, "NOTHING_IN_FLIGHT", waited.Stage.Code)
		})
	}
}

func TestAnIndexIsRefused(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.indexes()
	w.code(t, IndexWithout, w.deploy("b"))
	assert.Contains(t, w.deploy("b").Stage.Cause, "the tasks are linux/amd64, and the index has linux/arm64")
	w.code(t, deployment.IndexUnreadable, w.deploy("c"))
	assert.Zero(t, w.aws.ECS.Calls("UpdateService")+w.aws.ECS.Calls("CreateService"), "nothing was changed")
	w.in.Image = image("b")
	plan := Plan(w.ctx, w.clients(), w.clock, w.in)
	assert.Equal(t, IndexWithout.Name, plan.Stage.Code, "a plan says so too")

	// Where nothing says that it is an index, a registry that does not answer changes no verdict.
	w.in.Index.Expected = false
	w.aws.ECS.Tag(image("c"), "sha256:"+strings.Repeat("4", 64))
	w.code(t, deployment.DigestMismatch, w.deploy("c"))
}
