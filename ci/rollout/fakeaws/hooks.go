package fakeaws

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// pause is one stop of a deployment at a lifecycle stage, from the developer guide's
// "Pausing a deployment with lifecycle hooks".
type pause struct {
	types.DeploymentLifecycleHookDetail
}

// The points at which a deployment can stop here.
const (
	beforeTasks   = types.DeploymentLifecycleHookStagePreScaleUp
	afterTasks    = types.DeploymentLifecycleHookStagePostScaleUp
	beforeTraffic = types.DeploymentLifecycleHookStagePreProductionTrafficShift
	afterTraffic  = types.DeploymentLifecycleHookStagePostProductionTrafficShift
)

// paused says that the deployment waits at a PAUSE hook of this point.
func (e *ECS) paused(d *deployment, stage types.DeploymentLifecycleHookStage, now time.Time) bool {
	for _, hook := range d.config.LifecycleHooks {
		if hook.TargetType != types.DeploymentLifecycleHookTargetTypePause || !slices.Contains(hook.LifecycleStages, stage) {
			continue
		}
		p := d.pauses[stage]
		if p == nil {
			p = &pause{types.DeploymentLifecycleHookDetail{
				HookId: aws.String(fmt.Sprintf("hook-%s-%d", lastPart(d.arn), len(d.pauses)+1)), TargetType: hook.TargetType,
				Status: types.DeploymentLifecycleHookStatusAwaitingAction, TimeoutAction: types.DeploymentLifecycleHookActionRollback,
			}}
			timeout := 24 * time.Hour
			if t := hook.TimeoutConfiguration; t != nil {
				if t.TimeoutInMinutes != nil {
					timeout = time.Duration(*t.TimeoutInMinutes) * time.Minute
				}
				if t.Action != "" {
					p.TimeoutAction = t.Action
				}
			}
			p.ExpiresAt = aws.Time(now.Add(timeout))
			d.pauses[stage] = p
			d.pausing = stage
		}
		if p.Status != types.DeploymentLifecycleHookStatusAwaitingAction {
			d.pausing = ""
			return false
		}
		if now.Before(*p.ExpiresAt) {
			return true
		}
		p.Status = types.DeploymentLifecycleHookStatusTimedOut
		if p.TimeoutAction == types.DeploymentLifecycleHookActionRollback {
			e.undo(d, now, "A lifecycle hook timed out", types.ServiceDeploymentStatusRollbackRequested)
			return true
		}
	}
	return false
}

// ContinueServiceDeployment answers a hook that waits: go on, or roll back.
func (e *ECS) ContinueServiceDeployment(_ context.Context, in *ecs.ContinueServiceDeploymentInput, _ ...func(*ecs.Options)) (*ecs.ContinueServiceDeploymentOutput, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter("ContinueServiceDeployment"); err != nil {
		return nil, err
	}
	d := e.deployments[aws.ToString(in.ServiceDeploymentArn)]
	if d == nil {
		return nil, &types.ServiceDeploymentNotFoundException{Message: aws.String("no such deployment")}
	}
	for _, p := range d.pauses {
		if aws.ToString(p.HookId) != aws.ToString(in.HookId) || p.Status != types.DeploymentLifecycleHookStatusAwaitingAction {
			continue
		}
		p.Status = types.DeploymentLifecycleHookStatusSucceeded
		if in.Action == types.DeploymentLifecycleHookActionRollback {
			p.Status = types.DeploymentLifecycleHookStatusFailed
			e.undo(d, e.clock.Now(), "A lifecycle hook was answered with ROLLBACK", types.ServiceDeploymentStatusRollbackRequested)
		}
		return &ecs.ContinueServiceDeploymentOutput{ServiceDeploymentArn: in.ServiceDeploymentArn}, nil
	}
	return nil, &types.InvalidParameterException{Message: aws.String("no hook of this id awaits an action")}
}

// hookDetails are the stops so far.
func (d *deployment) hookDetails() []types.DeploymentLifecycleHookDetail {
	var all []types.DeploymentLifecycleHookDetail
	for _, stage := range []types.DeploymentLifecycleHookStage{beforeTasks, afterTasks, beforeTraffic, afterTraffic} {
		if p := d.pauses[stage]; p != nil {
			all = append(all, p.DeploymentLifecycleHookDetail)
		}
	}
	return all
}
