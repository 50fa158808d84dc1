package overhttp_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

const deployer = "arn:aws:iam::" + accountID + ":role/deployer"

// A bake outlives the session of a role: the role is assumed again, and the run goes on. No
// time has to pass for that: a session of less than the SDK keeps in hand is over as soon as
// it is given out, and one of an hour lasts to the end.
func TestARoleIsAssumedAgainInTheMiddleOfADeployment(t *testing.T) {
	for name, o := range map[string]account.Options{
		"role":         {Role: deployer, SessionName: "deploy"},
		"web identity": {WebIdentity: func() ([]byte, error) { return []byte("identity-token\n"), nil }, WebIdentityRole: deployer},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.server.STS.Identity = "identity-token"
			w.server.STS.Last(4 * time.Minute) // one minute less than the SDK keeps in hand
			clients := w.open(o)
			who, problem := account.Guard(context.Background(), clients.STS, accountID)
			require.Nil(t, problem)
			assert.Contains(t, who, ":assumed-role/deployer/")
			request := running(w.aws.ECS, types.DeploymentStrategyCanary, fakeaws.Behaviour{})
			before := 0
			w.clock.At(5*time.Minute, func() {
				before = w.server.STS.Sessions()
				w.server.STS.Last(time.Hour)
			})
			outcome := deployment.Deploy(context.Background(), clients.ECS, w.clock, request)
			require.Nil(t, outcome.Problem)
			assert.Greater(t, before, 2, "again and again, in the middle of the deployment")
			assert.Equal(t, before+1, w.server.STS.Sessions(), "and not while a session lasts")
			requests := w.server.Requests()
			assert.NotEqual(t, requests[len(requests)/4].Key, requests[len(requests)-1].Key)
			assert.Equal(t, fmt.Sprintf("session-%d", before+1), requests[len(requests)-1].Key)
		})
	}
}

// Credentials that nothing renews end with an answer that says so, at once; what was
// started goes on, and the next run with new ones finds it.
func TestCredentialsThatEndInTheMiddleOfADeployment(t *testing.T) {
	w := newWorld(t)
	request := running(w.aws.ECS, types.DeploymentStrategyCanary, fakeaws.Behaviour{})
	w.clock.At(5*time.Minute, func() { w.server.STS.End("key-0") })
	outcome := deployment.Deploy(context.Background(), w.clients.ECS, w.clock, request)
	require.NotNil(t, outcome.Problem)
	assert.Contains(t, outcome.Problem.Cause, "ExpiredTokenException")
	assert.NotEmpty(t, outcome.Deployment)

	clients, problem := account.Open(context.Background(), account.Options{Region: "ap-south-1", Endpoint: w.url, AccessKey: "key-1",
		SecretKey: "none", Role: deployer})
	require.Nil(t, problem)
	again := deployment.Deploy(context.Background(), clients.ECS, w.clock, request)
	require.Nil(t, again.Problem)
	assert.True(t, again.Adopted)
	assert.Equal(t, outcome.Deployment, again.Deployment)
	assert.Equal(t, 1, w.aws.ECS.Calls("UpdateService"))
}

func TestCredentialsThatAreRefused(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.server.STS.Roles = []string{deployer}
	other := w.open(account.Options{Role: "arn:aws:iam::" + accountID + ":role/other"})
	_, problem := account.Guard(ctx, other.STS, accountID)
	require.NotNil(t, problem)
	assert.Contains(t, problem.Cause, "AccessDenied")

	w.server.STS.Identity = "right"
	wrong := w.open(account.Options{WebIdentity: func() ([]byte, error) { return []byte("wrong"), nil }, WebIdentityRole: deployer})
	_, problem = account.Guard(ctx, wrong.STS, accountID)
	require.NotNil(t, problem)
	assert.Contains(t, problem.Cause, "InvalidIdentityToken")
	assert.NotContains(t, problem.Cause, "wrong")
	exchanges := slices.DeleteFunc(w.server.Actions(), func(a string) bool { return a != "sts:AssumeRoleWithWebIdentity" })
	assert.LessOrEqual(t, len(exchanges), 3, "a token that is refused is not shown for minutes")
	unreadable := w.open(account.Options{WebIdentity: func() ([]byte, error) { return nil, errors.New("no such file") },
		WebIdentityRole: deployer})
	_, problem = account.Guard(ctx, unreadable.STS, accountID)
	require.NotNil(t, problem)
	assert.Contains(t, problem.Cause, "no such file")

	session := w.open(account.Options{Role: deployer})
	_, problem = account.Guard(ctx, session.STS, accountID)
	require.Nil(t, problem)
	w.server.STS.End()
	_, problem = account.Guard(ctx, session.STS, accountID)
	require.NotNil(t, problem)
	assert.Contains(t, problem.Cause, "ExpiredToken")

	forged, problem := account.Open(ctx, account.Options{Region: "ap-south-1", Endpoint: w.url, AccessKey: "session-1", SecretKey: "none",
		SessionToken: "guessed"})
	require.Nil(t, problem)
	_, err := forged.ECS.ListTasks(ctx, &ecs.ListTasksInput{})
	assert.Equal(t, "ExpiredTokenException", code(err))

	w.aws.Identity.Account = "444455556666"
	_, problem = account.Guard(ctx, w.clients.STS, accountID)
	require.NotNil(t, problem)
	assert.Equal(t, account.WrongAccount.Name, problem.Code.Name)
}
