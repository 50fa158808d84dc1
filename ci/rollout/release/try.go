package release

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// try runs one task of what is to be deployed, unless that is not wanted. A rollback tries
// nothing: its version served here, and every minute counts. What a lost run left is stopped.
func (o *operation) try(run journal.Run) *trial.Outcome {
	task := *o.plan.Trial.Task
	task.TaskDefinition = aws.String(o.state.TaskDefinition())
	ended := o.past.Ended
	left := o.past.Run != nil || len(ended) > 0 && ended[len(ended)-1].Verdict != journal.Passed
	if o.plan.Trial.Off || run.Kind != journal.Deploy {
		outcome := &trial.Outcome{}
		if left {
			if stopped, err := trial.Stop(o.ctx, o.clients.ECS, &task, "left by a run that was lost"); err != nil {
				o.stage().Warn(TrialLeft, "%v", err)
			} else if len(stopped) > 0 {
				o.say("stopped %d trial tasks that a lost run left", len(stopped))
			}
		}
		return outcome
	}
	outcome := trial.Run(o.ctx, o.clients.ECS, o.clock, trial.Request{
		Task: &task, Run: strings.Join([]string{run.Started.Format(time.RFC3339Nano), o.in.Name, strconv.FormatInt(o.past.Token, 10)}, "/"),
		Patience: o.plan.Trial.Patience, Left: left, Fence: o.fence, Look: o.fence, Logs: o.logs,
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

// abortTrial stops the task that another run tries, which ends that run before it touches
// the service. done says that nothing is left to roll back.
func (o *operation) abortTrial() (problems []*verdict.Problem, done bool) {
	stopped := 0
	for end := o.clock.Now().Add(2 * o.plan.Trial.Patience); o.clock.Now().Before(end); {
		run, holder, problem := o.trying()
		switch {
		case problem != nil:
			return []*verdict.Problem{problem}, true
		case run == nil && stopped > 0 && o.past.Run == nil:
			o.stage().Gate("trial task", fmt.Sprintf("%d stopped", stopped), "stopped before the service was touched", true)
			return nil, true
		case run == nil:
			return nil, false // it went on to the service, or was lost
		}
		tasks, err := trial.Stop(o.ctx, o.clients.ECS, o.plan.Trial.Task, "rolled back by "+o.in.Name)
		if err != nil {
			return []*verdict.Problem{verdict.Problemf(StopRefused, "%v", err)}, true
		}
		if len(tasks) > 0 {
			o.result.Changed = true
			stopped += len(tasks)
			o.say("stopped the trial task of %s by %s", run.Image, holder.Name)
		}
		if err := o.clock.Sleep(o.ctx, trialPoll); err != nil {
			return []*verdict.Problem{verdict.Problemf(rollout.Cancelled, "%v", err)}, true
		}
	}
	return nil, false
}

// trialPoll is the time between two looks at another run that has not come to the service yet.
const trialPoll = 5 * time.Second

// awaitTrial waits until another run's trial has ended, one way or the other.
func (o *operation) awaitTrial() *verdict.Problem {
	waited := false
	for end := o.clock.Now().Add(2 * o.plan.Trial.Patience); o.clock.Now().Before(end); {
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
		if err := o.clock.Sleep(o.ctx, trialPoll); err != nil {
			return verdict.Problemf(rollout.Cancelled, "%v", err)
		}
	}
	return nil
}
