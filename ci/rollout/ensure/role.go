package ensure

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/iam"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
)

const roleKind = "iam role"

// roleSettles is how long a new role is given until ECS is asked to use it: IAM's answers
// are "eventually consistent" (its user guide names no time; users report seconds).
const roleSettles = 15 * time.Second

// role is what exists of the execution role.
type role struct {
	tags          map[string]string
	trust, policy string
}

// executionRole is nil when it does not exist.
func (s foundations) executionRole(ctx context.Context) (*role, error) {
	want := s.plan.ExecutionRole
	out, err := s.clients.Roles.GetRole(ctx, &iam.GetRoleInput{RoleName: want.Role.RoleName})
	if is(err, "NoSuchEntity", "NoSuchEntityException") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get role %s: %w", *want.Role.RoleName, err)
	}
	have := &role{tags: map[string]string{}, trust: decoded(out.Role.AssumeRolePolicyDocument)}
	for _, t := range out.Role.Tags {
		have.tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	policy, err := s.clients.Roles.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: want.Role.RoleName,
		PolicyName: want.Policy.PolicyName})
	if is(err, "NoSuchEntity", "NoSuchEntityException") {
		return have, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get policy of role %s: %w", *want.Role.RoleName, err)
	}
	have.policy = decoded(policy.PolicyDocument)
	return have, nil
}

// decoded is a document as IAM returns it: URL-encoded.
func decoded(document *string) string {
	text, err := url.QueryUnescape(aws.ToString(document))
	if err != nil {
		return aws.ToString(document)
	}
	return text
}

func (s foundations) lookAtRole(ctx context.Context) error {
	want := s.plan.ExecutionRole
	if want == nil {
		return nil // it is given, and somebody else's
	}
	have, err := s.executionRole(ctx)
	if err != nil {
		return err
	}
	i := s.add(roleKind, *want.Role.RoleName)
	if have == nil {
		i.Action = Create
		i.write = func(ctx context.Context) error {
			if _, err := s.clients.Roles.CreateRole(ctx, want.Role); err != nil && !is(err, "EntityAlreadyExists", "EntityAlreadyExistsException") {
				return err
			}
			if _, err := s.clients.Roles.PutRolePolicy(ctx, want.Policy); err != nil {
				return err
			}
			return s.clock.Sleep(ctx, roleSettles)
		}
		return nil
	}
	if !s.own(i, have.tags) {
		i.foreign += "; name it as rollout.execution_role to use it as it is"
		return nil
	}
	// What is allowed already stays: a release that is rolled back to still needs it.
	allowed, err := rollout.Together(have.policy, *want.Policy.PolicyDocument)
	if err != nil {
		return err
	}
	var all []Difference
	if !rollout.SameDocument(have.trust, *want.Role.AssumeRolePolicyDocument) {
		all = append(all, Difference{"AssumeRolePolicyDocument", have.trust, *want.Role.AssumeRolePolicyDocument})
	}
	if together, err := rollout.Together(have.policy, have.policy); err != nil || !rollout.SameDocument(together, allowed) {
		all = append(all, Difference{"PolicyDocument", have.policy, allowed})
	}
	i.differs(all)
	i.write = func(ctx context.Context) error {
		for _, d := range all {
			var err error
			if d.Path == "PolicyDocument" {
				policy := *want.Policy
				policy.PolicyDocument = aws.String(allowed)
				_, err = s.clients.Roles.PutRolePolicy(ctx, &policy)
			} else {
				_, err = s.clients.Roles.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: want.Role.RoleName,
					PolicyDocument: want.Role.AssumeRolePolicyDocument})
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

// role deletes the execution role, unless somebody gave it other rights than ours.
func (d *destroyer) role(ctx context.Context) error {
	want := d.plan.ExecutionRole
	if want == nil {
		return nil
	}
	have, err := foundations{d.State}.executionRole(ctx)
	if err != nil || have == nil {
		return err
	}
	inUse := false
	err = d.delete(ctx, roleKind, *want.Role.RoleName, have.tags, []string{"NoSuchEntity", "NoSuchEntityException"}, func() error {
		if have.policy != "" {
			if _, err := d.clients.Roles.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: want.Role.RoleName,
				PolicyName: want.Policy.PolicyName}); err != nil {
				return err
			}
		}
		_, err := d.clients.Roles.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: want.Role.RoleName})
		if is(err, "DeleteConflict", "DeleteConflictException") {
			inUse = true
		}
		return err
	})
	if inUse {
		d.keep(roleKind, *want.Role.RoleName, "somebody attached other policies to it")
		return nil
	}
	return err
}
