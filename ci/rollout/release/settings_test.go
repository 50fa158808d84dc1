package release

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// The same image with other settings: what the service says is made equal to the plan, so
// that the next plan finds nothing to change.
func TestSettingsThatChangeWithoutAnImageAreWritten(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*spec.Spec)
		deploys bool
	}{
		"a longer bake":    {func(r *spec.Spec) { r.BakeMinutes = 33 }, false},
		"a pause":          {func(r *spec.Spec) { r.PauseAt = []string{"post_scale_up"} }, false},
		"another strategy": {func(r *spec.Spec) { r.Strategy = "canary" }, false},
		"other subnets":    {func(r *spec.Spec) { r.Subnets = []string{r.Subnets[0], "subnet-0123456789abcdef2"} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "blue_green")
			w.deployed("a")
			c.change(&w.in.Spec)
			from := len(w.aws.Calls())
			result := w.deployed("a")
			calls := w.aws.Calls()[from:]
			assert.Equal(t, 1, count(calls, "ecs:UpdateService"))
			assert.Zero(t, count(calls, "ecs:RegisterTaskDefinition"))
			assert.Equal(t, c.deploys, result.Outcome.Deployment != "")
			assert.True(t, result.Changed)
			plan := w.passed(Plan(w.ctx, w.clients(), w.clock, w.in))
			assert.False(t, plan.Changed, plan.Text)
			from = len(w.aws.Calls())
			w.deployed("a")
			assert.Empty(t, fakeaws.Writes(w.aws.Calls()[from:]))
		})
	}
}

// What is taken out of the configuration is taken off the service.
func TestAPauseThatIsNotWantedAnyMoreIsTakenAway(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.in.Spec.PauseAt = []string{"post_scale_up"}
	w.code(t, deployment.AwaitingApproval, w.deploy("a"))
	w.passed(w.asked(Approve))
	w.in.Spec.PauseAt = nil
	plan := w.passed(Plan(w.ctx, w.clients(), w.clock, w.in))
	assert.Contains(t, plan.Text, "lifecycleHooks")
	w.deployed("b")
	assert.False(t, w.passed(Plan(w.ctx, w.clients(), w.clock, w.in)).Changed)
}

// The run that deployed ended at the pause: what comes last is left to who follows to the end.
func TestWhoFollowsToTheEndFinishesTheRollout(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.in.Spec.PauseAt = []string{"post_scale_up"}
	w.code(t, deployment.AwaitingApproval, w.deploy("a"))
	w.passed(w.asked(Approve))
	assert.Equal(t, 1, count(w.aws.Calls(), "application-autoscaling:RegisterScalableTarget"))
	plan := w.passed(Plan(w.ctx, w.clients(), w.clock, w.in))
	assert.False(t, plan.Changed, plan.Text)

	// With another configuration than the one that is deployed, nothing of it is written.
	w.code(t, deployment.AwaitingApproval, w.deploy("b"))
	w.in.Spec.Max, w.in.Spec.Vars = 9, map[string]string{"OTHER": "value"}
	from := len(w.aws.Calls())
	w.passed(w.asked(Approve))
	assert.Zero(t, count(w.aws.Calls()[from:], "application-autoscaling:RegisterScalableTarget"))
}

// From any strategy to any other, with the image that runs.
func TestAStrategyIsChangedWithoutAnImage(t *testing.T) {
	for _, from := range strategies() {
		for _, to := range strategies() {
			if from == to {
				continue
			}
			w := newWorld(t, from)
			w.deployed("a")
			w.in.Spec.Strategy = to
			start := len(w.aws.Calls())
			w.deployed("a")
			assert.Equal(t, 1, count(w.aws.Calls()[start:], "ecs:UpdateService"))
			plan := w.passed(Plan(w.ctx, w.clients(), w.clock, w.in))
			assert.False(t, plan.Changed, "%s to %s: %s", from, to, plan.Text)
			w.deployed("b")
			assert.Equal(t, family+"2", w.serving())
		}
	}
}

// A run that is lost anywhere while it changes settings is resumed by the next.
func TestSettingsAreWrittenWhereverARunIsLost(t *testing.T) {
	end := func(cut int, after bool) (*world, int) {
		w := newWorld(t, "blue_green")
		w.deployed("a")
		w.in.Spec.BakeMinutes, w.in.Spec.Max = 2, 9
		from := len(w.aws.Calls())
		if cut > 0 {
			w.aws.Cut(cut, after)
			w.deploy("a")
			w.aws.Cut(0, false)
		}
		w.deployed("a")
		return w, len(w.aws.Calls()) - from
	}
	clean, total := end(0, false)
	for cut := 1; cut <= total; cut++ {
		for _, after := range []bool{false, true} {
			w, _ := end(cut, after)
			require.Equal(t, clean.aws.Dump(), w.aws.Dump(), "call %d of %d, carried out=%v", cut, total, after)
			require.Nil(t, w.state().Run)
		}
	}
}
