package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// planTogether compares each service with its plan, and lists the tasks that would run first.
func planTogether(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result {
	g := newGroup(clients, clock, in)
	g.compares = true
	for _, m := range g.members {
		m.compares = true
	}
	if problems := g.prepare(ctx, true); len(problems) > 0 {
		return g.finish(ctx, problems...)
	}
	var problems []*verdict.Problem
	for n, m := range g.members {
		// The soak time is that of the group, from the group's journal.
		all := m.planned(ctx, n == 0)
		problems = append(problems, m.named(all)...)
		g.add(m.result, m.label, n > 0)
	}
	g.planTasks()
	return g.finish(ctx, problems...)
}

// planTasks lists the tasks that a deploy runs before it updates a service.
func (g *group) planTasks() {
	if len(g.in.Spec.Tasks) == 0 {
		return
	}
	var text strings.Builder
	table := &verdict.Table{Columns: []string{"Task", "Command", "As service", "Timeout"}}
	for _, task := range g.in.Spec.Tasks {
		as, timeout := task.Service, task.Timeout
		if as == "" {
			as = g.members[0].name
		}
		if timeout <= 0 {
			timeout = spec.DefaultTaskTimeout
		}
		fmt.Fprintf(&text, "> run task %q as service %s, at most %s: %s\n", task.Name, as, timeout, strings.Join(task.Command, " "))
		table.Rows = append(table.Rows, []string{task.Name, strings.Join(task.Command, " "), as, timeout.String()})
	}
	how := "Before any service is touched, in this order:\n"
	if !g.result.Changed {
		how = "Nothing would change, so these tasks would not run:\n"
	}
	g.result.Text = how + text.String() + "\n" + g.result.Text
	g.stage().Add("tasks", fmt.Sprintf("%d: %s", len(table.Rows), strings.ToLower(strings.Split(how, ",")[0])))
	g.stage().Blocks = append(g.stage().Blocks, verdict.Block{Title: "One-off tasks", Table: table})
}

// operationOn is a command for one service.
type operationOn func(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result

// each runs a command on every service concurrently and merges the results. A problem with the code harmless counts only if
// all services have it.
func each(ctx context.Context, clients Clients, base clock.Clock, in Input, do operationOn, harmless ...verdict.Code) *Result {
	g := newGroup(clients, base, in)
	if problem := checkNames(g.in.Spec); problem != nil {
		return g.finish(ctx, problem)
	}
	results := make([]*Result, len(g.members))
	var runs []func(clock.Clock)
	for n, m := range g.members {
		runs = append(runs, func(clock clock.Clock) {
			one := m.in
			one.Progress = func(line string) { g.report(m.label, line) }
			results[n] = do(ctx, clients, clock, one)
		})
	}
	inTurns(g.clock, runs...)
	var problems []*verdict.Problem
	quiet := 0
	for n, m := range g.members {
		r := results[n]
		r.Stage.Blocks = slices.DeleteFunc(r.Stage.Blocks, func(b verdict.Block) bool { return b.Title == "Progress" }) // the group has it
		g.add(r, m.label, n > 0)
		if slices.ContainsFunc(harmless, func(c verdict.Code) bool { return c.Name == r.Stage.Code }) {
			quiet++
		}
		problems = append(problems, m.named(r.problems)...)
	}
	if quiet < len(results) {
		problems = slices.DeleteFunc(problems, func(p *verdict.Problem) bool {
			return slices.ContainsFunc(harmless, func(c verdict.Code) bool { return c.Name == p.Code.Name })
		})
	}
	return g.finish(ctx, problems...)
}

// report adds a line of one service's command to the log of all.
func (g *group) report(label, line string) {
	stamp, text, _ := strings.Cut(line, " ")
	line = stamp + " " + label + text
	g.lines = append(g.lines, line)
	if g.in.Progress != nil {
		g.in.Progress(line)
	}
}

// destroyTogether deletes the further services first, because the cluster is deleted with the first one.
func destroyTogether(ctx context.Context, clients Clients, clock clock.Clock, in Input, confirm string, withLogs bool) *Result {
	g := newGroup(clients, clock, in)
	if problems := g.prepare(ctx, false); len(problems) > 0 {
		return g.finish(ctx, problems...)
	}
	var problems []*verdict.Problem
	for n := len(g.members) - 1; n >= 0; n-- {
		m := g.members[n]
		named := *m.plan.Service.ServiceName
		if n == 0 {
			named = confirm
		} else if confirm != *g.plan.Service.ServiceName {
			continue // the first one refuses
		}
		r := Destroy(ctx, clients, clock, m.in, named, withLogs)
		g.add(r, m.label, n > 0)
		problems = append(problems, m.named(r.problems)...)
	}
	if len(problems) == 0 {
		if _, err := g.journal.Read(ctx); err == nil {
			err = g.journal.Record(ctx, journal.Run{Kind: journal.Destroy, Started: g.clock.Server().UTC()})
			if err == nil {
				err = g.journal.End(ctx, journal.Run{Kind: journal.Destroy, Started: g.clock.Server().UTC(), Verdict: journal.Passed})
			}
			if err != nil {
				g.stage().Warn(NotRecorded, "%v", err)
			}
		}
	}
	return g.finish(ctx, problems...)
}

// settleTogether ends an interrupted deploy of several services after a command on their deployments. It is recorded as done
// if all of them serve the new version; if one was rolled back, all are. A run that holds the lock does this itself.
func settleTogether(ctx context.Context, clients Clients, base clock.Clock, in Input, first *Result, rejected bool) *Result {
	g := newGroup(clients, base, in)
	unsettled := slices.ContainsFunc(first.problems, func(p *verdict.Problem) bool { return unfinished(p.Code) })
	if unsettled || len(g.prepare(ctx, false)) > 0 {
		return first
	}
	past, err := g.journal.Read(ctx)
	if err != nil || past.Run == nil || past.Run.Kind != journal.Deploy || g.journal.Held(past) != nil {
		return first
	}
	if first.Stage.Verdict != verdict.Pass && first.Outcome == nil {
		return first // nothing was in progress or visible
	}
	var then *Result
	if rejected || first.Stage.Verdict != verdict.Pass {
		then = rollBackTogether(ctx, clients, base, in)
	} else {
		in.Image = past.Run.Image
		then = deployTogether(ctx, clients, base, in)
	}
	then.Stage.Evidence = append(then.Stage.Evidence, first.Stage.Evidence...)
	then.Stage.Blocks = append(then.Stage.Blocks, first.Stage.Blocks...)
	then.Changed = then.Changed || first.Changed
	problems := append(slices.Clone(first.problems), then.problems...)
	then.Stage.Judge(problems...)
	then.problems = problems
	return then
}
