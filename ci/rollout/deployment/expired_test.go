package deployment_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// unmade is a client that makes no service.
type unmade struct {
	*fakeaws.ECS
	err error
}

func (u *unmade) CreateService(context.Context, *ecs.CreateServiceInput, ...func(*ecs.Options)) (*ecs.CreateServiceOutput, error) {
	return nil, u.err
}

// Whatever is asked when the credentials end: the code says so, as fresh ones are all that is
// needed, and the run stays on record, as what had begun goes on.
func TestCredentialsThatEndAnywhereAreToldAsThat(t *testing.T) {
	ended := &smithy.GenericAPIError{Code: "ExpiredTokenException", Message: "ended"}
	for _, operation := range []string{"DescribeServices", "ListServiceDeployments", "UpdateService", "DescribeServiceDeployments"} {
		w := newWorld("canary")
		w.Fail(operation, ended, ended)
		assertCode(t, deployment.AuthExpired, w.deploy())
	}
	w := empty(t)
	assertCode(t, deployment.AuthExpired, deployment.Deploy(w.ctx, &unmade{w.ECS, ended}, w.clock, w.request))

	w = newWorld("canary")
	w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 20 * time.Second})
	w.Fail("StopServiceDeployment", ended)
	outcome := w.deploy()
	assertCode(t, deployment.AuthExpired, outcome)
	assert.Contains(t, outcome.Problem.Cause, "tasks of the new version failed", "why it was to be rolled back")
	assert.NotEmpty(t, outcome.Problem.Published)

	w = newWorld("canary")
	w.update(otherTask)
	w.request.InFlight = deployment.Undo
	w.Fail("StopServiceDeployment", ended)
	w.Fail("DescribeServiceDeployments", nil, ended)
	assertCode(t, deployment.AuthExpired, w.deploy())
}
