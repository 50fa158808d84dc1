package release

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Deploy makes the service run an image: first the resources around it, then one update, then the verdict on its own
// deployment. Resources that match the plan are not written.
//
// Further services and one-off tasks are deployed together with it. No service is updated before every trial and every task
// has passed, and if one fails, the others are rolled back too.
func Deploy(ctx context.Context, clients Clients, clock clock.Clock, in Input) *Result {
	if in.Spec.Together() {
		return deployTogether(ctx, clients, clock, in)
	}
	o := newOperation(clients, clock, in)
	if problems := o.prepare(ctx, true); len(problems) > 0 {
		return o.finish(ctx, problems...)
	}
	o.plan.Warn(o.stage())
	o.stage().Gate("image", o.plan.Image.Written(), "pinned by digest", true)
	o.plan.Storage(o.stage())
	o.stage().Files = append(o.stage().Files, o.plan.Files()...)
	return o.finish(ctx, o.optimistic(ctx, deployer{o}.deploy)...)
}

// optimistic runs an attempt that makes its decisions without the lock and takes the lock with its first write. If another
// run wrote in between, the attempt is repeated.
func (o *operation) optimistic(ctx context.Context, attempt func(context.Context) []*verdict.Problem) []*verdict.Problem {
	for range 5 {
		o.journalMoved = false
		if problem := o.waitForLock(ctx); problem != nil {
			return []*verdict.Problem{problem}
		}
		problems := attempt(ctx)
		if !o.journalMoved || o.journal.Taken() {
			return problems // a run that held the lock may have written something
		}
		o.log("another run wrote to the journal; comparing again")
	}
	return []*verdict.Problem{verdict.Problemf(journal.Locked, "other runs keep writing to %s", o.journal.Where())}
}

func (o *operation) digest() string { return o.plan.Image.Digest }

func (o deployer) deploy(ctx context.Context) []*verdict.Problem {
	if o.member == nil {
		if problem := o.checkPromotion(ctx); problem != nil {
			return []*verdict.Problem{problem}
		}
	}
	if problems := o.compare(ctx); len(problems) > 0 {
		return problems
	}
	if problem := o.checkIndex(ctx); problem != nil {
		return []*verdict.Problem{problem}
	}
	o.warnOnce()
	for _, name := range o.state.Alarmed() {
		o.stage().Warn(AlarmPreexisting, "%s", name)
	}
	o.ownership()
	switch {
	case o.in.Smoke == None:
		o.stage().Warn(SmokeOff, "rollout.smoke is none")
	case o.smokeAddress() == "" && o.plan.Adopts() && !o.further:
		o.stage().Warn(SmokeOff, "rollout.smoke is empty, and the address of an adopted service is not known")
	}
	if o.plan.Trial.Off {
		o.stage().Warn(TrialOff, "%s", cmp.Or(o.plan.Trial.Why, "rollout.trial is false"))
	}
	if problem := o.refuseForeign(ctx); problem != nil {
		return []*verdict.Problem{problem}
	}
	open := o.past.Run
	if o.asPlanned() {
		outcome := deployment.Verify(ctx, o.clients.ECS, o.clock, o.request())
		o.evidence(outcome)
		return o.problems(outcome)
	}
	if problem := o.reachable(ctx); problem != nil {
		return []*verdict.Problem{problem}
	}
	if open != nil {
		if ended, problems := o.resume(ctx, *open); ended {
			return problems
		}
	}
	run := journal.Run{Kind: journal.Deploy, Image: o.plan.Image.Written(), ConfigHash: o.plan.ConfigHash, Commit: o.in.Commit,
		Override: o.in.Override, Started: o.clock.Server().UTC(), Settings: o.settings()}
	return o.carryOut(ctx, run, deployment.Request{})
}

// asPlanned reports whether everything matches the plan and is recorded, so that there is nothing to write.
func (o deployer) asPlanned() bool { return o.past.Run == nil && o.state.Unchanged() && o.recorded() }

// recorded reports whether the journal has this image as the current release.
func (o deployer) recorded() bool {
	last := o.past.Last()
	return last != nil && last.TaskDefinition == o.state.TaskDefinition()
}

// settings returns what a rollback to this release would restore.
func (o deployer) settings() *journal.Settings {
	if o.plan.Adopts() {
		return nil // they belong to somebody else
	}
	return &journal.Settings{TargetGroups: o.plan.LoadBalancer.TargetGroups, Attributes: o.plan.LoadBalancer.TargetGroupAttributes,
		GraceSeconds: aws.ToInt32(o.plan.Service.HealthCheckGracePeriodSeconds)}
}

// resume handles an interrupted run. The first result is true if its result is the answer.
func (o deployer) resume(ctx context.Context, open journal.Run) (bool, []*verdict.Problem) {
	o.stage().Warn(Resumed, "%s of %s by %s, started %s", open.Kind, open.Image, open.By, stamp(open.Started))
	o.log("found the record of an interrupted run: %s of %s, started %s", open.Kind, open.Image, stamp(open.Started))
	if open.Deployment == "" || open.TaskDefinition != o.state.TaskDefinition() || open.Kind != journal.Deploy {
		return false, nil
	}
	d, err := deploymentOf(ctx, o.clients.ECS, open.Deployment)
	if err != nil || d == nil || !deployment.HasEnded(d.Status, d.FinishedAt) || d.Status == "SUCCESSFUL" {
		return false, nil // in progress, finished or gone: the deployment finds out
	}
	// It failed after the run was interrupted. Deploying it again would fail again.
	outcome := deployment.Follow(ctx, o.clients.ECS, o.clock, o.request(), open.Deployment)
	o.evidence(outcome)
	return true, o.record(ctx, open, outcome)
}

// carryOut writes what the service needs, updates the service once, follows the deployment, and records its end.
func (o deployer) carryOut(ctx context.Context, run journal.Run, with deployment.Request) []*verdict.Problem {
	if current := o.state.Service(); current != nil {
		run.Previous = aws.ToString(current.TaskDefinition)
	}
	if run.Previous == o.state.TaskDefinition() && o.past.Run != nil {
		run.Previous = o.past.Run.Previous
	}
	run.TaskDefinition = o.state.TaskDefinition()
	e := o.plan.Estimate
	o.log("%s, %s: expected to take about %s, given up after %s", run.Kind, o.plan.Strategy, e.Total.Round(time.Second),
		(e.Trial + e.Deadline).Round(time.Second))
	if problem := o.journalProblem(ctx, o.journal.Record(ctx, run)); problem != nil {
		return []*verdict.Problem{problem}
	}
	if problem := o.state.Before(ctx); problem != nil {
		return o.abortBeforeDeploy(ctx, run, problem)
	}
	run.TaskDefinition = o.state.TaskDefinition()
	request := o.request()
	o.analyse(&request, run.Kind)
	request.InFlight = o.inFlight()
	request.Started = func(ctx context.Context, arn string) {
		run.Deployment = arn
		o.log("deployment %s", arn[strings.LastIndexByte(arn, '/')+1:])
		o.member.arrive()
		if err := o.journal.Record(ctx, run); err != nil {
			o.log("the journal could not be written: %v", err)
		}
	}
	if err := o.addServiceInputs(&request, with); err != nil {
		return o.abortBeforeDeploy(ctx, run, verdict.Problemf(deployment.UpdateFailed, "%v", err))
	}
	if problem := o.journalProblem(ctx, o.journal.Record(ctx, run)); problem != nil {
		return []*verdict.Problem{problem}
	}
	var tried *trial.Outcome
	request.Before = func(ctx context.Context) *verdict.Problem {
		if tried = (trials{o.observer}).runTrial(ctx, run); tried.Problem != nil {
			return tried.Problem
		}
		if o.member != nil && run.Kind == journal.Deploy {
			if problem := o.group.gate(ctx, o.member); problem != nil {
				return problem
			}
		}
		return o.state.Soon(ctx)
	}
	if o.member != nil {
		request.Abort = o.member.abort
	}
	outcome := deployment.Deploy(ctx, o.clients.ECS, o.clock, request)
	if problem := o.unwatched(run, outcome); problem != nil {
		outcome.Problem = problem
	}
	if tried == nil && (outcome.Problem == nil || !unfinished(outcome.Problem.Code)) {
		trials{o.observer}.stopLeftTasks(ctx) // no trial: the version already runs, or its deployment was in progress
	}
	if tried != nil && outcome.Problem != nil && outcome.Deployment == "" {
		// The service was not updated; the resources around it were.
		outcome.Problem.Published = append(outcome.Problem.Published, o.state.Written()...)
	}
	switch oldServes := outcome.Undone || outcome.Deployment == "" && !outcome.Unchanged; {
	case outcome.Problem == nil:
		o.settle(ctx)
	case oldServes && !unfinished(outcome.Problem.Code):
		if problem := o.state.Back(ctx); problem != nil {
			outcome.Problem.Cause += "; and " + problem.Cause
		}
	}
	for _, remark := range o.state.Remarks() {
		o.stage().Warn(AWSRemark, "%s", remark)
	}
	o.evidence(outcome)
	o.result.Changed = o.result.Changed || !outcome.Unchanged
	return o.record(ctx, run, outcome)
}

// settle writes what can only be written once the new version serves. That version was verified, so a failure here does not
// fail the deployment: the next run finds what is missing.
func (o deployer) settle(ctx context.Context) {
	if problem := o.state.After(ctx); problem != nil {
		o.stage().Warn(NotAsPlanned, "%s", problem.Cause)
	}
}

// addServiceInputs adds the input of the service's update to a request.
func (o deployer) addServiceInputs(request *deployment.Request, with deployment.Request) error {
	request.Update = with.Update
	if !o.state.Exists() {
		in, err := o.state.CreateService()
		if err != nil {
			return err
		}
		request.Create = in
		return nil
	}
	// A service that never completed a deployment may be deleted and recreated.
	if in, err := o.state.CreateService(); err == nil {
		request.Create = in
	}
	if with.Update.TaskDefinition != nil {
		// It may have been registered again in the meantime.
		request.Update.TaskDefinition = aws.String(o.state.TaskDefinition())
		return nil
	}
	in, err := o.state.UpdateService()
	if err != nil {
		return err
	}
	request.Update = *in
	return nil
}

// inFlight returns what to do about a deployment of another version. By default a deployment that our own interrupted run
// left is awaited, and any other is refused.
func (o deployer) inFlight() deployment.InFlight {
	switch {
	case o.in.InFlight != "":
		return o.in.InFlight
	case o.past.Run != nil:
		return deployment.Wait
	default:
		return deployment.Refuse
	}
}

// journalProblem converts an error of the journal to a problem.
func (o *operation) journalProblem(ctx context.Context, err error) *verdict.Problem {
	if err == nil {
		return nil
	}
	if errors.Is(err, journal.ErrMoved) {
		o.journalMoved = true
		return verdict.Problemf(deployment.LockLost, "%v", err)
	}
	if ctx.Err() != nil {
		return verdict.Problemf(rollout.Cancelled, "%v", err)
	}
	return journal.Problem(err)
}

// abortBeforeDeploy ends a run before its deployment.
func (o deployer) abortBeforeDeploy(ctx context.Context, run journal.Run, problem *verdict.Problem) []*verdict.Problem {
	problem.Published = append(problem.Published, o.state.Written()...)
	return o.record(ctx, run, &deployment.Outcome{Problem: problem})
}

func (o *observer) problems(outcome *deployment.Outcome) []*verdict.Problem {
	if outcome.Problem == nil {
		return nil
	}
	return []*verdict.Problem{outcome.Problem}
}
