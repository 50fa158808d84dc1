package deployment_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	family    = "arn:aws:ecs:ap-south-1:111122223333:task-definition/rca:"
	oldTask   = family + "1"
	newTask   = family + "2"
	otherTask = family + "3"
	oldDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	newDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	alarm     = "rca-5xx"
)

// world is a fake account with a service that runs the old version in two tasks.
type world struct {
	*fakeaws.ECS
	clock   *fakeaws.Clock
	request deployment.Request
	ctx     context.Context
}

func strategies() map[string]*types.DeploymentConfiguration {
	alarms := &types.DeploymentAlarms{AlarmNames: []string{alarm}, Enable: true, Rollback: true}
	return map[string]*types.DeploymentConfiguration{
		"rolling": {Strategy: types.DeploymentStrategyRolling, MinimumHealthyPercent: aws.Int32(100), Alarms: alarms,
			DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{
				Enable: true, Rollback: true, ThresholdConfiguration: &types.ThresholdConfiguration{Type: types.ThresholdTypeCount, Value: 3},
			}},
		"blue_green": {Strategy: types.DeploymentStrategyBlueGreen, Alarms: alarms, BakeTimeInMinutes: aws.Int32(10)},
		"canary": {Strategy: types.DeploymentStrategyCanary, Alarms: alarms, BakeTimeInMinutes: aws.Int32(10),
			CanaryConfiguration: &types.CanaryConfiguration{CanaryPercent: aws.Float64(10), CanaryBakeTimeInMinutes: aws.Int32(10)}},
		"linear": {Strategy: types.DeploymentStrategyLinear, Alarms: alarms, BakeTimeInMinutes: aws.Int32(10),
			LinearConfiguration: &types.LinearConfiguration{StepPercent: aws.Float64(25), StepBakeTimeInMinutes: aws.Int32(5)}},
	}
}

func newWorld(strategy string) *world {
	clock := fakeaws.NewClock()
	w := &world{ECS: fakeaws.NewECS(clock), clock: clock, ctx: context.Background(), request: deployment.Request{
		Cluster: "cluster", Service: "rca", TaskDefinition: newTask, Container: "app", Digest: newDigest, Deadline: 2 * time.Hour,
	}}
	w.Behave(oldTask, fakeaws.Behaviour{Digest: oldDigest})
	w.new(fakeaws.Behaviour{})
	w.AddService("cluster", "rca", oldTask, 2, strategies()[strategy])
	return w
}

// new sets how the new version behaves.
func (w *world) new(b fakeaws.Behaviour) {
	if b.Digest == "" {
		b.Digest = newDigest
	}
	w.Behave(newTask, b)
}

func (w *world) deploy() *deployment.Outcome {
	return deployment.Deploy(w.ctx, w.ECS, w.clock, w.request)
}

func assertCode(t *testing.T, want verdict.Code, got *deployment.Outcome) {
	t.Helper()
	require.NotNil(t, got.Problem, "it must not pass")
	assert.Equal(t, want.Name, got.Problem.Code.Name, got.Problem.Cause)
}

func crash() *fakeaws.Failure {
	return &fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", ExitCode: 1}
}

func TestEveryStrategyEndsWithTheNewVersionServing(t *testing.T) {
	for strategy, least := range map[string]time.Duration{
		"rolling": 30 * time.Second, "blue_green": 10 * time.Minute, "canary": 20 * time.Minute, "linear": 25 * time.Minute,
	} {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(strategy)
			start := w.clock.Now()
			outcome := w.deploy()
			require.Nil(t, outcome.Problem)
			assert.Equal(t, newTask, w.Serving("cluster", "rca"))
			took := w.clock.Now().Sub(start)
			assert.GreaterOrEqual(t, took, least)
			assert.LessOrEqual(t, took.Seconds(), outcome.Seconds+10, "the verdict comes within 10 s of the end")
			assert.Equal(t, 1, w.Calls("UpdateService"))
			assert.LessOrEqual(t, outcome.CallsBeforeWait, 40)
			assert.LessOrEqual(t, float64(outcome.Calls), took.Seconds()+10, "fewer than one call a second")
			assert.False(t, outcome.Adopted || outcome.Unchanged)
			assert.NotEmpty(t, outcome.Events)
		})
	}
}

func TestTheTrafficWeightsAreTold(t *testing.T) {
	for strategy, want := range map[string][]float64{
		"canary": {0, 10, 100}, "linear": {0, 25, 50, 75, 100}, "blue_green": {0, 100},
	} {
		t.Run(strategy, func(t *testing.T) {
			var weights []float64
			w := newWorld(strategy)
			w.request.Progress = func(e deployment.Event) {
				if n := len(weights); e.Weight >= 0 && (n == 0 || weights[n-1] != e.Weight) {
					weights = append(weights, e.Weight)
				}
			}
			require.Nil(t, w.deploy().Problem)
			assert.Equal(t, want, weights)
		})
	}
}

func TestAnythingButOurSuccessIsAFailureWithItsOwnCode(t *testing.T) {
	for _, c := range []struct {
		name     string
		strategy string
		arrange  func(*world)
		code     verdict.Code
		cause    string
		serving  string
	}{
		{"the breaker of a rolling deployment trips", "rolling", func(w *world) {
			w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 20 * time.Second})
		}, deployment.RolledBack, "", oldTask},
		{"tasks crash where there is no breaker", "blue_green", func(w *world) {
			w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 20 * time.Second})
		}, deployment.RolledBack, "tasks of the new version failed, and they were all that were started, so this run rolled it back; ", oldTask},
		{"an alarm rings while the new version bakes", "blue_green", func(w *world) {
			w.clock.At(5*time.Minute, func() { w.SetAlarm(alarm) })
		}, deployment.RolledBack, "alarms: " + alarm, oldTask},
		{"an alarm rings during the canary", "canary", func(w *world) {
			w.clock.At(5*time.Minute, func() { w.SetAlarm(alarm) })
		}, deployment.RolledBack, alarm, oldTask},
		{"an alarm rings between two steps", "linear", func(w *world) {
			w.clock.At(8*time.Minute, func() { w.SetAlarm(alarm) })
		}, deployment.RolledBack, alarm, oldTask},
		{"the rollback fails too", "blue_green", func(w *world) {
			w.new(fakeaws.Behaviour{RollbackFails: true})
			w.clock.At(5*time.Minute, func() { w.SetAlarm(alarm) })
		}, deployment.RollbackFailed, "which version serves is unknown", ""},
		{"the image cannot be pulled", "canary", func(w *world) {
			w.new(fakeaws.Behaviour{FailAfter: time.Second, Failure: &fakeaws.Failure{
				Code: types.TaskStopCodeTaskFailedToStart, Reason: "CannotPullContainerError: pull image manifest has been retried 5 time(s)"}})
		}, deployment.RolledBack, "failed", oldTask},
		{"AWS has no room for the tasks", "blue_green", func(w *world) {
			w.new(fakeaws.Behaviour{NoCapacity: "(service rca) was unable to place a task. Reason: Capacity is unavailable at this time."})
		}, deployment.NoCapacity, "Capacity is unavailable", oldTask},
		{"a task is never healthy", "blue_green", func(w *world) {
			w.new(fakeaws.Behaviour{NeverHealthy: true})
			w.request.Deadline, w.request.HealthPatience = 20*time.Minute, time.Hour
		}, deployment.NeverHealthy, "in the 20m0s that it may take no more than 0 of 2", oldTask},
		{"a task is never healthy, for as long as one may wait", "blue_green", func(w *world) {
			w.new(fakeaws.Behaviour{NeverHealthy: true})
		}, deployment.NeverHealthy, "for 15m0s no more than 0 of 2 tasks of the new version have become healthy, and 2 run", oldTask},
		{"a stage is never left", "linear", func(w *world) {
			w.new(fakeaws.Behaviour{Hangs: "PRODUCTION_TRAFFIC_SHIFT"})
		}, deployment.Stuck, "not done after 2h0m0s", oldTask},
		{"a stage is never left, and it is to be left alone", "linear", func(w *world) {
			w.new(fakeaws.Behaviour{Hangs: "PRODUCTION_TRAFFIC_SHIFT"})
			w.request.OnTimeout = deployment.Leave
		}, deployment.Stuck, "not done after", oldTask},
		{"somebody deploys another version meanwhile", "blue_green", func(w *world) {
			w.clock.At(3*time.Minute, func() { w.update(otherTask) })
		}, deployment.Superseded, "Replaced", oldTask},
		{"the service is deleted meanwhile", "blue_green", func(w *world) {
			w.clock.At(3*time.Minute, func() { w.RemoveService("cluster", "rca") })
		}, deployment.TargetMissing, "gone", ""},
		{"there is no such service", "rolling", func(w *world) { w.request.Service = "nobody" }, deployment.TargetMissing, "nobody", oldTask},
		{"the service is being deleted", "rolling", func(w *world) { w.SetStatus("cluster", "rca", "DRAINING") }, deployment.TargetMissing,
			"DRAINING", oldTask},
		{"another deployment is in progress", "blue_green", func(w *world) { w.update(otherTask) }, deployment.Busy, "IN_PROGRESS", oldTask},
		{"another image runs than was deployed", "rolling", func(w *world) { w.new(fakeaws.Behaviour{Digest: oldDigest}) },
			deployment.DigestMismatch, oldDigest, newTask},
		{"ECS refuses the update", "rolling", func(w *world) {
			w.Fail("UpdateService", &types.InvalidParameterException{Message: aws.String("TaskDefinition is inactive")})
		}, deployment.UpdateFailed, "inactive", oldTask},
		{"the update fails and nothing comes of it", "rolling", func(w *world) { w.Fail("UpdateService", errors.New("EOF")) },
			deployment.UpdateFailed, "no deployment appeared", oldTask},
		{"the credentials are not allowed to look", "rolling", func(w *world) { w.Fail("DescribeServices", fakeaws.Denied("DescribeServices")) },
			deployment.AWSFailed, "not authorized", oldTask},
		{"the credentials are not allowed to list deployments", "rolling", func(w *world) {
			w.Fail("ListServiceDeployments", fakeaws.Denied("ListServiceDeployments"))
		}, deployment.FollowDenied, "ecs:ListServiceDeployments", oldTask},
		{"the credentials are not allowed to describe deployments", "blue_green", func(w *world) {
			w.Fail("DescribeServiceDeployments", fakeaws.Denied("DescribeServiceDeployments"))
		}, deployment.FollowDenied, "ecs:DescribeServiceDeployments", oldTask},
		{"the credentials are not allowed to describe revisions", "linear", func(w *world) {
			w.Fail("DescribeServiceRevisions", fakeaws.Denied("DescribeServiceRevisions"))
		}, deployment.FollowDenied, "ecs:DescribeServiceRevisions", oldTask},
		{"the credentials expire on the way", "blue_green", func(w *world) {
			w.clock.At(3*time.Minute, func() { w.Fail("DescribeServiceDeployments", fakeaws.Denied("DescribeServiceDeployments")) })
		}, deployment.Lost, "not authorized", oldTask},
		{"the service does not answer at the end", "rolling", func(w *world) {
			w.request.Probe = func(context.Context) error {
				if w.Serving("cluster", "rca") == newTask {
					return errors.New("connection refused")
				}
				return nil
			}
		}, deployment.NotServing, "connection refused", newTask},
		{"the service does not answer when all tasks are replaced", "rolling", func(w *world) {
			w.request.Probe = func(context.Context) error { return errors.New("502") }
		}, deployment.RolledBack, "the last time with 502", oldTask},
		{"the service stops answering while it bakes", "blue_green", func(w *world) {
			w.request.Probe = func(context.Context) error { return errors.New("502") }
		}, deployment.RolledBack, "the last time with 502", oldTask},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(c.strategy)
			c.arrange(w)
			outcome := w.deploy()
			assertCode(t, c.code, outcome)
			assert.Contains(t, outcome.Problem.Cause, c.cause)
			assert.Equal(t, c.serving, w.Serving("cluster", "rca"))
		})
	}
}

// The old version does not answer, which is no fault of the version that repairs it.
func TestARollingDeploymentRepairsAServiceThatDoesNotAnswer(t *testing.T) {
	for _, least := range []int32{0, 50, 100} {
		w := newWorld("rolling")
		config := *strategies()["rolling"]
		config.MinimumHealthyPercent = aws.Int32(least)
		w.AddService("cluster", "rca", oldTask, 2, &config)
		w.new(fakeaws.Behaviour{StartAfter: 4 * time.Minute})
		asked := 0
		w.request.Probe = func(context.Context) error {
			asked++
			if w.clock.Now().Sub(fakeaws.NewClock().Now()) < 4*time.Minute {
				return errors.New("502")
			}
			return nil
		}
		require.Nil(t, w.deploy().Problem)
		if least == 100 {
			assert.Greater(t, asked, 3, "it is asked while it ends")
		} else {
			assert.Equal(t, 1, asked, "where ECS may stop old tasks first, only at the end")
		}
	}
}

// update deploys something beside us, as a colleague would.
func (w *world) update(taskDefinition string) {
	if _, err := w.UpdateService(w.ctx, &ecs.UpdateServiceInput{
		Cluster: aws.String("cluster"), Service: aws.String("rca"), TaskDefinition: aws.String(taskDefinition)}); err != nil {
		panic(err)
	}
	if err := w.clock.Sleep(w.ctx, 3*time.Second); err != nil {
		panic(err)
	}
}

func TestACrashIsReportedAfterAFewLaunches(t *testing.T) {
	for strategy := range strategies() {
		w := newWorld(strategy)
		w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second})
		start := w.clock.Now()
		outcome := w.deploy()
		assertCode(t, deployment.RolledBack, outcome)
		require.Len(t, outcome.Failures, 1, "the same reason is told once")
		assert.Contains(t, outcome.Failures[0], "exit code 1")
		assert.Contains(t, outcome.Failures[0], "look at the application's log")
		assert.Less(t, w.clock.Now().Sub(start), 3*time.Minute, strategy)
	}
}

// launched is a service with so many tasks, and how its new version fails.
func launched(strategy string, desired int32, b fakeaws.Behaviour) *world {
	w := newWorld(strategy)
	w.AddService("cluster", "rca", oldTask, desired, strategies()[strategy])
	w.new(b)
	return w
}

func TestAVersionThatCannotStartIsReportedWithinThreeLaunches(t *testing.T) {
	pull := &fakeaws.Failure{Code: types.TaskStopCodeTaskFailedToStart, Reason: "CannotPullContainerError: not found"}
	for strategy := range strategies() {
		for _, desired := range []int32{1, 2, 3} {
			for name, failure := range map[string]*fakeaws.Failure{"crash": crash(), "pull": pull} {
				for _, after := range []time.Duration{time.Second, 7 * time.Second, 20 * time.Second, 29 * time.Second} {
					t.Run(fmt.Sprintf("%s/%d/%s/%s", strategy, desired, name, after), func(t *testing.T) {
						w := launched(strategy, desired, fakeaws.Behaviour{Failure: failure, FailAfter: after})
						outcome := w.deploy()
						assertCode(t, deployment.RolledBack, outcome)
						assert.Equal(t, oldTask, w.Serving("cluster", "rca"))
						launches := w.Launches(newTask)
						assert.LessOrEqual(t, launches, 3, "launched until the rollback began")
						assert.GreaterOrEqual(t, launches, int(desired))
						assert.LessOrEqual(t, float64(outcome.Calls), w.clock.Now().Sub(fakeaws.NewClock().Now()).Seconds()+10)
					})
				}
			}
		}
	}
}

// AWS does not say how soon it replaces a task. However many are to run, the first round is
// the last where that takes longer than the time between two looks at the stopped tasks,
// 2.5 seconds; where it is less, a second round has begun, and there is never a third.
func TestHoweverSoonTasksAreReplacedNoThirdRoundIsBegun(t *testing.T) {
	for strategy := range strategies() {
		for _, desired := range []int32{1, 2, 3, 4, 6} {
			for _, relaunch := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 5 * time.Second, 30 * time.Second} {
				most := max(3, int(desired))
				if relaunch < 3*time.Second {
					most = max(3, 2*int(desired))
				}
				for after := time.Second; after < 29*time.Second; after += 3 * time.Second {
					w := launched(strategy, desired, fakeaws.Behaviour{Failure: crash(), FailAfter: after, RelaunchAfter: relaunch})
					assertCode(t, deployment.RolledBack, w.deploy())
					require.LessOrEqual(t, w.Launches(newTask), most, "%s with %d, crash after %s, replaced after %s", strategy, desired, after, relaunch)
				}
			}
		}
	}
}

// Tasks that start slowly are looked at more often than others, and still less than once a second.
func TestLookingAtStartingTasksTakesLessThanACallASecond(t *testing.T) {
	for strategy := range strategies() {
		w := newWorld(strategy)
		w.new(fakeaws.Behaviour{StartAfter: 8 * time.Minute})
		w.request.Targets = func(context.Context, string) ([]deployment.Target, error) { return nil, nil }
		var calls []int
		for n := range 7 {
			w.clock.At(time.Duration(n+1)*time.Minute, func() { calls = append(calls, w.Calls("")) })
		}
		require.Nil(t, w.deploy().Problem)
		require.Len(t, calls, 7)
		for n := 1; n < len(calls); n++ {
			// The load balancer is asked four times a minute, the journal is written once.
			assert.Less(t, calls[n]-calls[n-1]+4+1, 60, strategy)
			assert.Greater(t, calls[n]-calls[n-1], 36, "twice as often as at other times")
		}
	}
}

func TestTasksThatECSCannotLaunchEndADeployment(t *testing.T) {
	const reason = "(service rca) failed to launch a task with (error ECS was unable to assume the role " +
		"'arn:aws:iam::111122223333:role/execution' that was provided for this task.)"
	for strategy := range strategies() {
		for _, desired := range []int32{1, 2, 3} {
			w := launched(strategy, desired, fakeaws.Behaviour{CannotLaunch: reason})
			start := w.clock.Now()
			outcome := w.deploy()
			assertCode(t, deployment.RolledBack, outcome)
			assert.Zero(t, w.Launches(newTask))
			assert.Contains(t, strings.Join(outcome.Problem.Details, "\n"), "a new role takes seconds to be usable")
			assert.Less(t, w.clock.Now().Sub(start), 5*time.Minute, "and not after the time that tasks may take to be healthy")
		}
	}
}

func TestALackOfRoomIsGivenItsTimeAlthoughItsTasksFail(t *testing.T) {
	w := newWorld("blue_green")
	w.new(fakeaws.Behaviour{NoCapacity: "(service rca) was unable to place a task. Reason: Capacity is unavailable at this time."})
	w.request.CapacityPatience = 10 * time.Minute
	w.clock.At(8*time.Minute, func() { w.new(fakeaws.Behaviour{}) })
	outcome := w.deploy()
	require.Nil(t, outcome.Problem, "%v", outcome.Problem)
}

// AWS says once that there is no room, places the tasks a minute later, and they start slowly.
func TestALackOfRoomThatIsOverIsForgotten(t *testing.T) {
	for strategy := range strategies() {
		w := newWorld(strategy)
		w.new(fakeaws.Behaviour{NoCapacity: "(service rca) was unable to place a task. Reason: Capacity is unavailable at this time."})
		w.clock.At(time.Minute, func() { w.new(fakeaws.Behaviour{StartAfter: 8 * time.Minute}) })
		require.Nil(t, w.deploy().Problem, strategy)
	}
}

// slowly is a service whose new tasks become healthy one after the other, as in a rolling
// deployment that replaces one at a time.
type slowly struct {
	*fakeaws.ECS
	clock *fakeaws.Clock
	from  time.Time
	each  time.Duration
}

func (s *slowly) DescribeServiceDeployments(ctx context.Context, in *ecs.DescribeServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.DescribeServiceDeploymentsOutput, error) {
	out, err := s.ECS.DescribeServiceDeployments(ctx, in, options...)
	if err != nil {
		return nil, err
	}
	for _, d := range out.ServiceDeployments {
		if t := d.TargetServiceRevision; d.Status == types.ServiceDeploymentStatusInProgress {
			t.RequestedTaskCount = 10
			t.RunningTaskCount = min(10, int32(s.clock.Now().Sub(s.from)/s.each))
		}
	}
	return out, nil
}

func TestTasksThatBecomeHealthyOneByOneAreNotGivenUp(t *testing.T) {
	for each, code := range map[time.Duration]string{10 * time.Minute: "", 20 * time.Minute: deployment.NeverHealthy.Name} {
		w := newWorld("rolling")
		w.new(fakeaws.Behaviour{StartAfter: 100 * time.Minute})
		client := &slowly{ECS: w.ECS, clock: w.clock, from: w.clock.Now(), each: each}
		outcome := deployment.Deploy(w.ctx, client, w.clock, w.request)
		if code == "" {
			require.Nil(t, outcome.Problem)
			continue
		}
		assertCode(t, deployment.NeverHealthy, outcome)
		assert.Contains(t, outcome.Problem.Cause, "have become healthy")
	}
}

// What serves a share of the traffic is asked too, not only what serves all of it.
func TestACanaryThatDoesNotAnswerGoesNoFurther(t *testing.T) {
	for _, strategy := range []string{"canary", "linear"} {
		w := newWorld(strategy)
		w.request.Probe = func(context.Context) error { return errors.New("502") }
		outcome := w.deploy()
		assertCode(t, deployment.RolledBack, outcome)
		for _, e := range outcome.Events {
			assert.LessOrEqual(t, e.Weight, 25., "%s: %s", strategy, e.Text)
		}
		assert.Equal(t, oldTask, w.Serving("cluster", "rca"))
	}
}

// Who comes late to a deployment learns why its tasks failed before.
func TestFailuresBeforeALookAreToldAndCount(t *testing.T) {
	w := newWorld("blue_green")
	w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second})
	w.update(newTask)
	require.NoError(t, w.clock.Sleep(w.ctx, 10*time.Minute))
	launches := w.Launches(newTask)
	outcome := w.deploy()
	assertCode(t, deployment.RolledBack, outcome)
	assert.True(t, outcome.Adopted)
	assert.LessOrEqual(t, w.Launches(newTask), launches+1, "it is ended at the first look")
	assert.Contains(t, strings.Join(outcome.Problem.Details, " "), "exit code 1")

	// The same when it has ended already: ECS knows the tasks for an hour.
	w = newWorld("rolling")
	w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second})
	w.update(newTask)
	require.NoError(t, w.clock.Sleep(w.ctx, 10*time.Minute))
	list, err := w.ListServiceDeployments(w.ctx, &ecs.ListServiceDeploymentsInput{Cluster: aws.String("cluster"), Service: aws.String("rca")})
	require.NoError(t, err)
	outcome = deployment.Follow(w.ctx, w.ECS, w.clock, w.request, *list.ServiceDeployments[0].ServiceDeploymentArn)
	assertCode(t, deployment.RolledBack, outcome)
	assert.Contains(t, strings.Join(outcome.Problem.Details, " "), "exit code 1")
}

func TestAPauseThatWasJustAnsweredIsNotTakenForAnother(t *testing.T) {
	w := newWorld("canary")
	config := *strategies()["canary"]
	config.LifecycleHooks = []types.DeploymentLifecycleHook{{TargetType: types.DeploymentLifecycleHookTargetTypePause,
		LifecycleStages: []types.DeploymentLifecycleHookStage{types.DeploymentLifecycleHookStagePreProductionTrafficShift}}}
	w.request.Update.DeploymentConfiguration = &config
	outcome := w.deploy()
	for pause := 1; pause <= 2; pause++ { // before the canary, and before all
		assertCode(t, deployment.AwaitingApproval, outcome)
		assert.Equal(t, "PRE_PRODUCTION_TRAFFIC_SHIFT", outcome.Hook.Stage)
		hook := outcome.Hook.ID
		_, err := w.ContinueServiceDeployment(w.ctx, &ecs.ContinueServiceDeploymentInput{ServiceDeploymentArn: &outcome.Deployment,
			HookId: &hook, Action: types.DeploymentLifecycleHookActionContinue})
		require.NoError(t, err)
		w.Lag(20 * time.Second)
		w.request.Answered = hook
		outcome = deployment.Follow(w.ctx, w.ECS, w.clock, w.request, outcome.Deployment)
		if pause == 1 {
			require.NotNil(t, outcome.Hook)
			assert.NotEqual(t, hook, outcome.Hook.ID)
		}
	}
	require.Nil(t, outcome.Problem)
	assert.Equal(t, newTask, w.Serving("cluster", "rca"))
}

// An answer that never arrives is not waited for without end.
func TestAPauseThatStandsInSpiteOfItsAnswerIsTold(t *testing.T) {
	w := newWorld("blue_green")
	config := *strategies()["blue_green"]
	config.LifecycleHooks = []types.DeploymentLifecycleHook{{TargetType: types.DeploymentLifecycleHookTargetTypePause,
		LifecycleStages: []types.DeploymentLifecycleHookStage{types.DeploymentLifecycleHookStagePostScaleUp}}}
	w.request.Update.DeploymentConfiguration = &config
	outcome := w.deploy()
	assertCode(t, deployment.AwaitingApproval, outcome)
	w.request.Answered = outcome.Hook.ID
	start := w.clock.Now()
	assertCode(t, deployment.AwaitingApproval, deployment.Follow(w.ctx, w.ECS, w.clock, w.request, outcome.Deployment))
	assert.InDelta(t, 60, w.clock.Now().Sub(start).Seconds(), 10)
}

func TestTwoFailuresBesideAHealthyTaskDoNotEndADeployment(t *testing.T) {
	for strategy := range strategies() {
		for name, fails := range map[string]func(int) bool{
			"one":                        func(n int) bool { return n == 1 },
			"the replacement too":        func(n int) bool { return n == 1 || n == 3 },
			"two of three":               func(n int) bool { return n <= 2 },
			"the replacement, of three":  func(n int) bool { return n == 1 || n == 4 },
			"the last and a replacement": func(n int) bool { return n == 3 || n == 4 },
		} {
			desired := int32(3)
			if name == "one" || name == "the replacement too" {
				desired = 2
			}
			t.Run(strategy+"/"+name, func(t *testing.T) {
				w := launched(strategy, desired, fakeaws.Behaviour{Failure: crash(), FailAfter: 12 * time.Second, Fails: fails})
				outcome := w.deploy()
				require.Nil(t, outcome.Problem)
				assert.Len(t, outcome.Failures, 1, "it is told")
				assert.Equal(t, newTask, w.Serving("cluster", "rca"))
				assert.Zero(t, w.Calls("StopServiceDeployment"))
			})
		}
	}
}

func TestOneFailureOfASingleTaskDoesNotEndADeployment(t *testing.T) {
	for strategy := range strategies() {
		w := launched(strategy, 1, fakeaws.Behaviour{Failure: crash(), FailAfter: 12 * time.Second, Fails: func(n int) bool { return n == 1 }})
		require.Nil(t, w.deploy().Problem, strategy)
	}
}

func TestRunningTasksThatCannotBeReadEndNothing(t *testing.T) {
	w := launched("blue_green", 2, fakeaws.Behaviour{Failure: crash(), FailAfter: 12 * time.Second, Fails: func(n int) bool { return n <= 2 }})
	client := &hidesRunning{ECS: w.ECS}
	outcome := deployment.Deploy(w.ctx, client, w.clock, w.request)
	require.Nil(t, outcome.Problem)
	assert.Positive(t, client.asked)
}

type hidesRunning struct {
	*fakeaws.ECS
	asked int
}

func (h *hidesRunning) ListTasks(ctx context.Context, in *ecs.ListTasksInput, options ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	if in.DesiredStatus == types.DesiredStatusRunning {
		h.asked++
		return nil, fakeaws.Throttled()
	}
	return h.ECS.ListTasks(ctx, in, options...)
}

func TestAFirstDeploymentHasNothingToGoBackTo(t *testing.T) {
	clock := fakeaws.NewClock()
	w := &world{ECS: fakeaws.NewECS(clock), clock: clock, ctx: context.Background(), request: newWorld("rolling").request}
	w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 10 * time.Second})
	w.AddService("cluster", "rca", "", 2, strategies()["rolling"])
	outcome := w.deploy()
	assertCode(t, deployment.NoRollbackTarget, outcome)
	assert.Contains(t, outcome.Problem.Cause, "nothing to roll back to")
	assert.NotEmpty(t, outcome.Problem.Published)
}

func TestARollbackThatNeverEndsIsStuck(t *testing.T) {
	w := newWorld("blue_green")
	w.new(fakeaws.Behaviour{NeverHealthy: true})
	w.request.Deadline = 5 * time.Minute
	// ECS takes the request and does nothing.
	client := &ignoresStop{ECS: w.ECS}
	outcome := deployment.Deploy(w.ctx, client, w.clock, w.request)
	assertCode(t, deployment.Stuck, outcome)
	assert.Equal(t, 1, client.stops)
}

func TestARollbackThatCannotBeAskedForIsStuck(t *testing.T) {
	w := newWorld("blue_green")
	w.new(fakeaws.Behaviour{NeverHealthy: true})
	w.request.Deadline = 5 * time.Minute
	var throttled []error
	for range 500 {
		throttled = append(throttled, fakeaws.Throttled())
	}
	w.Fail("StopServiceDeployment", throttled...)
	outcome := w.deploy()
	assertCode(t, deployment.Stuck, outcome)
	assert.Contains(t, outcome.Problem.Cause, "Rate exceeded")
}

func TestTooFewRunningTasksAreNoSuccess(t *testing.T) {
	w := newWorld("rolling")
	w.request.TaskDefinition, w.request.Digest = oldTask, oldDigest
	w.SetDesired("cluster", "rca", 3)
	start := w.clock.Now()
	outcome := w.deploy()
	assertCode(t, deployment.NotServing, outcome)
	assert.Contains(t, outcome.Problem.Cause, "2 of 3 tasks run")
	assert.GreaterOrEqual(t, w.clock.Now().Sub(start), 3*time.Minute, "scaling gets its time")
	w.SetDesired("cluster", "rca", 1) // and too many are none either
	assert.Contains(t, w.deploy().Problem.Cause, "2 of 1 tasks run")
}

type ignoresStop struct {
	*fakeaws.ECS
	stops int
}

func (i *ignoresStop) StopServiceDeployment(context.Context, *ecs.StopServiceDeploymentInput,
	...func(*ecs.Options)) (*ecs.StopServiceDeploymentOutput, error) {
	i.stops++
	return &ecs.StopServiceDeploymentOutput{}, nil
}

func TestADeploymentThatChangesNothingWritesNothing(t *testing.T) {
	w := newWorld("blue_green")
	w.request.TaskDefinition, w.request.Digest = oldTask, oldDigest
	outcome := w.deploy()
	require.Nil(t, outcome.Problem)
	assert.True(t, outcome.Unchanged)
	assert.Zero(t, w.Calls("UpdateService"))

	w.request.Digest = newDigest
	assertCode(t, deployment.DigestMismatch, w.deploy())
}

func TestWithoutTheRightToFollowNothingIsStarted(t *testing.T) {
	for _, operation := range []string{"ListServiceDeployments", "DescribeServiceDeployments", "DescribeServiceRevisions"} {
		for _, task := range []string{oldTask, newTask} {
			w := newWorld("blue_green")
			w.request.TaskDefinition = task
			w.Fail(operation, fakeaws.Denied(operation))
			outcome := w.deploy()
			assertCode(t, deployment.FollowDenied, outcome)
			assert.Empty(t, outcome.Problem.Published, operation)
			assert.Zero(t, w.Calls("UpdateService"), operation)
		}
	}
}

func TestAnInterruptedDeploymentGoesOnAndIsFoundAgain(t *testing.T) {
	w := newWorld("blue_green")
	ctx, cancel := context.WithCancel(w.ctx)
	w.clock.At(4*time.Minute, cancel)
	w.ctx = ctx
	first := w.deploy()
	assertCode(t, deployment.Interrupted, first)
	require.NotEmpty(t, first.Deployment)
	assert.NotEmpty(t, first.Problem.Published)

	w.ctx = context.Background()
	second := w.deploy()
	require.Nil(t, second.Problem)
	assert.True(t, second.Adopted)
	assert.Equal(t, first.Deployment, second.Deployment)
	assert.Equal(t, 1, w.Calls("UpdateService"), "one deployment, however often it is asked for")
}

func TestARunThatIsOverBeforeItBeginsChangesNothing(t *testing.T) {
	w := newWorld("rolling")
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	w.Fail("DescribeServices", context.Canceled)
	w.ctx = ctx
	assertCode(t, deployment.Interrupted, w.deploy())
	assert.Zero(t, w.Calls("UpdateService"))
}

func TestALostAnswerIsNotAskedForAgain(t *testing.T) {
	w := newWorld("rolling")
	w.Fail("UpdateService", fakeaws.LostAnswer{})
	outcome := w.deploy()
	require.Nil(t, outcome.Problem)
	assert.Equal(t, 1, w.Calls("UpdateService"))
}

func TestThrottlingAndStaleReadsDoNotChangeTheVerdict(t *testing.T) {
	w := newWorld("blue_green")
	w.Lag(12 * time.Second)
	var throttled []error
	for range 20 {
		throttled = append(throttled, fakeaws.Throttled())
	}
	w.Fail("DescribeServiceDeployments", throttled...)
	w.Fail("ListTasks", throttled...)
	outcome := w.deploy()
	require.Nil(t, outcome.Problem)
	assert.Equal(t, newTask, w.Serving("cluster", "rca"))
}

func TestADeploymentThatNeverAppearsIsSaidSo(t *testing.T) {
	w := newWorld("rolling")
	w.Lag(time.Hour)
	outcome := w.deploy()
	assertCode(t, deployment.NotStarted, outcome)
	assert.NotEmpty(t, outcome.Problem.Published)
}

func TestSightIsLostOnlyAfterMinutes(t *testing.T) {
	w := newWorld("blue_green")
	var gone []error
	for range 200 {
		gone = append(gone, errors.New("no route to host"))
	}
	w.Fail("DescribeServiceDeployments", gone...)
	start := w.clock.Now()
	outcome := w.deploy()
	assertCode(t, deployment.Lost, outcome)
	assert.GreaterOrEqual(t, w.clock.Now().Sub(start), 5*time.Minute)
}

func TestSupersedingReplacesTheOtherDeployment(t *testing.T) {
	w := newWorld("blue_green")
	w.update(otherTask)
	w.request.InFlight = deployment.Supersede
	outcome := w.deploy()
	require.Nil(t, outcome.Problem)
	assert.Equal(t, newTask, w.Serving("cluster", "rca"))
}

func TestAlarmsThatRangBeforeTheDeploymentAreNotSeenByECS(t *testing.T) {
	w := newWorld("blue_green")
	w.SetAlarm(alarm)
	outcome := w.deploy()
	require.Nil(t, outcome.Problem, "which is why a plan must warn of an alarm that rings already")
}

func TestScalingDuringADeploymentIsNotAFailure(t *testing.T) {
	w := newWorld("blue_green")
	w.clock.At(20*time.Second, func() { w.SetDesired("cluster", "rca", 4) })
	require.Nil(t, w.deploy().Problem)
}

func TestMultipleFailuresAreExplained(t *testing.T) {
	for name, c := range map[string]struct {
		failure fakeaws.Failure
		words   string
	}{
		"memory": {fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited",
			ContainerReason: "OutOfMemoryError: Container killed due to memory usage", ExitCode: 137}, "raise rollout.memory"},
		"secret": {fakeaws.Failure{Code: types.TaskStopCodeTaskFailedToStart,
			Reason: "ResourceInitializationError: unable to pull secrets or registry auth"}, "secret's ARN"},
		"architecture": {fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited",
			ContainerReason: "exec format error", ExitCode: 255}, "another CPU architecture"},
		"health": {fakeaws.Failure{Code: types.TaskStopCodeServiceSchedulerInitiated, Reason: "Task failed container health checks"},
			"start_period"},
		"segfault": {fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited",
			ExitCode: 139}, "segmentation fault"},
		"term": {fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited",
			ExitCode: 143}, "SIGTERM"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld("blue_green")
			w.new(fakeaws.Behaviour{Failure: &c.failure, FailAfter: 10 * time.Second})
			outcome := w.deploy()
			assertCode(t, deployment.RolledBack, outcome)
			assert.Contains(t, strings.Join(outcome.Problem.Details, "\n"), c.words)
		})
	}
}

func TestEveryCodeIsComplete(t *testing.T) {
	_, err := verdict.Codes(deployment.Codes())
	assert.NoError(t, err)
}

func TestTheRealClockKeepsTimeAndStopsWithItsContext(t *testing.T) {
	clock := clock.System{}
	before := clock.Now()
	require.NoError(t, clock.Sleep(context.Background(), time.Millisecond))
	assert.True(t, clock.Now().After(before))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.ErrorIs(t, clock.Sleep(ctx, time.Hour), context.Canceled)
}

// overtaken is a client whose update is followed at once by a colleague's.
type overtaken struct{ *world }

func (o overtaken) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput, _ ...func(*ecs.Options)) (*ecs.UpdateServiceOutput,
	error) {
	out, err := o.ECS.UpdateService(ctx, in)
	o.update(otherTask)
	return out, err
}

func TestOurDeploymentIsNotTakenForAnothersThatCameAtOnce(t *testing.T) {
	w := newWorld("blue_green")
	outcome := deployment.Deploy(w.ctx, overtaken{w}, w.clock, w.request)
	assertCode(t, deployment.Superseded, outcome)
}

func TestOurOwnDeploymentThatRollsBackIsNotAdopted(t *testing.T) {
	w := newWorld("blue_green")
	w.update(newTask)
	w.SetAlarm(alarm)
	require.NoError(t, w.clock.Sleep(w.ctx, 5*time.Second))
	outcome := w.deploy()
	assertCode(t, deployment.Busy, outcome)
	assert.Contains(t, outcome.Problem.Cause, "ROLLBACK")
	assert.Equal(t, 1, w.Calls("UpdateService"))
}

func TestATaskThatFailedOnceCountsOnce(t *testing.T) {
	w := newWorld("blue_green")
	w.request.MaxFailures, w.request.StartFailures = 5, -1
	w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 10 * time.Second})
	w.clock.At(25*time.Second, func() { w.new(fakeaws.Behaviour{}) })
	outcome := w.deploy()
	require.Nil(t, outcome.Problem, "two tasks failed at the start, and then it went well")
	assert.Len(t, outcome.Failures, 1)
}

// eager is a client that calls new tasks running before they are healthy, as ECS does.
type eager struct{ *fakeaws.ECS }

func (e eager) DescribeServiceDeployments(ctx context.Context, in *ecs.DescribeServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.DescribeServiceDeploymentsOutput, error) {
	out, err := e.ECS.DescribeServiceDeployments(ctx, in, options...)
	if err == nil {
		for _, d := range out.ServiceDeployments {
			d.TargetServiceRevision.RunningTaskCount = d.TargetServiceRevision.RequestedTaskCount
		}
	}
	return out, err
}

// While an old task runs, a failed probe may be its fault.
func TestARollingDeploymentIsNotAskedWhileAnOldTaskRuns(t *testing.T) {
	w := newWorld("rolling")
	w.new(fakeaws.Behaviour{StartAfter: 4 * time.Minute})
	w.request.Probe = func(context.Context) error {
		if w.clock.Now().Sub(fakeaws.NewClock().Now()) < 4*time.Minute {
			return errors.New("502")
		}
		return nil
	}
	require.Nil(t, deployment.Deploy(w.ctx, eager{w.ECS}, w.clock, w.request).Problem)
}

// Who waits sees what a task wrote when it failed, not when the rollback is over.
func TestTheLogOfAFailedTaskIsToldBeforeTheRollback(t *testing.T) {
	for strategy := range strategies() {
		w := newWorld(strategy)
		w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 12 * time.Second})
		w.request.Logs = func(context.Context, string) ([]string, error) { return []string{"MemoryError"}, nil }
		var statuses []string
		w.request.Progress = func(e deployment.Event) {
			if strings.Contains(e.Text, "MemoryError") {
				statuses = append(statuses, e.Status)
			}
		}
		assertCode(t, deployment.RolledBack, w.deploy())
		assert.Equal(t, []string{"IN_PROGRESS"}, statuses, "once, while it is under way: %s", strategy)
	}
}
