package trial_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	version = "arn:aws:ecs:ap-south-1:111122223333:task-definition/rca:2"
	older   = "arn:aws:ecs:ap-south-1:111122223333:task-definition/rca:1"
	cluster = "cluster"
)

// world is a cluster in which a version is tried.
type world struct {
	*fakeaws.ECS
	clock   *fakeaws.Clock
	ctx     context.Context
	request trial.Request
	said    []string
}

func newWorld(b fakeaws.Behaviour) *world {
	clock := fakeaws.NewClock()
	w := &world{ECS: fakeaws.NewECS(clock), clock: clock, ctx: context.Background()}
	w.Behave(version, b)
	w.request = trial.Request{Task: task(version), Run: "run 1", Progress: func(text string) { w.said = append(w.said, text) }}
	return w
}

func task(definition string) *ecs.RunTaskInput {
	return &ecs.RunTaskInput{Cluster: aws.String(cluster), TaskDefinition: aws.String(definition), StartedBy: aws.String("trial/rca"),
		Count: aws.Int32(1)}
}

func (w *world) run() *trial.Outcome { return trial.Run(w.ctx, w.ECS, w.clock, w.request) }

func (w *world) took() time.Duration { return w.clock.Now().Sub(fakeaws.NewClock().Now()) }

func crash() *fakeaws.Failure {
	return &fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", ExitCode: 1}
}

func pull() *fakeaws.Failure {
	return &fakeaws.Failure{Code: types.TaskStopCodeTaskFailedToStart, Reason: "CannotPullContainerError: not found"}
}

func assertCode(t *testing.T, want verdict.Code, got *trial.Outcome) {
	t.Helper()
	require.NotNil(t, got.Problem, "it must not pass")
	assert.Equal(t, want.Name, got.Problem.Code.Name, got.Problem.Cause)
}

func TestAVersionThatStartsPassesWithOneLaunchAndLeavesNothing(t *testing.T) {
	for _, start := range []time.Duration{time.Second, 20 * time.Second, 8 * time.Minute} {
		w := newWorld(fakeaws.Behaviour{StartAfter: start})
		outcome := w.run()
		require.Nil(t, outcome.Problem)
		assert.Equal(t, 1, outcome.Launches)
		assert.Equal(t, 1, w.Launches(version))
		assert.Equal(t, 1, w.Calls("StopTask"))
		assert.Empty(t, w.Alone(cluster))
		assert.GreaterOrEqual(t, outcome.Healthy+5*time.Second, start)
		assert.LessOrEqual(t, outcome.Healthy, start+10*time.Second)
		assert.GreaterOrEqual(t, w.took(), start+15*time.Second, "it is to stay healthy for two checks")
		assert.LessOrEqual(t, w.took(), max(start, 5*time.Second)+25*time.Second)
		assert.LessOrEqual(t, float64(w.Calls("")), w.took().Seconds()/4+4, "it is looked at every five seconds")
		assert.NotEmpty(t, w.said)
	}
}

// The bar: a task that crashes at its start is reported within three launches, however
// many are to run, and whenever it crashes.
func TestAVersionThatCannotStartIsReportedWithinTwoLaunches(t *testing.T) {
	for name, failure := range map[string]*fakeaws.Failure{"crash": crash(), "pull": pull()} {
		for after := time.Second; after < 44*time.Second; after += time.Second {
			t.Run(fmt.Sprintf("%s after %s", name, after), func(t *testing.T) {
				w := newWorld(fakeaws.Behaviour{Failure: failure, FailAfter: after})
				outcome := w.run()
				assertCode(t, trial.Failed, outcome)
				assert.Equal(t, 2, w.Launches(version))
				assert.Equal(t, 2, outcome.Launches)
				assert.LessOrEqual(t, w.took(), 2*after+10*time.Second, "the verdict comes with the next look")
				assert.Contains(t, outcome.Problem.Cause, "the service was not touched")
				assert.NotEmpty(t, outcome.Problem.Details)
				assert.Empty(t, w.Alone(cluster))
			})
		}
	}
}

func TestOneFailureIsNoVerdict(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{Failure: pull(), FailAfter: 7 * time.Second, Fails: func(n int) bool { return n == 1 }})
	outcome := w.run()
	require.Nil(t, outcome.Problem, "a single registry timeout")
	assert.Equal(t, 2, outcome.Launches)
	assert.Contains(t, strings.Join(w.said, "\n"), "CannotPullContainerError")
}

func TestWhatIsToldOfAFailure(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{Failure: &fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited,
		Reason: "OutOfMemoryError: container killed", ExitCode: 137}, FailAfter: 20 * time.Second})
	w.request.Logs = func(_ context.Context, task string) ([]string, error) {
		assert.Contains(t, task, ":task/")
		return []string{"Traceback", "MemoryError"}, nil
	}
	outcome := w.run()
	assertCode(t, trial.Failed, outcome)
	details := strings.Join(outcome.Problem.Details, "\n")
	assert.Equal(t, 1, strings.Count(details, "exit code 137"), "the same reason is told once")
	assert.Contains(t, details, "raise rollout.memory")
	assert.Contains(t, details, "log: MemoryError")

	w = newWorld(fakeaws.Behaviour{Failure: crash(), FailAfter: 20 * time.Second})
	w.request.Logs = func(context.Context, string) ([]string, error) { return nil, errors.New("no such stream") }
	outcome = w.run()
	assertCode(t, trial.Failed, outcome)
	assert.Contains(t, strings.Join(outcome.Problem.Details, "\n"), "no such stream")
}

// It is not enough to have been healthy for a moment.
func TestATaskHasToStayHealthy(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{Falters: 10 * time.Second})
	require.Nil(t, w.run().Problem)
	assert.GreaterOrEqual(t, w.took(), (30+10+5+15)*time.Second, "it is counted anew")
	for after := 31 * time.Second; after < 44*time.Second; after += 3 * time.Second {
		w = newWorld(fakeaws.Behaviour{Failure: crash(), FailAfter: after})
		assertCode(t, trial.Failed, w.run())
	}
}

func TestALogThatIsNotThereYetIsAskedForOnceMore(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{Failure: crash(), FailAfter: 20 * time.Second})
	asked := 0
	w.request.Logs = func(context.Context, string) ([]string, error) {
		if asked++; asked < 3 {
			return nil, errors.New("no such stream")
		}
		return []string{"MemoryError"}, nil
	}
	outcome := w.run()
	assertCode(t, trial.Failed, outcome)
	assert.Contains(t, strings.Join(outcome.Problem.Details, "\n"), "log: MemoryError")
	assert.Equal(t, 3, asked)
	assert.LessOrEqual(t, w.took(), 40*time.Second+2*5*time.Second+3*time.Second)
}

// A task of no service goes on whatever its health: it is stopped here.
func TestATaskThatIsNeverHealthyIsStopped(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{NeverHealthy: true})
	outcome := w.run()
	assertCode(t, trial.Failed, outcome)
	assert.Equal(t, 2, outcome.Launches)
	assert.Contains(t, outcome.Problem.Cause, "does not pass its health check")
	assert.Contains(t, outcome.Problem.Cause, "look at the application's log")
	assert.Empty(t, w.Alone(cluster))
	assert.Equal(t, 2, w.Calls("StopTask"))

	w = newWorld(fakeaws.Behaviour{Hangs: "PROVISIONING"})
	w.request.Patience = 3 * time.Minute
	outcome = w.run()
	assertCode(t, trial.Failed, outcome)
	assert.Equal(t, 1, outcome.Launches, "so long a time is enough")
	assert.LessOrEqual(t, w.took(), 3*time.Minute+10*time.Second, "and it is not longer")
	assert.Contains(t, outcome.Problem.Cause, "after 3m0s it was not healthy, and PROVISIONING")
	assert.Empty(t, w.Alone(cluster))
}

// A machine that slept, or a slow one, may look at a task only long after patience has ended.
func TestTheStateOfATaskDecidesWhenPatienceEndsBetweenTwoLooks(t *testing.T) {
	for name, c := range map[string]struct {
		behaviour fakeaws.Behaviour
		passes    bool
	}{
		"healthy":          {fakeaws.Behaviour{}, true},
		"healthy just now": {fakeaws.Behaviour{StartAfter: 24*time.Minute + 55*time.Second}, true},
		"never healthy":    {fakeaws.Behaviour{NeverHealthy: true}, false},
		"still pending":    {fakeaws.Behaviour{Hangs: "PROVISIONING"}, false},
		"unhealthy later":  {fakeaws.Behaviour{Failure: crash(), FailAfter: 30 * time.Minute}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(c.behaviour)
			w.request.Poll = 25 * time.Minute
			outcome := w.run()
			if c.passes {
				require.Nil(t, outcome.Problem)
				assert.Equal(t, 1, outcome.Launches)
			} else {
				assertCode(t, trial.Failed, outcome)
				assert.NotContains(t, outcome.Problem.Cause, "not healthy, and RUNNING, HEALTHY")
			}
			assert.Empty(t, w.Alone(cluster))
		})
	}
}

// What is not seen is not healthy, however long the last look was ago.
func TestATaskThatCannotBeSeenIsNotTakenForHealthy(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	w.request.Poll = time.Minute
	w.clock.At(90*time.Second, func() { w.Fail("DescribeTasks", errors.New("EOF")) })
	outcome := w.run()
	require.Nil(t, outcome.Problem)
	assert.GreaterOrEqual(t, w.took(), 3*time.Minute, "it was healthy at one minute, unseen at two")
}

// Others than the version are to blame: it is tried again, a limited number of times.
func TestAMachineOfAWSThatFailsIsNotTheVersionsFault(t *testing.T) {
	broken := &fakeaws.Failure{Code: types.TaskStopCodeInfrastructureHealth, Reason: "Host failed"}
	w := newWorld(fakeaws.Behaviour{Failure: broken, FailAfter: 10 * time.Second, Fails: func(n int) bool { return n < 3 }})
	require.Nil(t, w.run().Problem)
	assert.Equal(t, 3, w.Launches(version))

	w = newWorld(fakeaws.Behaviour{Failure: broken, FailAfter: 10 * time.Second})
	assertCode(t, trial.Failed, w.run())
	assert.Equal(t, 3, w.Launches(version))
}

func TestALackOfRoomIsWaitedFor(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{NoCapacity: "none"})
	w.clock.At(2*time.Minute, func() { w.Behave(version, fakeaws.Behaviour{}) })
	require.Nil(t, w.run().Problem)

	w = newWorld(fakeaws.Behaviour{NoCapacity: "none"})
	outcome := w.run()
	assertCode(t, deployment.NoCapacity, outcome)
	assert.Contains(t, outcome.Problem.Cause, "Capacity is unavailable")
	assert.Zero(t, w.Launches(version))
	assert.InDelta(t, 5*time.Minute, w.took(), float64(20*time.Second))

	// AWS also says so of a task that it made and could not place.
	placed := &fakeaws.Failure{Code: types.TaskStopCodeTaskFailedToStart,
		Reason: "Capacity is unavailable at this time. Please try again later"}
	w = newWorld(fakeaws.Behaviour{Failure: placed, FailAfter: 5 * time.Second})
	w.request.CapacityPatience = time.Minute
	assertCode(t, deployment.NoCapacity, w.run())

	w = newWorld(fakeaws.Behaviour{Failure: placed, FailAfter: 5 * time.Second, Fails: func(n int) bool { return n < 4 }})
	outcome = w.run()
	require.Nil(t, outcome.Problem)
	assert.Equal(t, 1, outcome.Launches, "what has no place was not launched")

	// A lack of room that is over is forgotten: another one has its own time.
	w = newWorld(fakeaws.Behaviour{NoCapacity: "none"})
	w.clock.At(4*time.Minute, func() { w.Behave(version, fakeaws.Behaviour{Failure: crash(), FailAfter: 20 * time.Second}) })
	w.clock.At(4*time.Minute+20*time.Second, func() { w.Behave(version, fakeaws.Behaviour{NoCapacity: "none"}) })
	w.clock.At(7*time.Minute, func() { w.Behave(version, fakeaws.Behaviour{}) })
	require.Nil(t, w.run().Problem)
}

func TestANewRoleIsGivenItsTime(t *testing.T) {
	const reason = "ECS was unable to assume the role 'arn:aws:iam::111122223333:role/new' that was provided for this task."
	w := newWorld(fakeaws.Behaviour{CannotLaunch: reason})
	w.clock.At(40*time.Second, func() { w.Behave(version, fakeaws.Behaviour{}) })
	require.Nil(t, w.run().Problem)
	assert.Equal(t, 1, w.Launches(version))

	w = newWorld(fakeaws.Behaviour{CannotLaunch: reason})
	outcome := w.run()
	assertCode(t, trial.Refused, outcome)
	assert.Contains(t, outcome.Problem.Cause, "unable to assume")
	assert.LessOrEqual(t, w.took(), 3*time.Minute)

	stopped := &fakeaws.Failure{Code: types.TaskStopCodeTaskFailedToStart, Reason: reason}
	w = newWorld(fakeaws.Behaviour{Failure: stopped, FailAfter: 5 * time.Second})
	outcome = w.run()
	assertCode(t, trial.Failed, outcome)
	assert.Less(t, w.took(), 3*time.Minute)
}

func TestWhatECSRefusesIsNotTriedAgain(t *testing.T) {
	for name, err := range map[string]error{
		"denied":  fakeaws.Denied("RunTask"),
		"invalid": &types.InvalidParameterException{Message: aws.String("TaskDefinition is inactive")},
	} {
		w := newWorld(fakeaws.Behaviour{})
		w.Fail("RunTask", err)
		assertCode(t, trial.Refused, w.run())
		assert.Equal(t, 1, w.Calls("RunTask"), name)
	}
	// A task that may be launched and not be looked at is stopped again.
	w := newWorld(fakeaws.Behaviour{})
	w.Fail("DescribeTasks", fakeaws.Denied("DescribeTasks"))
	outcome := w.run()
	assertCode(t, trial.Refused, outcome)
	assert.Empty(t, w.Alone(cluster))
	assert.Empty(t, outcome.Problem.Published)
}

func TestATaskThatCannotBeStoppedIsNamed(t *testing.T) {
	for name, errs := range map[string][]error{
		"denied":     {fakeaws.Denied("StopTask")},
		"no answer":  {errors.New("EOF"), errors.New("EOF"), errors.New("EOF"), errors.New("EOF"), errors.New("EOF")},
		"throttling": {fakeaws.Throttled(), fakeaws.Throttled(), fakeaws.Throttled(), fakeaws.Throttled(), fakeaws.Throttled()},
	} {
		w := newWorld(fakeaws.Behaviour{})
		w.Fail("StopTask", errs...)
		outcome := w.run()
		assertCode(t, deployment.AWSFailed, outcome)
		require.Len(t, outcome.Problem.Published, 1, name)
		assert.Contains(t, outcome.Problem.Published[0], "runs on until the next deploy")
	}
	w := newWorld(fakeaws.Behaviour{})
	w.Fail("StopTask", errors.New("EOF"), fakeaws.Throttled())
	require.Nil(t, w.run().Problem, "it is asked again")
	assert.Empty(t, w.Alone(cluster))

	w = newWorld(fakeaws.Behaviour{NeverHealthy: true})
	w.Fail("StopTask", nil, fakeaws.Denied("StopTask"))
	outcome := w.run()
	assertCode(t, trial.Failed, outcome)
	assert.Contains(t, outcome.Problem.Cause, "not authorized")
	assert.Len(t, outcome.Problem.Published, 1)
}

func TestAnAnswerThatIsLostLaunchesNothingTwice(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	w.Fail("RunTask", fakeaws.LostAnswer{}, fakeaws.Throttled(), fakeaws.LostAnswer{})
	require.Nil(t, w.run().Problem)
	assert.Equal(t, 1, w.Launches(version))
	assert.Empty(t, w.Alone(cluster))

	w = newWorld(fakeaws.Behaviour{})
	for range 100 {
		w.Fail("RunTask", fakeaws.Throttled())
	}
	assertCode(t, deployment.AWSFailed, w.run())
	assert.LessOrEqual(t, w.took(), 6*time.Minute)
}

// Two runs of the same version are two trials: an old task must not stand for a new one.
func TestEachRunLaunchesItsOwnTask(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{Failure: crash(), FailAfter: 5 * time.Second})
	assertCode(t, trial.Failed, w.run())
	w.Behave(version, fakeaws.Behaviour{})
	w.request.Run = "run 2"
	require.Nil(t, w.run().Problem)
	assert.Equal(t, 3, w.Launches(version))
}

func TestAWSIsAskedAgainWhileATaskStarts(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	w.Fail("DescribeTasks", fakeaws.Throttled(), errors.New("EOF"), &types.ServerException{})
	require.Nil(t, w.run().Problem)

	w = newWorld(fakeaws.Behaviour{StartAfter: time.Hour})
	for range 100 {
		w.Fail("DescribeTasks", errors.New("EOF"))
	}
	w.request.Patience = time.Hour
	outcome := w.run()
	assertCode(t, deployment.AWSFailed, outcome)
	assert.Empty(t, w.Alone(cluster))

}

func TestCredentialsThatEndAreToldAsThat(t *testing.T) {
	ended := &smithy.GenericAPIError{Code: "ExpiredTokenException", Message: "ended"}
	for operation, left := range map[string]int{"RunTask": 0, "DescribeTasks": 1, "StopTask": 1, "ListTasks": 0} {
		w := newWorld(fakeaws.Behaviour{})
		w.request.Left = true
		w.Fail(operation, ended)
		if operation == "DescribeTasks" {
			w.Fail("StopTask", ended)
		}
		outcome := w.run()
		assertCode(t, deployment.AuthExpired, outcome)
		assert.Contains(t, outcome.Problem.Cause, "the service was not touched")
		assert.Len(t, outcome.Problem.Published, left, "the task that runs on: %s", operation)
	}
}

// forgetful is a client whose descriptions lag behind.
type forgetful struct {
	*fakeaws.ECS
	clock *fakeaws.Clock
	until time.Time
	from  time.Time
}

func (f *forgetful) DescribeTasks(ctx context.Context, in *ecs.DescribeTasksInput, opts ...func(*ecs.Options)) (*ecs.DescribeTasksOutput,
	error) {
	if now := f.clock.Now(); now.Before(f.until) && !now.Before(f.from) {
		return &ecs.DescribeTasksOutput{Failures: []types.Failure{{Arn: aws.String(in.Tasks[0]), Reason: aws.String("MISSING")}}}, nil
	}
	return f.ECS.DescribeTasks(ctx, in, opts...)
}

func TestATaskThatIsNotFoundYetIsLookedForAgain(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	client := &forgetful{ECS: w.ECS, clock: w.clock, until: w.clock.Now().Add(20 * time.Second)}
	require.Nil(t, trial.Run(w.ctx, client, w.clock, w.request).Problem)
	client.until = w.clock.Now().Add(time.Hour)
	w.request.Run = "run 2"
	outcome := trial.Run(w.ctx, client, w.clock, w.request)
	assertCode(t, trial.Failed, outcome)
	assert.Contains(t, outcome.Problem.Cause, "does not know it any more")
	assert.LessOrEqual(t, outcome.Launches, 3)
	assert.Empty(t, w.Alone(cluster), "what cannot be seen is stopped all the same")
}

// Not all of ECS's servers know the same: one that forgets a task for a moment does not make it a failure.
func TestATaskThatIsForgottenForAMomentIsNoFailure(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{StartAfter: 3 * time.Minute})
	now := w.clock.Now()
	client := &forgetful{ECS: w.ECS, clock: w.clock, from: now.Add(2 * time.Minute), until: now.Add(2*time.Minute + 30*time.Second)}
	outcome := trial.Run(w.ctx, client, w.clock, w.request)
	require.Nil(t, outcome.Problem)
	assert.Equal(t, 1, outcome.Launches)
}

func TestSomebodyMayStopATrial(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{StartAfter: time.Minute})
	w.clock.At(20*time.Second, func() {
		stopped, err := trial.Stop(w.ctx, w.ECS, w.request.Task, "rolled back by run 2")
		require.NoError(t, err)
		require.Len(t, stopped, 1)
	})
	outcome := w.run()
	assertCode(t, trial.Stopped, outcome)
	assert.Contains(t, outcome.Problem.Cause, "rolled back by run 2")
	assert.Equal(t, 1, w.Launches(version), "it is not launched again")
}

// start launches a task as a run does that is lost then.
func (w *world) start(t *testing.T, definition string) string {
	t.Helper()
	in := task(definition)
	in.ClientToken = aws.String(definition)
	out, err := w.RunTask(w.ctx, in)
	require.NoError(t, err)
	require.NoError(t, w.clock.Sleep(w.ctx, 2*time.Minute))
	return aws.ToString(out.Tasks[0].TaskArn)
}

func TestTheTaskOfAnInterruptedRunIsAdopted(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	arn := w.start(t, version)
	w.start(t, older)
	w.request.Left = true
	outcome := w.run()
	require.Nil(t, outcome.Problem)
	assert.Equal(t, arn, outcome.Task)
	assert.Equal(t, 1, w.Launches(version))
	assert.Empty(t, w.Alone(cluster), "that of another version is stopped")

	// One that is no good is stopped, and does not count.
	w = newWorld(fakeaws.Behaviour{NeverHealthy: true})
	w.start(t, version)
	w.Behave(version, fakeaws.Behaviour{})
	w.request.Left = true
	require.Nil(t, w.run().Problem)

	w = newWorld(fakeaws.Behaviour{NeverHealthy: true})
	w.start(t, version)
	w.request.Left = true
	outcome = w.run()
	assertCode(t, trial.Failed, outcome)
	assert.Equal(t, 2, outcome.Launches, "what the lost run tried is not counted against it")
	assert.Equal(t, 3, w.Launches(version))
	assert.Empty(t, w.Alone(cluster))

	for _, operation := range []string{"ListTasks", "DescribeTasks"} {
		w = newWorld(fakeaws.Behaviour{})
		w.start(t, version)
		w.request.Left = true
		w.Fail(operation, fakeaws.Denied(operation))
		assertCode(t, deployment.AWSFailed, w.run())
	}
}

// What ECS lists lags behind: a task that the lost run stopped with its last breath is no
// task that somebody stopped under our eyes.
func TestATaskThatIsStoppedAlreadyIsNotAdopted(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	w.Lag(20 * time.Second)
	arn := w.start(t, version)
	_, err := w.StopTask(w.ctx, &ecs.StopTaskInput{Cluster: aws.String(cluster), Task: aws.String(arn)})
	require.NoError(t, err)
	w.request.Left = true
	outcome := w.run()
	require.Nil(t, outcome.Problem)
	assert.NotEqual(t, arn, outcome.Task)
	assert.Equal(t, 2, w.Launches(version))
	assert.Empty(t, w.Alone(cluster))
}

func TestATaskThatIsListedAndNotDescribedIsStopped(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	w.start(t, version)
	client := &forgetful{ECS: w.ECS, clock: w.clock, until: w.clock.Now().Add(time.Second)}
	w.request.Left = true
	require.Nil(t, trial.Run(w.ctx, client, w.clock, w.request).Problem)
	assert.Empty(t, w.Alone(cluster))
}

func TestTasksOfOthersAreLeftAlone(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	other := task(version)
	other.StartedBy = aws.String("trial/another")
	_, err := w.RunTask(w.ctx, other)
	require.NoError(t, err)
	w.request.Left = true
	require.Nil(t, w.run().Problem)
	assert.Equal(t, []string{"trial/another"}, w.Alone(cluster))
	stopped, err := trial.Stop(w.ctx, w.ECS, w.request.Task, "done")
	require.NoError(t, err)
	assert.Empty(t, stopped)
	assert.Equal(t, []string{"trial/another"}, w.Alone(cluster))
}

func TestARunThatIsEndedStopsItsTask(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 20 * time.Second, 40 * time.Second} {
		w := newWorld(fakeaws.Behaviour{})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		w.ctx = ctx
		w.clock.At(after, cancel)
		outcome := w.run()
		assertCode(t, deployment.Interrupted, outcome)
		assert.Contains(t, outcome.Problem.Cause, "the service was not touched")
		assert.Empty(t, w.Alone(cluster), after)
		assert.Empty(t, outcome.Problem.Published)
	}
	w := newWorld(fakeaws.Behaviour{})
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx = ctx
	w.clock.At(20*time.Second, func() { w.Fail("StopTask", errors.New("EOF")); cancel() })
	outcome := w.run()
	assertCode(t, deployment.Interrupted, outcome)
	assert.Len(t, outcome.Problem.Published, 1, "it could not")

	// Ended before anything was launched.
	w = newWorld(fakeaws.Behaviour{CannotLaunch: "unable to assume"})
	ctx, cancel = context.WithCancel(context.Background())
	w.ctx = ctx
	cancel()
	assertCode(t, deployment.Interrupted, w.run())
	assert.Zero(t, w.Launches(version))
}

// cut is a client whose run is ended while it is asked for a task.
type cut struct {
	*fakeaws.ECS
	end context.CancelFunc
}

func (c *cut) RunTask(ctx context.Context, in *ecs.RunTaskInput, opts ...func(*ecs.Options)) (*ecs.RunTaskOutput, error) {
	_, _ = c.ECS.RunTask(ctx, in, opts...)
	c.end()
	return nil, ctx.Err()
}

func TestARunThatIsEndedWhileItAsksForATaskStopsIt(t *testing.T) {
	for published, stop := range []error{nil, errors.New("EOF")} {
		w := newWorld(fakeaws.Behaviour{})
		ctx, cancel := context.WithCancel(context.Background())
		w.Fail("StopTask", stop)
		outcome := trial.Run(ctx, &cut{w.ECS, cancel}, w.clock, w.request)
		assertCode(t, deployment.Interrupted, outcome)
		require.Equal(t, 1, w.Launches(version))
		assert.Len(t, w.Alone(cluster), published)
		assert.Len(t, outcome.Problem.Published, published)
	}
}

func TestWithoutTheLockNothingIsWritten(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	w.request.Fence = func(context.Context) error { return errors.New("run 2 holds it") }
	assertCode(t, deployment.LockLost, w.run())
	assert.Zero(t, w.Launches(version))

	taken := verdict.Problemf(deployment.LockLost, "run 2 holds it")
	w = newWorld(fakeaws.Behaviour{})
	lost := false
	w.clock.At(10*time.Second, func() { lost = true })
	w.request.Look = func(context.Context) error {
		if lost {
			return taken
		}
		return nil
	}
	outcome := w.run()
	assertCode(t, deployment.LockLost, outcome)
	assert.Zero(t, w.Calls("StopTask"), "the run that holds the lock adopts the task, or stops it")
	assert.Len(t, outcome.Problem.Published, 1)
}

func TestStoppingTellsWhatItCouldNot(t *testing.T) {
	w := newWorld(fakeaws.Behaviour{})
	w.start(t, version)
	w.Fail("StopTask", fakeaws.Denied("StopTask"))
	_, err := trial.Stop(w.ctx, w.ECS, w.request.Task, "done")
	assert.ErrorContains(t, err, "stop trial task")
	w.Fail("ListTasks", fakeaws.Denied("ListTasks"))
	_, err = trial.Stop(w.ctx, w.ECS, w.request.Task, "done")
	assert.ErrorContains(t, err, "list tasks started by trial/rca")
	_, err = trial.Running(w.ctx, w.ECS, w.request.Task)
	require.NoError(t, err)
	w.Fail("StopTask", &types.InvalidParameterException{Message: aws.String("The referenced task was not found.")})
	stopped, err := trial.Stop(w.ctx, w.ECS, w.request.Task, "done")
	require.NoError(t, err, "what is gone is as good as stopped")
	assert.Len(t, stopped, 1)
}

func TestEveryCodeSaysWhatToDo(t *testing.T) {
	for _, code := range trial.Codes() {
		assert.NotEmpty(t, code.Remedy)
		assert.Equal(t, verdict.Deploy, code.Stage)
	}
}
