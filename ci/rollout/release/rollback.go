package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Rollback restores the last good release. If a deployment is in progress it is stopped, and ECS rolls it back. Otherwise the
// task definition of the last good release is deployed with its target group settings and followed like any deployment.
func Rollback(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result {
	if in.Spec.Together() {
		return rollBackTogether(ctx, clients, clock, in)
	}
	o := newOperation(clients, clock, in)
	if problems := o.prepare(ctx, false); len(problems) > 0 {
		return o.finish(ctx, problems...)
	}
	if problems, done := (trialRollback{o}).abortTrial(ctx); done {
		return o.finish(ctx, problems...)
	}
	// A deployment that another run follows can be stopped: that run notices and reports it.
	if problems, done := (onlooker{o}).alongside(ctx, func(service *types.Service, d types.ServiceDeployment) ([]*verdict.Problem, bool) {
		if open := o.past.Run; open != nil && open.Kind == journal.Rollback {
			return nil, false // stopping that one would bring the removed version back
		}
		if deployment.IsUndone(d.Status) {
			return onlooker{o}.followRollback(ctx, service, d), true
		}
		return rollbacker{o}.stopDeployment(ctx, service, d), true
	}, onlooker{o}.followRollback); done {
		backward(problems...)
		return o.finish(ctx, problems...)
	}
	problems := o.optimistic(ctx, rollbacker{o}.rollback)
	backward(problems...)
	return o.finish(ctx, problems...)
}

func (o rollbacker) rollback(ctx context.Context) []*verdict.Problem {
	service, running, problem := o.inFlightDeployments(ctx)
	if problem == nil || problem.Code.Name == deployment.TargetMissing.Name {
		if len(running) == 0 {
			if problems, done := (trialRollback{o.observer}).interruptedTrial(ctx, service); done {
				return problems
			}
		}
	}
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	current := aws.ToString(service.TaskDefinition)
	again, problem := o.interruptedRollback(ctx, current, running)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	if again {
		open := *o.past.Run
		o.stage().Warn(Resumed, "%s of %s by %s, started %s", open.Kind, open.Image, open.By, stamp(open.Started))
		o.log("resuming the interrupted rollback to %s", open.Image)
		return o.putBack(ctx, open)
	}
	for _, d := range running {
		if !deployment.IsUndone(d.Status) {
			return o.stopDeployment(ctx, service, d)
		}
	}
	if len(running) > 0 {
		return onlooker{o.observer}.followRollback(ctx, service, running[0])
	}
	good, problem := o.lastGood(ctx, current)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	return o.putBack(ctx, *good)
}

// interruptedRollback reports whether our interrupted rollback is in progress or finished. Rolling that back would restore
// the version that was to be removed.
func (o rollbacker) interruptedRollback(ctx context.Context, current string, running []types.ServiceDeployment) (bool, *verdict.Problem) {
	open := o.past.Run
	if open == nil || open.Kind != journal.Rollback || open.TaskDefinition == "" {
		return false, nil
	}
	if len(running) == 0 {
		return current == open.TaskDefinition, nil
	}
	definition, problem := definitionOf(ctx, o.operation, running[0])
	return definition == open.TaskDefinition && !deployment.IsUndone(running[0].Status), problem
}

// stopDeployment asks ECS to roll a deployment back, and follows the rollback.
func (o rollbacker) stopDeployment(ctx context.Context, service *types.Service, d types.ServiceDeployment) []*verdict.Problem {
	arn := aws.ToString(d.ServiceDeploymentArn)
	if problem := o.refuseFirst(d); problem != nil {
		return []*verdict.Problem{problem}
	}
	if o.holder == nil {
		if err := o.fence(ctx); err != nil {
			return []*verdict.Problem{asProblem(err)}
		}
	}
	o.log("stopping deployment %s and rolling it back", arn[strings.LastIndexByte(arn, '/')+1:])
	_, err := o.clients.ECS.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{
		ServiceDeploymentArn: aws.String(arn), StopType: types.StopServiceDeploymentStopTypeRollback,
	})
	if err != nil {
		return []*verdict.Problem{deployment.ProblemOf(StopRefused, fmt.Errorf("stop deployment %s: %w", arn, err))}
	}
	return onlooker{o.observer}.followRollback(ctx, service, d)
}

// refuseFirst is the problem of rolling back the first deployment of a service; nil for later ones.
func (o rollbacker) refuseFirst(d types.ServiceDeployment) *verdict.Problem {
	if len(d.SourceServiceRevisions) > 0 {
		return nil
	}
	return verdict.Problemf(deployment.NoRollbackTarget,
		"the deployment is the first of service %s, so nothing was changed; destroy deletes the service", *o.plan.Service.ServiceName)
}

func asProblem(err error) *verdict.Problem {
	var known *verdict.Problem
	if errors.As(err, &known) {
		return known
	}
	return journal.Problem(err)
}

// followRollback follows a deployment that is being rolled back: ROLLED_BACK is success here.
func (o onlooker) followRollback(ctx context.Context, service *types.Service, d types.ServiceDeployment) []*verdict.Problem {
	o.result.Changed = true
	request := o.followRequest(service)
	if definition, problem := definitionOf(ctx, o.operation, d); problem == nil {
		request.TaskDefinition = definition // its tasks may have failed
	}
	outcome := deployment.Follow(ctx, o.clients.ECS, o.clock, request, aws.ToString(d.ServiceDeploymentArn))
	if outcome.Problem != nil && outcome.Problem.Code == deployment.RolledBack {
		outcome.Problem = nil
	} else if outcome.Problem == nil {
		outcome.Problem = verdict.Problemf(StopRefused,
			"the deployment ended as SUCCESSFUL before it could be rolled back; roll back again to put the last release back")
	}
	if outcome.Problem == nil && o.holder == nil {
		outcome.Problem = o.restoreChecks(ctx)
	}
	o.result.Outcome = outcome
	if o.stage().Deployment = o.described(outcome); o.stage().Deployment != nil && outcome.Problem == nil {
		o.stage().Deployment.Outcome = verdict.DeploymentRolledBack
	}
	o.stage().Gate("deployment", "rolled back", "ROLLBACK_SUCCESSFUL", outcome.Problem == nil)
	if open := o.past.Run; o.holder == nil && open != nil && (outcome.Problem == nil || !unfinished(outcome.Problem.Code)) {
		run := *open
		run.Verdict, run.Code, run.Cause = string(verdict.Fail), deployment.RolledBack.Name, "it was rolled back on request"
		if err := o.journal.End(ctx, run); err != nil {
			o.stage().Warn(NotRecorded, "%v", err)
		}
	}
	return o.problems(outcome)
}

// followRequest is a request to follow another run's deployment without judging it.
func (o onlooker) followRequest(service *types.Service) deployment.Request {
	const never = 30 * 24 * time.Hour // longer than ECS allows a deployment to last
	request := deployment.Request{
		Cluster: *o.plan.Service.Cluster, Service: *o.plan.Service.ServiceName, TaskDefinition: aws.ToString(service.TaskDefinition),
		Container: o.plan.Container(), OnTimeout: deployment.Leave, AwaitApproval: true,
		MaxFailures: 1 << 30, StartFailures: -1, HealthPatience: never, CapacityPatience: never,
		Deadline: o.plan.Estimate.Deadline, Targets: o.targets, Logs: o.logs, Fence: o.fence, Look: o.fence,
		Progress: func(e deployment.Event) { o.log("%s", line(e)) },
	}
	if holder := o.holder; holder != nil {
		request.Look = nil
		request.Fence = func(context.Context) error {
			return verdict.Problemf(journal.Locked, "%s holds the lock until %s", holder.Name, stamp(holder.Until))
		}
	}
	return request
}

// lastGood returns the release to restore, from the journal or else from ECS.
func (o rollbacker) lastGood(ctx context.Context, current string) (*journal.Run, *verdict.Problem) {
	if good := o.past.LastGood(current); good != nil {
		return good, nil
	}
	return o.lastSuccessful(ctx, current)
}

// lastSuccessful returns the newest successful deployment in ECS with another task definition than the
// current one.
func (o rollbacker) lastSuccessful(ctx context.Context, current string) (*journal.Run, *verdict.Problem) {
	left := o.past.Left()
	return o.successful(ctx, func(definition string) bool { return definition != current && !left[definition] })
}

// successful returns the newest successful deployment in ECS whose task definition is wanted.
func (o rollbacker) successful(ctx context.Context, wanted func(definition string) bool) (*journal.Run, *verdict.Problem) {
	name := *o.plan.Service.ServiceName
	all, err := deployment.List(ctx, o.clients.ECS, *o.plan.Service.Cluster, name, types.ServiceDeploymentStatusSuccessful)
	if err != nil {
		return nil, deployment.ProblemOf(deployment.AWSFailed, err)
	}
	for _, brief := range all {
		revision, err := revisionOf(ctx, o.clients.ECS, aws.ToString(brief.TargetServiceRevisionArn))
		if err != nil {
			return nil, deployment.ProblemOf(deployment.AWSFailed, err)
		}
		if revision == nil {
			continue
		}
		if definition := aws.ToString(revision.TaskDefinition); wanted(definition) {
			return &journal.Run{TaskDefinition: definition, Image: o.imageOf(*revision).Written()}, nil
		}
	}
	return nil, verdict.Problemf(NoRelease, "neither the journal nor ECS knows an earlier release of service %s", name)
}

// imageOf returns the image of a revision's application. If it is named by a tag, the digest is the one that ECS resolved;
// the result is the zero value if ECS does not report it.
func (o *operation) imageOf(r types.ServiceRevision) imageref.Reference {
	for _, image := range r.ContainerImages {
		if aws.ToString(image.ContainerName) != o.plan.Container() {
			continue
		}
		ref, err := imageref.Parse(aws.ToString(image.Image))
		if err == nil && ref.Digest == "" && image.ImageDigest != nil {
			return imageref.Reference{Repository: ref.Repository, Digest: *image.ImageDigest}
		}
		return ref
	}
	return imageref.Reference{}
}

// putBack deploys an earlier release with its settings.
func (o rollbacker) putBack(ctx context.Context, good journal.Run) []*verdict.Problem {
	input := o.in.Input
	input.Image = good.Image
	plan, problems := rollout.NewPlan(input)
	if len(problems) > 0 {
		return problems
	}
	plan.Revision = good.TaskDefinition
	if plan.Adopts() {
		o.plan = plan
		if problems := o.adopt(ctx); len(problems) > 0 {
			return problems
		}
	} else if s := good.Settings; s != nil {
		plan.LoadBalancer.TargetGroups, plan.LoadBalancer.TargetGroupAttributes = s.TargetGroups, s.Attributes
		if plan.Balanced() {
			plan.Service.HealthCheckGracePeriodSeconds = aws.Int32(s.GraceSeconds)
		}
	} else {
		o.stage().Warn(NoSettings, "%s", good.TaskDefinition)
	}
	o.plan, o.result.Plan = plan, plan
	if problems := o.compare(ctx); len(problems) > 0 {
		return problems
	}
	kinds := []string{ensure.TaskDefinitionKind} // it may have been deregistered
	if good.Settings != nil {
		kinds = append(kinds, "target group")
	}
	o.state.Restrict(kinds...)
	if problem := o.reachable(ctx); problem != nil {
		return []*verdict.Problem{problem}
	}
	o.log("putting back %s (%s)", good.TaskDefinition, good.Image)
	o.stage().Add("release", good.Image)
	update := ecs.UpdateServiceInput{TaskDefinition: aws.String(good.TaskDefinition)}
	if service := o.state.Service(); good.Settings != nil && service != nil &&
		aws.ToInt32(service.HealthCheckGracePeriodSeconds) != good.Settings.GraceSeconds {
		update.HealthCheckGracePeriodSeconds = aws.Int32(good.Settings.GraceSeconds)
	}
	run := journal.Run{Kind: journal.Rollback, Image: good.Image, ConfigHash: good.ConfigHash, Commit: good.Commit,
		Started: o.clock.Server().UTC(), Settings: good.Settings}
	return deployer{o.observer}.carryOut(ctx, run, deployment.Request{Update: update})
}
