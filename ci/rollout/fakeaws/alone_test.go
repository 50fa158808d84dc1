package fakeaws_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// These tests hold the fake against what AWS documents of tasks of no service.

const tried = "arn:aws:ecs:ap-south-1:111122223333:task-definition/rca:1"

func alone(t *testing.T, b fakeaws.Behaviour) (*fakeaws.ECS, *fakeaws.Clock, func() types.Task) {
	t.Helper()
	clock := fakeaws.NewClock()
	fake := fakeaws.NewECS(clock)
	fake.Behave(tried, b)
	out, err := fake.RunTask(context.Background(), &ecs.RunTaskInput{Cluster: aws.String("c"), TaskDefinition: aws.String(tried),
		StartedBy: aws.String("me")})
	require.NoError(t, err)
	require.Len(t, out.Tasks, 1)
	return fake, clock, func() types.Task {
		described, err := fake.DescribeTasks(context.Background(), &ecs.DescribeTasksInput{Cluster: aws.String("c"),
			Tasks: []string{*out.Tasks[0].TaskArn}})
		require.NoError(t, err)
		require.Len(t, described.Tasks, 1)
		return described.Tasks[0]
	}
}

func TestTheStatesOfATaskOfNoService(t *testing.T) {
	ctx := context.Background()
	fake, clock, look := alone(t, fakeaws.Behaviour{})
	for _, c := range []struct {
		after  time.Duration
		status string
		health types.HealthStatus
	}{
		{time.Second, "PROVISIONING", types.HealthStatusUnknown}, {9 * time.Second, "PENDING", types.HealthStatusUnknown},
		{10 * time.Second, "RUNNING", types.HealthStatusUnknown}, {20 * time.Second, "RUNNING", types.HealthStatusHealthy},
	} {
		require.NoError(t, clock.Sleep(ctx, c.after))
		d := look()
		assert.Equal(t, c.status, *d.LastStatus)
		assert.Equal(t, c.health, d.HealthStatus)
		assert.Equal(t, "RUNNING", *d.DesiredStatus)
	}
	_, err := fake.StopTask(ctx, &ecs.StopTaskInput{Cluster: aws.String("c"), Task: look().TaskArn, Reason: aws.String("enough")})
	require.NoError(t, err)
	d := look()
	assert.Equal(t, "STOPPED", *d.DesiredStatus)
	assert.Equal(t, "DEPROVISIONING", *d.LastStatus)
	assert.Equal(t, types.TaskStopCodeUserInitiated, d.StopCode)
	assert.Equal(t, "enough", *d.StoppedReason)
	_, err = fake.StopTask(ctx, &ecs.StopTaskInput{Cluster: aws.String("c"), Task: d.TaskArn, Reason: aws.String("again")})
	require.NoError(t, err)
	require.NoError(t, clock.Sleep(ctx, time.Minute))
	assert.Equal(t, "STOPPED", *look().LastStatus)
	assert.Equal(t, "enough", *look().StoppedReason, "the first reason stays")
	_, err = fake.StopTask(ctx, &ecs.StopTaskInput{Cluster: aws.String("other"), Task: d.TaskArn})
	assert.ErrorContains(t, err, "not found")
}

func TestATaskOfNoServiceGoesOnWhateverItsHealth(t *testing.T) {
	_, clock, look := alone(t, fakeaws.Behaviour{NeverHealthy: true})
	require.NoError(t, clock.Sleep(context.Background(), time.Hour))
	assert.Equal(t, "RUNNING", *look().LastStatus)
	assert.Equal(t, types.HealthStatusUnhealthy, look().HealthStatus)
}

func TestATaskOfNoServiceThatFailsIsNotReplaced(t *testing.T) {
	failure := &fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "exited", ExitCode: 3}
	fake, clock, look := alone(t, fakeaws.Behaviour{Failure: failure, FailAfter: 20 * time.Second})
	require.NoError(t, clock.Sleep(context.Background(), time.Hour))
	d := look()
	assert.Equal(t, types.TaskStopCodeEssentialContainerExited, d.StopCode)
	assert.EqualValues(t, 3, *d.Containers[0].ExitCode)
	assert.Equal(t, 1, fake.Launches(tried))
	assert.Empty(t, fake.Alone("c"))
	in := &ecs.ListTasksInput{Cluster: aws.String("c"), StartedBy: aws.String("me")}
	out, err := fake.ListTasks(context.Background(), in)
	require.NoError(t, err)
	assert.Empty(t, out.TaskArns)
	in.DesiredStatus = types.DesiredStatusRunning
	_, err = fake.ListTasks(context.Background(), in)
	require.ErrorContains(t, err, "only filter", "who started it stands beside no other filter")
}

func TestAClientTokenLaunchesOneTask(t *testing.T) {
	ctx, fake := context.Background(), fakeaws.NewECS(fakeaws.NewClock())
	in := &ecs.RunTaskInput{Cluster: aws.String("c"), TaskDefinition: aws.String(tried), ClientToken: aws.String("t")}
	first, err := fake.RunTask(ctx, in)
	require.NoError(t, err)
	second, err := fake.RunTask(ctx, in)
	require.NoError(t, err)
	assert.Equal(t, first.Tasks[0].TaskArn, second.Tasks[0].TaskArn)
	in.TaskDefinition = aws.String(tried + "0")
	_, err = fake.RunTask(ctx, in)
	var conflict *types.ConflictException
	require.ErrorAs(t, err, &conflict)
	assert.Equal(t, []string{*first.Tasks[0].TaskArn}, conflict.ResourceIds)
	in.Cluster = aws.String("another")
	_, err = fake.RunTask(ctx, in)
	require.NoError(t, err, "tokens are a cluster's")
}

func TestWhatRunTaskRefuses(t *testing.T) {
	ctx, clock := context.Background(), fakeaws.NewClock()
	account := fakeaws.NewAccount(clock)
	in := &ecs.RunTaskInput{Cluster: aws.String("c"), TaskDefinition: aws.String("rca:1"), LaunchType: types.LaunchTypeFargate}
	_, err := account.ECS.RunTask(ctx, in)
	assert.ErrorContains(t, err, "Cluster not found")
	_, err = account.ECS.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("c")})
	require.NoError(t, err)
	_, err = account.ECS.RunTask(ctx, in)
	assert.ErrorContains(t, err, "TaskDefinition not found")
	_, err = account.ECS.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{Family: aws.String("rca")})
	require.NoError(t, err)
	_, err = account.ECS.RunTask(ctx, in)
	assert.ErrorContains(t, err, "Network Configuration must be provided")
	in.NetworkConfiguration = &types.NetworkConfiguration{}
	_, err = account.ECS.RunTask(ctx, in)
	require.NoError(t, err)
	_, err = account.ECS.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String("c")})
	assert.ErrorAs(t, err, new(*types.ClusterContainsTasksException))
}

func TestWhatRunTaskHasNoRoomOrNoRoleFor(t *testing.T) {
	ctx, fake := context.Background(), fakeaws.NewECS(fakeaws.NewClock())
	in := &ecs.RunTaskInput{Cluster: aws.String("c"), TaskDefinition: aws.String(tried)}
	fake.Behave(tried, fakeaws.Behaviour{NoCapacity: "none"})
	out, err := fake.RunTask(ctx, in)
	require.NoError(t, err, "it is a failure of a successful answer")
	require.Len(t, out.Failures, 1)
	assert.Contains(t, *out.Failures[0].Reason, "Capacity is unavailable")
	fake.Behave(tried, fakeaws.Behaviour{CannotLaunch: "ECS was unable to assume the role"})
	_, err = fake.RunTask(ctx, in)
	assert.ErrorContains(t, err, "unable to assume")
	// A version may be well on its own, and not in its service.
	fake.Behave(tried, fakeaws.Behaviour{CannotLaunch: "ECS was unable to assume the role", Alone: &fakeaws.Behaviour{}})
	_, err = fake.RunTask(ctx, in)
	require.NoError(t, err)
	assert.Equal(t, 1, fake.Launches(tried))
}
