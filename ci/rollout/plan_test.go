package rollout

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	testAccount = "444455556666"
	testDigest  = "sha256:3b5f5d0d0f1f4ce9f5e0f6a0f5f4a6d1cbd5c7a1f1d8e2b8a4c3d2e1f0a9b8c7"
	testImage   = "444455556666.dkr.ecr.ap-south-1.amazonaws.com/openstack-rca-system@" + testDigest
)

// account is a configuration with everything that a real environment needs.
func account() spec.Spec {
	r := config.Default().RolloutSpec()
	role := "arn:aws:iam::" + testAccount + ":role/"
	r.Account, r.VPC = testAccount, "vpc-0123456789abcdef0"
	r.Subnets = []string{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}
	r.SecurityGroups = []string{"sg-0123456789abcdef0"}
	r.ExecutionRole, r.TaskRole, r.InfrastructureRole = role+"ecsTaskExecutionRole", role+"openstack-rca-task", role+"ecsInfrastructureRole"
	r.Vars = map[string]string{"LOG_LEVEL": "info", "EMPTY": ""}
	secret := "arn:aws:secretsmanager:ap-south-1:" + testAccount + ":secret:rca/anthropic-AbCdEf:api_key::"
	r.Secrets = map[string]string{"ANTHROPIC_API_KEY": secret}
	return r
}

// input is a valid input for an environment.
func input(environment string) Input {
	in := Input{Spec: config.Default().RolloutSpec(), Environment: environment}
	if environment != Sandbox {
		in.Spec, in.Image = account(), testImage
	}
	in.Commit = "0123456789abcdef0123456789abcdef01234567"
	in.Model = &spec.Model{Number: 7, SHA256: strings.Repeat("ab", 32)}
	return in
}

func mustPlan(t *testing.T, in Input) *Plan {
	t.Helper()
	plan, problems := NewPlan(in)
	for _, p := range problems {
		t.Log(p.Error())
	}
	require.NotNil(t, plan)
	return plan
}

// The plan of one strategy is kept whole for each environment, as the names differ in almost
// every line; of the other strategies the differences to it are kept.
func TestThePlanOfEveryStrategyInEveryEnvironmentIsAsReviewed(t *testing.T) {
	const base = "canary"
	for _, environment := range []string{Sandbox, "staging", Production} {
		render := func(t *testing.T, strategy string) string {
			in := input(environment)
			in.Spec.Strategy = strategy
			return mustPlan(t, in).Markdown()
		}
		for _, strategy := range spec.Strategies() {
			t.Run(environment+" "+strategy, func(t *testing.T) {
				got, name := render(t, strategy), "plans/"+environment+"-"+strategy
				if strategy == base {
					golden(t, name+".md", []byte(got))
					return
				}
				golden(t, name+".diff", []byte(differences(render(t, base), got)))
			})
		}
	}
}

func TestTheReportFilesAreTheInputsOfTheCalls(t *testing.T) {
	in := input("staging")
	in.Image = "444455556666.dkr.ecr.ap-south-1.amazonaws.com/openstack-rca-system:v1@" + testDigest
	var paths []string
	for _, file := range mustPlan(t, in).Files() {
		paths = append(paths, file.Path)
		golden(t, "files/"+file.Path, file.Content)
		if strings.HasSuffix(file.Path, ".json") {
			assert.True(t, json.Valid(file.Content), file.Path)
		}
	}
	assert.Equal(t, []string{
		"rollout/plan.md", "rollout/task-definition.json", "rollout/service.json", "rollout/load-balancer.json",
		"rollout/scaling.json", "rollout/alarms.json",
	}, paths)
}

func TestAPlanIsTheSameEachTime(t *testing.T) {
	for range 20 {
		first, second := mustPlan(t, input("staging")), mustPlan(t, input("staging"))
		require.Equal(t, first.Markdown(), second.Markdown())
	}
}

func TestTheConfigHashFollowsContentAndNotTheCommit(t *testing.T) {
	base := mustPlan(t, input("staging")).ConfigHash
	for _, c := range []struct {
		name   string
		change func(*Input)
		same   bool
	}{
		{"another commit of the same content", func(in *Input) { in.Commit = strings.Repeat("f", 40) }, true},
		{"another published number of the same image", func(in *Input) { in.Model = nil }, true},
		{"another number of tasks", func(in *Input) { in.Spec.Desired = 3 }, true},
		{"another image", func(in *Input) { in.Image = strings.Replace(testImage, "3b5f", "3b50", 1) }, false},
		{"another variable", func(in *Input) { in.Spec.Vars["LOG_LEVEL"] = "debug" }, false},
		{"an empty variable left out", func(in *Input) { delete(in.Spec.Vars, "EMPTY") }, false},
		{"more memory", func(in *Input) { in.Spec.Memory = 4096 }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input("staging")
			c.change(&in)
			got := mustPlan(t, in)
			assert.Equal(t, c.same, got.ConfigHash == base)
			assert.Contains(t, string(wire.JSON(got.TaskDefinition)), got.ConfigHash, "the hash is a tag of the revision")
		})
	}
}

func TestAnEmptyVariableIsSentAsEmpty(t *testing.T) {
	var task struct {
		ContainerDefinitions []struct {
			Name        string              `json:"name"`
			Environment []map[string]string `json:"environment"`
		} `json:"containerDefinitions"`
	}
	require.NoError(t, json.Unmarshal(wire.JSON(mustPlan(t, input("staging")).TaskDefinition), &task))
	require.Len(t, task.ContainerDefinitions, 2)
	assert.Equal(t, []map[string]string{
		{"name": "EMPTY", "value": ""}, {"name": "HOME", "value": "/tmp"}, {"name": "LOG_LEVEL", "value": "info"},
	}, task.ContainerDefinitions[1].Environment)
}

func TestOnlyTheSandboxGetsExamplesAndTheyAreMarked(t *testing.T) {
	plan := mustPlan(t, input(Sandbox))
	var keys []string
	for _, e := range plan.Examples {
		keys = append(keys, e.Key)
	}
	assert.Equal(t, []string{"rollout.account", "rollout.task_role", "rollout.infrastructure_role",
		"rollout.vpc", "rollout.subnets", "rollout.security_groups"}, keys)
	assert.Equal(t, exampleAccount, plan.Account)
	assert.False(t, plan.ImageBuilt)
	assert.Equal(t, PlaceholderDigest, plan.Image.Digest)
	assert.Contains(t, plan.Markdown(), "not built")

	in := input("staging")
	in.Spec.Account = ""
	plan, problems := NewPlan(in)
	assert.Nil(t, plan)
	require.NotEmpty(t, problems)
	assert.Equal(t, AccountInvalid, problems[0].Code)
}

func TestARollingDeploymentNeedsNoInfrastructureRole(t *testing.T) {
	in := input("staging")
	in.Spec.Strategy, in.Spec.InfrastructureRole = "rolling", ""
	plan := mustPlan(t, in)
	assert.Nil(t, plan.Service.LoadBalancers[0].AdvancedConfiguration)
	assert.NotNil(t, plan.Service.DeploymentConfiguration.DeploymentCircuitBreaker)
	assert.Nil(t, plan.Service.DeploymentConfiguration.BakeTimeInMinutes)
}

func TestTheStrategiesThatShiftTrafficHaveTwoGroupsOnTheRuleAndNoBreaker(t *testing.T) {
	for _, strategy := range []string{"blue_green", "canary", "linear"} {
		t.Run(strategy, func(t *testing.T) {
			in := input("staging")
			in.Spec.Strategy = strategy
			plan := mustPlan(t, in)
			assert.Nil(t, plan.Service.DeploymentConfiguration.DeploymentCircuitBreaker)
			assert.True(t, plan.Service.DeploymentConfiguration.Alarms.Rollback)
			advanced := plan.Service.LoadBalancers[0].AdvancedConfiguration
			require.NotNil(t, advanced)
			forward := plan.LoadBalancer.Rule.Actions[0].ForwardConfig
			require.Len(t, forward.TargetGroups, 2)
			assert.Equal(t, *plan.Service.LoadBalancers[0].TargetGroupArn, *forward.TargetGroups[0].TargetGroupArn)
			assert.Equal(t, *advanced.AlternateTargetGroupArn, *forward.TargetGroups[1].TargetGroupArn)
			assert.EqualValues(t, 100, *forward.TargetGroups[0].Weight)
			assert.EqualValues(t, 0, *forward.TargetGroups[1].Weight)
			assert.True(t, *forward.TargetGroupStickinessConfig.Enabled)
		})
	}
}

func TestNoResourceRefersToALaterOne(t *testing.T) {
	known := map[string]bool{}
	for _, resource := range mustPlan(t, input(Sandbox)).Resources() {
		for _, in := range resource.Inputs {
			for _, at := range bytes.Split(wire.JSON(in), []byte("{{"))[1:] {
				ref, _, _ := bytes.Cut(at, []byte("}}"))
				kindAndName := string(ref[bytes.IndexByte(ref, ':')+1:])
				kind, _, _ := strings.Cut(kindAndName, "/")
				if !known[kind] {
					assert.Equal(t, strings.ReplaceAll(resource.Kind, " ", "-"), kind, "only a thing itself may come before its reference")
				}
			}
		}
		known[strings.ReplaceAll(resource.Kind, " ", "-")] = true
	}
	assert.True(t, known["listener-rule"] && known["target-group"])
}

func TestTheKeysAroundTheServiceChangeWhatTheyShould(t *testing.T) {
	in := input(Production)
	r := &in.Spec
	r.Certificate = "arn:aws:acm:ap-south-1:" + testAccount + ":certificate/11111111-2222-3333-4444-555555555555"
	r.AlarmTopic = "arn:aws:sns:ap-south-1:" + testAccount + ":on-call"
	r.InternetFacing, r.AssignPublicIP, r.WritableRoot, r.EphemeralStorage = true, true, true, 30
	r.BalancerSubnets = []string{"subnet-0123456789abcdef8", "subnet-0123456789abcdef9"}
	r.BalancerSecurityGroups = []string{"sg-0123456789abcdef9"}
	r.Drain = 90 * time.Second
	in.Spec.App.Volumes = nil
	plan := mustPlan(t, in)
	assert.EqualValues(t, 443, *plan.LoadBalancer.Listener.Port)
	assert.Equal(t, r.Certificate, *plan.LoadBalancer.Listener.Certificates[0].CertificateArn)
	assert.EqualValues(t, 80, *plan.LoadBalancer.Redirect.Port)
	assert.Equal(t, "443", *plan.LoadBalancer.Redirect.DefaultActions[0].RedirectConfig.Port)
	assert.Equal(t, r.BalancerSubnets, plan.LoadBalancer.LoadBalancer.Subnets)
	assert.Equal(t, r.BalancerSecurityGroups, plan.LoadBalancer.LoadBalancer.SecurityGroups)
	for _, group := range plan.LoadBalancer.TargetGroupAttributes {
		assert.Contains(t, string(wire.JSON(group)), `"Value": "90"`)
	}
	assert.EqualValues(t, "ENABLED", plan.Service.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp)
	assert.EqualValues(t, "ENABLED", plan.Trial.Task.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp)
	assert.EqualValues(t, "internet-facing", plan.LoadBalancer.LoadBalancer.Scheme)
	assert.Equal(t, []string{r.AlarmTopic}, plan.Alarms[0].AlarmActions)
	assert.EqualValues(t, 30, plan.TaskDefinition.EphemeralStorage.SizeInGiB)
	require.Len(t, plan.TaskDefinition.ContainerDefinitions, 1, "nothing to prepare")
	assert.False(t, *plan.TaskDefinition.ContainerDefinitions[0].ReadonlyRootFilesystem)
	assert.Empty(t, plan.TaskDefinition.Volumes)
}

func TestTheTaskIsForThePlatformOfTheImage(t *testing.T) {
	for platform, want := range map[string]string{"": "X86_64", "linux/amd64": "X86_64", "linux/arm64": "ARM64"} {
		in := input(Production)
		in.Spec.App.Platform = platform
		assert.EqualValues(t, want, mustPlan(t, in).TaskDefinition.RuntimePlatform.CpuArchitecture, platform)
	}
}

func TestTheExampleHasAValidPlanForEachEnvironment(t *testing.T) {
	content, err := os.ReadFile("../../examples/ecs/pipeline.yaml")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, environment := range []string{Sandbox, "staging", Production} {
		cfg, err := config.Load(content, environment)
		require.NoError(t, err)
		in := Input{Spec: cfg.RolloutSpec(), Environment: environment, Image: cfg.Image.Repository + "@" + testDigest}
		plan := mustPlan(t, in)
		assert.False(t, names[*plan.Service.ServiceName], "environments of one account share nothing")
		names[*plan.Service.ServiceName] = true
		assert.Equal(t, environment == Production, plan.LoadBalancer.Redirect != nil)
	}
}

func TestATaskDefinitionAboveTheLimitIsRefused(t *testing.T) {
	in := input("staging")
	in.Spec.Vars = map[string]string{"LONG": strings.Repeat("x", maxTaskDefinition)}
	plan, problems := NewPlan(in)
	assert.Nil(t, plan)
	require.Len(t, problems, 1)
	assert.Equal(t, PlanInvalid, problems[0].Code)
	assert.Less(t, len(problems[0].Cause), 200)
}

func TestNoContainerMayGainRights(t *testing.T) {
	for _, c := range mustPlan(t, input(Production)).TaskDefinition.ContainerDefinitions {
		assert.Nil(t, c.Privileged, *c.Name)
		assert.True(t, *c.ReadonlyRootFilesystem, *c.Name)
		assert.Equal(t, []string{"ALL"}, c.LinuxParameters.Capabilities.Drop, *c.Name)
		assert.Contains(t, *c.Image, "@sha256:", *c.Name)
		if *c.Essential {
			assert.Equal(t, "10001", *c.User)
			assert.Contains(t, strings.Join(c.HealthCheck.Command, " "), "http://127.0.0.1:7051/_stcore/health")
		}
	}
}

func TestEveryCodeIsComplete(t *testing.T) {
	_, err := verdict.Codes(Codes())
	assert.NoError(t, err)
}
