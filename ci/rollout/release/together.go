package release

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/oneoff"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// deployTogether deploys several services of one image. No service is updated before each trial and every one-off task has
// passed. If one fails after that, the others return to their previous release.
func deployTogether(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result {
	g := newGroup(clients, clock, in)
	if problems := g.prepare(ctx, true); len(problems) > 0 {
		return g.finish(ctx, problems...)
	}
	for _, m := range g.members {
		m.plan.Warn(m.stage())
		m.plan.Storage(m.stage())
		m.stage().Files = append(m.stage().Files, m.plan.Files()...)
	}
	g.stage().Gate("image", g.plan.Image.Written(), "pinned by digest", true)
	problems := g.optimistic(ctx, g.deploy)
	g.close(ctx)
	problems = append(problems, g.collect()...)
	g.taskEvidence()
	return g.finish(ctx, distinct(problems)...)
}

func distinct(all []*verdict.Problem) []*verdict.Problem {
	var out []*verdict.Problem
	for _, p := range all {
		if p != nil && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// checkNames refuses services with equal names, and services that wait for each other.
func checkNames(s spec.Spec) *verdict.Problem {
	names := s.NamesOf()
	bad := func(format string, args ...any) *verdict.Problem {
		return verdict.Problemf(rollout.PlanInvalid, format, args...)
	}
	for n, name := range names {
		if slices.Contains(names[:n], name) {
			return bad("rollout.services: %q is there twice", name)
		}
	}
	for _, more := range s.Services {
		if s.Adopt != "" && (more.NoPort || len(more.Command) > 0 || more.CPU+more.Memory+more.Desired > 0) {
			return bad("rollout.services: service %s is adopted, so port, command, cpu, memory and desired stay as they are there", more.Name)
		}
		for _, before := range more.After {
			if !slices.Contains(names, before) {
				return bad("rollout.services: %s is to go after %q, and there is no such service", more.Name, before)
			}
		}
	}
	if circle := s.Circle(); circle != "" {
		return bad("rollout.services: %s waits for itself", circle)
	}
	seen := map[string]bool{}
	for _, task := range s.Tasks {
		switch {
		case task.Name == "" || seen[task.Name]:
			return bad("rollout.tasks: %q is no name of its own", task.Name)
		case len(task.Command) == 0:
			return bad("rollout.tasks: task %s has no command", task.Name)
		case task.Service != "" && !slices.Contains(names, task.Service):
			return bad("rollout.tasks: task %s runs as service %q, and there is no such service", task.Name, task.Service)
		}
		seen[task.Name] = true
	}
	return nil
}

func (g *group) deploy(ctx context.Context) []*verdict.Problem {
	if problem := (deployer{g.observer}).checkPromotion(ctx); problem != nil {
		return []*verdict.Problem{problem}
	}
	asPlanned := g.past.Run == nil
	for _, m := range g.members {
		past, err := m.journal.Read(ctx)
		if err != nil {
			return []*verdict.Problem{journal.Problem(err)}
		}
		m.past = past
		if problems := m.compare(ctx); len(problems) > 0 {
			return m.named(problems)
		}
		asPlanned = asPlanned && deployer{m.observer}.asPlanned()
	}
	if last := g.past.Last(); asPlanned && last != nil && last.TaskDefinition == joined(g.serving()) {
		g.tasks = finished
		g.eachInTurn(ctx, g.deployMember)
		return nil
	}
	g.run = journal.Run{Kind: journal.Deploy, Image: g.plan.Image.Written(), ConfigHash: g.plan.ConfigHash, Commit: g.in.Commit,
		Override: g.in.Override, Started: g.clock.Server().UTC(), Before: g.serving()}
	if open := g.past.Run; open != nil && open.Before != nil {
		if done, problems := g.resume(ctx, *open); done {
			return problems
		}
	}
	g.run.Previous = joined(g.run.Before)
	if problem := g.journalProblem(ctx, g.journal.Record(ctx, g.run)); problem != nil {
		return []*verdict.Problem{problem}
	}
	g.eachInTurn(ctx, g.deployMember)
	return g.settle(ctx)
}

// resume continues an interrupted deploy. The first result is true if only its end remains to be recorded.
func (g *group) resume(ctx context.Context, open journal.Run) (bool, []*verdict.Problem) {
	g.stage().Warn(Resumed, "%s of %s by %s, started %s", open.Kind, open.Image, open.By, stamp(open.Started))
	g.log("found the record of an interrupted run: %s of %s, started %s", open.Kind, open.Image, stamp(open.Started))
	if open.Kind != journal.Deploy {
		return false, nil
	}
	g.run.Before = open.Before // all of them serve their previous release
	if open.Image != g.run.Image {
		return false, nil
	}
	g.run.Started, g.run.Tasks = open.Started, open.Tasks
	if open.Verdict == "" {
		return false, nil
	}
	// It had failed, and some of its services may not be rolled back yet.
	g.run.Verdict, g.run.Code, g.run.Cause = open.Verdict, open.Code, open.Cause
	problem := verdict.Problemf(deployment.RolledBack, "the interrupted run had failed: %s: %s", open.Code, open.Cause)
	return true, append([]*verdict.Problem{problem}, g.endFailed(ctx)...)
}

// eachInTurn runs the members concurrently.
func (g *group) eachInTurn(ctx context.Context, do func(context.Context, *member)) {
	var runs []func(clock.Clock)
	for _, m := range g.members {
		runs = append(runs, func(turns clock.Clock) {
			m.clock = awsclock.Of(turns)
			do(ctx, m)
		})
	}
	inTurns(g.clock, runs...)
}

func (g *group) deployMember(ctx context.Context, m *member) {
	problems := m.optimistic(ctx, deployer{m.observer}.deploy)
	m.problems, m.ended = m.named(problems), true
}

// settle ends the run of all services.
func (g *group) settle(ctx context.Context) []*verdict.Problem {
	if why := g.failed(); why != nil {
		g.run.Verdict, g.run.Code, g.run.Cause = string(why.Code.Outcome), why.Code.Name, why.Cause
		if err := g.journal.Record(ctx, g.run); err != nil {
			g.stage().Warn(NotRecorded, "%v", err)
		}
		return append([]*verdict.Problem{g.taskProblem}, g.endFailed(ctx)...)
	}
	if why := g.open(); why != nil {
		return []*verdict.Problem{g.taskProblem} // the record stays, so that the next run resumes it
	}
	g.run.Services = map[string]string{}
	for _, m := range g.members {
		g.run.Services[m.name] = m.state.TaskDefinition()
	}
	g.run.TaskDefinition = joined(g.run.Services)
	return g.record(ctx, g.run, &deployment.Outcome{})
}

// endFailed rolls back what was deployed, and records the end.
func (g *group) endFailed(ctx context.Context) []*verdict.Problem {
	problems := g.goBack(ctx, g.run.Before)
	if slices.ContainsFunc(problems, func(p *verdict.Problem) bool { return unfinished(p.Code) }) {
		return problems // the record stays
	}
	if err := g.journal.End(ctx, g.run); err != nil {
		g.stage().Warn(NotRecorded, "%v", err)
	}
	return problems
}

// taskOutcome is a task with its result.
type taskOutcome struct {
	spec.Task
	*oneoff.Outcome
}

// runTasks runs the one-off tasks in order until one fails. by is the member whose turn it is.
func (g *group) runTasks(ctx context.Context, by *member) *verdict.Problem {
	for _, task := range g.in.Spec.Tasks {
		of := g.members[0]
		for _, m := range g.members {
			if m.name == task.Service {
				of = m
			}
		}
		timeout := task.Timeout
		if timeout <= 0 {
			timeout = spec.DefaultTaskTimeout
		}
		in := *of.plan.Trial.Task
		in.TaskDefinition = aws.String(of.state.TaskDefinition())
		in.StartedBy = aws.String(of.plan.TaskStartedBy())
		outcome := oneoff.Run(ctx, g.clients.ECS, by.clock, oneoff.Request{
			Name: task.Name, Command: task.Command, Task: &in, Container: of.plan.Container(), Timeout: timeout,
			Release: g.run.Started.Format(time.RFC3339Nano) + "/" + g.run.Image, Known: recorded(g.run, task.Name, *in.TaskDefinition),
			Record: g.recordTask, Fence: by.fence, Logs: of.logs, Progress: func(text string) { of.log("%s", text) },
		})
		g.outcomes = append(g.outcomes, taskOutcome{task, outcome})
		if outcome.Problem != nil {
			return outcome.Problem
		}
	}
	return nil
}

// recorded returns what an interrupted run of this release recorded about a task.
func recorded(run journal.Run, name, definition string) journal.Task {
	for _, t := range run.Tasks {
		if t.Name == name && t.TaskDefinition == definition {
			return t
		}
	}
	return journal.Task{}
}

func (g *group) recordTask(ctx context.Context, t journal.Task) error {
	g.run.Tasks = slices.DeleteFunc(slices.Clone(g.run.Tasks), func(old journal.Task) bool { return old.Name == t.Name })
	g.run.Tasks = append(g.run.Tasks, t)
	if problem := g.journalProblem(ctx, g.journal.Record(ctx, g.run)); problem != nil {
		return problem
	}
	return nil
}

// taskEvidence reports the one-off tasks.
func (g *group) taskEvidence() {
	if len(g.outcomes) == 0 {
		return
	}
	table := &verdict.Table{Columns: []string{"Task", "Command", "Result", "Reason"}}
	for _, o := range g.outcomes {
		how := oneoff.Describe(o.Outcome.Task)
		if o.Before {
			how += ", in an interrupted run"
		}
		g.stage().Gate("task "+o.Name, how, "exit code 0", o.Problem == nil)
		table.Rows = append(table.Rows, []string{o.Name, strings.Join(o.Command, " "), how, o.Outcome.Task.Reason})
	}
	g.stage().Blocks = append(g.stage().Blocks, verdict.Block{Title: "One-off tasks", Table: table})
	for _, o := range g.outcomes {
		if len(o.Log) > 0 {
			g.stage().Blocks = append(g.stage().Blocks, verdict.Block{Title: fmt.Sprintf("Last lines of task %s", o.Name),
				Log: strings.Join(o.Log, "\n")})
		}
	}
}
