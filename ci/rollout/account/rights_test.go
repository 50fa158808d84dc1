package account

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/iam"
)

// simulator denies the actions that it lists, one result a page.
type simulator struct {
	deny []string
	err  error
	asks []*iam.SimulatePrincipalPolicyInput
	ends bool
}

func (s *simulator) SimulatePrincipalPolicy(
	_ context.Context, in *iam.SimulatePrincipalPolicyInput,
) (*iam.SimulatePrincipalPolicyOutput, error) {
	if s.err != nil {
		return nil, s.err
	}
	copied := *in
	s.asks = append(s.asks, &copied)
	page := 0
	if m := aws.ToString(in.Marker); m != "" {
		page = int(m[0])
	}
	page = min(page, len(in.ActionNames)-1)
	action := in.ActionNames[page]
	decision := iam.DecisionAllowed
	if slices.Contains(s.deny, action) {
		decision = iam.Decision("implicitDeny")
	}
	return &iam.SimulatePrincipalPolicyOutput{
		EvaluationResults: []iam.EvaluationResult{{EvalActionName: aws.String(action), EvalDecision: decision}},
		IsTruncated:       !s.ends || page+1 < len(in.ActionNames), Marker: aws.String(string(rune(page + 1))),
	}, nil
}

func TestMissingRights(t *testing.T) {
	rights := []Right{
		{Actions: []string{"ecs:UpdateService", "ecs:DescribeServices"}, Resources: []string{"arn:aws:ecs:eu-west-1:111122223333:service/a/b*"},
			Context: map[string][]string{"aws:ResourceTag/x": {"y"}}},
		{Actions: []string{"iam:PassRole"}, Resources: []string{"*"}},
	}
	s := &simulator{ends: true, deny: []string{"iam:PassRole", "ecs:UpdateService"}}
	missing, err := Missing(t.Context(), s, "arn:aws:sts::111122223333:assumed-role/deployer/session", rights)
	require.NoError(t, err)
	assert.Equal(t, []string{"ecs:UpdateService", "iam:PassRole"}, missing)
	assert.Equal(t, "arn:aws:iam::111122223333:role/deployer", *s.asks[0].PolicySourceArn)
	assert.Equal(t, []string{"arn:aws:ecs:eu-west-1:111122223333:service/a/bx"}, s.asks[0].ResourceArns)
	assert.Equal(t, "aws:ResourceTag/x", *s.asks[0].ContextEntries[0].ContextKeyName)
	assert.Empty(t, s.asks[len(s.asks)-1].ResourceArns)
	assert.Equal(t, "arn:aws:iam::111122223333:user/me", Principal("arn:aws:iam::111122223333:user/me"))

	missing, err = Missing(t.Context(), &simulator{ends: true}, "arn:aws:iam::111122223333:user/me", rights)
	require.NoError(t, err)
	assert.Empty(t, missing)
	_, err = Missing(t.Context(), &simulator{err: errors.New("AccessDenied")}, "x", rights)
	require.ErrorContains(t, err, "iam:SimulatePrincipalPolicy")
	_, err = Missing(t.Context(), &simulator{}, "x", rights)
	require.ErrorContains(t, err, "does not end")
}
