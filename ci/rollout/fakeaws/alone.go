package fakeaws

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
)

// alone is a task that belongs to no service ("Running standalone tasks", developer guide).
type alone struct {
	task
	cluster, startedBy string
	tags               []types.Tag
	// command is what it runs instead of what its definition says, in container; nil without.
	command   []string
	container string
	// exit is the command's exit code; nil before its end.
	exit      *int32
	forgotten bool
}

// Commands are those that tasks of no service ran, in the order of their launches.
func (e *ECS) Commands() [][]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all [][]string
	for _, t := range e.alone {
		if t.command != nil {
			all = append(all, t.command)
		}
	}
	return all
}

// Forget lets ECS forget the stopped tasks of no service, as it does about an hour after their end.
func (e *ECS) Forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.advance()
	for _, t := range e.alone {
		t.forgotten = !t.stopped.IsZero()
	}
}

// endCommand ends a task whose command was replaced.
func (e *ECS) endCommand(t *alone, now time.Time) {
	c := Command{}
	if known := e.behaviours[t.revision.taskDefinition].Command; known != nil {
		c = *known
	}
	after := cmp.Or(c.After, 20*time.Second)
	if !t.stopped.IsZero() || now.Sub(t.launched) < after {
		return
	}
	if t.exit = aws.Int32(c.Exit); c.Lives {
		return
	}
	t.stopped = t.launched.Add(after)
	if t.failure = (&Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited"}); c.Unstarted != "" {
		t.failure, t.exit = &Failure{Code: types.TaskStopCodeTaskFailedToStart, Reason: c.Unstarted}, nil
	}
	if c.Stopped != "" {
		t.failure, t.exit = &Failure{Code: types.TaskStopCodeInfrastructureHealth, Reason: c.Stopped}, nil
	}
}

// TagsOf are the tags of a task of no service; none for any other.
func (e *ECS) TagsOf(task string) map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	tags := map[string]string{}
	for _, t := range e.alone {
		if t.arn != task {
			continue
		}
		for _, tag := range t.tags {
			tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
	}
	return tags
}

// The times that a task's start takes here ("Amazon ECS task lifecycle" names the states).
const (
	provisioned = 5 * time.Second
	pulled      = 15 * time.Second
	// unhealthyAfter is when a container's health check has failed often enough.
	unhealthyAfter = 105 * time.Second
)

// aloneBehaviour is how tasks of a task definition behave that belong to no service.
func (e *ECS) aloneBehaviour(taskDefinition string) Behaviour {
	b := e.behaviours[taskDefinition]
	if b.Alone != nil {
		return *b.Alone
	}
	return b
}

// RunTask launches one task. The same client token, up to 24 hours long, launches it once; with
// other parameters it is refused ("Ensuring idempotency", API reference).
func (e *ECS) RunTask(_ context.Context, in *ecs.RunTaskInput, _ ...func(*ecs.Options)) (*ecs.RunTaskOutput, error) {
	return over(e.wire, "ecs:RunTask", func() (*ecs.RunTaskOutput, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		err := e.local("RunTask")
		if err != nil && !isLostAnswer(err) {
			return nil, err
		}
		out, refused := e.runTask(in)
		if refused != nil {
			return nil, refused
		}
		return out, err
	})
}

func (e *ECS) runTask(in *ecs.RunTaskInput) (*ecs.RunTaskOutput, error) {
	now, cluster := e.clock.Now(), lastPart(aws.ToString(in.Cluster))
	if e.wire != nil {
		if c := e.registry().clusters[cluster]; c == nil || *c.Status != "ACTIVE" {
			return nil, &types.ClusterNotFoundException{Message: aws.String("Cluster not found.")}
		}
		if d := e.definition(aws.ToString(in.TaskDefinition)); d == nil || d.Status != types.TaskDefinitionStatusActive {
			return nil, &types.ClientException{Message: aws.String("TaskDefinition not found.")}
		}
	}
	if in.LaunchType == types.LaunchTypeFargate && in.NetworkConfiguration == nil {
		return nil, &types.InvalidParameterException{Message: aws.String("Network Configuration must be provided when networkMode 'awsvpc' " +
			"is specified.")}
	}
	arn, token := aws.ToString(in.TaskDefinition), cluster+"/"+aws.ToString(in.ClientToken)
	if known := e.tokens[token]; in.ClientToken != nil && known != nil {
		if known.revision.taskDefinition != arn || known.startedBy != aws.ToString(in.StartedBy) {
			return nil, &types.ConflictException{Message: aws.String("The provided clientToken is already in use."),
				ResourceIds: []string{known.arn}}
		}
		return &ecs.RunTaskOutput{Tasks: []types.Task{e.describeAlone(known, now)}}, nil
	}
	b := e.aloneBehaviour(arn)
	if role := e.executionRole(arn); b.CannotLaunch == "" && e.unknown != nil && e.unknown(role, now) {
		b.CannotLaunch = fmt.Sprintf("ECS was unable to assume the role '%s' that was provided for this task.", role)
	}
	switch {
	case b.CannotLaunch != "":
		return nil, &types.ClientException{Message: aws.String(b.CannotLaunch)}
	case b.NoCapacity != "":
		// "API failure reasons" in the developer guide.
		return &ecs.RunTaskOutput{Failures: []types.Failure{{Reason: aws.String("Capacity is unavailable at this time. Please try again " +
			"later or in a different availability zone.")}}}, nil
	}
	e.number++
	number := 1
	for _, other := range e.alone {
		if other.revision.taskDefinition == arn {
			number++
		}
	}
	t := &alone{
		task: task{arn: fmt.Sprintf("%stask/%s/%08d", ecsARN, cluster, e.number), revision: &revision{taskDefinition: arn}, launched: now,
			number: number},
		cluster: cluster, startedBy: aws.ToString(in.StartedBy), tags: in.Tags,
	}
	if o := in.Overrides; o != nil {
		for _, c := range o.ContainerOverrides {
			t.command, t.container = c.Command, aws.ToString(c.Name)
		}
	}
	e.alone = append(e.alone, t)
	if in.ClientToken != nil {
		e.tokens[token] = t
	}
	return &ecs.RunTaskOutput{Tasks: []types.Task{e.describeAlone(t, now)}}, nil
}

// StopTask stops a task; one that is stopped already stays as it is.
func (e *ECS) StopTask(_ context.Context, in *ecs.StopTaskInput, _ ...func(*ecs.Options)) (*ecs.StopTaskOutput, error) {
	return over(e.wire, "ecs:StopTask", func() (*ecs.StopTaskOutput, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if err := e.local("StopTask"); err != nil {
			return nil, err
		}
		now := e.clock.Now()
		for _, t := range e.alone {
			if t.arn != aws.ToString(in.Task) || t.cluster != lastPart(aws.ToString(in.Cluster)) {
				continue
			}
			if t.stopped.IsZero() {
				t.stopped, t.failure = now, &Failure{Code: types.TaskStopCodeUserInitiated, Reason: aws.ToString(in.Reason)}
			}
			described := e.describeAlone(t, now)
			return &ecs.StopTaskOutput{Task: &described}, nil
		}
		return nil, &types.InvalidParameterException{Message: aws.String("The referenced task was not found.")}
	})
}

// endAlone lets tasks of no service fail that do. Nobody replaces them.
func (e *ECS) endAlone(now time.Time) {
	for _, t := range e.alone {
		if t.command != nil {
			e.endCommand(t, now)
			continue
		}
		b := e.aloneBehaviour(t.revision.taskDefinition)
		if t.stopped.IsZero() && b.Failure != nil && (b.Fails == nil || b.Fails(t.number)) && now.Sub(t.launched) >= b.FailAfter {
			t.stopped, t.failure = t.launched.Add(b.FailAfter), b.Failure
		}
	}
}

// listAlone are the tasks that somebody started in a cluster and that are to run. "When you
// specify startedBy as the filter, it must be the only filter that you use" (API reference,
// ListTasks).
func (e *ECS) listAlone(in *ecs.ListTasksInput) (*ecs.ListTasksOutput, error) {
	if in.DesiredStatus != "" || in.Family != nil || in.LaunchType != "" || in.ContainerInstance != nil {
		return nil, &types.InvalidParameterException{Message: aws.String("startedBy must be the only filter.")}
	}
	out := &ecs.ListTasksOutput{}
	for _, t := range e.alone {
		// What was stopped a moment ago may still be listed.
		runs := t.stopped.IsZero() || e.clock.Now().Sub(t.stopped) < e.lag
		if t.cluster == lastPart(aws.ToString(in.Cluster)) && t.startedBy == aws.ToString(in.StartedBy) && runs {
			out.TaskArns = append(out.TaskArns, t.arn)
		}
	}
	return out, nil
}

// describeAlone describes a task with its state and health. An unhealthy one goes on: only a
// service's is stopped for it (API reference, HealthCheck).
func (e *ECS) describeAlone(t *alone, now time.Time) types.Task {
	out := describeTask(&t.task)
	if t.command != nil {
		out.Containers = []types.Container{{Name: aws.String(t.container), ExitCode: t.exit}}
	}
	b, in := e.aloneBehaviour(t.revision.taskDefinition), now.Sub(t.launched)
	start := b.StartAfter
	if start == 0 {
		start = healthyAfter
	}
	out.StartedBy, out.DesiredStatus, out.HealthStatus = aws.String(t.startedBy), aws.String("RUNNING"), types.HealthStatusUnknown
	switch {
	case !t.stopped.IsZero():
		out.DesiredStatus, out.LastStatus = aws.String("STOPPED"), aws.String("DEPROVISIONING")
		if now.Sub(t.stopped) > cleanUpTime {
			out.LastStatus = aws.String("STOPPED")
		}
	case b.Hangs == "PROVISIONING" || in < provisioned:
		out.LastStatus = aws.String("PROVISIONING")
	case in < min(pulled, start):
		out.LastStatus = aws.String("PENDING")
	case b.NeverHealthy:
		out.LastStatus = aws.String("RUNNING")
		if in >= unhealthyAfter {
			out.HealthStatus = types.HealthStatusUnhealthy
		}
	default:
		out.LastStatus = aws.String("RUNNING")
		if in >= start && (b.Falters == 0 || in < start+b.Falters || in >= start+b.Falters+step*5) {
			out.HealthStatus = types.HealthStatusHealthy
		}
	}
	return out
}

// Alone are the tasks of no service that run in a cluster, by who started them.
func (e *ECS) Alone(cluster string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.advance()
	var all []string
	for _, t := range e.alone {
		if t.cluster == cluster && t.stopped.IsZero() {
			all = append(all, t.startedBy)
		}
	}
	slices.Sort(all)
	return all
}
