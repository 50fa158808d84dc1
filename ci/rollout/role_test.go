package rollout

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheExecutionRoleIsMadeWhereNoneIsNamed(t *testing.T) {
	in := input("staging")
	assert.Nil(t, mustPlan(t, in).ExecutionRole, "it is named")
	in.Spec.ExecutionRole = ""
	plan := mustPlan(t, in)
	require.NotNil(t, plan.ExecutionRole)
	name := *plan.ExecutionRole.Role.RoleName
	assert.Equal(t, "openstack-rca-service-staging-ap-south-1-execution", name)
	assert.Equal(t, "arn:aws:iam::"+testAccount+":role/"+name, *plan.TaskDefinition.ExecutionRoleArn)
	assert.Len(t, plan.ExecutionRole.Role.Tags, 3)
	policy := *plan.ExecutionRole.Policy.PolicyDocument
	assert.True(t, json.Valid([]byte(policy)))
	assert.Contains(t, policy, "secret:rca/anthropic-AbCdEf\"", "the secrets that are declared")
	assert.NotContains(t, policy, "CreateLogGroup")
	assert.Contains(t, *plan.ExecutionRole.Role.AssumeRolePolicyDocument, `"aws:SourceAccount":["`+testAccount+`"]`)
	var passed []string
	for _, statement := range (policies{plan}).writeStatements(testJournal) {
		if statement.Sid == "HandTheTasksTheirRoles" {
			passed = statement.Resource
		}
	}
	assert.Contains(t, passed, *plan.TaskDefinition.ExecutionRoleArn)
}

func TestTheNameOfARoleFits(t *testing.T) {
	assert.Equal(t, "a-execution", executionRoleName("a"))
	long := executionRoleName(strings.Repeat("x", 100))
	assert.Len(t, long, roleNameLimit)
	assert.True(t, strings.HasSuffix(long, "-execution"))
	assert.NotEqual(t, long, executionRoleName(strings.Repeat("x", 101)))
}

func TestRightsAreAddedAndNotTakenAway(t *testing.T) {
	policy := func(resources ...string) string {
		return PolicyDocument([]Statement{allow("ReadTheSecrets", []string{"secretsmanager:GetSecretValue"}, resources)})
	}
	both, err := Together(policy("a", "b"), policy("b", "c"))
	require.NoError(t, err)
	assert.True(t, SameDocument(policy("a", "b", "c"), both))
	again, err := Together(both, policy("c"))
	require.NoError(t, err)
	assert.Equal(t, both, again, "what is allowed already is no change")
	for _, other := range []string{"", "{", `{"Statement": {}}`, `{"Statement": [{"Action": "s3:*"}]}`} {
		got, err := Together(other, policy("a"))
		require.NoError(t, err)
		assert.Equal(t, policy("a"), got, "another form of document is replaced: %s", other)
		assert.False(t, SameDocument(other, policy("a")))
	}
	_, err = Together(policy("a"), "no policy")
	assert.ErrorContains(t, err, "read policy")
}
