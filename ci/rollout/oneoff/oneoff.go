// Package oneoff runs a command of a new version once, in a task of its own, and reports its exit code, such as a database
// migration before the services that need it.
//
// If a run is killed and repeated, the command does not run twice. Each launch has a client token derived from the release;
// the intent is recorded before the launch, and the task after it. ECS describes a stopped task for about an hour only, so
// the end is recorded too.
package oneoff

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ECS is the part of the ECS client that this package needs.
type ECS = trial.ECS

const (
	// poll is the polling interval.
	poll = 5 * time.Second
	// blind is how long ECS may fail to respond.
	blind = 5 * time.Minute
	// newRole is how long ECS may not know a new role.
	newRole = 2 * time.Minute
	// noRoom is how long AWS may lack capacity.
	noRoom = 5 * time.Minute
	// pause is the delay after a failed launch.
	pause = 15 * time.Second
	// remembered is how long ECS remembers a client token ("Ensuring idempotency"), less a margin.
	remembered = 23 * time.Hour
	// logLag is how long it may take until a log can be read.
	logLag = 3 * time.Second
)

// Request is a command to run.
type Request struct {
	Name    string
	Command []string
	// Task says where to run it: task definition, network, and StartedBy, which all one-off tasks of a service share. The
	// command overrides that of Container.
	Task      *ecs.RunTaskInput
	Container string
	// Release identifies the release, within which the command runs once.
	Release string
	Timeout time.Duration
	// Known is the record of an earlier run of the same release, or the zero value.
	Known journal.Task
	// Record saves the record before each launch and after each change.
	Record func(context.Context, journal.Task) error
	// Fence checks the lock before every write and renews it at every poll.
	Fence func(context.Context) error
	// Logs returns the last lines of a task.
	Logs func(ctx context.Context, task string) ([]string, error)
	// Progress is called with each message.
	Progress func(text string)
}

// Outcome is the result of a command.
type Outcome struct {
	// Problem is nil if and only if the exit code is 0.
	Problem *verdict.Problem
	Task    journal.Task
	// Before is set if an earlier run of the release had already run the command.
	Before bool
	// Log has its last lines.
	Log []string
}

// Run runs a command, or follows the one that an interrupted run launched. It always returns an outcome. If the context ends,
// the task keeps running.
func Run(ctx context.Context, client ECS, clock clock.Clock, request Request) *Outcome {
	c := &command{Request: request, ecs: client, clock: awsclock.Of(clock), outcome: &Outcome{}, state: request.Known}
	c.state.Name = request.Name
	c.outcome.Problem = c.run(ctx)
	c.outcome.Task = c.state
	return c.outcome
}

// command is one call of Run.
type command struct {
	Request
	ecs     ECS
	clock   *awsclock.Clock
	outcome *Outcome
	state   journal.Task
}

func (c *command) run(ctx context.Context) *verdict.Problem {
	switch {
	case !c.state.Ended.IsZero():
		c.outcome.Before = true
		return c.judge()
	case c.state.ARN != "":
		c.log("task %s was launched by an interrupted run; following %s", c.Name, id(c.state.ARN))
	default:
		if problem := c.launch(ctx); problem != nil {
			return problem
		}
	}
	return c.follow(ctx)
}

// launch launches the task. If an interrupted run may have launched it already, the same client token returns that task.
func (c *command) launch(ctx context.Context) *verdict.Problem {
	if c.state.Attempt == 0 {
		if problem := c.waitForOthers(ctx); problem != nil {
			return problem
		}
		c.state.Attempt = 1
		if problem := c.intend(ctx); problem != nil {
			return problem
		}
	} else if age := c.clock.Server().Sub(c.state.Launched); age > remembered {
		return c.lost(ctx, fmt.Sprintf("an interrupted run may have launched task %s %s ago", c.Name, age.Round(time.Minute)))
	}
	in := *c.Task
	in.Count = aws.Int32(1)
	in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String(c.Container), Command: c.Command}}}
	began, full := c.clock.Now(), time.Time{}
	for {
		in.ClientToken = aws.String(c.token())
		if problem := c.mayWrite(ctx); problem != nil {
			return problem
		}
		out, err := c.ecs.RunTask(ctx, &in)
		awsclock.See(c.clock, out, err)
		if err == nil && len(out.Tasks) > 0 {
			c.state.ARN = aws.ToString(out.Tasks[0].TaskArn)
			c.log("task %s: %s of %s launched: %s", c.Name, id(c.state.ARN), id(aws.ToString(in.TaskDefinition)), strings.Join(c.Command, " "))
			return c.record(ctx)
		}
		answered := err == nil
		if answered {
			err = errors.New("ECS launched no task" + reasons(out.Failures))
		}
		passed := c.clock.Now().Sub(began)
		crowded := deployment.NoRoom(err.Error())
		if crowded && full.IsZero() {
			full = c.clock.Now()
		}
		switch {
		case ctx.Err() != nil:
			return c.interrupted(ctx.Err())
		case crowded && c.clock.Now().Sub(full) >= noRoom:
			return c.end(ctx, nil, fmt.Sprintf("for %s AWS had no capacity: %v", noRoom, err))
		case crowded:
			if answered { // this launch has ended, and the same token would only return it
				c.state.Attempt++
				if problem := c.intend(ctx); problem != nil {
					return problem
				}
			}
		case strings.Contains(err.Error(), "nable to assume") && passed < newRole:
		case !answered && !deployment.Refused(err) && passed < blind:
		case deployment.Expired(err), !answered && !deployment.Refused(err):
			return c.awsProblem(ctx, fmt.Errorf("run task %s: %w", c.Name, err))
		default:
			return c.end(ctx, nil, err.Error())
		}
		c.log("task %s: %v; trying again", c.Name, err)
		if problem := c.wait(ctx, pause); problem != nil {
			return problem
		}
	}
}

// waitForOthers waits until no one-off task of an earlier release of the service is running.
func (c *command) waitForOthers(ctx context.Context) *verdict.Problem {
	for left := c.Timeout; ; left -= poll {
		running, err := trial.Running(ctx, c.ecs, c.Task)
		switch {
		case err != nil:
			return c.awsProblem(ctx, err)
		case len(running) == 0:
			return nil
		case left <= 0:
			return verdict.Problemf(Busy, "task %s of an earlier deploy runs for longer than %s; no service was touched", id(running[0]), c.Timeout)
		case left == c.Timeout:
			c.log("task %s waits for task %s of an earlier deploy", c.Name, id(running[0]))
		}
		if problem := c.wait(ctx, poll); problem != nil {
			return problem
		}
	}
}

// token is the idempotency token of a launch: up to 64 characters, remembered by ECS for 24 hours.
func (c *command) token() string {
	hash := sha256.New()
	for _, part := range []string{c.Release, c.Name, aws.ToString(c.Task.StartedBy), aws.ToString(c.Task.TaskDefinition)} {
		hash.Write([]byte(part + "\x00"))
	}
	return hex.EncodeToString(hash.Sum(nil)[:16]) + "-" + strconv.Itoa(c.state.Attempt)
}

// intend records a launch before it is made.
func (c *command) intend(ctx context.Context) *verdict.Problem {
	c.state.Launched, c.state.TaskDefinition = c.clock.Server().UTC(), aws.ToString(c.Task.TaskDefinition)
	return c.record(ctx)
}

func (c *command) record(ctx context.Context) *verdict.Problem {
	if c.Record == nil {
		return nil
	}
	err := c.Record(ctx, c.state)
	var known *verdict.Problem
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return c.interrupted(err)
	case errors.As(err, &known):
		return known
	default:
		return journal.Problem(err)
	}
}

func id(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func reasons(failures []types.Failure) string {
	text := ""
	for _, f := range failures {
		text += ": " + strings.TrimSpace(aws.ToString(f.Reason)+" "+aws.ToString(f.Detail))
	}
	return text
}

func (c *command) log(format string, args ...any) {
	if c.Progress != nil {
		c.Progress(fmt.Sprintf(format, args...))
	}
}
