package fakeaws

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
)

// Behaviour is how tasks of one task definition behave. The zero value starts after 30
// seconds and stays healthy.
type Behaviour struct {
	// Image and Digest are what the tasks run.
	Image, Digest string
	// StartAfter is how long a task takes to be healthy; 0 means 30 s.
	StartAfter time.Duration
	// Failure stops every task FailAfter its launch; nil lets them live.
	Failure   *Failure
	FailAfter time.Duration
	// Fails says whether a deployment's n-th launch, from 1, is one that fails; nil fails all.
	Fails func(launch int) bool
	// RelaunchAfter is how long after a failure the next task is launched; 0 means 10 s.
	RelaunchAfter time.Duration
	// CannotLaunch is a service event that AWS writes instead of starting a task, where the
	// task itself is to blame, such as by a role that cannot be assumed.
	CannotLaunch string
	// NoCapacity is a service event that AWS writes instead of starting a task.
	NoCapacity string
	// Falters is how long after its start a task of no service is unhealthy for a moment; 0
	// is never.
	Falters time.Duration
	// NeverHealthy lets tasks run and never become healthy; with Replaced, ECS stops each after
	// a while and launches another.
	NeverHealthy, Replaced bool
	// Sick lets tasks run, and the load balancer find them unhealthy.
	Sick bool
	// Hangs is a lifecycle stage that is never left.
	Hangs string
	// RollbackFails makes the rollback away from this version end as ROLLBACK_FAILED.
	RollbackFails bool
	// Alone is how tasks behave that belong to no service; nil as all others do.
	Alone *Behaviour
	// Command is how a task ends whose command was replaced; nil as one that works, after 20 s.
	Command *Command
	// Log are the lines that each task writes when it starts.
	Log []string
}

// Command is how a command ends.
type Command struct {
	// After is when, from the launch; 0 means 20 s.
	After time.Duration
	Exit  int32
	// Unstarted is why the task never starts; empty if it does. Lives lets the task go on after its command
	// has ended, as one with a further essential container does.
	Unstarted string
	Lives     bool
	// Stopped is why AWS stops the task while the command runs.
	Stopped string
}

// Failure is how a task ends.
type Failure struct {
	Code            types.TaskStopCode
	Reason          string
	ContainerReason string
	ExitCode        int32
}

// ECS is the fake. Its methods are those of the client.
type ECS struct {
	mu    sync.Mutex
	clock *Clock

	services    map[string]*service
	deployments map[string]*deployment
	revisions   map[string]*revision
	behaviours  map[string]Behaviour
	alarms      map[string]bool
	calls       []string
	faults      map[string][]error
	lag         time.Duration
	// pages is the most that a page lists; 0 is as many as are asked for. refusesMissing makes
	// DescribeServices refuse what is not there.
	pages          int
	refusesMissing bool
	// made are the client tokens by which services were made, with the service of each.
	made map[string]*service
	// alone are the tasks of no service, tokens those that were launched with a client token.
	alone  []*alone
	tokens map[string]*alone
	number int
	// store holds clusters and task definitions; wire is the account's, nil without one.
	store *registry
	wire  *cable
	// resolves are the digests of images that are named by a tag.
	resolves map[string]string
	// sick are target groups without a healthy target.
	sick map[string]bool
	// weigh sets the weights that a rule gives to target groups; nil without a load balancer.
	weigh func(weights map[string]int32)
	// attached reports whether a listener sends anything to a target group; nil is yes.
	attached func(group string) bool
	// unknown reports whether a role is too new for ECS to assume; nil means that no role is.
	unknown func(role string, now time.Time) bool
}

type service struct {
	cluster, name string
	status        string
	desired       int32
	config        *types.DeploymentConfiguration
	// current is the revision that serves; order the deployments, oldest first.
	current *revision
	order   []*deployment
	events  []types.ServiceEvent
	tasks   []*task
	// updated is when the description last changed, stale what it was before.
	updated time.Time
	stale   *types.Service
	// drained is when a deleted service is gone; zero for one that is not deleted.
	drained time.Time
}

type revision struct {
	arn, taskDefinition string
	completed           bool
	// group is the target group that its tasks are in; empty without a load balancer.
	group string
	// further are those of a service with several; traffic is shifted in the first only.
	further []string
}

type task struct {
	arn      string
	revision *revision
	launched time.Time
	// number counts the launches of its deployment.
	number  int
	stopped time.Time
	failure *Failure
}

// NewECS returns an empty fake.
func NewECS(clock *Clock) *ECS {
	return &ECS{
		clock: clock, services: map[string]*service{}, deployments: map[string]*deployment{}, revisions: map[string]*revision{},
		behaviours: map[string]Behaviour{}, alarms: map[string]bool{}, faults: map[string][]error{}, tokens: map[string]*alone{}, made: map[string]*service{},
		resolves: map[string]string{}, sick: map[string]bool{},
	}
}

// Behave sets how tasks of a task definition behave.
func (e *ECS) Behave(taskDefinition string, b Behaviour) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.advance() // what happened until now happened under what held until now
	e.behaviours[taskDefinition] = b
}

// AddService makes an active service. With a task definition it runs that one, healthy,
// from a deployment long ago; without one it has never completed a deployment.
func (e *ECS) AddService(cluster, name, taskDefinition string, desired int32, config *types.DeploymentConfiguration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &service{cluster: cluster, name: name, status: "ACTIVE", desired: desired, config: config}
	e.services[cluster+"/"+name] = s
	if taskDefinition == "" {
		return
	}
	s.current = e.newRevision(s, taskDefinition)
	s.current.completed = true
	for range desired {
		s.tasks = append(s.tasks, &task{arn: e.arn("task", s), revision: s.current, launched: e.clock.Now().Add(-24 * time.Hour)})
	}
}

// RemoveService deletes a service; its deployments and revisions go with it.
func (e *ECS) RemoveService(cluster, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.services[cluster+"/"+name]
	for _, d := range s.order {
		delete(e.deployments, d.arn)
	}
	delete(e.services, cluster+"/"+name)
}

// SetStatus sets a service's status, such as DRAINING.
func (e *ECS) SetStatus(cluster, name, status string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.services[cluster+"/"+name].status = status
}

// SetDesired changes the desired count, as auto-scaling does.
func (e *ECS) SetDesired(cluster, name string, desired int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.advance() // what happened until now happened under what held until now
	e.services[cluster+"/"+name].desired = desired
}

// SetAlarm puts an alarm into the state ALARM.
func (e *ECS) SetAlarm(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.advance() // what happened until now happened under what held until now
	e.alarms[name] = true
}

// Lag makes reads of services and lists of deployments show the state of before for so
// long after a change (kayac/ecspresso#945).
func (e *ECS) Lag(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lag = d
}

// Pages makes every page of a list of deployments as short as n.
func (e *ECS) Pages(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pages = n
}

// RefuseMissing makes DescribeServices answer with an error for a service that is not there,
// as it is announced to do for those that were deleted (API reference, DeleteService).
func (e *ECS) RefuseMissing() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refusesMissing = true
}

// Fail makes the next calls of an operation return errors, one after the other; nil
// lets one call through.
func (e *ECS) Fail(operation string, errors ...error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults[operation] = append(e.faults[operation], errors...)
}

// Throttled is what AWS answers when there were too many calls.
func Throttled() error {
	return &smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded", Fault: smithy.FaultClient}
}

// Denied is what AWS answers without the permission.
func Denied(action string) error {
	return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User is not authorized to perform: ecs:" + action,
		Fault: smithy.FaultClient}
}

// Calls are the operations called so far.
func (e *ECS) Calls(operation string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, call := range e.calls {
		if operation == "" || call == operation {
			n++
		}
	}
	return n
}

// Launches counts the tasks of a task definition that were ever launched.
func (e *ECS) Launches(taskDefinition string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.advance()
	n := 0
	for _, s := range e.services {
		for _, t := range s.tasks {
			if t.revision.taskDefinition == taskDefinition {
				n++
			}
		}
	}
	for _, t := range e.alone {
		if t.revision.taskDefinition == taskDefinition {
			n++
		}
	}
	return n
}

// Serving is the task definition that gets the traffic, or empty.
func (e *ECS) Serving(cluster, name string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.advance()
	if s := e.services[cluster+"/"+name]; s != nil && s.current != nil {
		return s.current.taskDefinition
	}
	return ""
}

func (e *ECS) arn(kind string, s *service) string {
	e.number++
	return fmt.Sprintf("arn:aws:ecs:ap-south-1:111122223333:%s/%s/%s/%08d", kind, s.cluster, s.name, e.number)
}

func (e *ECS) newRevision(s *service, taskDefinition string) *revision {
	r := &revision{arn: e.arn("service-revision", s), taskDefinition: taskDefinition}
	e.revisions[r.arn] = r
	return r
}

// enter begins a call: it is counted, time is caught up with, and a planned fault returned.
func (e *ECS) enter(operation string) error {
	if _, err := over(e.wire, "ecs:"+operation, func() (*struct{}, error) { return &struct{}{}, nil }); err != nil {
		e.calls = append(e.calls, operation)
		e.advance()
		return err
	}
	return e.local(operation)
}

// local begins a call that the account's cable carries already.
func (e *ECS) local(operation string) error {
	e.calls = append(e.calls, operation)
	e.advance()
	if planned := e.faults[operation]; len(planned) > 0 {
		e.faults[operation] = planned[1:]
		return planned[0]
	}
	return nil
}

func (e *ECS) find(cluster, name string) *service {
	return e.services[lastPart(cluster)+"/"+lastPart(name)]
}

func lastPart(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func (s *service) event(now time.Time, text string) {
	s.events = append(s.events, types.ServiceEvent{
		Id: aws.String(fmt.Sprintf("event-%s-%d", s.name, len(s.events)+1)), CreatedAt: aws.Time(now), Message: aws.String(text),
	})
}
