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

// recounted is a client whose services have the given deployments from some time after the first call, for some time.
type recounted struct {
	*fakeaws.ECS
	clock       *fakeaws.Clock
	from, until time.Duration
	deployments []types.Deployment
	gone        bool // it has none afterwards
	begun       time.Time
}

func (r *recounted) DescribeServices(ctx context.Context, in *ecs.DescribeServicesInput,
	options ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error) {
	out, err := r.ECS.DescribeServices(ctx, in, options...)
	if r.begun.IsZero() {
		r.begun = r.clock.Now()
	}
	switch at := r.clock.Now().Sub(r.begun); {
	case err != nil || at < r.from:
	case at < r.until:
		out.Services[0].Deployments = r.deployments
	case r.gone:
		out.Services[0].Deployments = nil
	}
	return out, err
}

// Only tasks of this deployment that ECS could not launch end it: in two looks, and not in the first minute.
func TestWhichFailedLaunchesEndADeployment(t *testing.T) {
	failed := func(status, definition string, ago time.Duration) types.Deployment {
		return types.Deployment{Status: aws.String(status), TaskDefinition: aws.String(definition), FailedTasks: 3,
			CreatedAt: aws.Time(fakeaws.NewClock().Now().Add(-ago))}
	}
	ours := failed("PRIMARY", newTask, 0)
	two := ours
	two.FailedTasks = 2
	const whole = time.Hour
	for name, c := range map[string]struct {
		from, until time.Duration
		deployment  types.Deployment
		ends        bool
	}{
		"ours":                          {2 * time.Minute, whole, ours, true},
		"ours, in two looks":            {2 * time.Minute, 2*time.Minute + 10*time.Second, ours, true},
		"ours, in one look":             {2 * time.Minute, 2*time.Minute + 5*time.Second, ours, false},
		"ours, too few":                 {2 * time.Minute, whole, two, false},
		"ours, in the first minute":     {0, time.Minute, ours, false},
		"what it replaces":              {2 * time.Minute, whole, failed("ACTIVE", newTask, 0), false},
		"another version":               {2 * time.Minute, whole, failed("PRIMARY", otherTask, 0), false},
		"an earlier one of the version": {2 * time.Minute, whole, failed("PRIMARY", newTask, time.Hour), false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, gone := range []bool{false, true} {
				w := newWorld("blue_green")
				client := &recounted{ECS: w.ECS, clock: w.clock, from: c.from, until: c.until, gone: gone,
					deployments: []types.Deployment{c.deployment}}
				outcome := deployment.Deploy(w.ctx, client, w.clock, w.request)
				if !c.ends {
					require.Nil(t, outcome.Problem)
					continue
				}
				assertCode(t, deployment.RolledBack, outcome)
				assert.Contains(t, outcome.Problem.Cause, "ECS could not launch 3 tasks of the new version")
			}
		})
	}
}
