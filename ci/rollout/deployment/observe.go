package deployment

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// placing is how long AWS may take to report that it has no capacity for a task.
const placing = 2 * time.Minute

// observer reads tasks, targets and events, and judges whether the deployment can succeed.
type observer struct {
	*session

	seenTasks, seenEvents map[string]bool
	// failedTasks counts the failed tasks of our version, failedTask is the last of them.
	failedTasks int
	failedTask  string
	// stoppedErr is why stopped tasks could not be read at the last look, or nil.
	stoppedErr error
	// newestFailed is when the latest of them was launched; judgedFailed is how many there were
	// when allFailedAtStart last asked ECS.
	newestFailed time.Time
	judgedFailed int
	// unlaunched is how many tasks failed according to ECS. Those that were never created leave
	// no stopped task. unlaunchedBefore is the number at the look before.
	unlaunched, unlaunchedBefore int
	// noRoom is AWS's message about a lack of capacity, first seen at noRoomSince and last at
	// noRoomAt. pending is how many tasks ECS is starting.
	noRoom                string
	noRoomSince, noRoomAt time.Time
	pending               int
	probeFails            int
	probeErr              error
	// targetGroupARNs are the target groups of the new version; none until targetGroupsKnown.
	targetGroupARNs   []string
	targetGroupsKnown bool
	targetsAt         time.Time
	targetsSaid       string
	unhealthyAt       time.Time
	// mostHealthy is the largest number of healthy tasks of the new version so far, mostRunning
	// that of running tasks while their health was unknown; a larger number is progress.
	mostHealthy, mostRunning int
	// groupHealthy is the number according to the load balancer, nil until it was asked;
	// tasksHealthy is the number according to the tasks' own health checks, valid if tasksChecked.
	groupHealthy *int
	tasksHealthy int
	tasksChecked bool
}

// observe reads why tasks stopped and the service's events. An error is logged, and the next look
// tries again: it is no reason to stop following.
func (o *observer) observe(ctx context.Context, d *types.ServiceDeployment) {
	o.readStoppedTasks(ctx)
	o.readService(ctx)
	o.readTargets(ctx, d)
}

// readStoppedTasks counts the failed tasks of our version and keeps their reasons. It lists tasks
// whose desired status is STOPPED, which a failed task has long before its last status does.
func (o *observer) readStoppedTasks(ctx context.Context) {
	tasks, err := o.ecs.tasks(ctx, o.Cluster, o.Service, types.DesiredStatusStopped, o.seenTasks)
	if o.stoppedErr = err; err != nil {
		o.log("reasons of stopped tasks could not be read: %v", err)
	}
	before := o.failedTasks
	defer func() {
		if o.failedTasks > before {
			_ = o.readLog(ctx) // explain tries again at the end, and reports an error
		}
	}()
	for _, t := range tasks {
		o.seenTasks[aws.ToString(t.TaskArn)] = true
		if aws.ToString(t.TaskDefinitionArn) != o.TaskDefinition || !Failed(t) || aws.ToTime(t.CreatedAt).Before(o.started.Add(-appears)) {
			continue
		}
		text := Explain(t)
		if NoRoom(text) {
			o.noteNoRoom(text)
			continue
		}
		o.failedTasks++
		if created := aws.ToTime(t.CreatedAt); created.After(o.newestFailed) {
			o.newestFailed = created
		}
		o.failedTask = aws.ToString(t.TaskArn)
		o.addFailure(text)
	}
}

// readService reads the service's new events, and how many tasks ECS could not launch.
func (o *observer) readService(ctx context.Context) {
	service, err := o.ecs.service(ctx, o.Cluster, o.Service)
	if err != nil {
		o.log("events of the service could not be read: %v", err)
		return
	}
	for _, e := range service.Events {
		key := aws.ToString(e.Id)
		if o.seenEvents[key] || aws.ToTime(e.CreatedAt).Before(o.started) {
			continue
		}
		o.seenEvents[key] = true
		text := aws.ToString(e.Message)
		o.log("%s", text)
		switch {
		case NoRoom(text):
			o.noteNoRoom(text)
		case containsAny(text, "failed to launch", "unable to assume"):
			o.addFailure(WithRemedy(text)) // no stopped task reports this reason
		}
	}
	o.clearNoRoom()
	o.unlaunchedBefore, o.unlaunched = o.unlaunched, 0
	for _, d := range service.Deployments {
		if aws.ToString(d.Status) == "PRIMARY" && aws.ToString(d.TaskDefinition) == o.TaskDefinition &&
			!aws.ToTime(d.CreatedAt).Before(o.started.Add(-appears)) {
			o.unlaunched = int(d.FailedTasks)
		}
	}
}

// clearNoRoom forgets a lack of capacity once all tasks run, or have been placed for some time. A task
// that AWS cannot place counts as pending too, until AWS reports the lack again.
func (o *observer) clearNoRoom() {
	placed := o.lastEvent.Running+o.pending >= o.lastEvent.Requested && o.clock.Now().Sub(o.noRoomAt) > placing
	if o.lastEvent.Requested > 0 && (placed || o.lastEvent.Running >= o.lastEvent.Requested) {
		o.noRoom = ""
	}
}

// noteNoRoom records that AWS had no capacity for a task.
func (o *observer) noteNoRoom(text string) {
	if o.noRoomAt = o.clock.Now(); o.noRoom == "" {
		o.noRoomSince = o.noRoomAt
	}
	o.noRoom = text
	o.addFailure(text)
}

// addFailure keeps each reason once, however many tasks it stopped.
func (o *observer) addFailure(text string) {
	for _, known := range o.outcome.Failures {
		if known == text {
			return
		}
	}
	o.outcome.Failures = append(o.outcome.Failures, text)
	o.log("task failed: %s", text)
}

// reportProgress emits an event if the deployment has changed.
func (o *observer) reportProgress(d *types.ServiceDeployment) {
	o.outcome.Status = string(d.Status)
	e := Event{Status: string(d.Status), Stage: string(d.LifecycleStage), Weight: -1}
	if t := d.TargetServiceRevision; t != nil {
		e.Running, e.Requested, o.pending = int(t.RunningTaskCount), int(t.RequestedTaskCount), int(t.PendingTaskCount)
		if t.RequestedProductionTrafficWeight != nil {
			e.Weight = *t.RequestedProductionTrafficWeight
		}
	}
	if e == o.lastEvent {
		return
	}
	o.lastEvent = e
	e.Text = aws.ToString(d.StatusReason)
	o.emit(e)
}

// explain adds the reasons of failed tasks, and the log of the last one, to a problem.
func (o *observer) explain(ctx context.Context, problem *verdict.Problem) {
	problem.Details = slices.Clone(o.outcome.Failures)
	if o.stoppedErr != nil {
		problem.Details = append(problem.Details, fmt.Sprintf("why tasks stopped could not be read: %v", o.stoppedErr))
	}
	if err := o.readLog(ctx); err != nil {
		problem.Details = append(problem.Details, fmt.Sprintf("the log of task %s could not be read: %v", id(o.failedTask), err))
	}
	for _, line := range o.outcome.Log {
		problem.Details = append(problem.Details, "log: "+line)
	}
}

// readLog reads, once, the last lines that a failed task wrote. They may appear with a delay of
// seconds.
func (o *observer) readLog(ctx context.Context) error {
	if o.Logs == nil || o.failedTask == "" || len(o.outcome.Log) > 0 {
		return nil
	}
	*o.ecs.calls++
	lines, err := o.Logs(ctx, o.failedTask)
	if err != nil {
		return err
	}
	o.outcome.Log = lines
	for _, line := range lines {
		o.log("log of task %s: %s", id(o.failedTask), line)
	}
	return nil
}
