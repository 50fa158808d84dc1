package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Plan shows what Deploy would change, and writes nothing. Result.Changed tells a change
// from none.
func Plan(ctx context.Context, clients Clients, clock Clock, in Input) *Result {
	o := begin(ctx, clients, clock, in)
	if problems := o.prepare(true); len(problems) > 0 {
		return o.done(problems...)
	}
	problems := o.look()
	if o.state == nil {
		return o.done(problems...)
	}
	o.plan.Warn(o.stage())
	o.stage().Add("changes", lastLine(o.result.Text))
	o.stage().Add("strategy", fmt.Sprintf("%s, about %s for a new version", o.plan.Strategy, o.plan.Estimate.Total))
	o.stage().Blocks = append(o.stage().Blocks, verdict.Block{Title: "What would change", Log: o.result.Text})
	o.stage().Files = append(o.stage().Files, o.plan.Files()...)
	return o.done(problems...)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// inFlight are the service's deployments under way, the newest first.
func (o *operation) underWay() (*types.Service, []types.ServiceDeployment, *verdict.Problem) {
	cluster, name := *o.plan.Service.Cluster, *o.plan.Service.ServiceName
	out, err := o.clients.ECS.DescribeServices(o.ctx, &ecs.DescribeServicesInput{Cluster: aws.String(cluster), Services: []string{name}})
	if err != nil {
		return nil, nil, verdict.Problemf(deployment.AWSFailed, "describe service %s: %v", name, err)
	}
	if len(out.Services) == 0 || aws.ToString(out.Services[0].Status) == "INACTIVE" {
		return nil, nil, verdict.Problemf(deployment.TargetMissing, "there is no service %s in cluster %s", name, cluster)
	}
	list, err := o.clients.ECS.ListServiceDeployments(o.ctx, &ecs.ListServiceDeploymentsInput{Cluster: aws.String(cluster), Service: aws.String(name),
		Status: []types.ServiceDeploymentStatus{types.ServiceDeploymentStatusPending, types.ServiceDeploymentStatusInProgress,
			types.ServiceDeploymentStatusStopRequested, types.ServiceDeploymentStatusRollbackRequested, types.ServiceDeploymentStatusRollbackInProgress}})
	if err != nil {
		return nil, nil, verdict.Problemf(deployment.AWSFailed, "list deployments of service %s: %v", name, err)
	}
	var all []types.ServiceDeployment
	for _, brief := range list.ServiceDeployments {
		d, err := o.describe(aws.ToString(brief.ServiceDeploymentArn))
		if err != nil {
			return nil, nil, verdict.Problemf(deployment.AWSFailed, "describe deployment: %v", err)
		}
		if d != nil {
			all = append(all, *d)
		}
	}
	return &out.Services[0], all, nil
}

// describe is nil for a deployment that ECS does not know any more.
func (o *operation) describe(arn string) (*types.ServiceDeployment, error) {
	out, err := o.clients.ECS.DescribeServiceDeployments(o.ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{arn}})
	if err != nil || len(out.ServiceDeployments) == 0 {
		return nil, err
	}
	return &out.ServiceDeployments[0], nil
}

func ended(status types.ServiceDeploymentStatus) bool {
	switch status {
	case types.ServiceDeploymentStatusSuccessful, types.ServiceDeploymentStatusStopped,
		types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusRollbackFailed:
		return true
	default:
		return false
	}
}

// Status says what runs, what is under way, who deploys, and what was deployed before. It
// passes unless the service is missing or nothing could be asked.
func Status(ctx context.Context, clients Clients, clock Clock, in Input) *Result {
	o := begin(ctx, clients, clock, in)
	if problems := o.prepare(false); len(problems) > 0 {
		return o.done(problems...)
	}
	past, err := o.journal.Read(ctx)
	if err != nil {
		return o.done(verdict.Problemf(journal.JournalFailed, "%v", err))
	}
	o.past = past
	service, running, problem := o.underWay()
	if problem != nil {
		return o.done(problem)
	}
	stage := o.stage()
	facts := &verdict.Table{Columns: []string{"What", "State"}}
	add := func(what, state string) {
		stage.Add(what, state)
		facts.Rows = append(facts.Rows, []string{what, state})
	}
	add("service", fmt.Sprintf("%s is %s", *o.plan.Service.ServiceName, aws.ToString(service.Status)))
	stage.Gate("running tasks", fmt.Sprintf("%d of %d, %d pending", service.RunningCount, service.DesiredCount, service.PendingCount), "all",
		service.RunningCount == service.DesiredCount && service.DesiredCount > 0)
	add("task definition", aws.ToString(service.TaskDefinition))
	for _, lb := range service.LoadBalancers {
		if targets, err := o.targets(ctx, aws.ToString(lb.TargetGroupArn)); err == nil {
			for _, t := range targets {
				stage.Gate("target "+t.Address, strings.TrimSpace(t.State+" "+t.Reason), "healthy", t.State == "healthy")
			}
		}
	}
	for _, d := range running {
		text := string(d.Status) + " " + string(d.LifecycleStage)
		if t := d.TargetServiceRevision; t != nil {
			text += fmt.Sprintf(", %d of %d tasks, %g %% of the traffic", t.RunningTaskCount, t.RequestedTaskCount, aws.ToFloat64(t.RequestedProductionTrafficWeight))
		}
		if hook := deployment.HookOf(&d); hook != nil {
			text += fmt.Sprintf(", awaiting approval until %s, then %s", stamp(hook.Expires), hook.OnExpiry)
		}
		add("deployment under way", strings.TrimSpace(text))
	}
	if holder := o.journal.Held(past); holder != nil {
		add("deployer", fmt.Sprintf("%s since %s", holder.Name, stamp(holder.Since)))
	}
	if past.Run != nil {
		add("run without an end", fmt.Sprintf("%s of %s by %s, begun %s", past.Run.Kind, past.Run.Image, past.Run.By, stamp(past.Run.Started)))
	}
	stage.Blocks = append(stage.Blocks, verdict.Block{Title: "Now", Summary: true, Table: facts})
	stage.Blocks = append(stage.Blocks, history(past))
	return o.done()
}

func history(past journal.State) verdict.Block {
	table := &verdict.Table{Columns: []string{"Ended", "What", "Image", "Verdict", "By"}}
	for i := len(past.Ended) - 1; i >= 0; i-- {
		run := past.Ended[i]
		table.Rows = append(table.Rows, []string{stamp(run.Ended), run.Kind, run.Image, strings.TrimSpace(run.Verdict + " " + run.Code), run.By})
	}
	return verdict.Block{Title: "Releases", Summary: true, Table: table}
}

// Rollback puts the last good release back: a deployment under way is stopped and rolled
// back by ECS; without one, the task definition of the last good release is deployed with
// the target groups' settings it had, and followed like any deployment.
func Rollback(ctx context.Context, clients Clients, clock Clock, in Input) *Result {
	o := begin(ctx, clients, clock, in)
	if problems := o.prepare(false); len(problems) > 0 {
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

// beside does something about a deployment under way while the run that holds the lock
// follows it. Nothing is done where nothing is under way or nobody holds the lock, and nothing
// but one call that ECS itself makes safe: stopping a deployment, or answering a pause by its id.
// A holder that was lost records no end: again then does, once the lock is over.
func (o *operation) beside(act func(*types.Service, types.ServiceDeployment) ([]*verdict.Problem, bool),
	again func(*types.Service, types.ServiceDeployment) []*verdict.Problem,
) ([]*verdict.Problem, bool) {
	past, err := o.journal.Read(o.ctx)
	if err != nil {
		return []*verdict.Problem{verdict.Problemf(journal.JournalFailed, "%v", err)}, true
	}
	holder := o.journal.Held(past)
	if holder == nil {
		return nil, false
	}
	service, running, problem := o.underWay()
	if problem != nil {
		return []*verdict.Problem{problem}, true
	}
	o.past = past
	for _, d := range running {
		o.holder = holder
		problems, done := act(service, d)
		o.holder = nil
		if !done {
			continue
		}
		if o.result.Outcome != nil && (len(problems) == 0 || !unfinished(problems[0].Code)) && o.abandoned(aws.ToString(d.ServiceDeploymentArn)) {
			return o.optimistic(func() []*verdict.Problem { return again(service, d) }), true
		}
		return problems, true
	}
	return nil, false
}

// abandoned waits for the end of a deployment to be on record, or for the lock to be over
// without it.
func (o *operation) abandoned(arn string) bool {
	for end := o.clock.Now().Add(o.patience()); ; {
		past, err := o.journal.Read(o.ctx)
		if err != nil {
			o.stage().Warn(NotRecorded, "%v", err)
			return false
		}
		switch {
		case past.Run == nil || past.Run.Deployment != arn:
			return false
		case o.journal.Held(past) == nil:
			return true
		case !o.clock.Now().Before(end) || o.clock.Sleep(o.ctx, 5*time.Second) != nil:
			return false // whoever holds the lock is there, and records it
		}
	}
}

// besideRequest is a request to look on while the holder of the lock decides.
func (o *operation) besideRequest(service *types.Service, d types.ServiceDeployment) (deployment.Request, *verdict.Problem) {
	request := o.bare(service)
	revision, problem := o.target(d)
	if problem != nil {
		return request, problem
	}
	if revision != nil {
		request.TaskDefinition = aws.ToString(revision.TaskDefinition)
		_, request.Digest, _ = strings.Cut(imageOf(*revision), "@")
	}
	request.AwaitApproval = o.in.AwaitApproval
	return request, nil
}

func (o *operation) rollback() []*verdict.Problem {
	service, running, problem := o.underWay()
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
	good := o.past.LastGood(current)
	if good == nil {
		if good, problem = o.lastSuccessful(current); problem != nil {
			return []*verdict.Problem{problem}
		}
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
	arn := aws.ToString(d.TargetServiceRevision.Arn)
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

// lastSuccessful is the newest deployment, as ECS remembers it, that ended well with
// another task definition than the one that runs.
func (o *operation) lastSuccessful(current string) (*journal.Run, *verdict.Problem) {
	left := o.past.Left()
	in := &ecs.ListServiceDeploymentsInput{Cluster: o.plan.Service.Cluster, Service: o.plan.Service.ServiceName,
		Status: []types.ServiceDeploymentStatus{types.ServiceDeploymentStatusSuccessful}}
	for {
		out, err := o.clients.ECS.ListServiceDeployments(o.ctx, in)
		if err != nil {
			return nil, verdict.Problemf(deployment.AWSFailed, "list deployments: %v", err)
		}
		for _, brief := range out.ServiceDeployments {
			revisions, err := o.clients.ECS.DescribeServiceRevisions(o.ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: []string{aws.ToString(brief.TargetServiceRevisionArn)}})
			if err != nil {
				return nil, verdict.Problemf(deployment.AWSFailed, "describe revision: %v", err)
			}
			for _, r := range revisions.ServiceRevisions {
				if definition := aws.ToString(r.TaskDefinition); definition != current && !left[definition] {
					return &journal.Run{TaskDefinition: definition, Image: imageOf(r)}, nil
				}
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return nil, verdict.Problemf(NoRelease, "neither the journal nor ECS knows a release of service %s but the one that runs", *in.Service)
		}
	}
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
	if good.Settings != nil {
		update.HealthCheckGracePeriodSeconds = aws.Int32(good.Settings.GraceSeconds)
	}
	run := journal.Run{Kind: journal.Rollback, Image: good.Image, ConfigHash: good.ConfigHash, Commit: good.Commit, Started: o.clock.Now().UTC(), Settings: good.Settings}
	return o.carryOut(run, deployment.Request{Update: update}, false)
}

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

// lookOn follows a deployment that the holder of the lock decides on.
func (o *operation) lookOn(service *types.Service, d types.ServiceDeployment, answered string) []*verdict.Problem {
	request, problem := o.besideRequest(service, d)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	request.Answered = answered
	outcome := deployment.Follow(o.ctx, o.clients.ECS, o.clock, request, aws.ToString(d.ServiceDeploymentArn))
	o.evidence(outcome)
	return o.problems(outcome)
}

// reply answers a pause.
func (o *operation) reply(d types.ServiceDeployment, hook *deployment.Hook, action types.DeploymentLifecycleHookAction) *verdict.Problem {
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
	_, request.Digest, _ = strings.Cut(image, "@")
	request.Answered = answered
	outcome := deployment.Follow(o.ctx, o.clients.ECS, o.clock, request, aws.ToString(d.ServiceDeploymentArn))
	o.evidence(outcome)
	if open := o.past.Run; open != nil && open.TaskDefinition == o.plan.Revision {
		return o.record(*open, outcome)
	}
	return o.problems(outcome)
}

// Prune deregisters old task definitions, except the newest keep and those that anything
// needs: what runs, what a deployment uses, and what a rollback would go back to.
func Prune(ctx context.Context, clients Clients, clock Clock, in Input, keep int) *Result {
	o := begin(ctx, clients, clock, in)
	if problems := o.prepare(false); len(problems) > 0 {
		return o.done(problems...)
	}
	return o.done(o.optimistic(func() []*verdict.Problem {
		if err := o.fence(o.ctx); err != nil {
			return []*verdict.Problem{asProblem(err)}
		}
		pruned, problem := ensure.Prune(o.ctx, o.clients.ECS, o.plan, keep)
		o.result.Changed = len(pruned.Deregistered) > 0
		o.stage().Add("deregistered", fmt.Sprint(len(pruned.Deregistered)))
		o.stage().Add("kept", fmt.Sprint(len(pruned.Kept)))
		o.list("Task definitions", pruned.Deregistered, "deregistered", pruned.Kept)
		if problem != nil {
			return []*verdict.Problem{problem}
		}
		return nil
	})...)
}

// Destroy deletes everything that was made for the service, if confirm is its name.
func Destroy(ctx context.Context, clients Clients, clock Clock, in Input, confirm string, withLogs bool) *Result {
	o := begin(ctx, clients, clock, in)
	if problems := o.prepare(false); len(problems) > 0 {
		return o.done(problems...)
	}
	if confirm != *o.plan.Service.ServiceName {
		// Before the lock is taken: nothing is written for a wrong name.
		_, problem := ensure.Destroy(ctx, o.ensureClients(), clock, o.plan, confirm, withLogs)
		return o.done(problem)
	}
	return o.done(o.optimistic(func() []*verdict.Problem {
		if err := o.fence(o.ctx); err != nil {
			return []*verdict.Problem{asProblem(err)}
		}
		gone, problem := ensure.Destroy(o.ctx, o.ensureClients(), beating{o}, o.plan, confirm, withLogs)
		o.result.Changed = len(gone.Deleted) > 0
		o.stage().Add("deleted", fmt.Sprint(len(gone.Deleted)))
		o.list("Resources", gone.Deleted, "deleted", gone.Kept)
		if problem != nil {
			return []*verdict.Problem{problem}
		}
		return nil
	})...)
}

func (o *operation) list(title string, done []string, what string, kept []ensure.Kept) {
	table := &verdict.Table{Columns: []string{"Name", "What became of it"}}
	for _, name := range done {
		table.Rows = append(table.Rows, []string{name, what})
	}
	for _, k := range kept {
		table.Rows = append(table.Rows, []string{k.Name, "kept: " + k.Reason})
	}
	o.stage().Blocks = append(o.stage().Blocks, verdict.Block{Title: title, Summary: true, Table: table})
}
