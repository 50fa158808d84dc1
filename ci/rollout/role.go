package rollout

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/iam"
	"github.com/openstack-rca/openstack-rca/ci/partition"
)

// ExecutionRole is the role with which ECS pulls the image, reads the secrets and writes the
// logs. The rollout creates it when rollout.execution_role is empty.
type ExecutionRole struct {
	Role   *iam.CreateRoleInput
	Policy *iam.PutRolePolicyInput
}

// executionPolicy is the name of the role's only policy.
const executionPolicy = "openstack-rca"

// roleNameLimit is the longest name of a role.
const roleNameLimit = 64

func (p policies) executionRole() *ExecutionRole {
	name := aws.String(p.settings.names.executionRole)
	role := &iam.CreateRoleInput{
		RoleName: name, AssumeRolePolicyDocument: aws.String(PolicyDocument(p.trust("ecs-tasks.amazonaws.com"))),
		Description: aws.String("ECS starts the tasks of " + p.settings.names.service + " with it"),
	}
	for _, t := range p.settings.ownership() {
		role.Tags = append(role.Tags, iam.Tag{Key: aws.String(t.key), Value: aws.String(t.value)})
	}
	return &ExecutionRole{role, &iam.PutRolePolicyInput{
		RoleName: name, PolicyName: aws.String(executionPolicy), PolicyDocument: aws.String(PolicyDocument(p.executionStatements())),
	}}
}

// PolicyDocument renders statements as the JSON that IAM takes.
func PolicyDocument(statements []Statement) string {
	content, err := json.Marshal(document{"2012-10-17", statements})
	if err != nil {
		panic(fmt.Sprintf("encode policy: %v", err)) // strings and lists of them can always be encoded
	}
	return string(content)
}

// Together merges two policies into one that allows what either allows. A release that is
// rolled back to still needs its secrets, so a deployment never removes a right. When have
// cannot be read, want replaces it; an error means that want is invalid.
func Together(have, want string) (string, error) {
	var a, b document
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		return "", fmt.Errorf("read policy: %w", err)
	}
	if err := json.Unmarshal([]byte(have), &a); err != nil {
		return want, nil //nolint:nilerr // somebody wrote another form of it; ours replaces it
	}
	for _, old := range a.Statement {
		n := slices.IndexFunc(b.Statement, func(s Statement) bool { return s.Sid == old.Sid && s.Effect == old.Effect })
		if n < 0 {
			b.Statement = append(b.Statement, old)
			continue
		}
		for _, lists := range []struct {
			to   *[]string
			from []string
		}{{&b.Statement[n].Action, old.Action}, {&b.Statement[n].Resource, old.Resource}} {
			all := slices.Concat(*lists.to, lists.from)
			slices.Sort(all)
			*lists.to = slices.Compact(all)
		}
	}
	slices.SortStableFunc(b.Statement, func(x, y Statement) int { return cmp.Compare(x.Sid, y.Sid) })
	return PolicyDocument(b.Statement), nil
}

// SameDocument reports whether two policies are equal, whatever their formatting.
func SameDocument(a, b string) bool {
	var x, y document
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil &&
		PolicyDocument(x.Statement) == PolicyDocument(y.Statement)
}

// roleStatements allow creating, updating and deleting the execution role.
func (p policies) roleStatements() []Statement {
	return []Statement{allow("MakeTheExecutionRole", []string{
		"iam:CreateRole", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:GetRole", "iam:GetRolePolicy", "iam:PutRolePolicy", "iam:TagRole",
		"iam:UpdateAssumeRolePolicy",
	}, []string{p.roleARN(p.settings.names.executionRole)})}
}

func (p policies) roleARN(name string) string { return roleARN(p.Region, p.Account, name) }

func roleARN(region, account, name string) string {
	return "arn:" + partition.ID(region) + ":iam::" + account + ":role/" + name
}

// executionRoleName is base and the role's purpose as a name that IAM accepts.
func executionRoleName(base string) string {
	const suffix = "-execution"
	if len(base)+len(suffix) <= roleNameLimit {
		return base + suffix
	}
	tail := "-" + shortHash(base) + suffix
	return strings.TrimRight(base[:roleNameLimit-len(tail)], "-") + tail
}
