package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	// appears is how long a new deployment may take to be listed: lists lag behind.
	appears = 60 * time.Second
	// rollsBack is how long a rollback may take after it was asked for.
	rollsBack = 15 * time.Minute
	// blind is how long ECS may not answer before the deployment is lost sight of.
	blind = 5 * time.Minute
	// settles is how long the service may take to show what its deployment did.
	settles = 3 * time.Minute
	// placing is how long AWS may take to say that a task that it tries to place has no room.
	placing = 2 * time.Minute
	// badProbes is how many failed probes in a row end a deployment that bakes.
	badProbes = 3
)

// follower is one call of Deploy.
type follower struct {
	Request
	ctx     context.Context
	ecs     *api
	clock   *awsclock.Clock
	outcome *Outcome
	// started is when the deployment began, as ECS has stamped it; zero while that is not
	// known. begun is from when on it counts against the deadline, by our clock: a pause before
	// does not.
	started, begun time.Time
	// answered is when this call began, after a pause was answered.
	answered time.Time

	last        Event
	seenTasks   map[string]bool
	failedTasks int
	// newestFailed is when the latest of them was launched, judgedFailed how many there were
	// when it was last asked whether any task outlives them.
	newestFailed time.Time
	judgedFailed int
	// unlaunched are the tasks that ECS says failed, of which some were never made: they
	// leave no stopped task. unlaunchedBefore is what it said at the look before.
	unlaunched, unlaunchedBefore int
	seenEvents                   map[string]bool
	// noRoom is what AWS said of it, first at noRoomSince and last at noRoomAt; pending are
	// the tasks that it tries to start.
	noRoom                string
	noRoomSince, noRoomAt time.Time
	pending               int
	probeFails            int
	probeErr              error
	// ending is why this package asked for a rollback; nil while it did not.
	ending   *verdict.Problem
	endingAt time.Time
	// asked says that ECS was asked, and did not begin by itself.
	asked bool
	// fenced says that another deployer has taken over: nothing is written any more.
	fenced bool
	// first says that no version ran before ours.
	first bool
	// group is the target group of the new version; empty for none, or not asked yet.
	group       string
	groupAsked  bool
	targetsAt   time.Time
	targetsSaid string
	unhealthyAt time.Time
	// mostHealthy is how many tasks of the new version were healthy at once, mostRunning how
	// many ran while nobody said how they are; more of them is progress. groupHealthy counts
	// them as the load balancer does, nil while it was not asked; tasksHealthy as their own health
	// checks do, if tasksChecked says that they have any.
	mostHealthy, mostRunning, tasksHealthy int
	groupHealthy                           *int
	tasksChecked                           bool
	failedTask                             string
	waited                                 bool
	// mayFollow says that the credentials were seen to be allowed to follow a deployment.
	mayFollow bool
	// endSince is when asking for it first failed, wanted why it is asked for.
	endSince time.Time
	wanted   *verdict.Problem
}

func (f *follower) deploy() *verdict.Problem {
	service, err := f.ecs.service(f.ctx, f.Cluster, f.Service)
	switch {
	case errors.Is(err, errMissing) && f.Create != nil:
		return f.create(service, err)
	case errors.Is(err, errMissing):
		return verdict.Problemf(TargetMissing, "%v", err)
	case err != nil:
		return f.unable(AWSFailed, err)
	case f.Create != nil && aws.ToString(service.Status) != "ACTIVE":
		return f.create(service, err)
	case aws.ToString(service.Status) != "ACTIVE":
		return verdict.Problemf(TargetMissing, "service %s is %s", f.Service, aws.ToString(service.Status))
	}
	all, err := f.ecs.deployments(f.ctx, f.Cluster, f.Service, time.Time{})
	before := slices.DeleteFunc(slices.Clone(all), func(d types.ServiceDeploymentBrief) bool { return terminal(d.Status) })
	if err == nil && !f.mayFollow {
		err = f.maySee(service)
	}
	if Denied(err) {
		return verdict.Problemf(FollowDenied, "%v", err)
	}
	if err != nil {
		return f.unable(AWSFailed, err)
	}
	for _, brief := range before {
		ours, err := f.isOurs(brief)
		if err != nil {
			return f.unable(AWSFailed, err)
		}
		if ours && forward(brief.Status) {
			f.outcome.Adopted, f.outcome.Deployment = true, aws.ToString(brief.ServiceDeploymentArn)
			f.began(aws.ToTime(brief.CreatedAt))
			f.found()
			return f.follow()
		}
	}
	if len(before) > 0 {
		again, problem := f.makeWay(before[0])
		if problem != nil {
			return problem
		}
		if again {
			return f.deploy()
		}
	}
	if len(before) == 0 && aws.ToString(service.TaskDefinition) == f.TaskDefinition && !f.redeploys() {
		f.outcome.Unchanged = true
		if problem := f.adjust(); problem != nil {
			return problem
		}
		return f.verify("")
	}
	if f.Before != nil {
		return f.afresh()
	}
	if problem := f.update(all); problem != nil {
		return problem
	}
	return f.follow()
}

// afresh calls what is to be done before the write. That takes minutes, in which others may
// have deployed.
func (f *follower) afresh() *verdict.Problem {
	before := f.Before
	f.Before, f.mayFollow = nil, true
	if problem := before(f.ctx); problem != nil {
		return problem
	}
	return f.deploy()
}

// maySee returns what ECS says when the credentials may not describe deployments or
// revisions, which policies older than these calls do not allow: without them our own
// deployment cannot be told from another, so they are tried before the service is touched.
// Any other error is met again where the answer is needed.
func (f *follower) maySee(service *types.Service) error {
	for _, current := range service.CurrentServiceRevisions {
		if _, err := f.ecs.revision(f.ctx, aws.ToString(current.Arn)); Denied(err) {
			return err
		}
		break
	}
	if current := aws.ToString(service.CurrentServiceDeployment); current != "" {
		if _, err := f.ecs.deployment(f.ctx, current); Denied(err) {
			return err
		}
	}
	return nil
}

// forward says that a deployment still goes towards its target.
func forward(status types.ServiceDeploymentStatus) bool {
	return status == types.ServiceDeploymentStatusPending || status == types.ServiceDeploymentStatusInProgress
}

func (f *follower) isOurs(brief types.ServiceDeploymentBrief) (bool, error) {
	arn := aws.ToString(brief.TargetServiceRevisionArn)
	if arn == "" {
		return false, nil
	}
	revision, err := f.ecs.revision(f.ctx, arn)
	if errors.Is(err, errMissing) {
		return false, nil // not visible yet; it will be asked for again
	}
	if err != nil {
		return false, err
	}
	return aws.ToString(revision.TaskDefinition) == f.TaskDefinition, nil
}

// follow looks at our deployment until it ends.
func (f *follower) follow() *verdict.Problem {
	f.seenTasks, f.seenEvents = map[string]bool{}, map[string]bool{}
	answered := f.clock.Now()
	for {
		d, err := f.ecs.deployment(f.ctx, f.outcome.Deployment)
		switch {
		case f.ctx.Err() != nil:
			return f.interrupted(f.ctx.Err())
		case errors.Is(err, errMissing) && (f.clock.Now().Sub(answered) > appears || f.vanished()):
			// A deployment vanishes with its service.
			return verdict.Problemf(TargetMissing, "the deployment is gone, and most likely service %s with it: %v", f.Service, err)
		case errors.Is(err, errMissing):
			// What is listed is not described at once everywhere.
		case err != nil && Expired(err):
			return f.published(verdict.Problemf(AuthExpired, "%v", err))
		case err != nil && Refused(err), err != nil && f.clock.Now().Sub(answered) > blind:
			return f.published(verdict.Problemf(Lost, "%v", err))
		case err == nil:
			answered = f.clock.Now()
			if created := aws.ToTime(d.CreatedAt); !created.IsZero() {
				// What failed before we looked counts and is told; and ECS's own stamps tell our
				// deployment's events from those of the one before.
				f.started = created
			}
			f.first = len(d.SourceServiceRevisions) == 0
			f.look()
			f.report(d)
			if ended, problem := f.ended(d); ended {
				return problem
			}
			if problem := f.paused(d); problem != nil {
				return problem
			}
			if problem := f.watch(d); problem != nil {
				return problem
			}
		}
		if problem := f.untilNextLook(d); problem != nil {
			return problem
		}
	}
}

// vanished says that the service is not there any more.
func (f *follower) vanished() bool {
	service, err := f.ecs.service(f.ctx, f.Cluster, f.Service)
	return errors.Is(err, errMissing) || err == nil && aws.ToString(service.Status) == "INACTIVE"
}

// untilNextLook passes the time. While tasks are starting, it is looked in between whether
// some failed: that is one call more, and the sooner it is known, the fewer are launched.
func (f *follower) untilNextLook(d *types.ServiceDeployment) *verdict.Problem {
	wait := f.Poll
	if d != nil && f.ending == nil && f.outcome.Hook == nil && forward(d.Status) && starting(d.LifecycleStage) {
		wait = f.Poll / 2
		if err := f.clock.Sleep(f.ctx, wait); err != nil {
			return f.interrupted(err)
		}
		f.lookAtStopped()
		if why := f.failedEnough(d); why != nil {
			if problem := f.end(why); problem != nil {
				return problem
			}
		}
	}
	if err := f.clock.Sleep(f.ctx, wait); err != nil {
		return f.interrupted(err)
	}
	return nil
}

// report tells what changed.
func (f *follower) report(d *types.ServiceDeployment) {
	f.outcome.Status = string(d.Status)
	e := Event{Status: string(d.Status), Stage: string(d.LifecycleStage), Weight: -1}
	if t := d.TargetServiceRevision; t != nil {
		e.Running, e.Requested, f.pending = int(t.RunningTaskCount), int(t.RequestedTaskCount), int(t.PendingTaskCount)
		if t.RequestedProductionTrafficWeight != nil {
			e.Weight = *t.RequestedProductionTrafficWeight
		}
	}
	if e == f.last {
		return
	}
	f.last = e
	e.Text = aws.ToString(d.StatusReason)
	f.tell(e)
}

func (f *follower) tell(e Event) {
	e.Time = f.clock.Server()
	f.outcome.Events = append(f.outcome.Events, e)
	if f.Progress != nil {
		f.Progress(e)
	}
}

func (f *follower) say(format string, args ...any) {
	e := f.last
	e.Text = fmt.Sprintf(format, args...)
	f.tell(e)
}

// unable is a problem of not being able to ask ECS.
func (f *follower) unable(code verdict.Code, err error) *verdict.Problem {
	if f.ctx.Err() != nil {
		return f.interrupted(err)
	}
	if Expired(err) {
		code = AuthExpired
	}
	problem := verdict.Problemf(code, "%v", err)
	if code == Lost || f.outcome.Deployment != "" {
		return f.published(problem)
	}
	return problem
}

func (f *follower) interrupted(err error) *verdict.Problem {
	if f.outcome.Deployment == "" && !f.outcome.Adopted {
		return verdict.Problemf(Interrupted, "%v", err)
	}
	return f.published(verdict.Problemf(Interrupted, "%v; deployment %s goes on", err, id(f.outcome.Deployment)))
}

// published names what is visible to others in spite of the problem.
func (f *follower) published(p *verdict.Problem) *verdict.Problem {
	what := "an update of service " + f.Service
	if f.outcome.Deployment != "" {
		what = "deployment " + id(f.outcome.Deployment) + " of service " + f.Service
	}
	p.Published = append(p.Published, what)
	return p
}

// id is the last part of an ARN.
func id(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
