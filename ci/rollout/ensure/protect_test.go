package ensure

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	certificate = "arn:aws:acm:ap-south-1:" + accountID + ":certificate/11111111-2222-3333-4444-555555555555"
	tlsPolicy   = "ELBSecurityPolicy-TLS13-1-2-2021-06"
)

// found is what the account holds of a plan's load balancer.
func (w *world) found(plan *rollout.Plan) *balancing {
	w.t.Helper()
	s := &State{clients: w.clients(), plan: plan, known: map[string]string{}}
	require.NoError(w.t, services{s}.lookAtService(context.Background()))
	found, err := balancers{s}.findBalancing(context.Background())
	require.NoError(w.t, err)
	return found
}

// listeners are those of the load balancer as "protocol action", sorted.
func (w *world) listeners(plan *rollout.Plan) []string {
	var all []string
	for _, l := range w.found(plan).listeners {
		all = append(all, strings.TrimSpace(string(l.Protocol)+" "+string(l.DefaultActions[0].Type)))
	}
	slices.Sort(all)
	return all
}

// byHand gives the plan's listener a certificate, as somebody does in the console.
func (w *world) byHand(plan *rollout.Plan, port int32, policy string) {
	w.t.Helper()
	l := w.found(plan).listener
	_, err := w.aws.Balancing.ModifyListener(context.Background(), &elb.ModifyListenerInput{
		ListenerArn: l.ListenerArn, Port: aws.Int32(port), Protocol: types.ProtocolEnumHttps, SslPolicy: aws.String(policy),
		Certificates: []types.Certificate{{CertificateArn: aws.String(certificate)}}, DefaultActions: l.DefaultActions,
	})
	require.NoError(w.t, err)
}

func codesOf(stage verdict.Stage) []string {
	var all []string
	for _, warning := range stage.Warnings {
		all = append(all, warning.Code)
	}
	return all
}

func TestACertificateThatSomebodyGaveTheListenerStays(t *testing.T) {
	for _, strategy := range spec.Strategies() {
		for _, port := range []int32{80, 443, 8443} {
			w := newWorld(t)
			plan := w.rolled(staging(strategy))
			w.byHand(plan, port, tlsPolicy)
			before := w.aws.Dump()
			state := w.look(plan)
			assert.True(t, state.Unchanged(), "%s %d:\n%s", strategy, port, state.Text())
			assert.Contains(t, state.Text(), `Protocol: "HTTPS" stays, the plan says "HTTP"`)
			assert.True(t, strings.HasPrefix(state.URL(), "https://"), state.URL())
			var stage verdict.Stage
			state.Warn(&stage)
			assert.Equal(t, []string{ProtectionKept.Name}, codesOf(stage))
			assert.Contains(t, stage.Warnings[0].Cause, "set rollout.certificate to "+certificate)
			require.NoError(t, w.roll(plan))
			assert.Equal(t, before, w.aws.Dump())

			in := staging(strategy)
			in.Spec.Certificate = certificate
			plan = w.rolled(in)
			assert.Equal(t, []string{"HTTP redirect", "HTTPS fixed-response"}, w.listeners(plan),
				"said in the configuration, HTTP is redirected too")
			assert.Empty(t, w.look(plan).Protected())
		}
	}
}

func TestHTTPWithoutACertificateIsWarnedOf(t *testing.T) {
	w := newWorld(t)
	plan := w.rolled(staging("rolling"))
	var stage verdict.Stage
	w.look(plan).Warn(&stage)
	assert.Equal(t, []string{rollout.NotEncrypted.Name}, codesOf(stage))
}

func TestACertificateIsGivenToTheListenerThatTheServiceIsBehind(t *testing.T) {
	for _, strategy := range spec.Strategies() {
		w := newWorld(t)
		before := w.found(w.rolled(staging(strategy)))
		w.aws.Balancing.Weigh(0, 100) // the last deployment ended with green
		in := staging(strategy)
		in.Spec.Certificate = certificate
		plan := planOf(t, in)
		state := w.look(plan)
		assert.True(t, state.ServiceUnchanged(), "what ECS knows the service by stays, so nothing is deployed")
		assert.True(t, state.Encrypted())
		require.NoError(t, w.roll(plan))
		after := w.found(plan)
		assert.Equal(t, *before.listener.ListenerArn, *after.listener.ListenerArn)
		assert.Equal(t, *before.rule.RuleArn, *after.rule.RuleArn)
		assert.EqualValues(t, 443, *after.listener.Port)
		assert.EqualValues(t, 100, *after.rule.Actions[0].ForwardConfig.TargetGroups[1].Weight)
		assert.Equal(t, []string{"HTTP redirect", "HTTPS fixed-response"}, w.listeners(plan))
		assert.True(t, w.look(plan).Unchanged())

		// Taking the key away does not take the encryption away.
		plain := w.look(planOf(t, staging(strategy)))
		assert.True(t, plain.Unchanged(), plain.Text())
		assert.True(t, plain.Encrypted())
	}
}

func TestASecurityPolicyIsChangedOnlyForAStricterOne(t *testing.T) {
	for policy, changes := range map[string]bool{
		tlsPolicy: false, "ELBSecurityPolicy-TLS13-1-3-2021-06": false, "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09": false,
		"ELBSecurityPolicy-FS-1-2-Res-2020-10": false, "ELBSecurityPolicy-TLS-1-2-Ext-2018-06": false,
		"ELBSecurityPolicy-2016-08": true, "ELBSecurityPolicy-TLS-1-0-2015-04": true, "ELBSecurityPolicy-TLS13-1-1-2021-06": true,
		"ELBSecurityPolicy-FS-2018-06": true, "ELBSecurityPolicy-FS-1-1-2019-08": true, "ELBSecurityPolicy-TLS13-1-0-PQ-2025-09": true,
	} {
		w := newWorld(t)
		in := staging("rolling")
		in.Spec.Certificate = certificate
		plan := w.rolled(in)
		w.byHand(plan, 443, policy)
		assert.Equal(t, changes, !w.look(plan).Unchanged(), policy)
	}
}

func TestWhatProtectsMoreThanThePlanStays(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	plan := w.rolled(staging("blue_green"))
	found := w.found(plan)
	modify := func(_ any, err error) { require.NoError(t, err) }
	attribute := func(key, value string) types.LoadBalancerAttribute {
		return types.LoadBalancerAttribute{Key: aws.String(key), Value: aws.String(value)}
	}
	modify(w.aws.Balancing.ModifyLoadBalancerAttributes(ctx,
		&elb.ModifyLoadBalancerAttributesInput{LoadBalancerArn: found.balancer.LoadBalancerArn,
			Attributes: []types.LoadBalancerAttribute{attribute("deletion_protection.enabled", "true"), attribute("access_logs.s3.enabled",
				"true")}}))
	narrow := append(slices.Clone(found.rule.Conditions), types.RuleCondition{Field: aws.String("source-ip"),
		SourceIpConfig: &types.SourceIpConditionConfig{Values: []string{"10.0.0.0/8"}}})
	signIn := types.Action{Type: types.ActionTypeEnumAuthenticateCognito, Order: aws.Int32(1),
		AuthenticateCognitoConfig: &types.AuthenticateCognitoActionConfig{
			UserPoolArn:      aws.String("arn:aws:cognito-idp:ap-south-1:" + accountID + ":userpool/x"),
			UserPoolClientId: aws.String("client"), UserPoolDomain: aws.String("rca"),
		}}
	forward := found.rule.Actions[0]
	forward.Order = aws.Int32(2)
	modify(w.aws.Balancing.ModifyRule(ctx, &elb.ModifyRuleInput{RuleArn: found.rule.RuleArn, Conditions: narrow,
		Actions: []types.Action{signIn, forward}}))
	topic := "arn:aws:sns:ap-south-1:" + accountID + ":on-call"
	loud := *plan.Alarms[0]
	loud.AlarmActions, loud.OKActions, loud.Threshold = []string{topic}, []string{topic}, aws.Float64(99)
	modify(w.aws.CloudWatch.PutMetricAlarm(ctx, resolve(w.look(plan), &loud)))
	watched := *plan.Service.DeploymentConfiguration
	alarms := *watched.Alarms
	alarms.AlarmNames = append(slices.Clone(alarms.AlarmNames), "error-budget")
	check := ecstypes.DeploymentLifecycleHook{TargetType: ecstypes.DeploymentLifecycleHookTargetTypeAwsLambda,
		HookTargetArn:   aws.String("arn:aws:lambda:ap-south-1:" + accountID + ":function:check"),
		LifecycleStages: []ecstypes.DeploymentLifecycleHookStage{ecstypes.DeploymentLifecycleHookStagePostScaleUp}}
	watched.Alarms, watched.LifecycleHooks = &alarms, []ecstypes.DeploymentLifecycleHook{check}
	modify(w.aws.ECS.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: plan.Service.Cluster, Service: plan.Service.ServiceName,
		DeploymentConfiguration: &watched}))

	in := staging("blue_green")
	in.Tuning.IdleSeconds, in.Tuning.GroupStickinessSeconds, in.Spec.BakeMinutes = 77, 88, 9
	plan = planOf(t, in)
	state := w.look(plan)
	assert.Len(t, state.Protected(), 3, "protection against deletion, the narrower rule, the sign-in: %v", state.Protected())
	require.NoError(t, w.roll(plan))
	found = w.found(plan)
	attributes, err := w.aws.Balancing.DescribeLoadBalancerAttributes(ctx,
		&elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: found.balancer.LoadBalancerArn})
	require.NoError(t, err)
	assert.Contains(t, attributes.Attributes, attribute("deletion_protection.enabled", "true"))
	assert.Contains(t, attributes.Attributes, attribute("access_logs.s3.enabled", "true"))
	assert.Contains(t, attributes.Attributes, attribute("idle_timeout.timeout_seconds", "77"))
	assert.Equal(t, narrow, found.rule.Conditions)
	require.Len(t, found.rule.Actions, 2)
	assert.Equal(t, signIn, found.rule.Actions[0])
	assert.EqualValues(t, 88, *found.rule.Actions[1].ForwardConfig.TargetGroupStickinessConfig.DurationSeconds)
	described, err := w.aws.CloudWatch.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{*plan.Alarms[0].AlarmName}})
	require.NoError(t, err)
	assert.Equal(t, []string{topic}, described.MetricAlarms[0].AlarmActions)
	assert.Equal(t, []string{topic}, described.MetricAlarms[0].OKActions)
	assert.EqualValues(t, 5, *described.MetricAlarms[0].Threshold)
	w.settle()
	state = w.look(plan)
	assert.True(t, state.Unchanged(), state.Text())
	assert.Contains(t, state.Service().DeploymentConfiguration.Alarms.AlarmNames, "error-budget")
	assert.Equal(t, []ecstypes.DeploymentLifecycleHook{check}, state.Service().DeploymentConfiguration.LifecycleHooks)
	assert.EqualValues(t, 9, *state.Service().DeploymentConfiguration.BakeTimeInMinutes)
}

func TestATopicOfThePlanReplacesTheOneThatIsThere(t *testing.T) {
	w := newWorld(t)
	in := staging("rolling")
	in.Spec.AlarmTopic = "arn:aws:sns:ap-south-1:" + accountID + ":old"
	w.rolled(in)
	in.Spec.AlarmTopic = "arn:aws:sns:ap-south-1:" + accountID + ":new"
	plan := w.rolled(in)
	described, err := w.aws.CloudWatch.DescribeAlarms(context.Background(),
		&cloudwatch.DescribeAlarmsInput{AlarmNames: []string{*plan.Alarms[0].AlarmName}})
	require.NoError(t, err)
	assert.Equal(t, []string{in.Spec.AlarmTopic}, described.MetricAlarms[0].AlarmActions)
}

func TestAPortThatSomebodyElseHasIsNotTaken(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		port   int32
		action types.Action
		// refused is true where the plan cannot be carried out.
		refused bool
	}{
		"another application's HTTPS": {443, types.Action{Type: types.ActionTypeEnumFixedResponse}, true},
		"another application's HTTP":  {80, types.Action{Type: types.ActionTypeEnumFixedResponse}, true},
		"a redirect by others": {80, types.Action{Type: types.ActionTypeEnumRedirect,
			RedirectConfig: &types.RedirectActionConfig{}}, false},
	} {
		w := newWorld(t)
		plan := w.rolled(staging("rolling"))
		if c.port == 80 {
			w.byHand(plan, 443, tlsPolicy)
		}
		_, err := w.aws.Balancing.CreateListener(ctx, &elb.CreateListenerInput{LoadBalancerArn: w.found(plan).balancer.LoadBalancerArn,
			Port:     aws.Int32(c.port),
			Protocol: types.ProtocolEnumHttp, DefaultActions: []types.Action{c.action}})
		require.NoError(t, err)
		in := staging("rolling")
		in.Spec.Certificate = certificate
		plan = planOf(t, in)
		before := w.aws.Dump()
		state := w.look(plan)
		if !c.refused {
			assert.Empty(t, state.Problems(), name)
			assert.True(t, state.Unchanged(), "%s: %s", name, state.Text())
			continue
		}
		require.Len(t, state.Problems(), 1, name)
		assert.Equal(t, NotOurs.Name, state.Problems()[0].Code.Name, name)
		require.NotNil(t, state.Before(ctx), name)
		assert.Equal(t, before, w.aws.Dump(), name)
	}
}

func TestARunThatIsLostWhileItEncryptsIsCarriedOnByTheNext(t *testing.T) {
	in := staging("blue_green")
	in.Spec.Certificate = certificate
	plan := planOf(t, in)
	whole := newWorld(t)
	whole.rolled(staging("blue_green"))
	calls := whole.calls(func() { require.NoError(t, whole.roll(plan)) })
	want := whole.aws.Dump()
	for n := 1; n <= len(calls); n++ {
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			w.rolled(staging("blue_green"))
			w.aws.Cut(n, after)
			_ = w.roll(plan)
			w.aws.Cut(0, false)
			require.NoError(t, w.roll(plan))
			require.Equal(t, want, w.aws.Dump(), "%s, carried out: %v", calls[n-1], after)
		}
	}
}

func TestDestroyTakesBothListeners(t *testing.T) {
	w := newWorld(t)
	in := staging("rolling")
	in.Spec.Certificate = certificate
	plan := w.rolled(in)
	done, problem := w.destroy(plan, true)
	require.Nil(t, problem)
	assert.Contains(t, strings.Join(done.Deleted, "\n"), "listener openstack-rca-service-staging:80")
	assert.Empty(t, w.found(plan).listeners)
}

func TestTheAddressIsAskedOfAWS(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	plan := planOf(t, staging("rolling"))
	address, err := ServiceURL(ctx, w.aws.Balancing, plan)
	require.NoError(t, err)
	assert.Empty(t, address)
	w.rolled(staging("rolling"))
	address, err = ServiceURL(ctx, w.aws.Balancing, plan)
	require.NoError(t, err)
	assert.Equal(t, "http://openstack-rca-service-staging.elb.amazonaws.com", address)
	w.byHand(plan, 8443, tlsPolicy)
	address, err = ServiceURL(ctx, w.aws.Balancing, plan)
	require.NoError(t, err)
	assert.Equal(t, "https://openstack-rca-service-staging.elb.amazonaws.com:8443", address)
	w.aws.Fail("elb:DescribeListeners", assert.AnError)
	_, err = ServiceURL(ctx, w.aws.Balancing, plan)
	assert.Error(t, err)
}
