package fakeaws

import (
	"context"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/iam"
)

// Roles is IAM as far as roles with inline policies go, from its API reference: documents
// are returned URL-encoded (RFC 3986), a role with policies cannot be deleted. Its methods
// are those of the client.
type Roles struct {
	cable *cable
	clock *Clock
	all   map[string]*role
	// Allows says what the policies of whoever asks allow; nil is everything.
	Allows func(action, resource string, context map[string]string) bool
}

type role struct {
	arn     string
	trust   string
	tags    []iam.Tag
	made    time.Time
	inline  map[string]string
	managed []string
}

// roleKnown is how long other services do not know a new role here ("eventually consistent"
// is all that IAM's user guide says; pulumi/pulumi-awsx#927 met it with ECS).
const roleKnown = 10 * time.Second

// unknown reports whether a role is too new to be assumed. Roles that are not
// here were given, and are known.
func (r *Roles) unknown(arn string, now time.Time) bool {
	for _, one := range r.all {
		if one.arn == arn {
			return now.Sub(one.made) < roleKnown
		}
	}
	return false
}

// Attach attaches a managed policy to a role, as somebody else would.
func (r *Roles) Attach(name, policy string) {
	r.all[name].managed = append(r.all[name].managed, policy)
}

// Policy returns an inline policy of a role, or an empty string.
func (r *Roles) Policy(name, policy string) string {
	if r.all[name] == nil {
		return ""
	}
	return r.all[name].inline[policy]
}

func (r *Roles) dump() map[string]any {
	out := map[string]any{}
	for name, one := range r.all {
		out[name] = map[string]any{"trust": one.trust, "inline": anyOf(one.inline), "tags": len(one.tags)}
	}
	return out
}

func anyOf(m map[string]string) map[string]any {
	out := map[string]any{}
	for key, value := range m {
		out[key] = value
	}
	return out
}

func (r *Roles) find(name *string) (*role, error) {
	if one := r.all[aws.ToString(name)]; one != nil {
		return one, nil
	}
	return nil, refuse("NoSuchEntity", "The role with name %s cannot be found.", aws.ToString(name))
}

func encoded(document string) *string { return aws.String(url.QueryEscape(document)) }

// GetRole describes a role with its tags.
func (r *Roles) GetRole(_ context.Context, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	return over(r.cable, "iam:GetRole", func() (*iam.GetRoleOutput, error) {
		one, err := r.find(in.RoleName)
		if err != nil {
			return nil, err
		}
		return &iam.GetRoleOutput{Role: &iam.Role{Arn: aws.String(one.arn), RoleName: in.RoleName,
			AssumeRolePolicyDocument: encoded(one.trust), Tags: one.tags}}, nil
	})
}

// GetRolePolicy returns an inline policy.
func (r *Roles) GetRolePolicy(_ context.Context, in *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error) {
	return over(r.cable, "iam:GetRolePolicy", func() (*iam.GetRolePolicyOutput, error) {
		one, err := r.find(in.RoleName)
		if err != nil {
			return nil, err
		}
		document, exists := one.inline[aws.ToString(in.PolicyName)]
		if !exists {
			return nil, refuse("NoSuchEntity", "The role policy with name %s cannot be found.", aws.ToString(in.PolicyName))
		}
		return &iam.GetRolePolicyOutput{RoleName: in.RoleName, PolicyName: in.PolicyName, PolicyDocument: encoded(document)}, nil
	})
}

// CreateRole makes a role that is not there.
func (r *Roles) CreateRole(_ context.Context, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	return over(r.cable, "iam:CreateRole", func() (*iam.CreateRoleOutput, error) {
		name := aws.ToString(in.RoleName)
		if r.all[name] != nil {
			return nil, refuse("EntityAlreadyExists", "Role with name %s already exists.", name)
		}
		one := &role{arn: "arn:aws:iam::" + accountID + ":role/" + name, trust: aws.ToString(in.AssumeRolePolicyDocument), tags: in.Tags,
			made: r.clock.Now(), inline: map[string]string{}}
		r.all[name] = one
		return &iam.CreateRoleOutput{Role: &iam.Role{Arn: aws.String(one.arn), RoleName: in.RoleName}}, nil
	})
}

// UpdateAssumeRolePolicy replaces the trust policy.
func (r *Roles) UpdateAssumeRolePolicy(_ context.Context, in *iam.UpdateAssumeRolePolicyInput) (*iam.UpdateAssumeRolePolicyOutput, error) {
	return over(r.cable, "iam:UpdateAssumeRolePolicy", func() (*iam.UpdateAssumeRolePolicyOutput, error) {
		one, err := r.find(in.RoleName)
		if err != nil {
			return nil, err
		}
		one.trust = aws.ToString(in.PolicyDocument)
		return &iam.UpdateAssumeRolePolicyOutput{}, nil
	})
}

// PutRolePolicy makes or replaces an inline policy.
func (r *Roles) PutRolePolicy(_ context.Context, in *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error) {
	return over(r.cable, "iam:PutRolePolicy", func() (*iam.PutRolePolicyOutput, error) {
		one, err := r.find(in.RoleName)
		if err != nil {
			return nil, err
		}
		one.inline[aws.ToString(in.PolicyName)] = aws.ToString(in.PolicyDocument)
		return &iam.PutRolePolicyOutput{}, nil
	})
}

// DeleteRolePolicy deletes an inline policy.
func (r *Roles) DeleteRolePolicy(_ context.Context, in *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput,
	error) {
	return over(r.cable, "iam:DeleteRolePolicy", func() (*iam.DeleteRolePolicyOutput, error) {
		one, err := r.find(in.RoleName)
		if err != nil {
			return nil, err
		}
		delete(one.inline, aws.ToString(in.PolicyName))
		return &iam.DeleteRolePolicyOutput{}, nil
	})
}

// DeleteRole deletes a role without policies.
func (r *Roles) DeleteRole(_ context.Context, in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	return over(r.cable, "iam:DeleteRole", func() (*iam.DeleteRoleOutput, error) {
		one, err := r.find(in.RoleName)
		if err != nil {
			return nil, err
		}
		if len(one.inline)+len(one.managed) > 0 {
			return nil, refuse("DeleteConflict", "Cannot delete entity, must remove policies first.")
		}
		delete(r.all, aws.ToString(in.RoleName))
		return &iam.DeleteRoleOutput{}, nil
	})
}

// SimulatePrincipalPolicy says what Allows says of every action on every resource; an action is allowed
// if it is on all of them. A key of a condition that the caller does not give has no value.
func (r *Roles) SimulatePrincipalPolicy(
	_ context.Context, in *iam.SimulatePrincipalPolicyInput,
) (*iam.SimulatePrincipalPolicyOutput, error) {
	return over(r.cable, "iam:SimulatePrincipalPolicy", func() (*iam.SimulatePrincipalPolicyOutput, error) {
		given := map[string]string{}
		for _, entry := range in.ContextEntries {
			given[aws.ToString(entry.ContextKeyName)] = entry.ContextKeyValues[0]
		}
		resources := in.ResourceArns
		if len(resources) == 0 {
			resources = []string{"*"} // the default (API reference)
		}
		out := &iam.SimulatePrincipalPolicyOutput{}
		for _, action := range in.ActionNames {
			decision := iam.DecisionAllowed
			for _, resource := range resources {
				if r.Allows != nil && !r.Allows(action, resource, given) {
					decision = "implicitDeny"
				}
			}
			out.EvaluationResults = append(out.EvaluationResults, iam.EvaluationResult{EvalActionName: aws.String(action), EvalDecision: decision})
		}
		return out, nil
	})
}
