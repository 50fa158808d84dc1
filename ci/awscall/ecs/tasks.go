package ecs

import (
	"context"
	"crypto/rand"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// RunTaskInput is a task to run, as in the API reference. Calls with one ClientToken start it once.
type RunTaskInput struct {
	TaskDefinition, ClientToken, Cluster, Group, PlatformVersion, ReferenceId, StartedBy *string
	CapacityProviderStrategy                                                             []types.CapacityProviderStrategyItem
	Count                                                                                *int32
	EnableECSManagedTags, EnableExecuteCommand                                           bool
	LaunchType                                                                           types.LaunchType
	NetworkConfiguration                                                                 *types.NetworkConfiguration
	Overrides                                                                            *types.TaskOverride
	PlacementConstraints                                                                 []types.PlacementConstraint
	PlacementStrategy                                                                    []types.PlacementStrategy
	PropagateTags                                                                        types.PropagateTags
	Tags                                                                                 []types.Tag
	VolumeConfigurations                                                                 []types.TaskVolumeConfiguration
}

// RunTaskOutput has the tasks, and a failure for each that did not start.
type RunTaskOutput struct {
	Failures       []types.Failure
	Tasks          []types.Task
	ResultMetadata middleware.Metadata
}

// RunTask starts tasks.
func (c *Client) RunTask(ctx context.Context, in *RunTaskInput, options ...func(*Options)) (*RunTaskOutput, error) {
	if in.ClientToken == nil { // a retry must not start a second task
		with := *in
		with.ClientToken, in = aws.String(rand.Text()), &with
	}
	return awscall.Do[RunTaskOutput](ctx, c.api, "RunTask", in, options...)
}

// StopTaskInput names a task, and gives the reason that its description will show.
type StopTaskInput struct {
	Task, Cluster, Reason *string
}

// StopTaskOutput has the task.
type StopTaskOutput struct {
	Task           *types.Task
	ResultMetadata middleware.Metadata
}

// StopTask stops a task.
func (c *Client) StopTask(ctx context.Context, in *StopTaskInput, options ...func(*Options)) (*StopTaskOutput, error) {
	return awscall.Do[StopTaskOutput](ctx, c.api, "StopTask", in, options...)
}

// ListTasksInput chooses tasks of a cluster.
type ListTasksInput struct {
	Cluster, ContainerInstance, DaemonName, Family, NextToken, ServiceName, StartedBy *string
	DesiredStatus                                                                     types.DesiredStatus
	LaunchType                                                                        types.LaunchType
	MaxResults                                                                        *int32
}

// ListTasksOutput is a page of ARNs.
type ListTasksOutput struct {
	NextToken      *string
	TaskArns       []string
	ResultMetadata middleware.Metadata
}

// ListTasks lists tasks by ARN, a page a call.
func (c *Client) ListTasks(ctx context.Context, in *ListTasksInput, options ...func(*Options)) (*ListTasksOutput, error) {
	return awscall.Do[ListTasksOutput](ctx, c.api, "ListTasks", in, options...)
}

// DescribeTasksInput names tasks of a cluster.
type DescribeTasksInput struct {
	Tasks   []string
	Cluster *string
	Include []types.TaskField
}

// DescribeTasksOutput has the tasks that exist, and a failure for each other.
type DescribeTasksOutput struct {
	Failures       []types.Failure
	Tasks          []types.Task
	ResultMetadata middleware.Metadata
}

// DescribeTasks describes up to 100 tasks.
func (c *Client) DescribeTasks(ctx context.Context, in *DescribeTasksInput, options ...func(*Options)) (*DescribeTasksOutput, error) {
	return awscall.Do[DescribeTasksOutput](ctx, c.api, "DescribeTasks", in, options...)
}
