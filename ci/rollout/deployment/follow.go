package deployment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout/unrepeatable"
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

var inFlight = []types.ServiceDeploymentStatus{
	types.ServiceDeploymentStatusPending, types.ServiceDeploymentStatusInProgress, types.ServiceDeploymentStatusStopRequested,
	types.ServiceDeploymentStatusRollbackRequested, types.ServiceDeploymentStatusRollbackInProgress,
}

// follower is one call of Deploy.
type follower struct {
	Request
	ctx     context.Context
	ecs     *api
	clock   Clock
	outcome *Outcome
	// started is when the deployment began, as ECS has it; begun is from when on it counts
	// against the deadline: a pause before does not.
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
	// ending is why this package asked for a rollback; nil while it did not.
	ending   *verdict.Problem
	endingAt time.Time
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
	// mostRunning is how many tasks of the new version ran at once; more of them is progress.
	mostRunning int
	failedTask  string
	waited      bool
	// endSince is when asking for it first failed.
	endSince time.Time
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
	before, err := f.ecs.deployments(f.ctx, f.Cluster, f.Service, time.Time{}, inFlight...)
	if err == nil {
		err = f.maySee(service)
	}
	if denied(err) {
		return verdict.Problemf(FollowDenied, "%v", err)
	}
	if err != nil {
		return f.unable(AWSFailed, err)
	}
	known := map[string]bool{}
	for _, brief := range before {
		known[aws.ToString(brief.ServiceDeploymentArn)] = true
		ours, err := f.isOurs(brief)
		if err != nil {
			return f.unable(AWSFailed, err)
		}
		if ours && forward(brief.Status) {
			f.outcome.Adopted, f.outcome.Deployment = true, aws.ToString(brief.ServiceDeploymentArn)
			f.started = aws.ToTime(brief.CreatedAt)
			f.begun = f.started
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
	if len(before) == 0 && aws.ToString(service.TaskDefinition) == f.TaskDefinition && !f.Update.ForceNewDeployment {
		f.outcome.Unchanged = true
		return f.verify("")
	}
	if problem := f.update(known); problem != nil {
		return problem
	}
	return f.follow()
}

// maySee returns what ECS says when the credentials may not describe deployments or
// revisions, which policies older than these calls do not allow: without them our own
// deployment cannot be told from another, so they are tried before the service is touched.
// Any other error is met again where the answer is needed.
func (f *follower) maySee(service *types.Service) error {
	for _, current := range service.CurrentServiceRevisions {
		if _, err := f.ecs.revision(f.ctx, aws.ToString(current.Arn)); denied(err) {
			return err
		}
		break
	}
	if current := aws.ToString(service.CurrentServiceDeployment); current != "" {
		if _, err := f.ecs.deployment(f.ctx, current); denied(err) {
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

// update makes the one call that changes anything, and finds the deployment it started.
// UpdateService has no token that would make it safe to repeat, so an answer that was
// lost is not asked for again: the deployment is looked for instead.
func (f *follower) update(known map[string]bool) *verdict.Problem {
	in := f.Update
	in.Cluster, in.Service, in.TaskDefinition = aws.String(f.Cluster), aws.String(f.Service), aws.String(f.TaskDefinition)
	if problem := f.mayWrite(); problem != nil {
		return problem
	}
	since := f.clock.Now().Add(-appears)
	*f.ecs.calls++
	_, updateErr := f.ecs.UpdateService(f.ctx, &in, unrepeatable.ECS)
	if updateErr != nil && refused(updateErr) {
		return verdict.Problemf(UpdateFailed, "update service %s: %v", f.Service, updateErr)
	}
	return f.find(known, since, updateErr)
}

// find looks for the deployment that our write started.
func (f *follower) find(known map[string]bool, since time.Time, updateErr error) *verdict.Problem {
	var lastErr error
	for end := f.clock.Now().Add(appears); ; {
		all, err := f.ecs.deployments(f.ctx, f.Cluster, f.Service, since)
		if f.outcome.CallsBeforeWait == 0 {
			f.outcome.CallsBeforeWait = f.outcome.Calls
		}
		lastErr = err
		for _, brief := range all {
			if known[aws.ToString(brief.ServiceDeploymentArn)] {
				continue
			}
			ours, err := f.isOurs(brief)
			if err != nil {
				lastErr = err
				break
			}
			if ours {
				f.outcome.Deployment = aws.ToString(brief.ServiceDeploymentArn)
				f.found()
				return nil
			}
		}
		if !f.clock.Now().Before(end) {
			break
		}
		if err := f.clock.Sleep(f.ctx, f.Poll); err != nil {
			return f.interrupted(err)
		}
	}
	switch {
	case updateErr != nil:
		return verdict.Problemf(UpdateFailed, "update service %s: %v; no deployment appeared in %s", f.Service, updateErr, appears)
	case lastErr != nil:
		return f.published(verdict.Problemf(Lost, "service %s was updated, and its deployment cannot be found: %v", f.Service, lastErr))
	default:
		return f.published(verdict.Problemf(NotStarted, "service %s was updated to %s, and no deployment of it appeared in %s", f.Service, id(f.TaskDefinition), appears))
	}
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
		case errors.Is(err, errMissing):
			// A deployment vanishes with its service.
			return verdict.Problemf(TargetMissing, "the deployment is gone, and most likely service %s with it: %v", f.Service, err)
		case err != nil && expired(err):
			return f.published(verdict.Problemf(AuthExpired, "%v", err))
		case err != nil && refused(err), err != nil && f.clock.Now().Sub(answered) > blind:
			return f.published(verdict.Problemf(Lost, "%v", err))
		case err == nil:
			answered = f.clock.Now()
			if created := aws.ToTime(d.CreatedAt); f.outcome.Adopted && !created.IsZero() && created.Before(f.started) {
				f.started = created // what failed before we looked counts and is told
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
	e.Time = f.clock.Now()
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

// ended judges a deployment in a terminal state.
func (f *follower) ended(d *types.ServiceDeployment) (bool, *verdict.Problem) {
	if d.FinishedAt != nil {
		f.outcome.Seconds = d.FinishedAt.Sub(aws.ToTime(d.CreatedAt)).Seconds()
	}
	switch d.Status {
	case types.ServiceDeploymentStatusSuccessful:
		revision := ""
		if d.TargetServiceRevision != nil {
			revision = aws.ToString(d.TargetServiceRevision.Arn)
		}
		return true, f.verify(revision)
	case types.ServiceDeploymentStatusRollbackSuccessful:
		return true, f.because(RolledBack, d, "the old version serves")
	case types.ServiceDeploymentStatusRollbackFailed:
		return true, f.published(f.because(RollbackFailed, d, "which version serves is unknown"))
	case types.ServiceDeploymentStatusStopped:
		code := Stopped
		if f.replaced(d) {
			code = Superseded
		}
		return true, f.published(f.because(code, d, ""))
	default:
		return false, nil // including words that do not exist yet
	}
}

// replaced says that a deployment was stopped for another one. ECS says so in words;
// words change, so a newer deployment counts as well.
func (f *follower) replaced(d *types.ServiceDeployment) bool {
	if strings.Contains(strings.ToLower(aws.ToString(d.StatusReason)), "replaced by") {
		return true
	}
	newer, err := f.ecs.deployments(f.ctx, f.Cluster, f.Service, aws.ToTime(d.CreatedAt))
	if err != nil {
		f.say("the list of newer deployments could not be read: %v", err)
		return false
	}
	for _, brief := range newer {
		if aws.ToString(brief.ServiceDeploymentArn) != f.outcome.Deployment && aws.ToTime(brief.CreatedAt).After(aws.ToTime(d.CreatedAt)) {
			return true
		}
	}
	return false
}

// because is the problem of a deployment that ended badly, with everything known of why.
func (f *follower) because(code verdict.Code, d *types.ServiceDeployment, effect string) *verdict.Problem {
	f.inspect()
	var parts []string
	if f.ending != nil {
		if code == RolledBack && (f.ending.Code == NoCapacity || f.ending.Code == Stuck) {
			code = f.ending.Code
		}
		parts = append(parts, f.ending.Cause)
	}
	if reason := aws.ToString(d.StatusReason); reason != "" {
		parts = append(parts, reason)
	}
	if d.Rollback != nil && aws.ToString(d.Rollback.Reason) != "" && aws.ToString(d.Rollback.Reason) != aws.ToString(d.StatusReason) {
		parts = append(parts, aws.ToString(d.Rollback.Reason))
	}
	if d.Alarms != nil && len(d.Alarms.TriggeredAlarmNames) > 0 {
		parts = append(parts, "alarms: "+strings.Join(d.Alarms.TriggeredAlarmNames, ", "))
	}
	if len(parts) == 0 {
		parts = append(parts, "ECS gives no reason")
	}
	if effect != "" {
		parts = append(parts, effect)
	}
	problem := verdict.Problemf(code, "deployment %s is %s: %s", id(f.outcome.Deployment), d.Status, strings.Join(parts, "; "))
	f.explain(problem)
	return problem
}

// watch ends a deployment that cannot become good: the circuit breaker is one of rolling
// deployments, and a stage of the others may last a day.
func (f *follower) watch(d *types.ServiceDeployment) *verdict.Problem {
	now := f.clock.Now()
	if f.ending != nil {
		if now.Sub(f.endingAt) > rollsBack {
			problem := f.published(verdict.Problemf(Stuck, "%s; %s after it was to be rolled back it is %s", f.ending.Cause, rollsBack, d.Status))
			f.explain(problem)
			return problem
		}
		return nil
	}
	if !forward(d.Status) {
		// ECS or somebody else is ending it already; that too must end some time.
		f.ending, f.endingAt = verdict.Problemf(RolledBack, "ECS began to undo the deployment"), now
		if d.Rollback != nil && aws.ToString(d.Rollback.Reason) != "" {
			f.ending.Cause = aws.ToString(d.Rollback.Reason)
		}
		return nil
	}
	f.inspect()
	if why := f.failedEnough(d); why != nil {
		return f.end(why)
	}
	switch {
	case f.noRoom != "" && now.Sub(f.noRoomSince) >= f.CapacityPatience:
		return f.end(verdict.Problemf(NoCapacity, "for %s AWS has not placed a task: %s", f.CapacityPatience, f.noRoom))
	case f.neverHealthy(d, now):
		return f.end(verdict.Problemf(RolledBack, "for %s the tasks of the new version have not become healthy: %d of %d%s",
			f.HealthPatience, f.last.Running, f.last.Requested, prefixed("; ", f.targetsSaid)))
	case f.probeFailed(d):
		return f.end(verdict.Problemf(RolledBack, "the service did not answer %d probes in a row while the new version baked", badProbes))
	case f.Deadline > 0 && now.Sub(f.begun) > f.Deadline:
		problem := verdict.Problemf(Stuck, "not done after %s: status %s, stage %s, %d of %d tasks running",
			f.Deadline, d.Status, d.LifecycleStage, f.last.Running, f.last.Requested)
		f.explain(problem)
		if f.OnTimeout == Leave {
			return f.published(problem)
		}
		return f.end(problem)
	}
	return nil
}

// failedEnough is why a deployment must end whose tasks fail; nil while there is hope.
func (f *follower) failedEnough(d *types.ServiceDeployment) *verdict.Problem {
	switch {
	case f.failedTasks >= f.MaxFailures:
		return verdict.Problemf(RolledBack, "%d tasks of the new version failed", f.failedTasks)
	case f.allFailedAtStart(d):
		return verdict.Problemf(RolledBack, "%d tasks of the new version failed, and they were all that were started", f.failedTasks)
	case f.noRoom == "" && min(f.unlaunched, f.unlaunchedBefore) >= f.MaxFailures && f.clock.Now().Sub(f.begun) > appears:
		// Seen twice, so that the reason is known too where it is a lack of room; and not at
		// once, as ECS does not know a role that is new.
		return verdict.Problemf(RolledBack, "ECS could not launch %d tasks of the new version", f.unlaunched)
	}
	return nil
}

// allFailedAtStart says that no task of the new version has ever come further than those
// that failed. ECS launches as many as are desired at once and replaces each that fails, so
// a version that cannot start would use up two rounds before three failures are counted:
// it is enough that at least two failed, and that none lives that was launched before the
// last of them. Where one does, others than the version may be to blame, and MaxFailures counts.
func (f *follower) allFailedAtStart(d *types.ServiceDeployment) bool {
	if f.StartFailures < 0 || f.failedTasks < f.StartFailures || f.judgedFailed == f.failedTasks || !starting(d.LifecycleStage) {
		return false
	}
	live, err := f.ecs.tasks(f.ctx, f.Cluster, f.Service, types.DesiredStatusRunning, nil)
	if err != nil {
		f.say("running tasks could not be read: %v", err)
		return false
	}
	f.judgedFailed = f.failedTasks // only another failure can change the answer
	for _, t := range live {
		if aws.ToString(t.TaskDefinitionArn) == f.TaskDefinition && !aws.ToTime(t.CreatedAt).After(f.newestFailed) {
			return false
		}
	}
	return true
}

// starting says that no task of the new version is known to have been healthy. A rolling
// deployment may have no stage.
func starting(stage types.ServiceDeploymentLifecycleStage) bool {
	switch stage {
	case "", types.ServiceDeploymentLifecycleStageReconcileService, types.ServiceDeploymentLifecycleStagePreScaleUp, types.ServiceDeploymentLifecycleStageScaleUp:
		return true
	default:
		return false
	}
}

// probeFailed asks the service itself while both versions run and the new one has traffic:
// what alarms see a minute later.
func (f *follower) probeFailed(d *types.ServiceDeployment) bool {
	switch d.LifecycleStage {
	case types.ServiceDeploymentLifecycleStageBakeTime:
	case types.ServiceDeploymentLifecycleStageProductionTrafficShift:
		if f.last.Weight <= 0 {
			return false
		}
	default:
		return false
	}
	if f.Probe == nil {
		return false
	}
	if err := f.Probe(f.ctx); err != nil {
		f.probeFails++
		f.say("probe failed: %v", err)
	} else {
		f.probeFails = 0
	}
	return f.probeFails >= badProbes
}

// end asks ECS to put the old version back, and goes on following.
func (f *follower) end(why *verdict.Problem) *verdict.Problem {
	if problem := f.mayWrite(); problem != nil {
		problem.Cause = why.Cause + "; " + problem.Cause
		return f.published(problem)
	}
	if f.first {
		return f.undoFirst(why)
	}
	f.say("rolling back: %s", why.Cause)
	*f.ecs.calls++
	if _, err := f.ecs.StopServiceDeployment(f.ctx, stopInput(f.outcome.Deployment)); err != nil {
		if refused(err) {
			// It ended in the meantime, or there is nothing to go back to.
			d, lookErr := f.ecs.deployment(f.ctx, f.outcome.Deployment)
			if lookErr == nil {
				if ended, problem := f.ended(d); ended {
					return problem
				}
			}
			problem := f.published(verdict.Problemf(Stuck, "%s; it cannot be rolled back: %v", why.Cause, err))
			f.explain(problem)
			return problem
		}
		if f.endSince.IsZero() {
			f.endSince = f.clock.Now()
		}
		if f.clock.Now().Sub(f.endSince) > blind {
			problem := f.published(verdict.Problemf(Stuck, "%s; for %s it could not be rolled back: %v", why.Cause, blind, err))
			f.explain(problem)
			return problem
		}
		return nil // tried again with the next look
	}
	f.ending, f.endingAt = why, f.clock.Now()
	return nil
}

// inspect reads why tasks stopped and what the service says. Not to be able to is no
// reason to give up following: it is said, and tried again.
func (f *follower) inspect() {
	f.lookAtStopped()
	f.lookAtService()
	f.lookAtTargets()
}

// lookAtStopped counts the tasks of our version that failed, and keeps why. It asks for
// tasks that are to be stopped, which a failed one is long before it is.
func (f *follower) lookAtStopped() {
	tasks, err := f.ecs.tasks(f.ctx, f.Cluster, f.Service, types.DesiredStatusStopped, f.seenTasks)
	if err != nil {
		f.say("reasons of stopped tasks could not be read: %v", err)
	}
	for _, t := range tasks {
		f.seenTasks[aws.ToString(t.TaskArn)] = true
		if aws.ToString(t.TaskDefinitionArn) != f.TaskDefinition || !failed(t) || aws.ToTime(t.CreatedAt).Before(f.started.Add(-appears)) {
			continue
		}
		text := explain(t)
		if capacity(text) {
			f.seeNoRoom(text)
			continue
		}
		f.failedTasks++
		if created := aws.ToTime(t.CreatedAt); created.After(f.newestFailed) {
			f.newestFailed = created
		}
		f.failedTask = aws.ToString(t.TaskArn)
		f.fail(text)
	}
}

// lookAtService reads the service's new events, and how many tasks ECS could not launch.
func (f *follower) lookAtService() {
	service, err := f.ecs.service(f.ctx, f.Cluster, f.Service)
	if err != nil {
		f.say("events of the service could not be read: %v", err)
		return
	}
	for _, e := range service.Events {
		key := aws.ToString(e.Id)
		if f.seenEvents[key] || aws.ToTime(e.CreatedAt).Before(f.started) {
			continue
		}
		f.seenEvents[key] = true
		text := aws.ToString(e.Message)
		f.say("%s", text)
		switch {
		case capacity(text):
			f.seeNoRoom(text)
		case containsAny(text, "failed to launch", "unable to assume"):
			f.fail(withRemedy(text)) // it leaves no stopped task that would say so
		}
	}
	f.seeRoom()
	f.unlaunchedBefore, f.unlaunched = f.unlaunched, 0
	for _, d := range service.Deployments {
		if aws.ToString(d.Status) == "PRIMARY" && aws.ToString(d.TaskDefinition) == f.TaskDefinition && !aws.ToTime(d.CreatedAt).Before(f.started.Add(-appears)) {
			f.unlaunched = int(d.FailedTasks)
		}
	}
}

// seeRoom forgets a lack of room when all tasks run, or have a place for some time: one
// that AWS cannot place is pending too, until AWS says so again.
func (f *follower) seeRoom() {
	placed := f.last.Running+f.pending >= f.last.Requested && f.clock.Now().Sub(f.noRoomAt) > placing
	if f.last.Requested > 0 && (placed || f.last.Running >= f.last.Requested) {
		f.noRoom = ""
	}
}

func (f *follower) seeNoRoom(text string) {
	if f.noRoomAt = f.clock.Now(); f.noRoom == "" {
		f.noRoomSince = f.noRoomAt
	}
	f.noRoom = text
	f.fail(text)
}

// fail keeps each reason once, however many tasks it ended.
func (f *follower) fail(text string) {
	for _, known := range f.outcome.Failures {
		if known == text {
			return
		}
	}
	f.outcome.Failures = append(f.outcome.Failures, text)
	f.say("task failed: %s", text)
}

// verify holds what runs against what was asked for. ECS's word that a deployment
// succeeded is necessary and not enough. What ECS describes lags behind, and scaling may
// just be adding a task, so a bad answer is asked for again before it counts.
func (f *follower) verify(revisionARN string) *verdict.Problem {
	for end := f.clock.Now().Add(settles); ; {
		problem := f.check(revisionARN)
		if problem == nil || problem.Code == DigestMismatch || !f.clock.Now().Before(end) {
			return problem
		}
		if err := f.clock.Sleep(f.ctx, f.Poll); err != nil {
			return f.interrupted(err)
		}
	}
}

func (f *follower) check(revisionARN string) *verdict.Problem {
	service, err := f.ecs.service(f.ctx, f.Cluster, f.Service)
	if err != nil {
		return f.unable(Lost, err)
	}
	if revisionARN == "" && len(service.CurrentServiceRevisions) > 0 {
		revisionARN = aws.ToString(service.CurrentServiceRevisions[0].Arn)
	}
	revision, err := f.ecs.revision(f.ctx, revisionARN)
	if err != nil {
		return f.unable(Lost, err)
	}
	f.outcome.Running, f.outcome.Desired = int(service.RunningCount), int(service.DesiredCount)
	if running := runningImage(revision, f.Container); !strings.Contains(running, f.Digest) {
		return f.published(verdict.Problemf(DigestMismatch, "container %s runs %s, %s was to be deployed", f.Container, running, f.Digest))
	}
	switch {
	case aws.ToString(service.TaskDefinition) != f.TaskDefinition:
		return f.published(verdict.Problemf(Superseded, "service %s runs %s, %s was deployed", f.Service, id(aws.ToString(service.TaskDefinition)), id(f.TaskDefinition)))
	case service.DesiredCount == 0:
		return f.published(verdict.Problemf(NoRunningTasks, "0 tasks run, and 0 are to"))
	case service.RunningCount != service.DesiredCount:
		return f.published(verdict.Problemf(NotServing, "%d of %d tasks run", service.RunningCount, service.DesiredCount))
	}
	if problem := f.checkTargets(revision, int(service.DesiredCount)); problem != nil {
		return f.published(problem)
	}
	if f.Probe != nil {
		if err := f.Probe(f.ctx); err != nil {
			return f.published(verdict.Problemf(NotServing, "%d tasks run, and the service does not answer: %v", service.RunningCount, err))
		}
	}
	return nil
}

// runningImage is the image of a container as ECS resolved it, with its digest.
func runningImage(revision *types.ServiceRevision, container string) string {
	for _, image := range revision.ContainerImages {
		if aws.ToString(image.ContainerName) != container {
			continue
		}
		if digest := aws.ToString(image.ImageDigest); digest != "" {
			return digest
		}
		return aws.ToString(image.Image)
	}
	return "an image that ECS does not name"
}

// unable is a problem of not being able to ask ECS.
func (f *follower) unable(code verdict.Code, err error) *verdict.Problem {
	if f.ctx.Err() != nil {
		return f.interrupted(err)
	}
	problem := verdict.Problemf(code, "%v", err)
	if code == Lost {
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
