package release

import (
	"context"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// record writes the end of a run to the journal, unless its deployment continues.
func (o *operation) record(ctx context.Context, run journal.Run, outcome *deployment.Outcome) []*verdict.Problem {
	problem := outcome.Problem
	if run.Kind == journal.Rollback {
		backward(problem)
	}
	if problem != nil && unfinished(problem.Code) {
		return []*verdict.Problem{problem} // the record stays, so that the next run finds the deployment
	}
	run.Verdict = journal.Passed
	if problem != nil {
		if outcome.Undone || outcome.Deployment == "" && !outcome.Unchanged && problem.Code.Name != deployment.Busy.Name {
			if unrestored := o.restoreChecks(ctx); unrestored != nil {
				problem.Cause += "; and " + unrestored.Cause
			}
		}
		run.Verdict, run.Code, run.Cause = string(problem.Code.Outcome), problem.Code.Name, problem.Cause
	}
	if ctx.Err() != nil {
		// The deployment ended before the run was interrupted: record that.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
	}
	var err error
	if problem == nil && run.Kind == journal.Deploy && o.member == nil { // together with others, it counts once all of them serve
		err = o.journal.MarkRan(ctx, o.plan.Image.Written(), o.digest())
	}
	if err == nil {
		err = o.journal.End(ctx, run)
	}
	if err != nil {
		o.stage().Warn(NotRecorded, "%v", err)
	}
	if problem == nil {
		return nil
	}
	return []*verdict.Problem{problem}
}

// restoreChecks gives the target group of a rolling service the health check of the release that serves. An interrupted run
// changed the health check for its own version, and the intent to change it back was lost with that run.
func (o *operation) restoreChecks(ctx context.Context) *verdict.Problem {
	serves := o.past.Last()
	if o.past.Run == nil || serves == nil || serves.Settings == nil || o.plan.Adopts() || !o.plan.Balanced() ||
		o.plan.Service.LoadBalancers[0].AdvancedConfiguration != nil { // each version has its own group
		return nil
	}
	plan, balancer := *o.plan, *o.plan.LoadBalancer
	plan.LoadBalancer = &balancer
	balancer.TargetGroups, balancer.TargetGroupAttributes = serves.Settings.TargetGroups, serves.Settings.Attributes
	state, problem := ensure.Look(ctx, o.ensureClients(), leaseClock{o}, &plan)
	if problem != nil {
		return problem
	}
	state.Fence = o.fence
	state.Restrict("target group")
	return state.After(ctx)
}

// backward adapts problems to a rollback: the "new version" of its deployment is the earlier release, so a remedy must not
// propose to deploy the rejected version again.
func backward(problems ...*verdict.Problem) {
	for _, p := range problems {
		if p == nil {
			continue
		}
		p.Cause = strings.NewReplacer("the old version serves", "the version that was to be left still serves", "the new version",
			"the earlier release").Replace(p.Cause)
		switch p.Code.Name {
		case deployment.Interrupted.Name, deployment.Lost.Name, deployment.NotStarted.Name:
			p.Next = "Run rollback again: it finds its deployment and follows it, and goes back no further"
		case deployment.AuthExpired.Name:
			p.Next = "Run rollback again with fresh credentials: it finds its deployment and follows it, and goes back no further"
		case deployment.RolledBack.Name, deployment.Stuck.Name:
			p.Next = "Read why the tasks of the earlier release failed, and deploy a digest that runs"
		}
	}
}

// unfinished reports whether a code ends a run whose deployment continues.
func unfinished(code verdict.Code) bool {
	switch code.Name {
	case deployment.Interrupted.Name, deployment.Lost.Name, deployment.IndexUnreadable.Name, deployment.DigestUnknown.Name,
		deployment.AuthExpired.Name, deployment.AwaitingApproval.Name,
		deployment.LockLost.Name,
		deployment.AWSFailed.Name:
		return true
	default:
		return false
	}
}
