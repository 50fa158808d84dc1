// Package deployment brings a task definition into service on ECS and tells the truth
// about the outcome: a deployment is a success only when our service deployment, found
// by its target revision, ended as SUCCESSFUL, and our digest runs in as many tasks as
// were asked for. That a service is "stable" proves nothing: it is so after a rollback too.
package deployment

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ECS is what this package asks of the client of Amazon ECS.
type ECS interface {
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	CreateService(context.Context, *ecs.CreateServiceInput, ...func(*ecs.Options)) (*ecs.CreateServiceOutput, error)
	DeleteService(context.Context, *ecs.DeleteServiceInput, ...func(*ecs.Options)) (*ecs.DeleteServiceOutput, error)
	UpdateService(context.Context, *ecs.UpdateServiceInput, ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error)
	ListServiceDeployments(context.Context, *ecs.ListServiceDeploymentsInput, ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error)
	DescribeServiceDeployments(context.Context, *ecs.DescribeServiceDeploymentsInput, ...func(*ecs.Options)) (*ecs.DescribeServiceDeploymentsOutput, error)
	DescribeServiceRevisions(context.Context, *ecs.DescribeServiceRevisionsInput, ...func(*ecs.Options)) (*ecs.DescribeServiceRevisionsOutput, error)
	StopServiceDeployment(context.Context, *ecs.StopServiceDeploymentInput, ...func(*ecs.Options)) (*ecs.StopServiceDeploymentOutput, error)
	ContinueServiceDeployment(context.Context, *ecs.ContinueServiceDeploymentInput, ...func(*ecs.Options)) (*ecs.ContinueServiceDeploymentOutput, error)
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
}

// Clock tells and passes the time.
type Clock interface {
	Now() time.Time
	// Sleep waits, or returns the context's error when that ends first.
	Sleep(ctx context.Context, d time.Duration) error
}

// Policy says what to do with a deployment that does not end in time.
type Policy string

// The policies. The zero value is Rollback.
const (
	Rollback Policy = "rollback"
	Leave    Policy = "leave"
)

// InFlight says what to do with a deployment of another version that is under way.
type InFlight string

// What can be done with it. The zero value is Refuse.
const (
	// Refuse changes nothing and reports BUSY.
	Refuse InFlight = "refuse"
	// Wait follows it to its end first, whatever that is.
	Wait InFlight = "wait"
	// Undo rolls it back first.
	Undo InFlight = "rollback"
	// Supersede lets our update replace it.
	Supersede InFlight = "supersede"
)

// Target is a task as the load balancer sees it.
type Target struct {
	// Address is where it listens, State and Reason are the load balancer's words.
	Address, State, Reason string
}

// Request is what to deploy, and how patient to be.
type Request struct {
	Cluster, Service string
	// TaskDefinition is the ARN of the revision to run.
	TaskDefinition string
	// Update holds what else the one UpdateService call changes. Cluster, service and task
	// definition are filled in. The desired count belongs to auto-scaling: leave it out.
	Update ecs.UpdateServiceInput
	// Container is the name of the application's container, Digest the sha256:... that it must run.
	Container, Digest string
	// Deadline is how long the deployment may take.
	Deadline time.Duration
	// OnTimeout says what happens after that.
	OnTimeout Policy
	// Create makes the service when there is none; nil reports TARGET_MISSING. A service that
	// was made and whose first deployment failed is deleted: there is nothing to roll back to.
	Create *ecs.CreateServiceInput
	// InFlight says what to do with a deployment of another version that is under way.
	InFlight InFlight
	// AwaitApproval follows a deployment through a pause; without it a pause ends the call.
	AwaitApproval bool
	// Answered is the id of a pause that was just answered: what ECS describes lags behind.
	Answered string
	// MaxFailures is how many failed tasks of the new version end the deployment; 0 means 3.
	MaxFailures int
	// StartFailures is how many failed tasks end a deployment of which no task has outlived
	// them; 0 means 2, negative never does so.
	StartFailures int
	// CapacityPatience is how long AWS may fail to place a task; 0 means 5 minutes.
	CapacityPatience time.Duration
	// Poll is the time between two looks; 0 means 5 seconds.
	Poll time.Duration
	// Probe asks the service itself, while it bakes and at the end; nil asks nothing.
	Probe func(context.Context) error
	// Targets describes the targets of a target group; nil asks nothing.
	Targets func(ctx context.Context, group string) ([]Target, error)
	// Logs are the last lines that a task's application wrote; nil asks nothing.
	Logs func(ctx context.Context, task string) ([]string, error)
	// Before is called once, when our write to the service is all that is left to do: its
	// problem ends the call, and after it all is looked at anew. Nil is fine.
	Before func(context.Context) *verdict.Problem
	// Fence is asked before every write; its error keeps the write from being made. Nil lets
	// every write pass.
	Fence func(context.Context) error
	// Look is called with every look at the deployment; its error is told, and ends all
	// further writes: another deployer has taken over.
	Look func(context.Context) error
	// Started is told the ARN of our deployment as soon as it is known.
	Started func(ctx context.Context, deployment string)
	// HealthPatience is how long the tasks of the new version may take to be healthy; 0 means 15 minutes.
	HealthPatience time.Duration
	// Progress is told what changed; nil is fine.
	Progress func(Event)
}

// Event is a change on the way.
type Event struct {
	Time time.Time
	// Status and Stage are ECS's words, and open sets: new ones appear.
	Status, Stage string
	// Weight is the new version's share of the traffic in percent; negative when unknown.
	Weight float64
	// Running and Requested count tasks of the new version.
	Running, Requested int
	// Text is what happened, in words.
	Text string
}

// Outcome is what became of a deployment.
type Outcome struct {
	// Problem is nil exactly when our digest serves.
	Problem *verdict.Problem
	// Deployment is the ARN of our service deployment; empty when there is none.
	Deployment string
	// Status is ECS's word for the deployment when it was last seen; empty when it never was.
	Status string
	// Unchanged says that our revision was in service already: no deployment was started.
	Unchanged bool
	// Adopted says that a deployment of ours was in flight already and was followed.
	Adopted bool
	// Undone says that our deployment was rolled back: the old version serves.
	Undone bool
	// Created says that the service was made.
	Created bool
	// Hook is the pause that awaits an answer; nil when none does.
	Hook *Hook
	// Log are the last lines of a task that failed.
	Log []string
	// Targets are those of the target group that serves, as they were last seen.
	Targets []Target
	// Running and Desired count tasks at the end.
	Running, Desired int
	// Events are all changes on the way.
	Events []Event
	// Failures are the reasons of the tasks that failed, each once, in words.
	Failures []string
	// Calls counts the API calls made before waiting and in all.
	CallsBeforeWait, Calls int
	// Seconds is how long the deployment took as ECS saw it; 0 when unknown.
	Seconds float64
}

// Hook is a pause of a deployment that awaits an answer.
type Hook struct {
	// ID names it to ECS, Stage is where the deployment stands.
	ID, Stage string
	// Expires is when OnExpiry, CONTINUE or ROLLBACK, happens without an answer.
	Expires  time.Time
	OnExpiry string
}

// Deploy updates the service once and follows our deployment to its end. It always
// returns an outcome. A cancelled context leaves the deployment running: the next call
// with the same task definition finds and follows it.
func Deploy(ctx context.Context, client ECS, clock Clock, request Request) *Outcome {
	f := newFollower(ctx, client, clock, request)
	f.outcome.Problem = f.deploy()
	return f.outcome
}

// Follow follows a deployment that is under way to its end, as Deploy does with its own.
func Follow(ctx context.Context, client ECS, clock Clock, request Request, deployment string) *Outcome {
	f := newFollower(ctx, client, clock, request)
	f.outcome.Adopted, f.outcome.Deployment = true, deployment
	f.outcome.Problem = f.follow()
	return f.outcome
}

// Verify holds what runs against the request, and changes nothing: it takes no lock either.
func Verify(ctx context.Context, client ECS, clock Clock, request Request) *Outcome {
	request.Look = nil
	f := newFollower(ctx, client, clock, request)
	f.outcome.Unchanged = true
	f.outcome.Problem = f.verify("")
	return f.outcome
}

func newFollower(ctx context.Context, client ECS, clock Clock, request Request) *follower {
	if request.MaxFailures <= 0 {
		request.MaxFailures = 3
	}
	if request.StartFailures == 0 {
		request.StartFailures = 2
	}
	if request.CapacityPatience <= 0 {
		request.CapacityPatience = 5 * time.Minute
	}
	if request.Poll <= 0 {
		request.Poll = 5 * time.Second
	}
	if request.OnTimeout == "" {
		request.OnTimeout = Rollback
	}
	if request.HealthPatience <= 0 {
		request.HealthPatience = 15 * time.Minute
	}
	f := &follower{ctx: ctx, clock: awsclock.Of(clock), Request: request, outcome: &Outcome{}}
	f.begun, f.answered = f.clock.Now(), f.clock.Now()
	f.ecs = &api{ECS: client, clock: f.clock, calls: &f.outcome.Calls}
	return f
}
