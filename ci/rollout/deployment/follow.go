package deployment

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// follower follows our deployment to its end. state.go has its states.
type follower struct {
	*observer
	state state
	// reason is why the deployment is, or must be, rolled back; nil without a rollback.
	reason *verdict.Problem
	// rollbackAt is when the rollback began. rollbackRequested tells this run's request from a
	// rollback that ECS or somebody else began.
	rollbackAt        time.Time
	rollbackRequested bool
	// rollbackFailingSince is when a request for it first got no answer.
	rollbackFailingSince time.Time
	// pendingRollback is the reason in the state rollbackPending.
	pendingRollback *verdict.Problem
	// advice is what the analysis wants since the last look.
	advice Advice
	// firstDeployment is true if no version ran before ours.
	firstDeployment bool
}

// follow polls our deployment until it ends; state.go lists the states.
func (f *follower) follow(ctx context.Context) *verdict.Problem {
	f.seenTasks, f.seenEvents = map[string]bool{}, map[string]bool{}
	lastAnswer, gone := f.clock.Now(), Absence{}
	for {
		d, err := f.ecs.deployment(ctx, f.outcome.Deployment)
		missing := errors.Is(err, errMissing)
		switch {
		case ctx.Err() != nil:
			return f.interrupted(ctx.Err())
		case gone.Lasts(missing, f.clock.Now()) || missing && f.deleted(ctx):
			// A deployment is deleted together with its service.
			return verdict.Problemf(TargetMissing, "the deployment is gone, and most likely service %s with it: %v", f.Service, err)
		case missing:
			// A deployment may be listed before it can be described.
		case err != nil && (Refused(err) || f.clock.Now().Sub(lastAnswer) > blind):
			return f.awsProblem(ctx, Lost, err)
		case err == nil:
			lastAnswer = f.clock.Now()
			if created := aws.ToTime(d.CreatedAt); !created.IsZero() {
				// Failures before our first look count as well. ECS's own times tell the events of
				// our deployment from those of the one before.
				f.started = created
			}
			f.firstDeployment = len(d.SourceServiceRevisions) == 0
			f.renewLock(ctx)
			f.reportProgress(d)
			if done, problem := f.judgeEnd(ctx, d); done {
				f.on(deploymentEnded)
				return problem
			}
			f.analyse(ctx, d)
			if problem := f.handlePause(ctx, d); problem != nil {
				return problem
			}
			if problem := f.judgeProgress(ctx, d); problem != nil {
				return problem
			}
		}
		if problem := f.waitForNextLook(ctx, d); problem != nil {
			return problem
		}
	}
}

// deleted reports whether ECS says that the service was deleted. That it does not describe it proves less: a service
// that was just created may not be described either.
func (f *follower) deleted(ctx context.Context) bool {
	service, err := f.ecs.service(ctx, f.Cluster, f.Service)
	return err == nil && aws.ToString(service.Status) == "INACTIVE"
}

// waitForNextLook sleeps until the next poll. While tasks are starting, it reads the stopped tasks
// once in between: the sooner a failure is seen, the fewer tasks are launched.
func (f *follower) waitForNextLook(ctx context.Context, d *types.ServiceDeployment) *verdict.Problem {
	wait := f.Poll
	if d != nil && f.state != rollingBack && f.outcome.Hook == nil && isAdvancing(d.Status) && isStarting(d.LifecycleStage) {
		wait = f.Poll / 2
		if err := f.clock.Sleep(ctx, wait); err != nil {
			return f.interrupted(err)
		}
		f.readStoppedTasks(ctx)
		if why := f.failedEnough(ctx, d); why != nil {
			if problem := f.rollBack(ctx, why); problem != nil {
				return problem
			}
		}
	}
	if err := f.clock.Sleep(ctx, wait); err != nil {
		return f.interrupted(err)
	}
	return nil
}

// handlePause reports a pause for approval. Unless the caller waits for the answer, the pause ends
// the call with AWAITING_APPROVAL.
func (f *follower) handlePause(ctx context.Context, d *types.ServiceDeployment) *verdict.Problem {
	if !isAdvancing(d.Status) {
		f.outcome.Hook = nil // ECS may still describe the pause while it rolls back
		return nil
	}
	hook := hookOf(d)
	if hook != nil && hook.ID == f.Answered && f.clock.Now().Sub(f.followedSince) < appears {
		hook = nil
	}
	if hook != nil && f.holdForAnalysis(ctx, hook) {
		return nil
	}
	if hook == nil {
		if f.outcome.Hook != nil {
			f.on(pauseAnswered)
			f.log("the pause was answered")
			f.outcome.Hook = nil
		}
		return nil
	}
	f.timerStart, f.unhealthyAt = f.clock.Now(), time.Time{}
	if f.outcome.Hook == nil || f.outcome.Hook.ID != hook.ID {
		f.outcome.Hook = hook
		f.on(pauseReached)
		f.log("awaiting approval at %s until %s, then %s", hook.Stage, hook.Expires.UTC().Format(time.RFC3339), hook.OnExpiry)
	}
	if f.AwaitApproval {
		return nil
	}
	return f.withPublished(f.heldProblem(verdict.Problemf(AwaitingApproval,
		"deployment %s is paused at %s; without an answer ECS does a %s at %s", id(f.outcome.Deployment), hook.Stage, hook.OnExpiry,
		hook.Expires.UTC().Format(time.RFC3339))))
}

// judgeProgress rolls back a deployment that cannot succeed. ECS's circuit breaker covers rolling
// deployments only, and a stage of the other strategies can last for a day.
func (f *follower) judgeProgress(ctx context.Context, d *types.ServiceDeployment) *verdict.Problem {
	now := f.clock.Now()
	if f.state == rollingBack {
		if now.Sub(f.rollbackAt) > rollsBack {
			problem := f.withPublished(verdict.Problemf(Stuck, "%s; %s after it was to be rolled back it is %s", f.reason.Cause, rollsBack,
				StatusText(d.Status)))
			f.explain(ctx, problem)
			return problem
		}
		return nil
	}
	if !isAdvancing(d.Status) {
		// ECS, or somebody else, is rolling it back already; that too has a time limit.
		f.on(rollbackElsewhere)
		f.reason, f.rollbackAt = verdict.Problemf(RolledBack, "ECS began to roll the deployment back"), now
		if d.Rollback != nil && aws.ToString(d.Rollback.Reason) != "" {
			f.reason.Cause = aws.ToString(d.Rollback.Reason)
		}
		return nil
	}
	f.observe(ctx, d)
	if f.state == rollbackPending {
		return f.rollBack(ctx, f.pendingRollback)
	}
	if why := f.failedEnough(ctx, d); why != nil {
		return f.rollBack(ctx, why)
	}
	if f.Abort != nil {
		if why := f.Abort(); why != nil {
			return f.rollBack(ctx, why)
		}
	}
	switch {
	case f.advice.Problem != nil:
		return f.rollBack(ctx, f.advice.Problem)
	case f.noRoom != "" && now.Sub(f.noRoomSince) >= f.CapacityPatience:
		return f.rollBack(ctx, verdict.Problemf(NoCapacity, "for %s AWS has not placed a task: %s", f.CapacityPatience, f.noRoom))
	case f.neverHealthy(d, now):
		return f.rollBack(ctx, f.neverHealthyProblem("for "+f.HealthPatience.String()))
	case f.probeFailed(ctx, d):
		return f.rollBack(ctx, verdict.Problemf(RolledBack,
			"the service did not answer %d probes in a row while the new version had traffic, the last time with %v", badProbes, f.probeErr))
	case f.Deadline > 0 && now.Sub(f.timerStart) > f.Deadline:
		problem := verdict.Problemf(Stuck, "not done after %s: status %s, stage %s, %d of %d tasks running",
			f.Deadline, StatusText(d.Status), d.LifecycleStage, f.lastEvent.Running, f.lastEvent.Requested)
		if healthy, known := f.healthyTasks(); known && healthy < f.lastEvent.Requested && isStarting(d.LifecycleStage) && f.noRoom == "" {
			problem = f.neverHealthyProblem("in the " + f.Deadline.String() + " that it may take")
		}
		f.explain(ctx, problem)
		if f.OnTimeout == Leave {
			return f.withPublished(problem)
		}
		return f.rollBack(ctx, problem)
	}
	return nil
}

func hookOf(d *types.ServiceDeployment) *Hook {
	for _, h := range d.LifecycleHookDetails {
		if h.Status == types.DeploymentLifecycleHookStatusAwaitingAction {
			return &Hook{ID: aws.ToString(h.HookId), Stage: string(d.LifecycleStage), Expires: aws.ToTime(h.ExpiresAt),
				OnExpiry: cmp.Or(string(h.TimeoutAction), "ROLLBACK")}
		}
	}
	return nil
}

// HookOf returns the pause at which a deployment waits, or nil.
func HookOf(d *types.ServiceDeployment) *Hook { return hookOf(d) }
