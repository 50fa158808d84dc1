// Package trial runs one task of a new version before its service is touched, and says
// whether it gets healthy.
//
// A service's deployment launches as many tasks as are desired at once, whatever the
// strategy, and replaces each that fails. A version that cannot start costs at most two
// launches here, and the service nothing: no task of it is launched there.
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
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ECS is what this package asks of the client of Amazon ECS.
type ECS interface {
	Tasks
	RunTask(context.Context, *ecs.RunTaskInput, ...func(*ecs.Options)) (*ecs.RunTaskOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
}

const (
	// maxFailures is how many tasks must fail: a single registry timeout is no verdict on a version.
	maxFailures = 2
	// maxLaunches bounds them where others than the version are to blame, such as a machine of AWS.
	maxLaunches = 3
	// steady is how long a task must stay healthy: two health checks.
	steady = 15 * time.Second
	// appears is how long a new task may not be found: what ECS describes lags behind.
	appears = 60 * time.Second
	// newRole is how long ECS may not know a role that is new.
	newRole = 2 * time.Minute
	// again is the time between two launches that ECS had no room for, or knew no role for.
	again = 15 * time.Second
	// blind is how long ECS may not answer.
	blind = 5 * time.Minute
	// logLag is how long what a task wrote may take to be readable.
	logLag = 3 * time.Second
	// stopAttempts are those to stop a task, a poll apart.
	stopAttempts = 5
)

// Request is what to try, and how patient to be.
type Request struct {
	// Task is what to run; the client token is filled in. Its StartedBy names the trials of a service.
	Task *ecs.RunTaskInput
	// Run tells this run from any other: the same call is safe to repeat within it.
	Run string
	// Patience is how long a task may take to be healthy; 0 means 10 minutes.
	Patience time.Duration
	// CapacityPatience is how long AWS may have no room; 0 means 5 minutes.
	CapacityPatience time.Duration
	// Poll is the time between two looks; 0 means 5 seconds.
	Poll time.Duration
	// Left says that an earlier run may have left a task: the same version's is gone on
	// with, any other is stopped.
	Left bool
	// Fence is asked before every write, Look with every look; the error of either means
	// that another deployer has taken over. Nil is fine.
	Fence, Look func(context.Context) error
	// Logs are the last lines that a task's application wrote; nil asks nothing.
	Logs func(ctx context.Context, task string) ([]string, error)
	// Progress is told what happens; nil is fine.
	Progress func(text string)
}

// Outcome is what became of a trial.
type Outcome struct {
	// Problem is nil exactly when a task got healthy and stayed so.
	Problem *verdict.Problem
	// Task is the ARN of the last task that was tried; empty when ECS launched none.
	Task string
	// Launches counts the tasks that ECS launched.
	Launches int
	// Healthy is how long the task took to be healthy.
	Healthy time.Duration
}

// Run tries a version. It always returns an outcome, and stops what it started: also when
// the context ends, as far as ECS answers within seconds.
func Run(ctx context.Context, client ECS, clock deployment.Clock, request Request) *Outcome {
	if request.Patience <= 0 {
		request.Patience = 10 * time.Minute
	}
	if request.CapacityPatience <= 0 {
		request.CapacityPatience = 5 * time.Minute
	}
	if request.Poll <= 0 {
		request.Poll = 5 * time.Second
	}
	t := &trial{Request: request, ctx: ctx, ecs: client, clock: awsclock.Of(clock), outcome: &Outcome{}}
	t.begun = t.clock.Now()
	t.outcome.Problem = t.run()
	return t.outcome
}

// trial is one call of Run.
type trial struct {
	Request
	ctx     context.Context
	ecs     ECS
	clock   *awsclock.Clock
	outcome *Outcome
	begun   time.Time
	// calls counts the launches that ECS was asked for, for the client token.
	calls int
	// reasons are why tasks failed, log the last lines of the one that failed last.
	reasons, log []string
	failures     int
	// noRoomSince is when AWS first had no room; zero when it had.
	noRoomSince time.Time
}

func (t *trial) run() *verdict.Problem {
	task, problem := t.adopt()
	for problem == nil {
		if task == "" {
			task, problem = t.launch()
		}
		if problem != nil || task == "" {
			continue // ECS was asked, and is to be asked again
		}
		t.outcome.Task = task
		t.outcome.Launches++
		var healthy bool
		if healthy, problem = t.watch(task); healthy {
			return nil
		}
		task = ""
	}
	return problem
}

func (t *trial) say(format string, args ...any) {
	if t.Progress != nil {
		t.Progress(fmt.Sprintf(format, args...))
	}
}

// adopt finds the task that a lost run left: that of this version, or none. All others are stopped.
func (t *trial) adopt() (string, *verdict.Problem) {
	if !t.Left {
		return "", nil
	}
	left, err := Running(t.ctx, t.ecs, t.Task)
	if err != nil {
		return "", t.unable(err)
	}
	if len(left) == 0 {
		return "", nil
	}
	out, err := t.ecs.DescribeTasks(t.ctx, &ecs.DescribeTasksInput{Cluster: t.Task.Cluster, Tasks: left})
	if err != nil {
		return "", t.unable(fmt.Errorf("describe tasks: %w", err))
	}
	found := ""
	for _, d := range out.Tasks {
		arn := aws.ToString(d.TaskArn)
		left = slices.DeleteFunc(left, func(listed string) bool { return listed == arn })
		if stopping(&d) {
			continue // the list lags behind
		}
		if found == "" && aws.ToString(d.TaskDefinitionArn) == aws.ToString(t.Task.TaskDefinition) && d.HealthStatus != types.HealthStatusUnhealthy {
			found = arn
			t.say("trial task %s was left by a run that was lost; going on with it", id(arn))
			continue
		}
		if problem := t.stop(arn, "left by a run that was lost"); problem != nil {
			return "", problem
		}
		t.say("stopped trial task %s of %s, left by a run that was lost", id(arn), id(aws.ToString(d.TaskDefinitionArn)))
	}
	for _, arn := range left { // what ECS does not describe yet may run all the same
		if problem := t.stop(arn, "left by a run that was lost"); problem != nil {
			return "", problem
		}
	}
	return found, nil
}

// launch asks for one task. Without a task and a problem it is to be asked again.
func (t *trial) launch() (string, *verdict.Problem) {
	in := *t.Task
	in.ClientToken = aws.String(t.token())
	if problem := t.mayWrite(); problem != nil {
		return "", problem
	}
	// The client token makes it safe to repeat, by the SDK and here.
	out, err := t.ecs.RunTask(t.ctx, &in)
	awsclock.See(t.clock, out, err)
	transient := err != nil && !deployment.Refused(err)
	switch {
	case err == nil && len(out.Tasks) > 0:
		t.calls++
		arn := aws.ToString(out.Tasks[0].TaskArn)
		t.say("trial task %s of %s launched; the service is not touched before it is healthy", id(arn), id(aws.ToString(in.TaskDefinition)))
		return arn, nil
	case err == nil:
		t.calls++
		err = fmt.Errorf("run task: ECS launched none%s", failuresText(out.Failures))
	default:
		err = fmt.Errorf("run task: %w", err)
	}
	switch {
	case t.ctx.Err() != nil:
		return "", t.unanswered(t.interrupted(t.ctx.Err()))
	case deployment.NoRoom(err.Error()):
		return "", t.noRoom(err.Error())
	case notYet(err.Error()) && t.clock.Now().Sub(t.begun) < newRole:
		t.say("%v; asking again", err)
		return "", t.pause(again)
	case transient && t.clock.Now().Sub(t.begun) < blind:
		t.say("%v; asking again", err)
		return "", t.pause(again)
	case transient, deployment.Expired(err):
		return "", t.unable(err)
	default:
		return "", verdict.Problemf(Refused, "%v", err)
	}
}

// token is unique to the launch: up to 64 characters, the same for the same request for 24
// hours ("Ensuring idempotency", API reference).
func (t *trial) token() string {
	hash := sha256.New()
	for _, part := range []string{t.Run, aws.ToString(t.Task.StartedBy), aws.ToString(t.Task.TaskDefinition)} {
		hash.Write([]byte(part + "\x00"))
	}
	return fmt.Sprintf("%s-%d", hex.EncodeToString(hash.Sum(nil)[:16]), t.calls)
}

// noRoom waits for room, or gives up. That AWS has none says nothing about the version.
func (t *trial) noRoom(why string) *verdict.Problem {
	now := t.clock.Now()
	if t.noRoomSince.IsZero() {
		t.noRoomSince = now
		t.say("%s; trying again for up to %s", why, t.CapacityPatience)
	}
	if now.Sub(t.noRoomSince) >= t.CapacityPatience {
		return verdict.Problemf(deployment.NoCapacity, "for %s AWS has not placed a task on trial, so the service was not touched: %s", t.CapacityPatience, why)
	}
	return t.pause(again)
}

// pause passes some time, and keeps the lock.
func (t *trial) pause(d time.Duration) *verdict.Problem {
	if err := t.clock.Sleep(t.ctx, d); err != nil {
		return t.interrupted(err)
	}
	return t.look()
}

// failed counts a task that did not get healthy. The problem is nil while there is hope.
// enough says that there is none, whatever the count.
func (t *trial) failed(task, why string, versionsFault, enough bool) *verdict.Problem {
	t.say("trial task %s failed: %s", id(task), why)
	t.reasons = append(t.reasons, why)
	if versionsFault {
		t.failures++
		t.readLog(task, enough || t.failures >= maxFailures)
	}
	if !enough && t.failures < maxFailures && t.outcome.Launches < maxLaunches {
		return nil
	}
	problem := verdict.Problemf(Failed, "of %d tasks of %s that were run on trial none got healthy: %s; the service was not touched",
		t.outcome.Launches, id(aws.ToString(t.Task.TaskDefinition)), why)
	for n, reason := range t.reasons {
		if !slices.Contains(t.reasons[:n], reason) {
			problem.Details = append(problem.Details, reason)
		}
	}
	for _, line := range t.log {
		problem.Details = append(problem.Details, "log: "+line)
	}
	return problem
}

// readLog reads the last lines of a task that failed. What it wrote may take seconds to be
// there: the last time, for which the report has no other chance, it is asked for once more.
func (t *trial) readLog(task string, last bool) {
	if t.Logs == nil {
		return
	}
	lines, err := t.Logs(t.ctx, task)
	if last && len(lines) == 0 && t.clock.Sleep(t.ctx, logLag) == nil {
		lines, err = t.Logs(t.ctx, task)
	}
	if err != nil {
		t.reasons = append(t.reasons, fmt.Sprintf("the log of task %s could not be read: %v", id(task), err))
	}
	if len(lines) == 0 {
		return
	}
	t.log = lines
	for _, line := range lines {
		t.say("log of task %s: %s", id(task), line)
	}
}

// id is the last part of an ARN.
func id(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func failuresText(failures []types.Failure) string {
	text := ""
	for _, f := range failures {
		text += ": " + strings.TrimSpace(aws.ToString(f.Reason)+" "+aws.ToString(f.Detail))
	}
	return text
}

// notYet says that ECS does not know a new role yet.
func notYet(text string) bool {
	return strings.Contains(text, "unable to assume") || strings.Contains(text, "Unable to assume")
}
