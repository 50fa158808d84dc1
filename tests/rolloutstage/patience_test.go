//go:build unix

package rolloutstage_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
)

// These tests take as long as the SDK waits between two tries.

func serve(t *testing.T) (*fakeaws.Account, *fakeaws.Clock, *overhttp.Server, *account.Clients) {
	t.Helper()
	if testing.Short() {
		t.Skip("the SDK's waits take seconds; run without -short")
	}
	clock := fakeaws.NewClock()
	world := fakeaws.NewAccount(clock)
	server := overhttp.New(world)
	url, err := server.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	clients, problem := account.Open(t.Context(), account.Options{Region: "ap-south-1", Endpoint: url, AccessKey: "key-0", SecretKey: "none"})
	require.Nil(t, problem)
	return world, clock, server, clients
}

// A throttled call was not carried out: it is repeated, also when it is one that must
// not be carried out twice, and the waiting run slows down instead of failing.
func TestThrottlingSlowsARolloutDownAndDoesNotEndIt(t *testing.T) {
	world, clock, server, clients := serve(t)
	const family, digest = "arn:aws:ecs:ap-south-1:111122223333:task-definition/rca:",
		"sha256:2222222222222222222222222222222222222222222222222222222222222222"
	world.ECS.Behave(family+"2", fakeaws.Behaviour{Digest: digest})
	world.ECS.AddService("cluster", "rca", family+"1", 2, &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyRolling})
	throttled := overhttp.Fault{Err: fakeaws.Throttled()}
	server.Break("ecs:UpdateService", throttled)
	server.Break("ecs:DescribeServiceDeployments", overhttp.Fault{}, throttled, throttled)
	started := time.Now()
	outcome := deployment.Deploy(context.Background(), clients.ECS, clock, deployment.Request{
		Cluster: "cluster", Service: "rca", TaskDefinition: family + "2", Container: "app", Digest: digest, Deadline: time.Hour,
	})
	require.Nil(t, outcome.Problem)
	t.Logf("%d requests, %.1f s", len(server.Requests()), time.Since(started).Seconds())
	assert.Equal(t, 1, world.ECS.Calls("UpdateService"))
	updates := slices.DeleteFunc(server.Actions(), func(a string) bool { return a != "ecs:UpdateService" })
	assert.Len(t, updates, 2, "one was turned away, one carried out")
}
