// Package trial runs one task of a new version before its service is touched, and reports
// whether the task becomes healthy.
//
// With every strategy, a deployment launches all desired tasks at once and replaces each that
// fails. With a trial, a version that cannot start costs at most two launches and does not
// reach the service.
package trial

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ECS is the part of the ECS client that this package needs.
type ECS interface {
	Tasks
	RunTask(context.Context, *ecs.RunTaskInput, ...func(*ecs.Options)) (*ecs.RunTaskOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
}

const (
	// maxFailures is how many tasks must fail, because a single registry timeout should not fail a version.
	maxFailures = 2
	// maxLaunches limits the launches if failures are not the version's fault, such as those of a failed host.
	maxLaunches = 3
	// steady is how long a task must stay healthy: two health checks.
	steady = 15 * time.Second
	// keepsRunning is how long a task must run whose health ECS cannot tell.
	keepsRunning = time.Minute
	// newRole is how long ECS may not know a new role.
	newRole = 2 * time.Minute
	// relaunchDelay is the delay after a launch that failed because of capacity or an unknown role.
	relaunchDelay = 15 * time.Second
	// blind is how long ECS may fail to respond.
	blind = 5 * time.Minute
	// logLag is how long it may take until a log can be read.
	logLag = 3 * time.Second
	// stopAttempts is how many attempts are made to stop a task.
	stopAttempts = 5
)

// Request is what to try, and how long to wait.
type Request struct {
	// Task is what to run; the client token is filled in. StartedBy identifies the trials of a service.
	Task *ecs.RunTaskInput
	// Run identifies this run: within it, a launch is safe to repeat.
	Run string
	// Patience is how long a task may take to become healthy; 0 means 10 minutes.
	Patience time.Duration
	// NoHealthCheck is set if ECS cannot tell the task's health: it passes after running for a minute.
	NoHealthCheck bool
	// CapacityPatience is how long AWS may lack capacity; 0 means 5 minutes.
	CapacityPatience time.Duration
	// Poll is the polling interval; 0 means 5 seconds.
	Poll time.Duration
	// Left is set if an interrupted run may have left tasks: one of the same version is adopted, all others are stopped.
	Left bool
	// Fence checks the lock before every write, Look renews it at every poll. An error from either means that another run has
	// taken the lock. Both may be nil.
	Fence, Look func(context.Context) error
	// Logs returns the last lines that a task's application wrote; nil if logs are not read.
	Logs func(ctx context.Context, task string) ([]string, error)
	// Progress is called with each message; it may be nil.
	Progress func(text string)
}

// Outcome is the result of a trial.
type Outcome struct {
	// Problem is nil if and only if a task became healthy and stayed so.
	Problem *verdict.Problem
	// Task is the ARN of the last task; empty if ECS launched no task.
	Task string
	// Launches is how many tasks ECS launched.
	Launches int
	// Healthy is how long the task took to become healthy.
	Healthy time.Duration
}

// Run tries a version. It always returns an outcome, and stops the tasks that it started, even
// when the context ends, if ECS answers within seconds.
func Run(ctx context.Context, client ECS, clock clock.Clock, request Request) *Outcome {
	if request.Patience <= 0 {
		request.Patience = 10 * time.Minute
	}
	if request.CapacityPatience <= 0 {
		request.CapacityPatience = 5 * time.Minute
	}
	if request.Poll <= 0 {
		request.Poll = 5 * time.Second
	}
	t := &trial{Request: request, ecs: client, clock: awsclock.Of(clock), outcome: &Outcome{}}
	t.startedAt = t.clock.Now()
	t.outcome.Problem = t.run(ctx)
	return t.outcome
}

// trial is one call of Run.
type trial struct {
	Request
	ecs       ECS
	clock     *awsclock.Clock
	outcome   *Outcome
	startedAt time.Time
	// calls counts the launches that ECS answered; it is part of the client token.
	calls int
	// reasons are the causes of the failures; logLines are the last lines of the last failed task.
	reasons, logLines []string
	failures          int
	// noRoomSince is when capacity was first lacking, or zero.
	noRoomSince time.Time
}

func (t *trial) run(ctx context.Context) *verdict.Problem {
	task, problem := t.adoptTask(ctx)
	for problem == nil {
		if task == "" {
			task, problem = t.launch(ctx)
		}
		if problem != nil || task == "" {
			continue // no task yet: launch again
		}
		t.outcome.Task = task
		t.outcome.Launches++
		var healthy bool
		if healthy, problem = t.watch(ctx, task); healthy {
			return nil
		}
		task = ""
	}
	return problem
}

func (t *trial) log(format string, args ...any) {
	if t.Progress != nil {
		t.Progress(fmt.Sprintf(format, args...))
	}
}

// adoptTask returns the task of this version that an interrupted run left, if there is one, and stops all others.
func (t *trial) adoptTask(ctx context.Context) (string, *verdict.Problem) {
	if !t.Left {
		return "", nil
	}
	left, err := Running(ctx, t.ecs, t.Task)
	if err != nil {
		return "", t.awsProblem(ctx, err)
	}
	if len(left) == 0 {
		return "", nil
	}
	out, err := t.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: t.Task.Cluster, Tasks: left})
	if err != nil {
		return "", t.awsProblem(ctx, fmt.Errorf("describe tasks: %w", err))
	}
	found := ""
	for _, d := range out.Tasks {
		arn := aws.ToString(d.TaskArn)
		left = slices.DeleteFunc(left, func(listed string) bool { return listed == arn })
		if stopping(&d) {
			continue // the list is stale
		}
		if found == "" && aws.ToString(d.TaskDefinitionArn) == aws.ToString(t.Task.TaskDefinition) &&
			d.HealthStatus != types.HealthStatusUnhealthy {
			found = arn
			t.log("trial task %s was left by an interrupted run; it is adopted", id(arn))
			continue
		}
		if problem := t.stop(ctx, arn, "left by an interrupted run"); problem != nil {
			return "", problem
		}
		t.log("stopped trial task %s of %s, left by an interrupted run", id(arn), id(aws.ToString(d.TaskDefinitionArn)))
	}
	for _, arn := range left { // ECS does not describe these yet; they may be running
		if problem := t.stop(ctx, arn, "left by an interrupted run"); problem != nil {
			return "", problem
		}
	}
	return found, nil
}

// launch launches one task. It returns neither a task nor a problem if it must be called again.
func (t *trial) launch(ctx context.Context) (string, *verdict.Problem) {
	in := *t.Task
	in.ClientToken = aws.String(t.token())
	if problem := t.mayWrite(ctx); problem != nil {
		return "", problem
	}
	// The client token makes the call safe to repeat, by the SDK and here.
	out, err := t.ecs.RunTask(ctx, &in)
	awsclock.See(t.clock, out, err)
	transient := err != nil && !deployment.Refused(err)
	switch {
	case err == nil && len(out.Tasks) > 0:
		t.calls++
		arn := aws.ToString(out.Tasks[0].TaskArn)
		t.log("trial task %s of %s launched; the service is not touched before it is healthy", id(arn), id(aws.ToString(in.TaskDefinition)))
		return arn, nil
	case err == nil:
		t.calls++
		err = fmt.Errorf("run task: ECS launched no task%s", failuresText(out.Failures))
	default:
		err = fmt.Errorf("run task: %w", err)
	}
	switch {
	case ctx.Err() != nil:
		return "", t.stopUnknown(ctx, t.interrupted(ctx.Err()))
	case deployment.NoRoom(err.Error()):
		return "", t.waitForCapacity(ctx, err.Error())
	case roleNotReady(err.Error()) && t.clock.Now().Sub(t.startedAt) < newRole:
		t.log("%v; trying again", err)
		return "", t.wait(ctx, relaunchDelay)
	case transient && t.clock.Now().Sub(t.startedAt) < blind:
		t.log("%v; trying again", err)
		return "", t.wait(ctx, relaunchDelay)
	case transient, deployment.Expired(err):
		return "", t.awsProblem(ctx, err)
	default:
		return "", verdict.Problemf(Refused, "%v", err)
	}
}

// token is the idempotency token of a launch: up to 64 characters, remembered by ECS for 24 hours
// ("Ensuring idempotency", API reference).
func (t *trial) token() string {
	hash := sha256.New()
	for _, part := range []string{t.Run, aws.ToString(t.Task.StartedBy), aws.ToString(t.Task.TaskDefinition)} {
		hash.Write([]byte(part + "\x00"))
	}
	return fmt.Sprintf("%s-%d", hex.EncodeToString(hash.Sum(nil)[:16]), t.calls)
}

// waitForCapacity waits or gives up. Lacking capacity is no evidence against the version.
func (t *trial) waitForCapacity(ctx context.Context, why string) *verdict.Problem {
	now := t.clock.Now()
	if t.noRoomSince.IsZero() {
		t.noRoomSince = now
		t.log("%s; trying again for up to %s", why, t.CapacityPatience)
	}
	if now.Sub(t.noRoomSince) >= t.CapacityPatience {
		return verdict.Problemf(deployment.NoCapacity, "for %s AWS had no capacity for a trial task, so the service was not touched: %s",
			t.CapacityPatience, why)
	}
	return t.wait(ctx, relaunchDelay)
}

// wait sleeps, and renews the lock.
func (t *trial) wait(ctx context.Context, d time.Duration) *verdict.Problem {
	if err := t.clock.Sleep(ctx, d); err != nil {
		return t.interrupted(err)
	}
	return t.renewLock(ctx)
}

// countFailure counts a task that did not become healthy. It returns a problem if no further task should be launched; enough
// forces that regardless of the count.
func (t *trial) countFailure(ctx context.Context, task, why string, versionsFault, enough bool) *verdict.Problem {
	t.log("trial task %s failed: %s", id(task), why)
	t.reasons = append(t.reasons, why)
	if versionsFault {
		t.failures++
		t.readLog(ctx, task, enough || t.failures >= maxFailures)
	}
	if !enough && t.failures < maxFailures && t.outcome.Launches < maxLaunches {
		return nil
	}
	problem := verdict.Problemf(Failed, "none of %d trial tasks of %s became healthy: %s; the service was not touched",
		t.outcome.Launches, id(aws.ToString(t.Task.TaskDefinition)), why)
	for n, reason := range t.reasons {
		if !slices.Contains(t.reasons[:n], reason) {
			problem.Details = append(problem.Details, reason)
		}
	}
	for _, line := range t.logLines {
		problem.Details = append(problem.Details, "log: "+line)
	}
	return problem
}

// readLog reads the last lines of a failed task. It may take seconds until they can be read, so the log of the last task is
// read a second time.
func (t *trial) readLog(ctx context.Context, task string, last bool) {
	if t.Logs == nil {
		return
	}
	lines, err := t.Logs(ctx, task)
	if last && len(lines) == 0 && t.clock.Sleep(ctx, logLag) == nil {
		lines, err = t.Logs(ctx, task)
	}
	if err != nil {
		t.reasons = append(t.reasons, fmt.Sprintf("the log of task %s could not be read: %v", id(task), err))
	}
	if len(lines) == 0 {
		return
	}
	t.logLines = lines
	for _, line := range lines {
		t.log("log of task %s: %s", id(task), line)
	}
}

// id returns the last part of an ARN.
func id(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func failuresText(failures []types.Failure) string {
	text := ""
	for _, f := range failures {
		text += ": " + strings.TrimSpace(aws.ToString(f.Reason)+" "+aws.ToString(f.Detail))
	}
	return text
}

// roleNotReady reports whether ECS does not know a new role yet.
func roleNotReady(text string) bool {
	return strings.Contains(text, "unable to assume") || strings.Contains(text, "Unable to assume")
}
