package deployment_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// forgetful is a client that does not know deployments for some time.
type forgetful struct {
	*fakeaws.ECS
	clock       *fakeaws.Clock
	from, until time.Duration
	begun       time.Time
}

func (f *forgetful) DescribeServiceDeployments(ctx context.Context, in *ecs.DescribeServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.DescribeServiceDeploymentsOutput, error) {
	if f.begun.IsZero() {
		f.begun = f.clock.Now()
	}
	if at := f.clock.Now().Sub(f.begun); at >= f.from && at < f.until {
		return &ecs.DescribeServiceDeploymentsOutput{Failures: []types.Failure{{Arn: aws.String(in.ServiceDeploymentArns[0]),
			Reason: aws.String("MISSING")}}}, nil
	}
	return f.ECS.DescribeServiceDeployments(ctx, in, options...)
}

// What is listed may not be described yet, or not everywhere: that is no deployment that is gone.
func TestADeploymentThatIsNotDescribedForAMomentIsFollowed(t *testing.T) {
	for _, from := range []time.Duration{0, 3 * time.Minute} {
		w := newWorld("blue_green")
		client := &forgetful{ECS: w.ECS, clock: w.clock, from: from, until: from + 20*time.Second}
		outcome := deployment.Deploy(w.ctx, client, w.clock, w.request)
		require.Nil(t, outcome.Problem)
		assert.Equal(t, newTask, w.Serving("cluster", "rca"))
	}
	w := newWorld("blue_green")
	client := &forgetful{ECS: w.ECS, clock: w.clock, from: 3 * time.Minute, until: time.Hour}
	start := w.clock.Now()
	assertCode(t, deployment.TargetMissing, deployment.Deploy(w.ctx, client, w.clock, w.request))
	assert.LessOrEqual(t, w.clock.Now().Sub(start), 5*time.Minute)
}

// newborn is a client that describes neither a service nor its deployments until some time after the service was made.
type newborn struct {
	*fakeaws.ECS
	clock *fakeaws.Clock
	after time.Duration
	made  time.Time
}

func (n *newborn) CreateService(ctx context.Context, in *ecs.CreateServiceInput, options ...func(*ecs.Options)) (*ecs.CreateServiceOutput,
	error) {
	n.made = n.clock.Now()
	return n.ECS.CreateService(ctx, in, options...)
}

func (n *newborn) unknown() bool { return !n.made.IsZero() && n.clock.Now().Sub(n.made) < n.after }

func (n *newborn) DescribeServices(ctx context.Context, in *ecs.DescribeServicesInput,
	options ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error) {
	if n.unknown() {
		return &ecs.DescribeServicesOutput{Failures: []types.Failure{{Reason: aws.String("MISSING")}}}, nil
	}
	return n.ECS.DescribeServices(ctx, in, options...)
}

func (n *newborn) DescribeServiceDeployments(ctx context.Context, in *ecs.DescribeServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.DescribeServiceDeploymentsOutput, error) {
	if n.unknown() {
		return &ecs.DescribeServiceDeploymentsOutput{Failures: []types.Failure{{Reason: aws.String("MISSING")}}}, nil
	}
	return n.ECS.DescribeServiceDeployments(ctx, in, options...)
}

// What was made a moment ago is not gone because ECS does not describe it yet.
func TestAServiceThatWasJustMadeIsNotMissing(t *testing.T) {
	w := empty(t)
	outcome := deployment.Deploy(w.ctx, &newborn{ECS: w.ECS, clock: w.clock, after: 30 * time.Second}, w.clock, w.request)
	require.Nil(t, outcome.Problem)
	assert.True(t, outcome.Created)
}

func TestOneAnswerIsNoProofThatSomethingIsGone(t *testing.T) {
	now, gone := time.Now(), deployment.Absence{}
	assert.False(t, gone.Lasts(true, now))
	assert.False(t, gone.Lasts(true, now.Add(time.Minute)))
	assert.True(t, gone.Lasts(true, now.Add(time.Minute+1)))
	assert.False(t, gone.Lasts(false, now.Add(2*time.Minute)), "it is there again")
	assert.False(t, gone.Lasts(true, now.Add(time.Hour)))
}

// The deployment of another is waited for even where one answer does not know it.
func TestADeploymentOfAnotherThatIsForgottenForAMomentIsStillWaitedFor(t *testing.T) {
	w := newWorld("blue_green")
	_, err := w.UpdateService(w.ctx, &ecs.UpdateServiceInput{Cluster: aws.String("cluster"), Service: aws.String("rca"),
		TaskDefinition: aws.String(otherTask)})
	require.NoError(t, err)
	w.request.InFlight = deployment.Wait
	client := &forgetful{ECS: w.ECS, clock: w.clock, from: time.Minute, until: time.Minute + 20*time.Second}
	require.Nil(t, deployment.Deploy(w.ctx, client, w.clock, w.request).Problem)
}

// renamed is a client that lists what is in progress by a status of a later time.
type renamed struct{ *fakeaws.ECS }

func (r renamed) ListServiceDeployments(ctx context.Context, in *ecs.ListServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error) {
	out, err := r.ECS.ListServiceDeployments(ctx, in, options...)
	for n := range out.ServiceDeployments {
		if out.ServiceDeployments[n].Status == types.ServiceDeploymentStatusInProgress {
			out.ServiceDeployments[n].Status = "VALIDATING"
		}
	}
	return out, err
}

func TestADeploymentOfAnotherWithAnUnknownStatusIsInFlight(t *testing.T) {
	w := newWorld("blue_green")
	_, err := w.UpdateService(w.ctx, &ecs.UpdateServiceInput{Cluster: aws.String("cluster"), Service: aws.String("rca"),
		TaskDefinition: aws.String(otherTask)})
	require.NoError(t, err)
	require.NoError(t, w.clock.Sleep(w.ctx, time.Minute))
	outcome := deployment.Deploy(w.ctx, renamed{w.ECS}, w.clock, w.request)
	assertCode(t, deployment.Busy, outcome)
	assert.Contains(t, outcome.Problem.Cause, "is VALIDATING (a status that this version does not know, taken for in flight)")
}

// The lock is kept wherever it is waited: it lasts two minutes.
func TestTheLockIsKeptWhileAWaitLasts(t *testing.T) {
	for name, arrange := range map[string]func() *world{
		"a deleted service drains": func() *world {
			w := empty(t)
			require.Nil(t, w.deploy().Problem)
			_, err := w.DeleteService(w.ctx, &ecs.DeleteServiceInput{Cluster: aws.String("cluster"), Service: aws.String("rca"),
				Force: aws.Bool(true)})
			require.NoError(t, err)
			return w
		},
		"tasks are missing at the end": func() *world {
			w := newWorld("rolling")
			w.AddService("cluster", "rca", newTask, 2, strategies()["rolling"])
			w.SetDesired("cluster", "rca", 3)
			return w
		},
	} {
		w := arrange()
		last, longest := w.clock.Now(), time.Duration(0)
		w.request.Look = func(context.Context) error {
			longest, last = max(longest, w.clock.Now().Sub(last)), w.clock.Now()
			return nil
		}
		w.deploy()
		longest = max(longest, w.clock.Now().Sub(last))
		assert.LessOrEqual(t, longest, time.Minute, name)
	}
}
