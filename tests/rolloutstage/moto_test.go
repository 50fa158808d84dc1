//go:build unix

// Package rolloutstage_test rolls out over the wire: against moto, an implementation of
// AWS by others, for what that covers, and against the project's own fake account for
// what takes seconds: the SDK's patience.
package rolloutstage_test

import (
	"bytes"
	"context"
	_ "embed"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdkcloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwschemas "github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	sdkiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/iam"
	"github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

//go:embed testdata/moto.lock
var lock []byte

// motoAccount is the account of every caller of moto.
const motoAccount = "123456789012"

// moto is a started server with the clients of its account, and what its account has from the start.
type moto struct {
	t       *testing.T
	url     string
	clients *account.Clients
	// scalingTags are those that scalable targets were registered with.
	scalingTags map[string]string
	vpc         string
	subnets     []string
	group       string
}

func startMoto(t *testing.T) *moto {
	t.Helper()
	reachable.Python(t)
	if testing.Short() {
		t.Skip("starting a real server takes seconds; run without -short")
	}
	for name, value := range map[string]string{"AWS_PROFILE": "", "AWS_ENDPOINT_URL": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": t.TempDir() + "/none"} {
		t.Setenv(name, value)
	}
	r, err := native.New(native.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.Background())) })
	started := time.Now()
	server, err := r.Start(t.Context(), runner.Service{
		Name: "moto",
		Env: runner.Environment{Python: "3.11", Files: r.NewFiles(map[string][]byte{"moto.lock": lock}),
			Install: [][]string{{"uv", "pip", "install", "--quiet", "--require-hashes", "-r", "moto.lock"}}},
		Args: []string{"moto_server", "--host", "{{bind}}", "--port", "{{port}}"},
		Vars: map[string]string{"PYTHONUNBUFFERED": "1"}, Port: 5000, Ready: "/moto-api/", StartTimeout: 2 * time.Minute,
	})
	require.NoError(t, err)
	t.Logf("moto answers after %.1f s, its environment included", time.Since(started).Seconds())
	m := &moto{t: t, url: "http://" + server.Address}
	clients, problem := account.Open(t.Context(), account.Options{Region: "ap-south-1", Endpoint: m.url, AccessKey: "key-0", SecretKey: "none",
		Attempts: 2})
	require.Nil(t, problem)
	m.clients = clients
	m.vpc = m.ids("DescribeVpcs", "vpcId")[0]
	m.subnets = m.ids("DescribeSubnets", "subnetId")[:2]
	m.group = m.ids("DescribeSecurityGroups", "groupId")[0]
	return m
}

// ids asks EC2 for the IDs of one kind; the project itself has no client of EC2.
func (m *moto) ids(action, element string) []string {
	m.t.Helper()
	request, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.url,
		strings.NewReader("Action="+action+"&Version=2016-11-15"))
	require.NoError(m.t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization",
		"AWS4-HMAC-SHA256 Credential=key-0/20260101/ap-south-1/ec2/aws4_request, SignedHeaders=host, Signature=none")
	response, err := http.DefaultClient.Do(request)
	require.NoError(m.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(m.t, err)
	var all []string
	for _, found := range regexp.MustCompile("<"+element+">([a-z0-9-]+)<").FindAllStringSubmatch(string(content), -1) {
		if !slices.Contains(all, found[1]) {
			all = append(all, found[1])
		}
	}
	require.NotEmpty(m.t, all, string(content))
	return all
}

func (m *moto) input(strategy string) rollout.Input {
	in := rollout.Input{Spec: config.Default().RolloutSpec(), Environment: "staging", Commit: strings.Repeat("c", 40)}
	in.Image = motoAccount + ".dkr.ecr.ap-south-1.amazonaws.com/openstack-rca-system@sha256:" + strings.Repeat("1", 64)
	role := "arn:aws:iam::" + motoAccount + ":role/"
	r := &in.Spec
	r.Account, r.Region, r.Strategy, r.VPC, r.Subnets, r.SecurityGroups = motoAccount, "ap-south-1", strategy, m.vpc, m.subnets,
		[]string{m.group}
	r.ExecutionRole, r.TaskRole, r.InfrastructureRole = role+"execution", role+"task", role+"infrastructure"
	r.Vars = map[string]string{"LOG_LEVEL": "info"}
	tuning := rollout.DefaultTuning()
	in.Tuning = &tuning
	return in
}

func (m *moto) plan(in rollout.Input) *rollout.Plan {
	m.t.Helper()
	plan, problems := rollout.NewPlan(in)
	require.Empty(m.t, problems)
	return plan
}

func (m *moto) services() ensure.Clients {
	c := m.clients
	return ensure.Clients{ECS: c.ECS, Balancing: c.Balancing, Scaling: &remembering{Client: c.Scaling, moto: m}, CloudWatch: c.CloudWatch,
		Logs: c.Logs, Roles: c.IAM}
}

func (m *moto) look(plan *rollout.Plan) *ensure.State {
	m.t.Helper()
	state, problem := ensure.Look(m.t.Context(), m.services(), clock.System{}, plan)
	if problem != nil {
		require.FailNow(m.t, problem.Error())
	}
	return state
}

// carry makes the account as the plan says.
func (m *moto) carry(plan *rollout.Plan) *ensure.State {
	m.t.Helper()
	state := m.look(plan)
	require.Nil(m.t, state.Before(m.t.Context()))
	if !state.Exists() {
		in, err := state.CreateService()
		require.NoError(m.t, err)
		_, err = m.clients.ECS.CreateService(m.t.Context(), in)
		require.NoError(m.t, err)
	}
	require.Nil(m.t, state.After(m.t.Context()))
	return state
}

// remembering is the client of Application Auto Scaling with the one answer that moto has
// not: the tags of a target.
type remembering struct {
	*scaling.Client
	moto *moto
}

// RegisterScalableTarget keeps the tags and registers the target.
func (r *remembering) RegisterScalableTarget(ctx context.Context, in *scaling.RegisterScalableTargetInput) (
	*scaling.RegisterScalableTargetOutput, error) {
	out, err := r.Client.RegisterScalableTarget(ctx, in)
	if err == nil && in.Tags != nil {
		r.moto.scalingTags = in.Tags
	}
	return out, err
}

// ListTagsForResource returns them.
func (r *remembering) ListTagsForResource(context.Context, *scaling.ListTagsForResourceInput) (*scaling.ListTagsForResourceOutput, error) {
	return &scaling.ListTagsForResourceOutput{Tags: r.moto.scalingTags}, nil
}

// others are all changes but those of the service itself: moto drops most of what a
// service is created with, so that what it describes always differs.
func others(state *ensure.State) []ensure.Change {
	return slices.DeleteFunc(state.Changes(), func(c ensure.Change) bool {
		return c.Kind == "ecs service" || c.Action == ensure.Keep
	})
}

func TestEverythingAroundTheServiceIsMadeChangedAndDeletedOnMoto(t *testing.T) {
	m := startMoto(t)
	ctx := t.Context()
	who, problem := account.Guard(ctx, m.clients.STS, motoAccount)
	require.Nil(t, problem)
	assert.Contains(t, who, motoAccount)
	_, problem = account.Guard(ctx, m.clients.STS, "111122223333")
	require.NotNil(t, problem)
	assert.Equal(t, account.WrongAccount.Name, problem.Code.Name)

	in := m.input("canary")
	in.Spec.ExecutionRole = "" // it is made
	plan := m.plan(in)
	empty := m.look(plan)
	for _, change := range empty.Changes() {
		assert.Equal(t, ensure.Create, change.Action, "%s %s", change.Kind, change.Name)
	}
	made := m.carry(plan)
	assert.Len(t, made.Written(), len(empty.Changes())-1, "everything but the service, which the deployment writes")
	again := m.look(plan)
	assert.Empty(t, others(again), "what was written reads back as it was planned: %s", again.Text())
	assert.True(t, again.Exists())
	assert.NotEmpty(t, again.TaskDefinition())
	assert.Equal(t, made.TaskDefinition(), again.TaskDefinition(), "the revision is found by its content")

	// What another client sees is what was planned.
	groups, err := m.clients.Balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	require.NoError(t, err)
	assert.Len(t, groups.TargetGroups, 2)
	for _, group := range groups.TargetGroups {
		assert.Equal(t, elbtypes.TargetTypeEnumIp, group.TargetType)
		assert.EqualValues(t, 7051, aws.ToInt32(group.Port))
	}
	alarms, err := m.clients.CloudWatch.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String("openstack-rca")})
	require.NoError(t, err)
	assert.Len(t, alarms.MetricAlarms, len(plan.Alarms))
	revisions, err := m.clients.ECS.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{FamilyPrefix: plan.TaskDefinition.Family})
	require.NoError(t, err)
	assert.Len(t, revisions.TaskDefinitionArns, 1)

	// One value after the other is changed, and only that is written.
	for _, c := range []struct {
		name   string
		change func(*rollout.Input)
		kinds  []string
	}{
		{"a secret", func(in *rollout.Input) {
			in.Spec.Secrets = map[string]string{"KEY": "arn:aws:secretsmanager:ap-south-1:" + motoAccount + ":secret:rca-AbCdEf"}
		}, []string{"iam role", "task definition"}},
		{"retention", func(in *rollout.Input) { in.Spec.LogDays = 7 }, []string{"log group"}},
		{"bounds", func(in *rollout.Input) { in.Spec.Max = 9 }, []string{"scalable target"}},
		{"target", func(in *rollout.Input) { in.Spec.TargetCPU = 55 }, []string{"scaling policy"}},
		{"threshold", func(in *rollout.Input) { in.Tuning.LatencySeconds = 9 }, []string{"alarm"}},
		{"drain", func(in *rollout.Input) { in.Spec.Drain = time.Minute }, []string{"target group", "target group"}},
		{"idle", func(in *rollout.Input) { in.Tuning.IdleSeconds = 90 }, []string{"load balancer"}},
	} {
		c.change(&in)
		plan = m.plan(in)
		var kinds []string
		for _, change := range others(m.look(plan)) {
			kinds = append(kinds, change.Kind)
			assert.Equal(t, ensure.Update, change.Action)
		}
		assert.Equal(t, c.kinds, kinds, c.name)
		m.carry(plan)
		assert.Empty(t, others(m.look(plan)), c.name)
	}

	role, err := m.clients.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: plan.ExecutionRole.Role.RoleName})
	require.NoError(t, err)
	assert.Equal(t, *plan.TaskDefinition.ExecutionRoleArn, aws.ToString(role.Role.Arn))
	_, err = m.clients.IAM.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: plan.ExecutionRole.Role.RoleName,
		PolicyDocument: aws.String(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`)})
	require.NoError(t, err)
	require.Len(t, others(m.look(plan)), 1)
	m.carry(plan)
	assert.Empty(t, others(m.look(plan)), "the trust is put back")

	// ECS moves the weights; they are not ours to repair.
	rules, err := m.clients.Balancing.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: m.listener()})
	require.NoError(t, err)
	for _, rule := range rules.Rules {
		if aws.ToBool(rule.IsDefault) {
			continue
		}
		moved := rule.Actions
		forward := moved[0].ForwardConfig.TargetGroups
		forward[0].Weight, forward[1].Weight = aws.Int32(0), aws.Int32(100)
		_, err := m.clients.Balancing.ModifyRule(ctx, &elb.ModifyRuleInput{RuleArn: rule.RuleArn, Actions: moved})
		require.NoError(t, err)
	}
	assert.Empty(t, others(m.look(plan)))

	// All of it can go again, but for what is somebody else's.
	foreign := *plan.Alarms[0].AlarmName
	watch := sdkcloudwatch.New(sdkcloudwatch.Options{Region: "ap-south-1", BaseEndpoint: aws.String(m.url), Credentials: m.clients.Credentials},
		func(o *sdkcloudwatch.Options) { o.Protocol = awsquery.New(cwschemas.GraniteServiceVersion20100801) })
	_, err = watch.UntagResource(ctx, &sdkcloudwatch.UntagResourceInput{ResourceARN: m.alarm(foreign).AlarmArn,
		TagKeys: []string{rollout.TagPrefix + "service"}})
	require.NoError(t, err)
	taken := m.look(plan)
	require.NotEmpty(t, taken.Problems())
	assert.Equal(t, ensure.NotOurs.Name, taken.Problems()[0].Code.Name)
	assert.NotNil(t, taken.Before(ctx))
	gone, problem := ensure.Destroy(ctx, m.services(), clock.System{}, plan, *plan.Service.ServiceName, true)
	if problem != nil {
		require.FailNow(t, problem.Error())
	}
	assert.NotEmpty(t, gone.Deleted)
	m.alarm(foreign)
	balancers, err := m.clients.Balancing.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{})
	require.NoError(t, err)
	assert.Empty(t, balancers.LoadBalancers)
	groups, err = m.clients.Balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	require.NoError(t, err)
	assert.Empty(t, groups.TargetGroups)
	for _, change := range m.look(plan).Changes() {
		if change.Name != foreign {
			assert.Equal(t, ensure.Create, change.Action, "%s %s", change.Kind, change.Name)
		}
	}
}

func (m *moto) listener() *string {
	m.t.Helper()
	balancers, err := m.clients.Balancing.DescribeLoadBalancers(m.t.Context(), &elb.DescribeLoadBalancersInput{})
	require.NoError(m.t, err)
	listeners, err := m.clients.Balancing.DescribeListeners(m.t.Context(),
		&elb.DescribeListenersInput{LoadBalancerArn: balancers.LoadBalancers[0].LoadBalancerArn})
	require.NoError(m.t, err)
	return listeners.Listeners[0].ListenerArn
}

func (m *moto) alarm(name string) cloudwatch.MetricAlarm {
	m.t.Helper()
	out, err := m.clients.CloudWatch.DescribeAlarms(m.t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{name}})
	require.NoError(m.t, err)
	require.Len(m.t, out.MetricAlarms, 1)
	return out.MetricAlarms[0]
}

// Each policy that the project documents is one that an IAM takes: moto validates
// documents as IAM does.
func TestTheDocumentedPoliciesAreTakenByIAM(t *testing.T) {
	m := startMoto(t)
	ctx := t.Context()
	plan := m.plan(m.input("canary"))
	client := sdkiam.New(sdkiam.Options{Region: m.input("canary").Spec.Region, BaseEndpoint: aws.String(m.url),
		Credentials: credentials.NewStaticCredentialsProvider("key", "none", "")})
	for _, strategy := range spec.Strategies() {
		for _, policy := range m.plan(m.input(strategy)).Policies("s3://bucket/models") {
			name := strings.TrimSuffix(policy.File, ".json")
			if strings.HasSuffix(name, "-trust") {
				_, err := client.CreateRole(ctx, &sdkiam.CreateRoleInput{RoleName: aws.String(strategy + "-" + name),
					AssumeRolePolicyDocument: aws.String(string(policy.JSON()))})
				assert.NoError(t, err, policy.File)
				continue
			}
			_, err := client.CreatePolicy(ctx, &sdkiam.CreatePolicyInput{PolicyName: aws.String(strategy + "-" + name),
				PolicyDocument: aws.String(string(policy.JSON()))})
			assert.NoError(t, err, policy.File)
		}
	}
	broken := bytes.Replace(plan.Policies("s3://bucket/models")[0].JSON(), []byte(`"Effect": "Allow"`), []byte(`"Effect": "Perhaps"`), 1)
	_, err := client.CreatePolicy(ctx, &sdkiam.CreatePolicyInput{PolicyName: aws.String("broken"), PolicyDocument: aws.String(string(broken))})
	assert.Error(t, err, "an invalid document is refused, so the others were validated")
}

// The journal's lock and record on an S3 API by others, which honours its conditions; also
// in a bucket whose Object Lock retains every object, which refuses writes without a checksum.
func TestTheJournalIsKeptOnMoto(t *testing.T) {
	m := startMoto(t)
	ctx := t.Context()
	sdk := s3.New(s3.Options{BaseEndpoint: aws.String(m.url), UsePathStyle: true, Region: "ap-south-1", Credentials: m.clients.Credentials,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired})
	for _, bucket := range []string{"models", "locked-models"} {
		locked := bucket != "models"
		_, err := sdk.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket),
			ObjectLockEnabledForBucket: aws.Bool(locked),
			CreateBucketConfiguration:  &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraintApSouth1}})
		require.NoError(t, err)
		if locked {
			_, err := sdk.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{Bucket: aws.String(bucket),
				ObjectLockConfiguration: &s3types.ObjectLockConfiguration{ObjectLockEnabled: s3types.ObjectLockEnabledEnabled,
					Rule: &s3types.ObjectLockRule{DefaultRetention: &s3types.DefaultRetention{Mode: s3types.ObjectLockRetentionModeGovernance,
						Days: aws.Int32(1)}}}})
			require.NoError(t, err)
			_, err = m.clients.Objects.PutObject(ctx, &s3object.PutObjectInput{Bucket: bucket, Key: "bare", Body: strings.NewReader("x")})
			require.Error(t, err, "this bucket demands a checksum")
		}
		keepJournal(t, m, bucket)
	}
}

func keepJournal(t *testing.T, m *moto, bucket string) {
	t.Helper()
	ctx := t.Context()
	open := func(name string) *journal.Journal {
		j, problem := journal.Open(m.clients.Objects, clock.System{},
			journal.Options{Root: "s3://" + bucket + "/rca", App: "rca", Environment: "staging", Service: "rca", Name: name})
		require.Nil(t, problem)
		return j
	}
	first, second := open("first"), open("second")
	empty, err := first.Read(ctx)
	require.NoError(t, err)
	assert.Nil(t, empty.Holder)
	require.NoError(t, first.Hold(ctx))
	held, err := second.Read(ctx)
	require.NoError(t, err)
	require.NotNil(t, second.Held(held))
	assert.Equal(t, "first", held.Holder.Name)
	require.NoError(t, first.End(ctx, journal.Run{Kind: "deploy", Image: "rca", Verdict: journal.Passed}))
	require.NoError(t, first.Release(ctx))
	_, err = second.Read(ctx)
	require.NoError(t, err)
	require.NoError(t, second.Hold(ctx))
	assert.Error(t, first.Hold(ctx), "a run that lost the lock cannot write")
	digest := "sha256:" + strings.Repeat("1", 64)
	require.NoError(t, second.MarkRan(ctx, "rca@"+digest, digest))
	ran, err := first.Ran(ctx, "staging", digest)
	require.NoError(t, err)
	assert.True(t, ran)
}
