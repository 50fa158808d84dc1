package release

import (
	"cmp"
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Approve continues a deployment that waits for approval, and follows it to its end or its next pause.
func Approve(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result {
	return answer(ctx, clients, clock, in, types.DeploymentLifecycleHookActionContinue)
}

// Reject rolls back a deployment that waits for approval. It passes if the old version serves.
func Reject(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result {
	return answer(ctx, clients, clock, in, types.DeploymentLifecycleHookActionRollback)
}

func answer(ctx context.Context, clients Clients, clock clock.Clock, in Input, action types.DeploymentLifecycleHookAction) *Result {
	if in.Spec.Together() {
		answered := each(ctx, clients, clock, in, answering(action), NothingPaused)
		return settleTogether(ctx, clients, clock, in, answered, action == types.DeploymentLifecycleHookActionRollback)
	}
	o := newOperation(clients, clock, in)
	if problems := o.prepare(ctx, false); len(problems) > 0 {
		return o.finish(ctx, problems...)
	}
	if problems, done := (onlooker{o}).alongside(ctx, func(service *types.Service, d types.ServiceDeployment) ([]*verdict.Problem, bool) {
		hook := deployment.HookOf(&d)
		if hook == nil {
			return nil, false
		}
		o.log("%s waits for this answer and follows the deployment", o.holder.Name)
		if problem := (approver{o}).reply(ctx, d, hook, action); problem != nil {
			return []*verdict.Problem{problem}, true
		}
		if action == types.DeploymentLifecycleHookActionRollback {
			return onlooker{o}.followRollback(ctx, service, d), true
		}
		return onlooker{o}.lookOn(ctx, service, d, hook.ID), true
	}, func(ctx context.Context, service *types.Service, d types.ServiceDeployment) []*verdict.Problem {
		if action == types.DeploymentLifecycleHookActionRollback {
			return onlooker{o}.followRollback(ctx, service, d)
		}
		return onlooker{o}.followOn(ctx, d, "")
	}); done {
		return o.finish(ctx, problems...)
	}
	return o.finish(ctx, o.optimistic(ctx, func(ctx context.Context) []*verdict.Problem { return approver{o}.answerPause(ctx, action) })...)
}

func answering(action types.DeploymentLifecycleHookAction) operationOn {
	return func(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result {
		return answer(ctx, clients, clock, in, action)
	}
}

// reply answers a pause.
func (o approver) reply(ctx context.Context, d types.ServiceDeployment, hook *deployment.Hook,
	action types.DeploymentLifecycleHookAction) *verdict.Problem {
	if action == types.DeploymentLifecycleHookActionRollback {
		if problem := (rollbacker{o.observer}).refuseFirst(d); problem != nil {
			return problem
		}
	}
	o.log("answering the pause at %s with %s", hook.Stage, action)
	_, err := o.clients.ECS.ContinueServiceDeployment(ctx, &ecs.ContinueServiceDeploymentInput{
		ServiceDeploymentArn: d.ServiceDeploymentArn, HookId: aws.String(hook.ID), Action: action,
	})
	if err != nil && !o.answered(ctx, d, hook, action) {
		return deployment.ProblemOf(AnswerRefused, err)
	}
	o.result.Changed = true
	return nil
}

// answered reports whether a pause ended as requested. If the response to the call was lost, ECS refuses the repeated call
// because nothing waits any more.
func (o approver) answered(ctx context.Context, d types.ServiceDeployment, hook *deployment.Hook,
	action types.DeploymentLifecycleHookAction) bool {
	now, err := deploymentOf(ctx, o.clients.ECS, aws.ToString(d.ServiceDeploymentArn))
	if err != nil || now == nil || deployment.IsUndone(now.Status) != (action == types.DeploymentLifecycleHookActionRollback) {
		return false
	}
	waits := deployment.HookOf(now)
	return waits == nil || waits.ID != hook.ID
}

func (o approver) answerPause(ctx context.Context, action types.DeploymentLifecycleHookAction) []*verdict.Problem {
	service, running, problem := o.inFlightDeployments(ctx)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	for _, d := range running {
		hook := deployment.HookOf(&d)
		if hook == nil {
			continue
		}
		if err := o.fence(ctx); err != nil {
			return []*verdict.Problem{asProblem(err)}
		}
		if problem := o.reply(ctx, d, hook, action); problem != nil {
			return []*verdict.Problem{problem}
		}
		if action == types.DeploymentLifecycleHookActionRollback {
			return onlooker{o.observer}.followRollback(ctx, service, d)
		}
		return onlooker{o.observer}.followOn(ctx, d, hook.ID)
	}
	return []*verdict.Problem{verdict.Problemf(NothingPaused, "%d deployments of service %s are in flight, and none waits for approval",
		len(running), *o.plan.Service.ServiceName)}
}

// Wait follows the deployment in progress to its end, and judges it as Deploy would.
func Wait(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result {
	if in.Spec.Together() {
		return settleTogether(ctx, clients, clock, in, each(ctx, clients, clock, in, Wait, NothingInFlight), false)
	}
	o := newOperation(clients, clock, in)
	if problems := o.prepare(ctx, false); len(problems) > 0 {
		return o.finish(ctx, problems...)
	}
	if problem := (trials{o}).awaitTrial(ctx); problem != nil {
		return o.finish(ctx, problem)
	}
	if problems, done := (onlooker{o}).alongside(ctx, func(service *types.Service, d types.ServiceDeployment) ([]*verdict.Problem, bool) {
		o.log("%s holds the lock; this run only follows", o.holder.Name)
		return onlooker{o}.lookOn(ctx, service, d, ""), true
	}, func(ctx context.Context, _ *types.Service, d types.ServiceDeployment) []*verdict.Problem {
		return onlooker{o}.followOn(ctx, d, "")
	}); done {
		return o.finish(ctx, problems...)
	}
	return o.finish(ctx, o.optimistic(ctx, func(ctx context.Context) []*verdict.Problem {
		_, running, problem := o.inFlightDeployments(ctx)
		if problem != nil {
			return []*verdict.Problem{problem}
		}
		if len(running) == 0 {
			return []*verdict.Problem{verdict.Problemf(NothingInFlight, "no deployment of service %s is in flight", *o.plan.Service.ServiceName)}
		}
		return onlooker{o}.followOn(ctx, running[0], "")
	})...)
}

// followOn follows a deployment of which only ECS's description is known. answered is the ID of the pause that was just
// answered, or empty.
func (o onlooker) followOn(ctx context.Context, d types.ServiceDeployment, answered string) []*verdict.Problem {
	revision, problem := targetOf(ctx, o.operation, d)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	image := o.imageOf(*revision)
	input := o.in.Input
	input.Image = image.Written()
	if plan, problems := rollout.NewPlan(input); len(problems) == 0 {
		o.plan, o.result.Plan = plan, plan
	}
	if o.plan.Adopts() {
		if problems := o.adopt(ctx); len(problems) > 0 {
			return problems
		}
	}
	o.plan.Revision = aws.ToString(revision.TaskDefinition)
	state, problem := ensure.Look(ctx, o.ensureClients(), leaseClock{o.operation}, o.plan)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	o.state, state.Fence = state, o.fence
	request := o.request()
	request.Digest = cmp.Or(image.Digest, request.Digest)
	request.Answered = answered
	if open := o.past.Run; open != nil && open.TaskDefinition == o.plan.Revision {
		o.analyse(&request, open.Kind)
	}
	outcome := deployment.Follow(ctx, o.clients.ECS, o.clock, request, aws.ToString(d.ServiceDeploymentArn))
	open := o.past.Run
	ours := open != nil && open.TaskDefinition == o.plan.Revision
	if ours && outcome.Problem == nil && open.Kind == journal.Deploy && open.ConfigHash == o.plan.ConfigHash {
		deployer{o.observer}.settle(ctx) // the interrupted run did not do it
	}
	o.evidence(outcome)
	if ours {
		return o.record(ctx, *open, outcome)
	}
	return o.problems(outcome)
}
