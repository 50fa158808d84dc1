package overhttp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

const (
	accountID = "111122223333"
	digest    = "sha256:3b5f5d0d0f1f4ce9f5e0f6a0f5f4a6d1cbd5c7a1f1d8e2b8a4c3d2e1f0a9b8c7"
)

// world is an account that is reached over HTTP, by the project's own clients.
type world struct {
	t       *testing.T
	clock   *fakeaws.Clock
	aws     *fakeaws.Account
	server  *overhttp.Server
	url     string
	clients *account.Clients
}

func newWorld(t *testing.T) *world {
	t.Helper()
	for _, name := range []string{"AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ENDPOINT_URL"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	clock := fakeaws.NewClock()
	w := &world{t: t, clock: clock, aws: fakeaws.NewAccount(clock)}
	w.server = overhttp.New(w.aws)
	endpoint := httptest.NewServer(w.server)
	t.Cleanup(endpoint.Close)
	w.url = endpoint.URL
	w.clients = w.open(account.Options{})
	return w
}

func (w *world) open(o account.Options) *account.Clients {
	w.t.Helper()
	o.Region, o.Endpoint, o.MaxBackoff = "ap-south-1", w.url, time.Millisecond
	if o.WebIdentity == nil {
		o.AccessKey, o.SecretKey = "key-0", "none"
	}
	clients, problem := account.Open(context.Background(), o)
	require.Nil(w.t, problem)
	return clients
}

func (w *world) wired() ensure.Clients {
	c := w.clients
	return ensure.Clients{ECS: c.ECS, Balancing: c.Balancing, Scaling: c.Scaling, CloudWatch: c.CloudWatch, Logs: c.Logs}
}

func inMemory(a *fakeaws.Account) ensure.Clients {
	return ensure.Clients{ECS: a.ECS, Balancing: a.Balancing, Scaling: a.Scaling, CloudWatch: a.CloudWatch, Logs: a.Logs}
}

func plan(t *testing.T, strategy string) *rollout.Plan {
	t.Helper()
	in := rollout.Input{Spec: config.Default().RolloutSpec(), Environment: "staging", Commit: strings.Repeat("c", 40)}
	in.Image = accountID + ".dkr.ecr.ap-south-1.amazonaws.com/openstack-rca-system@" + digest
	role := "arn:aws:iam::" + accountID + ":role/"
	r := &in.Spec
	r.Account, r.Region, r.Strategy, r.VPC = accountID, "ap-south-1", strategy, "vpc-0123456789abcdef0"
	r.Subnets, r.SecurityGroups = []string{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}, []string{"sg-0123456789abcdef0"}
	r.ExecutionRole, r.TaskRole, r.InfrastructureRole = role+"execution", role+"task", role+"infrastructure"
	r.Vars = map[string]string{"LOG_LEVEL": "info", "EMPTY": ""}
	made, problems := rollout.NewPlan(in)
	require.Empty(t, problems)
	return made
}

// services is what carry needs of a client of ECS besides.
type services interface {
	CreateService(context.Context, *ecs.CreateServiceInput, ...func(*ecs.Options)) (*ecs.CreateServiceOutput, error)
	UpdateService(context.Context, *ecs.UpdateServiceInput, ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error)
}

// carry makes an account as a plan says.
func carry(clients ensure.Clients, service services, clock clock.Clock, plan *rollout.Plan) error {
	ctx := context.Background()
	state, problem := ensure.Look(ctx, clients, clock, plan)
	if problem != nil {
		return problem
	}
	if state.Unchanged() {
		return nil
	}
	if problem := state.Before(ctx); problem != nil {
		return problem
	}
	switch {
	case state.ServiceUnchanged():
	case state.Exists():
		in, err := state.UpdateService()
		if err != nil {
			return err
		}
		if _, err := service.UpdateService(ctx, in); err != nil {
			return err
		}
	default:
		in, err := state.CreateService()
		if err != nil {
			return err
		}
		if _, err := service.CreateService(ctx, in); err != nil {
			return err
		}
	}
	if problem := state.After(ctx); problem != nil {
		return problem
	}
	return nil
}

func (w *world) carry(plan *rollout.Plan) error {
	return carry(w.wired(), w.clients.ECS, w.clock, plan)
}

func (w *world) settle() {
	require.NoError(w.t, w.clock.Sleep(context.Background(), 45*time.Minute))
}

func TestAnAccountReachedOverTheWireBecomesTheSameAsInMemory(t *testing.T) {
	for _, strategy := range spec.Strategies() {
		t.Run(strategy, func(t *testing.T) {
			plan := plan(t, strategy)
			near := fakeaws.NewAccount(fakeaws.NewClock())
			require.NoError(t, carry(inMemory(near), near.ECS, fakeaws.NewClock(), plan))

			w := newWorld(t)
			require.NoError(t, w.carry(plan))
			assert.Equal(t, near.Dump(), w.aws.Dump())
			assert.Equal(t, near.Calls(), w.aws.Calls(), "no call more, none less")
			assert.LessOrEqual(t, len(w.server.Requests()), 40)

			w.settle()
			before := len(w.aws.Calls())
			state, problem := ensure.Look(context.Background(), w.wired(), w.clock, plan)
			require.Nil(t, problem)
			assert.True(t, state.Unchanged(), state.Text())
			assert.Empty(t, fakeaws.Writes(w.aws.Calls()[before:]))
		})
	}
}

const (
	family    = "arn:aws:ecs:ap-south-1:111122223333:task-definition/rca:"
	oldTask   = family + "1"
	newTask   = family + "2"
	oldDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	newDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

func crash() *fakeaws.Failure {
	return &fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", ExitCode: 137}
}

// running is a service that runs the old version, and a request for the new one.
func running(e *fakeaws.ECS, strategy types.DeploymentStrategy, b fakeaws.Behaviour) deployment.Request {
	e.Behave(oldTask, fakeaws.Behaviour{Digest: oldDigest})
	b.Digest = newDigest
	e.Behave(newTask, b)
	e.AddService("cluster", "rca", oldTask, 2, &types.DeploymentConfiguration{
		Strategy: strategy, BakeTimeInMinutes: aws.Int32(5),
		Alarms:              &types.DeploymentAlarms{AlarmNames: []string{"rca-5xx"}, Enable: true, Rollback: true},
		CanaryConfiguration: &types.CanaryConfiguration{CanaryPercent: aws.Float64(10), CanaryBakeTimeInMinutes: aws.Int32(10)},
		LinearConfiguration: &types.LinearConfiguration{StepPercent: aws.Float64(25), StepBakeTimeInMinutes: aws.Int32(5)},
		DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{
			Enable: true, Rollback: true, ThresholdConfiguration: &types.ThresholdConfiguration{Type: types.ThresholdTypeCount, Value: 3},
		},
	})
	return deployment.Request{Cluster: "cluster", Service: "rca", TaskDefinition: newTask, Container: "app", Digest: newDigest,
		Deadline: 45 * time.Minute}
}

func TestEveryVerdictOverTheWireIsTheOneInMemory(t *testing.T) {
	strategies := []types.DeploymentStrategy{types.DeploymentStrategyRolling, types.DeploymentStrategyBlueGreen,
		types.DeploymentStrategyCanary, types.DeploymentStrategyLinear}
	for name, c := range map[string]struct {
		behaviour fakeaws.Behaviour
		arrange   func(*fakeaws.ECS, *fakeaws.Clock)
		code      string
	}{
		"passes":  {},
		"crashes": {behaviour: fakeaws.Behaviour{Failure: crash(), FailAfter: 20 * time.Second}, code: deployment.RolledBack.Name},
		"alarm": {arrange: func(e *fakeaws.ECS, c *fakeaws.Clock) { c.At(30*time.Second, func() { e.SetAlarm("rca-5xx") }) },
			code: deployment.RolledBack.Name},
		"rollback fails": {behaviour: fakeaws.Behaviour{Failure: crash(), FailAfter: 20 * time.Second, RollbackFails: true},
			code: deployment.RollbackFailed.Name},
		"never healthy": {behaviour: fakeaws.Behaviour{NeverHealthy: true}, code: deployment.NeverHealthy.Name},
		"no capacity": {behaviour: fakeaws.Behaviour{NoCapacity: "(service rca) was unable to place a task because no capacity."},
			code: deployment.NoCapacity.Name},
		"superseded": {arrange: func(e *fakeaws.ECS, c *fakeaws.Clock) {
			c.At(20*time.Second, func() {
				_, _ = e.UpdateService(context.Background(), &ecs.UpdateServiceInput{Cluster: aws.String("cluster"), Service: aws.String("rca"),
					TaskDefinition: aws.String(family + "3")})
			})
		}, code: deployment.Superseded.Name},
		"missing": {arrange: func(e *fakeaws.ECS, _ *fakeaws.Clock) { e.SetStatus("cluster", "rca", "INACTIVE") },
			code: deployment.TargetMissing.Name},
		"stale": {arrange: func(e *fakeaws.ECS, _ *fakeaws.Clock) { e.Lag(20 * time.Second) }},
	} {
		for _, strategy := range strategies {
			t.Run(name+" "+string(strategy), func(t *testing.T) {
				t.Parallel()
				clock := fakeaws.NewClock()
				e := fakeaws.NewECS(clock)
				request := running(e, strategy, c.behaviour)
				if c.arrange != nil {
					c.arrange(e, clock)
				}
				near := deployment.Deploy(context.Background(), e, clock, request)
				if c.code == "" {
					require.Nil(t, near.Problem)
				} else {
					require.NotNil(t, near.Problem)
					assert.Equal(t, c.code, near.Problem.Code.Name, near.Problem.Cause)
				}

				clock = fakeaws.NewClock()
				a := fakeaws.NewAccount(clock)
				endpoint := httptest.NewServer(overhttp.New(a))
				defer endpoint.Close()
				request = running(a.ECS, strategy, c.behaviour)
				if c.arrange != nil {
					c.arrange(a.ECS, clock)
				}
				clients, problem := account.Open(context.Background(), account.Options{Region: "ap-south-1", Endpoint: endpoint.URL,
					AccessKey: "key-0", SecretKey: "none"})
				require.Nil(t, problem)
				far := deployment.Deploy(context.Background(), clients.ECS, clock, request)
				assert.Equal(t, near.Deployment, far.Deployment)
				assert.Equal(t, near.Failures, far.Failures)
				assert.Equal(t, e.Serving("cluster", "rca"), a.ECS.Serving("cluster", "rca"))
				assert.Equal(t, 0.0, near.Seconds-far.Seconds)
				assert.LessOrEqual(t, a.ECS.Calls("UpdateService"), 1+map[string]int{"superseded": 1}[name])
				assert.Equal(t, near.Problem, far.Problem)
				assert.Equal(t, near.Events, far.Events)
				assert.Equal(t, near.Calls, far.Calls)
			})
		}
	}
}

func TestErrorsKeepTheirCodesOverTheWire(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()

	_, err := w.clients.ECS.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("c"), Service: aws.String("s")})
	var answered smithy.APIError
	require.ErrorAs(t, err, &answered)
	assert.Equal(t, "ServiceNotFoundException", answered.ErrorCode())
	assert.Equal(t, "Service not found.", answered.ErrorMessage())

	_, err = w.clients.Balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{"none"}})
	require.ErrorAs(t, err, &answered)
	assert.Equal(t, "TargetGroupNotFound", answered.ErrorCode())

	over := sdkcloudwatch.New(sdkcloudwatch.Options{Region: "ap-south-1", BaseEndpoint: aws.String(w.url),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "key-0", SecretAccessKey: "none"}, nil
		})})
	for protocol, get := range map[string]func() error{
		"query": func() error {
			_, err := w.clients.CloudWatch.GetDashboard(ctx, &cloudwatch.GetDashboardInput{DashboardName: aws.String("none")})
			return err
		},
		"cbor": func() error {
			_, err := over.GetDashboard(ctx, &sdkcloudwatch.GetDashboardInput{DashboardName: aws.String("none")})
			return err
		},
	} {
		err = get()
		// The query protocol has one code for two types, of which the SDK takes either.
		require.ErrorAs(t, err, &answered, protocol)
		assert.Equal(t, "ResourceNotFound", answered.ErrorCode(), protocol)
		assert.Contains(t, answered.ErrorMessage(), "none", protocol)
	}
	var noDashboard *cwtypes.DashboardNotFoundError
	_, err = over.GetDashboard(ctx, &sdkcloudwatch.GetDashboardInput{DashboardName: aws.String("none")})
	require.ErrorAs(t, err, &noDashboard)

	w.server.Break("ecs:DescribeClusters", overhttp.Fault{Err: fakeaws.Denied("DescribeClusters")})
	_, err = w.clients.ECS.DescribeClusters(ctx, &ecs.DescribeClustersInput{})
	require.ErrorAs(t, err, &answered)
	assert.Equal(t, "AccessDeniedException", answered.ErrorCode())
	assert.Len(t, w.server.Actions(), 6, "none of these is worth a second try")
}

func TestWhatTheSDKTriesAgain(t *testing.T) {
	for name, fault := range map[string]overhttp.Fault{
		"unavailable": {Status: 503}, "server fault": {Err: errors.New("broken")},
		"reset": {Reset: true}, "lost": {Lost: true}, "half an answer": {Half: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.server.Break("*", fault)
			out, err := w.clients.ECS.DescribeServices(context.Background(), &ecs.DescribeServicesInput{Services: []string{"s"}})
			require.NoError(t, err)
			assert.Len(t, out.Failures, 1)
			assert.Equal(t, []string{"ecs:DescribeServices", "ecs:DescribeServices"}, w.server.Actions())
		})
	}
}

// An update is not safe to repeat: whether it was carried out is looked for.
func TestAnUpdateWhoseAnswerIsLostIsNotSentAgain(t *testing.T) {
	for name, fault := range map[string]overhttp.Fault{"lost": {Lost: true}, "half an answer": {Half: true}, "unavailable": {Status: 503}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			request := running(w.aws.ECS, types.DeploymentStrategyBlueGreen, fakeaws.Behaviour{})
			w.server.Break("ecs:UpdateService", fault)
			outcome := deployment.Deploy(context.Background(), w.clients.ECS, w.clock, request)
			sent := len(slices.DeleteFunc(w.server.Actions(), func(a string) bool { return a != "ecs:UpdateService" }))
			assert.Equal(t, 1, sent)
			if fault.Status == 503 {
				require.NotNil(t, outcome.Problem)
				assert.Equal(t, deployment.UpdateFailed.Name, outcome.Problem.Code.Name)
				return
			}
			require.Nil(t, outcome.Problem)
			assert.Equal(t, 1, w.aws.ECS.Calls("UpdateService"))
		})
	}
}

// Every write whose answer is lost: the SDK, this run or the next one gets it right.
func TestEveryAnswerThatIsLostIsMadeUpFor(t *testing.T) {
	plan := plan(t, "canary")
	whole := newWorld(t)
	require.NoError(t, whole.carry(plan))
	want := whole.aws.Dump()
	for _, action := range slices.Compact(slices.Sorted(slices.Values(whole.server.Actions()))) {
		for name, fault := range map[string]overhttp.Fault{"lost": {Lost: true}, "half": {Half: true}, "reset": {Reset: true},
			"unavailable": {Status: 502}} {
			t.Run(action+" "+name, func(t *testing.T) {
				w := newWorld(t)
				w.server.Break(action, fault)
				if err := w.carry(plan); err != nil {
					assert.True(t, fault.Lost || fault.Half || action == "ecs:RegisterTaskDefinition",
						"nothing was carried out, so the SDK tries again: %v", err)
					require.NoError(t, w.carry(plan))
				}
				assert.Equal(t, want, w.aws.Dump())
			})
		}
	}
}

func TestNamesThatNoServiceHasAreRefused(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	var known smithy.APIError
	containers := awscall.New(aws.Config{Region: "ap-south-1", BaseEndpoint: aws.String(w.url), Credentials: w.clients.Credentials}, awscall.Service{
		Endpoint: awscall.Regional("ecs", false), Protocol: awscall.JSON{Target: "AmazonEC2ContainerServiceV20141113", Version: "1.1"}})
	_, err := awscall.Do[struct{}](ctx, containers, "ListAccountSettings", nil)
	require.ErrorAs(t, err, &known)
	assert.Equal(t, "UnknownOperationException", known.ErrorCode())
	balancing := awscall.New(aws.Config{Region: "ap-south-1", BaseEndpoint: aws.String(w.url), Credentials: w.clients.Credentials}, awscall.Service{
		Endpoint: awscall.Regional("elasticloadbalancing", true), Protocol: awscall.Query{Version: "2015-12-01"}})
	_, err = awscall.Do[struct{}](ctx, balancing, "DescribeSSLPolicies", nil)
	require.ErrorAs(t, err, &known)
	assert.Equal(t, "InvalidAction", known.ErrorCode())

	for _, send := range []struct {
		headers map[string]string
		body    string
		status  int
	}{
		{nil, "", http.StatusNotFound},
		{map[string]string{"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListTasks", "Content-Type": "application/x-amz-json-1.1"}, "{",
			http.StatusBadRequest},
		{map[string]string{"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListTasks", "Content-Type": "application/x-amz-json-1.1"},
			`{"family": 7}`, http.StatusBadRequest},
		{map[string]string{"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListTasks", "Content-Type": "application/x-amz-json-1.1"},
			`{"nothing": "x"}`, http.StatusBadRequest},
		{map[string]string{"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListTasks", "Content-Type": "application/x-amz-json-1.1"}, `{}`, http.StatusBadRequest}, // not signed
	} {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, strings.NewReader(send.body))
		require.NoError(t, err)
		for name, value := range send.headers {
			request.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, send.status, response.StatusCode, send.body)
	}
}

func TestTenTriesAreMadeAndNoMore(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		w.server.Break("ecs:DescribeServices", overhttp.Fault{Status: 503})
	}
	_, err := w.clients.ECS.DescribeServices(context.Background(), &ecs.DescribeServicesInput{Services: []string{"rca"}})
	require.Error(t, err)
	assert.Len(t, w.server.Requests(), 10)
}

func TestTimePassesFasterThanTheWorlds(t *testing.T) {
	w := newWorld(t)
	w.server.Hasten(w.clock, 10_000)
	begun := w.clock.Now()
	assert.WithinDuration(t, time.Now(), begun, time.Minute, "it begins with the world's time")
	time.Sleep(20 * time.Millisecond)
	_, err := w.clients.ECS.DescribeServices(context.Background(), &ecs.DescribeServicesInput{Services: []string{"rca"}})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, w.clock.Now().Sub(begun), 200*time.Second)
}
