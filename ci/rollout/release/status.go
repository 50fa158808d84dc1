package release

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Plan shows what Deploy would change and writes nothing. Result.Changed tells whether it would change anything.
func Plan(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result {
	if in.Spec.Together() {
		return planTogether(ctx, clients, clock, in)
	}
	o := newOperation(clients, clock, in)
	o.compares = true
	if problems := o.prepare(ctx, true); len(problems) > 0 {
		return o.finish(ctx, problems...)
	}
	return o.finish(ctx, o.planned(ctx, true)...)
}

// planned compares the account with the plan and reports the differences.
func (o *observer) planned(ctx context.Context, soak bool) []*verdict.Problem {
	problems := o.compare(ctx)
	if o.state == nil {
		return problems
	}
	o.plan.Warn(o.stage())
	o.warnOnce()
	o.plan.Storage(o.stage())
	o.stage().Add("changes", lastLine(o.result.Text))
	o.stage().Add("strategy", fmt.Sprintf("%s, about %s for a new version", o.plan.Strategy, o.plan.Estimate.Total))
	o.ownership()
	if problem := o.checkIndex(ctx); problem != nil {
		problems = append(problems, problem)
	}
	if soak {
		if problem := o.planSoak(ctx); problem != nil {
			problems = append(problems, problem)
		}
	}
	if keys := o.in.Spec.WithoutEffect; len(keys) > 0 {
		o.result.Text += "\nWithout effect, as the service is adopted: " + strings.Join(keys, ", ") + ".\n"
	}
	o.stage().Blocks = append(o.stage().Blocks, verdict.Block{Title: "What would change", Log: o.result.Text})
	o.stage().Files = append(o.stage().Files, o.plan.Files()...)
	return problems
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// Status shows what runs, what is in progress, who holds the lock, and the history. It passes unless the service is missing
// or AWS cannot be reached.
func Status(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result {
	if in.Spec.Together() {
		return each(ctx, clients, clock, in, Status)
	}
	o := newOperation(clients, clock, in)
	if problems := o.prepare(ctx, false); len(problems) > 0 {
		return o.finish(ctx, problems...)
	}
	past, err := o.journal.Read(ctx)
	if err != nil {
		return o.finish(ctx, journal.Problem(err))
	}
	o.past = past
	service, running, problem := o.inFlightDeployments(ctx)
	if problem != nil && problem.Code.Name != deployment.TargetMissing.Name {
		return o.finish(ctx, problem)
	}
	// Findings are reported, not judged: starting tasks and draining targets may belong to a deployment or to a fault.
	facts := &verdict.Table{Columns: []string{"What", "State"}}
	add := func(what, state string) {
		o.stage().Add(what, state)
		facts.Rows = append(facts.Rows, []string{what, state})
	}
	if service != nil {
		o.describeService(ctx, service, add)
	}
	address := ""
	if !o.plan.Adopts() {
		if address, err = ensure.ServiceURL(ctx, o.clients.Balancing, o.plan); err != nil {
			add("address", "unknown: "+err.Error())
		}
	}
	for _, d := range running {
		text := deployment.StatusText(d.Status) + " " + string(d.LifecycleStage)
		if t := d.TargetServiceRevision; t != nil {
			text += fmt.Sprintf(", %d of %d tasks, %g %% of the traffic", t.RunningTaskCount, t.RequestedTaskCount,
				aws.ToFloat64(t.RequestedProductionTrafficWeight))
		}
		if hook := deployment.HookOf(&d); hook != nil {
			text += fmt.Sprintf(", awaiting approval until %s, then %s", stamp(hook.Expires), hook.OnExpiry)
		}
		add("deployment under way", strings.TrimSpace(text))
		for _, source := range d.SourceServiceRevisions {
			add("it replaces", o.describeReplaced(ctx, source))
		}
	}
	tasks, err := trial.Running(ctx, o.clients.ECS, o.plan.Trial.Task)
	if err != nil && !noCluster(err) {
		add("trial tasks", "unknown: "+err.Error())
	}
	for _, task := range tasks {
		add("trial task", task)
	}
	open := "interrupted run"
	if holder := o.journal.Held(past); holder != nil {
		open = "run in progress"
		add("deployer", fmt.Sprintf("%s since %s; the lock lasts until %s unless it is renewed", holder.Name, stamp(holder.Since),
			stamp(holder.Until)))
	}
	if past.Run != nil {
		add(open, fmt.Sprintf("%s of %s by %s, started %s", past.Run.Kind, past.Run.Image, past.Run.By, stamp(past.Run.Started)))
	}
	o.stage().Blocks = append(o.stage().Blocks, verdict.Block{Title: "Now", Summary: true, Answer: true, Table: facts})
	o.addLinks(address)
	o.stage().Blocks = append(o.stage().Blocks, history(past))
	if problem != nil {
		return o.finish(ctx, problem) // the state may be that of a first deployment
	}
	return o.finish(ctx)
}

// describeReplaced describes what a deployment replaces, with its share of the traffic.
func (o *observer) describeReplaced(ctx context.Context, source types.ServiceRevisionSummary) string {
	text := aws.ToString(source.Arn)
	revision, err := revisionOf(ctx, o.clients.ECS, text)
	if err != nil {
		return text + ": " + err.Error()
	}
	if revision != nil {
		text = fmt.Sprintf("%s, %s", aws.ToString(revision.TaskDefinition), o.imageOf(*revision).Written())
	}
	text += fmt.Sprintf(", %d tasks", source.RunningTaskCount)
	if weight := source.RequestedProductionTrafficWeight; weight != nil {
		text += fmt.Sprintf(", %g %% of the traffic", *weight)
	}
	return text
}

// describeService describes what the service runs, and the health of its targets.
func (o *observer) describeService(ctx context.Context, service *types.Service, add func(what, state string)) {
	add("service", fmt.Sprintf("%s is %s", *o.plan.Service.ServiceName, aws.ToString(service.Status)))
	add("running tasks", fmt.Sprintf("%d of %d, %d pending", service.RunningCount, service.DesiredCount, service.PendingCount))
	definition := aws.ToString(service.TaskDefinition)
	add("task definition", definition)
	// During a deployment this is the new task definition.
	if out, err := o.clients.ECS.DescribeTaskDefinition(ctx,
		&ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(definition)}); err != nil {
		add("image", "unknown: "+err.Error())
	} else if out.TaskDefinition != nil {
		add("image", o.imageIn(out.TaskDefinition))
	}
	for _, lb := range service.LoadBalancers {
		groups := []string{aws.ToString(lb.TargetGroupArn)}
		if a := lb.AdvancedConfiguration; a != nil && aws.ToString(a.AlternateTargetGroupArn) != "" {
			groups = append(groups, *a.AlternateTargetGroupArn) // the two alternate
		}
		for _, group := range groups {
			targets, err := o.targets(ctx, group)
			if err != nil {
				add("targets", "unknown: "+err.Error())
			}
			for _, t := range targets {
				add("target "+t.Address, strings.TrimSpace(t.State+" "+t.Reason))
			}
		}
	}
}

func history(past journal.State) verdict.Block {
	table := &verdict.Table{Columns: []string{"Ended", "What", "Image", "Verdict", "By"}}
	for i := len(past.Ended) - 1; i >= 0; i-- {
		run := past.Ended[i]
		kind := run.Kind
		if run.Override != "" {
			kind += ", not run by staging: " + run.Override
		}
		table.Rows = append(table.Rows, []string{stamp(run.Ended), kind, run.Image, strings.TrimSpace(run.Verdict + " " + run.Code), run.By})
	}
	return verdict.Block{Title: "Releases", Summary: true, Answer: true, Table: table}
}

func pruning(keep int) operationOn {
	return func(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result {
		return Prune(ctx, clients, clock, in, keep)
	}
}

// Prune deregisters old task definitions. It keeps the newest ones, as many as keep says, and those in use: what runs, what a
// deployment uses, and the target of a rollback.
func Prune(ctx context.Context, clients Clients, clock clock.Clock, in Input, keep int) *Result {
	if in.Spec.Together() {
		return each(ctx, clients, clock, in, pruning(keep))
	}
	o := newOperation(clients, clock, in)
	if problems := o.prepare(ctx, false); len(problems) > 0 {
		return o.finish(ctx, problems...)
	}
	return o.finish(ctx, o.optimistic(ctx, func(ctx context.Context) []*verdict.Problem {
		if err := o.fence(ctx); err != nil {
			return []*verdict.Problem{asProblem(err)}
		}
		needed, problem := rollbacker{o}.rollbackTarget(ctx)
		if problem != nil {
			return []*verdict.Problem{problem}
		}
		pruned, problem := ensure.Prune(ctx, o.clients.ECS, o.plan, keep, needed...)
		o.result.Changed = len(pruned.Deregistered) > 0
		o.stage().Add("deregistered", fmt.Sprint(len(pruned.Deregistered)))
		o.stage().Add("kept", fmt.Sprint(len(pruned.Kept)))
		o.addTable("Task definitions", pruned.Deregistered, "deregistered", pruned.Kept)
		if problem != nil {
			return []*verdict.Problem{problem}
		}
		return nil
	})...)
}

// rollbackTarget returns the task definition that a rollback would go back to now, if any.
func (o rollbacker) rollbackTarget(ctx context.Context) ([]string, *verdict.Problem) {
	service, _, problem := o.inFlightDeployments(ctx)
	switch {
	case problem != nil && problem.Code.Name == deployment.TargetMissing.Name:
		return nil, nil
	case problem != nil:
		return nil, problem
	}
	good, problem := o.lastGood(ctx, aws.ToString(service.TaskDefinition))
	switch {
	case problem != nil && problem.Code.Name == NoRelease.Name:
		return nil, nil
	case problem != nil:
		return nil, problem
	default:
		return []string{good.TaskDefinition}, nil
	}
}

// Destroy deletes everything that was created for the service. confirm must be its name.
func Destroy(ctx context.Context, clients Clients, clock clock.Clock, in Input, confirm string, withLogs bool) *Result {
	if in.Spec.Together() {
		return destroyTogether(ctx, clients, clock, in, confirm, withLogs)
	}
	o := newOperation(clients, clock, in)
	if problems := o.prepare(ctx, false); len(problems) > 0 {
		return o.finish(ctx, problems...)
	}
	if o.plan.Adopts() {
		return o.finish(ctx, verdict.Problemf(rollout.NotForAdopted, "service %s in cluster %s is adopted", *o.plan.Service.ServiceName,
			*o.plan.Service.Cluster))
	}
	if confirm != *o.plan.Service.ServiceName {
		// For a wrong name not even the lock is taken.
		_, problem := ensure.Destroy(ctx, o.ensureClients(), clock, o.plan, confirm, withLogs)
		return o.finish(ctx, problem)
	}
	return o.finish(ctx, o.optimistic(ctx, func(ctx context.Context) []*verdict.Problem {
		if err := o.fence(ctx); err != nil {
			return []*verdict.Problem{asProblem(err)}
		}
		begun := o.clock.Server()
		gone, problem := ensure.Destroy(ctx, o.ensureClients(), leaseClock{o.operation}, o.plan, confirm, withLogs)
		o.result.Changed = len(gone.Deleted) > 0
		o.stage().Add("deleted", fmt.Sprint(len(gone.Deleted)))
		o.addTable("Resources", gone.Deleted, "deleted", gone.Kept)
		if problem != nil {
			return []*verdict.Problem{problem}
		}
		if open := o.past.Run; open != nil {
			// What the interrupted run started is deleted, so no later run can resume it.
			run := *open
			run.Verdict, run.Code, run.Cause = string(verdict.Fail), deployment.TargetMissing.Name, "the service was destroyed"
			if err := o.journal.End(ctx, run); err != nil {
				o.stage().Warn(NotRecorded, "%v", err)
			}
		}
		if o.result.Changed {
			if err := o.journal.End(ctx, journal.Run{Kind: journal.Destroy, Started: begun.UTC(), Verdict: journal.Passed}); err != nil {
				o.stage().Warn(NotRecorded, "%v", err)
			}
		}
		return nil
	})...)
}

func (o *operation) addTable(title string, done []string, what string, kept []ensure.Kept) {
	table := &verdict.Table{Columns: []string{"Name", "Result"}}
	for _, name := range done {
		table.Rows = append(table.Rows, []string{name, what})
	}
	for _, k := range kept {
		table.Rows = append(table.Rows, []string{k.Name, "kept: " + k.Reason})
	}
	o.stage().Blocks = append(o.stage().Blocks, verdict.Block{Title: title, Summary: true, Answer: true, Table: table})
}
