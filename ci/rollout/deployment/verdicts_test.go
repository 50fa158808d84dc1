package deployment_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// wrongClocks are those of machines that are off, and of one whose clock is set anew twice in
// the middle of a run.
func wrongClocks() map[string]func(*fakeaws.Clock) clock.Clock {
	all := map[string]func(*fakeaws.Clock) clock.Clock{}
	for _, by := range []time.Duration{-time.Hour, -2 * time.Minute, 50 * time.Second, 2 * time.Minute, time.Hour} {
		all[by.String()] = func(c *fakeaws.Clock) clock.Clock { return c.Wrong(func(time.Time) time.Duration { return by }) }
	}
	all["jumping"] = func(c *fakeaws.Clock) clock.Clock {
		start := c.Now()
		return c.Wrong(func(now time.Time) time.Duration {
			return []time.Duration{2 * time.Minute, -time.Hour, time.Hour}[int(now.Sub(start)/(40*time.Second))%3]
		})
	}
	return all
}

func TestAWrongClockChangesNoVerdict(t *testing.T) {
	for clock, wrong := range wrongClocks() {
		for strategy := range strategies() {
			for name, c := range map[string]struct {
				arrange func(*world)
				code    string
			}{
				"good":          {func(*world) {}, ""},
				"starts slowly": {func(w *world) { w.new(fakeaws.Behaviour{StartAfter: 8 * time.Minute}) }, ""},
				"crashes": {func(w *world) { w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 10 * time.Second}) },
					deployment.RolledBack.Name},
				"never healthy":   {func(w *world) { w.new(fakeaws.Behaviour{NeverHealthy: true}) }, deployment.NeverHealthy.Name},
				"in flight":       {func(w *world) { w.update(newTask) }, ""},
				"hangs in flight": {func(w *world) { w.new(fakeaws.Behaviour{Hangs: "SCALE_UP"}); w.update(newTask) }, deployment.Stuck.Name},
				"the old failed, long ago": {func(w *world) {
					w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 10 * time.Second})
					w.update(newTask)
					_ = w.clock.Sleep(w.ctx, 3*time.Hour)
					w.new(fakeaws.Behaviour{})
				}, ""},
			} {
				t.Run(fmt.Sprintf("%s/%s/%s", clock, strategy, name), func(t *testing.T) {
					w := newWorld(strategy)
					c.arrange(w)
					if w.Calls("UpdateService") > 0 && name == "the old failed, long ago" && strategy != "rolling" {
						t.Skip("nobody watched it, so it is under way still")
					}
					updates, start := w.Calls("UpdateService"), w.clock.Now()
					outcome := deployment.Deploy(w.ctx, w.ECS, wrong(w.clock), w.request)
					got := ""
					if outcome.Problem != nil {
						got = outcome.Problem.Code.Name
					}
					require.Equal(t, c.code, got, "%v", outcome.Problem)
					if c.code == "" {
						assert.Equal(t, newTask, w.Serving("cluster", "rca"))
					}
					if w.request.TaskDefinition == newTask && name != "in flight" && name != "hangs in flight" {
						assert.Equal(t, updates+1, w.Calls("UpdateService"))
					}
					for _, e := range outcome.Events {
						assert.WithinRange(t, e.Time, start.Add(-2*time.Minute), w.clock.Now().Add(2*time.Minute), "events have AWS's time")
					}
				})
			}
		}
	}
}

// Without a Date nothing says what time it is at AWS: the deployment is found all the same.
func TestADeploymentIsFoundByAStampOfECSAlone(t *testing.T) {
	for _, by := range []time.Duration{-10 * time.Minute, 90 * time.Second, 10 * time.Minute} {
		w := newWorld("blue_green")
		outcome := deployment.Deploy(w.ctx, undated{w.ECS}, w.clock.Wrong(func(time.Time) time.Duration { return by }), w.request)
		require.Nil(t, outcome.Problem, "%v", outcome.Problem)
	}
}

// undated is an ECS behind a proxy that takes the Date away.
type undated struct{ *fakeaws.ECS }

func (u undated) DescribeServices(ctx context.Context, in *ecs.DescribeServicesInput,
	o ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error) {
	out, err := u.ECS.DescribeServices(ctx, in, o...)
	if err != nil {
		return nil, err
	}
	return &ecs.DescribeServicesOutput{Services: out.Services, Failures: out.Failures}, nil
}

func (u undated) ListServiceDeployments(ctx context.Context, in *ecs.ListServiceDeploymentsInput,
	o ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error) {
	out, err := u.ECS.ListServiceDeployments(ctx, in, o...)
	if err != nil {
		return nil, err
	}
	return &ecs.ListServiceDeploymentsOutput{ServiceDeployments: out.ServiceDeployments, NextToken: out.NextToken}, nil
}

// A version that ran before is deployed again: its old deployment is not taken for ours.
func TestAnOldDeploymentOfTheVersionIsNotOurs(t *testing.T) {
	w := newWorld("rolling")
	w.Pages(1)
	require.Nil(t, w.deploy().Problem)
	request := w.request
	w.Behave(otherTask, fakeaws.Behaviour{Digest: newDigest})
	w.request.TaskDefinition = otherTask
	require.Nil(t, w.deploy().Problem)
	w.request = request
	w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 10 * time.Second})
	assertCode(t, deployment.RolledBack, w.deploy())
}

// A service that was deleted a moment ago is made again, with a token of its own.
func TestAServiceIsMadeRightAfterItWasDeleted(t *testing.T) {
	for name, refuses := range map[string]bool{"described as INACTIVE": false, "not described": true} {
		w := empty(t)
		require.Nil(t, w.deploy().Problem)
		_, err := w.DeleteService(w.ctx, &ecs.DeleteServiceInput{Cluster: aws.String("cluster"), Service: aws.String("rca"),
			Force: aws.Bool(true)})
		require.NoError(t, err)
		if refuses {
			w.RefuseMissing()
		}
		outcome := w.deploy()
		require.Nil(t, outcome.Problem, "%s: %v", name, outcome.Problem)
		assert.True(t, outcome.Created)
	}
	for _, words := range []string{"Unable to Start a service that is still Draining.", "Creation of service was not idempotent."} {
		w := empty(t)
		refusal := &types.InvalidParameterException{Message: aws.String(words)}
		outcome := deployment.Deploy(w.ctx, &creates{w.ECS, []error{refusal, refusal}}, w.clock, w.request)
		require.Nil(t, outcome.Problem, "%v", outcome.Problem)

		w = empty(t)
		var all []error
		for range 30 {
			all = append(all, refusal)
		}
		assertCode(t, deployment.UpdateFailed, deployment.Deploy(w.ctx, &creates{w.ECS, all}, w.clock, w.request))
	}
	// Somebody else made it in this moment: it is what ECS says is in the way.
	w := empty(t)
	client := &madeBefore{ECS: w.ECS}
	outcome := deployment.Deploy(w.ctx, client, w.clock, w.request)
	require.Nil(t, outcome.Problem, "%v", outcome.Problem)
	assert.True(t, outcome.Adopted)
}

type madeBefore struct {
	*fakeaws.ECS
	tried bool
}

func (o *madeBefore) CreateService(ctx context.Context, in *ecs.CreateServiceInput,
	options ...func(*ecs.Options)) (*ecs.CreateServiceOutput, error) {
	if !o.tried {
		o.tried = true
		other := *in
		other.ClientToken = aws.String("another run's")
		if _, err := o.ECS.CreateService(ctx, &other); err != nil {
			return nil, err
		}
	}
	return o.ECS.CreateService(ctx, in, options...)
}

func TestAServiceThatECSRefusesToDescribeIsNotThere(t *testing.T) {
	w := empty(t)
	w.RefuseMissing()
	require.Nil(t, w.deploy().Problem)
	w = newWorld("rolling")
	w.RemoveService("cluster", "rca")
	w.RefuseMissing()
	assertCode(t, deployment.TargetMissing, w.deploy())
}

// Tasks that run and are never healthy have a code of their own, with the targets' reasons,
// whether ECS lets them run or replaces them.
func TestTasksThatRunAndAreNeverHealthy(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		w := empty(t)
		w.Behave(w.request.TaskDefinition, fakeaws.Behaviour{Digest: newDigest, NeverHealthy: true, Replaced: replaced})
		w.request.MaxFailures, w.request.StartFailures = 100, -1
		w.request.Create.DeploymentConfiguration = strategies()["blue_green"]
		w.request.Create.LoadBalancers = []types.LoadBalancer{{TargetGroupArn: aws.String("group")}}
		w.request.Targets = func(context.Context, string) ([]deployment.Target, error) {
			return []deployment.Target{{"10.0.0.1:7051", "unhealthy", "Target.ResponseCodeMismatch"},
				{"10.0.0.2:7051", "unhealthy", "Target.ResponseCodeMismatch"}}, nil
		}
		outcome := w.deploy()
		assertCode(t, deployment.NeverHealthy, outcome)
		assert.Contains(t, outcome.Problem.Cause, "2 unhealthy Target.ResponseCodeMismatch")
	}
	w := newWorld("blue_green")
	w.new(fakeaws.Behaviour{NeverHealthy: true, Replaced: true})
	outcome := w.deploy()
	assertCode(t, deployment.RolledBack, outcome)
	assert.Contains(t, outcome.Problem.Details[0], "failed ELB health checks")
}

// A breaker that rolls nothing back ends a deployment by itself; nobody stopped it.
func TestABreakerWithoutRollback(t *testing.T) {
	w := newWorld("rolling")
	w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 10 * time.Second})
	config := *strategies()["rolling"]
	config.DeploymentCircuitBreaker = &types.DeploymentCircuitBreaker{Enable: true,
		ThresholdConfiguration: &types.ThresholdConfiguration{Type: types.ThresholdTypeCount, Value: 2}}
	w.request.Update.DeploymentConfiguration = &config
	w.request.MaxFailures, w.request.StartFailures = 100, -1
	outcome := w.deploy()
	assertCode(t, deployment.NotRolledBack, outcome)
	assert.Contains(t, outcome.Problem.Cause, "Circuit breaker")
	assert.NotEmpty(t, outcome.Problem.Published)
}

// Two updates to one version, of which no list showed the first in time: the second is ours too.
func TestADeploymentThatAnotherOfTheSameVersionReplaced(t *testing.T) {
	w := newWorld("blue_green")
	w.clock.At(time.Minute, func() { w.update(newTask) })
	outcome := w.deploy()
	require.Nil(t, outcome.Problem, "%v", outcome.Problem)
	assert.Equal(t, newTask, w.Serving("cluster", "rca"))

	w = newWorld("blue_green")
	w.Behave(otherTask, fakeaws.Behaviour{Digest: oldDigest})
	w.clock.At(time.Minute, func() { w.update(otherTask) })
	assertCode(t, deployment.Superseded, w.deploy())
	assert.Equal(t, verdict.Fail, deployment.Superseded.Outcome)
}

// What runs is described as it was for a while after it changed, also to the next run.
func TestADigestIsNotJudgedByWhatWasBefore(t *testing.T) {
	w := newWorld("canary")
	require.Nil(t, w.deploy().Problem)
	w.Lag(40 * time.Second)
	w.update(otherTask)
	w.Behave(otherTask, fakeaws.Behaviour{Digest: oldDigest})
	w.request.TaskDefinition, w.request.Digest, w.request.InFlight = otherTask, oldDigest, deployment.Wait
	outcome := w.deploy()
	require.Nil(t, outcome.Problem, "%v", outcome.Problem)
	again := w.deploy()
	require.Nil(t, again.Problem, "%v", again.Problem)
}
