package overhttp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwschemas "github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecsdocument "github.com/aws/aws-sdk-go-v2/service/ecs/document"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	owncloudwatch "github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	ownecs "github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	ownelb "github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	owniam "github.com/openstack-rca/openstack-rca/ci/awscall/iam"
	ownlogs "github.com/openstack-rca/openstack-rca/ci/awscall/logs"
	ownscaling "github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
	ownsts "github.com/openstack-rca/openstack-rca/ci/awscall/sts"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// clients are clients of an endpoint, by the name of the service: the SDK's, CloudWatch in each
// of its protocols, and those of package awscall.
func clients(endpoint string) map[string]any {
	key := credentials.NewStaticCredentialsProvider("key-0", "none", "")
	at := aws.String(endpoint)
	// A connection can break between two requests (aws/aws-sdk-go-v2#2737); more is not tried again here.
	patient := retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxBackoff, o.Retryables = time.Millisecond, []retry.IsErrorRetryable{retry.RetryableConnectionError{}}
	})
	const region = "ap-south-1"
	watch := func(change func(*cloudwatch.Options)) *cloudwatch.Client {
		return cloudwatch.New(cloudwatch.Options{Region: region, BaseEndpoint: at, Credentials: key, Retryer: patient,
			DisableRequestCompression: true}, change)
	}
	own := aws.Config{Region: region, BaseEndpoint: at, Credentials: key, Retryer: func() aws.Retryer { return patient }}
	return map[string]any{
		"application-autoscaling awscall": ownscaling.New(own),
		"logs awscall":                    ownlogs.New(own),
		"iam awscall":                     owniam.New(own),
		"elasticloadbalancing awscall":    ownelb.New(own),
		"monitoring awscall":              owncloudwatch.New(own),
		"sts awscall":                     ownsts.New(own),
		"ecs awscall":                     ownecs.New(own),
		"ecs":                             ecs.New(ecs.Options{Region: region, BaseEndpoint: at, Credentials: key, Retryer: patient}),
		"elasticloadbalancing":            elb.New(elb.Options{Region: region, BaseEndpoint: at, Credentials: key, Retryer: patient}),
		"application-autoscaling":         scaling.New(scaling.Options{Region: region, BaseEndpoint: at, Credentials: key, Retryer: patient}),
		"logs":                            logs.New(logs.Options{Region: region, BaseEndpoint: at, Credentials: key, Retryer: patient}),
		"iam":                             iam.New(iam.Options{Region: region, BaseEndpoint: at, Credentials: key, Retryer: patient}),
		"sts":                             sts.New(sts.Options{Region: region, BaseEndpoint: at, Credentials: key, Retryer: patient}),
		"monitoring":                      watch(func(*cloudwatch.Options) {}),
		"monitoring query":                watch(func(o *cloudwatch.Options) { o.Protocol = awsquery.New(cwschemas.GraniteServiceVersion20100801) }),
		"monitoring json":                 watch(func(o *cloudwatch.Options) { o.Protocol = awsjson.New10(cwschemas.GraniteServiceVersion20100801) }),
	}
}

// notHere are operations that have no plain request and answer: no code of this project
// calls them.
var notHere = map[string]string{
	"StartLiveTail": "a stream of events", "GetLogObject": "a stream of events", "PutIntegration": "a union", "CreateGateway": "a union",
}

// fill sets everything in a value that can be set.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if depth > 13 && v.Type().Elem().Kind() == reflect.Struct && v.Type().Elem() != timeType {
			return // some structures contain themselves
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem(), depth+1)
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.UnixMilli(1_790_000_000_000 + int64(r.IntN(1_000_000))).UTC()))
			return
		}
		for _, f := range members(v.Type()) {
			fill(r, v.FieldByIndex(f.Index), depth+1)
		}
	case reflect.Slice:
		if v.Type() == bytesType {
			v.SetBytes([]byte{0, 1, byte(r.IntN(256)), '<'})
			return
		}
		if item := v.Type().Elem(); item.Kind() == reflect.Interface && item != documentType {
			return // unions
		}
		n := 1 + r.IntN(2)
		if depth > 12 {
			n = 0
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range 2 {
			value := reflect.New(v.Type().Elem()).Elem()
			fill(r, value, depth+1)
			v.SetMapIndex(reflect.ValueOf(fmt.Sprintf("Key.%d & more", i)).Convert(v.Type().Key()), value)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d <&> \"é\" a=b", r.IntN(1000)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64, reflect.Int:
		v.SetInt(int64(r.IntN(100_000)) - 50_000)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(r.IntN(1000)) / 8)
	case reflect.Interface:
		if v.Type() == documentType {
			v.Set(reflect.ValueOf(ecsdocument.NewLazyDocument(map[string]any{"a": "b"})))
		}
	}
}

// same compares trees: documents hold more than their value.
func same(t *testing.T, want, got any, naming naming, message string) {
	t.Helper()
	a, _, err := encode(reflect.ValueOf(want), naming)
	require.NoError(t, err)
	b, _, err := encode(reflect.ValueOf(got), naming)
	require.NoError(t, err)
	assert.Equal(t, a, b, message)
}

// Every operation of every client, with every member set, crosses the wire and comes
// back as it was: the client is the judge of the server's protocols.
func TestEveryOperationOfTheClientsCrossesTheWire(t *testing.T) {
	server := New(fakeaws.NewAccount(fakeaws.NewClock()))
	endpoint := httptest.NewServer(server)
	defer endpoint.Close()
	r := rand.New(rand.NewPCG(1, 2))
	for name, client := range clients(endpoint.URL) {
		t.Run(name, func(t *testing.T) {
			var of *service
			for _, s := range server.services {
				if s.name == strings.Fields(name)[0] {
					of = s
				}
			}
			require.NotNil(t, of)
			tested := 0
			value := reflect.ValueOf(client)
			kept := of.operations
			defer func() { of.operations = kept }()
			for i := range value.NumMethod() {
				method, called := value.Method(i), value.Type().Method(i).Name
				input, is := operationInput(method.Type(), called)
				if _, other := notHere[called]; !is || other {
					continue
				}
				in, out := reflect.New(input), reflect.New(method.Type().Out(0).Elem())
				fill(r, in.Elem(), 0)
				fill(r, out.Elem(), 0)
				of.operations = map[string]operation{called: {name: called, input: input,
					call: func(_ context.Context, got reflect.Value) (any, error) {
						same(t, in.Interface(), got.Interface(), of.naming, called+"Input")
						return out.Interface(), nil
					}}}
				results := method.Call([]reflect.Value{reflect.ValueOf(context.Background()), in})
				err, _ := results[1].Interface().(error)
				if assert.NoError(t, err, called) {
					same(t, out.Interface(), results[0].Interface(), of.naming, called+"Output")
					tested++
				}
			}
			assert.Greater(t, tested, 2)
			t.Logf("%d operations", tested)
		})
	}
}
