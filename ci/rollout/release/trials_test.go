package release

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
)

// The bar of three launches, for every strategy and number of tasks, however soon ECS
// replaces a task that failed: none of the service's is ever launched.
func TestAVersionThatCannotStartNeverComesToTheService(t *testing.T) {
	for _, strategy := range strategies() {
		for _, desired := range []int{1, 2, 3, 6, 50} {
			for _, relaunch := range []time.Duration{time.Second, 30 * time.Second} {
				t.Run(fmt.Sprintf("%s/%d/%s", strategy, desired, relaunch), func(t *testing.T) {
					w := newWorld(t, strategy)
					w.in.Spec.Min, w.in.Spec.Desired, w.in.Spec.Max = 1, desired, 50
					w.deployed("a")
					w.aws.ECS.Behave(family+"2", fakeaws.Behaviour{Failure: crash(), FailAfter: 4 * time.Second, RelaunchAfter: relaunch})
					from := len(w.aws.Calls())
					result := w.deploy("b")
					w.code(t, trial.Failed, result)
					assert.Equal(t, 2, w.aws.ECS.Launches(family+"2"))
					assert.Zero(t, count(w.aws.Calls()[from:], "ecs:UpdateService"))
					assert.Equal(t, family+"1", w.serving())
					assert.Empty(t, w.aws.ECS.Alone(cluster))
					s := w.state()
					assert.Nil(t, s.Run)
					require.Len(t, s.Ended, 2)
					assert.Equal(t, "TRIAL_FAILED", s.Ended[1].Code)
					// Once fixed, it is deployed; the version that failed is not tried for it.
					w.deployed("c")
					assert.Equal(t, family+"3", w.serving())
				})
			}
		}
	}
}

func TestATrialCanBeTurnedOff(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.in.Spec.Trial = false
	w.deployed("a")
	result := w.deployed("b")
	assert.Zero(t, count(w.aws.Calls(), "ecs:RunTask"))
	assert.Zero(t, count(w.aws.Calls(), "ecs:StopTask"))
	require.NotEmpty(t, result.Stage.Warnings)
	assert.Contains(t, fmt.Sprint(result.Stage.Warnings), TrialOff.Name)
	w.aws.ECS.Behave(family+"3", fakeaws.Behaviour{Failure: crash(), FailAfter: 4 * time.Second})
	w.code(t, deployment.RolledBack, w.deploy("c"))
}

// A rollback tries nothing: its version served here, and every minute counts.
func TestARollbackIsNotTried(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	w.deployed("b")
	from := len(w.aws.Calls())
	w.passed(Rollback(w.ctx, w.clients(), w.clock, w.in))
	assert.Equal(t, family+"1", w.serving())
	calls := w.aws.Calls()[from:]
	assert.Zero(t, count(calls, "ecs:RunTask"))
	assert.Zero(t, count(calls, "ecs:StopTask"))
}

func TestTheReportSaysHowTheTrialWent(t *testing.T) {
	w := newWorld(t, "rolling")
	result := w.deployed("a")
	found := ""
	for _, gate := range result.Stage.Evidence {
		if gate.Name == "trial task" {
			found = fmt.Sprint(gate)
		}
	}
	assert.Contains(t, found, "healthy after 30s, 1 launched")
	assert.Contains(t, strings.Join(w.lines, "\n"), "the service is not touched before it is healthy")
}

// Somebody deploys past the lock while a task is tried: what was known is looked at anew.
func TestADeploymentThatBeganDuringTheTrialIsNotReplaced(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	w.clock.At(20*time.Second, func() {
		_, err := w.aws.ECS.UpdateService(context.Background(), &ecs.UpdateServiceInput{Cluster: aws.String(cluster),
			Service: aws.String(service), TaskDefinition: aws.String(family + "1"), ForceNewDeployment: true})
		require.NoError(t, err)
	})
	from := len(w.aws.Calls())
	w.code(t, deployment.Busy, w.deploy("b"))
	assert.Equal(t, 1, count(w.aws.Calls()[from:], "ecs:UpdateService"), "theirs")
	assert.Empty(t, w.aws.ECS.Alone(cluster))
}

// left launches a task of no service as a run leaves it that is lost during its trial.
func (w *world) left(definition string) {
	w.t.Helper()
	plan, problems := rollout.NewPlan(w.in.Input)
	require.Empty(w.t, problems)
	task := *plan.Trial.Task
	task.TaskDefinition = aws.String(definition)
	_, err := w.aws.ECS.RunTask(w.ctx, &task)
	require.NoError(w.t, err)
	require.Len(w.t, w.aws.ECS.Alone(cluster), 1)
}

func TestStatusShowsATrialAndDestroyStopsIt(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	w.left(family + "1")
	assert.Contains(t, fmt.Sprint(w.passed(Status(w.ctx, w.clients(), w.clock, w.in)).Stage), "trial task")
	w.aws.Fail("ecs:ListTasks", fakeaws.Denied("ListTasks"))
	assert.Contains(t, fmt.Sprint(w.passed(Status(w.ctx, w.clients(), w.clock, w.in)).Stage), "unknown: list tasks")
	result := w.passed(Destroy(w.ctx, w.clients(), w.clock, w.in, service, false))
	assert.Empty(t, w.aws.ECS.Alone(cluster))
	gone := ""
	for _, block := range result.Stage.Blocks {
		if block.Title == "Resources" {
			gone = fmt.Sprint(block.Table.Rows)
		}
	}
	assert.Contains(t, gone, "trial task arn:aws:ecs:")
	assert.Contains(t, gone, "ecs cluster "+cluster+" deleted", "which cannot be while a task runs")
}

// A task that was stopped is in its cluster until it is taken down.
func TestALostFirstTrialIsDestroyedWithItsCluster(t *testing.T) {
	w := newWorld(t, "rolling")
	w.lose("a", 20*time.Second)
	require.Len(t, w.aws.ECS.Alone(cluster), 1)
	w.code(t, deployment.TargetMissing, w.asked(Status))
	assert.Contains(t, evidenceOf(w.asked(Status)), "trial task: arn:aws:ecs", "although there is no service")
	assert.Contains(t, evidenceOf(w.asked(Status)), "deployer: run 1")
	result := w.passed(Destroy(w.ctx, w.clients(), w.clock, w.in, service, false))
	gone := ""
	for _, block := range result.Stage.Blocks {
		if block.Title == "Resources" {
			gone = fmt.Sprint(block.Table.Rows)
		}
	}
	assert.Contains(t, gone, "ecs cluster "+cluster+" deleted")
}

// A run that is lost during its trial leaves a task, which runs until somebody stops it.
func TestATaskThatALostRunLeftIsStoppedByTheNext(t *testing.T) {
	for name, next := range map[string]func(*world){
		"the same version":    func(w *world) { w.deployed("b") },
		"another version":     func(w *world) { w.deployed("c") },
		"without a trial":     func(w *world) { w.in.Spec.Trial = false; w.deployed("b") },
		"what serves already": func(w *world) { w.deployed("a") },
		"its own by others": func(w *world) {
			_, err := w.aws.ECS.UpdateService(w.ctx, &ecs.UpdateServiceInput{Cluster: aws.String(cluster), Service: aws.String(service),
				TaskDefinition: aws.String(family + "3")})
			require.NoError(w.t, err)
			w.deployed("b")
		},
		"a rollback instead": func(w *world) {
			w.passed(Rollback(w.ctx, w.clients(), w.clock, w.in))
			assert.Equal(w.t, family+"2", w.serving(), "the release that served is not what was to go")
		},
		"a rollback, long after": func(w *world) {
			require.NoError(w.t, w.clock.Sleep(w.ctx, time.Hour))
			w.passed(Rollback(w.ctx, w.clients(), w.clock, w.in))
			assert.Equal(w.t, family+"2", w.serving())
			w.passed(Rollback(w.ctx, w.clients(), w.clock, w.in))
			assert.Equal(w.t, family+"1", w.serving(), "the next one goes back a release")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "rolling")
			w.deployed("9")
			w.deployed("a")
			w.lose("b", 20*time.Second)
			require.Len(t, w.aws.ECS.Alone(cluster), 1, "it was lost during its trial")
			require.NotNil(t, w.state().Run)
			next(w)
			assert.Empty(t, w.aws.ECS.Alone(cluster))
			assert.LessOrEqual(t, w.aws.ECS.Launches(family+"3"), 1+2, "its task is adopted")
			assert.Nil(t, w.state().Run)
		})
	}
	w := newWorld(t, "rolling")
	w.deployed("9")
	w.deployed("a")
	w.lose("b", 20*time.Second)
	require.NoError(t, w.clock.Sleep(w.ctx, 3*time.Minute)) // its lock is over
	w.aws.Fail("ecs:ListTasks", fakeaws.Denied("ListTasks"))
	w.aws.Fail("ecs:ListTasks", fakeaws.Denied("ListTasks"))
	result := w.passed(Rollback(w.ctx, w.clients(), w.clock, w.in))
	assert.Contains(t, fmt.Sprint(result.Stage.Warnings), TrialLeft.Name, "a rollback is not held up by it")
}

func TestWhatIsDestroyedLeavesNoRunToGoOnWith(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	w.lose("b", 20*time.Second)
	w.passed(w.asked(func(ctx context.Context, c Clients, k clock.Clock, in Input) *Result {
		return Destroy(ctx, c, k, in, service, false)
	}))
	assert.Empty(t, w.aws.ECS.Alone(cluster))
	s := w.state()
	assert.Nil(t, s.Run)
	assert.Nil(t, s.Holder)
	assert.Equal(t, "the service was destroyed", s.Ended[len(s.Ended)-2].Cause)
	assert.Equal(t, journal.Destroy, s.Ended[len(s.Ended)-1].Kind)
	assert.NotContains(t, warnings(w.deployed("b")), Resumed.Name)
}

func TestARunThatIsEndedDuringItsTrialLeavesNothing(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx = ctx
	w.clock.At(20*time.Second, cancel)
	ended := w.deploy("b")
	w.code(t, deployment.Interrupted, ended)
	assert.NotContains(t, evidenceOf(ended), "trial task", "a trial that did not end is no evidence for or against the version")
	assert.Empty(t, w.aws.ECS.Alone(cluster))
	w.ctx = context.Background()
	w.deployed("b")
}

// During another run's trial nothing is under way yet that could be rolled back, or waited for.
func TestATrialOfAnotherRunIsEndedByARollback(t *testing.T) {
	w := newWorld(t, "canary")
	w.deployed("a")
	from := len(w.aws.Calls())
	ours, theirs := w.beside(20*time.Second, Rollback)
	w.code(t, trial.Stopped, ours)
	assert.Contains(t, ours.Stage.Cause, "rolled back by run 2")
	w.passed(theirs)
	assert.True(t, theirs.Changed)
	assert.Zero(t, count(w.aws.Calls()[from:], "ecs:UpdateService"), "the service was never touched")
	assert.Equal(t, family+"1", w.serving())
	s := w.state()
	require.Len(t, s.Ended, 2)
	assert.Equal(t, "TRIAL_STOPPED", s.Ended[1].Code)
	assert.Nil(t, s.Holder)
}

func TestATrialOfAnotherRunThatCannotBeStoppedIsSaid(t *testing.T) {
	w := newWorld(t, "canary")
	w.deployed("a")
	w.clock.At(15*time.Second, func() { w.aws.Fail("ecs:ListTasks", fakeaws.Denied("ListTasks")) })
	ours, theirs := w.beside(20*time.Second, Rollback)
	w.code(t, StopRefused, theirs)
	w.passed(ours)
}

func TestATrialOfAnotherRunIsWaitedFor(t *testing.T) {
	w := newWorld(t, "canary")
	w.deployed("a")
	ours, theirs := w.beside(20*time.Second, Wait)
	w.passed(ours)
	w.passed(theirs)
	assert.Equal(t, ours.Stage.Published, theirs.Stage.Published, "what was deployed, also to the run that only follows")
	assert.Contains(t, fmt.Sprint(theirs.Stage.Published), strings.Repeat("b", 64))
	assert.Equal(t, family+"2", w.serving())

	w = newWorld(t, "canary")
	w.deployed("a")
	w.aws.ECS.Behave(family+"2", fakeaws.Behaviour{Failure: crash(), FailAfter: 30 * time.Second})
	ours, theirs = w.beside(20*time.Second, Wait)
	w.code(t, trial.Failed, ours)
	w.code(t, NothingInFlight, theirs)
	assert.Contains(t, theirs.Stage.Cause, "TRIAL_FAILED", "why there is nothing to wait for")
}

func TestBesideATrialTheJournalIsNeeded(t *testing.T) {
	for _, do := range []operationOf{Rollback, Wait} {
		w := newWorld(t, "canary")
		w.deployed("a")
		w.aws.Fail("s3:GetObject", apiError("InternalError"))
		w.code(t, journal.JournalFailed, do(w.ctx, w.clients(), w.clock, w.in))
	}
}
