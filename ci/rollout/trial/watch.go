package trial

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
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// watch polls a task until it has stayed healthy long enough or has failed, and stops it. If it returns false without a
// problem, another task must be launched.
func (t *trial) watch(ctx context.Context, task string) (bool, *verdict.Problem) {
	launched := t.clock.Now()
	answered, said := launched, ""
	var healthySince time.Time
	gone := deployment.Absence{}
	for {
		d, err := t.describe(ctx, task)
		now := t.clock.Now()
		switch {
		case ctx.Err() != nil:
			return false, t.withTask(ctx, t.interrupted(ctx.Err()), task)
		case gone.Lasts(errors.Is(err, errUnknownTask), now):
			return false, t.stopAfter(ctx, task, t.countFailure(ctx, task, "ECS does not know it any more", false, false))
		case err != nil && deployment.Denied(err):
			return false, t.stopAfter(ctx, task, verdict.Problemf(Refused, "%v", err))
		case err != nil && (deployment.Expired(err) || now.Sub(answered) > blind):
			return false, t.stopAfter(ctx, task, t.awsProblem(ctx, err))
		case err == nil:
			answered = now
			if text := state(d); text != said {
				said = text
				t.log("trial task %s: %s", id(task), text)
			}
			if stopping(d) {
				return false, t.judgeStopped(ctx, d)
			}
			if aws.ToString(d.LastStatus) == "RUNNING" {
				t.noRoomSince = time.Time{}
			}
			if !t.well(d) {
				healthySince = time.Time{}
			} else if healthySince.IsZero() {
				healthySince = now
			}
		}
		switch {
		case d != nil && d.HealthStatus == types.HealthStatusUnhealthy:
			// ECS does not stop an unhealthy task outside of a service (API reference, HealthCheck).
			return false, t.stopAfter(ctx, task, t.countFailure(ctx, task, deployment.WithRemedy("it runs, and does not pass its health check"),
				true, false))
		case err == nil && !healthySince.IsZero() && now.Sub(healthySince) >= t.lasts():
			t.outcome.Healthy = healthySince.Sub(launched)
			t.log("trial task %s is healthy", id(task))
			problem := t.stop(ctx, task, "the trial has passed")
			return problem == nil, problem
		case now.Sub(launched) > t.Patience && healthySince.IsZero():
			// A task that is healthy by now only has to stay healthy; polls may be minutes apart.
			why := fmt.Sprintf("after %s it was not healthy, and %s", t.Patience, said)
			return false, t.stopAfter(ctx, task, t.countFailure(ctx, task, why, true, true))
		}
		if problem := t.wait(ctx, t.Poll); problem != nil {
			return false, t.withTask(ctx, problem, task)
		}
	}
}

// well reports whether a task is healthy, or is running if its health cannot be known.
func (t *trial) well(d *types.Task) bool {
	if t.NoHealthCheck {
		return aws.ToString(d.LastStatus) == "RUNNING"
	}
	return d.HealthStatus == types.HealthStatusHealthy
}

// lasts returns how long a task must stay well.
func (t *trial) lasts() time.Duration {
	if t.NoHealthCheck {
		return keepsRunning
	}
	return steady
}

// errUnknownTask: ECS does not know the task.
var errUnknownTask = errors.New("ECS does not know this task")

func (t *trial) describe(ctx context.Context, task string) (*types.Task, error) {
	out, err := t.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: t.Task.Cluster, Tasks: []string{task}})
	awsclock.See(t.clock, out, err)
	if err != nil {
		return nil, fmt.Errorf("describe task %s: %w", id(task), err)
	}
	if len(out.Tasks) == 0 {
		return nil, fmt.Errorf("describe task %s: %w%s", id(task), errUnknownTask, failuresText(out.Failures))
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

// stopping reports whether a task is stopping, which takes much longer than its containers do.
func stopping(d *types.Task) bool {
	return d.StopCode != "" || aws.ToString(d.DesiredStatus) == "STOPPED" || aws.ToString(d.LastStatus) == "STOPPED"
}

// judgeStopped judges a task that was stopped or exited by itself.
func (t *trial) judgeStopped(ctx context.Context, d *types.Task) *verdict.Problem {
	task, why := aws.ToString(d.TaskArn), deployment.Explain(*d)
	switch {
	case d.StopCode == types.TaskStopCodeUserInitiated:
		return verdict.Problemf(Stopped, "trial task %s was stopped: %s; the service was not touched", id(task), why)
	case deployment.NoRoom(why):
		t.outcome.Launches-- // it was never launched
		return t.waitForCapacity(ctx, why)
	case roleNotReady(why) && t.clock.Now().Sub(t.startedAt) < newRole:
		t.outcome.Launches--
		t.log("trial task %s: %s; trying again", id(task), why)
		return t.wait(ctx, relaunchDelay)
	default:
		return t.countFailure(ctx, task, why, deployment.Failed(*d), false)
	}
}

// stopAfter stops a task that failed or can no longer be observed, and returns its problem.
func (t *trial) stopAfter(ctx context.Context, task string, problem *verdict.Problem) *verdict.Problem {
	stop := t.stop(ctx, task, "the trial has ended")
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

// stop stops a task of ours, with retries, because nothing else would stop it.
func (t *trial) stop(ctx context.Context, task, why string) *verdict.Problem {
	for attempt := 1; ; attempt++ {
		if problem := t.mayWrite(ctx); problem != nil {
			return t.withTask(ctx, problem, task)
		}
		err := stopTask(ctx, t.ecs, t.Task, task, why)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return t.withTask(ctx, t.interrupted(ctx.Err()), task)
		case attempt == stopAttempts || deployment.Refused(err):
			return stillRuns(t.awsProblem(ctx, err), task)
		}
		if problem := t.wait(ctx, t.Poll); problem != nil {
			return t.withTask(ctx, problem, task)
		}
	}
}

// stopUnknown stops the trial's tasks if the run was interrupted during a launch: ECS may have launched a task whose ARN is
// unknown.
func (t *trial) stopUnknown(ctx context.Context, problem *verdict.Problem) *verdict.Problem {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := Stop(ctx, t.ecs, t.Task, "its run was interrupted"); err != nil {
		problem.Published = append(problem.Published, "maybe a trial task, which then runs on until the next deploy, or destroy, stops it")
	}
	return problem
}

// withTask adds the running task to a problem. If this run was interrupted, one last call stops the task first, because
// nothing else would.
func (t *trial) withTask(ctx context.Context, problem *verdict.Problem, task string) *verdict.Problem {
	if problem.Code == deployment.Interrupted {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if stopTask(ctx, t.ecs, t.Task, task, "its run was interrupted") == nil {
			problem.Cause += ", and trial task " + id(task) + " is stopped"
			return problem
		}
	}
	return stillRuns(problem, task)
}

func stillRuns(problem *verdict.Problem, task string) *verdict.Problem {
	problem.Published = append(problem.Published, "trial task "+id(task)+", which runs on until the next deploy, or destroy, stops it")
	return problem
}

func (t *trial) interrupted(err error) *verdict.Problem {
	return verdict.Problemf(deployment.Interrupted, "%v, during the trial; the service was not touched", err)
}

func (t *trial) awsProblem(ctx context.Context, err error) *verdict.Problem {
	if ctx.Err() != nil {
		return t.interrupted(err)
	}
	code := deployment.AWSFailed
	if deployment.Expired(err) {
		code = deployment.AuthExpired
	}
	return verdict.Problemf(code, "%v; the service was not touched", err)
}

// mayWrite checks the lock before a write.
func (t *trial) mayWrite(ctx context.Context) *verdict.Problem { return t.checkLock(ctx, t.Fence) }

// renewLock lets the caller renew its lock.
func (t *trial) renewLock(ctx context.Context) *verdict.Problem { return t.checkLock(ctx, t.Look) }

func (t *trial) checkLock(ctx context.Context, fence func(context.Context) error) *verdict.Problem {
	if fence == nil {
		return nil
	}
	err := fence(ctx)
	var known *verdict.Problem
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return t.interrupted(err)
	case errors.As(err, &known):
		return known
	default:
		return verdict.Problemf(deployment.LockLost, "%v", err)
	}
}
