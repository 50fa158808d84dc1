package release

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// group is several services and one-off tasks of one image in one call. Its own operation has the journal of the group, the
// log and the stage; each member has those of its service.
//
// The members take turns (see turns), so no locks are needed here.
type group struct {
	*observer
	members []*member
	run     journal.Run
	// tasks is the progress of the one-off tasks, taskProblem the reason why they failed.
	tasks       progress
	taskProblem *verdict.Problem
	outcomes    []taskOutcome
	// stops is set once a rollback has stopped another run's deployment.
	stops bool
}

// progress is the state of a task or member.
type progress int

const (
	waiting progress = iota
	running
	finished
)

// member is one service of a group.
type member struct {
	*observer
	name  string
	after []string
	of    *group
	// arrived is set when the member only waits for the others before its update, or is being updated. ended is set at its
	// end, with its problems.
	arrived, ended bool
	problems       []*verdict.Problem
}

// newGroup returns the operations on all services. Each has its own journal besides that of the group.
func newGroup(clients Clients, clock clock.Clock, in Input) *group {
	all := in.Spec.Each()
	first := in
	first.Spec = all[0]
	g := &group{observer: newOperation(clients, clock, first)}
	for n, one := range all {
		m := &member{name: one.Service, of: g}
		m.observer = newOperation(clients, clock, g.inputOf(in, one, n))
		m.group, m.member, m.further = g, m, n > 0
		if n > 0 {
			m.after = in.Spec.Services[n-1].After
		}
		if len(all) > 1 {
			m.label = one.Service + ": "
		}
		g.members = append(g.members, m)
	}
	g.in.Spec.Tasks, g.in.Spec.Services = in.Spec.Tasks, in.Spec.Services
	return g
}

// inputOf returns the input of one service. Its log lines go to the group's log.
func (g *group) inputOf(in Input, one spec.Spec, n int) Input {
	in.Spec = one
	if n > 0 {
		in.Smoke, in.TaskFile = "", nil
	}
	in.Progress = func(line string) {
		g.lines = append(g.lines, line)
		if g.in.Progress != nil {
			g.in.Progress(line)
		}
	}
	return in
}

// prepare makes the plans and opens the journals.
func (g *group) prepare(ctx context.Context, needImage bool) []*verdict.Problem {
	var all []*verdict.Problem
	if problem := checkNames(g.in.Spec); problem != nil {
		return []*verdict.Problem{problem}
	}
	for n, m := range g.members {
		problems := m.operation.prepare(ctx, needImage)
		if n == 0 && len(problems) > 0 {
			return problems // most likely the same for all
		}
		all = append(all, m.named(problems)...)
	}
	if len(all) > 0 {
		return all
	}
	g.plan, g.result.Plan = g.members[0].plan, g.members[0].plan
	g.clock = g.members[0].clock
	if g.in.Journal == "" && g.compares {
		return nil
	}
	var problem *verdict.Problem
	// Names of services contain no dot.
	g.journal, problem = journal.Open(g.clients.Objects, g.clock, journal.Options{Root: g.in.Journal, App: g.in.Spec.Application,
		Environment: g.plan.Environment, Service: *g.plan.Service.ServiceName + ".services", Name: g.in.Name})
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	return nil
}

// named adds the service's name to problems if there are several services.
func (m *member) named(problems []*verdict.Problem) []*verdict.Problem {
	for _, p := range problems {
		if m.label != "" && !strings.HasPrefix(p.Cause, m.label) {
			p.Cause = m.label + p.Cause
		}
	}
	return problems
}

// arrive records that the member's deployment continues.
func (m *member) arrive() {
	if m != nil {
		m.arrived = true
	}
}

// changed reports whether the member's service was updated to the new version.
func (m *member) changed() bool {
	return m.result.Outcome != nil && !m.result.Outcome.Unchanged && m.result.Outcome.Deployment != ""
}

// failed returns the first problem that ends the whole deploy, or nil. A run that was interrupted or waits for an approval
// has not failed.
func (g *group) failed() *verdict.Problem {
	if g.taskProblem != nil && !unfinished(g.taskProblem.Code) {
		return g.taskProblem
	}
	for _, m := range g.members {
		for _, p := range m.problems {
			if !unfinished(p.Code) && p.Code.Name != deployment.WithOthers.Name {
				return p
			}
		}
	}
	return nil
}

// open returns the first problem of a run that has not ended.
func (g *group) open() *verdict.Problem {
	if g.taskProblem != nil && unfinished(g.taskProblem.Code) {
		return g.taskProblem
	}
	for _, m := range g.members {
		for _, p := range m.problems {
			if unfinished(p.Code) {
				return p
			}
		}
	}
	return nil
}

// abort returns why a member in progress must be rolled back, or nil if no other member failed.
func (m *member) abort() *verdict.Problem {
	if why := m.of.failed(); why != nil {
		return verdict.Problemf(deployment.WithOthers, "another service of the same deploy failed: %s %s", why.Code.Name, why.Cause)
	}
	return nil
}

// gatePoll is the interval at which the other services are checked.
const gatePoll = 5 * time.Second

// gate lets a member update its service once all other members are ready to, all tasks have succeeded, and its predecessors
// have been deployed.
func (g *group) gate(ctx context.Context, m *member) *verdict.Problem {
	m.arrive()
	told := false
	for {
		why := g.mayGo(ctx, m)
		if why.problem != nil || why.waits == "" {
			return why.problem
		}
		if !told {
			m.log("waiting: %s", why.waits)
			told = true
		}
		if err := m.clock.Sleep(ctx, gatePoll); err != nil {
			return verdict.Problemf(deployment.Interrupted, "%v, before the service was touched", err)
		}
		if err := m.fence(ctx); err != nil {
			return asProblem(err)
		}
	}
}

// verdictOfGate returns why a member may not continue, or what it waits for. If both are empty, it may.
type verdictOfGate struct {
	problem *verdict.Problem
	waits   string
}

func (g *group) mayGo(ctx context.Context, m *member) verdictOfGate {
	if why := cmp.Or(g.failed(), g.open()); why != nil {
		return verdictOfGate{problem: verdict.Problemf(deployment.WithOthers, "the service was not touched, as the same deploy failed before: %s",
			why.Code.Name)}
	}
	for _, other := range g.members {
		if !other.arrived && !other.ended {
			return verdictOfGate{waits: "service " + other.name + " is not ready"}
		}
	}
	if g.tasks == waiting {
		g.tasks = running
		g.taskProblem = g.runTasks(ctx, m)
		g.tasks = finished
		return g.mayGo(ctx, m)
	}
	if g.tasks == running {
		return verdictOfGate{waits: "the tasks run"}
	}
	for _, other := range g.members {
		if slices.Contains(m.after, other.name) && !other.ended {
			return verdictOfGate{waits: "service " + other.name + " goes first"}
		}
	}
	return verdictOfGate{}
}

// serving returns the task definitions that the services were last updated to; empty for a service that does not exist.
func (g *group) serving() map[string]string {
	all := map[string]string{}
	for _, m := range g.members {
		all[m.name] = ""
		if m.state != nil && m.state.Exists() {
			all[m.name] = aws.ToString(m.state.Service().TaskDefinition)
		}
	}
	return all
}

// joined names a release of several services in the form of a task definition's name.
func joined(definitions map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		all = append(all, name+"="+definitions[name])
	}
	return strings.Join(all, " ")
}

// close releases the members' locks.
func (g *group) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	for _, m := range g.members {
		if m.journal == nil {
			continue
		}
		if err := m.journal.Release(ctx); err != nil {
			m.log("the lock could not be released: %v", err)
		}
	}
}

// collect adds the members' findings to the group's stage.
func (g *group) collect() []*verdict.Problem {
	var problems []*verdict.Problem
	for n, m := range g.members {
		g.add(m.result, m.label, n > 0)
		problems = append(problems, m.problems...)
	}
	// Failures come before services that were only rolled back with them.
	slices.SortStableFunc(problems, func(a, b *verdict.Problem) int { return along(a) - along(b) })
	return problems
}

func along(p *verdict.Problem) int {
	if p.Code.Name == deployment.WithOthers.Name {
		return 1
	}
	return 0
}

// add adds the result for one service to the group's.
func (g *group) add(r *Result, label string, further bool) {
	stage, from := g.stage(), r.Stage
	for _, e := range from.Evidence {
		if further && (e.Name == "account" || e.Name == "image") {
			continue // the first result has it
		}
		if e.Name != "account" && e.Name != "image" {
			e.Name = label + e.Name
		}
		stage.Evidence = append(stage.Evidence, e)
	}
	for _, w := range from.Warnings {
		w.Cause = label + w.Cause
		stage.Warnings = append(stage.Warnings, w)
	}
	for _, b := range from.Blocks {
		b.Title = label + b.Title
		stage.Blocks = append(stage.Blocks, b)
	}
	for _, f := range from.Files {
		if further {
			f.Path = strings.Replace(f.Path, "rollout/", "rollout/"+strings.TrimSuffix(label, ": ")+"/", 1)
		}
		stage.Files = append(stage.Files, f)
	}
	for _, p := range from.Published {
		if !slices.Contains(stage.Published, p) {
			stage.Published = append(stage.Published, p)
		}
	}
	g.result.Changes = append(g.result.Changes, r.Changes...)
	g.result.Changed = g.result.Changed || r.Changed
	if r.Text != "" {
		if label != "" {
			g.result.Text += fmt.Sprintf("# Service %s\n", strings.TrimSuffix(label, ": "))
		}
		g.result.Text += r.Text
		if label != "" && !strings.HasSuffix(g.result.Text, "\n\n") {
			g.result.Text += "\n"
		}
	}
	bad := r.Outcome != nil && r.Outcome.Problem != nil
	if r.Outcome != nil && (g.result.Outcome == nil || bad && g.result.Outcome.Problem == nil) {
		g.result.Outcome, stage.Deployment = r.Outcome, from.Deployment
	}
}
