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

// runTasks launches what is missing, and lets tasks fail that do.
func (e *ECS) runTasks(d *deployment, b Behaviour, now time.Time) {
	if d.stage == "RECONCILE_SERVICE" {
		return
	}
	alive := int32(0)
	for _, t := range d.service.tasks {
		if t.revision != d.target || !t.stopped.IsZero() {
			continue
		}
		if b.Failure != nil && (b.Fails == nil || b.Fails(t.number)) && now.Sub(t.launched) >= b.FailAfter {
			t.stopped, t.failure = now, b.Failure
			d.failures++
			if b.Failure.Code == types.TaskStopCodeTaskFailedToStart {
				d.unlaunched++
			}
			d.replaced = append(d.replaced, now.Add(relaunchDelay(b, d.failures)))
			d.service.event(now, fmt.Sprintf("(service %s) has stopped 1 running tasks: (task %s).", d.service.name, lastPart(t.arn)))
			continue
		}
		if b.NeverHealthy && b.Replaced && now.Sub(t.launched) >= unhealthyAfter {
			// "Service load balancing" in the developer guide: after the grace period a task that
			// fails the load balancer's checks is stopped, and replaced.
			t.stopped = now
			t.failure = &Failure{Code: types.TaskStopCodeServiceSchedulerInitiated,
				Reason: "Task failed ELB health checks in (target-group " + d.target.group + ")"}
			d.failures++
			d.replaced = append(d.replaced, now.Add(relaunchAfter))
			continue
		}
		alive++
	}
	if e.breaker(d, now) {
		return
	}
	if b.NoCapacity != "" {
		if alive < d.service.desired && (!d.noted || now.Second() == 0) {
			d.noted = true
			d.unlaunched++
			d.service.event(now, b.NoCapacity)
		}
		return
	}
	d.replaced = slices.DeleteFunc(d.replaced, func(at time.Time) bool { return !at.After(now) })
	d.ranOnce = d.ranOnce || e.inRunning(d, now) > 0
	for alive += int32(len(d.replaced)); alive < d.service.desired; alive++ {
		if b.CannotLaunch != "" {
			d.failures++
			d.unlaunched++
			d.replaced = append(d.replaced, now.Add(relaunchDelay(b, d.failures)))
			d.service.event(now, b.CannotLaunch)
			continue
		}
		d.launches++
		d.service.tasks = append(d.service.tasks, &task{arn: e.arn("task", d.service), revision: d.target, launched: now, number: d.launches})
	}
}

// relaunchDelay is the time from a task's failure to the launch of the one in its place.
//
// What AWS documents ("Amazon ECS service throttle logic", developer guide): a task that
// never got to RUNNING is launched again after a pause that grows up to 27 minutes; one that
// ended after it, such as by an error of its command, is not held back. "Amazon ECS task
// lifecycle" documents that a Fargate task then still passes DEACTIVATING, STOPPING and
// DEPROVISIONING (its network interface is taken away) before it is STOPPED, while its
// desired status is STOPPED from the beginning, which is what ListTasks selects by. How many
// seconds that takes is written nowhere: relaunchAfter is an assumption, and Behaviour's
// RelaunchAfter is there to try others.
func relaunchDelay(b Behaviour, failures int32) time.Duration {
	delay := relaunchAfter
	if b.RelaunchAfter > 0 {
		delay = b.RelaunchAfter
	}
	if b.CannotLaunch != "" || b.Failure.Code == types.TaskStopCodeTaskFailedToStart {
		delay = min(delay<<min(failures-1, 20), 27*time.Minute)
	}
	return delay
}

func (e *ECS) healthy(d *deployment, now time.Time) int32 {
	b, start := e.behaviours[d.target.taskDefinition], e.startOf(d)
	n := int32(0)
	for _, t := range d.service.tasks {
		if t.revision == d.target && t.stopped.IsZero() && now.Sub(t.launched) >= start && !b.NeverHealthy {
			n++
		}
	}
	return n
}

// inRunning counts the tasks in the state RUNNING, healthy or not: "runningTaskCount: the
// number of running tasks for the service revision" (API reference, ServiceRevisionSummary).
func (e *ECS) inRunning(d *deployment, now time.Time) int32 {
	n := int32(0)
	for _, t := range d.service.tasks {
		if t.revision == d.target && t.stopped.IsZero() && now.Sub(t.launched) >= min(pulled, e.startOf(d)) {
			n++
		}
	}
	return n
}

// startOf is how long a task of the new version takes to be healthy.
func (e *ECS) startOf(d *deployment) time.Duration {
	return cmp.Or(e.behaviours[d.target.taskDefinition].StartAfter, healthyAfter)
}

// DescribeTasks describes tasks by ARN.
func (e *ECS) DescribeTasks(_ context.Context, in *ecs.DescribeTasksInput, _ ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter("DescribeTasks"); err != nil {
		return nil, err
	}
	if err := atMost(100, in.Tasks); err != nil {
		return nil, err
	}
	out := &ecs.DescribeTasksOutput{}
	for _, s := range e.services {
		for _, t := range s.tasks {
			if slices.Contains(in.Tasks, t.arn) {
				described := describeTask(t)
				described.HealthStatus = e.ownHealth(t)
				out.Tasks = append(out.Tasks, described)
			}
		}
	}
	for _, t := range e.alone {
		if slices.Contains(in.Tasks, t.arn) && !t.forgotten {
			out.Tasks = append(out.Tasks, e.describeAlone(t, e.clock.Now()))
		}
	}
	for _, arn := range in.Tasks {
		if !slices.ContainsFunc(out.Tasks, func(t types.Task) bool { return *t.TaskArn == arn }) {
			out.Failures = append(out.Failures, missing(arn))
		}
	}
	return stamped(out, e.clock.Now()), nil
}

// ownHealth is what a task's own health check says: UNKNOWN within its start period.
func (e *ECS) ownHealth(t *task) types.HealthStatus {
	b, in := e.behaviours[t.revision.taskDefinition], e.clock.Now().Sub(t.launched)
	switch {
	case !t.stopped.IsZero():
		return types.HealthStatusUnknown
	case b.NeverHealthy && in >= unhealthyAfter:
		return types.HealthStatusUnhealthy
	case !b.NeverHealthy && in >= cmp.Or(b.StartAfter, healthyAfter):
		return types.HealthStatusHealthy
	default:
		return types.HealthStatusUnknown
	}
}

func describeTask(t *task) types.Task {
	out := types.Task{TaskArn: aws.String(t.arn), TaskDefinitionArn: aws.String(t.revision.taskDefinition), CreatedAt: aws.Time(t.launched)}
	if t.failure != nil {
		out.StopCode, out.StoppedReason, out.StoppedAt = t.failure.Code, aws.String(t.failure.Reason), aws.Time(t.stopped)
		c := types.Container{Name: aws.String("app")}
		if t.failure.ContainerReason != "" {
			c.Reason = aws.String(t.failure.ContainerReason)
		}
		if t.failure.ExitCode != 0 {
			c.ExitCode = aws.Int32(t.failure.ExitCode)
		}
		out.Containers = []types.Container{c}
	}
	return out
}
