package release

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const testCertificate = "arn:aws:acm:ap-south-1:" + accountID + ":certificate/11111111-2222-3333-4444-555555555555"

// row is the evidence of a name.
func row(t *testing.T, result *Result, name string) verdict.Evidence {
	t.Helper()
	for _, e := range result.Stage.Evidence {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("there is no evidence %q:\n%s", name, evidenceOf(result))
	return verdict.Evidence{}
}

func table(t *testing.T, result *Result, title string) [][]string {
	t.Helper()
	for _, block := range result.Stage.Blocks {
		if block.Title == title {
			return block.Table.Rows
		}
	}
	t.Fatalf("there is no block %q", title)
	return nil
}

func TestTheReportHasTheAddressAndWhereToLook(t *testing.T) {
	w := newWorld(t, "rolling")
	for _, result := range []*Result{w.deployed("a"), w.asked(Status)} {
		assert.Equal(t, "http://openstack-rca-service-staging.elb.amazonaws.com", row(t, result, "address").Value)
		links := table(t, result, "Where to look")
		assert.Equal(t, []string{"service", "http://openstack-rca-service-staging.elb.amazonaws.com"}, links[0])
		assert.Equal(t, "console: logs", links[3][0])
	}
	w.in.Spec.Certificate = testCertificate
	result := w.deployed("a")
	assert.Equal(t, "https://openstack-rca-service-staging.elb.amazonaws.com", row(t, result, "address").Value)
	assert.Equal(t, "https://openstack-rca-service-staging.elb.amazonaws.com/_stcore/health", w.gets[len(w.gets)-1])
	assert.Equal(t, "https://openstack-rca-service-staging.elb.amazonaws.com", row(t, w.asked(Status), "address").Value)
	w.aws.Fail("elb:DescribeLoadBalancers", errors.New("no route"))
	assert.Contains(t, row(t, w.asked(Status), "address").Value, "unknown: ")
}

func TestADeploymentOfWhatRunsNamesWhatItChanged(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	result := w.deployed("a")
	assert.Equal(t, "no new one: this version is deployed already", row(t, result, "deployment").Value)
	assert.Equal(t, "nothing", row(t, result, "written").Value)
	w.in.Spec.Max++
	w.in.Spec.Certificate = testCertificate
	result = w.deployed("a")
	assert.Equal(t, "no new one: this version is deployed already", row(t, result, "deployment").Value)
	written := row(t, result, "written").Value
	assert.True(t, strings.HasPrefix(written, "3 resources: "), written)
	assert.Contains(t, written, "change listener openstack-rca-service-staging:443")
	assert.Contains(t, written, "create listener openstack-rca-service-staging:80")
	assert.Contains(t, written, "change scalable target")
}

func TestACertificateGivenByHandSurvivesADeployment(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	balancers, err := w.aws.Balancing.DescribeLoadBalancers(w.ctx,
		&elb.DescribeLoadBalancersInput{Names: []string{"openstack-rca-service-staging"}})
	require.NoError(t, err)
	of := &elb.DescribeListenersInput{LoadBalancerArn: balancers.LoadBalancers[0].LoadBalancerArn}
	listeners, err := w.aws.Balancing.DescribeListeners(w.ctx, of)
	require.NoError(t, err)
	_, err = w.aws.Balancing.ModifyListener(w.ctx, &elb.ModifyListenerInput{ListenerArn: listeners.Listeners[0].ListenerArn,
		Port:     aws.Int32(443),
		Protocol: elbtypes.ProtocolEnumHttps, Certificates: []elbtypes.Certificate{{CertificateArn: aws.String(testCertificate)}},
		SslPolicy: aws.String("ELBSecurityPolicy-2016-08"), DefaultActions: listeners.Listeners[0].DefaultActions})
	require.NoError(t, err)
	for _, n := range []string{"a", "b"} {
		result := w.deployed(n)
		assert.Contains(t, warnings(result), ensure.ProtectionKept.Name)
		assert.NotContains(t, warnings(result), "NOT_ENCRYPTED")
		assert.Equal(t, "https://openstack-rca-service-staging.elb.amazonaws.com", row(t, result, "address").Value)
		listeners, err = w.aws.Balancing.DescribeListeners(w.ctx, of)
		require.NoError(t, err)
		require.Len(t, listeners.Listeners, 1)
		assert.Equal(t, elbtypes.ProtocolEnumHttps, listeners.Listeners[0].Protocol)
	}
	assert.Contains(t, warnings(Plan(w.ctx, w.clients(), w.clock, w.in)), ensure.ProtectionKept.Name)
}

func TestTheEvidenceIsTheStateThatItWasHeldAgainst(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	// The deployment ends well, and the service does not answer.
	w.in.Get = func(context.Context, string) error { return errors.New("502 Bad Gateway") }
	result := w.deploy("a")
	require.Equal(t, deployment.NotServing.Name, result.Stage.Code)
	e := row(t, result, "deployment")
	assert.True(t, e.OK)
	smoke := row(t, result, "smoke test")
	assert.False(t, smoke.OK)
	assert.Contains(t, smoke.Value, "502 Bad Gateway")

	// It fails, and the old version is put back.
	w.in.Get = func(context.Context, string) error { return nil }
	crash := fakeaws.Behaviour{FailAfter: 5 * time.Second, Alone: &fakeaws.Behaviour{},
		Failure: &fakeaws.Failure{Code: "EssentialContainerExited", Reason: "Essential container in task exited", ExitCode: 1}}
	w.aws.ECS.Behave(family+"2", crash)
	result = w.deploy("b")
	require.Equal(t, deployment.RolledBack.Name, result.Stage.Code, result.Stage.Cause)
	e = row(t, result, "deployment")
	assert.False(t, e.OK)
	assert.Contains(t, e.Value, "ROLLBACK_SUCCESSFUL")
	assert.NotContains(t, result.Stage.Cause, "Stopped by the user", "that was this run")
	assert.Contains(t, result.Stage.Cause, "so this run rolled it back")

	pruned := w.asked(func(ctx context.Context, c Clients, k clock.Clock, in Input) *Result { return Prune(ctx, c, k, in, 1) })
	assert.Equal(t, [][]string{
		{family + "2", "kept: the service names it, and does not run it"}, {family + "1", "kept: the service runs it"},
	}, table(t, pruned, "Task definitions"))
}

func TestTheCertificateOfALoadBalancerIsForAnotherName(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	require.NoError(t, getAnyName(context.Background(), server.URL))
	require.Error(t, Get(context.Background(), server.URL), "an address that somebody gave is asked as a browser would")
}
