package ensure

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	accountID = "111122223333"
	digest    = "sha256:3b5f5d0d0f1f4ce9f5e0f6a0f5f4a6d1cbd5c7a1f1d8e2b8a4c3d2e1f0a9b8c7"
)

// staging is an input for a plan with everything set.
func staging(strategy string) rollout.Input {
	in := rollout.Input{Spec: config.Default().RolloutSpec(), Environment: "staging", Commit: strings.Repeat("c", 40)}
	in.Image = accountID + ".dkr.ecr.ap-south-1.amazonaws.com/openstack-rca-system@" + digest
	role := "arn:aws:iam::" + accountID + ":role/"
	r := &in.Spec
	r.Account, r.Region, r.Strategy, r.VPC = accountID, "ap-south-1", strategy, "vpc-0123456789abcdef0"
	r.Subnets, r.SecurityGroups = []string{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}, []string{"sg-0123456789abcdef0"}
	r.ExecutionRole, r.TaskRole, r.InfrastructureRole = role+"execution", role+"task", role+"infrastructure"
	r.Vars = map[string]string{"LOG_LEVEL": "info", "EMPTY": ""}
	tuning := rollout.DefaultTuning()
	in.Tuning = &tuning
	return in
}

func planOf(t *testing.T, in rollout.Input) *rollout.Plan {
	t.Helper()
	plan, problems := rollout.NewPlan(in)
	require.Empty(t, problems)
	return plan
}

// world is an account with a clock.
type world struct {
	t     *testing.T
	clock *fakeaws.Clock
	aws   *fakeaws.Account
}

func newWorld(t *testing.T) *world {
	clock := fakeaws.NewClock()
	return &world{t, clock, fakeaws.NewAccount(clock)}
}

func (w *world) clients() Clients {
	return Clients{ECS: w.aws.ECS, Balancing: w.aws.Balancing, Scaling: w.aws.Scaling, CloudWatch: w.aws.CloudWatch, Logs: w.aws.Logs,
		Roles: w.aws.Roles}
}

func (w *world) look(plan *rollout.Plan) *State {
	w.t.Helper()
	state, problem := Look(context.Background(), w.clients(), w.clock, plan)
	require.Nil(w.t, problem)
	return state
}

// roll makes the world as the plan says, as a deployment does: before, the service, after.
func (w *world) roll(plan *rollout.Plan) error {
	ctx := context.Background()
	state, problem := Look(ctx, w.clients(), w.clock, plan)
	if problem != nil {
		return problem
	}
	if state.Unchanged() {
		return nil
	}
	if problem := state.Before(ctx); problem != nil {
		return problem
	}
	switch {
	case state.ServiceUnchanged():
	case state.Exists():
		in, err := state.UpdateService()
		if err != nil {
			return err
		}
		if _, err := w.aws.ECS.UpdateService(ctx, in); err != nil {
			return err
		}
	default:
		in, err := state.CreateService()
		if err != nil {
			return err
		}
		if _, err := w.aws.ECS.CreateService(ctx, in); err != nil {
			return err
		}
	}
	if problem := state.After(ctx); problem != nil {
		return problem
	}
	return nil
}

// settle lets deployments end.
func (w *world) settle() {
	require.NoError(w.t, w.clock.Sleep(context.Background(), 45*time.Minute))
}

func (w *world) rolled(in rollout.Input) *rollout.Plan {
	w.t.Helper()
	plan := planOf(w.t, in)
	require.NoError(w.t, w.roll(plan))
	w.settle()
	return plan
}

// calls are those that f makes.
func (w *world) calls(f func()) []string {
	before := len(w.aws.Calls())
	f()
	return w.aws.Calls()[before:]
}

func TestAnEmptyAccountGetsEverythingAndASecondRunNothing(t *testing.T) {
	for _, strategy := range spec.Strategies() {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(t)
			plan := planOf(t, staging(strategy))
			first := w.look(plan)
			assert.False(t, first.Exists())
			assert.Len(t, first.Changes(), len(plan.Resources()))
			for _, c := range first.Changes() {
				assert.Equal(t, Create, c.Action, "%s %s", c.Kind, c.Name)
			}
			made := w.calls(func() { require.NoError(t, w.roll(plan)) })
			assert.LessOrEqual(t, len(made), 40, "%v", made)
			w.settle()

			second := w.look(plan)
			assert.True(t, second.Unchanged(), second.Text())
			assert.True(t, second.Exists())
			assert.NotEmpty(t, second.TaskDefinition())
			assert.Contains(t, second.URL(), "elb.amazonaws.com")
			again := w.calls(func() { require.NoError(t, w.roll(plan)) })
			assert.Empty(t, fakeaws.Writes(again))
			assert.LessOrEqual(t, len(again), 30, "%v", again)
		})
	}
}

func TestEndedAtAnyCallAndRunAgainTheStateIsTheSame(t *testing.T) {
	plan := planOf(t, staging("canary"))
	whole := newWorld(t)
	calls := len(whole.calls(func() { require.NoError(t, whole.roll(plan)) }))
	want := whole.aws.Dump()
	for n := 1; n <= calls; n++ {
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			w.aws.Cut(n, after)
			err := w.roll(plan)
			if n < calls || !after {
				require.Error(t, err, "call %d", n)
			}
			w.aws.Cut(0, false)
			require.NoError(t, w.roll(plan), "call %d, carried out: %v", n, after)
			require.True(t, want == w.aws.Dump(), "call %d, carried out: %v", n, after)
			assert.True(t, w.look(plan).Unchanged(), "call %d", n)
		}
	}
}

func TestOnlyWhatDiffersIsWritten(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*rollout.Input)
		path   string
		writes []string
	}{
		{"a variable", func(in *rollout.Input) { in.Spec.Vars["LOG_LEVEL"] = "debug" }, "environment.LOG_LEVEL",
			[]string{"ecs:RegisterTaskDefinition", "ecs:UpdateService"}},
		{"retention", func(in *rollout.Input) { in.Spec.LogDays = 7 }, "retentionInDays", []string{"logs:PutRetentionPolicy"}},
		{"bounds", func(in *rollout.Input) { in.Spec.Max = 9 }, "MaxCapacity", []string{"application-autoscaling:RegisterScalableTarget"}},
		{"target", func(in *rollout.Input) { in.Spec.TargetCPU = 55 }, "TargetValue", []string{"application-autoscaling:PutScalingPolicy"}},
		{"threshold", func(in *rollout.Input) { in.Tuning.LatencySeconds = 9 }, "Threshold", []string{"cloudwatch:PutMetricAlarm"}},
		{"drain", func(in *rollout.Input) { in.Spec.Drain = time.Minute }, "deregistration_delay.timeout_seconds",
			[]string{"elb:ModifyTargetGroupAttributes", "elb:ModifyTargetGroupAttributes"}},
		{"idle", func(in *rollout.Input) { in.Tuning.IdleSeconds = 60 }, "idle_timeout", []string{"elb:ModifyLoadBalancerAttributes"}},
		{"stickiness", func(in *rollout.Input) { in.Tuning.GroupStickinessSeconds = 60 }, "DurationSeconds", []string{"elb:ModifyRule"}},
		{"subnets of the balancer", func(in *rollout.Input) {
			in.Spec.BalancerSubnets = []string{"subnet-0123456789abcdef0", "subnet-0123456789abcdef7"}
		}, "Subnets", []string{"elb:SetSubnets"}},
		{"groups of the balancer", func(in *rollout.Input) { in.Spec.BalancerSecurityGroups = []string{"sg-0123456789abcdef7"} },
			"SecurityGroups",
			[]string{"elb:SetSecurityGroups"}},
		{"health path", func(in *rollout.Input) { in.Spec.App.Health = "/alive" }, "HealthCheckPath",
			[]string{"ecs:RegisterTaskDefinition", "elb:ModifyTargetGroup", "ecs:UpdateService", "elb:ModifyTargetGroup"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.rolled(staging("blue_green"))
			in := staging("blue_green")
			c.change(&in)
			plan := planOf(t, in)
			assert.Contains(t, w.look(plan).Text(), c.path)
			calls := w.calls(func() { require.NoError(t, w.roll(plan)) })
			assert.Equal(t, c.writes, fakeaws.Writes(calls))
			w.settle()
			assert.True(t, w.look(plan).Unchanged(), w.look(plan).Text())
		})
	}
}

func TestTheUpdateSaysOnlyWhatDiffers(t *testing.T) {
	w := newWorld(t)
	w.rolled(staging("canary"))
	in := staging("canary")
	in.Spec.CanaryPercent = 20
	state := w.look(planOf(t, in))
	require.Nil(t, state.Before(context.Background()))
	update, err := state.UpdateService()
	require.NoError(t, err)
	assert.InDelta(t, 20, *update.DeploymentConfiguration.CanaryConfiguration.CanaryPercent, 0)
	assert.Nil(t, update.LoadBalancers, "sending them starts a deployment")
	assert.Nil(t, update.NetworkConfiguration)
	assert.Nil(t, update.DesiredCount, "the number of tasks is auto-scaling's")
	assert.Equal(t, state.TaskDefinition(), *update.TaskDefinition)

	in = staging("rolling")
	in.Spec.SecurityGroups = []string{"sg-0123456789abcdef9"}
	state = w.look(planOf(t, in))
	require.Nil(t, state.Before(context.Background()))
	update, err = state.UpdateService()
	require.NoError(t, err)
	assert.Equal(t, []string{"sg-0123456789abcdef9"}, update.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups)
	assert.Equal(t, types.DeploymentStrategyRolling, update.DeploymentConfiguration.Strategy)
	require.Len(t, update.LoadBalancers, 1, "a rolling deployment shifts nothing")
	assert.Nil(t, update.LoadBalancers[0].AdvancedConfiguration)
}

func TestWhichGroupServesIsForECSToSay(t *testing.T) {
	w := newWorld(t)
	plan := w.rolled(staging("blue_green"))
	ctx := context.Background()
	state := w.look(plan)
	in, err := state.CreateService()
	require.NoError(t, err)
	swapped := in.LoadBalancers
	advanced := swapped[0].AdvancedConfiguration
	swapped[0].TargetGroupArn, advanced.AlternateTargetGroupArn = advanced.AlternateTargetGroupArn, swapped[0].TargetGroupArn
	_, err = w.aws.ECS.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: in.Cluster, Service: in.ServiceName, LoadBalancers: swapped})
	require.NoError(t, err)
	w.aws.Balancing.Weigh(0, 100)
	assert.True(t, w.look(plan).Unchanged(), "swapped groups and shifted weights are no difference")

	other := staging("blue_green")
	other.Tuning.GroupStickinessSeconds = 60
	require.NoError(t, w.roll(planOf(t, other)))
	rules, err := w.aws.Balancing.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: aws.String(w.look(plan).known[rollout.ARN("listener",
		*plan.LoadBalancer.LoadBalancer.Name)])})
	require.NoError(t, err)
	groups := rules.Rules[0].Actions[0].ForwardConfig.TargetGroups
	assert.EqualValues(t, 0, *groups[0].Weight)
	assert.EqualValues(t, 100, *groups[1].Weight, "a change of the rule keeps its weights")

	rolling := staging("rolling")
	w.settle()
	state = w.look(planOf(t, rolling))
	require.Nil(t, state.Before(ctx))
	update, err := state.UpdateService()
	require.NoError(t, err)
	assert.Equal(t, *swapped[0].TargetGroupArn, *update.LoadBalancers[0].TargetGroupArn, "another strategy goes on with the group that serves")
}

func TestWhatBelongsToSomebodyElseIsNotTouched(t *testing.T) {
	ctx := context.Background()
	ours := planOf(t, staging("canary"))
	lb := ours.LoadBalancer
	named := func(in *elb.CreateTargetGroupInput) *elb.CreateTargetGroupInput {
		other := *in
		other.Tags = []elbtypes.Tag{{Key: aws.String("team"), Value: aws.String("other")}}
		return &other
	}
	for name, make := range map[string]func(*fakeaws.Account) error{
		"target group": func(a *fakeaws.Account) error {
			_, err := a.Balancing.CreateTargetGroup(ctx, named(lb.TargetGroups[1]))
			return err
		},
		"load balancer": func(a *fakeaws.Account) error {
			_, err := a.Balancing.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{Name: lb.LoadBalancer.Name})
			return err
		},
		"alarm": func(a *fakeaws.Account) error {
			_, err := a.CloudWatch.PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{AlarmName: ours.Alarms[0].AlarmName})
			return err
		},
		"dashboard": func(a *fakeaws.Account) error {
			_, err := a.CloudWatch.PutDashboard(ctx, &cloudwatch.PutDashboardInput{DashboardName: ours.Dashboard.DashboardName,
				DashboardBody: aws.String(`{"widgets": []}`)})
			return err
		},
		"ecs service": func(a *fakeaws.Account) error {
			a.ECS.AddService(*ours.Service.Cluster, *ours.Service.ServiceName, "other:1", 1, nil)
			return nil
		},
		"scalable target": func(a *fakeaws.Account) error {
			a.ECS.AddService(*ours.Service.Cluster, *ours.Service.ServiceName, "other:1", 1, nil)
			target := *ours.Scaling.Target
			target.Tags = nil
			_, err := a.Scaling.RegisterScalableTarget(ctx, &target)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			require.NoError(t, make(w.aws))
			before := w.aws.Dump()
			state := w.look(ours)
			require.NotEmpty(t, state.Problems())
			assert.Equal(t, NotOurs.Name, state.Problems()[0].Code.Name)
			var texts []string
			for _, p := range state.Problems() {
				texts = append(texts, p.Error())
			}
			assert.Contains(t, strings.Join(texts, "\n"), name)
			assert.Contains(t, state.Text(), "! refuse "+name)
			problem := state.Before(ctx)
			require.NotNil(t, problem)
			assert.Equal(t, before, w.aws.Dump())
		})
	}
}

func TestAClusterAndALogGroupOfOthersAreUsedAsTheyAre(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	plan := planOf(t, staging("rolling"))
	_, err := w.aws.ECS.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: plan.Cluster.ClusterName})
	require.NoError(t, err)
	_, err = w.aws.Logs.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: plan.LogGroup.Group.LogGroupName})
	require.NoError(t, err)
	state := w.look(plan)
	assert.Equal(t, Adopt, state.Changes()[0].Action)
	assert.Equal(t, Adopt, state.Changes()[1].Action)
	calls := w.calls(func() { require.NoError(t, w.roll(plan)) })
	assert.NotContains(t, calls, "ecs:UpdateClusterSettings")
	assert.NotContains(t, calls, "logs:PutRetentionPolicy")
}

func TestOurClusterIsPutRightAndMoreInsightIsNoDifference(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	plan := w.rolled(staging("rolling"))
	for value, unchanged := range map[string]bool{"enhanced": true, "disabled": false} {
		_, err := w.aws.ECS.UpdateClusterSettings(ctx, &ecs.UpdateClusterSettingsInput{Cluster: plan.Cluster.ClusterName,
			Settings: []types.ClusterSetting{{Name: types.ClusterSettingNameContainerInsights, Value: aws.String(value)}}})
		require.NoError(t, err)
		assert.Equal(t, unchanged, w.look(plan).Unchanged(), value)
	}
	require.NoError(t, w.roll(plan))
	w.settle()
	assert.True(t, w.look(plan).Unchanged())
}

func TestWhatAWSCannotChangeIsSaidBeforeAnythingIsWritten(t *testing.T) {
	w := newWorld(t)
	w.rolled(staging("rolling"))
	in := staging("rolling")
	in.Spec.VPC, in.Spec.App.Port = "vpc-0123456789abcdef9", 8080
	in.Spec.InternetFacing, in.Spec.Certificate = true, "arn:aws:acm:ap-south-1:"+accountID+":certificate/11111111-2222-3333-4444-555555555555"
	before := w.aws.Dump()
	state := w.look(planOf(t, in))
	var all []string
	for _, p := range state.Problems() {
		assert.Equal(t, CannotChange.Name, p.Code.Name)
		all = append(all, p.Error())
	}
	text := strings.Join(all, "\n")
	for _, member := range []string{"VpcId", "Port is 7051, the plan says 8080", "Scheme"} {
		assert.Contains(t, text, member)
	}
	require.NotNil(t, state.Before(context.Background()))
	assert.Equal(t, before, w.aws.Dump())
}

func TestADeletedServiceIsMadeAnewWhenItIsGone(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	plan := w.rolled(staging("rolling"))
	_, err := w.aws.ECS.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: plan.Service.Cluster, Service: plan.Service.ServiceName,
		Force: aws.Bool(true)})
	require.NoError(t, err)
	state := w.look(plan)
	assert.Empty(t, state.Problems())
	assert.False(t, state.Exists(), "it is to be made, once the name is free")
	w.settle()
	assert.False(t, w.look(plan).Exists())
	require.NoError(t, w.roll(plan))
}

func TestARevisionWithCopiedTagsIsNotTakenForOurs(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	plan := w.rolled(staging("rolling"))
	first := w.look(plan).TaskDefinition()
	forged := *plan.TaskDefinition
	forged.Memory = aws.String("4096")
	_, err := w.aws.ECS.RegisterTaskDefinition(ctx, &forged)
	require.NoError(t, err)
	assert.Equal(t, first, w.look(plan).TaskDefinition(), "what the service runs is looked at first")

	_, err = w.aws.ECS.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String(first)})
	require.NoError(t, err)
	state := w.look(plan)
	assert.Empty(t, state.TaskDefinition(), "an inactive revision cannot be deployed, and another content is not ours")
	require.Nil(t, state.Before(ctx))
	assert.Contains(t, state.TaskDefinition(), ":3")
}

func TestARoleThatAWSDoesNotKnowYetIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	plan := planOf(t, staging("rolling"))
	early := errors.New("InvalidParameterException: Unable to assume the service linked role. Please verify that it exists.")
	w.aws.Fail("ecs:CreateCluster", early, early)
	started := w.clock.Now()
	require.NoError(t, w.roll(plan))
	assert.Equal(t, 2*roleDelay, w.clock.Now().Sub(started))

	w = newWorld(t)
	var always []error
	for range 2 * roleAttempts {
		always = append(always, early)
	}
	w.aws.Fail("ecs:CreateCluster", always...)
	started = w.clock.Now()
	err := w.roll(plan)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "service linked role")
	assert.LessOrEqual(t, w.clock.Now().Sub(started), 2*time.Minute)
}

func TestARefusedWriteNamesWhatAndWhy(t *testing.T) {
	w := newWorld(t)
	w.aws.Fail("elb:CreateRule", fakeaws.Denied("CreateRule"))
	plan := planOf(t, staging("canary"))
	state := w.look(plan)
	problem := state.Before(context.Background())
	require.NotNil(t, problem)
	assert.Equal(t, WriteFailed.Name, problem.Code.Name)
	assert.Contains(t, problem.Error(), "create listener rule")
	assert.Contains(t, problem.Error(), "not authorized")
	assert.Len(t, state.Written(), 7)
	_, err := state.CreateService()
	require.Error(t, err, "the rule is not there")
	_, err = state.UpdateService()
	require.Error(t, err, "there is no service")
	require.NoError(t, w.roll(plan), "the next run goes on")
}

func TestWhatCannotBeReadIsNoDifference(t *testing.T) {
	plan := planOf(t, staging("rolling"))
	whole := newWorld(t)
	require.NoError(t, whole.roll(plan))
	for _, call := range whole.calls(func() { whole.look(plan) }) {
		if !strings.HasPrefix(call, "ecs:DescribeServices") {
			whole.aws.Fail(call, fakeaws.Denied(call))
			_, problem := Look(context.Background(), whole.clients(), whole.clock, plan)
			require.NotNil(t, problem, call)
			assert.Equal(t, LookFailed.Name, problem.Code.Name)
			assert.Contains(t, problem.Error(), "not authorized")
			whole.settle()
			for problem != nil {
				_, problem = Look(context.Background(), whole.clients(), whole.clock, plan)
			}
		}
	}
}

func TestACancelledRunWritesNothing(t *testing.T) {
	w := newWorld(t)
	state := w.look(planOf(t, staging("rolling")))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	before := w.aws.Dump()
	require.NotNil(t, state.Before(ctx))
	assert.Equal(t, before, w.aws.Dump())
}

func TestEveryCodeIsComplete(t *testing.T) {
	_, err := verdict.Codes(Codes())
	assert.NoError(t, err)
}

func TestTheScalableTargetNeedsItsService(t *testing.T) {
	w := newWorld(t)
	state := w.look(planOf(t, staging("rolling")))
	problem := state.After(context.Background())
	require.NotNil(t, problem)
	assert.Equal(t, WriteFailed.Name, problem.Code.Name)
	out, err := w.aws.Scaling.DescribeScalableTargets(context.Background(), &scaling.DescribeScalableTargetsInput{})
	require.NoError(t, err)
	assert.Empty(t, out.ScalableTargets)
}
