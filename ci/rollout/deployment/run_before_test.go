package deployment_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// before counts its calls, lets some time pass, and ends with a problem.
func (w *world) before(takes time.Duration, problem *verdict.Problem) *int {
	calls := 0
	w.request.Before = func(ctx context.Context) *verdict.Problem {
		calls++
		if err := w.clock.Sleep(ctx, takes); err != nil {
			panic(err)
		}
		return problem
	}
	return &calls
}

func TestWhatIsDoneBeforeTheWriteCanEndIt(t *testing.T) {
	for strategy := range strategies() {
		w := newWorld(strategy)
		calls := w.before(time.Minute, verdict.Problemf(deployment.NoCapacity, "on trial"))
		assertCode(t, deployment.NoCapacity, w.deploy())
		assert.Equal(t, 1, *calls)
		assert.Zero(t, w.Calls("UpdateService"))

		w = empty(t)
		w.request.Create.DeploymentConfiguration = strategies()[strategy]
		calls = w.before(time.Minute, verdict.Problemf(deployment.NoCapacity, "on trial"))
		assertCode(t, deployment.NoCapacity, w.deploy())
		assert.Equal(t, 1, *calls)
		assert.Zero(t, w.Calls("CreateService"))
	}
}

func TestWhatIsDoneBeforeTheWriteTakesNothingOfTheDeploymentsTime(t *testing.T) {
	for strategy := range strategies() {
		first := empty(t)
		first.request.Create.DeploymentConfiguration = strategies()[strategy]
		for _, w := range []*world{newWorld(strategy), first} {
			calls := w.before(3*time.Hour, nil) // longer than the deployment may take
			require.Nil(t, w.deploy().Problem, strategy)
			assert.Equal(t, 1, *calls)
			assert.Equal(t, w.request.TaskDefinition, w.Serving("cluster", "rca"))
		}
	}
}

func TestNothingIsDoneBeforeWhatIsNotWritten(t *testing.T) {
	w := newWorld("blue_green")
	calls := w.before(time.Minute, nil)
	w.update(otherTask)
	assertCode(t, deployment.Busy, w.deploy())
	assert.Zero(t, *calls, "somebody else deploys")

	w = newWorld("blue_green")
	w.update(newTask)
	calls = w.before(time.Minute, nil)
	outcome := w.deploy()
	require.Nil(t, outcome.Problem)
	assert.True(t, outcome.Adopted)
	assert.Zero(t, *calls, "ours is under way")

	w = newWorld("blue_green")
	w.AddService("cluster", "rca", newTask, 2, strategies()["blue_green"])
	calls = w.before(time.Minute, nil)
	outcome = w.deploy()
	require.Nil(t, outcome.Problem)
	assert.True(t, outcome.Unchanged)
	assert.Zero(t, *calls, "it serves already")
}

// What the credentials may do was asked before: it is not asked again.
func TestTheRightsToFollowAreAskedForOnce(t *testing.T) {
	asked := func(w *world) int {
		revisions := 0
		w.request.Started = func(context.Context, string) { revisions = w.Calls("DescribeServiceRevisions") }
		require.Nil(t, w.deploy().Problem)
		return revisions
	}
	without, with := newWorld("canary"), newWorld("canary")
	with.before(time.Minute, nil)
	assert.Equal(t, asked(without), asked(with))
}

func TestWhatHappensMeanwhileIsSeen(t *testing.T) {
	w := newWorld("canary")
	w.before(time.Minute, nil)
	w.clock.At(30*time.Second, func() { w.update(otherTask) })
	assertCode(t, deployment.Busy, w.deploy())

	w = newWorld("canary")
	w.before(time.Minute, nil)
	w.clock.At(30*time.Second, func() { w.update(newTask) })
	outcome := w.deploy()
	require.Nil(t, outcome.Problem)
	assert.True(t, outcome.Adopted, "the same version, deployed by somebody else, is followed")

	w = newWorld("canary")
	w.request.Before = func(context.Context) *verdict.Problem { w.RemoveService("cluster", "rca"); return nil }
	assertCode(t, deployment.TargetMissing, w.deploy())

	// A deployment that has to end first is waited for once, then the version is tried.
	w = newWorld("canary")
	w.Behave(otherTask, fakeaws.Behaviour{Digest: oldDigest})
	w.update(otherTask)
	w.request.InFlight = deployment.Wait
	calls := w.before(time.Minute, nil)
	require.Nil(t, w.deploy().Problem)
	assert.Equal(t, 1, *calls)
}

// Tasks and events of an earlier deployment of the same version are still listed for an hour. They say nothing about
// this one.
func TestWhatAnEarlierDeploymentOfTheVersionLeftDoesNotCount(t *testing.T) {
	for name, earlier := range map[string]fakeaws.Behaviour{
		"failed tasks":    {Failure: crash(), FailAfter: 20 * time.Second},
		"lack of room":    {NoCapacity: "(service rca) was unable to place a task. Reason: Capacity is unavailable at this time."},
		"failed launches": {CannotLaunch: "(service rca) failed to launch a task with (error ECS was unable to assume the role)."},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld("blue_green")
			w.new(earlier)
			require.NotNil(t, w.deploy().Problem)
			require.NoError(t, w.clock.Sleep(w.ctx, 5*time.Minute))
			w.new(fakeaws.Behaviour{})
			outcome := w.deploy()
			require.Nil(t, outcome.Problem)
			assert.Empty(t, outcome.Failures)
		})
	}
}
