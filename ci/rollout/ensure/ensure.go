// Package ensure makes what a service on ECS needs around it - cluster, log group, task
// definition, load balancer, alarms, scaling - equal to a plan. It looks first, so that
// the difference can be shown; what is equal is not written; what does not carry the
// plan's tags is never changed. Each step can be repeated: a run that ended anywhere is
// gone on with by the next.
package ensure

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/wire"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Action says what becomes of a resource.
type Action string

// The actions.
const (
	// Keep leaves it: it is as the plan says.
	Keep Action = "keep"
	// Adopt uses it as it is: it belongs to somebody else, who may share it.
	Adopt  Action = "adopt"
	Create Action = "create"
	Update Action = "change"
	// Refuse leaves it and ends the run: it belongs to somebody else, and must not.
	Refuse Action = "refuse"
)

// Change is a resource of the plan, and what becomes of it.
type Change struct {
	// Kind and Name say what it is.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Action is what becomes of it.
	Action Action `json:"action"`
	// Differences are between what is and what the plan says, when both exist.
	Differences []Difference `json:"differences,omitempty"`
	// Note says why it is not as the plan says, where that is right; empty otherwise.
	Note string `json:"note,omitempty"`
	// Kept are differences that stay: what exists protects more than the plan.
	Kept []Difference `json:"kept,omitempty"`
}

// item is a resource on its way from what is to what the plan says.
type item struct {
	Change
	// fixed are differences that AWS cannot change.
	fixed []Difference
	// foreign says why it is not ours, and must be.
	foreign string
	// warnings say what of it stays although the plan has less; %s is its name.
	warnings []string
	// write makes or changes it; nil for the service, which the deployment writes.
	write func(context.Context) error
	// when says at which point of a rollout it is written.
	when point
	// back undoes the write, where what runs depends on how it was; nil for all others.
	back func(context.Context) error
}

// point is a point of a rollout.
type point int

const (
	// early is before anything of the new version runs.
	early point = iota
	// soon is right before the service is updated.
	soon
	// late is when the service is there, and runs the new version.
	late
)

// State is what exists of a plan.
type State struct {
	clients Clients
	plan    *rollout.Plan
	clock   Clock
	// known are the plan's references with what they stand for.
	known map[string]string
	items []*item
	// service is nil when there is none.
	service *types.Service
	// balancer is the address of the load balancer; empty while there is none.
	balancer string
	// listener is what the service is behind after the rollout; nil before it was looked at.
	listener *elb.CreateListenerInput
	// alarmed are the alarms that guard a deployment and are in ALARM.
	alarmed []string
	// blind says that the cluster is somebody else's and has no Container Insights.
	blind bool
	// remarks are what AWS said of a write that it carried out.
	remarks []string
	// Fence is asked before every write; its error keeps the write from being made. Nil lets
	// every write pass.
	Fence   func(context.Context) error
	written []string
	// undo are the items that are to be as they were where the old version goes on.
	undo []*item
}

// Look asks AWS what exists of the plan, and writes nothing. The problem is nil or says
// what could not be asked.
func Look(ctx context.Context, clients Clients, clock Clock, plan *rollout.Plan) (*State, *verdict.Problem) {
	s := &State{clients: clients, clock: clock, plan: plan, known: map[string]string{}}
	for _, look := range []func(context.Context) error{
		foundations{s}.lookAtCluster, foundations{s}.lookAtLogGroup, foundations{s}.lookAtRole, services{s}.lookAtService, services{s}.lookAtTaskDefinition, balancers{s}.lookAtBalancing, monitors{s}.lookAtAlarms, monitors{s}.lookAtDashboard,
	} {
		if err := look(ctx); err != nil {
			return nil, verdict.Problemf(LookFailed, "%v", err)
		}
	}
	services{s}.compareService()
	if err := (scalers{s}).lookAtScaling(ctx); err != nil {
		return nil, verdict.Problemf(LookFailed, "%v", err)
	}
	return s, nil
}

// Changes are all resources of the plan, in the order in which they are written.
func (s *State) Changes() []Change {
	all := make([]Change, 0, len(s.items))
	for _, i := range s.items {
		all = append(all, i.Change)
	}
	return all
}

// Unchanged says that everything is as the plan says: nothing would be written.
func (s *State) Unchanged() bool {
	return !slices.ContainsFunc(s.items, func(i *item) bool { return i.Action == Create || i.Action == Update })
}

// ServiceUnchanged says that the service is there and as the plan says, including what it
// runs: no update of it is needed.
func (s *State) ServiceUnchanged() bool {
	return s.service != nil && slices.ContainsFunc(s.items, func(i *item) bool { return i.Kind == serviceKind && i.Action == Keep })
}

// Problems are why the plan cannot be carried out: what belongs to somebody else, and
// what AWS cannot change.
func (s *State) Problems() []*verdict.Problem {
	var all []*verdict.Problem
	for _, i := range s.items {
		if i.foreign != "" {
			all = append(all, verdict.Problemf(NotOurs, "%s %s: %s", i.Kind, i.Name, i.foreign))
			continue
		}
		for _, d := range i.fixed {
			all = append(all, verdict.Problemf(CannotChange, "%s %s: %s is %s, the plan says %s", i.Kind, i.Name, d.Path, value(d.Have), value(d.Want)))
		}
	}
	return all
}

// Before writes what the service needs to be there first. The problem says what was
// refused; what was written before it stays, and the next run goes on from there.
func (s *State) Before(ctx context.Context) *verdict.Problem { return s.apply(ctx, early) }

// Soon writes what the new version needs and the old one can hardly do with.
func (s *State) Soon(ctx context.Context) *verdict.Problem { return s.apply(ctx, soon) }

// After writes what needs the service, or the version that now runs: its scaling, and the
// health check of the target group that the old version has left.
func (s *State) After(ctx context.Context) *verdict.Problem { return s.apply(ctx, late) }

func (s *State) apply(ctx context.Context, until point) *verdict.Problem {
	if problems := s.Problems(); len(problems) > 0 {
		return problems[0]
	}
	for _, i := range s.items {
		if i.when > until || i.write == nil || i.Action != Create && i.Action != Update {
			continue
		}
		err := ctx.Err()
		if err == nil && s.Fence != nil {
			err = s.Fence(ctx)
		}
		if err == nil {
			err = patiently(ctx, s.clock, i.write)
		}
		if err != nil {
			return verdict.Problemf(WriteFailed, "%s %s %s: %v", i.Action, i.Kind, i.Name, err)
		}
		s.written = append(s.written, fmt.Sprintf("%s %s %s", i.Action, i.Kind, i.Name))
		i.Action = Keep
		if i.back != nil {
			s.undo = append(s.undo, i)
		}
	}
	return nil
}

// Back puts back what the old version needs as it was, which goes on serving. What else was
// written does it no harm.
func (s *State) Back(ctx context.Context) *verdict.Problem {
	for _, i := range s.undo {
		var err error
		if s.Fence != nil {
			err = s.Fence(ctx)
		}
		if err == nil {
			err = i.back(ctx)
		}
		if err != nil {
			return verdict.Problemf(WriteFailed, "put %s %s back: %v", i.Kind, i.Name, err)
		}
	}
	s.undo = nil
	return nil
}

// Restrict leaves everything as it is but resources of these kinds.
func (s *State) Restrict(kinds ...string) {
	for _, i := range s.items {
		if !slices.Contains(kinds, i.Kind) && (i.Action == Create || i.Action == Update) {
			i.Action, i.Differences, i.fixed = Keep, nil, nil
		}
	}
}

// Service is what ECS describes; nil when there is none.
func (s *State) Service() *types.Service { return s.service }

// Alarmed are the alarms that guard the deployment and are in ALARM already: ECS then
// ignores alarms for the whole deployment. The plan's other alarms do not matter to it.
func (s *State) Alarmed() []string { return slices.Clone(s.alarmed) }

// Remarks are what AWS said of writes that it carried out all the same, in words.
func (s *State) Remarks() []string { return slices.Clone(s.remarks) }

// Written lists what was written so far, in words.
func (s *State) Written() []string { return slices.Clone(s.written) }

// TaskDefinition is the ARN of the revision to run; empty until Before has made it.
func (s *State) TaskDefinition() string {
	return s.known[rollout.ARN("task-definition", aws.ToString(s.plan.TaskDefinition.Family))]
}

// Exists says that the service is there, and is to be updated and not created.
func (s *State) Exists() bool { return s.service != nil && aws.ToString(s.service.Status) == "ACTIVE" }

// CreateService is the input that makes the service, when there is none. It can be used
// after Before; what it refers to is then there.
func (s *State) CreateService() (*ecs.CreateServiceInput, error) {
	in := services{s}.wantedService()
	if open := rollout.References(string(wire.JSON(in))); len(open) > 0 {
		return nil, fmt.Errorf("create service %s: %s does not exist yet", aws.ToString(in.ServiceName), strings.Join(open, ", "))
	}
	return in, nil
}

// wantedService is the plan's service with what is known, and with what is kept of the one
// that exists.
func (s services) wantedService() *ecs.CreateServiceInput {
	in := resolve(s.State, s.plan.Service)
	keepWatchers(s.service, in)
	return in
}

// resolve replaces references by what they stand for; those that are not known stay.
func resolve[T any](s *State, in T) T {
	return wire.Replace(in, func(text string) string {
		for _, reference := range rollout.References(text) {
			if value, known := s.known[reference]; known {
				text = strings.ReplaceAll(text, reference, value)
			}
		}
		return text
	})
}

func (s *State) add(kind, name string) *item {
	i := &item{Change: Change{Kind: kind, Name: name, Action: Keep}}
	s.items = append(s.items, i)
	return i
}

// own marks what exists as ours, or as somebody else's.
func (s *State) own(i *item, tags map[string]string) bool {
	want := s.plan.Ownership()
	for key, value := range want {
		if tags[key] != value {
			var all []string
			for _, key := range slices.Sorted(maps.Keys(want)) {
				all = append(all, key+"="+want[key])
			}
			i.Action = Refuse
			i.foreign = "it exists and is not tagged " + strings.Join(all, ", ")
			return false
		}
	}
	return true
}

// differs marks what exists by how it differs from the plan.
func (i *item) differs(all []Difference, immutable ...string) {
	for _, d := range all {
		if slices.Contains(immutable, d.Path) {
			i.fixed = append(i.fixed, d)
		}
	}
	i.Differences = append(i.Differences, all...)
	if len(i.Differences) > 0 {
		i.Action = Update
	}
}

// The words in which services of AWS say that a role is not known to them yet: a new role
// takes seconds to be (aws/containers-roadmap#2614, pulumi/pulumi-awsx#927).
var notYet = []string{"unable to assume", "Unable to assume", "unable to verify", "service linked role"}

// unsettled are the codes by which Application Auto Scaling says that an earlier write is not
// known everywhere, or not done: "there might be a brief delay until the operation achieves
// eventual consistency", after which a retry helps (API reference, RegisterScalableTarget). The
// SDK retries neither.
var unsettled = []string{"ObjectNotFoundException", "ConcurrentUpdateException"}

const (
	roleDelay    = 5 * time.Second
	roleAttempts = 24
)

// patiently repeats a write while AWS does not know a new role or an earlier write yet, for
// two minutes.
func patiently(ctx context.Context, clock Clock, write func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := write(ctx)
		early := err != nil && (is(err, unsettled...) || slices.ContainsFunc(notYet, func(words string) bool { return strings.Contains(err.Error(), words) }))
		if !early || attempt == roleAttempts {
			return err
		}
		if stop := clock.Sleep(ctx, roleDelay); stop != nil {
			return err
		}
	}
}
