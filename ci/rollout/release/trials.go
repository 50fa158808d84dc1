package release

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// runTrial runs one task of the new version, unless trials are disabled. A rollback runs none: its version has served here,
// and every minute counts. Tasks left by an interrupted run are stopped.
func (o trials) runTrial(ctx context.Context, run journal.Run) *trial.Outcome {
	if o.plan.Trial.Off || run.Kind != journal.Deploy {
		o.stopLeftTasks(ctx)
		return &trial.Outcome{}
	}
	task := *o.plan.Trial.Task
	task.TaskDefinition = aws.String(o.state.TaskDefinition())
	outcome := trial.Run(ctx, o.clients.ECS, o.clock, trial.Request{
		Task: &task, Run: strings.Join([]string{run.Started.Format(time.RFC3339Nano), o.in.Name, strconv.FormatInt(o.past.Token, 10)}, "/"),
		Patience: o.plan.Trial.Patience, NoHealthCheck: o.plan.Trial.NoHealthCheck, Left: o.mayHaveLeftTasks(), Fence: o.fence,
		Look: o.fence, Logs: o.logs, Progress: func(text string) { o.log("%s", text) },
	})
	if outcome.Problem != nil && unfinished(outcome.Problem.Code) {
		return outcome
	}
	value := fmt.Sprintf("%d launched", outcome.Launches)
	if outcome.Problem == nil {
		value = fmt.Sprintf("healthy after %s, %s", outcome.Healthy.Round(time.Second), value)
	}
	o.stage().Gate("trial task", value, "healthy before the service is touched", outcome.Problem == nil)
	return outcome
}

// mayHaveLeftTasks reports whether an earlier run may have left a trial task.
func (o trials) mayHaveLeftTasks() bool {
	ended := o.past.Ended
	return o.past.Run != nil || len(ended) > 0 && ended[len(ended)-1].Verdict != journal.Passed
}

// stopLeftTasks stops trial tasks that an earlier run may have left, if this run makes no trial.
func (o trials) stopLeftTasks(ctx context.Context) {
	if !o.mayHaveLeftTasks() {
		return
	}
	if stopped, err := trial.Stop(ctx, o.clients.ECS, o.plan.Trial.Task, "left by an interrupted run"); err != nil {
		o.stage().Warn(TrialLeft, "%v", err)
	} else if len(stopped) > 0 {
		o.log("stopped %d trial tasks that an interrupted run left", len(stopped))
	}
}

// otherTrial reads the journal and returns another run that holds the lock and has not reached the service yet, or nil.
func (o trials) otherTrial(ctx context.Context) (*journal.Run, *journal.Holder, *verdict.Problem) {
	past, err := o.journal.Read(ctx)
	if err != nil {
		return nil, nil, journal.Problem(err)
	}
	o.past = past
	holder, run := o.journal.Held(past), past.Run
	if holder == nil || run == nil || run.Kind != journal.Deploy || run.Deployment != "" {
		return nil, nil, nil
	}
	return run, holder, nil
}

// abortTrial ends another run that has not reached the service yet, by stopping its trial task. done is true if nothing is
// left to roll back; otherwise the caller would roll back the release that serves.
func (o trialRollback) abortTrial(ctx context.Context) (problems []*verdict.Problem, done bool) {
	stopped := 0
	var seen *journal.Run
	for left := 2 * o.plan.Trial.Patience; left > 0; left -= trialPoll {
		run, holder, problem := trials{o.observer}.otherTrial(ctx)
		switch {
		case problem != nil:
			return []*verdict.Problem{problem}, true
		case run == nil && seen == nil:
			return nil, false
		case run == nil, seen != nil && seen.Token != run.Token:
			return o.judgeAborted(ctx, *seen, stopped)
		}
		seen = run
		deploys, problem := o.deploymentInFlight(ctx)
		if problem != nil {
			return []*verdict.Problem{problem}, true
		}
		if deploys {
			return nil, false // its own deployment, or one that it waits for; that can be stopped
		}
		tasks, err := trial.Stop(ctx, o.clients.ECS, o.plan.Trial.Task, "rolled back by "+o.in.Name)
		if err != nil && !noCluster(err) {
			return []*verdict.Problem{verdict.Problemf(StopRefused, "%v", err)}, true
		}
		if len(tasks) > 0 {
			o.result.Changed = true
			stopped += len(tasks)
			o.log("stopped the trial task of %s by %s; waiting until that run records it, or its lock expires", run.Image, holder.Name)
		}
		if err := o.clock.Sleep(ctx, trialPoll); err != nil {
			return []*verdict.Problem{verdict.Problemf(rollout.Cancelled, "%v", err)}, true
		}
	}
	if seen == nil {
		return nil, false
	}
	return []*verdict.Problem{verdict.Problemf(journal.Locked, "%s by %s has not reached the service, and does not end", seen.Image,
		seen.By)}, true
}

// judgeAborted finds out how a run ended that had not reached the service when last seen.
func (o trialRollback) judgeAborted(ctx context.Context, seen journal.Run, stopped int) (problems []*verdict.Problem, done bool) {
	if open := o.past.Run; open != nil && open.Token == seen.Token {
		if open.Deployment != "" {
			return nil, false // it reached the service
		}
		return o.optimistic(ctx, func(ctx context.Context) []*verdict.Problem { return o.rollBackInterrupted(ctx, seen, stopped) }), true
	}
	for _, run := range o.past.Ended {
		if run.Token != seen.Token {
			continue
		}
		if run.Deployment != "" || run.Verdict == journal.Passed {
			return nil, false
		}
		o.trialGate(stopped, run.Code)
		return nil, true
	}
	return []*verdict.Problem{verdict.Problemf(journal.Locked,
		"another run has taken over from %s, which deployed %s and had not reached the service", seen.By, seen.Image)}, true
}

func (o trialRollback) trialGate(stopped int, how string) {
	o.stage().Gate("trial task", strings.TrimSpace(fmt.Sprintf("%d stopped %s", stopped, how)), "ended before the service was touched", true)
}

// rollBackInterrupted ends a run that was interrupted before its deployment was on record.
func (o trialRollback) rollBackInterrupted(ctx context.Context, seen journal.Run, stopped int) []*verdict.Problem {
	open := o.past.Run
	if open == nil || open.Token != seen.Token {
		problems, _ := o.judgeAborted(ctx, seen, stopped)
		return problems
	}
	service, running, problem := o.inFlightDeployments(ctx)
	if problem != nil && problem.Code.Name != deployment.TargetMissing.Name {
		return []*verdict.Problem{problem}
	}
	if len(running) > 0 || service != nil && aws.ToString(service.TaskDefinition) == open.TaskDefinition {
		return rollbacker{o.observer}.rollback(ctx) // it had reached the service
	}
	return o.endInterrupted(ctx, stopped)
}

// interruptedTrial ends an interrupted run whose trial task still runs. That run is then rolled back, not the release that
// serves. done is true if there was such a run.
func (o trialRollback) interruptedTrial(ctx context.Context, service *types.Service) (problems []*verdict.Problem, done bool) {
	open := o.past.Run
	if open == nil || open.Kind != journal.Deploy || open.Deployment != "" || service != nil &&
		aws.ToString(service.TaskDefinition) == open.TaskDefinition {
		return nil, false
	}
	// An error must not delay a rollback, which reports tasks that may remain.
	if tasks, err := trial.Running(ctx, o.clients.ECS, o.plan.Trial.Task); err != nil || len(tasks) == 0 {
		return nil, false
	}
	return o.endInterrupted(ctx, 0), true
}

// endInterrupted stops the trial of the interrupted run, and records its end.
func (o trialRollback) endInterrupted(ctx context.Context, stopped int) []*verdict.Problem {
	if err := o.fence(ctx); err != nil {
		return []*verdict.Problem{asProblem(err)}
	}
	run := *o.past.Run
	tasks, err := trial.Stop(ctx, o.clients.ECS, o.plan.Trial.Task, "rolled back by "+o.in.Name)
	if err != nil && !noCluster(err) {
		return []*verdict.Problem{verdict.Problemf(StopRefused, "%v", err)}
	}
	o.result.Changed = true
	o.log("the run of %s, which deployed %s, was interrupted before it reached the service", run.By, run.Image)
	o.trialGate(stopped+len(tasks), "")
	run.Verdict, run.Code, run.Cause = string(verdict.Fail), deployment.RolledBack.Name, "it was rolled back on request, before it "+
		"reached the service"
	if err := o.journal.End(ctx, run); err != nil {
		o.stage().Warn(NotRecorded, "%v", err)
	}
	return nil
}

// deploymentInFlight reports whether the service has a deployment in progress. It is false if the service or the cluster does
// not exist.
func (o *observer) deploymentInFlight(ctx context.Context) (bool, *verdict.Problem) {
	running, err := deployment.InFlightOf(ctx, o.clients.ECS, *o.plan.Service.Cluster, *o.plan.Service.ServiceName)
	switch {
	case noCluster(err), deployment.Absent(err):
		return false, nil
	case err != nil:
		return false, deployment.ProblemOf(deployment.AWSFailed, err)
	default:
		return len(running) > 0, nil
	}
}

// noCluster matches ECS's error before the first deployment has created the cluster.
func noCluster(err error) bool {
	var none *types.ClusterNotFoundException
	return errors.As(err, &none)
}

// trialPoll is the interval at which another run that has not reached the service is checked.
const trialPoll = 5 * time.Second

// awaitTrial waits until another run's trial has ended.
func (o trials) awaitTrial(ctx context.Context) *verdict.Problem {
	waited := false
	for left := 2 * o.plan.Trial.Patience; left > 0; left -= trialPoll {
		run, holder, problem := o.otherTrial(ctx)
		if problem != nil {
			return problem
		}
		if run == nil {
			if ended := o.past.Ended; waited && o.past.Run == nil && len(ended) > 0 {
				last := ended[len(ended)-1]
				if last.Deployment == "" {
					return verdict.Problemf(NothingInFlight, "%s of %s by %s ended before it reached the service: %s %s", last.Kind, last.Image, last.By,
						last.Code, last.Cause)
				}
			}
			return nil
		}
		if !waited {
			o.log("%s deploys %s and has not reached the service yet; waiting", holder.Name, run.Image)
		}
		waited = true
		deploys, problem := o.deploymentInFlight(ctx)
		if deploys || problem != nil {
			return problem // its own deployment, or one that it waits for; that one is followed
		}
		if err := o.clock.Sleep(ctx, trialPoll); err != nil {
			return verdict.Problemf(rollout.Cancelled, "%v", err)
		}
	}
	return nil
}
