package release

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Deploy makes the service run an image: what surrounds it first, then one update, then
// the verdict on our own deployment of it. What is already so is not written.
func Deploy(ctx context.Context, clients Clients, clock Clock, in Input) *Result {
	o := begin(ctx, clients, clock, in)
	if problems := o.prepare(true); len(problems) > 0 {
		return o.done(problems...)
	}
	o.plan.Warn(o.stage())
	o.stage().Gate("image", o.plan.Image, "pinned by digest", true)
	o.plan.Storage(o.stage())
	o.stage().Files = append(o.stage().Files, o.plan.Files()...)
	return o.done(o.optimistic(o.deploy)...)
}

// optimistic runs an attempt that decides by what it read without a lock, and takes the
// lock with its first write. Where somebody else wrote in between, it decides anew.
func (o *operation) optimistic(attempt func() []*verdict.Problem) []*verdict.Problem {
	for range 5 {
		o.moved = false
		if problem := o.read(); problem != nil {
			return []*verdict.Problem{problem}
		}
		problems := attempt()
		if !o.moved || o.journal.Taken() {
			return problems // who held the lock and lost it has begun something
		}
		o.say("another run wrote to the journal meanwhile; looking again")
	}
	return []*verdict.Problem{verdict.Problemf(journal.Locked, "other runs keep writing to %s", o.journal.Where())}
}

func (o *operation) digest() string { return o.plan.Digest() }

func (o *operation) deploy() []*verdict.Problem {
	if problem := o.promoted(); problem != nil {
		return []*verdict.Problem{problem}
	}
	if problems := o.look(); len(problems) > 0 {
		return problems
	}
	o.warn()
	for _, name := range o.state.Alarmed() {
		o.stage().Warn(AlarmPreexisting, "%s", name)
	}
	if o.in.Smoke == None {
		o.stage().Warn(SmokeOff, "rollout.smoke is none")
	}
	if o.plan.Trial.Off {
		o.stage().Warn(TrialOff, "rollout.trial is false")
	}
	open := o.past.Run
	if open == nil && o.state.Unchanged() && o.recorded() {
		outcome := deployment.Verify(o.ctx, o.clients.ECS, o.clock, o.request())
		o.evidence(outcome)
		return o.problems(outcome)
	}
	if problem := o.reachable(); problem != nil {
		return []*verdict.Problem{problem}
	}
	if open != nil {
		if ended, problems := o.resume(*open); ended {
			return problems
		}
	}
	run := journal.Run{Kind: journal.Deploy, Image: o.plan.Image, ConfigHash: o.plan.ConfigHash, Commit: o.in.Commit,
		Override: o.in.Override, Started: o.clock.Server().UTC(), Settings: o.settings()}
	return o.carryOut(run, deployment.Request{})
}

// recorded says that the journal knows that this image serves here.
func (o *operation) recorded() bool {
	last := o.past.Last()
	return last != nil && last.TaskDefinition == o.state.TaskDefinition()
}

// settings are those that a rollback to this release would restore.
func (o *operation) settings() *journal.Settings {
	return &journal.Settings{TargetGroups: o.plan.LoadBalancer.TargetGroups, Attributes: o.plan.LoadBalancer.TargetGroupAttributes,
		GraceSeconds: aws.ToInt32(o.plan.Service.HealthCheckGracePeriodSeconds)}
}

// promoted demands of production that staging has run the digest.
func (o *operation) promoted() *verdict.Problem {
	if o.plan.Environment != rollout.Production {
		return nil
	}
	ran, err := o.journal.Ran(o.ctx, stagingName, o.digest())
	switch {
	case err != nil && o.in.Override == "":
		return verdict.Problemf(journal.JournalFailed, "%v", err)
	case ran:
		o.stage().Gate("promotion", "staging has run "+o.digest(), "run by staging", true)
	case o.in.Override == "":
		o.stage().Gate("promotion", "staging has not run "+o.digest(), "run by staging", false)
		return verdict.Problemf(NotPromoted, "staging has no record of %s", o.digest())
	default:
		o.stage().Warn(Overridden, "%s", o.in.Override)
	}
	return nil
}

const stagingName = "staging"

// resume looks at a run that ended without a word. ended says that its fate is the answer.
func (o *operation) resume(open journal.Run) (bool, []*verdict.Problem) {
	o.stage().Warn(Resumed, "%s of %s by %s, begun %s", open.Kind, open.Image, open.By, stamp(open.Started))
	o.say("found the record of a run without an end: %s of %s, begun %s", open.Kind, open.Image, stamp(open.Started))
	if open.Deployment == "" || open.TaskDefinition != o.state.TaskDefinition() || open.Kind != journal.Deploy {
		return false, nil
	}
	d, err := o.describe(open.Deployment)
	if err != nil || d == nil || !ended(d.Status) || d.Status == "SUCCESSFUL" {
		return false, nil // in flight, done, or gone: deploying finds out by itself
	}
	// It failed while nobody looked. To deploy it again by itself would fail again.
	outcome := deployment.Follow(o.ctx, o.clients.ECS, o.clock, o.request(), open.Deployment)
	o.evidence(outcome)
	return true, o.record(open, outcome)
}

// carryOut writes what the service needs, updates it once, follows, and records the end.
func (o *operation) carryOut(run journal.Run, with deployment.Request) []*verdict.Problem {
	if current := o.state.Service(); current != nil {
		run.Previous = aws.ToString(current.TaskDefinition)
	}
	if run.Previous == o.state.TaskDefinition() && o.past.Run != nil {
		run.Previous = o.past.Run.Previous
	}
	run.TaskDefinition = o.state.TaskDefinition()
	e := o.plan.Estimate
	o.say("%s, %s: expected to take about %s, given up after %s", run.Kind, o.plan.Strategy, e.Total.Round(time.Second), (e.Trial + e.Deadline).Round(time.Second))
	if problem := o.write(o.journal.Record(o.ctx, run)); problem != nil {
		return []*verdict.Problem{problem}
	}
	if problem := o.state.Before(o.ctx); problem != nil {
		return o.given(run, problem)
	}
	run.TaskDefinition = o.state.TaskDefinition()
	request := o.request()
	request.InFlight = o.inFlight()
	request.Started = func(ctx context.Context, arn string) {
		run.Deployment = arn
		o.say("deployment %s", arn[strings.LastIndexByte(arn, '/')+1:])
		if err := o.journal.Record(ctx, run); err != nil {
			o.say("the journal could not be written: %v", err)
		}
	}
	if err := o.fill(&request, with); err != nil {
		return o.given(run, verdict.Problemf(deployment.UpdateFailed, "%v", err))
	}
	if problem := o.write(o.journal.Record(o.ctx, run)); problem != nil {
		return []*verdict.Problem{problem}
	}
	var tried *trial.Outcome
	request.Before = func(context.Context) *verdict.Problem {
		if tried = o.try(run); tried.Problem != nil {
			return tried.Problem
		}
		return o.state.Soon(o.ctx)
	}
	outcome := deployment.Deploy(o.ctx, o.clients.ECS, o.clock, request)
	if tried == nil && (outcome.Problem == nil || !unfinished(outcome.Problem.Code)) {
		o.stopLeft() // the version runs already, or its deployment was under way: no task was tried
	}
	if tried != nil && outcome.Problem != nil && outcome.Deployment == "" {
		// The service was not touched, and what surrounds it was.
		outcome.Problem.Published = append(outcome.Problem.Published, o.state.Written()...)
	}
	switch oldServes := outcome.Undone || outcome.Deployment == "" && !outcome.Unchanged; {
	case outcome.Problem == nil:
		// The new version serves, and was seen to: nothing that fails from here on makes the
		// deployment a failed one. What is missing is a difference that the next run finds.
		if problem := o.state.After(o.ctx); problem != nil {
			o.stage().Warn(NotAsPlanned, "%s", problem.Cause)
		}
	case oldServes && !unfinished(outcome.Problem.Code):
		if problem := o.state.Back(o.ctx); problem != nil {
			outcome.Problem.Cause += "; and " + problem.Cause
		}
	}
	for _, remark := range o.state.Remarks() {
		o.stage().Warn(AWSRemark, "%s", remark)
	}
	o.evidence(outcome)
	o.result.Changed = o.result.Changed || !outcome.Unchanged
	return o.record(run, outcome)
}

// fill puts the inputs of the one write into a request.
func (o *operation) fill(request *deployment.Request, with deployment.Request) error {
	request.Update = with.Update
	if !o.state.Exists() {
		in, err := o.state.CreateService()
		if err != nil {
			return err
		}
		request.Create = in
		return nil
	}
	// A service that never completed a deployment may be deleted and made again.
	if in, err := o.state.CreateService(); err == nil {
		request.Create = in
	}
	if with.Update.TaskDefinition == nil {
		in, err := o.state.UpdateService()
		if err != nil {
			return err
		}
		request.Update = *in
	}
	return nil
}

// inFlight is what to do with a deployment of another version: one that an ended run of
// ours left is waited for, as long as nobody says otherwise; anybody else's is left alone.
func (o *operation) inFlight() deployment.InFlight {
	switch {
	case o.in.InFlight != "":
		return o.in.InFlight
	case o.past.Run != nil:
		return deployment.Wait
	default:
		return deployment.Refuse
	}
}

// write is the problem of an error of the journal.
func (o *operation) write(err error) *verdict.Problem {
	if err == nil {
		return nil
	}
	if errors.Is(err, journal.ErrMoved) {
		o.moved = true
		return verdict.Problemf(deployment.LockLost, "%v", err)
	}
	if o.ctx.Err() != nil {
		return verdict.Problemf(rollout.Cancelled, "%v", err)
	}
	return verdict.Problemf(journal.JournalFailed, "%v", err)
}

// given ends a run before its deployment.
func (o *operation) given(run journal.Run, problem *verdict.Problem) []*verdict.Problem {
	problem.Published = append(problem.Published, o.state.Written()...)
	return o.record(run, &deployment.Outcome{Problem: problem})
}

func (o *operation) problems(outcome *deployment.Outcome) []*verdict.Problem {
	if outcome.Problem == nil {
		return nil
	}
	return []*verdict.Problem{outcome.Problem}
}
