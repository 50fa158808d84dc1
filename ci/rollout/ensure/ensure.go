// Package ensure brings what a service on ECS needs around it - cluster, log group, task
// definition, load balancer, alarms, scaling - in line with a plan. It reads first, so that
// the difference can be shown, writes only what differs, and never changes a resource
// without the plan's tags. Each step is idempotent: after an interrupted run, the next one
// continues where it stopped.
package ensure

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Action is what is done with a resource.
type Action string

// The actions.
const (
	// Keep leaves it: it is as planned.
	Keep Action = "keep"
	// Adopt uses it unchanged: it belongs to somebody else and can be shared.
	Adopt  Action = "adopt"
	Create Action = "create"
	Update Action = "change"
	// Refuse leaves it and stops the run: it belongs to somebody else and cannot be shared.
	Refuse Action = "refuse"
)

// Owner is whose a resource is.
type Owner string

// The owners of what an adopted service uses.
const (
	// Ours is made here.
	Ours Owner = "ours"
	// Adopted is somebody else's, and gets the new image.
	Adopted Owner = "adopted"
	// LeftAlone is somebody else's, and is used as it is.
	LeftAlone Owner = "left alone"
)

// Change is a resource of the plan, and what is done with it.
type Change struct {
	// Kind is its type, such as "target group".
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Action is what is done with it.
	Action Action `json:"action"`
	// Owner is whose it is, in the plan for an adopted service; empty elsewhere.
	Owner Owner `json:"owner,omitempty"`
	// Differences are those between an existing resource and the plan.
	Differences []Difference `json:"differences,omitempty"`
	// Note explains a difference from the plan that is intended; empty otherwise.
	Note string `json:"note,omitempty"`
	// Kept are differences that stay, because the existing resource is protected better.
	Kept []Difference `json:"kept,omitempty"`
}

// item is a resource with what is needed to bring it in line with the plan.
type item struct {
	Change
	// fixed are differences that AWS cannot change.
	fixed []Difference
	// foreign is why it belongs to somebody else; empty when it is ours or can be shared.
	foreign string
	// warnings describe Kept; %s stands for the name.
	warnings []string
	// write creates or changes it; nil for the service, which the deployment writes.
	write func(context.Context) error
	// when is the point of a rollout at which it is written.
	when point
	// back undoes the write, where the running version depends on it; nil otherwise.
	back func(context.Context) error
}

// point is a point of a rollout.
type point int

const (
	// early is before any task of the new version runs.
	early point = iota
	// soon is right before the service is updated.
	soon
	// late is when the service runs the new version.
	late
)

// State is a plan compared with what exists.
type State struct {
	clients Clients
	plan    *rollout.Plan
	clock   clock.Clock
	// known are the resolved references of the plan.
	known map[string]string
	items []*item
	// service is nil when it does not exist.
	service *types.Service
	// balancer is the host name of the load balancer; empty before it exists.
	balancer string
	// listener is the service's listener after the rollout; nil before it was read.
	listener *elb.CreateListenerInput
	// alarmed are the alarms that guard a deployment and are in ALARM.
	alarmed []string
	// blind is true when the cluster is somebody else's and has no Container Insights.
	blind bool
	// remarks are AWS's messages about writes that succeeded.
	remarks []string
	// Fence is called before every write; its error prevents the write. Nil allows every write.
	Fence   func(context.Context) error
	written []string
	// undo are the items to restore if the old version stays in service.
	undo []*item
}

// Look reads what exists of the plan, and writes nothing. The problem is nil, or LookFailed
// with the call that failed.
func Look(ctx context.Context, clients Clients, clock clock.Clock, plan *rollout.Plan) (*State, *verdict.Problem) {
	s := &State{clients: clients, clock: clock, plan: plan, known: map[string]string{}}
	if plan.Adopts() {
		if err := (services{s}).lookAtAdopted(ctx); err != nil {
			return nil, deployment.ProblemOf(LookFailed, err)
		}
		return s, nil
	}
	for _, look := range []func(context.Context) error{
		foundations{s}.lookAtCluster, foundations{s}.lookAtLogGroup, foundations{s}.lookAtRole, services{s}.lookAtService,
		services{s}.lookAtTaskDefinition, balancers{s}.lookAtBalancing, monitors{s}.lookAtAlarms, monitors{s}.lookAtDashboard,
	} {
		if err := look(ctx); err != nil {
			return nil, deployment.ProblemOf(LookFailed, err)
		}
	}
	services{s}.compareService()
	if err := (scalers{s}).lookAtScaling(ctx); err != nil {
		return nil, deployment.ProblemOf(LookFailed, err)
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

// Unchanged reports whether everything is as planned, so that nothing would be written.
func (s *State) Unchanged() bool {
	return !slices.ContainsFunc(s.items, func(i *item) bool { return i.Action == Create || i.Action == Update })
}

// ServiceUnchanged reports whether the service exists and is as planned, including its task
// definition: no update is needed.
func (s *State) ServiceUnchanged() bool {
	return s.service != nil && slices.ContainsFunc(s.items, func(i *item) bool { return i.Kind == serviceKind && i.Action == Keep })
}

// Problems are why the plan cannot be carried out: resources of somebody else (NotOurs) and
// differences that AWS cannot change (CannotChange).
func (s *State) Problems() []*verdict.Problem {
	var all []*verdict.Problem
	for _, i := range s.items {
		if i.foreign != "" {
			all = append(all, verdict.Problemf(NotOurs, "%s %s: %s", i.Kind, i.Name, i.foreign))
			continue
		}
		for _, d := range i.fixed {
			all = append(all, verdict.Problemf(CannotChange, "%s %s: %s is %s, the plan says %s", i.Kind, i.Name, d.Path, value(d.Have),
				value(d.Want)))
		}
	}
	return all
}

// Before writes what the service needs first. On a problem, what was already written stays,
// and the next run continues from there.
func (s *State) Before(ctx context.Context) *verdict.Problem { return s.apply(ctx, early) }

// Soon writes what the new version needs but does not suit the old one.
func (s *State) Soon(ctx context.Context) *verdict.Problem { return s.apply(ctx, soon) }

// After writes what needs the service or the new version: scaling, and the health check of
// the target group that the old version has left.
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
			return deployment.ProblemOf(WriteFailed, fmt.Errorf("%s %s %s: %w", i.Action, i.Kind, i.Name, err))
		}
		s.written = append(s.written, fmt.Sprintf("%s %s %s", i.Action, i.Kind, i.Name))
		i.Action = Keep
		if i.back != nil {
			s.undo = append(s.undo, i)
		}
	}
	return nil
}

// Back undoes what Soon wrote, for the old version that keeps serving. Other writes do not
// affect it.
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
			return deployment.ProblemOf(WriteFailed, fmt.Errorf("put %s %s back: %w", i.Kind, i.Name, err))
		}
	}
	s.undo = nil
	return nil
}

// Restrict limits the changes to resources of these kinds.
func (s *State) Restrict(kinds ...string) {
	for _, i := range s.items {
		if !slices.Contains(kinds, i.Kind) && (i.Action == Create || i.Action == Update) {
			i.Action, i.Differences, i.fixed = Keep, nil, nil
		}
	}
}

// Service is the service as ECS describes it; nil when it does not exist.
func (s *State) Service() *types.Service { return s.service }

// Alarmed are the rollback alarms that are already in ALARM: ECS then ignores alarms for the
// whole deployment. Other alarms of the plan have no effect on it.
func (s *State) Alarmed() []string { return slices.Clone(s.alarmed) }

// Remarks are AWS's messages about writes that succeeded, such as a dashboard's warnings.
func (s *State) Remarks() []string { return slices.Clone(s.remarks) }

// Written lists the writes so far, such as "create log group /ecs/app".
func (s *State) Written() []string { return slices.Clone(s.written) }

// TaskDefinition is the ARN of the revision to run; empty until Before has registered it.
func (s *State) TaskDefinition() string {
	return s.known[rollout.ARN("task-definition", aws.ToString(s.plan.TaskDefinition.Family))]
}

// Exists reports whether the service is active, so that it is updated and not created.
func (s *State) Exists() bool { return s.service != nil && aws.ToString(s.service.Status) == "ACTIVE" }

// CreateService is the input that creates the service. It fails before Before has created
// what it refers to.
func (s *State) CreateService() (*ecs.CreateServiceInput, error) {
	if s.plan.Adopts() {
		return nil, fmt.Errorf("create service %s: it is somebody else's", aws.ToString(s.plan.Service.ServiceName))
	}
	in := services{s}.wantedService()
	if open := rollout.References(string(wire.JSON(in))); len(open) > 0 {
		return nil, fmt.Errorf("create service %s: %s does not exist yet", aws.ToString(in.ServiceName), strings.Join(open, ", "))
	}
	return in, nil
}

// wantedService is the plan's service with references resolved, and with what is kept of the
// existing one.
func (s services) wantedService() *ecs.CreateServiceInput {
	in := resolve(s.State, s.plan.Service)
	keepWatchers(s.service, in)
	return in
}

// resolve replaces the known references; others stay.
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

// own reports whether the tags are the plan's, and refuses the item if not.
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

// differs records how an existing resource differs from the plan.
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

// notYet are parts of AWS's errors for a role that was created seconds ago and is not visible
// everywhere yet (aws/containers-roadmap#2614, pulumi/pulumi-awsx#927), and for a family of task definitions that another
// caller registers in just now (hashicorp/terraform-provider-aws#9777): a ClientException, which the SDK does not retry.
var notYet = []string{"unable to assume", "Unable to assume", "unable to verify", "service linked role", "Too many concurrent attempts"}

// unsettled are the codes for an earlier write that is not visible everywhere yet, after which a retry
// helps: of Application Auto Scaling (API reference, RegisterScalableTarget), and of IAM for a policy of
// a role that was created a moment ago ("eventually consistent", user guide). The SDK retries none.
var unsettled = []string{"ObjectNotFoundException", "NoSuchEntity", "NoSuchEntityException"}

// busy are the codes for another change of the same resource that is still under way, such as another
// environment's run or a person at the console. The SDK retries none.
var busy = []string{
	"ConcurrentUpdateException",                                 // Application Auto Scaling
	"ConcurrentModification", "ConcurrentModificationException", // IAM
	"OperationAbortedException", // CloudWatch Logs
	"ConflictException",         // CloudWatch, for a dashboard
	"UpdateInProgressException", // ECS, for a cluster
}

const (
	roleDelay    = 5 * time.Second
	roleAttempts = 24
)

// patiently retries a write for up to two minutes while a new role or an earlier write is not
// visible to AWS yet, or another change is under way.
func patiently(ctx context.Context, clock clock.Clock, write func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := write(ctx)
		early := err != nil && (is(err, unsettled...) || is(err, busy...) || slices.ContainsFunc(notYet,
			func(words string) bool { return strings.Contains(err.Error(), words) }))
		if !early || attempt == roleAttempts {
			return err
		}
		if stop := clock.Sleep(ctx, roleDelay); stop != nil {
			return err
		}
	}
}
