package pipeline

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const stagingConfig = `
rollout:
  account: "111122223333"
  strategy: rolling
  vpc: vpc-0123456789abcdef0
  subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
  security_groups: [sg-0123456789abcdef0]
  execution_role: arn:aws:iam::111122223333:role/execution
  task_role: arn:aws:iam::111122223333:role/task
  infrastructure_role: arn:aws:iam::111122223333:role/infrastructure
  journal: s3://bucket/rollouts
`

// inAWS is a backend and options for staging in a fake account.
func inAWS(t *testing.T, content string) (Backend, Options, *fakeaws.Account, *account.Options) {
	t.Helper()
	clock := fakeaws.NewClock()
	aws := fakeaws.NewAccount(clock)
	var opened account.Options
	var opening sync.Mutex // doctor's checks run side by side
	opts := Options{Environment: "staging", Ref: "main", Image: "111122223333.dkr.ecr.ap-south-1.amazonaws.com/rca@sha256:" + strings.Repeat("a", 64)}
	opts.Rollout = RolloutOptions{
		Clock: clock, Get: func(context.Context, string) error { return nil },
		Connect: func(_ context.Context, o account.Options) (release.Clients, *verdict.Problem) {
			opening.Lock()
			defer opening.Unlock()
			opened = o
			return release.Clients{ECS: aws.ECS, Balancing: aws.Balancing, Scaling: aws.Scaling, CloudWatch: aws.CloudWatch, Logs: aws.Logs,
				Identity: aws.Identity, Objects: aws.Objects, Roles: aws.Roles}, nil
		},
	}
	source := fake.Files(map[string]string{"main.py": "print()\n", "streamlit_app/chatbot.py": "", "pipeline.yaml": content})
	return Backend{Runner: fake.New().As("engine"), Source: source, WorkDir: t.TempDir()}, opts, aws, &opened
}

func deployStage(t *testing.T, run *verdict.Run) verdict.Stage {
	t.Helper()
	require.Nil(t, run.Preflight)
	require.Len(t, run.Stages, 1)
	return run.Stages[0]
}

func TestStagingIsDeployedAndOperated(t *testing.T) {
	ctx := context.Background()
	backend, opts, aws, opened := inAWS(t, stagingConfig)
	opts.Target.AccessKey, opts.Target.SecretKey = fake.Secret("AWS_ACCESS_KEY_ID", "key\n"), fake.Secret("AWS_SECRET_ACCESS_KEY", "words")
	opts.Rollout.Endpoint = "http://127.0.0.1:4566"
	plan := Explain(ctx, backend, opts)
	require.Empty(t, plan.Problems)
	assert.True(t, plan.Compared && plan.Changed)

	opts.Stages = []string{verdict.Deploy}
	outcome := Run(ctx, backend, opts)
	stage := deployStage(t, outcome.Run)
	require.Equal(t, verdict.Pass, stage.Verdict, stage.Cause)
	require.NotNil(t, outcome.Plan)
	assert.Equal(t, "key", opened.AccessKey)
	assert.Equal(t, "http://127.0.0.1:4566", opened.Endpoint)
	assert.Equal(t, "ap-south-1", opened.Region)

	plan = Explain(ctx, backend, opts)
	assert.Empty(t, plan.Problems)
	assert.True(t, plan.Compared)
	assert.False(t, plan.Changed)

	opts.Image = ""
	for operation, code := range map[string]string{Status: "", Rollback: release.NoRelease.Name, Approve: release.NothingPaused.Name, Reject: release.NothingPaused.Name,
		Wait: release.NothingInFlight.Name, Prune: "PRUNE_FAILED", Destroy: "DESTROY_REFUSED"} {
		assert.Equal(t, code, deployStage(t, Operate(ctx, backend, opts, operation)).Code, operation)
	}
	refused := Operate(ctx, backend, opts, "dance")
	assert.Equal(t, CodeBadArgument.Name, refused.Code)
	assert.Equal(t, "could-not-run BLOCKED", codes(refused)[verdict.Deploy])
	opts.Rollout.Confirm = "openstack-rca-service-staging"
	assert.Equal(t, verdict.Pass, deployStage(t, Operate(ctx, backend, opts, Destroy)).Verdict)
	assert.Equal(t, deployment.TargetMissing.Name, deployStage(t, Operate(ctx, backend, opts, Status)).Code)
	assert.Contains(t, aws.Calls(), "ecs:DeleteService")
}

func TestARolloutIsRefusedBeforeItsAccountIsOpened(t *testing.T) {
	ctx := context.Background()
	backend, opts, aws, _ := inAWS(t, stagingConfig)
	opts.Rollout.InFlight, opts.Rollout.OnTimeout, opts.Rollout.LockWait = "dance", "explode", "-1s"
	refused := Operate(ctx, backend, opts, Status)
	require.NotNil(t, refused.Preflight)
	require.Len(t, refused.Preflight.Problems, 3, "all at once")

	backend, opts, _, _ = inAWS(t, stagingConfig)
	opts.Rollout.Connect = nil
	stage := deployStage(t, Operate(ctx, backend, opts, Status))
	assert.Equal(t, account.CredentialsInvalid.Name, stage.Code)
	assert.Contains(t, stage.Cause, "the call has no AWS credentials")

	opts.Rollout.Profile, opts.Target.AccessKey = "nobody", fake.Secret("AWS_ACCESS_KEY_ID", "key")
	assert.Equal(t, account.CredentialsInvalid.Name, deployStage(t, Operate(ctx, backend, opts, Status)).Code)

	opts.Environment = "sandbox"
	assert.Equal(t, release.NoSandbox.Name, deployStage(t, Operate(ctx, backend, opts, Status)).Code)

	opts.Environment, opts.Ref = "staging", "feature/x"
	assert.Equal(t, verdict.NotRun, deployStage(t, Operate(ctx, backend, opts, Rollback)).Verdict, "the policy counts")
	assert.Empty(t, aws.Calls())
}

func TestAWebIdentityIsHandedOn(t *testing.T) {
	backend, opts, _, opened := inAWS(t, stagingConfig)
	opts.Rollout.WebIdentity, opts.Rollout.WebIdentityRole, opts.Rollout.Role = fake.Secret("AWS_WEB_IDENTITY_TOKEN", "the-token-of-ci"), "arn:w", "arn:r"
	opts.Rollout.LockWait = "0s"
	run := Operate(context.Background(), backend, opts, Status)
	deployStage(t, run)
	token, err := opened.WebIdentity()
	require.NoError(t, err)
	assert.Equal(t, "the-token-of-ci", string(token))
	assert.Equal(t, "arn:w", opened.WebIdentityRole)
	assert.Equal(t, "arn:r", opened.Role)
	assert.NotContains(t, run.Redact("x the-token-of-ci y"), "the-token-of-ci")
}

func TestImportNeedsNoSource(t *testing.T) {
	backend, opts, _, _ := inAWS(t, "")
	backend.Source = fake.Files(map[string]string{})
	opts.Rollout.From = ImportSource{Cluster: "none", Service: "none", Region: "ap-south-1"}
	run := Operate(t.Context(), backend, opts, Import)
	require.Nil(t, run.Preflight, "there is nothing in the source, and import reads nothing of it")
	assert.NotEqual(t, verdict.Pass, run.Verdict, "there is no such service")
	assert.NotNil(t, Operate(t.Context(), backend, opts, Status).Preflight, "status is of the source's configuration")
}

func TestAFileThatIsMissingIsNamedOnce(t *testing.T) {
	backend, opts, _, _ := inAWS(t, "rollout:\n  task_definition: task.json\n  adopt: service\n  region: ap-south-1\n")
	run := Operate(t.Context(), backend, opts, Status)
	said := strings.Join(run.Failures(), "\n")
	assert.Equal(t, 1, strings.Count(said, "read task.json"), said)
}

// A stand-in for AWS affects nobody else, so there a call without a ref has one, and can reach nothing but this machine.
func TestTheRefIsAssumedForAStandInOfAWS(t *testing.T) {
	ctx := t.Context()
	backend, opts, _, opened := inAWS(t, stagingConfig)
	opts.Ref, opts.Stages = "", []string{verdict.Deploy}
	for endpoint, assumed := range map[string]bool{
		"http://127.0.0.1:4566": true, "http://localhost:4566": true, "": false, "http://10.0.0.4:4566": false,
		"https://ecs.ap-south-1.amazonaws.com": false,
	} {
		*opened, opts.Rollout.Endpoint = account.Options{}, endpoint
		run := Run(ctx, backend, opts).Run
		if !assumed {
			assert.Equal(t, CodeRefMissing.Name, run.Code, endpoint)
			assert.Empty(t, opened.Region, endpoint)
			continue
		}
		require.Nil(t, run.Preflight, endpoint)
		assert.Contains(t, codesOf(run.Warnings), CodeRefAssumed.Name)
		assert.True(t, opened.LocalOnly, endpoint)
	}
	opts.Rollout.Endpoint, opts.Ref = "http://127.0.0.1:4566", "feature/x"
	assert.Equal(t, verdict.NotRun, deployStage(t, Run(ctx, backend, opts).Run).Verdict, "a ref that is named counts")
	opts.Ref = "main"
	Run(ctx, backend, opts)
	assert.False(t, opened.LocalOnly)
	opts.Ref = ""
	for name, stages := range map[string][]string{"a scan reads a registry": {verdict.Scan}, "a run": nil} {
		opts.Stages = stages
		assert.Equal(t, CodeRefMissing.Name, Run(ctx, backend, opts).Run.Code, name)
	}
	opts.Stages = []string{verdict.Deploy}
	assert.Equal(t, CodeRefMissing.Name, Operate(ctx, backend, opts, Status).Code)
	opts.Environment = config.Production
	assert.Equal(t, CodeRefMissing.Name, Run(ctx, backend, opts).Run.Code)
}
