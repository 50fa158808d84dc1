package release

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// try runs one task of what is to be deployed, unless that is not wanted. A rollback tries
// nothing: its version served here, and every minute counts. What a lost run left is stopped.
func (o *operation) try(run journal.Run) *trial.Outcome {
	if o.plan.Trial.Off || run.Kind != journal.Deploy {
		o.stopLeft()
		return &trial.Outcome{}
	}
	task := *o.plan.Trial.Task
	task.TaskDefinition = aws.String(o.state.TaskDefinition())
	outcome := trial.Run(o.ctx, o.clients.ECS, o.clock, trial.Request{
		Task: &task, Run: strings.Join([]string{run.Started.Format(time.RFC3339Nano), o.in.Name, strconv.FormatInt(o.past.Token, 10)}, "/"),
		Patience: o.plan.Trial.Patience, Left: o.mayBeLeft(), Fence: o.fence, Look: o.fence, Logs: o.logs,
		Progress: func(text string) { o.say("%s", text) },
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

// mayBeLeft says that an earlier run may have left a trial task.
func (o *operation) mayBeLeft() bool {
	ended := o.past.Ended
	return o.past.Run != nil || len(ended) > 0 && ended[len(ended)-1].Verdict != journal.Passed
}

// stopLeft stops the trial tasks that an earlier run may have left, where none is tried.
func (o *operation) stopLeft() {
	if !o.mayBeLeft() {
		return
	}
	if stopped, err := trial.Stop(o.ctx, o.clients.ECS, o.plan.Trial.Task, "left by a run that was lost"); err != nil {
		o.stage().Warn(TrialLeft, "%v", err)
	} else if len(stopped) > 0 {
		o.say("stopped %d trial tasks that a lost run left", len(stopped))
	}
}

// trying reads the journal, and returns the run of another deployer that has not come to the
// service yet: it tries a task, or is about to. Nil is none.
func (o *operation) trying() (*journal.Run, *journal.Holder, *verdict.Problem) {
	past, err := o.journal.Read(o.ctx)
	if err != nil {
		return nil, nil, verdict.Problemf(journal.JournalFailed, "%v", err)
	}
	o.past = past
	holder, run := o.journal.Held(past), past.Run
	if holder == nil || run == nil || run.Kind != journal.Deploy || run.Deployment != "" {
		return nil, nil, nil
	}
	return run, holder, nil
}

// abortTrial ends a run of another deployer that has not come to the service yet: it stops
// the task that it tries, which ends that run. done says that nothing is left to roll back:
// without it, the release that serves would be taken for what is to go.
func (o *operation) abortTrial() (problems []*verdict.Problem, done bool) {
	stopped := 0
	var seen *journal.Run
	for left := 2 * o.plan.Trial.Patience; left > 0; left -= trialPoll {
		run, holder, problem := o.trying()
		switch {
		case problem != nil:
			return []*verdict.Problem{problem}, true
		case run == nil && seen == nil:
			return nil, false
		case run == nil, seen != nil && seen.Token != run.Token:
			return o.aborted(*seen, stopped)
		}
		seen = run
		deploys, problem := o.deploys()
		if problem != nil {
			return []*verdict.Problem{problem}, true
		}
		if deploys {
			return nil, false // its own, or another's for whose end it waits: that can be stopped
		}
		tasks, err := trial.Stop(o.ctx, o.clients.ECS, o.plan.Trial.Task, "rolled back by "+o.in.Name)
		if err != nil && !noCluster(err) {
			return []*verdict.Problem{verdict.Problemf(StopRefused, "%v", err)}, true
		}
		if len(tasks) > 0 {
			o.result.Changed = true
			stopped += len(tasks)
			o.say("stopped the trial task of %s by %s; waiting until that run says so, or its lock is over as it was lost", run.Image, holder.Name)
		}
		if err := o.clock.Sleep(o.ctx, trialPoll); err != nil {
			return []*verdict.Problem{verdict.Problemf(rollout.Cancelled, "%v", err)}, true
		}
	}
	if seen == nil {
		return nil, false
	}
	return []*verdict.Problem{verdict.Problemf(journal.Locked, "%s by %s has not come to the service, and does not end", seen.Image, seen.By)}, true
}

// aborted says what became of a run that was seen before it came to the service, and is not
// there any more.
func (o *operation) aborted(seen journal.Run, stopped int) (problems []*verdict.Problem, done bool) {
	if open := o.past.Run; open != nil && open.Token == seen.Token {
		if open.Deployment != "" {
			return nil, false // it went on to the service
		}
		return o.optimistic(func() []*verdict.Problem { return o.undoLost(seen, stopped) }), true
	}
	for _, run := range o.past.Ended {
		if run.Token != seen.Token {
			continue
		}
		if run.Deployment != "" || run.Verdict == journal.Passed {
			return nil, false
		}
		o.untouched(stopped, run.Code)
		return nil, true
	}
	return []*verdict.Problem{verdict.Problemf(journal.Locked, "another run has taken over from %s, which deployed %s and had not come to the service", seen.By, seen.Image)}, true
}

func (o *operation) untouched(stopped int, how string) {
	o.stage().Gate("trial task", strings.TrimSpace(fmt.Sprintf("%d stopped %s", stopped, how)), "ended before the service was touched", true)
}

// undoLost ends a run that was lost before its deployment was on record.
func (o *operation) undoLost(seen journal.Run, stopped int) []*verdict.Problem {
	open := o.past.Run
	if open == nil || open.Token != seen.Token {
		problems, _ := o.aborted(seen, stopped)
		return problems
	}
	service, running, problem := o.underWay()
	if problem != nil && problem.Code.Name != deployment.TargetMissing.Name {
		return []*verdict.Problem{problem}
	}
	if len(running) > 0 || service != nil && aws.ToString(service.TaskDefinition) == open.TaskDefinition {
		return o.rollback() // it had come to the service
	}
	return o.endLost(stopped)
}

// leftTrial ends a lost run whose trial task still runs: that is what is rolled back then, and
// not the release that serves. done says that there was one.
func (o *operation) leftTrial(service *types.Service) (problems []*verdict.Problem, done bool) {
	open := o.past.Run
	if open == nil || open.Kind != journal.Deploy || open.Deployment != "" || service != nil && aws.ToString(service.TaskDefinition) == open.TaskDefinition {
		return nil, false
	}
	// What cannot be asked holds up no rollback; that a task may be left is told there.
	if tasks, err := trial.Running(o.ctx, o.clients.ECS, o.plan.Trial.Task); err != nil || len(tasks) == 0 {
		return nil, false
	}
	return o.endLost(0), true
}

// endLost stops what the open run tries, and records its end.
func (o *operation) endLost(stopped int) []*verdict.Problem {
	if err := o.fence(o.ctx); err != nil {
		return []*verdict.Problem{asProblem(err)}
	}
	run := *o.past.Run
	tasks, err := trial.Stop(o.ctx, o.clients.ECS, o.plan.Trial.Task, "rolled back by "+o.in.Name)
	if err != nil && !noCluster(err) {
		return []*verdict.Problem{verdict.Problemf(StopRefused, "%v", err)}
	}
	o.result.Changed = true
	o.say("the run of %s, which deployed %s, was lost before it came to the service", run.By, run.Image)
	o.untouched(stopped+len(tasks), "")
	run.Verdict, run.Code, run.Cause = string(verdict.Fail), deployment.RolledBack.Name, "it was rolled back on request, before it came to the service"
	if err := o.journal.End(o.ctx, run); err != nil {
		o.stage().Warn(NotRecorded, "%v", err)
	}
	return nil
}

// deploys says that a deployment of the service is under way. Without a service, or a
// cluster, there is none.
func (o *operation) deploys() (bool, *verdict.Problem) {
	out, err := o.clients.ECS.ListServiceDeployments(o.ctx, &ecs.ListServiceDeploymentsInput{
		Cluster: o.plan.Service.Cluster, Service: o.plan.Service.ServiceName, Status: unended,
	})
	var noService *types.ServiceNotFoundException
	switch {
	case noCluster(err), errors.As(err, &noService):
		return false, nil
	case err != nil:
		return false, verdict.Problemf(deployment.AWSFailed, "list deployments of service %s: %v", *o.plan.Service.ServiceName, err)
	default:
		return len(out.ServiceDeployments) > 0, nil
	}
}

// noCluster is how ECS answers before the first deployment has made the cluster.
func noCluster(err error) bool {
	var none *types.ClusterNotFoundException
	return errors.As(err, &none)
}

// trialPoll is the time between two looks at another run that has not come to the service yet.
const trialPoll = 5 * time.Second

// awaitTrial waits until another run's trial has ended, one way or the other.
func (o *operation) awaitTrial() *verdict.Problem {
	waited := false
	for left := 2 * o.plan.Trial.Patience; left > 0; left -= trialPoll {
		run, holder, problem := o.trying()
		if problem != nil {
			return problem
		}
		if run == nil {
			if ended := o.past.Ended; waited && o.past.Run == nil && len(ended) > 0 {
				last := ended[len(ended)-1]
				if last.Deployment == "" {
					return verdict.Problemf(NothingInFlight, "%s of %s by %s ended before it came to the service: %s %s", last.Kind, last.Image, last.By, last.Code, last.Cause)
				}
			}
			return nil
		}
		if !waited {
			o.say("%s deploys %s and has not come to the service yet; waiting", holder.Name, run.Image)
		}
		waited = true
		deploys, problem := o.deploys()
		if deploys || problem != nil {
			return problem // its own, or another's for whose end it waits: that is followed
		}
		if err := o.clock.Sleep(o.ctx, trialPoll); err != nil {
			return verdict.Problemf(rollout.Cancelled, "%v", err)
		}
	}
	return nil
}
