package rollout

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// oneProblem is what a single mistake must lead to.
type oneProblem struct {
	name   string
	change func(*Input)
	code   verdict.Code
	// names must be in the cause, so that the reader finds the place.
	names string
}

func tune(change func(*Tuning)) func(*Input) {
	return func(in *Input) {
		tuning := DefaultTuning()
		change(&tuning)
		in.Tuning = &tuning
	}
}

func roll(change func(*spec.Spec)) func(*Input) {
	return func(in *Input) { change(&in.Spec) }
}

const testKey = "arn:aws:kms:ap-south-1:" + testAccount + ":key/11111111-2222-3333-4444-555555555555"

// keys lets the pipeline make the execution role, and lets that decrypt with a key.
func keys(key string) func(*Input) {
	return roll(func(r *spec.Spec) { r.ExecutionRole, r.KMSKeys = "", []string{key} })
}

func TestEachMistakeIsNamed(t *testing.T) {
	const other = "999988887777"
	for _, c := range []oneProblem{
		{"no environment", func(in *Input) { in.Environment = "" }, EnvironmentInvalid, "--environment"},
		{"an environment with a path in it", func(in *Input) { in.Environment = "../prod" }, EnvironmentInvalid, "../prod"},

		{"no image", func(in *Input) { in.Image = "" }, ImageMissing, "staging"},
		{"the placeholder image", func(in *Input) { in.Image = "rca@" + PlaceholderDigest }, ImageMissing, "placeholder"},
		{"a tag", func(in *Input) { in.Image = "rca:v1" }, ImageNotPinned, `tag "v1"`},
		{"a tag behind a port", func(in *Input) { in.Image = "registry.example.com:5000/rca:v1" }, ImageNotPinned, `tag "v1"`},
		{"latest", func(in *Input) { in.Image = "rca:latest" }, ImageNotPinned, `tag "latest"`},
		{"no tag, which means latest", func(in *Input) { in.Image = "registry.example.com:5000/rca" }, ImageNotPinned, "latest"},
		{"half a digest", func(in *Input) { in.Image = "rca@sha256:abc" }, ImageNotPinned, "64 hex digits"},
		{"a digest of another kind", func(in *Input) { in.Image = "rca@sha512:" + strings.Repeat("a", 128) }, ImageNotPinned, "64 hex digits"},
		{"upper case in the name", func(in *Input) { in.Image = "RCA@" + testDigest }, ImageNotPinned, "RCA"},
		{"a registry on this machine", func(in *Input) { in.Image = "localhost:5000/rca@" + testDigest }, ImageUnreachable, "localhost"},

		{"no account", roll(func(r *spec.Spec) { r.Account = "" }), AccountInvalid, "rollout.account"},
		{"a short account", roll(func(r *spec.Spec) { r.Account = "12345" }), AccountInvalid, "12345"},
		{"a role of another account", roll(func(r *spec.Spec) { r.TaskRole = "arn:aws:iam::" + other + ":role/x" }), AccountMismatch,
			"rollout.task_role"},
		{"a role of another partition", roll(func(r *spec.Spec) { r.TaskRole = "arn:aws-cn:iam::" + testAccount + ":role/x" }), AccountMismatch,
			"rollout.task_role"},
		{"a secret of another account", roll(func(r *spec.Spec) {
			r.Secrets = map[string]string{"K": "arn:aws:ssm:ap-south-1:" + other + ":parameter/k"}
		}), AccountMismatch, "rollout.secrets.K"},
		{"a secret of another region", roll(func(r *spec.Spec) {
			r.Secrets = map[string]string{"K": "arn:aws:ssm:eu-west-1:" + testAccount + ":parameter/k"}
		}), AccountMismatch, "eu-west-1"},
		{"no region", roll(func(r *spec.Spec) { r.Region, r.Secrets = "", nil }), PlanInvalid, "rollout.region"},

		{"an execution role that is no ARN", roll(func(r *spec.Spec) { r.ExecutionRole = "execution" }), RoleInvalid, "rollout.execution_role"},
		{"no task role", roll(func(r *spec.Spec) { r.TaskRole = "" }), RoleInvalid, "rollout.task_role"},
		{"blue/green without the role that shifts traffic", roll(func(r *spec.Spec) { r.InfrastructureRole = "" }), RoleInvalid,
			"rollout.infrastructure_role"},
		{"the name of a role", roll(func(r *spec.Spec) { r.TaskRole = "my-role" }), RoleInvalid, "my-role"},
		{"a user for a role", roll(func(r *spec.Spec) { r.TaskRole = "arn:aws:iam::" + testAccount + ":user/me" }), RoleInvalid, "user/me"},

		{"a cluster with a space", roll(func(r *spec.Spec) { r.Cluster = "my cluster" }), NameInvalid, "rollout.cluster"},
		{"a service with a dot", roll(func(r *spec.Spec) { r.Service = "rca.service" }), NameInvalid, "rollout.service"},
		{"a service whose alarms have names that are too long", roll(func(r *spec.Spec) { r.Service = strings.Repeat("s", 250) }), NameInvalid,
			"at most 229 fit"},
		{"a family of 256 letters", roll(func(r *spec.Spec) { r.Family = strings.Repeat("f", 256) }), NameInvalid, "rollout.family"},
		{"a commit that is no tag", func(in *Input) { in.Commit = "abc\n<b>" }, NameInvalid, TagPrefix + "commit"},

		{"CPU units that Fargate has not", roll(func(r *spec.Spec) { r.CPU = 1000 }), SizeInvalid, "rollout.cpu"},
		{"CPU units above those of Fargate", roll(func(r *spec.Spec) { r.CPU = 65536 }), SizeInvalid, "16384 32768"},
		{"memory between the sizes of 32 vCPU", roll(func(r *spec.Spec) { r.CPU, r.Memory = 32768, 65536 }), SizeInvalid,
			"61440 122880 249856 MiB"},
		{"too little memory for the CPU", roll(func(r *spec.Spec) { r.Memory = 1024 }), SizeInvalid, "2048"},
		{"memory between two sizes", roll(func(r *spec.Spec) { r.CPU, r.Memory = 16384, 33000 }), SizeInvalid, "steps of 8192"},
		{"scratch storage that is too large", roll(func(r *spec.Spec) { r.EphemeralStorage = 201 }), SizeInvalid, "rollout.ephemeral_storage"},
		{"an unknown architecture", tune(func(t *Tuning) { t.Architecture = "amd64" }), PlanInvalid, "amd64"},

		{"port 70000", func(in *Input) { in.Spec.App.Port = 70000 }, PlanInvalid, "image.port"},
		{"a health path that ends a Python string", func(in *Input) { in.Spec.App.Health = "/x'); import os#" }, PlanInvalid, "image.health"},
		{"root", func(in *Input) { in.Spec.App.User = 0 }, PlanInvalid, "image.user"},
		{"a start period of ten minutes", roll(func(r *spec.Spec) { r.StartPeriod = 10 * time.Minute }), PlanInvalid, "rollout.start_period"},
		{"a stop time above Fargate's", tune(func(t *Tuning) { t.StopSeconds = 300 }), PlanInvalid, "StopSeconds"},
		{"a retention that does not exist", roll(func(r *spec.Spec) { r.LogDays = 31 }), PlanInvalid, "rollout.log_days"},
		{"a relative volume", func(in *Input) { in.Spec.App.Volumes = []string{"data"} }, PlanInvalid, "image.volumes[0]"},
		{"two volumes of one name", func(in *Input) { in.Spec.App.Volumes = []string{"/app/a/b", "/app/a-b"} }, PlanInvalid, "same volume name"},

		{"a password in the open", roll(func(r *spec.Spec) { r.Vars = map[string]string{"DB_PASSWORD": "hunter2hunter2"} }), SecretLiteral,
			"rollout.vars.DB_PASSWORD"},
		{"a key under an innocent name", roll(func(r *spec.Spec) { r.Vars = map[string]string{"X": "AKIA" + "IOSFODNN7EXAMPLE"} }), SecretLiteral,
			"rollout.vars.X"},
		{"a password inside an address", roll(func(r *spec.Spec) { r.Vars = map[string]string{"DATABASE_URL": "postgres://u:hunter2@db/x"} }),
			SecretLiteral, "DATABASE_URL"},
		{"a variable with a dash", roll(func(r *spec.Spec) { r.Vars = map[string]string{"A-B": "x"} }), PlanInvalid, "A-B"},
		{"a secret with a space in its name", roll(func(r *spec.Spec) {
			r.Secrets = map[string]string{"A B": "arn:aws:ssm:ap-south-1:" + testAccount + ":parameter/k"}
		}), PlanInvalid, "A B"},
		{"a variable that is also a secret", roll(func(r *spec.Spec) { r.Vars["ANTHROPIC_API_KEY"] = "" }), PlanInvalid, "ANTHROPIC_API_KEY"},
		{"a secret's value for its ARN", roll(func(r *spec.Spec) { r.Secrets = map[string]string{"K": "hunter2hunter2"} }), SecretInvalid,
			"rollout.secrets.K"},
		{"an ARN of something else", roll(func(r *spec.Spec) { r.Secrets = map[string]string{"K": "arn:aws:s3:::bucket/key"} }), SecretInvalid,
			"rollout.secrets.K"},
		{"a secret with half a JSON key", roll(func(r *spec.Spec) {
			r.Secrets = map[string]string{"K": "arn:aws:secretsmanager:ap-south-1:" + testAccount + ":secret:a:key"}
		}), SecretInvalid, "rollout.secrets.K"},
		{"a secret with a strange JSON key", roll(func(r *spec.Spec) {
			r.Secrets = map[string]string{"K": "arn:aws:secretsmanager:ap-south-1:" + testAccount + ":secret:a:k y::"}
		}), SecretInvalid, "rollout.secrets.K"},

		{"no VPC", roll(func(r *spec.Spec) { r.VPC = "" }), NetworkInvalid, "rollout.vpc"},
		{"a single subnet", roll(func(r *spec.Spec) { r.Subnets = r.Subnets[:1] }), NetworkInvalid, "two zones"},
		{"the same subnet twice", roll(func(r *spec.Spec) { r.Subnets = []string{r.Subnets[0], r.Subnets[0]} }), NetworkInvalid,
			"rollout.subnets[1]"},
		{"a name for a security group", roll(func(r *spec.Spec) { r.SecurityGroups = []string{"default"} }), NetworkInvalid,
			"rollout.security_groups[0]"},
		{"no security group", roll(func(r *spec.Spec) { r.SecurityGroups = nil }), NetworkInvalid, "rollout.security_groups"},
		{"one subnet for the load balancer", roll(func(r *spec.Spec) { r.BalancerSubnets = []string{"subnet-0123456789abcdef9", "x"} }),
			NetworkInvalid, "rollout.balancer_subnets[1]"},
		{"a strange group for the load balancer", roll(func(r *spec.Spec) { r.BalancerSecurityGroups = []string{"x"} }), NetworkInvalid,
			"rollout.balancer_security_groups[0]"},

		{"no task at all", roll(func(r *spec.Spec) { r.Min = 0 }), ScalingInvalid, "rollout.min"},
		{"min above max", roll(func(r *spec.Spec) { r.Min = 7 }), ScalingInvalid, "rollout.min"},
		{"desired above max", roll(func(r *spec.Spec) { r.Desired = 7 }), ScalingInvalid, "rollout.desired"},
		{"more tasks than a service may have", roll(func(r *spec.Spec) { r.Max = 5001 }), ScalingInvalid, "rollout.max"},
		{"no room to replace a task", tune(func(t *Tuning) { t.MaximumPercent = 100 }), ScalingInvalid, "never end"},
		{"room that rounding takes away", func(in *Input) {
			in.Spec.Desired, in.Spec.Min = 1, 1
			tune(func(t *Tuning) { t.MinimumHealthyPercent, t.MaximumPercent = 50, 150 })(in)
		}, ScalingInvalid, "never end"},
		{"a CPU target of 100 %", roll(func(r *spec.Spec) { r.TargetCPU = 100 }), ScalingInvalid, "rollout.target_cpu"},
		{"a memory target that is no number", roll(func(r *spec.Spec) { r.TargetMemory = math.NaN() }), ScalingInvalid, "rollout.target_memory"},

		{"an unknown strategy", roll(func(r *spec.Spec) { r.Strategy = "yolo" }), StrategyInvalid, "yolo"},
		{"two days of baking", roll(func(r *spec.Spec) { r.BakeMinutes = 2880 }), StrategyInvalid, "rollout.bake_minutes"},
		{"a canary of nothing", roll(func(r *spec.Spec) { r.CanaryPercent = 0 }), StrategyInvalid, "rollout.canary_percent"},
		{"a canary of two days", roll(func(r *spec.Spec) { r.CanaryBakeMinutes = 2880 }), StrategyInvalid, "rollout.canary_bake_minutes"},
		{"steps of 1 %", roll(func(r *spec.Spec) { r.LinearStepPercent = 1 }), StrategyInvalid, "rollout.linear_step_percent"},
		{"steps of negative length", roll(func(r *spec.Spec) { r.LinearStepMinutes = -1 }), StrategyInvalid, "rollout.linear_step_minutes"},
		{"a breaker that never trips", tune(func(t *Tuning) { t.BreakerFailures = 0 }), StrategyInvalid, "BreakerFailures"},

		{"draining for two hours", roll(func(r *spec.Spec) { r.Drain = 2 * time.Hour }), PlanInvalid, "rollout.drain"},
		{"no stickiness between groups", tune(func(t *Tuning) { t.GroupStickinessSeconds = 0 }), PlanInvalid, "GroupStickinessSeconds"},
		{"no stickiness to a task", tune(func(t *Tuning) { t.TargetStickinessSeconds = 0 }), PlanInvalid, "TargetStickinessSeconds"},
		{"no idle time", tune(func(t *Tuning) { t.IdleSeconds = 0 }), PlanInvalid, "IdleSeconds"},
		{"an alarm that always rings", tune(func(t *Tuning) { t.Errors5xx = 0 }), PlanInvalid, "Errors5xx"},
		{"an alarm on no latency", tune(func(t *Tuning) { t.LatencySeconds = 0 }), PlanInvalid, "LatencySeconds"},
		{"a certificate by name", roll(func(r *spec.Spec) { r.Certificate = "example.com" }), PlanInvalid, "rollout.certificate"},
		{"a topic of another account", roll(func(r *spec.Spec) { r.AlarmTopic = "arn:aws:sns:ap-south-1:" + other + ":x" }), AccountMismatch,
			"rollout.alarm_topic"},
		{"a public load balancer without encryption", roll(func(r *spec.Spec) { r.InternetFacing = true }), PlanInvalid, "rollout.certificate"},
		{"a certificate of another region", roll(func(r *spec.Spec) {
			r.Certificate = "arn:aws:acm:us-east-1:" + testAccount + ":certificate/11111111-2222-3333-4444-555555555555"
		}), AccountMismatch, "rollout.certificate"},
		{"a key by its alias", keys("arn:aws:kms:ap-south-1:" + testAccount + ":alias/secrets"), PlanInvalid, "rollout.kms_keys[0]"},
		{"a key of another region", keys("arn:aws:kms:us-east-1:" + testAccount + ":key/11111111-2222-3333-4444-555555555555"), AccountMismatch,
			"rollout.kms_keys[0]"},
		{"a key for a role that is given", roll(func(r *spec.Spec) { r.KMSKeys = []string{testKey} }), RoleInvalid, "rollout.execution_role"},
		{"a key without a secret", roll(func(r *spec.Spec) { r.KMSKeys, r.ExecutionRole, r.Secrets = []string{testKey}, "", nil }), PlanInvalid,
			"nothing to decrypt"},
		{"a file system over the application", roll(func(r *spec.Spec) {
			r.Volumes = []spec.Volume{{Path: "/app", FileSystem: "fs-0123456789abcdef0"}}
		}), PlanInvalid, "would hide"},
		{"a file system over the model", roll(func(r *spec.Spec) {
			r.Volumes = []spec.Volume{{Path: "/app/models", FileSystem: "fs-0123456789abcdef0"}}
		}), PlanInvalid, "would hide"},
		{"a file system at the name of another volume", roll(func(r *spec.Spec) {
			r.Volumes = []spec.Volume{{Path: "/logs", FileSystem: "fs-0123456789abcdef0"}}
		}), PlanInvalid, "same volume name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input("staging")
			c.change(&in)
			plan, problems := NewPlan(in)
			assert.Nil(t, plan)
			require.Len(t, problems, 1, "one mistake, one problem: %v", problems)
			assert.Equal(t, c.code, problems[0].Code)
			assert.Contains(t, problems[0].Cause, c.names)
			assert.NotContains(t, problems[0].Error(), "hunter2", "a value that may be a secret is never repeated")
		})
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	in := input(Production)
	in.Image = "rca:latest"
	in.Spec = spec.Spec{Application: in.Spec.Application, App: in.Spec.App, Strategy: "yolo", Vars: map[string]string{"API_TOKEN": "x"}}
	plan, problems := NewPlan(in)
	assert.Nil(t, plan)
	var codes []string
	for _, p := range problems {
		codes = append(codes, p.Code.Name)
	}
	for _, code := range []verdict.Code{ImageNotPinned, AccountInvalid, PlanInvalid, RoleInvalid, NameInvalid, SizeInvalid, SecretLiteral,
		NetworkInvalid, ScalingInvalid, StrategyInvalid} {
		assert.Contains(t, codes, code.Name)
	}
}

func TestNamesThatOnlySoundLikeSecretsAreAccepted(t *testing.T) {
	for _, variable := range []string{"MAX_TOKENS", "TOKENIZER_PATH", "SECRET_ARN", "TOKEN_URL", "PASSWORD_FILE", "MONKEY", "KEYBOARD",
		"API_KEY_PREFIX"} {
		assert.False(t, LooksSecret(variable, "some-value"), variable)
	}
	for _, variable := range []string{"TOKEN", "api_key", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "GITHUB_TOKEN", "DB_PWD", "KEY",
		"MY_KEY", "CREDENTIALS"} {
		assert.True(t, LooksSecret(variable, "some-value"), variable)
		assert.False(t, LooksSecret(variable, ""), "an empty value gives nothing away")
	}
}

func TestEveryFormOfASecretReferenceIsAccepted(t *testing.T) {
	for _, reference := range []string{
		"arn:aws:secretsmanager:ap-south-1:" + testAccount + ":secret:name-AbCdEf",
		"arn:aws:secretsmanager:ap-south-1:" + testAccount + ":secret:path/name-AbCdEf:key::",
		"arn:aws:secretsmanager:ap-south-1:" + testAccount + ":secret:name-AbCdEf:key:AWSCURRENT:",
		"arn:aws:ssm:ap-south-1:" + testAccount + ":parameter/rca/key",
	} {
		in := input("staging")
		in.Spec.Secrets = map[string]string{"K": reference}
		mustPlan(t, in)
	}
}

func TestASandboxImageMayBeInARegistryOfThisMachine(t *testing.T) {
	in := input(Sandbox)
	in.Image = "localhost:5000/openstack-rca-system@" + testDigest
	plan := mustPlan(t, in)
	assert.True(t, plan.ImageBuilt)
	assert.Equal(t, in.Image, plan.Image.Written())

	in.Image = "localhost:5000/openstack-rca-system:latest"
	_, problems := NewPlan(in)
	require.Len(t, problems, 1)
	assert.Equal(t, ImageNotPinned, problems[0].Code, "the sandbox pins too")
}

func FuzzNewPlanNeverPanics(f *testing.F) {
	f.Add("sandbox", "rca:latest", "blue_green", "/_stcore/health", "AKIA", 1024, 2048, 2)
	f.Add("production", "a@sha256:", "linear", "", "", -1, 1<<30, 1<<30)
	f.Fuzz(func(t *testing.T, environment, image, strategy, text, value string, cpu, memory, count int) {
		r := account()
		r.Strategy, r.CPU, r.Memory, r.Desired, r.Min, r.Max = strategy, cpu, memory, count, count, count
		r.Service, r.Cluster, r.VPC, r.TaskRole = text, text, text, text
		r.Vars, r.Secrets = map[string]string{text: value}, map[string]string{value: text}
		r.App.Health, r.App.Volumes, r.App.Port = text, []string{text, value}, count
		plan, problems := NewPlan(Input{Spec: r, Environment: environment, Image: image, Commit: text})
		if (plan == nil) == (len(problems) == 0) {
			t.Fatalf("a plan or problems, never both or none")
		}
	})
}
