package deployment_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// serving is a world whose service runs the version already, and differs in a setting.
func serving() *world {
	w := newWorld("blue_green")
	w.AddService("cluster", "rca", newTask, 2, strategies()["blue_green"])
	w.request.Update.HealthCheckGracePeriodSeconds = aws.Int32(77)
	return w
}

func TestSettingsAreChangedWithoutADeployment(t *testing.T) {
	w := serving()
	calls := w.before(time.Minute, nil)
	outcome := w.deploy()
	require.Nil(t, outcome.Problem)
	assert.True(t, outcome.Unchanged)
	assert.Empty(t, outcome.Deployment)
	assert.Equal(t, 1, w.Calls("UpdateService"))
	assert.Zero(t, *calls, "what runs needs no trial")
	out := w.deploy()
	require.Nil(t, out.Problem, "it can be repeated, also after an answer that was lost")

	for code, err := range map[string]error{
		deployment.UpdateFailed.Name: &types.InvalidParameterException{Message: aws.String("no")},
		deployment.AWSFailed.Name:    errors.New("EOF"),
	} {
		w = serving()
		w.Fail("UpdateService", err)
		outcome = w.deploy()
		require.NotNil(t, outcome.Problem)
		assert.Equal(t, code, outcome.Problem.Code.Name)
	}
	w = serving()
	w.request.Fence = func(context.Context) error { return verdict.Problemf(deployment.LockLost, "run 2 holds it") }
	assertCode(t, deployment.LockLost, w.deploy())
	assert.Zero(t, w.Calls("UpdateService"))
}

// What ECS carries out with new tasks is a deployment like any other, of the same version.
func TestWhatNeedsNewTasksIsDeployed(t *testing.T) {
	w := newWorld("blue_green")
	w.AddService("cluster", "rca", newTask, 2, strategies()["blue_green"])
	w.new(fakeaws.Behaviour{})
	w.request.Update.NetworkConfiguration = &types.NetworkConfiguration{
		AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-2"}},
	}
	calls := w.before(time.Minute, nil)
	outcome := w.deploy()
	require.Nil(t, outcome.Problem)
	assert.False(t, outcome.Unchanged)
	assert.NotEmpty(t, outcome.Deployment)
	assert.Equal(t, 1, *calls, "a task may not start in another subnet")
	assert.Equal(t, 1, w.Calls("UpdateService"))
}
