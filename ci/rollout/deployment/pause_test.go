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
)

// The time that people take for their answer is not the deployment's.
func TestAPauseDoesNotCountAgainstTheDeadline(t *testing.T) {
	w := newWorld("blue_green")
	config := *strategies()["blue_green"]
	config.LifecycleHooks = []types.DeploymentLifecycleHook{{TargetType: types.DeploymentLifecycleHookTargetTypePause,
		LifecycleStages: []types.DeploymentLifecycleHookStage{types.DeploymentLifecycleHookStagePostScaleUp}}}
	w.request.Update.DeploymentConfiguration = &config
	w.request.AwaitApproval, w.request.Deadline = true, 20*time.Minute
	w.clock.At(2*time.Hour, func() {
		all, err := deployment.List(context.Background(), w.ECS, "cluster", "rca")
		require.NoError(t, err)
		described, err := w.DescribeServiceDeployments(context.Background(),
			&ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{*all[0].ServiceDeploymentArn}})
		require.NoError(t, err)
		hook := deployment.HookOf(&described.ServiceDeployments[0])
		require.NotNil(t, hook)
		_, err = w.ContinueServiceDeployment(context.Background(), &ecs.ContinueServiceDeploymentInput{
			ServiceDeploymentArn: all[0].ServiceDeploymentArn, HookId: aws.String(hook.ID), Action: types.DeploymentLifecycleHookActionContinue})
		require.NoError(t, err)
	})
	outcome := w.deploy()
	require.Nil(t, outcome.Problem)
	assert.Equal(t, newTask, w.Serving("cluster", "rca"))
}
