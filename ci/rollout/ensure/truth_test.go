package ensure

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// What the account says about logs is not ours to change, and no difference.
func TestTheAccountsRetentionPolicyIsKept(t *testing.T) {
	for _, days := range []int32{90, 0} {
		w := newWorld(t)
		w.aws.Logs.AccountPolicy, w.aws.Logs.AccountDays = "org-retention", days
		plan := w.rolled(staging("rolling"))
		w.settle()
		from := len(w.aws.Calls())
		state := w.look(plan)
		assert.True(t, state.Unchanged())
		assert.Contains(t, state.Text(), "kept as long as the account's retention policy org-retention says")
		require.Nil(t, state.Before(context.Background()))
		assert.Empty(t, fakeaws.Writes(w.aws.Calls()[from:]))
	}
	// Without one, the plan's days are written as before.
	w := newWorld(t)
	in := staging("rolling")
	w.rolled(in)
	w.settle()
	in.Spec.LogDays = 14
	assert.Contains(t, w.look(planOf(t, in)).Text(), "retentionInDays: 30 -> 14")
}

// An alarm that watches a cluster without Container Insights, which is somebody else's, could
// never have data.
func TestNoAlarmThatCanNeverHaveData(t *testing.T) {
	for value, made := range map[string]bool{"disabled": false, "enabled": true, "enhanced": true} {
		w := newWorld(t)
		plan := planOf(t, staging("rolling"))
		_, err := w.aws.ECS.CreateCluster(context.Background(), &ecs.CreateClusterInput{ClusterName: plan.Cluster.ClusterName,
			Settings: []types.ClusterSetting{{Name: types.ClusterSettingNameContainerInsights, Value: aws.String(value)}}})
		require.NoError(t, err)
		require.NoError(t, w.roll(plan))
		name := ""
		for _, alarm := range plan.Alarms {
			if strings.HasSuffix(*alarm.AlarmName, "-tasks-missing") {
				name = *alarm.AlarmName
			}
		}
		assert.Equal(t, made, w.aws.CloudWatch.Alarm(name) != nil, value)
		w.settle()
		state := w.look(plan)
		assert.True(t, state.Unchanged(), state.Text())
		assert.Equal(t, !made, strings.Contains(state.Text(), "has no Container Insights"))
	}
}

// Only an alarm that guards the deployment makes ECS ignore alarms.
func TestOnlyAlarmsThatGuardTheDeploymentCount(t *testing.T) {
	w := newWorld(t)
	plan := w.rolled(staging("blue_green"))
	w.aws.ECS.SetAlarm(*plan.Service.ServiceName + "-tasks-missing")
	assert.Empty(t, w.look(plan).Alarmed())
	guard := plan.Service.DeploymentConfiguration.Alarms.AlarmNames[0]
	w.aws.ECS.SetAlarm(guard)
	assert.Equal(t, []string{guard}, w.look(plan).Alarmed())
}

func TestWarningsOfADashboardAreNoRefusal(t *testing.T) {
	w := newWorld(t)
	w.aws.CloudWatch.Warnings = []cloudwatch.DashboardValidationMessage{{DataPath: aws.String("/widgets/1"),
		Message: aws.String("may not render")}}
	state := w.look(planOf(t, staging("rolling")))
	require.Nil(t, state.Before(context.Background()))
	require.Len(t, state.Remarks(), 1)
	assert.Contains(t, state.Remarks()[0], "/widgets/1 may not render")
	w.aws.Fail("cloudwatch:PutDashboard", fakeaws.Throttled())
	w = newWorld(t)
	w.aws.Fail("cloudwatch:PutDashboard", &smithy.GenericAPIError{Code: "InvalidParameterInput", Message: "the body is not JSON"})
	problem := w.look(planOf(t, staging("rolling"))).Before(context.Background())
	require.NotNil(t, problem)
	assert.Contains(t, problem.Cause, "not JSON")
}

// Application Auto Scaling is eventually consistent: what it does not know yet is asked for
// again, within bounds.
func TestScalingThatIsNotKnownYetIsWrittenAgain(t *testing.T) {
	for settles, good := range map[time.Duration]bool{0: true, 12 * time.Second: true, 90 * time.Second: true, time.Hour: false} {
		w := newWorld(t)
		w.aws.Scaling.Settles = settles
		err := w.roll(planOf(t, staging("rolling")))
		if good {
			require.NoError(t, err, settles)
			continue
		}
		require.Error(t, err)
		assert.Contains(t, err.Error(), "No scalable target registered")
		assert.Less(t, w.clock.Now().Sub(fakeaws.NewClock().Now()), 10*time.Minute)
	}
}

// silent is a client whose answers about task definitions are empty, as those of a proxy on the way.
type silent struct{ ECS }

func (silent) RegisterTaskDefinition(context.Context, *ecs.RegisterTaskDefinitionInput,
	...func(*ecs.Options)) (*ecs.RegisterTaskDefinitionOutput, error) {
	return &ecs.RegisterTaskDefinitionOutput{}, nil
}

func (silent) DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput,
	...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error) {
	return &ecs.DescribeTaskDefinitionOutput{}, nil
}

func TestAnAnswerWithoutATaskDefinitionIsAnError(t *testing.T) {
	w := newWorld(t)
	plan := planOf(t, staging("rolling"))
	clients := w.clients()
	state, problem := Look(context.Background(), clients, w.clock, plan)
	require.Nil(t, problem)
	state.clients.ECS = silent{clients.ECS}
	problem = state.Before(context.Background())
	require.NotNil(t, problem)
	assert.Equal(t, WriteFailed.Name, problem.Code.Name)
	assert.Contains(t, problem.Cause, "has no task definition")

	w.rolled(staging("rolling"))
	clients.ECS = silent{clients.ECS}
	_, problem = Look(context.Background(), clients, w.clock, plan)
	require.NotNil(t, problem)
	assert.Equal(t, LookFailed.Name, problem.Code.Name)
}

// unsaid creates as the account does, and answers one operation without saying what was created.
type unsaid struct {
	Balancing
	operation string
}

func (u unsaid) CreateTargetGroup(ctx context.Context, in *elb.CreateTargetGroupInput) (*elb.CreateTargetGroupOutput, error) {
	out, err := u.Balancing.CreateTargetGroup(ctx, in)
	if u.operation == "CreateTargetGroup" {
		return &elb.CreateTargetGroupOutput{}, err
	}
	return out, err
}

func (u unsaid) CreateLoadBalancer(ctx context.Context, in *elb.CreateLoadBalancerInput) (*elb.CreateLoadBalancerOutput, error) {
	out, err := u.Balancing.CreateLoadBalancer(ctx, in)
	if u.operation == "CreateLoadBalancer" {
		return &elb.CreateLoadBalancerOutput{}, err
	}
	return out, err
}

func (u unsaid) CreateListener(ctx context.Context, in *elb.CreateListenerInput) (*elb.CreateListenerOutput, error) {
	out, err := u.Balancing.CreateListener(ctx, in)
	if u.operation == "CreateListener" {
		return &elb.CreateListenerOutput{}, err
	}
	return out, err
}

func (u unsaid) CreateRule(ctx context.Context, in *elb.CreateRuleInput) (*elb.CreateRuleOutput, error) {
	out, err := u.Balancing.CreateRule(ctx, in)
	if u.operation == "CreateRule" {
		return &elb.CreateRuleOutput{Rules: []elbtypes.Rule{{}}}, err
	}
	return out, err
}

func TestACreationThatDoesNotSayWhatItMadeIsFoundByTheNextRun(t *testing.T) {
	for _, operation := range []string{"CreateTargetGroup", "CreateLoadBalancer", "CreateListener", "CreateRule"} {
		w := newWorld(t)
		in := staging("blue_green")
		plan := planOf(t, in)
		clients := w.clients()
		clients.Balancing = unsaid{clients.Balancing, operation}
		state, problem := Look(context.Background(), clients, w.clock, plan)
		require.Nil(t, problem)
		problem = state.Before(context.Background())
		require.NotNil(t, problem, operation)
		assert.Contains(t, problem.Cause, "does not say what was created", operation)
		require.NotNil(t, w.rolled(in), operation)
	}
}
