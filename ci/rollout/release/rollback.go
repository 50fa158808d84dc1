package release

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Rollback puts the last good release back: a deployment under way is stopped and rolled
// back by ECS; without one, the task definition of the last good release is deployed with
// the target groups' settings it had, and followed like any deployment.
func Rollback(ctx context.Context, clients Clients, clock Clock, in Input) *Result {
	o := begin(ctx, clients, clock, in)
	if problems := o.prepare(false); len(problems) > 0 {
		return o.done(problems...)
	}
	if problems, done := o.abortTrial(); done {
		return o.done(problems...)
	}
	// What another run deploys at this moment can be stopped: that run sees it, and says so.
	if problems, done := o.beside(func(service *types.Service, d types.ServiceDeployment) ([]*verdict.Problem, bool) {
		if open := o.past.Run; open != nil && open.Kind == journal.Rollback {
			return nil, false // to stop that would put back what was to go
		}
		if undoing(d.Status) {
			return o.undone(service, d), true
		}
		return o.stop(service, d), true
	}, o.undone); done {
		return o.done(problems...)
	}
	return o.done(o.optimistic(o.rollback)...)
}

func (o *operation) rollback() []*verdict.Problem {
	service, running, problem := o.underWay()
	if problem == nil || problem.Code.Name == deployment.TargetMissing.Name {
		if len(running) == 0 {
			if problems, done := o.leftTrial(service); done {
				return problems
			}
		}
	}
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	current := aws.ToString(service.TaskDefinition)
	again, problem := o.lostRollback(current, running)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	if again {
		open := *o.past.Run
		o.stage().Warn(Resumed, "%s of %s by %s, begun %s", open.Kind, open.Image, open.By, stamp(open.Started))
		o.say("going on with the rollback to %s that ended without a word", open.Image)
		return o.putBack(open)
	}
	for _, d := range running {
		if !undoing(d.Status) {
			return o.stop(service, d)
		}
	}
	if len(running) > 0 {
		return o.undone(service, running[0])
	}
	good, problem := o.lastGood(current)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	return o.putBack(*good)
}

// lostRollback says that a rollback of ours, whose run was lost, is what is under way or what
// was done: to roll that back would put back the version that was to go.
func (o *operation) lostRollback(current string, running []types.ServiceDeployment) (bool, *verdict.Problem) {
	open := o.past.Run
	if open == nil || open.Kind != journal.Rollback || open.TaskDefinition == "" {
		return false, nil
	}
	if len(running) == 0 {
		return current == open.TaskDefinition, nil
	}
	definition, problem := o.definitionOf(running[0])
	return definition == open.TaskDefinition && !undoing(running[0].Status), problem
}

// undoing says that a deployment is on its way back.
func undoing(status types.ServiceDeploymentStatus) bool {
	return status != types.ServiceDeploymentStatusPending && status != types.ServiceDeploymentStatusInProgress
}

// definitionOf is the task definition that a deployment goes to; empty when it says none.
func (o *operation) definitionOf(d types.ServiceDeployment) (string, *verdict.Problem) {
	revision, problem := o.target(d)
	if revision == nil {
		return "", problem
	}
	return aws.ToString(revision.TaskDefinition), nil
}

// target is the revision that a deployment goes to; nil when it says none.
func (o *operation) target(d types.ServiceDeployment) (*types.ServiceRevision, *verdict.Problem) {
	if d.TargetServiceRevision == nil {
		return nil, nil
	}
	return o.revision(aws.ToString(d.TargetServiceRevision.Arn))
}

// revision is nil for one that ECS does not know.
func (o *operation) revision(arn string) (*types.ServiceRevision, *verdict.Problem) {
	out, err := o.clients.ECS.DescribeServiceRevisions(o.ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: []string{arn}})
	if err != nil {
		return nil, verdict.Problemf(deployment.AWSFailed, "describe revision %s: %v", arn, err)
	}
	for _, r := range out.ServiceRevisions {
		return &r, nil
	}
	return nil, nil
}

// stop asks ECS to roll a deployment back, and follows it there.
func (o *operation) stop(service *types.Service, d types.ServiceDeployment) []*verdict.Problem {
	arn := aws.ToString(d.ServiceDeploymentArn)
	if problem := o.firstOfAll(d); problem != nil {
		return []*verdict.Problem{problem}
	}
	if o.holder == nil {
		if err := o.fence(o.ctx); err != nil {
			return []*verdict.Problem{asProblem(err)}
		}
	}
	o.say("stopping deployment %s and rolling it back", arn[strings.LastIndexByte(arn, '/')+1:])
	_, err := o.clients.ECS.StopServiceDeployment(o.ctx, &ecs.StopServiceDeploymentInput{
		ServiceDeploymentArn: aws.String(arn), StopType: types.StopServiceDeploymentStopTypeRollback,
	})
	if err != nil {
		return []*verdict.Problem{verdict.Problemf(StopRefused, "stop deployment %s: %v", arn, err)}
	}
	return o.undone(service, d)
}

// firstOfAll is the problem of undoing a deployment before which nothing ran.
func (o *operation) firstOfAll(d types.ServiceDeployment) *verdict.Problem {
	if len(d.SourceServiceRevisions) > 0 {
		return nil
	}
	return verdict.Problemf(deployment.NoRollbackTarget, "the deployment is the first of service %s, so nothing was changed; destroy deletes the service", *o.plan.Service.ServiceName)
}

func asProblem(err error) *verdict.Problem {
	var known *verdict.Problem
	if errors.As(err, &known) {
		return known
	}
	return verdict.Problemf(journal.JournalFailed, "%v", err)
}

// undone follows a deployment whose rollback is what is wanted: ROLLED_BACK is the good end.
func (o *operation) undone(service *types.Service, d types.ServiceDeployment) []*verdict.Problem {
	o.result.Changed = true
	request := o.bare(service)
	if definition, problem := o.definitionOf(d); problem == nil && definition != "" {
		request.TaskDefinition = definition // the one whose tasks may have failed
	}
	outcome := deployment.Follow(o.ctx, o.clients.ECS, o.clock, request, aws.ToString(d.ServiceDeploymentArn))
	if outcome.Problem != nil && outcome.Problem.Code == deployment.RolledBack {
		outcome.Problem = nil
	} else if outcome.Problem == nil {
		outcome.Problem = verdict.Problemf(StopRefused, "the deployment ended as SUCCESSFUL before it could be rolled back; roll back again to put the last release back")
	}
	o.result.Outcome = outcome
	o.stage().Gate("deployment", "rolled back", "ROLLBACK_SUCCESSFUL", outcome.Problem == nil)
	if open := o.past.Run; o.holder == nil && open != nil && (outcome.Problem == nil || !unfinished(outcome.Problem.Code)) {
		run := *open
		run.Verdict, run.Code, run.Cause = string(verdict.Fail), deployment.RolledBack.Name, "it was rolled back on request"
		if err := o.journal.End(o.ctx, run); err != nil {
			o.stage().Warn(NotRecorded, "%v", err)
		}
	}
	return o.problems(outcome)
}

// bare is a request to follow what somebody else deployed.
func (o *operation) bare(service *types.Service) deployment.Request {
	const never = 30 * 24 * time.Hour // ECS lets no deployment last longer
	request := deployment.Request{
		Cluster: *o.plan.Service.Cluster, Service: *o.plan.Service.ServiceName, TaskDefinition: aws.ToString(service.TaskDefinition),
		Container: rollout.ContainerName, OnTimeout: deployment.Leave, AwaitApproval: true, MaxFailures: 1 << 30, StartFailures: -1, HealthPatience: never, CapacityPatience: never,
		Deadline: o.plan.Estimate.Deadline, Targets: o.targets, Logs: o.logs, Fence: o.fence, Look: o.fence, Progress: o.progress,
	}
	if holder := o.holder; holder != nil {
		request.Look = nil
		request.Fence = func(context.Context) error {
			return verdict.Problemf(journal.Locked, "%s holds the lock until %s", holder.Name, stamp(holder.Until))
		}
	}
	return request
}

// lastGood is the release to go back to: the journal's, else the one that ECS remembers.
func (o *operation) lastGood(current string) (*journal.Run, *verdict.Problem) {
	if good := o.past.LastGood(current); good != nil {
		return good, nil
	}
	return o.lastSuccessful(current)
}

// lastSuccessful is the newest deployment, as ECS remembers it, that ended well with
// another task definition than the one that runs.
func (o *operation) lastSuccessful(current string) (*journal.Run, *verdict.Problem) {
	left := o.past.Left()
	name := *o.plan.Service.ServiceName
	all, err := deployment.List(o.ctx, o.clients.ECS, *o.plan.Service.Cluster, name, types.ServiceDeploymentStatusSuccessful)
	if err != nil {
		return nil, verdict.Problemf(deployment.AWSFailed, "%v", err)
	}
	for _, brief := range all {
		revision, problem := o.revision(aws.ToString(brief.TargetServiceRevisionArn))
		if problem != nil {
			return nil, problem
		}
		if revision == nil {
			continue
		}
		if definition := aws.ToString(revision.TaskDefinition); definition != current && !left[definition] {
			return &journal.Run{TaskDefinition: definition, Image: imageOf(*revision)}, nil
		}
	}
	return nil, verdict.Problemf(NoRelease, "neither the journal nor ECS knows a release of service %s but the one that runs", name)
}

func imageOf(r types.ServiceRevision) string {
	for _, image := range r.ContainerImages {
		if aws.ToString(image.ContainerName) == rollout.ContainerName {
			return aws.ToString(image.Image)
		}
	}
	return ""
}

// putBack deploys a release that ran before, as it was.
func (o *operation) putBack(good journal.Run) []*verdict.Problem {
	input := o.in.Input
	input.Image = good.Image
	plan, problems := rollout.NewPlan(input)
	if len(problems) > 0 {
		return problems
	}
	plan.Revision = good.TaskDefinition
	if s := good.Settings; s != nil {
		plan.LoadBalancer.TargetGroups, plan.LoadBalancer.TargetGroupAttributes = s.TargetGroups, s.Attributes
		plan.Service.HealthCheckGracePeriodSeconds = aws.Int32(s.GraceSeconds)
	} else {
		o.stage().Warn(NoSettings, "%s", good.TaskDefinition)
	}
	o.plan, o.result.Plan = plan, plan
	if problems := o.look(); len(problems) > 0 {
		return problems
	}
	kinds := []string{"target group"}
	if good.Settings == nil {
		kinds = nil
	}
	o.state.Restrict(kinds...)
	if problem := o.reachable(); problem != nil {
		return []*verdict.Problem{problem}
	}
	o.say("putting back %s (%s)", good.TaskDefinition, good.Image)
	o.stage().Add("release", good.Image)
	update := ecs.UpdateServiceInput{TaskDefinition: aws.String(good.TaskDefinition)}
	if service := o.state.Service(); good.Settings != nil && service != nil && aws.ToInt32(service.HealthCheckGracePeriodSeconds) != good.Settings.GraceSeconds {
		update.HealthCheckGracePeriodSeconds = aws.Int32(good.Settings.GraceSeconds)
	}
	run := journal.Run{Kind: journal.Rollback, Image: good.Image, ConfigHash: good.ConfigHash, Commit: good.Commit, Started: o.clock.Server().UTC(), Settings: good.Settings}
	return o.carryOut(run, deployment.Request{Update: update})
}
