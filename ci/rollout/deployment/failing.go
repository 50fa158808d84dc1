package deployment

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// badProbes is how many failed probes in a row end a deployment.
const badProbes = 3

// failedEnough returns why failed tasks must end the deployment; nil while they need not.
func (o *observer) failedEnough(ctx context.Context, d *types.ServiceDeployment) *verdict.Problem {
	switch {
	case o.failedTasks >= o.MaxFailures:
		return verdict.Problemf(RolledBack, "%d tasks of the new version failed", o.failedTasks)
	case o.allFailedAtStart(ctx, d):
		return verdict.Problemf(RolledBack, "%d tasks of the new version failed, and they were all that were started", o.failedTasks)
	case o.noRoom == "" && min(o.unlaunched, o.unlaunchedBefore) >= o.MaxFailures && o.clock.Now().Sub(o.timerStart) > appears:
		// Two looks, so that a lack of capacity is recognised; and not in the first minute, in
		// which ECS may not know a new role.
		return verdict.Problemf(RolledBack, "ECS could not launch %d tasks of the new version", o.unlaunched)
	}
	return nil
}

// allFailedAtStart reports whether no task of the new version has lived longer than those that failed.
// ECS launches all desired tasks at once and replaces each that fails, so a version that cannot start
// would use up two rounds before three failures are counted. Two failures are enough if no task
// launched before the last of them is alive. If one is, the cause may lie outside the version, and
// MaxFailures decides.
func (o *observer) allFailedAtStart(ctx context.Context, d *types.ServiceDeployment) bool {
	if o.StartFailures < 0 || o.failedTasks < o.StartFailures || o.judgedFailed == o.failedTasks || !isStarting(d.LifecycleStage) {
		return false
	}
	live, err := o.ecs.tasks(ctx, o.Cluster, o.Service, types.DesiredStatusRunning, nil)
	if err != nil {
		o.log("running tasks could not be read: %v", err)
		return false
	}
	o.judgedFailed = o.failedTasks // only another failure changes the answer
	for _, t := range live {
		if aws.ToString(t.TaskDefinitionArn) == o.TaskDefinition && !aws.ToTime(t.CreatedAt).After(o.newestFailed) {
			return false
		}
	}
	return true
}

// isStarting reports whether tasks of the new version may not have been healthy yet. A rolling
// deployment may have no stage.
func isStarting(stage types.ServiceDeploymentLifecycleStage) bool {
	switch stage {
	case "", types.ServiceDeploymentLifecycleStageReconcileService, types.ServiceDeploymentLifecycleStagePreScaleUp,
		types.ServiceDeploymentLifecycleStageScaleUp:
		return true
	default:
		return false
	}
}

// probeFailed probes the service while the new version has traffic, and reports whether too many
// probes failed in a row; alarms see the same about a minute later. A rolling deployment has no
// traffic stage: it is probed once all tasks are replaced, while ECS watches the alarms.
func (o *observer) probeFailed(ctx context.Context, d *types.ServiceDeployment) bool {
	switch d.LifecycleStage {
	case types.ServiceDeploymentLifecycleStageBakeTime:
	case types.ServiceDeploymentLifecycleStageProductionTrafficShift:
		if o.lastEvent.Weight <= 0 {
			return false
		}
	default:
		if !onlyNewTasksRun(d) {
			return false
		}
	}
	if o.Probe == nil {
		return false
	}
	if err := o.Probe(ctx); err != nil {
		o.probeFails++
		o.probeErr = err
		o.log("probe failed: %v", err)
	} else {
		o.probeFails = 0
	}
	return o.probeFails >= badProbes
}

// onlyNewTasksRun reports whether all tasks of a rolling deployment are new. While an old one runs,
// a failed probe may be its fault. ECS stops the last old task when all new ones are healthy, unless
// MinimumHealthyPercent is below 100.
func onlyNewTasksRun(d *types.ServiceDeployment) bool {
	c, target := d.DeploymentConfiguration, d.TargetServiceRevision
	if c == nil || c.Strategy != types.DeploymentStrategyRolling || aws.ToInt32(c.MinimumHealthyPercent) < 100 ||
		len(d.SourceServiceRevisions) == 0 {
		return false
	}
	for _, old := range d.SourceServiceRevisions {
		if old.RunningTaskCount > 0 {
			return false
		}
	}
	return target != nil && target.RequestedTaskCount > 0 && target.RunningTaskCount >= target.RequestedTaskCount
}
