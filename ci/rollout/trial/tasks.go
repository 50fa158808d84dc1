package trial

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Tasks is what is asked of the client of Amazon ECS to find and stop trials.
type Tasks interface {
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
	StopTask(context.Context, *ecs.StopTaskInput, ...func(*ecs.Options)) (*ecs.StopTaskOutput, error)
}

// Running are the ARNs of a service's trial tasks that are to run: those of its cluster that
// were started by the same name. No other filter may stand beside that one; the tasks that
// are to run are the default (API reference, ListTasks).
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

// Stop stops a service's trial tasks, and returns their ARNs. The reason, up to 255
// characters, is shown with the tasks.
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

// stopTask stops a task. One that is stopped already, or forgotten, is as good as stopped.
func stopTask(ctx context.Context, client Tasks, of *ecs.RunTaskInput, task, reason string) error {
	_, err := client.StopTask(ctx, &ecs.StopTaskInput{Cluster: of.Cluster, Task: aws.String(task), Reason: aws.String(verdict.Line(reason, 255))})
	if err != nil && !strings.Contains(err.Error(), "not found") {
		return fmt.Errorf("stop trial task %s: %w", id(task), err)
	}
	return nil
}
