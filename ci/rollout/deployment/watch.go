package deployment

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// watch ends a deployment that cannot become good: the circuit breaker is one of rolling
// deployments, and a stage of the others may last a day.
func (f *follower) watch(d *types.ServiceDeployment) *verdict.Problem {
	now := f.clock.Now()
	if f.ending != nil {
		if now.Sub(f.endingAt) > rollsBack {
			problem := f.published(verdict.Problemf(Stuck, "%s; %s after it was to be rolled back it is %s", f.ending.Cause, rollsBack, d.Status))
			f.explain(problem)
			return problem
		}
		return nil
	}
	if !forward(d.Status) {
		// ECS or somebody else is ending it already; that too must end some time.
		f.ending, f.endingAt = verdict.Problemf(RolledBack, "ECS began to undo the deployment"), now
		if d.Rollback != nil && aws.ToString(d.Rollback.Reason) != "" {
			f.ending.Cause = aws.ToString(d.Rollback.Reason)
		}
		return nil
	}
	f.inspect(d)
	if f.wanted != nil {
		return f.end(f.wanted)
	}
	if why := f.failedEnough(d); why != nil {
		return f.end(why)
	}
	switch {
	case f.noRoom != "" && now.Sub(f.noRoomSince) >= f.CapacityPatience:
		return f.end(verdict.Problemf(NoCapacity, "for %s AWS has not placed a task: %s", f.CapacityPatience, f.noRoom))
	case f.neverHealthy(d, now):
		return f.end(f.unhealthy("for " + f.HealthPatience.String()))
	case f.probeFailed(d):
		return f.end(verdict.Problemf(RolledBack, "the service did not answer %d probes in a row while the new version had traffic, the last time with %v", badProbes, f.probeErr))
	case f.Deadline > 0 && now.Sub(f.begun) > f.Deadline:
		problem := verdict.Problemf(Stuck, "not done after %s: status %s, stage %s, %d of %d tasks running",
			f.Deadline, d.Status, d.LifecycleStage, f.last.Running, f.last.Requested)
		if healthy, known := f.healthyTasks(); known && healthy < f.last.Requested && starting(d.LifecycleStage) && f.noRoom == "" {
			problem = f.unhealthy("in the " + f.Deadline.String() + " that it may take")
		}
		f.explain(problem)
		if f.OnTimeout == Leave {
			return f.published(problem)
		}
		return f.end(problem)
	}
	return nil
}

// unhealthy is the problem of tasks that run and do not become healthy.
func (f *follower) unhealthy(since string) *verdict.Problem {
	return verdict.Problemf(NeverHealthy, "%s no more than %d of %d tasks of the new version have become healthy, and %d run%s",
		since, f.mostHealthy, f.last.Requested, f.last.Running, prefixed("; targets: ", f.targetsSaid))
}

// failedEnough is why a deployment must end whose tasks fail; nil while there is hope.
func (f *follower) failedEnough(d *types.ServiceDeployment) *verdict.Problem {
	switch {
	case f.failedTasks >= f.MaxFailures:
		return verdict.Problemf(RolledBack, "%d tasks of the new version failed", f.failedTasks)
	case f.allFailedAtStart(d):
		return verdict.Problemf(RolledBack, "%d tasks of the new version failed, and they were all that were started", f.failedTasks)
	case f.noRoom == "" && min(f.unlaunched, f.unlaunchedBefore) >= f.MaxFailures && f.clock.Now().Sub(f.begun) > appears:
		// Seen twice, so that the reason is known too where it is a lack of room; and not at
		// once, as ECS does not know a role that is new.
		return verdict.Problemf(RolledBack, "ECS could not launch %d tasks of the new version", f.unlaunched)
	}
	return nil
}

// allFailedAtStart says that no task of the new version has ever come further than those
// that failed. ECS launches as many as are desired at once and replaces each that fails, so
// a version that cannot start would use up two rounds before three failures are counted:
// it is enough that at least two failed, and that none lives that was launched before the
// last of them. Where one does, others than the version may be to blame, and MaxFailures counts.
func (f *follower) allFailedAtStart(d *types.ServiceDeployment) bool {
	if f.StartFailures < 0 || f.failedTasks < f.StartFailures || f.judgedFailed == f.failedTasks || !starting(d.LifecycleStage) {
		return false
	}
	live, err := f.ecs.tasks(f.ctx, f.Cluster, f.Service, types.DesiredStatusRunning, nil)
	if err != nil {
		f.say("running tasks could not be read: %v", err)
		return false
	}
	f.judgedFailed = f.failedTasks // only another failure can change the answer
	for _, t := range live {
		if aws.ToString(t.TaskDefinitionArn) == f.TaskDefinition && !aws.ToTime(t.CreatedAt).After(f.newestFailed) {
			return false
		}
	}
	return true
}

// starting says that no task of the new version is known to have been healthy. A rolling
// deployment may have no stage.
func starting(stage types.ServiceDeploymentLifecycleStage) bool {
	switch stage {
	case "", types.ServiceDeploymentLifecycleStageReconcileService, types.ServiceDeploymentLifecycleStagePreScaleUp, types.ServiceDeploymentLifecycleStageScaleUp:
		return true
	default:
		return false
	}
}

// probeFailed asks the service itself while both versions run and the new one has traffic:
// what alarms see a minute later. A rolling deployment shows no traffic: it is asked once all
// tasks are replaced, while ECS itself watches the alarms.
func (f *follower) probeFailed(d *types.ServiceDeployment) bool {
	switch d.LifecycleStage {
	case types.ServiceDeploymentLifecycleStageBakeTime:
	case types.ServiceDeploymentLifecycleStageProductionTrafficShift:
		if f.last.Weight <= 0 {
			return false
		}
	default:
		if !replaced(d) {
			return false
		}
	}
	if f.Probe == nil {
		return false
	}
	if err := f.Probe(f.ctx); err != nil {
		f.probeFails++
		f.probeErr = err
		f.say("probe failed: %v", err)
	} else {
		f.probeFails = 0
	}
	return f.probeFails >= badProbes
}

// replaced says that the new tasks of a rolling deployment alone answer. While an old one runs,
// it may be its failure that is to be mended; and ECS stops the last of them when all new ones
// are healthy, unless it may go below what is desired (MinimumHealthyPercent).
func replaced(d *types.ServiceDeployment) bool {
	c, target := d.DeploymentConfiguration, d.TargetServiceRevision
	if c == nil || c.Strategy != types.DeploymentStrategyRolling || aws.ToInt32(c.MinimumHealthyPercent) < 100 || len(d.SourceServiceRevisions) == 0 {
		return false
	}
	for _, old := range d.SourceServiceRevisions {
		if old.RunningTaskCount > 0 {
			return false
		}
	}
	return target != nil && target.RequestedTaskCount > 0 && target.RunningTaskCount >= target.RequestedTaskCount
}

// end asks ECS to put the old version back, and goes on following.
func (f *follower) end(why *verdict.Problem) *verdict.Problem {
	if problem := f.mayWrite(); problem != nil {
		if problem.Code.Name != LockLost.Name && f.ctx.Err() == nil && f.again(why) {
			f.say("the deployment is to be rolled back, and it cannot be said whether this run may: %s", problem.Cause)
			return nil
		}
		problem.Cause = why.Cause + "; " + problem.Cause
		return f.published(problem)
	}
	if f.first {
		return f.undoFirst(why)
	}
	f.say("rolling back: %s", why.Cause)
	*f.ecs.calls++
	if _, err := f.ecs.StopServiceDeployment(f.ctx, stopInput(f.outcome.Deployment)); err != nil {
		if Expired(err) {
			return f.unable(Lost, fmt.Errorf("%s; it could not be rolled back: %w", why.Cause, err))
		}
		if Refused(err) {
			// It ended in the meantime, or there is nothing to go back to.
			d, lookErr := f.ecs.deployment(f.ctx, f.outcome.Deployment)
			if lookErr == nil {
				if ended, problem := f.ended(d); ended {
					return problem
				}
			}
			problem := f.published(verdict.Problemf(Stuck, "%s; it cannot be rolled back: %v", why.Cause, err))
			f.explain(problem)
			return problem
		}
		if !f.again(why) {
			problem := f.published(verdict.Problemf(Stuck, "%s; for %s it could not be rolled back: %v", why.Cause, blind, err))
			f.explain(problem)
			return problem
		}
		return nil
	}
	f.ending, f.endingAt, f.asked = why, f.clock.Now(), true
	return nil
}

// again keeps why a deployment is to end that could not be ended, for the next look. It says
// no when that was in vain for too long.
func (f *follower) again(why *verdict.Problem) bool {
	f.wanted = why
	if f.endSince.IsZero() {
		f.endSince = f.clock.Now()
	}
	return f.clock.Now().Sub(f.endSince) <= blind
}
