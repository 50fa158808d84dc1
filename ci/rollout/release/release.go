// Package release has the commands for one service on ECS: deploy, plan, roll back, approve,
// reject, wait, status, prune and destroy. It combines the plan (rollout), the resources around
// the service (ensure), the update and its verdict (deployment), and the lock and history
// (journal).
//
// Every function returns a result with a judged stage, never an error. Each can be interrupted at
// any point and called again.
package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/analysis"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Input is the service to operate on, and the options.
type Input struct {
	// Input is the input of the plan. Functions that deploy nothing need no image.
	rollout.Input
	// Journal is s3://bucket/prefix for the lock and the records; it defaults to the configuration's.
	Journal string
	// Name identifies this run in the lock.
	Name string
	// Override is the reason to deploy an image to production that staging has not run. Without a reason such an image is
	// refused.
	Override string
	// InFlight chooses what happens to another version's deployment. By default one that our interrupted run left is awaited,
	// and any other is refused.
	InFlight deployment.InFlight
	// OnTimeout chooses what happens to a deployment that does not end in time.
	OnTimeout deployment.Policy
	// AwaitApproval makes the run wait at a pause until somebody answers it.
	AwaitApproval bool
	// LockWait is how long to wait for another run's lock; 0 means until an interrupted run's lock expires, a negative
	// duration means not at all.
	LockWait time.Duration
	// Smoke is the URL for the smoke test. It defaults to the configuration's, or else to the load balancer with the health
	// path; "none" disables the test.
	Smoke string
	// Index tells whether the image is an index of several platforms.
	Index Index
	// Get requests a URL and fails unless the status is 200; nil uses HTTP.
	Get func(ctx context.Context, address string) error
	// HTTP is the client for Prometheus; nil is a client with a timeout of 10 seconds.
	HTTP *http.Client
	// Progress receives each line of the log; it may be nil.
	Progress func(string)
}

// Result is the result of a command.
type Result struct {
	// Stage is the verdict with its evidence.
	Stage verdict.Stage
	// Plan is the desired state; nil if the input is invalid.
	Plan *rollout.Plan
	// Changes are the differences between what exists and the plan, if they were compared.
	Changes []ensure.Change
	// Changed is set if anything was changed, or would be.
	Changed bool
	// Text has the changes as a diff, or describes the state.
	Text string
	// Outcome is the result of the deployment, or nil. For several services it is that of the first one, or of the first that
	// failed.
	Outcome *deployment.Outcome

	problems []*verdict.Problem
}

// operation is one call of this package.
type operation struct {
	clients Clients
	clock   *awsclock.Clock
	in      Input
	plan    *rollout.Plan
	journal *journal.Journal
	// past is the journal as read.
	past   journal.State
	state  *ensure.State
	result *Result
	lines  []string
	// holder is the run that holds the lock while this one acts alongside it, or nil.
	holder *journal.Holder
	// analyzer measures the new version; nil without an analysis.
	analyzer *analysis.Analyzer
	// compares is set for a plan, which writes nothing.
	compares bool
	// checkedIndex is set once the platforms of the index were checked.
	checkedIndex bool
	// warned is set once the warnings of the account were reported.
	warned bool
	// lastSmoke is the last result of the smoke test; nil before the first.
	lastSmoke *smokeResult
	// journalMoved is set if another run wrote to the journal before this one held the lock.
	journalMoved bool
	// group has the services that are deployed together with this one, or is nil. further is set for all but the first; label
	// is the service's name in the log.
	group   *group
	member  *member
	further bool
	label   string
}

// observer reads the state of the service from AWS and reports it.
type observer struct{ *operation }

// Roles of the commands; all act on the same operation.
type (
	// deployer updates the service and what surrounds it.
	deployer struct{ *observer }
	// rollbacker restores an earlier release.
	rollbacker struct{ *observer }
	// trialRollback ends a run whose trial has not reached the service yet.
	trialRollback struct{ *observer }
	// trials runs trial tasks and waits for those of other runs.
	trials struct{ *observer }
	// onlooker follows a deployment of another run, with or without that run's lock.
	onlooker struct{ *observer }
	// approver answers pauses.
	approver struct{ *observer }
)

func newOperation(clients Clients, clock clock.Clock, in Input) *observer {
	in.Journal = cmp.Or(in.Journal, in.Spec.Journal)
	in.Smoke = cmp.Or(in.Smoke, in.Spec.Smoke)
	return &observer{&operation{clients: clients, clock: awsclock.Of(clock), in: in,
		result: &Result{Stage: verdict.Stage{Name: verdict.Deploy}}}}
}

func (o *operation) stage() *verdict.Stage { return &o.result.Stage }

// finish judges the stage and releases the lock, even if the context has ended.
func (o *operation) finish(ctx context.Context, problems ...*verdict.Problem) *Result {
	if o.journal != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		if err := o.journal.Release(ctx); err != nil && !errors.Is(err, journal.ErrMoved) {
			o.stage().Warn(NotRecorded, "%v", err)
		}
	}
	if skew := o.clock.Skew("AWS's"); skew != "" {
		o.stage().Warn(ClockSkew, "%s", skew)
	}
	if len(o.lines) > 0 {
		o.stage().Blocks = append(o.stage().Blocks, verdict.Block{Title: "Progress", Log: strings.Join(o.lines, "\n")})
	}
	// The summary of a stage shows only the first gates, so results come before facts that the caller knows.
	slices.SortStableFunc(o.stage().Evidence, func(a, b verdict.Evidence) int { return known(a) - known(b) })
	o.stage().Judge(problems...)
	o.result.problems = problems
	return o.result
}

func known(e verdict.Evidence) int {
	if e.Name == "account" || e.Name == "image" {
		return 1
	}
	return 0
}

func (o *operation) log(format string, args ...any) {
	line := verdict.Line(o.clock.Server().UTC().Format("15:04:05")+" "+o.label+fmt.Sprintf(format, args...), 1000)
	o.lines = append(o.lines, line)
	if o.in.Progress != nil {
		o.in.Progress(line)
	}
}

// emptyDigest is the SHA-256 of empty content, for plans that are made only for their names and never deployed.
const emptyDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// NamesOnly returns the input of a plan that is made only for its names. Without an image it gets one that no registry has.
func NamesOnly(in rollout.Input) rollout.Input {
	if in.Image == "" {
		in.Image = in.Spec.App.Repository + "@" + emptyDigest
	}
	return in
}

// prepare makes the plan and checks the account. It calls only STS.
func (o *operation) prepare(ctx context.Context, needImage bool) []*verdict.Problem {
	if err := ctx.Err(); err != nil {
		return []*verdict.Problem{verdict.Problemf(rollout.Cancelled, "%v", err)}
	}
	if o.in.Environment == rollout.Sandbox || o.in.Environment == "" {
		return []*verdict.Problem{verdict.Problemf(NoSandbox, "the environment is the sandbox")}
	}
	input := o.in.Input
	if !needImage {
		input = NamesOnly(input)
	}
	plan, problems := rollout.NewPlan(input)
	if len(problems) > 0 {
		return problems
	}
	o.plan, o.result.Plan = plan, plan
	who, problem := account.Guard(ctx, dated{o.clients.Identity, o.clock}, plan.Account)
	if err := ctx.Err(); err != nil {
		return []*verdict.Problem{verdict.Problemf(rollout.Cancelled, "%v", err)}
	}
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	o.stage().Gate("account", plan.Account+" "+plan.Region+" as "+who, "that of "+plan.Environment, true)
	if o.in.Journal != "" || !o.compares { // a plan works without it
		if o.journal, problem = journal.Open(o.clients.Objects, o.clock, journal.Options{
			Root: o.in.Journal, App: o.in.Spec.Application, Environment: plan.Environment, Service: *plan.Service.ServiceName, Name: o.in.Name,
		}); problem != nil {
			return []*verdict.Problem{problem}
		}
	}
	if plan.Adopts() {
		return o.adopt(ctx)
	}
	return nil
}

// lockPatience is how long to wait for another run's lock.
func (o *operation) lockPatience() time.Duration {
	return cmp.Or(o.in.LockWait, journal.Lease+time.Minute)
}

// waitForLock reads the journal, and waits while another run holds the lock.
func (o *operation) waitForLock(ctx context.Context) *verdict.Problem {
	var told time.Time
	const poll = 10 * time.Second
	for left := o.lockPatience(); ; left -= poll {
		past, err := o.journal.Read(ctx)
		if err != nil {
			return journal.Problem(err)
		}
		o.past = past
		holder := o.journal.Held(past)
		if holder == nil {
			return nil
		}
		if left <= 0 {
			return verdict.Problemf(journal.Locked, "%s deploys service %s in %s since %s; its lock lasts until %s unless it is renewed",
				holder.Name, *o.plan.Service.ServiceName, o.plan.Environment, stamp(holder.Since), stamp(holder.Until))
		}
		if !holder.Until.Equal(told) {
			told = holder.Until
			o.log("%s holds the lock until %s unless it is renewed; waiting for that, and %s more", holder.Name, stamp(told), journal.Skew)
		}
		if err := o.clock.Sleep(ctx, poll); err != nil {
			return verdict.Problemf(rollout.Cancelled, "wait for the lock: %v", err)
		}
		if o.group != nil && o.group.journal.Holding() {
			if err := o.group.fence(ctx); err != nil {
				return asProblem(err)
			}
		}
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// fence allows writes while this run holds the lock and those of the services deployed with it.
func (o *operation) fence(ctx context.Context) error {
	if o.group != nil {
		if err := o.group.fence(ctx); err != nil {
			return err
		}
	}
	err := o.journal.Hold(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, journal.ErrMoved):
		o.journalMoved = true
		return verdict.Problemf(deployment.LockLost, "%v", err)
	default:
		return journal.Problem(err)
	}
}

func (o *operation) ensureClients() ensure.Clients {
	return ensure.Clients{ECS: o.clients.ECS, Balancing: o.clients.Balancing, Scaling: o.clients.Scaling, CloudWatch: o.clients.CloudWatch,
		Logs: o.clients.Logs, Roles: o.clients.Roles}
}

// leaseClock is a clock that renews the lock after every sleep.
type leaseClock struct{ o *operation }

// Now implements Clock.
func (b leaseClock) Now() time.Time { return b.o.clock.Now() }

// Sleep implements Clock. It fails if the lock was lost.
func (b leaseClock) Sleep(ctx context.Context, d time.Duration) error {
	if err := b.o.clock.Sleep(ctx, d); err != nil || !b.o.journal.Holding() {
		return err
	}
	return b.o.fence(ctx)
}

// compare compares the account with the plan.
func (o *observer) compare(ctx context.Context) []*verdict.Problem {
	if o.plan.Adopts() && o.state != nil {
		if problems := o.adopt(ctx); len(problems) > 0 {
			return problems // it may have changed since the plan was based on it
		}
	}
	state, problem := ensure.Look(ctx, o.ensureClients(), leaseClock{o.operation}, o.plan)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	o.state, state.Fence = state, o.fence
	o.result.Changes, o.result.Text, o.result.Changed = state.Changes(), state.Text(), !state.Unchanged()
	return state.Problems()
}

// request returns the request for package deployment.
func (o *observer) request() deployment.Request {
	r := deployment.Request{
		Cluster: *o.plan.Service.Cluster, Service: *o.plan.Service.ServiceName, TaskDefinition: o.state.TaskDefinition(),
		Container: o.plan.Container(), Digest: o.digest(), Members: o.members, Deadline: o.plan.Estimate.Deadline,
		OnTimeout: o.in.OnTimeout, AwaitApproval: o.in.AwaitApproval,
		Targets: o.targets, Logs: o.logs, Fence: o.fence, Look: o.fence, Progress: func(e deployment.Event) { o.log("%s", line(e)) },
	}
	if o.plan.Adopts() {
		r.HealthPatience = o.plan.Trial.Patience // somebody else may have set a longer grace period
	}
	if o.smokeAddress() != "" {
		r.Probe = o.probeService
	}
	return r
}
