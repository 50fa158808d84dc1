package awscall_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdkscaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	sdkcloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwschemas "github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	sdklogs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	sdkecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	sdkelb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	sdkiam "github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	sdksts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyendpoints "github.com/aws/smithy-go/endpoints"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/iam"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
	"github.com/openstack-rca/openstack-rca/ci/awscall/sts"
)

// recorder answers with what answers returns, the last one again and again, and keeps the requests.
type recorder struct {
	answers []reply
	sent    []*http.Request
	bodies  []string
}

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	r.sent, r.bodies = append(r.sent, request), append(r.bodies, string(body))
	return r.answers[min(len(r.sent), len(r.answers))-1](request)
}

// reply is one answer of AWS, or none.
type reply = func(*http.Request) (*http.Response, error)

func answering(all ...reply) *recorder { return &recorder{answers: all} }

func answer(status int, body string, headers ...string) reply {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func over(r *recorder, region string) aws.Config {
	return aws.Config{
		Region: region, HTTPClient: r, Credentials: credentials.NewStaticCredentialsProvider("key", "none", "session"),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
		},
	}
}

// The SDK's client is the judge: the same call sends the same method, address, headers and body.
func TestRequestsAreThoseOfTheSDK(t *testing.T) {
	name, document := aws.String("role & co"), aws.String(`{"a":"<é> +"}`)
	theirs, ours := answering(answer(200, "<r/>")), answering(answer(200, "<r/>"))
	their, own := sdkiam.NewFromConfig(over(theirs, "eu-west-1")), iam.New(over(ours, "eu-west-1"))
	watch := sdkcloudwatch.NewFromConfig(over(theirs, "eu-west-1"), func(o *sdkcloudwatch.Options) {
		o.Protocol = awsquery.New(cwschemas.GraniteServiceVersion20100801)
	})
	start := time.Date(2026, 11, 29, 23, 0, 0, 123_000_000, time.UTC)
	forward := []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, ForwardConfig: &elbtypes.ForwardActionConfig{
		TargetGroups: []elbtypes.TargetGroupTuple{{TargetGroupArn: name, Weight: aws.Int32(0)}, {TargetGroupArn: document, Weight: aws.Int32(100)}}}}}
	for operation, calls := range map[string][2]func() error{
		"CreateRole": {
			func() error {
				_, err := their.CreateRole(t.Context(), &sdkiam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: document,
					Tags: []iamtypes.Tag{{Key: name, Value: aws.String("")}, {Key: document, Value: name}}})
				return err
			}, func() error {
				_, err := own.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: document,
					Tags: []iam.Tag{{Key: name, Value: aws.String("")}, {Key: document, Value: name}}})
				return err
			},
		},
		"SimulatePrincipalPolicy": {
			func() error {
				_, err := their.SimulatePrincipalPolicy(t.Context(), &sdkiam.SimulatePrincipalPolicyInput{PolicySourceArn: name,
					ActionNames: []string{"a:b", "c:d"}, ContextEntries: []iamtypes.ContextEntry{{ContextKeyName: name,
						ContextKeyType: iamtypes.ContextKeyTypeEnumString, ContextKeyValues: []string{"x", "y"}}}})
				return err
			}, func() error {
				_, err := own.SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{PolicySourceArn: name,
					ActionNames: []string{"a:b", "c:d"}, ContextEntries: []iam.ContextEntry{{ContextKeyName: name,
						ContextKeyType: iam.ContextKeyTypeString, ContextKeyValues: []string{"x", "y"}}}})
				return err
			},
		},
		"CreateRule": {
			func() error {
				_, err := sdkelb.NewFromConfig(over(theirs, "eu-west-1")).CreateRule(t.Context(), &sdkelb.CreateRuleInput{ListenerArn: name,
					Priority: aws.Int32(100), Conditions: []elbtypes.RuleCondition{}, Actions: forward})
				return err
			}, func() error {
				_, err := elb.New(over(ours, "eu-west-1")).CreateRule(t.Context(), &elb.CreateRuleInput{ListenerArn: name,
					Priority: aws.Int32(100), Conditions: []elbtypes.RuleCondition{}, Actions: forward})
				return err
			},
		},
		"GetMetricData": {
			func() error {
				_, err := watch.GetMetricData(t.Context(), &sdkcloudwatch.GetMetricDataInput{StartTime: &start, EndTime: &start,
					MetricDataQueries: []cwtypes.MetricDataQuery{{Id: name, ReturnData: aws.Bool(false), MetricStat: &cwtypes.MetricStat{
						Period: aws.Int32(60), Stat: name, Metric: &cwtypes.Metric{Namespace: name, Dimensions: []cwtypes.Dimension{
							{Name: name, Value: document}}}}}}})
				return err
			}, func() error {
				_, err := cloudwatch.New(over(ours, "eu-west-1")).GetMetricData(t.Context(), &cloudwatch.GetMetricDataInput{StartTime: &start,
					EndTime: &start, MetricDataQueries: []cloudwatch.MetricDataQuery{{Id: name, ReturnData: aws.Bool(false),
						MetricStat: &cloudwatch.MetricStat{Period: aws.Int32(60), Stat: name, Metric: &cloudwatch.Metric{Namespace: name,
							Dimensions: []cloudwatch.Dimension{{Name: name, Value: document}}}}}}})
				return err
			},
		},
		"PutMetricAlarm": {
			func() error {
				_, err := watch.PutMetricAlarm(t.Context(), &sdkcloudwatch.PutMetricAlarmInput{AlarmName: name, Threshold: aws.Float64(1.0 / 3),
					EvaluationPeriods: aws.Int32(3), ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanOrEqualToThreshold,
					Statistic: cwtypes.StatisticSum, AlarmActions: []string{"a", "b"}, ActionsEnabled: aws.Bool(true),
					Tags: []cwtypes.Tag{{Key: name, Value: document}}})
				return err
			}, func() error {
				_, err := cloudwatch.New(over(ours, "eu-west-1")).PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{AlarmName: name,
					Threshold: aws.Float64(1.0 / 3), EvaluationPeriods: aws.Int32(3), Statistic: cloudwatch.StatisticSum,
					ComparisonOperator: cloudwatch.ComparisonOperatorGreaterThanOrEqualToThreshold, AlarmActions: []string{"a", "b"},
					ActionsEnabled: aws.Bool(true), Tags: []cloudwatch.Tag{{Key: name, Value: document}}})
				return err
			},
		},
		"AssumeRole": {
			func() error {
				_, err := sdksts.NewFromConfig(over(theirs, "eu-west-1")).AssumeRole(t.Context(), &sdksts.AssumeRoleInput{RoleArn: name,
					RoleSessionName: name, ExternalId: document, DurationSeconds: aws.Int32(900)})
				return err
			}, func() error {
				_, err := sts.New(over(ours, "eu-west-1")).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: name, RoleSessionName: name,
					ExternalId: document, DurationSeconds: aws.Int32(900)})
				return err
			},
		},
	} {
		for _, call := range calls {
			_ = call() // the answer is empty, which the SDK refuses
		}
		same(t, operation, theirs, ours)
	}
}

func TestJSONRequestsAreThoseOfTheSDK(t *testing.T) {
	theirs, ours := answering(answer(200, "{}")), answering(answer(200, "{}"))
	name := aws.String("a <b>")
	_, err := sdklogs.NewFromConfig(over(theirs, "eu-west-1")).CreateLogGroup(t.Context(),
		&sdklogs.CreateLogGroupInput{LogGroupName: name, Tags: map[string]string{"k": "v"}})
	require.NoError(t, err)
	_, err = logs.New(over(ours, "eu-west-1")).CreateLogGroup(t.Context(),
		&logs.CreateLogGroupInput{LogGroupName: name, Tags: map[string]string{"k": "v"}})
	require.NoError(t, err)
	same(t, "CreateLogGroup", theirs, ours)
	_, err = sdkscaling.NewFromConfig(over(theirs, "eu-west-1")).RegisterScalableTarget(t.Context(),
		&sdkscaling.RegisterScalableTargetInput{ServiceNamespace: "ecs", ScalableDimension: "ecs:service:DesiredCount", ResourceId: name,
			MinCapacity: aws.Int32(0)})
	require.NoError(t, err)
	_, err = scaling.New(over(ours, "eu-west-1")).RegisterScalableTarget(t.Context(),
		&scaling.RegisterScalableTargetInput{ServiceNamespace: scaling.NamespaceECS, ScalableDimension: scaling.DimensionECSDesiredCount,
			ResourceId: name, MinCapacity: aws.Int32(0)})
	require.NoError(t, err)
	same(t, "RegisterScalableTarget", theirs, ours)
}

// same compares the last requests.
func same(t *testing.T, operation string, theirs, ours *recorder) {
	t.Helper()
	a, b := theirs.sent[len(theirs.sent)-1], ours.sent[len(ours.sent)-1]
	assert.Equal(t, a.Method+" "+a.URL.String(), b.Method+" "+b.URL.String(), operation)
	for name := range a.Header {
		switch name {
		case "User-Agent", "Amz-Sdk-Invocation-Id", "X-Amz-Date", "Authorization", "Amz-Sdk-Request":
			assert.NotEmpty(t, b.Header.Get(name), name)
		default:
			assert.Equal(t, a.Header[name], b.Header[name], "%s: %s", operation, name)
		}
	}
	scope := func(r *http.Request) string {
		_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "/")
		scope, _, _ := strings.Cut(rest, ", Signature=")
		return scope
	}
	assert.Equal(t, scope(a), scope(b), operation)
	before, after := theirs.bodies[len(theirs.bodies)-1], ours.bodies[len(ours.bodies)-1]
	if strings.HasPrefix(before, "{") {
		assert.JSONEq(t, before, after, operation)
		return
	}
	form, err := url.ParseQuery(before)
	require.NoError(t, err)
	own, err := url.ParseQuery(after)
	require.NoError(t, err)
	assert.Equal(t, form, own, operation)
}

// The SDK's packages are the judges of their services' addresses.
func TestAddressesAreThoseOfTheSDK(t *testing.T) {
	regions := []string{"us-east-1", "us-west-2", "eu-west-1", "ap-south-1", "cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1",
		"eusc-de-east-1", "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "xx-nowhere-9"}
	for _, region := range regions {
		for _, v := range []awscall.Variant{{}, {FIPS: true}, {DualStack: true}, {FIPS: true, DualStack: true}} {
			fips, dual := aws.Bool(v.FIPS), aws.Bool(v.DualStack)
			for name, one := range map[string]struct {
				theirs func() (smithyendpoints.Endpoint, error)
				ours   func(aws.Config) error
			}{
				"iam": {func() (smithyendpoints.Endpoint, error) {
					p := sdkiam.EndpointParameters{Region: &region, UseFIPS: fips, UseDualStack: dual}
					return sdkiam.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), p)
				}, func(c aws.Config) error {
					_, err := iam.New(c).DeleteRole(t.Context(), &iam.DeleteRoleInput{})
					return err
				}},
				"ecs": {func() (smithyendpoints.Endpoint, error) {
					p := sdkecs.EndpointParameters{Region: &region, UseFIPS: fips, UseDualStack: dual}
					return sdkecs.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), p)
				}, func(c aws.Config) error {
					_, err := ecs.New(c).StopTask(t.Context(), &ecs.StopTaskInput{})
					return err
				}},
				"logs": {func() (smithyendpoints.Endpoint, error) {
					p := sdklogs.EndpointParameters{Region: &region, UseFIPS: fips, UseDualStack: dual}
					return sdklogs.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), p)
				}, func(c aws.Config) error {
					_, err := logs.New(c).DeleteLogGroup(t.Context(), &logs.DeleteLogGroupInput{})
					return err
				}},
				"scaling": {func() (smithyendpoints.Endpoint, error) {
					p := sdkscaling.EndpointParameters{Region: &region, UseFIPS: fips, UseDualStack: dual}
					return sdkscaling.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), p)
				}, func(c aws.Config) error {
					_, err := scaling.New(c).ListTagsForResource(t.Context(), &scaling.ListTagsForResourceInput{})
					return err
				}},
				"elb": {func() (smithyendpoints.Endpoint, error) {
					p := sdkelb.EndpointParameters{Region: &region, UseFIPS: fips, UseDualStack: dual}
					return sdkelb.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), p)
				}, func(c aws.Config) error {
					_, err := elb.New(c).DeleteRule(t.Context(), &elb.DeleteRuleInput{})
					return err
				}},
				"cloudwatch": {func() (smithyendpoints.Endpoint, error) {
					p := sdkcloudwatch.EndpointParameters{Region: &region, UseFIPS: fips, UseDualStack: dual}
					return sdkcloudwatch.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), p)
				}, func(c aws.Config) error {
					_, err := cloudwatch.New(c).DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{})
					return err
				}},
				"sts": {func() (smithyendpoints.Endpoint, error) {
					p := sdksts.EndpointParameters{Region: &region, UseFIPS: fips, UseDualStack: dual, UseGlobalEndpoint: aws.Bool(false)}
					return sdksts.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), p)
				}, func(c aws.Config) error {
					_, err := sts.New(c).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
					return err
				}},
				"kms": {func() (smithyendpoints.Endpoint, error) {
					p := kms.EndpointParameters{Region: &region, UseFIPS: fips, UseDualStack: dual}
					return kms.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), p)
				}, regional("kms")},
				"ecr": {func() (smithyendpoints.Endpoint, error) {
					p := ecr.EndpointParameters{Region: &region, UseFIPS: fips, UseDualStack: dual}
					return ecr.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), p)
				}, regional("api.ecr")},
			} {
				if name == "ecr" && v.DualStack {
					continue // has other names there, and is never asked for
				}
				theirs, err := one.theirs()
				r := answering(answer(200, "{}"))
				cfg := over(r, region)
				cfg.ConfigSources = []any{variant(v)}
				failed := one.ours(cfg)
				if region == "xx-nowhere-9" || err != nil {
					assert.Error(t, failed, "%s %s %v", name, region, v)
					assert.Empty(t, r.sent)
					continue
				}
				if len(r.sent) == 0 {
					assert.NotEqual(t, awscall.Variant{}, v, "%s in %s", name, region)
					continue // refused, not sent to another address
				}
				assert.Equal(t, theirs.URI.Host, r.sent[0].URL.Host, "%s %v", name, v)
			}
		}
	}
}

func regional(host string) func(aws.Config) error {
	return func(c aws.Config) error {
		_, err := awscall.Do[struct{}](context.Background(), awscall.New(c, awscall.Service{ID: "X", Name: "x",
			Endpoint: awscall.Regional(host, false), Protocol: awscall.JSON{Target: "X", Version: "1.1"}}), "Y", nil)
		return err
	}
}

// variant is a source of the configuration.
type variant awscall.Variant

func (v variant) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	if v.FIPS {
		return aws.FIPSEndpointStateEnabled, true, nil
	}
	return aws.FIPSEndpointStateUnset, false, nil
}

func (v variant) GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error) {
	if v.DualStack {
		return aws.DualStackEndpointStateEnabled, true, nil
	}
	return aws.DualStackEndpointStateUnset, false, nil
}

func TestTheEnvironmentNamesEndpoints(t *testing.T) {
	called := func() string {
		r := answering(answer(200, "{}"))
		cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("eu-west-1"), config.WithHTTPClient(r),
			config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("key", "none", "")))
		require.NoError(t, err)
		_, err = logs.New(cfg).DeleteLogGroup(t.Context(), &logs.DeleteLogGroupInput{})
		require.NoError(t, err)
		return r.sent[0].URL.String()
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_CA_BUNDLE", "")
	t.Setenv("AWS_ENDPOINT_URL", "http://all.test:1/base")
	assert.Equal(t, "http://all.test:1/base", called())
	t.Setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "http://logs.test:2")
	assert.Equal(t, "http://logs.test:2/", called())
	t.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
	assert.Equal(t, "https://logs.eu-west-1.amazonaws.com/", called())
}

func TestRefusalsHaveTheirCodes(t *testing.T) {
	const denied = `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code>` +
		`<Message>no role &lt;x&gt;</Message></Error><RequestId>1</RequestId></ErrorResponse>`
	query := func(c aws.Config) error {
		_, err := iam.New(c).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("x")})
		return err
	}
	json := func(c aws.Config) error {
		_, err := logs.New(c).DescribeLogGroups(t.Context(), &logs.DescribeLogGroupsInput{})
		return err
	}
	for name, tc := range map[string]struct {
		call          func(aws.Config) error
		answer        reply
		code, message string
		sent          int
	}{
		"query":          {query, answer(404, denied), "NoSuchEntity", "no role <x>", 1},
		"query, not XML": {query, answer(403, "go away"), "UnknownError", "UnknownError", 1},
		"type with a name": {json, answer(400, `{"__type":"com.amazonaws.logs#ResourceNotFoundException","message":"none"}`),
			"ResourceNotFoundException", "none", 1},
		"header": {json, answer(400, `{"Message":"no"}`, "X-Amzn-Errortype", "AccessDeniedException:http://x/"),
			"AccessDeniedException", "no", 1},
		"not JSON":  {json, answer(403, "<html>"), "UnknownError", "UnknownError", 1},
		"throttled": {json, answer(400, `{"__type":"ThrottlingException","message":"slow"}`), "ThrottlingException", "slow", 3},
		"a gateway": {json, answer(503, "<html>"), "UnknownError", "UnknownError", 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := answering(tc.answer)
			err := tc.call(over(r, "eu-west-1"))
			var known smithy.APIError
			require.ErrorAs(t, err, &known)
			assert.Equal(t, tc.code, known.ErrorCode())
			assert.Equal(t, tc.message, known.ErrorMessage())
			assert.Len(t, r.sent, tc.sent)
			var operation *smithy.OperationError
			require.ErrorAs(t, err, &operation)
			var status *smithyhttp.ResponseError
			require.ErrorAs(t, err, &status)
		})
	}
	err := query(over(answering(answer(404, denied, "X-Amzn-Requestid", "r-1")), "eu-west-1"))
	require.EqualError(t, err, "operation error IAM: GetRole, https response error StatusCode: 404, RequestID: r-1, "+
		"api error NoSuchEntity: no role <x>")
}

func TestACallThatFailsOnTheWayIsTriedAgain(t *testing.T) {
	for name, broken := range map[string]reply{
		"reset":     func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset by peer") },
		"throttled": answer(400, `{"__type":"ThrottlingException"}`),
		"a gateway": answer(502, ""),
	} {
		r := &recorder{answers: []reply{broken, answer(200, `{"events":[{"message":"hello","timestamp":5}]}`)}}
		out, err := logs.New(over(r, "eu-west-1")).GetLogEvents(t.Context(), &logs.GetLogEventsInput{LogGroupName: aws.String("g")})
		require.NoError(t, err, name)
		assert.Equal(t, "hello", *out.Events[0].Message)
		require.Len(t, r.sent, 2, name)
		assert.Equal(t, r.bodies[0], r.bodies[1], "the body is sent again")
	}
}

func TestAnAnswerThatCannotBeReadIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // or the connection is reset while the request is still sent
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"events":`))
	}))
	defer server.Close()
	cfg := over(nil, "eu-west-1")
	cfg.HTTPClient, cfg.BaseEndpoint, cfg.Retryer = server.Client(), &server.URL, func() aws.Retryer { return aws.NopRetryer{} }
	_, err := logs.New(cfg).GetLogEvents(t.Context(), &logs.GetLogEventsInput{})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	var unreadable *smithy.DeserializationError
	require.ErrorAs(t, err, &unreadable)

	for _, body := range []string{"", "<html><body>sign in</body></html>"} { // a proxy, with status 200
		_, err = elb.New(over(answering(answer(200, body)), "eu-west-1")).DescribeLoadBalancers(t.Context(), &elb.DescribeLoadBalancersInput{})
		require.ErrorAs(t, err, &unreadable, body)
		require.ErrorContains(t, err, "no DescribeLoadBalancersResult")
	}
	for _, body := range []string{`{"events":7}`, `no`} {
		_, err = logs.New(over(answering(answer(200, body)), "eu-west-1")).GetLogEvents(t.Context(), nil)
		require.ErrorAs(t, err, &unreadable, body)
	}
	_, err = iam.New(over(answering(answer(200, "<GetRoleResponse><GetRoleResult>")), "eu-west-1")).
		GetRole(t.Context(), &iam.GetRoleInput{})
	require.ErrorAs(t, err, &unreadable)
}

// A machine's clock is minutes off: the first answer says so, and the second attempt is signed with
// AWS's time.
func TestAWrongClockIsCorrected(t *testing.T) {
	ahead := time.Now().Add(20 * time.Minute).UTC()
	skewed := answer(403, `{"__type":"InvalidSignatureException","message":"not yet"}`, "Date", ahead.Format(http.TimeFormat))
	r := answering(skewed, answer(200, "{}", "Date", ahead.Format(http.TimeFormat)))
	client := logs.New(over(r, "eu-west-1"))
	for range 2 {
		_, err := client.DeleteLogGroup(t.Context(), &logs.DeleteLogGroupInput{LogGroupName: aws.String("g")})
		require.NoError(t, err)
	}
	require.Len(t, r.sent, 3)
	for _, sent := range r.sent[1:] {
		at, err := time.Parse("20060102T150405Z", sent.Header.Get("X-Amz-Date"))
		require.NoError(t, err)
		assert.WithinDuration(t, ahead, at, time.Minute)
	}
}

func TestCredentialsThatCannotBeReadAreNamed(t *testing.T) {
	cfg := over(answering(answer(200, "{}")), "eu-west-1")
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no token")
	})
	_, err := logs.New(cfg).DeleteLogGroup(t.Context(), &logs.DeleteLogGroupInput{})
	require.ErrorContains(t, err, "get credentials: no token")
	cfg.Credentials = nil
	_, err = logs.New(cfg).DeleteLogGroup(t.Context(), &logs.DeleteLogGroupInput{})
	require.ErrorContains(t, err, "no credentials")
}

// Where module functions run, everything comes from the arguments.
func TestWithoutAMachineTheConfigurationIsWhatIsRequested(t *testing.T) {
	key := credentials.NewStaticCredentialsProvider("key", "none", "")
	r := answering(answer(200, "{}"))
	cfg, err := awscall.Configure(t.Context(), awscall.Request{
		Region: "eu-west-1", Credentials: key, Endpoint: "http://aws.test", Transport: transport{r},
	})
	require.NoError(t, err)
	_, err = logs.New(cfg).DeleteLogGroup(t.Context(), &logs.DeleteLogGroupInput{})
	require.NoError(t, err)
	assert.Equal(t, "http://aws.test/", r.sent[0].URL.String())

	for _, missing := range []awscall.Request{{Region: "eu-west-1"}, {Region: "eu-west-1", Credentials: key, Profile: "staging"}} {
		_, err = awscall.Configure(t.Context(), missing)
		require.ErrorContains(t, err, "no default credentials where module functions run")
	}
}

type transport struct{ r *recorder }

func (t transport) RoundTrip(request *http.Request) (*http.Response, error) { return t.r.Do(request) }
