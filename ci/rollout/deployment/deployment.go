// Package deployment deploys a task definition to an ECS service and verifies the result. A
// deployment passes only if our service deployment, identified by its target revision, ended as
// SUCCESSFUL, and our digest runs in as many tasks as desired. A "stable" service proves nothing:
// it is stable after a rollback too.
package deployment

import (
	"cmp"
	"context"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ECS is the part of the ECS client that this package needs.
type ECS interface {
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	CreateService(context.Context, *ecs.CreateServiceInput, ...func(*ecs.Options)) (*ecs.CreateServiceOutput, error)
	DeleteService(context.Context, *ecs.DeleteServiceInput, ...func(*ecs.Options)) (*ecs.DeleteServiceOutput, error)
	UpdateService(context.Context, *ecs.UpdateServiceInput, ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error)
	ListServiceDeployments(context.Context, *ecs.ListServiceDeploymentsInput, ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error)
	DescribeServiceDeployments(context.Context, *ecs.DescribeServiceDeploymentsInput,
		...func(*ecs.Options)) (*ecs.DescribeServiceDeploymentsOutput, error)
	DescribeServiceRevisions(context.Context, *ecs.DescribeServiceRevisionsInput,
		...func(*ecs.Options)) (*ecs.DescribeServiceRevisionsOutput, error)
	StopServiceDeployment(context.Context, *ecs.StopServiceDeploymentInput, ...func(*ecs.Options)) (*ecs.StopServiceDeploymentOutput, error)
	ContinueServiceDeployment(context.Context, *ecs.ContinueServiceDeploymentInput,
		...func(*ecs.Options)) (*ecs.ContinueServiceDeploymentOutput, error)
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
}

// Policy is what to do with a deployment that does not end in time.
type Policy string

// The policies. The zero value is Rollback.
const (
	Rollback Policy = "rollback"
	Leave    Policy = "leave"
)

// Policies are all of them, and InFlights all values of InFlight.
var (
	Policies  = []Policy{Rollback, Leave}
	InFlights = []InFlight{Refuse, Wait, Undo, Supersede}
)

// InFlight is what to do with a deployment of another version that is in flight.
type InFlight string

// The values of InFlight. The zero value means Refuse.
const (
	// Refuse changes nothing and reports BUSY.
	Refuse InFlight = "refuse"
	// Wait waits for its end first.
	Wait InFlight = "wait"
	// Undo rolls it back first.
	Undo InFlight = "rollback"
	// Supersede lets our update replace it.
	Supersede InFlight = "supersede"
)

// Target is a task as the load balancer sees it.
type Target struct {
	// Address is host:port; State and Reason are the load balancer's.
	Address, State, Reason string
}

// Request is what to deploy, and how long to wait.
type Request struct {
	Cluster, Service string
	// TaskDefinition is the ARN of the revision to run.
	TaskDefinition string
	// Update is what else the one UpdateService call changes. Cluster, service and task definition
	// are filled in. Leave out the desired count, which auto-scaling sets.
	Update ecs.UpdateServiceInput
	// Container is the name of the application's container, Digest the sha256:... that it must run.
	Container, Digest string
	// Members returns the digests of the images in Digest, if that is an index: ECS may describe what runs by
	// one of them. It is asked where another digest runs; nil for an image.
	Members func(ctx context.Context, digest string) ([]string, error)
	// Deadline is how long the deployment may take.
	Deadline time.Duration
	// OnTimeout is what happens after that.
	OnTimeout Policy
	// Create creates a missing service; nil reports TARGET_MISSING instead. A created
	// service whose first deployment fails is deleted: there is nothing to roll back to.
	Create *ecs.CreateServiceInput
	// InFlight is what to do with a deployment of another version that is in flight.
	InFlight InFlight
	// AwaitApproval keeps following a deployment that waits for approval; otherwise the pause ends
	// the call.
	AwaitApproval bool
	// Answered is the ID of a pause that was just answered, which ECS may still describe for a while.
	Answered string
	// MaxFailures is how many failed tasks of the new version end the deployment; 0 means 3.
	MaxFailures int
	// StartFailures is how many failed tasks end a deployment if no task has lived longer; 0 means 2,
	// a negative number turns this off.
	StartFailures int
	// CapacityPatience is how long AWS may have no capacity for a task; 0 means 5 minutes.
	CapacityPatience time.Duration
	// Poll is the interval between two looks; 0 means 5 seconds.
	Poll time.Duration
	// Analysis judges the new version while it has traffic; nil for none. It answers pauses, except at
	// the stages PeoplesPauses.
	Analysis      Analysis
	PeoplesPauses []string
	// Probe requests the service itself, while it bakes and at the end; nil for no probes.
	Probe func(context.Context) error
	// Targets describes the targets of a target group; nil if there is no load balancer.
	Targets func(ctx context.Context, group string) ([]Target, error)
	// Logs returns the last lines that a task's application wrote; nil if logs are not read.
	Logs func(ctx context.Context, task string) ([]string, error)
	// Before is called once, immediately before our write to the service. Its problem ends the
	// call; afterwards everything is looked at again. It may be nil.
	Before func(context.Context) *verdict.Problem
	// Abort returns why the deployment must be rolled back though nothing is wrong with it; nil if it need
	// not be. It may be nil.
	Abort func() *verdict.Problem
	// Fence checks the lock before every write; its error prevents the write. Nil allows every
	// write.
	Fence func(context.Context) error
	// Look renews the lock at every look at the deployment. Its error means that another run has
	// taken the lock: it is logged, and nothing more is written.
	Look func(context.Context) error
	// Started is called with the ARN of our deployment as soon as it is known.
	Started func(ctx context.Context, deployment string)
	// HealthPatience is how long the tasks of the new version may take to be healthy; 0 means 15 minutes.
	HealthPatience time.Duration
	// Progress is called with every change; it may be nil.
	Progress func(Event)
}

// Event is a change of a deployment.
type Event struct {
	Time time.Time
	// Status and Stage are ECS's; it adds new values over time.
	Status, Stage string
	// Weight is the new version's share of the traffic in percent; negative when unknown.
	Weight float64
	// Running and Requested count tasks of the new version.
	Running, Requested int
	// Text describes what happened.
	Text string
}

// Outcome is the result of a deployment.
type Outcome struct {
	// Problem is nil if and only if our digest serves.
	Problem *verdict.Problem
	// Deployment is the ARN of our service deployment, or empty.
	Deployment string
	// Status is ECS's last known status of the deployment; empty if there was none.
	Status string
	// Unchanged: our revision was in service already, and no deployment was started.
	Unchanged bool
	// Adopted: a deployment of ours was in flight already and was followed.
	Adopted bool
	// Undone: our deployment was rolled back, and the old version serves.
	Undone bool
	// Created: the service was created.
	Created bool
	// Hook is the pause that waits for approval, or nil.
	Hook *Hook
	// Log is the last lines of a failed task.
	Log []string
	// Targets are those of the serving target group when last seen.
	Targets []Target
	// Running and Desired count tasks at the end.
	Running, Desired int
	// Events are all changes, in order.
	Events []Event
	// Failures are the distinct reasons of failed tasks.
	Failures []string
	// CallsBeforeWait and Calls count the API calls before waiting, and in total.
	CallsBeforeWait, Calls int
	// Seconds is how long the deployment took according to ECS; 0 if unknown.
	Seconds float64
}

// Hook is a pause of a deployment that waits for approval.
type Hook struct {
	// ID is ECS's; Stage is the lifecycle stage of the deployment.
	ID, Stage string
	// Expires is when OnExpiry, CONTINUE or ROLLBACK, happens without an answer.
	Expires  time.Time
	OnExpiry string
}

// Deploy updates the service once and follows our deployment to its end. It always returns an
// outcome. A cancelled context leaves the deployment running: the next call with the same task
// definition finds and follows it.
func Deploy(ctx context.Context, client ECS, clock clock.Clock, request Request) *Outcome {
	s := &starter{follower: newFollower(client, clock, request)}
	s.outcome.Problem = s.deploy(ctx)
	return s.outcome
}

// Follow follows a deployment that is in flight to its end, as Deploy does with its own.
func Follow(ctx context.Context, client ECS, clock clock.Clock, request Request, deployment string) *Outcome {
	f := newFollower(client, clock, request)
	f.outcome.Adopted, f.outcome.Deployment = true, deployment
	f.outcome.Problem = f.follow(ctx)
	return f.outcome
}

// Verify compares what runs with the request. It changes nothing and takes no lock.
func Verify(ctx context.Context, client ECS, clock clock.Clock, request Request) *Outcome {
	request.Look = nil
	s := newSession(client, clock, request)
	s.outcome.Unchanged = true
	s.outcome.Problem = s.verify(ctx, "")
	return s.outcome
}

func newFollower(client ECS, clock clock.Clock, request Request) *follower {
	return &follower{observer: &observer{session: newSession(client, clock, request)}, state: advancing}
}

func newSession(client ECS, clock clock.Clock, request Request) *session {
	if request.MaxFailures <= 0 {
		request.MaxFailures = 3
	}
	if request.StartFailures == 0 {
		request.StartFailures = 2
	}
	request.OnTimeout = cmp.Or(request.OnTimeout, Rollback)
	for value, usual := range map[*time.Duration]time.Duration{
		&request.CapacityPatience: 5 * time.Minute, &request.Poll: 5 * time.Second, &request.HealthPatience: 15 * time.Minute,
	} {
		if *value <= 0 {
			*value = usual
		}
	}
	s := &session{clock: awsclock.Of(clock), Request: request, outcome: &Outcome{}}
	s.timerStart, s.followedSince = s.clock.Now(), s.clock.Now()
	s.ecs = &api{ECS: client, clock: s.clock, calls: &s.outcome.Calls}
	return s
}
