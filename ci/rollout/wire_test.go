package rollout

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// capture is a transport that keeps what the SDK sends, and answers nothing.
type capture struct{ body []byte }

func (c *capture) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	c.body = body
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

type noCredentials struct{}

func (noCredentials) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "none", SecretAccessKey: "none"}, nil
}

// theirs is an input of ours as the SDK's client takes it.
func theirs[Input any](ours any) *Input {
	in, from := new(Input), reflect.ValueOf(ours).Elem()
	for i := range from.NumField() {
		reflect.ValueOf(in).Elem().FieldByName(from.Type().Field(i).Name).Set(from.Field(i))
	}
	return in
}

// The SDK itself is the judge of what would be sent: what is rendered for the reader
// must be the same, member for member.
func TestWhatIsRenderedIsWhatTheSDKWouldSend(t *testing.T) {
	sent := &capture{}
	ctx := context.Background()
	containers := ecs.New(ecs.Options{Region: "ap-south-1", HTTPClient: sent, Credentials: noCredentials{}})
	scale := scaling.New(aws.Config{Region: "ap-south-1", HTTPClient: sent, Credentials: noCredentials{}})
	for _, strategy := range spec.Strategies() {
		in := input("staging")
		in.Spec.Strategy = strategy
		plan := mustPlan(t, in)
		for name, one := range map[string]struct {
			input any
			call  func() error
		}{
			"RegisterTaskDefinition": {plan.TaskDefinition, func() error {
				_,
					err := containers.RegisterTaskDefinition(ctx, theirs[ecs.RegisterTaskDefinitionInput](plan.TaskDefinition))
				return err
			}},
			"CreateService": {plan.Service, func() error {
				_, err := containers.CreateService(ctx, theirs[ecs.CreateServiceInput](plan.Service))
				return err
			}},
			"CreateCluster": {plan.Cluster, func() error {
				_, err := containers.CreateCluster(ctx, theirs[ecs.CreateClusterInput](plan.Cluster))
				return err
			}},
			"RegisterScalableTarget": {plan.Scaling.Target, func() error {
				_,
					err := scale.RegisterScalableTarget(ctx, plan.Scaling.Target)
				return err
			}},
			"PutScalingPolicy": {plan.Scaling.Policies[0], func() error {
				_,
					err := scale.PutScalingPolicy(ctx, plan.Scaling.Policies[0])
				return err
			}},
		} {
			require.NoError(t, one.call(), name)
			assert.JSONEq(t, string(sent.body), string(wire.JSON(one.input)), "%s with %s", name, strategy)
		}
	}
}

func TestWhatIsRenderedForTheLoadBalancerIsWhatIsSent(t *testing.T) {
	sent := &capture{}
	ctx := context.Background()
	// The answer is no XML of the service, so every call fails after it was sent.
	client := elb.New(aws.Config{Region: "ap-south-1", HTTPClient: sent, Credentials: noCredentials{},
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }})
	lb := mustPlan(t, input("staging")).LoadBalancer
	for name, one := range map[string]struct {
		input any
		call  func() error
	}{
		"CreateLoadBalancer": {lb.LoadBalancer, func() error { _, err := client.CreateLoadBalancer(ctx, lb.LoadBalancer); return err }},
		"ModifyLoadBalancerAttributes": {lb.Attributes, func() error {
			_,
				err := client.ModifyLoadBalancerAttributes(ctx, lb.Attributes)
			return err
		}},
		"CreateTargetGroup": {lb.TargetGroups[1], func() error {
			_,
				err := client.CreateTargetGroup(ctx, lb.TargetGroups[1])
			return err
		}},
		"ModifyTargetGroupAttributes": {lb.TargetGroupAttributes[1], func() error {
			_, err := client.ModifyTargetGroupAttributes(ctx, lb.TargetGroupAttributes[1])
			return err
		}},
		"CreateListener": {lb.Listener, func() error { _, err := client.CreateListener(ctx, lb.Listener); return err }},
		"CreateRule":     {lb.Rule, func() error { _, err := client.CreateRule(ctx, lb.Rule); return err }},
	} {
		sent.body = nil
		if err := one.call(); err != nil {
			assert.NotContains(t, err.Error(), "validation", name)
		}
		form, err := url.ParseQuery(string(sent.body))
		require.NoError(t, err)
		assert.Equal(t, name, form.Get("Action"))
		form.Del("Action")
		form.Del("Version")
		got := map[string]string{}
		for key := range form {
			got[strings.ReplaceAll(key, ".member.", ".")] = form.Get(key)
		}
		want := map[string]string{}
		var data any
		require.NoError(t, json.Unmarshal(wire.JSON(one.input), &data))
		flatten("", data, want)
		assert.Equal(t, want, got, name)
	}
}

// flatten writes plain data as the query protocol does: Members.1.Name.
func flatten(path string, value any, into map[string]string) {
	under := func(key string) string {
		if path == "" {
			return key
		}
		return path + "." + key
	}
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			flatten(under(key), item, into)
		}
	case []any:
		for i, item := range v {
			flatten(under(itoa(i+1)), item, into)
		}
	default:
		into[path] = text(v)
	}
}

func itoa(i int) string { return text(float64(i)) }

func text(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	content, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

func TestAlarmsHaveTheMembersOfPutMetricAlarm(t *testing.T) {
	alarms := mustPlan(t, input("staging")).Alarms
	require.Len(t, alarms, 4)
	content := string(wire.JSON(alarms))
	for _, member := range []string{`"Id": "unhealthy"`, `"ReturnData": false`, `"ReturnData": true`, `"ActionsEnabled": true`,
		`"ExtendedStatistic": "p95"`} {
		assert.Contains(t, content, member)
	}
	for _, alarm := range alarms {
		single := alarm.MetricName != nil
		assert.NotEqual(t, single, len(alarm.Metrics) > 0, "%s is on one metric or on an expression", *alarm.AlarmName)
		assert.LessOrEqual(t, *alarm.DatapointsToAlarm, *alarm.EvaluationPeriods)
	}
}
