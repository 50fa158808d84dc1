package deployment_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
