package deployment_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// codeless is what the SDK makes of an answer without a code, such as a 504 of a gateway with an empty body.
var codeless = &smithy.GenericAPIError{Code: "UnknownError", Message: "UnknownError"}

// gateway answers the writes to the service itself, after ECS has carried them out if done is set, and lists
// nothing while blind is set.
type gateway struct {
	deployment.ECS
	answer error
	done   bool
	blind  bool
}

func (g *gateway) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput, options ...func(*ecs.Options)) (*ecs.UpdateServiceOutput,
	error) {
	if g.done {
		_, _ = g.ECS.UpdateService(ctx, in, options...)
	}
	return nil, g.answer
}

func (g *gateway) CreateService(ctx context.Context, in *ecs.CreateServiceInput, options ...func(*ecs.Options)) (*ecs.CreateServiceOutput,
	error) {
	if g.done {
		_, _ = g.ECS.CreateService(ctx, in, options...)
	}
	return nil, g.answer
}

func (g *gateway) ListServiceDeployments(ctx context.Context, in *ecs.ListServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error) {
	if g.blind && in.CreatedAt != nil {
		return nil, errors.New("no route to host")
	}
	return g.ECS.ListServiceDeployments(ctx, in, options...)
}

// Only an answer of ECS says that nothing was done.
func TestAWriteThatAGatewayAnswersIsLookedFor(t *testing.T) {
	for name, answer := range map[string]error{"codeless": codeless, "broken": errors.New("connection reset by peer")} {
		t.Run(name, func(t *testing.T) {
			w := newWorld("rolling")
			outcome := deployment.Deploy(w.ctx, &gateway{ECS: w.ECS, answer: answer, done: true}, w.clock, w.request)
			require.Nil(t, outcome.Problem)
			assert.Equal(t, newTask, w.Serving("cluster", "rca"))

			w = newWorld("rolling")
			assertCode(t, deployment.UpdateFailed, deployment.Deploy(w.ctx, &gateway{ECS: w.ECS, answer: answer}, w.clock, w.request))

			w = empty(t)
			outcome = deployment.Deploy(w.ctx, &gateway{ECS: w.ECS, answer: answer, done: true}, w.clock, w.request)
			require.Nil(t, outcome.Problem)
			assert.True(t, outcome.Created)

			w = empty(t)
			assertCode(t, deployment.UpdateFailed, deployment.Deploy(w.ctx, &gateway{ECS: w.ECS, answer: answer}, w.clock, w.request))
		})
	}
}

// Where neither the write nor the list is answered, nothing may be called unchanged.
func TestAWriteThatCannotBeLookedForIsOutOfSight(t *testing.T) {
	w := newWorld("rolling")
	require.Nil(t, w.deploy().Problem)
	w.request.TaskDefinition, w.request.Digest = oldTask, oldDigest
	client := &gateway{ECS: w.ECS, answer: codeless, done: true, blind: true}
	outcome := deployment.Deploy(w.ctx, client, w.clock, w.request)
	assertCode(t, deployment.Lost, outcome)
	assert.NotEmpty(t, outcome.Problem.Published)
	client.blind = false
	outcome = deployment.Deploy(w.ctx, client, w.clock, w.request)
	require.Nil(t, outcome.Problem)
	assert.Equal(t, 2, w.Calls("UpdateService"), "the deployment is found")
}

func TestAnswersWithoutACodeDoNotEndTheFollowing(t *testing.T) {
	w := newWorld("blue_green")
	w.Fail("DescribeServiceDeployments", slices.Repeat([]error{codeless}, 20)...)
	require.Nil(t, w.deploy().Problem)
	assert.True(t, deployment.Refused(&smithy.GenericAPIError{Code: "ClientException", Fault: smithy.FaultClient}))
	assert.Equal(t, newTask, w.Serving("cluster", "rca"))
}

// What may not be looked at is named with what to allow, and a right that is missing is no lack of an answer.
func TestWhatMayNotBeSeenIsNamed(t *testing.T) {
	w := newWorld("blue_green")
	denied := fakeaws.Denied("DescribeTargetHealth")
	w.request.Targets = func(context.Context, string) ([]deployment.Target, error) { return nil, denied }
	outcome := deployment.Deploy(w.ctx, grouped{w.ECS}, w.clock, w.request)
	assertCode(t, deployment.Lost, outcome)
	assert.Contains(t, outcome.Problem.Next, "docs/iam")
	assert.NotEmpty(t, outcome.Problem.Published)
	denied = &smithy.GenericAPIError{Code: "ExpiredToken", Message: "ended"}
	assertCode(t, deployment.AuthExpired, deployment.Verify(w.ctx, grouped{w.ECS}, w.clock, w.request))

	w = newWorld("blue_green")
	w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 20 * time.Second})
	w.request.Targets = nil
	outcome = deployment.Deploy(w.ctx, unlisted{w.ECS}, w.clock, w.request)
	assertCode(t, deployment.NeverHealthy, outcome)
	assert.Contains(t, strings.Join(outcome.Problem.Details, "\n"), "why tasks stopped could not be read: list tasks to be stopped")
}

// grouped is a client whose revisions have a target group.
type grouped struct{ *fakeaws.ECS }

func (g grouped) DescribeServiceRevisions(ctx context.Context, in *ecs.DescribeServiceRevisionsInput,
	options ...func(*ecs.Options)) (*ecs.DescribeServiceRevisionsOutput, error) {
	out, err := g.ECS.DescribeServiceRevisions(ctx, in, options...)
	for n := range out.ServiceRevisions {
		out.ServiceRevisions[n].LoadBalancers = []types.LoadBalancer{{TargetGroupArn: aws.String("group")}}
	}
	return out, err
}

// unlisted is a client that may not list tasks.
type unlisted struct{ *fakeaws.ECS }

func (unlisted) ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	return nil, fakeaws.Denied("ListTasks")
}

// In a rolling deployment old and new tasks share a target group: the old ones' health is not the new ones'.
func TestHealthyOldTargetsDoNotHideNewOnesThatAreNot(t *testing.T) {
	w := newWorld("rolling")
	w.new(fakeaws.Behaviour{NeverHealthy: true})
	w.request.HealthPatience = 10 * time.Minute
	w.request.Targets = func(context.Context, string) ([]deployment.Target, error) {
		return []deployment.Target{{State: "healthy"}, {State: "healthy"}, {State: "unhealthy"}, {State: "unhealthy"}}, nil
	}
	outcome := deployment.Deploy(w.ctx, grouped{w.ECS}, w.clock, w.request)
	assertCode(t, deployment.NeverHealthy, outcome)
	assert.Contains(t, outcome.Problem.Cause, "0 of 2 tasks")
}
