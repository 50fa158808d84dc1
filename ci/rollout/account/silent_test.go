package account

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
)

// An answer that says nothing of what it was asked for is no answer that there is none.
func TestAnAnswerThatSaysNothingIsAskedForAgain(t *testing.T) {
	alone(t)
	calls, answers := 0, []string(nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, answers[min(calls, len(answers)-1)])
		calls++
	}))
	t.Cleanup(server.Close)
	clients, problem := Open(t.Context(), Options{Region: "ap-south-1", Endpoint: server.URL, AccessKey: "key-0", SecretKey: "none",
		Attempts: 3, MaxBackoff: time.Millisecond})
	require.Nil(t, problem)
	for name, describe := range map[string]func() error{
		"services": func() error {
			_, err := clients.ECS.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Services: []string{"a"}})
			return err
		},
		"serviceDeployments": func() error {
			_, err := clients.ECS.DescribeServiceDeployments(t.Context(), &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{"a"}})
			return err
		},
		"serviceRevisions": func() error {
			_, err := clients.ECS.DescribeServiceRevisions(t.Context(), &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: []string{"a"}})
			return err
		},
		"tasks": func() error {
			_, err := clients.ECS.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: []string{"a"}})
			return err
		},
		"clusters": func() error {
			_, err := clients.ECS.DescribeClusters(t.Context(), &ecs.DescribeClustersInput{Clusters: []string{"a"}})
			return err
		},
	} {
		calls, answers = 0, []string{`{"` + name + `":[],"failures":[]}`, `{}`, `{"` + name + `":[],"failures":[{"reason":"MISSING"}]}`}
		require.NoError(t, describe(), name)
		assert.Equal(t, 3, calls, name)
		calls, answers = 0, []string{`{"` + name + `":[{}]}`}
		require.NoError(t, describe(), name)
		calls, answers = 0, []string{`{}`}
		require.ErrorIs(t, describe(), errSilent, name)
		assert.Equal(t, 3, calls, "%s: the attempts have an end", name)
	}
	for name, describe := range map[string]func() error{
		"TargetGroups": func() error {
			_, err := clients.Balancing.DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{TargetGroupArns: []string{"a"}})
			return err
		},
		"LoadBalancers": func() error {
			_, err := clients.Balancing.DescribeLoadBalancers(t.Context(), &elb.DescribeLoadBalancersInput{Names: []string{"a"}})
			return err
		},
		"TagDescriptions": func() error {
			_, err := clients.Balancing.DescribeTags(t.Context(), &elb.DescribeTagsInput{ResourceArns: []string{"a"}})
			return err
		},
	} {
		operation := "Describe" + strings.Replace(name, "TagDescriptions", "Tags", 1)
		result := "<" + operation + "Response><" + operation + "Result>%s</" + operation + "Result></" + operation + "Response>"
		calls, answers = 0, []string{fmt.Sprintf(result, "<"+name+"/>"), fmt.Sprintf(result, ""),
			fmt.Sprintf(result, "<"+name+"><member/></"+name+">")}
		require.NoError(t, describe(), name)
		assert.Equal(t, 3, calls, name)
	}
	calls, answers = 0, []string{`<DescribeListenersResponse><DescribeListenersResult/></DescribeListenersResponse>`}
	_, err := clients.Balancing.DescribeListeners(t.Context(), &elb.DescribeListenersInput{LoadBalancerArn: new("a")})
	require.NoError(t, err, "a load balancer may have none")
	assert.Equal(t, 1, calls)
	calls, answers = 0, []string{`<DescribeLoadBalancersResponse><DescribeLoadBalancersResult/></DescribeLoadBalancersResponse>`}
	_, err = clients.Balancing.DescribeLoadBalancers(t.Context(), &elb.DescribeLoadBalancersInput{})
	require.NoError(t, err, "an account may have no load balancer")
	assert.Equal(t, 1, calls)
	calls, answers = 0, []string{`{"taskArns":[]}`}
	_, err = clients.ECS.ListTasks(t.Context(), &ecs.ListTasksInput{})
	require.NoError(t, err, "a list may be empty")
	_, err = clients.ECS.RunTask(t.Context(), &ecs.RunTaskInput{TaskDefinition: new("a")})
	require.NoError(t, err, "what is not only read is not repeated")
	assert.Equal(t, 2, calls)
}
