package release

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Approve lets a deployment that stands at a pause go on, and follows it to its end or to
// the next pause.
func Approve(ctx context.Context, clients Clients, clock Clock, in Input) *Result {
	return answer(ctx, clients, clock, in, types.DeploymentLifecycleHookActionContinue)
}

// Reject rolls a deployment back that stands at a pause. It passes when the old version serves.
func Reject(ctx context.Context, clients Clients, clock Clock, in Input) *Result {
	return answer(ctx, clients, clock, in, types.DeploymentLifecycleHookActionRollback)
}

func answer(ctx context.Context, clients Clients, clock Clock, in Input, action types.DeploymentLifecycleHookAction) *Result {
	o := begin(ctx, clients, clock, in)
	if problems := o.prepare(false); len(problems) > 0 {
		return o.done(problems...)
	}
	if problems, done := o.beside(func(service *types.Service, d types.ServiceDeployment) ([]*verdict.Problem, bool) {
		hook := deployment.HookOf(&d)
		if hook == nil {
			return nil, false
		}
		o.say("%s waits at this pause, and follows the deployment on", o.holder.Name)
		if problem := o.reply(d, hook, action); problem != nil {
			return []*verdict.Problem{problem}, true
		}
		if action == types.DeploymentLifecycleHookActionRollback {
			return o.undone(service, d), true
		}
		return o.lookOn(service, d, hook.ID), true
	}, func(service *types.Service, d types.ServiceDeployment) []*verdict.Problem {
		if action == types.DeploymentLifecycleHookActionRollback {
			return o.undone(service, d)
		}
		return o.followOn(d, "")
	}); done {
		return o.done(problems...)
	}
	return o.done(o.optimistic(func() []*verdict.Problem { return o.answer(action) })...)
}

// reply answers a pause.
func (o *operation) reply(d types.ServiceDeployment, hook *deployment.Hook, action types.DeploymentLifecycleHookAction) *verdict.Problem {
	if action == types.DeploymentLifecycleHookActionRollback {
		if problem := o.firstOfAll(d); problem != nil {
			return problem
		}
	}
	o.say("answering the pause at %s with %s", hook.Stage, action)
	if _, err := o.clients.ECS.ContinueServiceDeployment(o.ctx, &ecs.ContinueServiceDeploymentInput{
		ServiceDeploymentArn: d.ServiceDeploymentArn, HookId: aws.String(hook.ID), Action: action,
	}); err != nil {
		return verdict.Problemf(AnswerRefused, "%v", err)
	}
	o.result.Changed = true
	return nil
}

func (o *operation) answer(action types.DeploymentLifecycleHookAction) []*verdict.Problem {
	service, running, problem := o.underWay()
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	for _, d := range running {
		hook := deployment.HookOf(&d)
		if hook == nil {
			continue
		}
		if err := o.fence(o.ctx); err != nil {
			return []*verdict.Problem{asProblem(err)}
		}
		if problem := o.reply(d, hook, action); problem != nil {
			return []*verdict.Problem{problem}
		}
		if action == types.DeploymentLifecycleHookActionRollback {
			return o.undone(service, d)
		}
		return o.followOn(d, hook.ID)
	}
	return []*verdict.Problem{verdict.Problemf(NothingPaused, "%d deployments of service %s are under way, none is paused", len(running), *o.plan.Service.ServiceName)}
}

// Wait follows the deployment under way to its end, and judges it as Deploy would.
func Wait(ctx context.Context, clients Clients, clock Clock, in Input) *Result {
	o := begin(ctx, clients, clock, in)
	if problems := o.prepare(false); len(problems) > 0 {
		return o.done(problems...)
	}
	if problem := o.awaitTrial(); problem != nil {
		return o.done(problem)
	}
	if problems, done := o.beside(func(service *types.Service, d types.ServiceDeployment) ([]*verdict.Problem, bool) {
		o.say("%s holds the lock; this run only looks on", o.holder.Name)
		return o.lookOn(service, d, ""), true
	}, func(_ *types.Service, d types.ServiceDeployment) []*verdict.Problem { return o.followOn(d, "") }); done {
		return o.done(problems...)
	}
	return o.done(o.optimistic(func() []*verdict.Problem {
		_, running, problem := o.underWay()
		if problem != nil {
			return []*verdict.Problem{problem}
		}
		if len(running) == 0 {
			return []*verdict.Problem{verdict.Problemf(NothingInFlight, "no deployment of service %s is under way", *o.plan.Service.ServiceName)}
		}
		return o.followOn(running[0], "")
	})...)
}

// followOn follows a deployment towards its target, knowing of it what ECS knows. answered
// is the pause that was just answered; empty for none.
func (o *operation) followOn(d types.ServiceDeployment, answered string) []*verdict.Problem {
	arn := ""
	if d.TargetServiceRevision != nil {
		arn = aws.ToString(d.TargetServiceRevision.Arn)
	}
	out, err := o.clients.ECS.DescribeServiceRevisions(o.ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: []string{arn}})
	if err != nil || len(out.ServiceRevisions) == 0 {
		return []*verdict.Problem{verdict.Problemf(deployment.AWSFailed, "describe revision %s: %v", arn, err)}
	}
	revision := out.ServiceRevisions[0]
	image := imageOf(revision)
	input := o.in.Input
	input.Image = image
	if plan, problems := rollout.NewPlan(input); len(problems) == 0 {
		o.plan, o.result.Plan = plan, plan
	}
	o.plan.Revision = aws.ToString(revision.TaskDefinition)
	state, problem := ensure.Look(o.ctx, o.ensureClients(), beating{o}, o.plan)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	o.state, state.Fence = state, o.fence
	request := o.request()
	if ref, err := imageref.Parse(image); err == nil {
		request.Digest = ref.Digest
	}
	request.Answered = answered
	outcome := deployment.Follow(o.ctx, o.clients.ECS, o.clock, request, aws.ToString(d.ServiceDeploymentArn))
	open := o.past.Run
	ours := open != nil && open.TaskDefinition == o.plan.Revision
	if ours && outcome.Problem == nil && open.Kind == journal.Deploy && open.ConfigHash == o.plan.ConfigHash {
		outcome.Problem = o.state.After(o.ctx) // the run that deployed was not there to do it
	}
	o.evidence(outcome)
	if ours {
		return o.record(*open, outcome)
	}
	return o.problems(outcome)
}
