package analysis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
)

// Tasks is the part of the ECS client that a command needs.
type Tasks interface {
	RunTask(context.Context, *ecs.RunTaskInput, ...func(*ecs.Options)) (*ecs.RunTaskOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
}

// Command runs a command of the new version's image in a task of its own. Its value is the exit code.
type Command struct {
	Tasks Tasks
	// Task is the task to run; its container Container gets the command.
	Task      *ecs.RunTaskInput
	Container string
	// started has the tasks by window and metric.
	started map[string]string
}

// Ask implements Source. One task is started per window; the value is known when it has ended.
func (c *Command) Ask(ctx context.Context, m *Metric, of Subject, in Window) (float64, bool, error) {
	key := m.Name + in.Start.UTC().Format(time.RFC3339)
	if c.started == nil {
		c.started = map[string]string{}
	}
	if c.started[key] == "" {
		task, err := c.start(ctx, m, of, in, key)
		if err != nil {
			return 0, false, err
		}
		c.started[key] = task
		return 0, false, nil
	}
	out, err := c.Tasks.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: c.Task.Cluster, Tasks: []string{c.started[key]}})
	if err != nil {
		return 0, false, fmt.Errorf("describe task: %w", err)
	}
	for _, t := range out.Tasks {
		if aws.ToString(t.LastStatus) != "STOPPED" {
			continue
		}
		for _, container := range t.Containers {
			if aws.ToString(container.Name) == c.Container && container.ExitCode != nil {
				return float64(*container.ExitCode), true, nil
			}
		}
		return 0, false, fmt.Errorf("the command did not run: %s", aws.ToString(t.StoppedReason))
	}
	return 0, false, nil
}

func (c *Command) start(ctx context.Context, m *Metric, of Subject, in Window, key string) (string, error) {
	task := *c.Task
	var words []string
	for _, word := range m.Command {
		words = append(words, fill(word, of, m))
	}
	pair := func(name, value string) types.KeyValuePair {
		return types.KeyValuePair{Name: aws.String(name), Value: aws.String(value)}
	}
	task.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String(c.Container), Command: words,
		Environment: []types.KeyValuePair{pair("RCA_WINDOW_START", in.Start.UTC().Format(time.RFC3339)),
			pair("RCA_WINDOW_END", in.End.UTC().Format(time.RFC3339))}}}}
	sum := sha256.Sum256([]byte(aws.ToString(task.TaskDefinition) + key))
	task.ClientToken, task.StartedBy = aws.String(hex.EncodeToString(sum[:16])), aws.String("analysis/"+of.Service[:min(len(of.Service), 100)])
	out, err := c.Tasks.RunTask(ctx, &task)
	switch {
	case err != nil:
		return "", fmt.Errorf("run command: %w", err)
	case len(out.Tasks) == 0 && len(out.Failures) > 0:
		return "", fmt.Errorf("run command: %s", aws.ToString(out.Failures[0].Reason))
	case len(out.Tasks) == 0:
		return "", fmt.Errorf("run command: ECS started no task")
	}
	return aws.ToString(out.Tasks[0].TaskArn), nil
}
