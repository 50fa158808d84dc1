package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// watch looks at a task until it was healthy for a while, or cannot be any more, and stops
// it. Without a problem and not healthy, another task is to be tried.
func (t *trial) watch(task string) (bool, *verdict.Problem) {
	launched := t.clock.Now()
	answered, said := launched, ""
	var healthySince time.Time
	for {
		d, err := t.describe(task)
		now := t.clock.Now()
		switch {
		case t.ctx.Err() != nil:
			return false, t.left(t.interrupted(t.ctx.Err()), task)
		case errors.Is(err, errGone) && now.Sub(launched) > appears:
			return false, t.end(task, t.failed(task, "ECS does not know it any more", false, false))
		case err != nil && deployment.Denied(err):
			return false, t.end(task, verdict.Problemf(Refused, "%v", err))
		case err != nil && (deployment.Expired(err) || now.Sub(answered) > blind):
			return false, t.end(task, t.unable(err))
		case err == nil:
			answered = now
			if text := state(d); text != said {
				said = text
				t.say("trial task %s: %s", id(task), text)
			}
			if stopping(d) {
				return false, t.judge(d)
			}
			if aws.ToString(d.LastStatus) == "RUNNING" {
				t.noRoomSince = time.Time{}
			}
			if d.HealthStatus != types.HealthStatusHealthy {
				healthySince = time.Time{}
			} else if healthySince.IsZero() {
				healthySince = now
			}
		}
		switch {
		case d != nil && d.HealthStatus == types.HealthStatusUnhealthy:
			// ECS lets a task of no service go on whatever its health (API reference, HealthCheck).
			return false, t.end(task, t.failed(task, deployment.WithRemedy("it runs, and does not pass its health check"), true, false))
		case err == nil && !healthySince.IsZero() && now.Sub(healthySince) >= steady:
			t.outcome.Healthy = healthySince.Sub(launched)
			t.say("trial task %s is healthy", id(task))
			problem := t.stop(task, "it did its duty: the version starts")
			return problem == nil, problem
		case now.Sub(launched) > t.Patience && healthySince.IsZero():
			// A task that is healthy by now has only to stay so: one look may be minutes after the last.
			why := fmt.Sprintf("after %s it was not healthy, and %s", t.Patience, said)
			return false, t.end(task, t.failed(task, why, true, true))
		}
		if problem := t.pause(t.Poll); problem != nil {
			return false, t.left(problem, task)
		}
	}
}

// errGone says that ECS knows no such task.
var errGone = errors.New("ECS knows no such task")

func (t *trial) describe(task string) (*types.Task, error) {
	out, err := t.ecs.DescribeTasks(t.ctx, &ecs.DescribeTasksInput{Cluster: t.Task.Cluster, Tasks: []string{task}})
	awsclock.See(t.clock, out, err)
	if err != nil {
		return nil, fmt.Errorf("describe task %s: %w", id(task), err)
	}
	if len(out.Tasks) == 0 {
		return nil, fmt.Errorf("describe task %s: %w%s", id(task), errGone, failuresText(out.Failures))
	}
	return &out.Tasks[0], nil
}

func state(d *types.Task) string {
	text := aws.ToString(d.LastStatus)
	if d.HealthStatus != "" && d.HealthStatus != types.HealthStatusUnknown {
		text += ", " + string(d.HealthStatus)
	}
	return text
}

// stopping says that a task is on its way out, which ends long after its containers did.
func stopping(d *types.Task) bool {
	return d.StopCode != "" || aws.ToString(d.DesiredStatus) == "STOPPED" || aws.ToString(d.LastStatus) == "STOPPED"
}

// judge says what a task means that was stopped, or ended by itself.
func (t *trial) judge(d *types.Task) *verdict.Problem {
	task, why := aws.ToString(d.TaskArn), deployment.Explain(*d)
	switch {
	case d.StopCode == types.TaskStopCodeUserInitiated:
		return verdict.Problemf(Stopped, "trial task %s was stopped: %s; the service was not touched", id(task), why)
	case deployment.NoRoom(why):
		t.outcome.Launches-- // it was never launched
		return t.noRoom(why)
	case notYet(why) && t.clock.Now().Sub(t.begun) < newRole:
		t.outcome.Launches--
		t.say("trial task %s: %s; trying again", id(task), why)
		return t.pause(again)
	default:
		return t.failed(task, why, deployment.Failed(*d), false)
	}
}

// end stops a task that failed, or of which nothing is known any more.
func (t *trial) end(task string, problem *verdict.Problem) *verdict.Problem {
	stop := t.stop(task, "it is not needed any more")
	switch {
	case stop == nil:
		return problem
	case problem == nil:
		return stop
	default:
		problem.Cause += "; and " + stop.Cause
		problem.Published = append(problem.Published, stop.Published...)
		return problem
	}
}

// stop stops a task of ours. One that cannot be stopped would run for ever.
func (t *trial) stop(task, why string) *verdict.Problem {
	for attempt := 1; ; attempt++ {
		if problem := t.mayWrite(); problem != nil {
			return t.left(problem, task)
		}
		err := stopTask(t.ctx, t.ecs, t.Task, task, why)
		switch {
		case err == nil:
			return nil
		case t.ctx.Err() != nil:
			return t.left(t.interrupted(t.ctx.Err()), task)
		case attempt == stopAttempts || deployment.Refused(err):
			return left(t.unable(err), task)
		}
		if problem := t.pause(t.Poll); problem != nil {
			return t.left(problem, task)
		}
	}
}

// unanswered ends a trial whose run was ended while ECS was asked for a task: it may have
// launched one whose name is not known.
func (t *trial) unanswered(problem *verdict.Problem) *verdict.Problem {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), 10*time.Second)
	defer cancel()
	if _, err := Stop(ctx, t.ecs, t.Task, "the run that tried it was ended"); err != nil {
		problem.Published = append(problem.Published, "maybe a trial task, which then runs on until the next deploy, or destroy, stops it")
	}
	return problem
}

// left ends a trial whose task runs on. Where this run was ended, a last call stops it: a
// task of no service ends by nobody else.
func (t *trial) left(problem *verdict.Problem, task string) *verdict.Problem {
	if problem.Code == deployment.Interrupted {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), 10*time.Second)
		defer cancel()
		if stopTask(ctx, t.ecs, t.Task, task, "the run that tried it was ended") == nil {
			problem.Cause += ", and trial task " + id(task) + " is stopped"
			return problem
		}
	}
	return left(problem, task)
}

func left(problem *verdict.Problem, task string) *verdict.Problem {
	problem.Published = append(problem.Published, "trial task "+id(task)+", which runs on until the next deploy, or destroy, stops it")
	return problem
}

func (t *trial) interrupted(err error) *verdict.Problem {
	problem := verdict.Problemf(deployment.Interrupted, "%v, during the trial; the service was not touched", err)
	return problem
}

func (t *trial) unable(err error) *verdict.Problem {
	if t.ctx.Err() != nil {
		return t.interrupted(err)
	}
	code := deployment.AWSFailed
	if deployment.Expired(err) {
		code = deployment.AuthExpired
	}
	return verdict.Problemf(code, "%v; the service was not touched", err)
}

// mayWrite asks the fence.
func (t *trial) mayWrite() *verdict.Problem { return t.ask(t.Fence) }

// look lets the caller keep its lock.
func (t *trial) look() *verdict.Problem { return t.ask(t.Look) }

func (t *trial) ask(fence func(context.Context) error) *verdict.Problem {
	if fence == nil {
		return nil
	}
	err := fence(t.ctx)
	var known *verdict.Problem
	switch {
	case err == nil:
		return nil
	case t.ctx.Err() != nil:
		return t.interrupted(err)
	case errors.As(err, &known):
		return known
	default:
		return verdict.Problemf(deployment.LockLost, "%v", err)
	}
}
