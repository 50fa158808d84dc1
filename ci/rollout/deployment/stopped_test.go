package deployment_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

func TestARollbackNamesWhoAskedForIt(t *testing.T) {
	// Somebody else stops the deployment while it bakes.
	w := newWorld("blue_green")
	stopped := false
	w.request.Progress = func(e deployment.Event) {
		if e.Stage == "BAKE_TIME" && !stopped {
			stopped = true
			all, err := w.ECS.ListServiceDeployments(w.ctx, &ecs.ListServiceDeploymentsInput{Cluster: aws.String("cluster"),
				Service: aws.String("rca"),
				Status:  []types.ServiceDeploymentStatus{types.ServiceDeploymentStatusInProgress}})
			assert.NoError(t, err)
			_, err = w.ECS.StopServiceDeployment(w.ctx, &ecs.StopServiceDeploymentInput{
				ServiceDeploymentArn: all.ServiceDeployments[0].ServiceDeploymentArn, StopType: types.StopServiceDeploymentStopTypeRollback})
			assert.NoError(t, err)
		}
	}
	outcome := w.deploy()
	assertCode(t, deployment.RolledBack, outcome)
	assert.Equal(t, "ROLLBACK_SUCCESSFUL", outcome.Status)
	assert.Contains(t, outcome.Problem.Cause, "not by this run: CloudTrail has who called StopServiceDeployment")

	// This run does, as the tasks fail.
	w = newWorld("blue_green")
	w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 5e9})
	outcome = w.deploy()
	assertCode(t, deployment.RolledBack, outcome)
	assert.Contains(t, outcome.Problem.Cause, "so this run rolled it back")
	assert.NotContains(t, outcome.Problem.Cause, "user")
	assert.NotContains(t, outcome.Problem.Cause, "CloudTrail")
}
