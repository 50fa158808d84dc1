package deployment

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Analysis judges the new version while it has traffic. Look is called at every look at a deployment
// that advances, Finish when it has ended as SUCCESSFUL.
type Analysis interface {
	Look(ctx context.Context, at Traffic) Advice
	// Finish returns why the deployment was not proved, or nil.
	Finish() *verdict.Problem
}

// Traffic is where a deployment stands.
type Traffic struct {
	// Now is the time by AWS.
	Now time.Time
	// Stage is ECS's; Weight is the new version's share of the traffic in percent.
	Stage  string
	Weight float64
	// Bake is how long the deployment bakes at the end.
	Bake time.Duration
	// New and Old are the ARNs of the service revisions.
	New, Old string
	// First is true if this deployment created the service: there is no old version.
	First bool
}

// Advice is what an analysis wants.
type Advice struct {
	// Problem is why the deployment must be rolled back; nil if it need not.
	Problem *verdict.Problem
	// Hold is why a person must decide at the pause; nil if that is not needed.
	Hold *verdict.Problem
	// Go is true when the traffic may go on to the next stage.
	Go bool
	// Note is a message for the log; empty for none.
	Note string
}

// analyse asks the analysis; the advice holds until the next look.
func (f *follower) analyse(ctx context.Context, d *types.ServiceDeployment) {
	f.advice = Advice{}
	if f.Analysis == nil || f.state == rollingBack || !isAdvancing(d.Status) {
		return
	}
	at := Traffic{Now: f.clock.Server(), Stage: string(d.LifecycleStage), Weight: max(0, f.lastEvent.Weight)}
	if c := d.DeploymentConfiguration; c != nil {
		at.Bake = time.Duration(aws.ToInt32(c.BakeTimeInMinutes)) * time.Minute
	}
	if t := d.TargetServiceRevision; t != nil {
		at.New = aws.ToString(t.Arn)
	}
	if len(d.SourceServiceRevisions) > 0 {
		at.Old = aws.ToString(d.SourceServiceRevisions[0].Arn)
	}
	at.First = f.outcome.Created && at.Old == ""
	f.advice = f.Analysis.Look(ctx, at)
	if f.advice.Note != "" {
		f.log("%s", f.advice.Note)
	}
}

// holdForAnalysis handles a pause that the analysis answers. It returns false if a person must.
func (f *follower) holdForAnalysis(ctx context.Context, hook *Hook) bool {
	switch {
	case f.Analysis == nil || slices.Contains(f.PeoplesPauses, hook.Stage) || f.advice.Hold != nil:
		return false
	case f.advice.Go:
		f.answer(ctx, hook)
	}
	f.timerStart, f.unhealthyAt = f.clock.Now(), time.Time{} // it is measured as long as that takes
	return true
}

// answer lets the deployment go on. A call that fails is repeated at the next look.
func (f *follower) answer(ctx context.Context, hook *Hook) {
	if problem := f.mayWrite(ctx); problem != nil {
		f.log("the analysis would go on, and the pause cannot be answered: %s", problem.Cause)
		return
	}
	*f.ecs.calls++
	_, err := f.ecs.ContinueServiceDeployment(ctx, &ecs.ContinueServiceDeploymentInput{
		ServiceDeploymentArn: aws.String(f.outcome.Deployment), HookId: aws.String(hook.ID), Action: types.DeploymentLifecycleHookActionContinue,
	})
	if err != nil {
		f.log("the pause at %s could not be answered yet: %v", hook.Stage, err)
		return
	}
	f.Answered, f.followedSince = hook.ID, f.clock.Now()
	f.log("analysis: the traffic may go on from %s", hook.Stage)
}

// heldProblem adds what the analysis says to the pause.
func (f *follower) heldProblem(problem *verdict.Problem) *verdict.Problem {
	if hold := f.advice.Hold; hold != nil {
		problem.Cause = fmt.Sprintf("%s; %s: %s", problem.Cause, hold.Code.Name, hold.Cause)
	}
	return problem
}
