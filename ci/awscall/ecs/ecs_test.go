package ecs_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
)

// After an update of the SDK this test names the members that are new: without them a task definition file or an adopted
// service would lose them. Gateways are left out: their configuration is a union, and no service of ours has one.
func TestInputsAndOutputsHaveTheMembersOfTheSDK(t *testing.T) {
	ours, theirs := reflect.TypeFor[*ecs.Client](), reflect.TypeFor[*sdk.Client]()
	members := func(t reflect.Type) map[string]reflect.Type {
		all := map[string]reflect.Type{}
		for i := range t.NumField() {
			if field := t.Field(i); field.IsExported() && field.Name != "GatewayConnectors" {
				all[field.Name] = field.Type
			}
		}
		return all
	}
	for i := range ours.NumMethod() {
		own := ours.Method(i)
		their, known := theirs.MethodByName(own.Name)
		require.True(t, known, own.Name)
		assert.Equal(t, members(their.Type.In(2).Elem()), members(own.Type.In(2).Elem()), own.Name)
		assert.Equal(t, members(their.Type.Out(0).Elem()), members(own.Type.Out(0).Elem()), own.Name)
	}
}

// A task must not start twice because its answer was lost.
func TestATaskIsStartedWithATokenThatItsRetriesShare(t *testing.T) {
	var tokens []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ ClientToken string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		if tokens = append(tokens, in.ClientToken); len(tokens) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"tasks":[{"taskArn":"a","createdAt":1790000000.25}]}`)
	}))
	t.Cleanup(server.Close)
	client := ecs.New(aws.Config{Region: "eu-west-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("id", "key", "")})
	in := &ecs.RunTaskInput{TaskDefinition: aws.String("a")}
	out, err := client.RunTask(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, int64(1790000000250), out.Tasks[0].CreatedAt.UnixMilli())
	assert.Len(t, tokens, 2)
	assert.Equal(t, tokens[0], tokens[1])
	assert.NotEmpty(t, tokens[0])
	assert.Nil(t, in.ClientToken, "the input is the caller's")

	in.ClientToken = aws.String("own")
	_, err = client.RunTask(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, "own", tokens[2])
}

// Options of one call do not reach another.
func TestOptionsAreThoseOfOneCall(t *testing.T) {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	client := ecs.New(aws.Config{Region: "eu-west-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 2,
		Credentials: credentials.NewStaticCredentialsProvider("id", "key", "")})
	seen := 0
	once := func(o *ecs.Options) {
		o.Retryer = aws.NopRetryer{}
		o.APIOptions = append(o.APIOptions, func(*middleware.Stack) error { seen++; return nil })
	}
	_, err := client.StopTask(t.Context(), &ecs.StopTaskInput{}, once)
	require.Error(t, err)
	assert.Equal(t, []int{1, 1}, []int{calls, seen})
	_, err = client.StopTask(t.Context(), &ecs.StopTaskInput{})
	require.Error(t, err)
	assert.Equal(t, []int{3, 1}, []int{calls, seen})
}

func TestAnAnswerOfAnotherShapeIsAnError(t *testing.T) {
	answer := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	t.Cleanup(server.Close)
	client := ecs.New(aws.Config{Region: "eu-west-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("id", "key", "")})
	for _, answer = range []string{"<html>", `{"services":{}}`, `{"services":[{"desiredCount":"2"}]}`, `{"services":[{"createdAt":"now"}]}`} {
		_, err := client.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Services: []string{"a"}})
		assert.ErrorContains(t, err, "failed to decode the answer", answer)
	}
}
