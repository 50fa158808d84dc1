package trial

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Tasks is the part of the ECS client that finds and stops trial tasks.
type Tasks interface {
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
	StopTask(context.Context, *ecs.StopTaskInput, ...func(*ecs.Options)) (*ecs.StopTaskOutput, error)
}

// Running returns the ARNs of a service's trial tasks: the tasks of its cluster with the same
// StartedBy whose desired status is RUNNING, which is the default. ListTasks allows no other
// filter together with StartedBy (API reference).
func Running(ctx context.Context, client Tasks, of *ecs.RunTaskInput) ([]string, error) {
	in := &ecs.ListTasksInput{Cluster: of.Cluster, StartedBy: of.StartedBy}
	var all []string
	for {
		out, err := client.ListTasks(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list tasks started by %s: %w", aws.ToString(of.StartedBy), err)
		}
		all = append(all, out.TaskArns...)
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return all, nil
		}
	}
}

// Stop stops a service's trial tasks and returns their ARNs. ECS shows the reason, of which it
// keeps 255 characters.
func Stop(ctx context.Context, client Tasks, of *ecs.RunTaskInput, reason string) ([]string, error) {
	all, err := Running(ctx, client, of)
	if err != nil {
		return nil, err
	}
	for n, task := range all {
		if err := stopTask(ctx, client, of, task, reason); err != nil {
			return all[:n], err
		}
	}
	return all, nil
}

// stopTask stops a task. An unknown task counts as stopped.
func stopTask(ctx context.Context, client Tasks, of *ecs.RunTaskInput, task, reason string) error {
	_, err := client.StopTask(ctx, &ecs.StopTaskInput{Cluster: of.Cluster, Task: aws.String(task),
		Reason: aws.String(verdict.Line(reason, 255))})
	if err != nil && !strings.Contains(err.Error(), "not found") {
		return fmt.Errorf("stop trial task %s: %w", id(task), err)
	}
	return nil
}
