package oneoff

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const definition = "arn:aws:ecs:ap-south-1:111122223333:task-definition/web:2"

type world struct {
	clock    *fakeaws.Clock
	aws      *fakeaws.ECS
	request  Request
	recorded []journal.Task
}

func newWorld(behaviour fakeaws.Behaviour) *world {
	w := &world{clock: fakeaws.NewClock()}
	w.aws = fakeaws.NewECS(w.clock)
	w.aws.Behave(definition, behaviour)
	w.request = Request{Name: "migrate", Command: []string{"python", "migrate.py"}, Container: "app", Release: "1", Timeout: 10 * time.Minute,
		Task:   &ecs.RunTaskInput{Cluster: aws.String("shop"), TaskDefinition: aws.String(definition), StartedBy: aws.String("task/web")},
		Record: func(_ context.Context, t journal.Task) error { w.recorded = append(w.recorded, t); return nil },
		Logs:   func(context.Context, string) ([]string, error) { return []string{"a line"}, nil }}
	return w
}

func (w *world) run(t *testing.T) *Outcome { return Run(t.Context(), w.aws, w.clock, w.request) }

func TestACommandRunsOnceAndIsOnRecord(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	first := w.run(t)
	require.Nil(t, first.Problem)
	assert.Equal(t, int32(0), *first.Task.ExitCode)
	assert.Equal(t, []string{"a line"}, first.Log)
	require.Len(t, w.recorded, 3, "the intent, the task and its end")
	assert.Empty(t, w.recorded[0].ARN)
	assert.Equal(t, 1, w.recorded[0].Attempt)
	assert.NotEmpty(t, w.recorded[1].ARN)
	assert.Equal(t, "exit code 0 after 20s", Describe(first.Task))

	for n := range w.recorded { // as if the run had been lost right after
		w.request.Known = w.recorded[n]
		again := w.run(t)
		require.Nil(t, again.Problem)
		assert.Len(t, w.aws.Commands(), 1)
		assert.Equal(t, n == 2, again.Before)
	}
	w.request.Known, w.request.Release = journal.Task{}, "2"
	require.Nil(t, w.run(t).Problem)
	assert.Len(t, w.aws.Commands(), 2, "another release runs it again")
}

func TestHowATaskFails(t *testing.T) {
	for name, test := range map[string]struct {
		does  fakeaws.Behaviour
		code  verdict.Code
		words string
	}{
		"exit code":      {fakeaws.Behaviour{Command: &fakeaws.Command{Exit: 137}}, Failed, "killed: most often a lack of memory"},
		"never starts":   {fakeaws.Behaviour{Command: &fakeaws.Command{Unstarted: "ResourceInitializationError: no route"}}, NotStarted, "ResourceInit"},
		"loses its host": {fakeaws.Behaviour{Command: &fakeaws.Command{Stopped: "The host is unhealthy"}}, Failed, "stopped while it ran: The host"},
		"refused":        {fakeaws.Behaviour{CannotLaunch: "TaskDefinition is inactive"}, NotStarted, "inactive"},
		"too long":       {fakeaws.Behaviour{Command: &fakeaws.Command{After: time.Hour}}, TimedOut, "it was RUNNING"},
		"no capacity":    {fakeaws.Behaviour{NoCapacity: "yes"}, NotStarted, "no capacity"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(test.does)
			outcome := w.run(t)
			require.NotNil(t, outcome.Problem)
			assert.Equal(t, test.code.Name, outcome.Problem.Code.Name, outcome.Problem.Cause)
			assert.Contains(t, outcome.Problem.Cause, test.words)
			assert.Contains(t, outcome.Problem.Cause, "no service was touched")
			assert.Empty(t, w.aws.Alone("shop"), "nothing runs on")
			assert.False(t, w.recorded[len(w.recorded)-1].Ended.IsZero())
			w.request.Known = w.recorded[len(w.recorded)-1]
			again := w.run(t)
			assert.Equal(t, test.code.Name, again.Problem.Code.Name, "the record says the same")
		})
	}
}

func TestACommandBesideOtherContainersIsStopped(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{Command: &fakeaws.Command{Lives: true}})
	require.Nil(t, w.run(t).Problem)
	assert.Empty(t, w.aws.Alone("shop"))
}

// A launch that got no answer is repeated with the same token: it is the same task.
func TestALostAnswerLaunchesNoSecondTask(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	w.aws.Fail("RunTask", fakeaws.LostAnswer{}, &smithy.GenericAPIError{Code: "ThrottlingException"})
	require.Nil(t, w.run(t).Problem)
	assert.Len(t, w.aws.Commands(), 1)
}

func TestALaunchOfLongAgoIsNotRepeated(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	w.request.Known = journal.Task{Name: "migrate", Attempt: 1, TaskDefinition: definition, Launched: w.clock.Now().Add(-25 * time.Hour)}
	assert.Equal(t, Unknown.Name, w.run(t).Problem.Code.Name, "ECS has forgotten the token")
	assert.Empty(t, w.aws.Commands())
}

func TestNothingIsLaunchedThatIsNotOnRecord(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	w.request.Record = func(context.Context, journal.Task) error { return errors.New("no bucket") }
	assert.Equal(t, journal.JournalFailed.Name, w.run(t).Problem.Code.Name)
	assert.Empty(t, w.aws.Commands())
	w = newWorld(fakeaws.Behaviour{})
	w.request.Fence = func(context.Context) error { return errors.New("another run") }
	assert.Equal(t, deployment.LockLost.Name, w.run(t).Problem.Code.Name)
	assert.Empty(t, w.aws.Commands())
}

func TestAnInterruptionLeavesTheTask(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{Command: &fakeaws.Command{After: time.Minute}})
	ctx, cancel := context.WithCancel(t.Context())
	w.clock.At(20*time.Second, cancel)
	outcome := Run(ctx, w.aws, w.clock, w.request)
	assert.Equal(t, deployment.Interrupted.Name, outcome.Problem.Code.Name)
	assert.Contains(t, outcome.Problem.Published[0], "task migrate")
	assert.Equal(t, []string{"task/web"}, w.aws.Alone("shop"))
}
