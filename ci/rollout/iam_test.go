package rollout

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/imageref"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

const (
	iamDocs     = "../../docs/iam"
	testJournal = "s3://openstack-rca-models/models"
)

// documented is the plan whose policies docs/iam shows: production, with the account of
// AWS's documentation.
func documented(t *testing.T) *Plan {
	in := input(Production)
	content := strings.NewReplacer(testAccount, exampleAccount)
	r := &in.Spec
	r.Account = exampleAccount
	for _, role := range []*string{&r.ExecutionRole, &r.TaskRole, &r.InfrastructureRole} {
		*role = content.Replace(*role)
	}
	for name, reference := range r.Secrets {
		r.Secrets[name] = content.Replace(reference)
	}
	in.Image = content.Replace(in.Image)
	r.Volumes = []spec.Volume{{Path: "/app/data", FileSystem: "fs-0123456789abcdef0", AccessPoint: "fsap-0123456789abcdef0", IAM: true}}
	return mustPlan(t, in)
}

// documentedAdoption is the plan for the adopted service whose policy docs/iam shows.
func documentedAdoption(t *testing.T) *Plan {
	in := input(Production)
	r := &in.Spec
	r.Account, r.Adopt, r.Cluster, r.Service, r.App.Repository = exampleAccount, spec.AdoptService, "shop", "web", "shop"
	in.Image = exampleAccount + ".dkr.ecr.ap-south-1.amazonaws.com/shop@sha256:" + strings.Repeat("a", 64)
	plan := mustPlan(t, in)
	role := "arn:aws:iam::" + exampleAccount + ":role/"
	require.Empty(t, plan.Adopt(Running{Service: &types.Service{ServiceName: aws.String("web"), DesiredCount: 2, LaunchType: types.LaunchTypeFargate,
		DeploymentConfiguration: &types.DeploymentConfiguration{Alarms: &types.DeploymentAlarms{AlarmNames: []string{"web-5xx"}, Enable: true}}},
		TaskDefinition: &types.TaskDefinition{Family: aws.String("web"), ExecutionRoleArn: aws.String(role + "shop-execution"),
			TaskRoleArn: aws.String(role + "shop-web"), ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("web"),
				Image: aws.String(exampleAccount + ".dkr.ecr.ap-south-1.amazonaws.com/shop:v1"), LogConfiguration: &types.LogConfiguration{
					LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": "/ecs/web", "awslogs-stream-prefix": "web"}}}}}}))
	return plan
}

func TestTheDocumentedPoliciesAreThoseOfThePlan(t *testing.T) {
	for _, policy := range slices.Concat(documented(t).Policies(testJournal), documentedAdoption(t).Policies(testJournal)) {
		path := filepath.Join(iamDocs, policy.File)
		if *update {
			require.NoError(t, os.MkdirAll(iamDocs, 0o755))
			require.NoError(t, os.WriteFile(path, policy.JSON(), 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err, "run the tests with -update to write docs/iam")
		assert.Equal(t, string(want), string(policy.JSON()), policy.File)
		assert.True(t, json.Valid(policy.JSON()))
		// White space does not count ("IAM and AWS STS quotas").
		assert.Less(t, len(strings.Join(strings.Fields(string(policy.JSON())), "")), 6144, "the most that a managed policy may have: %s",
			policy.File)
		readme, err := os.ReadFile(filepath.Join(iamDocs, "README.md"))
		require.NoError(t, err)
		assert.Contains(t, string(readme), policy.File)
	}
}

// That the rights are enough for what the code calls, and none is left over, is tested
// over the wire, in fakeaws/overhttp.
func TestNothingIsAllowedForEveryResourceThatCouldBeLimited(t *testing.T) {
	logins := []string{"ecr:GetAuthorizationToken"}
	for _, policy := range slices.Concat(documented(t).Policies(testJournal), documentedAdoption(t).Policies(testJournal)) {
		for _, statement := range policy.Statements {
			assert.True(t, len(statement.Resource) > 0 || len(statement.Principal) > 0, statement.Sid)
			for _, action := range statement.Action {
				assert.NotContains(t, action, "*", "%s of %s", statement.Sid, policy.File)
				if slices.Contains(statement.Resource, "*") && len(statement.Condition) == 0 {
					assert.Contains(t, slices.Concat(anyResource, logins), action, "%s of %s is for every resource", statement.Sid, policy.File)
				}
			}
			for _, resource := range statement.Resource {
				if statement.Sid != "FindTheLogs" {
					assert.NotRegexp(t, `^arn:[^/]*:\*$`, resource, "%s of %s", statement.Sid, policy.File)
				}
			}
		}
	}
}

func TestTheJournalMayBeAWholeBucket(t *testing.T) {
	for journal, want := range map[string]string{"s3://bucket": "bucket/", "s3://bucket/": "bucket/", "s3://bucket/a/b/": "bucket/a/b/"} {
		statements := documented(t).Policies(journal)[0].Statements
		assert.Equal(t, []string{"arn:aws:s3:::" + want + "openstack-rca-system.rollouts/*",
			"arn:aws:s3:::" + want + "openstack-rca-system.runs/*"}, statements[len(statements)-1].Resource)
	}
}

func TestOnlyDeclaredSecretsMayBeRead(t *testing.T) {
	in := input("staging")
	in.Spec.Strategy = "rolling"
	prefix := "arn:aws:secretsmanager:ap-south-1:" + testAccount + ":secret:"
	parameter := "arn:aws:ssm:ap-south-1:" + testAccount + ":parameter/p"
	in.Spec.Secrets = map[string]string{"A": prefix + "x-AbCdEf:a::", "B": prefix + "x-AbCdEf:b::", "C": parameter}
	plan := mustPlan(t, in)
	byName := map[string]Statement{}
	for _, statement := range (policies{plan}).executionStatements() {
		byName[statement.Sid] = statement
	}
	assert.Equal(t, []string{prefix + "x-AbCdEf"}, byName["ReadTheSecrets"].Resource)
	assert.Equal(t, []string{parameter}, byName["ReadTheParameters"].Resource)
	for _, statement := range (policies{plan}).writeStatements(testJournal) {
		assert.NotEqual(t, "HandECSTheRoleThatShiftsTraffic", statement.Sid, "a rolling deployment shifts nothing")
	}

	in.Spec.Secrets = nil
	assert.Len(t, policies{mustPlan(t, in)}.executionStatements(), 3)
}

func TestTheRoleThatIsMadeMayDecryptWithTheDeclaredKeysOnly(t *testing.T) {
	in := input("staging")
	in.Spec.ExecutionRole, in.Spec.KMSKeys = "", []string{testKey}
	statements := policies{mustPlan(t, in)}.executionStatements()
	assert.Equal(t, Statement{Sid: "DecryptTheSecrets", Effect: "Allow", Action: []string{"kms:Decrypt"}, Resource: []string{testKey}},
		statements[len(statements)-1])
	in.Spec.KMSKeys = nil
	assert.NotContains(t, *mustPlan(t, in).ExecutionRole.Policy.PolicyDocument, "kms:")
}

func TestOnlyWhatIsMountedWithTheTasksRoleIsAllowedToIt(t *testing.T) {
	in := input("staging")
	in.Spec.Volumes = []spec.Volume{
		{Path: "/a", FileSystem: "fs-0123456789abcdef0", IAM: true}, {Path: "/b", FileSystem: "fs-0123456789abcdef1"},
	}
	statements := policies{mustPlan(t, in)}.mountStatements()
	require.Len(t, statements, 1)
	assert.Equal(t, []string{"arn:aws:elasticfilesystem:ap-south-1:" + testAccount + ":file-system/fs-0123456789abcdef0"},
		statements[0].Resource)
	assert.Empty(t, statements[0].Condition, "without an access point the mount cannot be limited to one")
}

func TestTheRepositoryOfAnImage(t *testing.T) {
	for image, want := range map[string]string{
		testImage:                                        "openstack-rca-system",
		"team/rca:v1@" + testDigest:                      "team/rca",
		"localhost:5000/a/b@" + testDigest:               "a/b",
		"rca@" + testDigest:                              "rca",
		"registry.example.com/library/rca@" + testDigest: "library/rca",
	} {
		ref, err := imageref.Parse(image)
		require.NoError(t, err)
		assert.Equal(t, want, policies{&Plan{Image: ref}}.repositoryName(), image)
	}
}

// IAM refuses a document without statements.
func TestNoPolicyIsWithoutStatements(t *testing.T) {
	files := map[string]bool{}
	for _, policy := range mustPlan(t, input("staging")).Policies(testJournal) {
		assert.NotEmpty(t, policy.Statements, policy.File)
		files[policy.File] = true
	}
	assert.True(t, files["deployer.json"])
	assert.False(t, files["task-role.json"], "no volume is mounted with the task's role")
}
