package fakeaws_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// watched is one deployment as seen once a second.
type watched struct {
	last    types.ServiceDeployment
	stages  []string
	states  []string
	weights []float64
}

func watch(t *testing.T, fake *fakeaws.ECS, clock *fakeaws.Clock, arn string, most time.Duration) watched {
	t.Helper()
	var w watched
	for range int(most.Seconds()) {
		require.NoError(t, clock.Sleep(context.Background(), time.Second))
		out, err := fake.DescribeServiceDeployments(context.Background(),
			&ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{arn}})
		require.NoError(t, err)
		require.Len(t, out.ServiceDeployments, 1)
		d := out.ServiceDeployments[0]
		w.last = d
		w.stages = append(w.stages, string(d.LifecycleStage))
		w.states = append(w.states, string(d.Status))
		w.weights = append(w.weights, *d.TargetServiceRevision.RequestedProductionTrafficWeight)
	}
	w.stages, w.states, w.weights = slices.Compact(w.stages), slices.Compact(w.states), slices.Compact(w.weights)
	return w
}

// started is a service with an old version and a new deployment of revision 2.
func started(t *testing.T, config *types.DeploymentConfiguration, behaviour fakeaws.Behaviour) (*fakeaws.ECS, *fakeaws.Clock, string) {
	t.Helper()
	clock := fakeaws.NewClock()
	fake := fakeaws.NewECS(clock)
	fake.Behave("task:2", behaviour)
	fake.AddService("c", "s", "task:1", 2, config)
	_, err := fake.UpdateService(context.Background(), &ecs.UpdateServiceInput{Cluster: aws.String("c"), Service: aws.String("s"),
		TaskDefinition: aws.String("task:2")})
	require.NoError(t, err)
	return fake, clock, list(t, fake)[0]
}

func list(t *testing.T, fake *fakeaws.ECS) []string {
	t.Helper()
	var arns []string
	in := &ecs.ListServiceDeploymentsInput{Cluster: aws.String("c"), Service: aws.String("s")}
	for {
		out, err := fake.ListServiceDeployments(context.Background(), in)
		require.NoError(t, err)
		for _, d := range out.ServiceDeployments {
			arns = append(arns, *d.ServiceDeploymentArn)
		}
		if out.NextToken == nil {
			// They are numbered as they are made, and come in no order.
			slices.Sort(arns)
			slices.Reverse(arns)
			return arns
		}
		in.NextToken = out.NextToken
	}
}

func TestEachStrategyGoesThroughItsStagesAndWeights(t *testing.T) {
	shifting := []string{"", "RECONCILE_SERVICE", "SCALE_UP", "PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP"}
	for _, c := range []struct {
		name    string
		config  *types.DeploymentConfiguration
		stages  []string
		weights []float64
	}{
		{"rolling", nil, []string{"", "SCALE_UP", "CLEAN_UP"}, []float64{0, 100}},
		{"blue/green", &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(5)}, shifting,
			[]float64{0, 100}},
		{"canary", &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyCanary, BakeTimeInMinutes: aws.Int32(1),
			CanaryConfiguration: &types.CanaryConfiguration{
				CanaryPercent: aws.Float64(5), CanaryBakeTimeInMinutes: aws.Int32(3)}}, shifting, []float64{0, 5, 100}},
		{"linear", &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyLinear, BakeTimeInMinutes: aws.Int32(1),
			LinearConfiguration: &types.LinearConfiguration{
				StepPercent: aws.Float64(40), StepBakeTimeInMinutes: aws.Int32(1)}}, shifting, []float64{0, 40, 80, 100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake, clock, arn := started(t, c.config, fakeaws.Behaviour{})
			assert.Equal(t, "task:1", fake.Serving("c", "s"))
			w := watch(t, fake, clock, arn, 15*time.Minute)
			assert.Equal(t, c.stages, w.stages)
			assert.Equal(t, c.weights, w.weights)
			assert.Equal(t, []string{"PENDING", "IN_PROGRESS", "SUCCESSFUL"}, w.states)
			assert.NotNil(t, w.last.FinishedAt)
			assert.Equal(t, "task:2", fake.Serving("c", "s"))
		})
	}
}

func TestTheBreakerCountsFailedTasksOfRollingDeploymentsOnly(t *testing.T) {
	breaker := &types.DeploymentCircuitBreaker{Enable: true, Rollback: true,
		ThresholdConfiguration: &types.ThresholdConfiguration{Type: types.ThresholdTypeCount, Value: 4}}
	crash := fakeaws.Behaviour{FailAfter: 5 * time.Second, Failure: &fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited,
		Reason: "exited", ExitCode: 3}}

	fake, clock, arn := started(t, &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyRolling,
		DeploymentCircuitBreaker: breaker}, crash)
	w := watch(t, fake, clock, arn, 5*time.Minute)
	assert.Equal(t, []string{"PENDING", "IN_PROGRESS", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL"}, w.states)
	assert.Contains(t, *w.last.StatusReason, "Circuit breaker")
	assert.Equal(t, "task:1", fake.Serving("c", "s"))

	fake, clock, arn = started(t, &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen,
		DeploymentCircuitBreaker: breaker}, crash)
	w = watch(t, fake, clock, arn, 30*time.Minute)
	assert.Equal(t, []string{"PENDING", "IN_PROGRESS"}, w.states, "nobody ends it")
}

func TestAnAlarmRollsBackUnlessItRangBefore(t *testing.T) {
	config := &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(5),
		Alarms: &types.DeploymentAlarms{AlarmNames: []string{"a"}, Enable: true, Rollback: true}}
	fake, clock, arn := started(t, config, fakeaws.Behaviour{})
	clock.At(2*time.Minute, func() { fake.SetAlarm("a") })
	w := watch(t, fake, clock, arn, 10*time.Minute)
	assert.Equal(t, types.ServiceDeploymentStatusRollbackSuccessful, w.last.Status)
	assert.Equal(t, []string{"a"}, w.last.Alarms.TriggeredAlarmNames)

	_, err := fake.UpdateService(context.Background(), &ecs.UpdateServiceInput{Cluster: aws.String("c"), Service: aws.String("s"),
		ForceNewDeployment: true})
	require.NoError(t, err)
	w = watch(t, fake, clock, list(t, fake)[0], 15*time.Minute)
	assert.Equal(t, types.ServiceDeploymentStatusSuccessful, w.last.Status)
}

func TestANewDeploymentReplacesTheOneInProgress(t *testing.T) {
	fake, clock, first := started(t, nil, fakeaws.Behaviour{NeverHealthy: true})
	for _, task := range []string{"task:3", "task:4"} {
		_, err := fake.UpdateService(context.Background(), &ecs.UpdateServiceInput{Cluster: aws.String("c"), Service: aws.String("s"),
			TaskDefinition: aws.String(task),
			DesiredCount:   aws.Int32(3), DeploymentConfiguration: &types.DeploymentConfiguration{}})
		require.NoError(t, err)
	}
	w := watch(t, fake, clock, first, 2*time.Second)
	assert.Equal(t, types.ServiceDeploymentStatusStopped, w.last.Status)
	assert.Equal(t, "Replaced by a new service deployment", *w.last.StatusReason)
	require.Len(t, list(t, fake), 3, "over two pages")
	watch(t, fake, clock, list(t, fake)[0], 3*time.Minute)
	assert.Equal(t, "task:4", fake.Serving("c", "s"))
}

func TestStoppingRollsBackAndNeedsSomethingToGoBackTo(t *testing.T) {
	ctx := context.Background()
	fake, clock, arn := started(t, nil, fakeaws.Behaviour{NeverHealthy: true})
	_, err := fake.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: aws.String(arn),
		StopType: types.StopServiceDeploymentStopTypeAbort})
	assert.ErrorAs(t, err, new(*types.InvalidParameterException))
	_, err = fake.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: aws.String("nothing")})
	assert.ErrorAs(t, err, new(*types.ServiceDeploymentNotFoundException))
	_, err = fake.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: aws.String(arn),
		StopType: types.StopServiceDeploymentStopTypeRollback})
	require.NoError(t, err)
	w := watch(t, fake, clock, arn, 2*time.Minute)
	assert.Equal(t, types.ServiceDeploymentStatusRollbackSuccessful, w.last.Status)
	_, err = fake.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: aws.String(arn),
		StopType: types.StopServiceDeploymentStopTypeRollback})
	assert.ErrorAs(t, err, new(*types.ConflictException), "it is over")
}

func TestWhatIsMissingIsAFailureOfASuccessfulAnswer(t *testing.T) {
	ctx := context.Background()
	fake, _, _ := started(t, nil, fakeaws.Behaviour{})
	services, err := fake.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("c"), Services: []string{"nobody", "s"}})
	require.NoError(t, err)
	assert.Len(t, services.Services, 1)
	assert.Equal(t, "MISSING", *services.Failures[0].Reason)
	deployments, err := fake.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{"x"}})
	require.NoError(t, err)
	assert.Len(t, deployments.Failures, 1)
	revisions, err := fake.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: []string{"x"}})
	require.NoError(t, err)
	assert.Len(t, revisions.Failures, 1)
	nobody := aws.String("nobody")
	_, err = fake.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("c"), Service: nobody})
	assert.ErrorAs(t, err, new(*types.ServiceNotFoundException))
	_, err = fake.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{Cluster: aws.String("c"), Service: nobody})
	assert.ErrorAs(t, err, new(*types.ServiceNotFoundException))
	_, err = fake.ListTasks(ctx, &ecs.ListTasksInput{Cluster: aws.String("c"), ServiceName: nobody})
	assert.ErrorAs(t, err, new(*types.ServiceNotFoundException))
	fake.SetStatus("c", "s", "DRAINING")
	_, err = fake.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("c"), Service: aws.String("s")})
	assert.ErrorAs(t, err, new(*types.ServiceNotActiveException))
	assert.Empty(t, fake.Serving("c", "nobody"))
}

func TestStoppedTasksSayWhyForAnHour(t *testing.T) {
	ctx := context.Background()
	fake, clock, _ := started(t, nil, fakeaws.Behaviour{FailAfter: 5 * time.Second, Failure: &fakeaws.Failure{
		Code: types.TaskStopCodeEssentialContainerExited, Reason: "exited", ContainerReason: "oom", ExitCode: 137}})
	require.NoError(t, clock.Sleep(ctx, 12*time.Second))
	in := &ecs.ListTasksInput{Cluster: aws.String("c"), ServiceName: aws.String("s"), DesiredStatus: types.DesiredStatusStopped}
	stopped, err := fake.ListTasks(ctx, in)
	require.NoError(t, err)
	require.NotEmpty(t, stopped.TaskArns)
	tasks, err := fake.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: stopped.TaskArns})
	require.NoError(t, err)
	require.Len(t, tasks.Tasks, len(stopped.TaskArns))
	assert.Equal(t, "exited", *tasks.Tasks[0].StoppedReason)
	assert.Equal(t, "oom", *tasks.Tasks[0].Containers[0].Reason)
	assert.EqualValues(t, 137, *tasks.Tasks[0].Containers[0].ExitCode)
}

func TestFaultsComeInOrderAndReadsLagWhenAskedTo(t *testing.T) {
	ctx := context.Background()
	fake, clock, _ := started(t, nil, fakeaws.Behaviour{})
	assert.Equal(t, 1, fake.Calls("UpdateService"))
	assert.Positive(t, fake.Calls(""))
	in := &ecs.DescribeServicesInput{Cluster: aws.String("c"), Services: []string{"s"}}
	fake.Fail("DescribeServices", fakeaws.Throttled(), nil, fakeaws.Denied("DescribeServices"), fakeaws.LostAnswer{})
	for _, want := range []string{"Rate exceeded", "", "not authorized", "reset"} {
		_, err := fake.DescribeServices(ctx, in)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		assert.ErrorContains(t, err, want)
	}
	fake.Lag(30 * time.Second)
	assert.Empty(t, list(t, fake), "a new deployment is not listed at once")
	require.NoError(t, clock.Sleep(ctx, 31*time.Second))
	assert.Len(t, list(t, fake), 1)
}

func TestTheClockStopsWithItsContext(t *testing.T) {
	clock := fakeaws.NewClock()
	ctx, cancel := context.WithCancel(context.Background())
	rang := 0
	clock.At(time.Minute, func() { rang++; cancel() })
	require.NoError(t, clock.Sleep(ctx, time.Second))
	assert.ErrorIs(t, clock.Sleep(ctx, time.Minute), context.Canceled)
	assert.ErrorIs(t, clock.Sleep(ctx, time.Minute), context.Canceled)
	assert.Equal(t, 1, rang)
}

// The pauses of a deployment, each answered ten seconds after it began.
func TestADeploymentPausesAtEachStageAndACanaryBeforeEachShift(t *testing.T) {
	stages := []types.DeploymentLifecycleHookStage{"PRE_SCALE_UP", "POST_SCALE_UP", "PRE_PRODUCTION_TRAFFIC_SHIFT",
		"POST_PRODUCTION_TRAFFIC_SHIFT"}
	canary := &types.CanaryConfiguration{CanaryPercent: aws.Float64(5), CanaryBakeTimeInMinutes: aws.Int32(3)}
	linear := &types.LinearConfiguration{StepPercent: aws.Float64(40), StepBakeTimeInMinutes: aws.Int32(1)}
	for strategy, shifts := range map[types.DeploymentStrategy]int{types.DeploymentStrategyBlueGreen: 1, types.DeploymentStrategyCanary: 2,
		types.DeploymentStrategyLinear: 3} {
		config := &types.DeploymentConfiguration{Strategy: strategy, BakeTimeInMinutes: aws.Int32(2), CanaryConfiguration: canary,
			LinearConfiguration: linear,
			LifecycleHooks:      []types.DeploymentLifecycleHook{{TargetType: types.DeploymentLifecycleHookTargetTypePause, LifecycleStages: stages}}}
		fake, clock, arn := started(t, config, fakeaws.Behaviour{})
		var at []string
		var weights []float64
		ids := map[string]bool{}
		for range 60 * 60 {
			require.NoError(t, clock.Sleep(context.Background(), time.Second))
			out, err := fake.DescribeServiceDeployments(context.Background(),
				&ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{arn}})
			require.NoError(t, err)
			d := out.ServiceDeployments[0]
			for _, hook := range d.LifecycleHookDetails {
				if hook.Status != types.DeploymentLifecycleHookStatusAwaitingAction {
					continue
				}
				at, weights = append(at, string(d.LifecycleStage)), append(weights, *d.TargetServiceRevision.RequestedProductionTrafficWeight)
				ids[*hook.HookId] = true
				require.NoError(t, clock.Sleep(context.Background(), 10*time.Second))
				_, err := fake.ContinueServiceDeployment(context.Background(),
					&ecs.ContinueServiceDeploymentInput{ServiceDeploymentArn: aws.String(arn), HookId: hook.HookId,
						Action: types.DeploymentLifecycleHookActionContinue})
				require.NoError(t, err)
			}
			if d.Status == types.ServiceDeploymentStatusSuccessful {
				break
			}
		}
		want := []string{"PRE_SCALE_UP", "POST_SCALE_UP"}
		for range shifts {
			want = append(want, "PRE_PRODUCTION_TRAFFIC_SHIFT")
		}
		assert.Equal(t, append(want, "POST_PRODUCTION_TRAFFIC_SHIFT"), at, strategy)
		assert.Len(t, ids, len(at), "each has an id of its own")
		assert.True(t, slices.IsSorted(weights))
		assert.Equal(t, 100., weights[len(weights)-1])
		assert.Equal(t, "task:2", fake.Serving("c", "s"), strategy)
	}
}

func TestAServiceCountsTheTasksThatNeverRan(t *testing.T) {
	failed := func(b fakeaws.Behaviour, after time.Duration) int {
		fake, clock, _ := started(t, nil, b)
		require.NoError(t, clock.Sleep(context.Background(), after))
		out, err := fake.DescribeServices(context.Background(), &ecs.DescribeServicesInput{Cluster: aws.String("c"), Services: []string{"s"}})
		require.NoError(t, err)
		assert.Equal(t, "PRIMARY", *out.Services[0].Deployments[0].Status)
		assert.Equal(t, "task:2", *out.Services[0].Deployments[0].TaskDefinition)
		return int(out.Services[0].Deployments[0].FailedTasks)
	}
	crash := &fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "exited"}
	pull := &fakeaws.Failure{Code: types.TaskStopCodeTaskFailedToStart, Reason: "CannotPullContainerError"}
	assert.Zero(t, failed(fakeaws.Behaviour{}, time.Minute))
	assert.Zero(t, failed(fakeaws.Behaviour{Failure: crash, FailAfter: 5 * time.Second}, time.Minute), "it ran, and ended")
	assert.GreaterOrEqual(t, failed(fakeaws.Behaviour{Failure: pull, FailAfter: 5 * time.Second}, time.Minute), 2)
	assert.GreaterOrEqual(t, failed(fakeaws.Behaviour{CannotLaunch: "(service s) failed to launch a task with (error x)."}, time.Minute), 2)
	assert.Positive(t, failed(fakeaws.Behaviour{NoCapacity: "(service s) was unable to place a task."}, time.Minute))
}
