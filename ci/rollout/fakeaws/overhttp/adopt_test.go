package overhttp_test

import (
	"context"
	"slices"
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
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// adopter is an operator who deploys into a service of somebody else.
func newAdopter(t *testing.T) *operator {
	t.Helper()
	o := newOperator(t, "blue_green")
	ctx := context.Background()
	_, err := o.aws.ECS.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("shop")})
	require.NoError(t, err)
	group, err := o.aws.Balancing.CreateTargetGroup(ctx, &elb.CreateTargetGroupInput{Name: aws.String("web")})
	require.NoError(t, err)
	balancer, err := o.aws.Balancing.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{Name: aws.String("web")})
	require.NoError(t, err)
	_, err = o.aws.Balancing.CreateListener(ctx, &elb.CreateListenerInput{LoadBalancerArn: balancer.LoadBalancers[0].LoadBalancerArn,
		Port: aws.Int32(80), DefaultActions: []elbtypes.Action{{TargetGroupArn: group.TargetGroups[0].TargetGroupArn}}})
	require.NoError(t, err)
	_, err = o.aws.CloudWatch.PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{AlarmName: aws.String("theirs")})
	require.NoError(t, err)
	_, err = o.aws.ECS.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{Family: aws.String("web"), NetworkMode: types.NetworkModeAwsvpc,
		Cpu: aws.String("512"), Memory: aws.String("1024"), RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ExecutionRoleArn: aws.String("arn:aws:iam::" + accountID + ":role/their-execution"), TaskRoleArn: aws.String("arn:aws:iam::" + accountID + ":role/their-task"),
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("shop")}},
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("web"), Image: aws.String(strings.Split(image("a"), "@")[0] + ":v1"),
			HealthCheck: &types.HealthCheck{Command: []string{"CMD", "true"}}, LogConfiguration: &types.LogConfiguration{
				LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": "/their/logs", "awslogs-stream-prefix": "web"}}}}})
	require.NoError(t, err)
	_, err = o.aws.ECS.CreateService(ctx, &ecs.CreateServiceInput{Cluster: aws.String("shop"), ServiceName: aws.String("web"),
		TaskDefinition: aws.String(theirs + "1"), DesiredCount: aws.Int32(1), LaunchType: types.LaunchTypeFargate,
		LoadBalancers: []types.LoadBalancer{{TargetGroupArn: group.TargetGroups[0].TargetGroupArn, ContainerName: aws.String("web"),
			ContainerPort: aws.Int32(8080)}},
		DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(10),
			Alarms: &types.DeploymentAlarms{AlarmNames: []string{"theirs"}, Enable: true, Rollback: true}},
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-0123456789abcdef0"}}}})
	require.NoError(t, err)
	require.NoError(t, o.clock.Sleep(ctx, time.Hour))
	o.aws.ECS.Tag(strings.Split(image("a"), "@")[0]+":v1", "sha256:"+strings.Repeat("9", 64))
	o.aws.CloudWatch.Publish(func(_ cloudwatch.MetricStat, period time.Time) (float64, bool) {
		return 0, o.clock.Now().After(period.Add(time.Minute))
	})
	r := &o.in.Spec
	r.Adopt, r.Cluster, r.Service, r.App.Repository = spec.AdoptService, "shop", "web", strings.Split(image("a"), "@")[0]
	r.Smoke = "http://web.example.com/health"
	r.Tasks = []spec.Task{{Name: "migrate", Command: []string{"migrate"}, Timeout: time.Minute}}
	r.Analysis = []spec.Analysis{{Name: "errors", Success: "value < 1", Count: 1, Metrics: []spec.Metric{{ID: "m", Namespace: "app", Name: "errors",
		Stat: "Sum", Dimensions: map[string]string{"TargetGroup": "{{target_group}}"}}}}}
	return o
}

const theirs = "arn:aws:ecs:ap-south-1:" + accountID + ":task-definition/web:"

// adopting limits what follows to the policy for adopted services.
func (o *operator) adopting() *overhttp.Policies {
	o.t.Helper()
	in := o.in
	in.Image = image("a")
	plan := release.Plan(context.Background(), release.Of(o.clients), o.clock, in).Plan
	require.NotNil(o.t, plan)
	all := plan.Policies(store)
	require.Len(o.t, all, 1)
	parsed, err := overhttp.NewPolicies(all[0].JSON())
	require.NoError(o.t, err)
	o.server.Allow = parsed.Allow
	return parsed
}

// The documented rights are enough for every command on an adopted service, and each is needed.
func TestAnAdoptedServiceNeedsItsRightsAndNoOthers(t *testing.T) {
	o := newAdopter(t)
	policy := o.adopting()
	ctx, of := context.Background(), release.Of(o.clients)
	o.passes(release.Plan(ctx, of, o.clock, o.in))
	crashes := fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second, Log: []string{"MemoryError"}}
	o.aws.ECS.Behave(theirs+"2", crashes)
	assert.Equal(t, "TRIAL_FAILED", o.deploy("a").Stage.Code)
	crashes.Alone = &fakeaws.Behaviour{}
	o.aws.ECS.Behave(theirs+"2", crashes)
	assert.Equal(t, "ROLLED_BACK", o.deploy("a").Stage.Code)
	o.aws.ECS.Behave(theirs+"2", fakeaws.Behaviour{Command: &fakeaws.Command{After: time.Hour}})
	assert.Equal(t, "TASK_TIMEOUT", o.deploy("a").Stage.Code)
	o.aws.ECS.Behave(theirs+"2", fakeaws.Behaviour{})
	o.passes(o.deploy("a"))
	o.passes(o.deploy("b"))
	o.passes(release.Status(ctx, of, o.clock, o.in))
	o.passes(release.Rollback(ctx, of, o.clock, o.in))
	assert.Equal(t, theirs+"2", o.aws.ECS.Serving("shop", "web"))
	for _, answer := range []func(context.Context, release.Clients, clock.Clock, release.Input) *release.Result{release.Approve} {
		settings := &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(1),
			LifecycleHooks: []types.DeploymentLifecycleHook{{TargetType: types.DeploymentLifecycleHookTargetTypePause,
				LifecycleStages: []types.DeploymentLifecycleHookStage{types.DeploymentLifecycleHookStagePreScaleUp}}}}
		_, err := o.aws.ECS.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("shop"), Service: aws.String("web"),
			TaskDefinition: aws.String(theirs + "3"), DeploymentConfiguration: settings})
		require.NoError(t, err)
		require.NoError(t, o.clock.Sleep(ctx, 30*time.Second))
		result := answer(ctx, of, o.clock, o.in)
		assert.NotContains(t, result.Stage.Cause, "not authorized")
		assert.True(t, result.Changed, "%s: %s", result.Stage.Code, result.Stage.Cause)
	}
	assert.Empty(t, policy.Unused(), "nothing needs these")
}

func TestWithoutARightAnAdoptionIsRefused(t *testing.T) {
	for _, missing := range []string{"iam:PassRole", "ecs:RegisterTaskDefinition", "ecs:UpdateService", "s3:PutObject"} {
		o := newAdopter(t)
		policy := o.adopting()
		o.server.Allow = func(r overhttp.Request) error { return overhttp.Without(missing, r, policy.Allow) }
		result := o.deploy("a")
		assert.NotEqual(t, verdict.Pass, result.Stage.Verdict, missing)
		assert.Contains(t, strings.ToLower(result.Stage.Cause), "not authorized", missing)
	}
}

// Before anything was looked at, doctor can only ask about the rights that depend on nothing found.
func TestThePolicyOfAnAdoptionThatWasNotLookedAt(t *testing.T) {
	o := newAdopter(t)
	plan, problems := rollout.NewPlan(o.in.Input)
	require.Empty(t, problems)
	policies := plan.Policies(store)
	require.Len(t, policies, 1)
	for _, statement := range policies[0].Statements {
		assert.NotEmpty(t, statement.Resource, statement.Sid)
		assert.False(t, slices.Contains(statement.Action, "iam:PassRole"))
	}
}

// Several services need the rights of each, and nothing besides for what they share.
func TestSeveralServicesNeedTheRightsOfEach(t *testing.T) {
	o := newOperator(t, "blue_green")
	o.in.Spec.Services = []spec.Service{{Name: "worker", NoPort: true, Command: []string{"work"}}}
	o.in.Spec.Tasks = []spec.Task{{Name: "migrate", Command: []string{"migrate"}, Timeout: time.Minute}}
	all := &merged{}
	for _, one := range o.in.Spec.Each() {
		in := o.in.Input
		in.Spec = one
		plan, problems := rollout.NewPlan(in)
		require.Empty(t, problems)
		for _, policy := range plan.Policies(store) {
			if policy.File == "reader.json" || policy.File == "deployer.json" || policy.File == "cleaner.json" {
				parsed, err := overhttp.NewPolicies(policy.JSON())
				require.NoError(t, err)
				all.of = append(all.of, parsed)
			}
		}
	}
	o.server.Allow = all.allow
	ctx, of := context.Background(), release.Of(o.clients)
	o.passes(release.Plan(ctx, of, o.clock, o.in))
	o.passes(o.deploy("a"))
	o.aws.ECS.Behave(revision+"2", fakeaws.Behaviour{Command: &fakeaws.Command{After: time.Hour}})
	assert.Equal(t, "TASK_TIMEOUT", o.deploy("b").Stage.Code)
	o.aws.ECS.Behave(revision+"2", fakeaws.Behaviour{})
	o.passes(o.deploy("b"))
	o.passes(release.Status(ctx, of, o.clock, o.in))
	o.passes(release.Rollback(ctx, of, o.clock, o.in))
	o.passes(release.Destroy(ctx, of, o.clock, o.in, service, true))
}
