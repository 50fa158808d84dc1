package ensure

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// What somebody's schedule set for this hour is not taken back by a deployment.
func TestScheduledScalingIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		fewest, most *int32
		desired      int
		shown        string
		min, max     int32
	}{
		"both bounds by day":         {aws.Int32(5), aws.Int32(12), 0, "5 to 12 tasks now", 5, 12},
		"the fewest alone":           {aws.Int32(4), nil, 0, "4 to 6 tasks now", 4, 6},
		"the most is the plan's own": {aws.Int32(4), nil, 8, "MaxCapacity: 6 -> 8", 4, 8},
		"at night":                   {aws.Int32(0), aws.Int32(0), 0, "0 to 0 tasks now", 0, 0},
	} {
		w := newWorld(t)
		in := staging("rolling")
		in.Spec.Min, in.Spec.Max = 2, 6
		plan := w.rolled(in)
		w.settle()
		id := *plan.Scaling.Target.ResourceId
		for n := range 12 { // more than a page of policies and actions, with those of others first
			_, err := w.aws.Scaling.PutScalingPolicy(context.Background(), &scaling.PutScalingPolicyInput{
				ResourceId: &id, PolicyName: aws.String(fmt.Sprintf("a-%02d", n)), PolicyType: "StepScaling"})
			require.NoError(t, err)
			w.aws.Scaling.Schedule(id, fmt.Sprintf("noon-%02d", n), nil, nil)
		}
		w.aws.Scaling.Schedule(id, "morning", c.fewest, c.most)
		if c.desired > 0 {
			in.Spec.Max = c.desired
			plan = planOf(t, in)
		}
		state := w.look(plan)
		assert.Equal(t, c.desired == 0, state.Unchanged(), name)
		assert.Contains(t, state.Text(), c.shown, name)
		assert.Contains(t, state.Text(), "scheduled scaling sets that, which is kept: morning", name)
		require.NoError(t, w.roll(plan), name)
		out, err := w.aws.Scaling.DescribeScalableTargets(context.Background(), &scaling.DescribeScalableTargetsInput{ResourceIds: []string{id}})
		require.NoError(t, err)
		assert.Equal(t, []int32{c.min, c.max}, []int32{*out.ScalableTargets[0].MinCapacity, *out.ScalableTargets[0].MaxCapacity}, name)
	}
	// Bounds that somebody set by hand, without a schedule, are put right; and what cannot be read is not guessed.
	w := newWorld(t)
	plan := w.rolled(staging("rolling"))
	w.settle()
	_, err := w.aws.Scaling.RegisterScalableTarget(context.Background(), &scaling.RegisterScalableTargetInput{
		ResourceId: plan.Scaling.Target.ResourceId, MinCapacity: aws.Int32(0), MaxCapacity: aws.Int32(9)})
	require.NoError(t, err)
	assert.Contains(t, w.look(plan).Text(), "MaxCapacity: 9 ->")
	w.aws.Fail("application-autoscaling:DescribeScheduledActions", fakeaws.Denied("DescribeScheduledActions"))
	_, problem := Look(context.Background(), w.clients(), w.clock, plan)
	require.NotNil(t, problem)
	assert.Contains(t, problem.Cause, "describe scheduled actions")
}

// A rule of ours is found behind any number of rules of others.
func TestARuleIsFoundOnALaterPage(t *testing.T) {
	w := newWorld(t)
	plan := w.rolled(staging("rolling"))
	w.settle()
	found := w.found(plan)
	for n := range int32(9) {
		_, err := w.aws.Balancing.CreateRule(context.Background(), &elb.CreateRuleInput{ListenerArn: found.listener.ListenerArn,
			Priority: aws.Int32(1000 + n), Actions: []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: &types.ForwardActionConfig{}}}})
		require.NoError(t, err)
	}
	for range 9 { // whichever page it is on
		assert.True(t, w.look(plan).Unchanged())
	}
}

// Another change that is under way at the same moment is waited for; it is no refusal.
func TestABusyResourceIsWrittenAgain(t *testing.T) {
	for operation, code := range map[string]string{
		"logs:CreateLogGroup": "OperationAbortedException", "logs:PutRetentionPolicy": "OperationAbortedException",
		"iam:CreateRole": "ConcurrentModification", "iam:PutRolePolicy": "NoSuchEntity", "cloudwatch:PutDashboard": "ConflictException",
		"application-autoscaling:RegisterScalableTarget": "ConcurrentUpdateException",
	} {
		busy := &smithy.GenericAPIError{Code: code, Message: "another request is in progress", Fault: smithy.FaultClient}
		in := staging("rolling")
		in.Spec.ExecutionRole = ""
		w := newWorld(t)
		w.aws.Fail(operation, busy, busy)
		require.NoError(t, w.roll(planOf(t, in)), operation)
	}
	busy := &smithy.GenericAPIError{Code: "ConcurrentUpdateException", Message: "another request is in progress", Fault: smithy.FaultClient}
	w := newWorld(t)
	plan := w.rolled(staging("rolling"))
	w.aws.Fail("application-autoscaling:DeregisterScalableTarget", busy, busy)
	done, err := w.destroy(plan, false)
	require.NoError(t, err)
	assert.Contains(t, done.Deleted, "scalable target "+*plan.Scaling.Target.ResourceId)

	// It ends all the same when it does not get free.
	w = newWorld(t)
	plan = w.rolled(staging("rolling"))
	for range 100 {
		w.aws.Fail("application-autoscaling:DeregisterScalableTarget", busy)
	}
	from := w.clock.Now()
	_, err = w.destroy(plan, false)
	require.ErrorContains(t, err, "another request is in progress")
	assert.LessOrEqual(t, w.clock.Now().Sub(from).Minutes(), 3.0)
}

// What others protect or use stays, and is named; the rest goes.
func TestDestroyKeepsWhatIsProtected(t *testing.T) {
	w := newWorld(t)
	plan := w.rolled(staging("rolling"))
	group := *plan.LogGroup.Group.LogGroupName
	w.aws.Logs.Protect(group)
	w.aws.Fail("ecs:DeleteCluster", &smithy.GenericAPIError{Code: "ClusterContainsCapacityProviderException", Message: "in use"})
	done, err := w.destroy(plan, true)
	require.NoError(t, err)
	assert.Contains(t, done.Kept, Kept{"log group " + group, "its deletion protection is on"})
	assert.Contains(t, done.Kept, Kept{"ecs cluster " + *plan.Cluster.ClusterName,
		"other services, tasks, instances or capacity providers are in it"})
}

// DescribeAlarms takes 100 names and answers in pages.
func TestManyAlarmsAreAllDescribed(t *testing.T) {
	w := newWorld(t)
	var names []string
	for n := range 230 {
		names = append(names, fmt.Sprintf("alarm-%03d", n))
		_, err := w.aws.CloudWatch.PutMetricAlarm(context.Background(), &cloudwatch.PutMetricAlarmInput{AlarmName: aws.String(names[n])})
		require.NoError(t, err)
	}
	out, err := describeAlarms(context.Background(), w.aws.CloudWatch, names, cloudwatch.AlarmTypeMetricAlarm)
	require.NoError(t, err)
	assert.Len(t, out.MetricAlarms, 230)
	w.aws.Fail("cloudwatch:DescribeAlarms", nil, fakeaws.Denied("DescribeAlarms"))
	_, err = describeAlarms(context.Background(), w.aws.CloudWatch, names)
	require.ErrorContains(t, err, "describe alarms")
}

// mute is Elastic Load Balancing behind something that answers nothing.
type mute struct {
	Balancing
	groups, balancers, tags bool
}

func (m mute) DescribeTargetGroups(ctx context.Context, in *elb.DescribeTargetGroupsInput) (*elb.DescribeTargetGroupsOutput, error) {
	if m.groups {
		return &elb.DescribeTargetGroupsOutput{}, nil
	}
	return m.Balancing.DescribeTargetGroups(ctx, in)
}

func (m mute) DescribeLoadBalancers(ctx context.Context, in *elb.DescribeLoadBalancersInput) (*elb.DescribeLoadBalancersOutput, error) {
	if m.balancers {
		return &elb.DescribeLoadBalancersOutput{}, nil
	}
	return m.Balancing.DescribeLoadBalancers(ctx, in)
}

func (m mute) DescribeTags(ctx context.Context, in *elb.DescribeTagsInput) (*elb.DescribeTagsOutput, error) {
	if m.tags {
		return &elb.DescribeTagsOutput{}, nil
	}
	return m.Balancing.DescribeTags(ctx, in)
}

// An answer without what was asked for does not say that it is missing, or somebody else's.
func TestAnAnswerWithoutWhatWasAskedForEndsTheLook(t *testing.T) {
	for cause, with := range map[string]mute{"describe target group": {groups: true}, "describe load balancer": {balancers: true},
		"describe tags of": {tags: true}} {
		w := newWorld(t)
		plan := w.rolled(staging("rolling"))
		clients := w.clients()
		with.Balancing = clients.Balancing
		clients.Balancing = with
		_, problem := Look(t.Context(), clients, w.clock, plan)
		require.NotNil(t, problem, cause)
		assert.Equal(t, LookFailed.Name, problem.Code.Name)
		assert.Contains(t, problem.Cause, cause)
	}
}
