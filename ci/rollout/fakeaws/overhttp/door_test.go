package overhttp_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
)

func TestTheAddressOfALoadBalancerAnswersAsItsServiceWould(t *testing.T) {
	ctx := t.Context()
	o := newOperator(t, "rolling")
	require.NoError(t, o.server.OpenDoors(ctx, "127.0.0.1"))
	o.in.Spec.Certificate = ""
	o.in.Get = nil // over the network
	ask := func(scheme string) int {
		balancers, err := o.aws.Balancing.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{service}})
		require.NoError(t, err)
		client := &http.Client{
			Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
				DisableKeepAlives: true}, //nolint:gosec // nobody trusts it
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet,
			scheme+"://"+aws.ToString(balancers.LoadBalancers[0].DNSName)+"/x", nil)
		require.NoError(t, err)
		answer, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode
	}
	o.passes(o.deploy("a"))
	assert.Equal(t, http.StatusOK, ask("http"))
	assert.Equal(t, http.StatusBadRequest, ask("https"), "nothing listens there")
	o.in.Spec.Certificate = certificate + "11111111-2222-3333-4444-555555555555"
	o.in.Spec.Drain = 0
	o.passes(o.deploy("a"))
	assert.Equal(t, http.StatusOK, ask("https"))
	assert.Equal(t, http.StatusMovedPermanently, ask("http"))
	o.aws.Balancing.Weigh(0, 0)
	assert.Equal(t, http.StatusServiceUnavailable, ask("https"))
	status, _ := o.aws.Balancing.Answer("no-such-balancer", false)
	assert.Equal(t, http.StatusServiceUnavailable, status)
}
