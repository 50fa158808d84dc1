package rollout

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
)

const iamDocs = "../../docs/iam"

// documented is the plan whose policies docs/iam shows: production, with the account of
// AWS's documentation.
func documented(t *testing.T) *Plan {
	in := input(Production)
	content := strings.NewReplacer(testAccount, exampleAccount)
	r := &in.Config.Rollout
	r.Account = exampleAccount
	for _, role := range []*string{&r.ExecutionRole, &r.TaskRole, &r.InfrastructureRole} {
		*role = content.Replace(*role)
	}
	for name, reference := range r.Secrets {
		r.Secrets[name] = content.Replace(reference)
	}
	in.Image = content.Replace(in.Image)
	return mustPlan(t, in)
}

func TestTheDocumentedPoliciesAreThoseOfThePlan(t *testing.T) {
	for _, policy := range documented(t).Policies() {
		path := filepath.Join(iamDocs, policy.File)
		if *update {
			require.NoError(t, os.MkdirAll(iamDocs, 0o755))
			require.NoError(t, os.WriteFile(path, policy.JSON(), 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err, "run the tests with -update to write docs/iam")
		assert.Equal(t, string(want), string(policy.JSON()), policy.File)
		assert.True(t, json.Valid(policy.JSON()))
		assert.Less(t, len(policy.JSON()), 6144, "the most that a managed policy may have")
		readme, err := os.ReadFile(filepath.Join(iamDocs, "README.md"))
		require.NoError(t, err)
		assert.Contains(t, string(readme), policy.File)
	}
}

// What the code calls must be allowed, and what is allowed must be for something.
func TestTheDeployerMayDoWhatTheCodeCallsAndNothingElse(t *testing.T) {
	services := map[string]string{"ecs": "ecs", "elasticloadbalancingv2": "elasticloadbalancing", "applicationautoscaling": "application-autoscaling",
		"cloudwatch": "cloudwatch", "cloudwatchlogs": "logs"}
	called := map[string]string{
		// What calls with tags need besides.
		"logs:TagResource": "tags", "cloudwatch:TagResource": "tags", "ecs:TagResource": "tags",
		"elasticloadbalancing:AddTags": "tags", "application-autoscaling:TagResource": "tags", "iam:PassRole": "roles",
	}
	plan := documented(t)
	for _, resource := range plan.Resources() {
		for _, in := range resource.Inputs {
			typ := reflect.TypeOf(in)
			if typ.Kind() == reflect.Pointer {
				service := services[filepath.Base(typ.Elem().PkgPath())]
				require.NotEmpty(t, service, "%v", typ)
				called[service+":"+strings.TrimSuffix(typ.Elem().Name(), "Input")] = resource.Kind
			}
		}
	}
	client := reflect.TypeFor[deployment.ECS]()
	for i := range client.NumMethod() {
		called["ecs:"+client.Method(i).Name] = "deployment"
	}
	allowed := map[string]bool{}
	for _, statement := range plan.deployerStatements() {
		assert.NotEmpty(t, statement.Resource, statement.Sid)
		for _, action := range statement.Action {
			allowed[action] = true
			assert.Contains(t, called, action, "allowed and never called")
			assert.NotContains(t, action, "*")
		}
		if fmt.Sprint(statement.Resource) == "[*]" {
			assert.NotEmpty(t, statement.Condition, "%s is for every resource, so it must have a condition", statement.Sid)
		}
	}
	for action, why := range called {
		assert.True(t, allowed[action], "%s is called for the %s and not allowed", action, why)
	}
}

func TestOnlyDeclaredSecretsMayBeRead(t *testing.T) {
	in := input("staging")
	in.Config.Rollout.Strategy = "rolling"
	prefix := "arn:aws:secretsmanager:ap-south-1:" + testAccount + ":secret:"
	parameter := "arn:aws:ssm:ap-south-1:" + testAccount + ":parameter/p"
	in.Config.Rollout.Secrets = map[string]string{"A": prefix + "x-AbCdEf:a::", "B": prefix + "x-AbCdEf:b::", "C": parameter}
	plan := mustPlan(t, in)
	byName := map[string]Statement{}
	for _, statement := range plan.executionStatements() {
		byName[statement.Sid] = statement
	}
	assert.Equal(t, []string{prefix + "x-AbCdEf"}, byName["ReadTheSecrets"].Resource)
	assert.Equal(t, []string{parameter}, byName["ReadTheParameters"].Resource)
	for _, statement := range plan.deployerStatements() {
		assert.NotEqual(t, "HandECSTheRoleThatShiftsTraffic", statement.Sid, "a rolling deployment shifts nothing")
	}

	in.Config.Rollout.Secrets = nil
	assert.Len(t, mustPlan(t, in).executionStatements(), 3)
}

func TestTheRepositoryOfAnImage(t *testing.T) {
	for image, want := range map[string]string{
		testImage:                          "openstack-rca-system",
		"team/rca:v1@" + testDigest:        "team/rca",
		"localhost:5000/a/b@" + testDigest: "a/b",
		"rca@" + testDigest:                "rca",
	} {
		assert.Equal(t, want, repositoryName(image))
	}
}
