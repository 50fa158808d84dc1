package fakeaws

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
)

// pause is one stop of a deployment at a lifecycle stage ("Pause hooks for Amazon ECS
// service deployments" in the developer guide): each has an id of its own, also where a
// canary or linear deployment comes to the same stage again.
type pause struct {
	types.DeploymentLifecycleHookDetail
	stage types.DeploymentLifecycleHookStage
	// visit counts how often the stage was come to before.
	visit int
	// answered is when it was answered.
	answered time.Time
}

// The points at which a deployment can stop here.
const (
	beforeTasks   = types.DeploymentLifecycleHookStagePreScaleUp
	afterTasks    = types.DeploymentLifecycleHookStagePostScaleUp
	beforeTraffic = types.DeploymentLifecycleHookStagePreProductionTrafficShift
	afterTraffic  = types.DeploymentLifecycleHookStagePostProductionTrafficShift
)

// paused reports whether the deployment waits at a PAUSE hook of this point.
func (e *ECS) paused(d *deployment, stage types.DeploymentLifecycleHookStage, visit int, now time.Time) bool {
	for _, hook := range d.config.LifecycleHooks {
		if hook.TargetType != types.DeploymentLifecycleHookTargetTypePause || !slices.Contains(hook.LifecycleStages, stage) {
			continue
		}
		p := d.pauseAt(stage, visit)
		if p == nil {
			p = d.pause(hook, stage, visit, now)
		}
		if p.Status != types.DeploymentLifecycleHookStatusAwaitingAction {
			d.pausing = ""
			return false
		}
		if now.Before(*p.ExpiresAt) {
			return true
		}
		p.Status = types.DeploymentLifecycleHookStatusTimedOut
		d.pausing = ""
		if p.TimeoutAction == types.DeploymentLifecycleHookActionRollback {
			e.undo(d, now, "A lifecycle hook timed out", types.ServiceDeploymentStatusRollbackRequested)
			return true
		}
	}
	return false
}

func (d *deployment) pauseAt(stage types.DeploymentLifecycleHookStage, visit int) *pause {
	for _, p := range d.pauses {
		if p.stage == stage && p.visit == visit {
			return p
		}
	}
	return nil
}

// pause begins a stop. Without a timeout it lasts a day.
func (d *deployment) pause(hook types.DeploymentLifecycleHook, stage types.DeploymentLifecycleHookStage, visit int, now time.Time) *pause {
	p := &pause{stage: stage, visit: visit, DeploymentLifecycleHookDetail: types.DeploymentLifecycleHookDetail{
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
	d.pauses, d.pausing = append(d.pauses, p), stage
	return p
}

// ContinueServiceDeployment answers a hook that waits: go on, or roll back.
func (e *ECS) ContinueServiceDeployment(_ context.Context, in *ecs.ContinueServiceDeploymentInput,
	_ ...func(*ecs.Options)) (*ecs.ContinueServiceDeploymentOutput, error) {
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
		p.Status, p.answered, d.pausing = types.DeploymentLifecycleHookStatusSucceeded, e.clock.Now(), ""
		if in.Action == types.DeploymentLifecycleHookActionRollback {
			p.Status = types.DeploymentLifecycleHookStatusFailed
			e.undo(d, e.clock.Now(), "A lifecycle hook was answered with ROLLBACK", types.ServiceDeploymentStatusRollbackRequested)
		}
		return stamped(&ecs.ContinueServiceDeploymentOutput{ServiceDeploymentArn: in.ServiceDeploymentArn}, e.clock.Now()), nil
	}
	return nil, &types.InvalidParameterException{Message: aws.String("no hook of this id awaits an action")}
}

// hookDetails are the stops so far. Who reads behind sees one that was just answered as
// it was.
func (d *deployment) hookDetails(now time.Time, lag time.Duration) []types.DeploymentLifecycleHookDetail {
	var all []types.DeploymentLifecycleHookDetail
	for _, p := range d.pauses {
		detail := p.DeploymentLifecycleHookDetail
		if !p.answered.IsZero() && now.Sub(p.answered) < lag {
			detail.Status = types.DeploymentLifecycleHookStatusAwaitingAction
		}
		all = append(all, detail)
	}
	return all
}
