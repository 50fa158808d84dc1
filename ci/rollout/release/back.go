package release

import (
	"cmp"
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// goBack returns each service to an earlier task definition. A service that did not exist before is left as it is.
func (g *group) goBack(ctx context.Context, to map[string]string) []*verdict.Problem {
	var problems []*verdict.Problem
	var runs []func(clock.Clock)
	for n, m := range g.members {
		definition := to[m.name]
		if definition == "" {
			if m.changed() {
				m.log("the service is new, so there is nothing to go back to; it stays")
			}
			continue
		}
		runs = append(runs, func(clock clock.Clock) {
			back := newOperation(g.clients, clock, m.in)
			back.group, back.further, back.label = g, n > 0, m.label
			all := back.prepare(ctx, false)
			if len(all) == 0 {
				all = back.optimistic(ctx, func(ctx context.Context) []*verdict.Problem {
					return rollbacker{back}.backTo(ctx, definition)
				})
				if err := back.journal.Release(context.WithoutCancel(ctx)); err != nil {
					back.log("the lock could not be released: %v", err)
				}
			}
			for _, e := range back.stage().Evidence {
				if e.Name != "account" {
					e.Name = m.label + "rollback: " + e.Name
					g.stage().Evidence = append(g.stage().Evidence, e)
				}
			}
			g.result.Changed = g.result.Changed || back.result.Changed
			problems = append(problems, m.named(all)...)
		})
	}
	inTurns(g.clock, runs...)
	return problems
}

// backTo deploys an earlier task definition of a service.
func (o rollbacker) backTo(ctx context.Context, definition string) []*verdict.Problem {
	service, running, problem := o.inFlightDeployments(ctx)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	open := o.past.Run
	back := open != nil && open.Kind == journal.Rollback && open.TaskDefinition == definition
	for _, d := range running {
		target, problem := definitionOf(ctx, o.operation, d)
		switch {
		case problem != nil:
			return []*verdict.Problem{problem}
		case deployment.IsUndone(d.Status):
			if problems := (onlooker{o.observer}).followRollback(ctx, service, d); len(problems) > 0 {
				return problems
			}
			return o.backTo(ctx, definition)
		case target != definition:
			return o.stopDeployment(ctx, service, d)
		}
		back = true
	}
	if aws.ToString(service.TaskDefinition) == definition && !back {
		return nil
	}
	good, problem := o.releaseOf(ctx, definition)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	return o.putBack(ctx, *good)
}

// releaseOf returns the release with a task definition, from the journal or else from ECS.
func (o rollbacker) releaseOf(ctx context.Context, definition string) (*journal.Run, *verdict.Problem) {
	for n := len(o.past.Ended) - 1; n >= 0; n-- {
		if run := o.past.Ended[n]; run.TaskDefinition == definition && run.Verdict == journal.Passed {
			return &run, nil
		}
	}
	return o.successful(ctx, func(found string) bool { return found == definition })
}

// rollBackTogether returns all services to the last good release. Deployments in progress are stopped.
func rollBackTogether(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result {
	g := newGroup(clients, clock, in)
	if problems := g.prepare(ctx, false); len(problems) > 0 {
		return g.finish(ctx, problems...)
	}
	past, err := g.journal.Read(ctx)
	if err != nil {
		return g.finish(ctx, journal.Problem(err))
	}
	if run := past.Run; g.journal.Held(past) != nil && run != nil && run.Kind == journal.Deploy {
		g.stopHeld(ctx, in)
		g.in.LockWait = cmp.Or(g.in.LockWait, stopped)
	}
	return g.finish(ctx, g.optimistic(ctx, g.rollback)...)
}

// stopped limits how long a run may take to roll back its other services after one was stopped.
const stopped = 30 * time.Minute

// stopHeld stops one deployment, or the trial, of the run that holds the lock. That run then rolls the others back. If it was
// interrupted, the rollback that follows does it.
func (g *group) stopHeld(ctx context.Context, in Input) {
	at := g.members[0]
	for _, m := range g.members {
		if inFlight, problem := m.deploymentInFlight(ctx); problem == nil && inFlight {
			at = m
			break
		}
	}
	r := Rollback(ctx, g.clients, g.clock, g.inputOf(in, at.in.Spec, 0))
	g.result.Changed = r.Changed
	g.log("stopped what another run deploys: %s; waiting for the end of that run", r.Stage.Verdict)
	g.stops = true
}

func (g *group) rollback(ctx context.Context) []*verdict.Problem {
	for _, m := range g.members {
		if problems := m.compare(ctx); len(problems) > 0 {
			return m.named(problems)
		}
	}
	current := joined(g.serving())
	run := journal.Run{Kind: journal.Rollback, Started: g.clock.Server().UTC(), Previous: current}
	open, good := g.past.Run, g.past.LastGood(current)
	if g.stops && open == nil {
		if last := len(g.past.Ended) - 1; last >= 0 && g.past.Ended[last].Verdict != journal.Passed {
			return nil // the stopped run has rolled everything back
		}
	}
	switch {
	case open != nil && open.Kind == journal.Rollback && open.Services != nil:
		g.stage().Warn(Resumed, "%s by %s, started %s", open.Kind, open.By, stamp(open.Started))
		run = *open
	case open != nil && open.Before != nil:
		run.Services = open.Before // the interrupted deploy is undone
	case good != nil && good.Services != nil:
		run.Services, run.Image = good.Services, good.Image
	default:
		run.Services = g.before(current)
	}
	if run.Services == nil {
		return []*verdict.Problem{verdict.Problemf(NoRelease, "the journal knows no earlier release of these services")}
	}
	run.TaskDefinition = joined(run.Services)
	g.run = run
	if problem := g.journalProblem(ctx, g.journal.Record(ctx, run)); problem != nil {
		return []*verdict.Problem{problem}
	}
	g.log("rolling back to %s", run.TaskDefinition)
	problems := g.goBack(ctx, run.Services)
	outcome := &deployment.Outcome{}
	if len(problems) > 0 {
		outcome.Problem = problems[0]
	}
	return append(g.record(ctx, run, outcome), problems...)
}

// before returns what served before the first recorded deploy if that deploy's release serves now, otherwise nil.
func (g *group) before(current string) map[string]string {
	left := g.past.Left()
	for n := len(g.past.Ended) - 1; n >= 0; n-- {
		run := g.past.Ended[n]
		if run.Kind == journal.Destroy {
			return nil
		}
		if run.Verdict == journal.Passed && run.Kind == journal.Deploy && run.TaskDefinition == current && run.Before != nil &&
			!left[joined(run.Before)] && joined(run.Before) != current {
			return run.Before
		}
	}
	return nil
}
