package ensure

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/iam"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// making is an input that names no execution role.
func making() rollout.Input {
	in := staging("canary")
	in.Spec.ExecutionRole = ""
	return in
}

func withSecret(in rollout.Input, name string) rollout.Input {
	in.Spec.Secrets = map[string]string{"KEY": "arn:aws:secretsmanager:ap-south-1:" + accountID + ":secret:" + name + "-AbCdEf"}
	return in
}

func roleChange(t *testing.T, s *State) Change {
	t.Helper()
	for _, c := range s.Changes() {
		if c.Kind == roleKind {
			return c
		}
	}
	t.Fatal("there is no role in the plan")
	return Change{}
}

func TestTheExecutionRoleIsMadeKeptAndDeleted(t *testing.T) {
	w := newWorld(t)
	plan := planOf(t, making())
	name := *plan.ExecutionRole.Role.RoleName
	assert.Equal(t, Create, roleChange(t, w.look(plan)).Action)
	plan = w.rolled(making())
	assert.Equal(t, *plan.ExecutionRole.Policy.PolicyDocument, w.aws.Roles.Policy(name, "openstack-rca"))
	assert.Equal(t, Keep, roleChange(t, w.look(plan)).Action)
	assert.Empty(t, fakeaws.Writes(w.calls(func() { require.NoError(t, w.roll(plan)) })))

	// Another secret needs another right; that of the release before stays.
	w.rolled(withSecret(making(), "first"))
	second := withSecret(making(), "second")
	change := roleChange(t, w.look(planOf(t, second)))
	assert.Equal(t, Update, change.Action)
	w.rolled(second)
	policy := w.aws.Roles.Policy(name, "openstack-rca")
	assert.Contains(t, policy, "secret:first-AbCdEf")
	assert.Contains(t, policy, "secret:second-AbCdEf")
	assert.Equal(t, Keep, roleChange(t, w.look(planOf(t, withSecret(making(), "first")))).Action, "so that a rollback needs no write")

	// Somebody lets another service take the role: it is put back.
	_, err := w.aws.Roles.UpdateAssumeRolePolicy(context.Background(),
		&iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[]}`)})
	require.NoError(t, err)
	assert.Equal(t, []string{"iam:UpdateAssumeRolePolicy"}, fakeaws.Writes(w.calls(func() { require.NoError(t, w.roll(planOf(t, second))) })))

	done, problem := w.destroy(planOf(t, second), true)
	require.NoError(t, problem)
	assert.Contains(t, done.Deleted, roleKind+" "+name)
	assert.Equal(t, Create, roleChange(t, w.look(plan)).Action)
}

func TestARoleThatIsNamedIsNotLookedAt(t *testing.T) {
	w := newWorld(t)
	calls := w.calls(func() { w.rolled(staging("canary")) })
	assert.NotContains(t, strings.Join(calls, " "), "iam:")
	done, problem := w.destroy(planOf(t, staging("canary")), true)
	require.NoError(t, problem)
	assert.NotContains(t, strings.Join(done.Deleted, " "), roleKind)
}

func TestSomebodyElsesRoleIsNeitherChangedNorDeleted(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	plan := planOf(t, making())
	_, err := w.aws.Roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: plan.ExecutionRole.Role.RoleName,
		AssumeRolePolicyDocument: aws.String("{}")})
	require.NoError(t, err)
	before := w.aws.Dump()
	state := w.look(plan)
	require.Len(t, state.Problems(), 1)
	assert.Equal(t, NotOurs.Name, state.Problems()[0].Code.Name)
	assert.Contains(t, state.Problems()[0].Error(), "rollout.execution_role")
	assert.NotNil(t, state.Before(ctx))
	done, problem := w.destroy(plan, true)
	require.NoError(t, problem)
	require.Len(t, done.Kept, 1)
	assert.Equal(t, before, w.aws.Dump())
}

func TestARoleThatOthersGaveRightsStays(t *testing.T) {
	w := newWorld(t)
	plan := w.rolled(making())
	w.aws.Roles.Attach(*plan.ExecutionRole.Role.RoleName, "arn:aws:iam::aws:policy/ReadOnlyAccess")
	done, problem := w.destroy(plan, true)
	require.NoError(t, problem)
	require.Len(t, done.Kept, 1)
	assert.Contains(t, done.Kept[0].Reason, "other policies")
}

func TestARoleThatCannotBeReadOrMadeIsSaidSo(t *testing.T) {
	w := newWorld(t)
	plan := planOf(t, making())
	denied := func(operation string) { w.aws.Fail(operation, &smithy.GenericAPIError{Code: "AccessDenied"}) }
	denied("iam:GetRole")
	_, problem := Look(context.Background(), w.clients(), w.clock, plan)
	require.NotNil(t, problem)
	assert.Equal(t, LookFailed.Name, problem.Code.Name)
	denied("iam:CreateRole")
	problem = w.look(plan).Before(context.Background())
	require.NotNil(t, problem)
	assert.Equal(t, WriteFailed.Name, problem.Code.Name)
	assert.Contains(t, problem.Cause, roleKind)
	w.rolled(making())
	denied("iam:GetRolePolicy")
	_, problem = Look(context.Background(), w.clients(), w.clock, plan)
	require.NotNil(t, problem)
	denied("iam:DeleteRolePolicy")
	_, err := w.destroy(plan, true)
	assert.ErrorContains(t, err, roleKind)
}

func TestARunThatIsLostWhileItMakesTheRoleIsGoneOnWith(t *testing.T) {
	plan := planOf(t, making())
	whole := newWorld(t)
	calls := whole.calls(func() { require.NoError(t, whole.roll(plan)) })
	want := whole.aws.Dump()
	for n := 1; n <= len(calls); n++ {
		if !strings.HasPrefix(calls[n-1], "iam:") {
			continue
		}
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			w.aws.Cut(n, after)
			require.Error(t, w.roll(plan))
			w.aws.Cut(0, false)
			require.NoError(t, w.roll(plan))
			require.Equal(t, want, w.aws.Dump(), "%s, carried out: %v", calls[n-1], after)
		}
	}
}
