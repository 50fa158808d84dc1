package deployment_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// empty is a world with a cluster and a task definition, and a request that makes the service.
func empty(t *testing.T) *world {
	t.Helper()
	clock := fakeaws.NewClock()
	w := &world{ECS: fakeaws.NewAccount(clock).ECS, clock: clock, ctx: context.Background(), request: newWorld("rolling").request}
	_, err := w.CreateCluster(w.ctx, &ecs.CreateClusterInput{ClusterName: aws.String("cluster")})
	require.NoError(t, err)
	out, err := w.RegisterTaskDefinition(w.ctx, &ecs.RegisterTaskDefinitionInput{Family: aws.String("rca")})
	require.NoError(t, err)
	w.request.TaskDefinition = *out.TaskDefinition.TaskDefinitionArn
	w.Behave(w.request.TaskDefinition, fakeaws.Behaviour{Digest: newDigest})
	w.request.Create = &ecs.CreateServiceInput{DesiredCount: aws.Int32(2), ClientToken: aws.String("token"),
		DeploymentConfiguration: strategies()["rolling"]}
	return w
}

func TestAServiceIsMadeAndFollowed(t *testing.T) {
	w := empty(t)
	outcome := w.deploy()
	require.Nil(t, outcome.Problem)
	assert.True(t, outcome.Created)
	again := w.deploy()
	require.Nil(t, again.Problem)
	assert.True(t, again.Unchanged)
	verified := deployment.Verify(w.ctx, w.ECS, w.clock, w.request)
	require.Nil(t, verified.Problem)
	w.request.Digest = oldDigest
	assertCode(t, deployment.DigestMismatch, deployment.Verify(w.ctx, w.ECS, w.clock, w.request))
}

// creates answers the first creations with an error.
type creates struct {
	*fakeaws.ECS
	errors []error
}

func (c *creates) CreateService(ctx context.Context, in *ecs.CreateServiceInput, options ...func(*ecs.Options)) (*ecs.CreateServiceOutput,
	error) {
	if len(c.errors) > 0 {
		err := c.errors[0]
		c.errors = c.errors[1:]
		return nil, err
	}
	return c.ECS.CreateService(ctx, in, options...)
}

func TestANewRoleIsWaitedFor(t *testing.T) {
	w := empty(t)
	early := &types.InvalidParameterException{Message: aws.String("Unable to assume role and validate the specified targetGroupArn.")}
	client := &creates{w.ECS, []error{early, early, errors.New("EOF")}}
	outcome := deployment.Deploy(w.ctx, client, w.clock, w.request)
	require.Nil(t, outcome.Problem)

	w = empty(t)
	client = &creates{w.ECS, []error{&types.InvalidParameterException{Message: aws.String("subnet does not exist")}}}
	outcome = deployment.Deploy(w.ctx, client, w.clock, w.request)
	assertCode(t, deployment.UpdateFailed, outcome)
	assert.Contains(t, outcome.Problem.Cause, "subnet")
}

func TestAServiceThatIsBeingDeletedIsWaitedForAndMade(t *testing.T) {
	w := empty(t)
	require.Nil(t, w.deploy().Problem)
	_, err := w.DeleteService(w.ctx, &ecs.DeleteServiceInput{Cluster: aws.String("cluster"), Service: aws.String("rca"),
		Force: aws.Bool(true)})
	require.NoError(t, err)
	require.Nil(t, w.deploy().Problem)

	w = empty(t)
	require.Nil(t, w.deploy().Problem)
	w.SetStatus("cluster", "rca", "DRAINING") // it never ends
	outcome := w.deploy()
	assertCode(t, deployment.TargetMissing, outcome)
	assert.Contains(t, outcome.Problem.Cause, "DRAINING, for 15m0s")
	assert.Contains(t, outcome.Problem.Next, "until ECS calls it INACTIVE")
}

func TestAFirstDeploymentThatFailsIsDeletedUnlessItIsToBeLeft(t *testing.T) {
	w := empty(t)
	w.Behave(w.request.TaskDefinition, fakeaws.Behaviour{Failure: crash(), FailAfter: 10 * time.Second})
	w.request.OnTimeout = deployment.Leave
	outcome := w.deploy()
	assertCode(t, deployment.NoRollbackTarget, outcome)
	assert.Zero(t, w.Calls("DeleteService"))

	w = empty(t)
	w.Behave(w.request.TaskDefinition, fakeaws.Behaviour{NoCapacity: "unable to place a task. Reason: Capacity is unavailable at this time."})
	outcome = w.deploy()
	assertCode(t, deployment.NoCapacity, outcome)
	assert.Contains(t, outcome.Problem.Cause, "the service was deleted")
	assert.Empty(t, outcome.Problem.Published)
}

func TestNothingIsWrittenWithoutTheFence(t *testing.T) {
	for _, c := range []struct {
		err  error
		code verdict.Code
	}{{errors.New("somebody else"), deployment.LockLost}, {verdict.Problemf(deployment.Busy, "x"), deployment.Busy}} {
		w := newWorld("rolling")
		w.request.Fence = func(context.Context) error { return c.err }
		assertCode(t, c.code, w.deploy())
		assert.Zero(t, w.Calls("UpdateService"))
		w = empty(t)
		w.request.Fence = func(context.Context) error { return c.err }
		assertCode(t, c.code, w.deploy())
	}
}

func TestWhoLostTheLockLooksOn(t *testing.T) {
	w := newWorld("blue_green")
	w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 20 * time.Second})
	looks := 0
	w.request.Look = func(context.Context) error {
		if looks++; looks > 2 {
			return errors.New("taken over")
		}
		return nil
	}
	outcome := w.deploy()
	assertCode(t, deployment.LockLost, outcome)
	assert.Zero(t, w.Calls("StopServiceDeployment"))
	assert.NotEmpty(t, outcome.Problem.Published)
}

func TestTheLoadBalancersOpinionIsToldAndDemanded(t *testing.T) {
	w := empty(t)
	w.request.Create.LoadBalancers = []types.LoadBalancer{{TargetGroupArn: aws.String("group")}}
	asked := 0
	w.request.Targets = func(_ context.Context, group string) ([]deployment.Target, error) {
		assert.Equal(t, "group", group)
		if asked++; asked == 1 {
			return nil, errors.New("no answer")
		}
		if w.Serving("cluster", "rca") == "" {
			return []deployment.Target{{"10.0.0.1:7051", "initial", "Elb.RegistrationInProgress"}}, nil
		}
		return []deployment.Target{{"10.0.0.1:7051", "healthy", ""}, {"10.0.0.2:7051", "unhealthy", "Target.Timeout"}}, nil
	}
	var told []string
	w.request.Progress = func(e deployment.Event) { told = append(told, e.Text) }
	outcome := w.deploy()
	assertCode(t, deployment.LBUnhealthy, outcome)
	assert.Contains(t, outcome.Problem.Cause, "1 of 2 targets are healthy: 1 healthy, 1 unhealthy Target.Timeout")
	text := strings.Join(told, "\n")
	assert.Contains(t, text, "health could not be read: no answer")
	assert.Contains(t, text, "targets: 1 initial Elb.RegistrationInProgress")
}

func TestAnotherDeploymentIsWaitedForOrUndone(t *testing.T) {
	for policy, stops := range map[deployment.InFlight]int{deployment.Wait: 0, deployment.Undo: 1} {
		w := newWorld("blue_green")
		w.Behave(otherTask, fakeaws.Behaviour{Digest: oldDigest})
		w.update(otherTask)
		w.request.InFlight = policy
		require.Nil(t, w.deploy().Problem)
		assert.Equal(t, newTask, w.Serving("cluster", "rca"))
		assert.Equal(t, stops, w.Calls("StopServiceDeployment"))
	}
	w := newWorld("blue_green")
	w.Behave(otherTask, fakeaws.Behaviour{Digest: oldDigest, Hangs: "SCALE_UP"})
	w.update(otherTask)
	w.request.InFlight, w.request.Deadline = deployment.Wait, 20*time.Minute
	outcome := w.deploy()
	assertCode(t, deployment.Busy, outcome)
	assert.Contains(t, outcome.Problem.Cause, "has not ended within 20m0s")

	w = newWorld("blue_green")
	w.Behave(otherTask, fakeaws.Behaviour{Digest: oldDigest})
	w.update(otherTask)
	w.request.InFlight = deployment.Undo
	w.Fail("StopServiceDeployment", &types.ConflictException{Message: aws.String("too late")})
	outcome = w.deploy()
	assertCode(t, deployment.Busy, outcome)
	assert.Contains(t, outcome.Problem.Cause, "too late")
}

func TestAServiceWhoseDeploymentsMayNotBeFollowedIsNotMade(t *testing.T) {
	w := empty(t)
	w.Fail("ListServiceDeployments", fakeaws.Denied("ListServiceDeployments"))
	outcome := w.deploy()
	assertCode(t, deployment.FollowDenied, outcome)
	assert.Empty(t, outcome.Problem.Published)
	assert.Zero(t, w.Calls("CreateService"))
}
