package overhttp_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/iam"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	cluster  = "openstack-rca-cluster-staging"
	service  = "openstack-rca-service-staging"
	revision = "arn:aws:ecs:ap-south-1:111122223333:task-definition/openstack-rca-task-staging:"
	store    = "s3://models/rca"

	certificate = "arn:aws:acm:ap-south-1:" + accountID + ":certificate/"
)

// operator calls the commands of the rollout over the wire, each with the rights that
// docs/iam gives it.
type operator struct {
	*world
	in       release.Input
	policies map[string]*overhttp.Policies
}

func newOperator(t *testing.T, strategy string) *operator {
	t.Helper()
	o := &operator{world: newWorld(t), policies: map[string]*overhttp.Policies{}}
	o.in = release.Input{Journal: store, Name: "run", Input: rollout.Input{Spec: config.Default().RolloutSpec(), Environment: "staging",
		Image: image("a")}}
	role := "arn:aws:iam::" + accountID + ":role/"
	r := &o.in.Spec
	r.Account, r.Strategy, r.VPC = accountID, strategy, "vpc-0123456789abcdef0"
	r.Subnets, r.SecurityGroups = []string{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}, []string{"sg-0123456789abcdef0"}
	r.ExecutionRole, r.TaskRole, r.InfrastructureRole = role+"execution", role+"task", role+"infrastructure"
	tuning := rollout.DefaultTuning()
	r.Certificate = certificate + "11111111-2222-3333-4444-555555555555"
	o.in.Tuning = &tuning
	o.in.Get = func(context.Context, string) error { return nil }
	return o
}

// may limits what follows to the named policies of the plan.
func (o *operator) may(names ...string) {
	o.t.Helper()
	plan, problems := rollout.NewPlan(o.in.Input)
	require.Empty(o.t, problems)
	all := &merged{}
	for _, policy := range plan.Policies(store) {
		name := strings.TrimSuffix(policy.File, ".json")
		if !slices.Contains(names, name) {
			continue
		}
		if o.policies[name] == nil {
			parsed, err := overhttp.NewPolicies(policy.JSON())
			require.NoError(o.t, err)
			o.policies[name] = parsed
		}
		all.of = append(all.of, o.policies[name])
	}
	require.Len(o.t, all.of, len(names))
	o.server.Allow = all.allow
}

// merged allows what the policies allow together.
type merged struct{ of []*overhttp.Policies }

func (m *merged) allow(r overhttp.Request) error { return overhttp.Together(r, m.of...) }

func image(n string) string {
	return accountID + ".dkr.ecr.ap-south-1.amazonaws.com/openstack-rca-system@sha256:" + strings.Repeat(n, 64)
}

func (o *operator) deploy(n string) *release.Result {
	in := o.in
	in.Image = image(n)
	return release.Deploy(context.Background(), release.Of(o.clients), o.clock, in)
}

func (o *operator) passes(result *release.Result) {
	o.t.Helper()
	require.Equal(o.t, verdict.Pass, result.Stage.Verdict, "%s: %s", result.Stage.Code, result.Stage.Cause)
}

// everything calls every command, and makes each change that a plan can ask for.
func (o *operator) everything() {
	o.t.Helper()
	ctx := context.Background()
	of := release.Of(o.clients)
	looking, deploying, cleaning := []string{"reader"}, []string{"reader", "deployer"}, []string{"reader", "deployer", "cleaner"}
	if o.in.Spec.ExecutionRole == "" {
		looking, deploying, cleaning = append(looking, "role-maker"), append(deploying, "role-maker"), append(cleaning, "role-maker")
	}

	o.may(looking...)
	planned := release.Plan(ctx, of, o.clock, o.in)
	o.passes(planned)
	assert.True(o.t, planned.Changed)

	// The first deployment fails and is taken back, the second serves.
	o.may(deploying...)
	o.aws.ECS.Behave(revision+"1", fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second, Log: []string{"MemoryError"}})
	require.Equal(o.t, verdict.Fail, o.deploy("a").Stage.Verdict)
	o.passes(o.deploy("b"))

	o.may(looking...)
	o.passes(release.Status(ctx, of, o.clock, o.in))

	// Everything that can be changed is.
	o.may(deploying...)
	r := &o.in.Spec
	r.LogDays, r.Max, r.TargetCPU = 7, r.Max+1, 55
	r.Subnets = append(slices.Clone(r.Subnets), "subnet-0123456789abcdef2")
	r.SecurityGroups = append(slices.Clone(r.SecurityGroups), "sg-0123456789abcdef1")
	o.in.Spec.App.Health += "/2"
	o.in.Tuning.LatencySeconds, o.in.Tuning.IdleSeconds, o.in.Tuning.GroupStickinessSeconds = 9, 90, 60
	r.Drain = time.Minute
	if r.ExecutionRole == "" {
		_, err := o.aws.Roles.UpdateAssumeRolePolicy(ctx,
			&iam.UpdateAssumeRolePolicyInput{RoleName: aws.String(service + "-ap-south-1-execution"), PolicyDocument: aws.String("{}")})
		require.NoError(o.t, err)
	}
	r.Certificate = certificate + "66666666-7777-8888-9999-000000000000"
	_, err := o.aws.ECS.UpdateClusterSettings(ctx, &ecs.UpdateClusterSettingsInput{Cluster: aws.String(cluster)})
	require.NoError(o.t, err)
	o.passes(o.deploy("b"))

	// One that crashes is rolled back; a finished one is, on demand.
	serving := o.aws.ECS.Serving(cluster, service)
	next := func() string { return revision + string(o.aws.ECS.Serving(cluster, service)[len(revision)]+1) }
	crashes := fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second, Log: []string{"MemoryError"}}
	o.aws.ECS.Behave(next(), crashes)
	assert.Equal(o.t, "TRIAL_FAILED", o.deploy("c").Stage.Code)
	crashes.Alone = &fakeaws.Behaviour{}
	o.aws.ECS.Behave(next(), crashes)
	assert.Equal(o.t, "ROLLED_BACK", o.deploy("c").Stage.Code)
	assert.Equal(o.t, serving, o.aws.ECS.Serving(cluster, service))
	o.passes(o.deploy("d"))
	o.passes(release.Rollback(ctx, of, o.clock, o.in))

	// Somebody else's deployment pauses: it is approved; the next one is rejected.
	for _, answer := range []func(context.Context, release.Clients, clock.Clock, release.Input) *release.Result{release.Approve,
		release.Reject} {
		if r.Strategy == "rolling" {
			break // which knows no pauses
		}
		o.paused(revision + "4")
		result := answer(ctx, of, o.clock, o.in)
		assert.NotContains(o.t, result.Stage.Cause, "not authorized")
		assert.True(o.t, result.Changed, "%s: %s", result.Stage.Code, result.Stage.Cause)
		o.settle()
	}

	o.may(cleaning...)
	for range 12 {
		_, err := o.aws.ECS.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{Family: aws.String("openstack-rca-task-staging"),
			Tags: o.tags()})
		require.NoError(o.t, err)
	}
	o.passes(release.Prune(ctx, of, o.clock, o.in, 2))
	plan, problems := rollout.NewPlan(o.in.Input)
	require.Empty(o.t, problems)
	left := *plan.Trial.Task
	left.TaskDefinition = aws.String("openstack-rca-task-staging")
	_, err = o.aws.ECS.RunTask(ctx, &left) // as a run leaves it that is lost
	require.NoError(o.t, err)
	o.passes(release.Destroy(ctx, of, o.clock, o.in, service, true))
}

func (o *operator) tags() []types.Tag {
	out, err := o.aws.ECS.DescribeTaskDefinition(context.Background(),
		&ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("openstack-rca-task-staging")})
	require.NoError(o.t, err)
	return out.Tags
}

// paused starts a deployment that waits for approval before its tasks start.
func (o *operator) paused(taskDefinition string) {
	o.t.Helper()
	ctx := context.Background()
	now, err := o.aws.ECS.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String(cluster), Services: []string{service}})
	require.NoError(o.t, err)
	settings := *now.Services[0].DeploymentConfiguration
	settings.LifecycleHooks = []types.DeploymentLifecycleHook{{TargetType: types.DeploymentLifecycleHookTargetTypePause,
		LifecycleStages: []types.DeploymentLifecycleHookStage{types.DeploymentLifecycleHookStagePreScaleUp}}}
	_, err = o.aws.ECS.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String(cluster), Service: aws.String(service),
		TaskDefinition: aws.String(taskDefinition), DeploymentConfiguration: &settings})
	require.NoError(o.t, err)
	require.NoError(o.t, o.clock.Sleep(ctx, 30*time.Second))
}

// The documented rights are enough for every command, and each of them is needed.
func TestEveryCommandHasTheRightsItNeedsAndNoOthers(t *testing.T) {
	used := map[string]map[string]bool{"reader": {}, "deployer": {}, "cleaner": {}, "role-maker": {}}
	for _, strategy := range spec.Strategies() {
		t.Run(strategy, func(t *testing.T) {
			o := newOperator(t, strategy)
			if strategy == spec.Strategies()[len(spec.Strategies())-1] {
				o.in.Spec.ExecutionRole = "" // the pipeline makes it
			}
			o.everything()
			for name, policy := range o.policies {
				for _, right := range policy.Used() {
					used[name][right] = true
				}
			}
			if strategy == spec.Strategies()[len(spec.Strategies())-1] {
				for name := range used {
					for _, right := range o.policies[name].Unused() {
						assert.True(t, used[name][right], "nothing needs %s of %s", right, name)
					}
				}
			}
		})
	}
}

// The other way round: with any one right taken away, something is refused.
func TestWithoutARightARolloutIsRefused(t *testing.T) {
	o := newOperator(t, "canary")
	o.may("reader", "deployer")
	with := o.server.Allow
	for _, missing := range []string{"s3:ListBucket", "s3:PutObject", "iam:PassRole", "elasticloadbalancing:AddTags",
		"ecs:ListServiceDeployments", "logs:TagResource"} {
		o = newOperator(t, "canary")
		o.server.Allow = func(r overhttp.Request) error { return overhttp.Without(missing, r, with) }
		result := o.deploy("a")
		assert.NotEqual(t, verdict.Pass, result.Stage.Verdict, missing)
		assert.Contains(t, strings.ToLower(result.Stage.Cause), "not authorized", missing)
	}
}
