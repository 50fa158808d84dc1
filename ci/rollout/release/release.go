// Package release operates one service on ECS: it deploys an image, shows what that would
// change, rolls back, answers pauses, waits, prunes and destroys. It joins the plan
// (rollout), what surrounds the service (ensure), the one update and its verdict
// (deployment), and the record of who does what (journal).
//
// Every function returns a result with a judged stage, never an error; each can be ended
// at any point and called again.
package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ECS is what this package asks of the client of Amazon ECS.
type ECS interface {
	ensure.ECS
	deployment.ECS
	trial.ECS
}

// Balancing is what this package asks of the client of Elastic Load Balancing.
type Balancing interface {
	ensure.Balancing
	DescribeTargetHealth(context.Context, *elb.DescribeTargetHealthInput, ...func(*elb.Options)) (*elb.DescribeTargetHealthOutput, error)
}

// Logs is what this package asks of the client of CloudWatch Logs.
type Logs interface {
	ensure.Logs
	GetLogEvents(context.Context, *cloudwatchlogs.GetLogEventsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.GetLogEventsOutput, error)
}

// Clients are those of one account and region.
type Clients struct {
	ECS        ECS
	Balancing  Balancing
	Scaling    ensure.Scaling
	CloudWatch ensure.CloudWatch
	Logs       Logs
	Roles      ensure.Roles
	Identity   account.Identity
	Objects    journal.Objects
}

// Of are the clients of an account.
func Of(c *account.Clients) Clients {
	return Clients{ECS: c.ECS, Balancing: c.Balancing, Scaling: c.Scaling, CloudWatch: c.CloudWatch, Logs: c.Logs, Roles: c.IAM, Identity: c.STS, Objects: c.Objects}
}

// Clock tells and passes the time; deployment.RealClock is the world's.
type Clock = deployment.Clock

// Input is what to operate on, and how.
type Input struct {
	// Input is the plan's. Functions that deploy nothing need no image.
	rollout.Input
	// Journal is s3://bucket/prefix, where the lock and the record are kept; the
	// configuration's when empty.
	Journal string
	// Name says who this run is, for the lock.
	Name string
	// Override is why production is to take an image that staging has not run; empty demands it.
	Override string
	// InFlight says what to do with a deployment of another version that an ended run left;
	// empty waits for it. One that is not in our journal is refused unless it says supersede.
	InFlight deployment.InFlight
	// OnTimeout says what happens to a deployment that does not end in time.
	OnTimeout deployment.Policy
	// AwaitApproval waits at a pause for the answer of somebody else.
	AwaitApproval bool
	// LockWait is how long to wait for another run's lock; 0 means as long as the lock of a
	// run that ended without a word lasts, negative not at all.
	LockWait time.Duration
	// Smoke is the address that is asked over HTTP: empty is the configuration's, or else the
	// load balancer's with the health path; "none" asks nothing.
	Smoke string
	// Get asks an address and fails unless it answers 200; nil uses HTTP.
	Get func(ctx context.Context, address string) error
	// Progress is told each line of what happens; nil is fine.
	Progress func(string)
}

// Result is what became of it.
type Result struct {
	// Stage is the verdict with its evidence.
	Stage verdict.Stage
	// Plan is what the service is to be; nil when the input does not allow one.
	Plan *rollout.Plan
	// Changes are between what is and the plan, where they were looked at.
	Changes []ensure.Change
	// Changed says that something would be, or was, changed.
	Changed bool
	// Text is the changes as a diff, or the state in words.
	Text string
	// Outcome is what became of the deployment; nil when there was none.
	Outcome *deployment.Outcome
}

// operation is one call of this package.
type operation struct {
	ctx     context.Context
	clients Clients
	clock   *awsclock.Clock
	in      Input
	plan    *rollout.Plan
	journal *journal.Journal
	// past is the journal as it was read.
	past   journal.State
	state  *ensure.State
	result *Result
	lines  []string
	// holder is another run that holds the lock, beside which this one acts; nil for none.
	holder *journal.Holder
	// told says that the warnings of a look at the account were given.
	told bool
	// smoked is what the smoke test last got; nil while it asked nothing.
	smoked *answered
	// moved says that another run wrote to the journal before we held the lock.
	moved bool
}

func begin(ctx context.Context, clients Clients, clock Clock, in Input) *operation {
	in.Journal = cmp.Or(in.Journal, in.Spec.Journal)
	in.Smoke = cmp.Or(in.Smoke, in.Spec.Smoke)
	return &operation{ctx: ctx, clients: clients, clock: awsclock.Of(clock), in: in, result: &Result{Stage: verdict.Stage{Name: verdict.Deploy}}}
}

func (o *operation) stage() *verdict.Stage { return &o.result.Stage }

// done judges, and lets go of the lock, whatever the context says.
func (o *operation) done(problems ...*verdict.Problem) *Result {
	if o.journal != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), 20*time.Second)
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
	// The short line on a stage has room for some gates: what became of it comes before what
	// everybody knows who called.
	slices.SortStableFunc(o.stage().Evidence, func(a, b verdict.Evidence) int { return known(a) - known(b) })
	o.stage().Judge(problems...)
	return o.result
}

func known(e verdict.Evidence) int {
	if e.Name == "account" || e.Name == "image" {
		return 1
	}
	return 0
}

func (o *operation) say(format string, args ...any) {
	line := verdict.Line(o.clock.Server().UTC().Format("15:04:05")+" "+fmt.Sprintf(format, args...), 1000)
	o.lines = append(o.lines, line)
	if o.in.Progress != nil {
		o.in.Progress(line)
	}
}

// nothing is the digest of no content. It stands in a plan that is made for its names only,
// and that nothing is ever deployed from.
const nothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// prepare makes the plan and guards the account. Nothing is called but STS.
func (o *operation) prepare(needImage bool) []*verdict.Problem {
	if err := o.ctx.Err(); err != nil {
		return []*verdict.Problem{verdict.Problemf(rollout.Cancelled, "%v", err)}
	}
	if o.in.Environment == rollout.Sandbox || o.in.Environment == "" {
		return []*verdict.Problem{verdict.Problemf(NoSandbox, "the environment is the sandbox")}
	}
	input := o.in.Input
	if input.Image == "" && !needImage {
		input.Image = input.Spec.App.Repository + "@" + nothing
	}
	plan, problems := rollout.NewPlan(input)
	if len(problems) > 0 {
		return problems
	}
	o.plan, o.result.Plan = plan, plan
	who, problem := account.Guard(o.ctx, dated{o.clients.Identity, o.clock}, plan.Account)
	if err := o.ctx.Err(); err != nil {
		return []*verdict.Problem{verdict.Problemf(rollout.Cancelled, "%v", err)}
	}
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	o.stage().Gate("account", plan.Account+" "+plan.Region+" as "+who, "that of "+plan.Environment, true)
	if o.journal, problem = journal.Open(o.clients.Objects, o.clock, journal.Options{
		Root: o.in.Journal, App: o.in.Spec.Application, Environment: plan.Environment, Service: *plan.Service.ServiceName, Name: o.in.Name,
	}); problem != nil {
		return []*verdict.Problem{problem}
	}
	return nil
}

// patience is how long another run's lock is waited for.
func (o *operation) patience() time.Duration { return cmp.Or(o.in.LockWait, journal.Lease+time.Minute) }

// read reads the journal, and waits for another run's lock.
func (o *operation) read() *verdict.Problem {
	var told time.Time
	const poll = 10 * time.Second
	for left := o.patience(); ; left -= poll {
		past, err := o.journal.Read(o.ctx)
		if err != nil {
			return verdict.Problemf(journal.JournalFailed, "%v", err)
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
			o.say("%s holds the lock until %s unless it is renewed; waiting for that, and %s more", holder.Name, stamp(told), journal.Skew)
		}
		if err := o.clock.Sleep(o.ctx, poll); err != nil {
			return verdict.Problemf(rollout.Cancelled, "wait for the lock: %v", err)
		}
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// fence lets a write pass while we hold the lock.
func (o *operation) fence(ctx context.Context) error {
	err := o.journal.Hold(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, journal.ErrMoved):
		o.moved = true
		return verdict.Problemf(deployment.LockLost, "%v", err)
	default:
		return verdict.Problemf(journal.JournalFailed, "%v", err)
	}
}

func (o *operation) ensureClients() ensure.Clients {
	return ensure.Clients{ECS: o.clients.ECS, Balancing: o.clients.Balancing, Scaling: o.clients.Scaling, CloudWatch: o.clients.CloudWatch, Logs: o.clients.Logs, Roles: o.clients.Roles}
}

// beating is a clock that renews the lock whenever it has passed some time.
type beating struct{ o *operation }

// Now implements Clock.
func (b beating) Now() time.Time { return b.o.clock.Now() }

// Sleep implements Clock. Without the lock, whoever waits must not go on.
func (b beating) Sleep(ctx context.Context, d time.Duration) error {
	if err := b.o.clock.Sleep(ctx, d); err != nil || !b.o.journal.Holding() {
		return err
	}
	return b.o.fence(ctx)
}

// look compares what exists with the plan.
func (o *operation) look() []*verdict.Problem {
	state, problem := ensure.Look(o.ctx, o.ensureClients(), beating{o}, o.plan)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	o.state, state.Fence = state, o.fence
	o.result.Changes, o.result.Text, o.result.Changed = state.Changes(), state.Text(), !state.Unchanged()
	return state.Problems()
}

// request is what the deployment package is asked for.
func (o *operation) request() deployment.Request {
	r := deployment.Request{
		Cluster: *o.plan.Service.Cluster, Service: *o.plan.Service.ServiceName, TaskDefinition: o.state.TaskDefinition(),
		Container: rollout.ContainerName, Digest: o.digest(), Deadline: o.plan.Estimate.Deadline,
		OnTimeout: o.in.OnTimeout, AwaitApproval: o.in.AwaitApproval,
		Targets: o.targets, Logs: o.logs, Fence: o.fence, Look: o.fence, Progress: o.progress,
	}
	if o.smokeAddress() != "" {
		r.Probe = o.probe
	}
	return r
}

func (o *operation) progress(e deployment.Event) {
	if e.Status == "" { // before there is a deployment of ours
		o.say("%s", e.Text)
		return
	}
	words := []string{e.Status}
	if e.Stage != "" {
		words = append(words, e.Stage)
	}
	if e.Weight >= 0 {
		words = append(words, fmt.Sprintf("%g %% of the traffic", e.Weight))
	}
	if e.Requested > 0 {
		words = append(words, fmt.Sprintf("%d of %d tasks", e.Running, e.Requested))
	}
	line := strings.TrimSpace(strings.Join(words, ", "))
	if e.Text != "" {
		line = strings.TrimPrefix(line+": "+e.Text, ": ")
	}
	o.say("%s", line)
}

func (o *operation) targets(ctx context.Context, group string) ([]deployment.Target, error) {
	out, err := o.clients.Balancing.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: aws.String(group)})
	if err != nil {
		return nil, fmt.Errorf("describe health of targets: %w", err)
	}
	var all []deployment.Target
	for _, d := range out.TargetHealthDescriptions {
		t := deployment.Target{}
		if d.Target != nil {
			t.Address = fmt.Sprintf("%s:%d", aws.ToString(d.Target.Id), aws.ToInt32(d.Target.Port))
		}
		if d.TargetHealth != nil {
			t.State, t.Reason = string(d.TargetHealth.State), string(d.TargetHealth.Reason)
			if text := aws.ToString(d.TargetHealth.Description); text != "" {
				t.Reason += " (" + text + ")"
			}
		}
		all = append(all, t)
	}
	return all, nil
}

// logTail is how many lines of a failed task are shown.
const logTail = 15

// logs reads the end of what a task's application wrote.
func (o *operation) logs(ctx context.Context, task string) ([]string, error) {
	group, prefix := "", ""
	for _, c := range o.plan.TaskDefinition.ContainerDefinitions {
		if aws.ToString(c.Name) == rollout.ContainerName && c.LogConfiguration != nil {
			group, prefix = c.LogConfiguration.Options["awslogs-group"], c.LogConfiguration.Options["awslogs-stream-prefix"]
		}
	}
	stream := prefix + "/" + rollout.ContainerName + "/" + task[strings.LastIndexByte(task, '/')+1:]
	out, err := o.clients.Logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String(group), LogStreamName: aws.String(stream), Limit: aws.Int32(logTail), StartFromHead: aws.Bool(false),
	})
	var none *logtypes.ResourceNotFoundException
	if errors.As(err, &none) {
		return nil, fmt.Errorf("there is no stream %s in log group %s: a task that writes nothing has none", stream, group)
	}
	if err != nil {
		return nil, fmt.Errorf("read log %s: %w", stream, err)
	}
	var lines []string
	for _, e := range out.Events {
		lines = append(lines, verdict.Line(aws.ToString(e.Message), 500))
	}
	return lines, nil
}
