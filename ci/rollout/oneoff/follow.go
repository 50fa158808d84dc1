package oneoff

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// follow polls the task until its container has ended or its time limit is reached.
func (c *command) follow(ctx context.Context) *verdict.Problem {
	answered, said := c.clock.Now(), ""
	seen, gone := false, deployment.Absence{}
	for {
		d, err := c.describe(ctx)
		now := c.clock.Now()
		switch {
		case ctx.Err() != nil:
			return c.interrupted(ctx.Err())
		case gone.Lasts(err == nil && d == nil, now):
			return c.lost(ctx, fmt.Sprintf("ECS does not know task %s any more", id(c.state.ARN)))
		case err != nil && (deployment.Refused(err) || now.Sub(answered) > blind):
			return c.awsProblem(ctx, err)
		case d != nil:
			answered, seen = now, true
			if state := aws.ToString(d.LastStatus); state != said {
				said = state
				c.log("task %s: %s", c.Name, said)
			}
			if code := c.exitCode(d); code != nil {
				return c.exited(ctx, d, code)
			}
			if aws.ToString(d.LastStatus) == "STOPPED" {
				// Its host may have failed, or somebody stopped it: how far the command got is unknown.
				c.state.Started = d.StopCode != "" && d.StopCode != types.TaskStopCodeTaskFailedToStart
				return c.end(ctx, nil, deployment.Explain(*d))
			}
		}
		if seen && c.clock.Server().Sub(c.state.Launched) > c.Timeout {
			return c.stop(ctx, said)
		}
		if problem := c.wait(ctx, poll); problem != nil {
			return problem
		}
	}
}

// describe returns nil if ECS does not describe the task.
func (c *command) describe(ctx context.Context) (*types.Task, error) {
	out, err := c.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: c.Task.Cluster, Tasks: []string{c.state.ARN}})
	awsclock.See(c.clock, out, err)
	if err != nil {
		return nil, fmt.Errorf("describe task %s: %w", id(c.state.ARN), err)
	}
	if len(out.Tasks) == 0 {
		return nil, nil
	}
	return &out.Tasks[0], nil
}

// exitCode returns the exit code of the command's container; nil while it runs, and if it never ran.
func (c *command) exitCode(d *types.Task) *int32 {
	for _, container := range d.Containers {
		if aws.ToString(container.Name) == c.Container {
			return container.ExitCode
		}
	}
	return nil
}

// exited records the end of the command. The task's other containers are stopped, because they are useless without it.
func (c *command) exited(ctx context.Context, d *types.Task, code *int32) *verdict.Problem {
	if d.StopCode == "" && aws.ToString(d.DesiredStatus) != "STOPPED" {
		if err := c.stopTask(ctx, "its command has ended"); err != nil {
			c.log("task %s has ended, and its other containers could not be stopped: %v", c.Name, err)
		}
	}
	why := ""
	if *code != 0 {
		why = deployment.Explain(*d)
	}
	return c.end(ctx, code, why)
}

// end records and judges how the task ended.
func (c *command) end(ctx context.Context, code *int32, why string) *verdict.Problem {
	c.state.Ended, c.state.ExitCode, c.state.Reason = c.clock.Server().UTC(), code, verdict.Line(why, 1000)
	c.readLog(ctx, code == nil || *code != 0)
	if problem := c.record(ctx); problem != nil {
		return problem
	}
	return c.judge()
}

// judge returns the problem of a task that has ended.
func (c *command) judge() *verdict.Problem {
	var problem *verdict.Problem
	s := c.state
	switch {
	case s.TimedOut:
		problem = verdict.Problemf(TimedOut, "task %s was stopped after %s: %s; no service was touched", s.Name, c.Timeout, s.Reason)
	case s.ExitCode == nil && s.Started:
		problem = verdict.Problemf(Failed, "task %s was stopped while it ran: %s; no service was touched", s.Name, s.Reason)
	case s.ExitCode == nil:
		problem = verdict.Problemf(NotStarted, "task %s: %s; no service was touched", s.Name, deployment.WithRemedy(s.Reason))
	case *s.ExitCode != 0:
		problem = verdict.Problemf(Failed, "task %s ended with exit code %d: %s; no service was touched", s.Name, *s.ExitCode, s.Reason)
	default:
		return nil
	}
	for _, line := range c.outcome.Log {
		problem.Details = append(problem.Details, "log: "+line)
	}
	return problem
}

// stop stops a task that exceeded its time limit.
func (c *command) stop(ctx context.Context, state string) *verdict.Problem {
	if problem := c.mayWrite(ctx); problem != nil {
		return problem
	}
	if err := c.stopTask(ctx, "its timeout is over"); err != nil {
		return c.published(c.awsProblem(ctx, err))
	}
	c.log("task %s stopped: it took longer than %s", c.Name, c.Timeout)
	c.state.TimedOut = true
	return c.end(ctx, nil, "it was "+state)
}

func (c *command) stopTask(ctx context.Context, why string) error {
	_, err := c.ecs.StopTask(ctx, &ecs.StopTaskInput{Cluster: c.Task.Cluster, Task: aws.String(c.state.ARN), Reason: aws.String(why)})
	if err != nil {
		return fmt.Errorf("stop task %s: %w", id(c.state.ARN), err)
	}
	return nil
}

// readLog reads the task's last lines. After a failure it may take seconds until they can be read.
func (c *command) readLog(ctx context.Context, failed bool) {
	if c.Logs == nil || c.state.ARN == "" {
		return
	}
	lines, err := c.Logs(ctx, c.state.ARN)
	if failed && len(lines) == 0 && c.clock.Sleep(ctx, logLag) == nil {
		lines, err = c.Logs(ctx, c.state.ARN)
	}
	if err != nil {
		c.log("the log of task %s could not be read: %v", c.Name, err)
	}
	c.outcome.Log = lines
}

// wait sleeps, and renews the lock.
func (c *command) wait(ctx context.Context, d time.Duration) *verdict.Problem {
	if err := c.clock.Sleep(ctx, d); err != nil {
		return c.interrupted(err)
	}
	return c.mayWrite(ctx)
}

func (c *command) mayWrite(ctx context.Context) *verdict.Problem {
	if c.Fence == nil {
		return nil
	}
	err := c.Fence(ctx)
	var known *verdict.Problem
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return c.interrupted(err)
	case errors.As(err, &known):
		return c.published(known)
	default:
		return c.published(verdict.Problemf(deployment.LockLost, "%v", err))
	}
}

// lost is the problem of a task whose end is unknown. The release ends with it; the next release runs its tasks again.
func (c *command) lost(ctx context.Context, why string) *verdict.Problem {
	problem := verdict.Problemf(Unknown, "%s, so nobody can tell whether it ended well; no service was touched", why)
	c.readLog(ctx, true)
	for _, line := range c.outcome.Log {
		problem.Details = append(problem.Details, "log: "+line)
	}
	return problem
}

func (c *command) interrupted(err error) *verdict.Problem {
	return c.published(verdict.Problemf(deployment.Interrupted, "%v, during task %s; no service was touched", err, c.Name))
}

func (c *command) awsProblem(ctx context.Context, err error) *verdict.Problem {
	if ctx.Err() != nil {
		return c.interrupted(err)
	}
	code := deployment.AWSFailed
	if deployment.Expired(err) {
		code = deployment.AuthExpired
	}
	return c.published(verdict.Problemf(code, "%v; no service was touched", err))
}

// published adds a task that is still running to a problem.
func (c *command) published(problem *verdict.Problem) *verdict.Problem {
	if c.state.Attempt > 0 && c.state.Ended.IsZero() {
		problem.Published = append(problem.Published, "task "+c.Name+", which may go on; the next deploy of the same image follows it")
	}
	return problem
}

// Describe describes how a task ended.
func Describe(t journal.Task) string {
	took := ""
	if !t.Launched.IsZero() && t.Ended.After(t.Launched) {
		took = " after " + t.Ended.Sub(t.Launched).Round(time.Second).String()
	}
	switch {
	case t.TimedOut:
		return "stopped" + took + ", its timeout"
	case t.Ended.IsZero():
		return "not ended"
	case t.ExitCode == nil && t.Started:
		return "stopped" + took + ", without an exit code"
	case t.ExitCode == nil:
		return "never started"
	default:
		return fmt.Sprintf("exit code %d%s", *t.ExitCode, took)
	}
}
