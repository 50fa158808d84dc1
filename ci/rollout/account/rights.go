package account

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/iam"
)

// Simulator is the part of the IAM client that Missing needs. It changes nothing.
type Simulator interface {
	SimulatePrincipalPolicy(context.Context, *iam.SimulatePrincipalPolicyInput) (*iam.SimulatePrincipalPolicyOutput,
		error)
}

// Right is a permission to check: actions on resources, for given values of condition keys.
type Right struct {
	Actions, Resources []string
	Context            map[string][]string
}

// assumed matches the ARN of a role's session.
var assumed = regexp.MustCompile(`^arn:([a-z-]+):sts::([0-9]{12}):assumed-role/([^/]+)/[^/]+$`)

// Principal returns the ARN that policies are attached to; for a session that is its role. A session's ARN does not contain
// the role's path, so a role with a path cannot be named this way.
func Principal(caller string) string {
	if parts := assumed.FindStringSubmatch(caller); parts != nil {
		return "arn:" + parts[1] + ":iam::" + parts[2] + ":role/" + parts[3]
	}
	return caller
}

// Missing asks IAM which of the permissions the caller lacks, and returns the actions, sorted. It returns an error if that is
// unknown: the caller may not be allowed to ask (iam:SimulatePrincipalPolicy).
func Missing(ctx context.Context, simulator Simulator, caller string, rights []Right) ([]string, error) {
	denied := map[string]bool{}
	for _, right := range rights {
		in := &iam.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String(Principal(caller)), ActionNames: right.Actions}
		for _, resource := range right.Resources {
			// The simulation needs a concrete resource, not a pattern; any that matches will do.
			in.ResourceArns = append(in.ResourceArns, strings.ReplaceAll(resource, "*", "x"))
		}
		if slices.Contains(right.Resources, "*") {
			in.ResourceArns = nil
		}
		for key, values := range right.Context {
			in.ContextEntries = append(in.ContextEntries, iam.ContextEntry{
				ContextKeyName: aws.String(key), ContextKeyType: iam.ContextKeyTypeString, ContextKeyValues: values,
			})
		}
		for pages := 0; ; pages++ {
			out, err := simulator.SimulatePrincipalPolicy(ctx, in)
			if err != nil {
				return nil, fmt.Errorf("simulate policies (iam:SimulatePrincipalPolicy): %w", err)
			}
			for _, result := range out.EvaluationResults {
				if result.EvalDecision != iam.DecisionAllowed {
					denied[aws.ToString(result.EvalActionName)] = true
				}
			}
			if !out.IsTruncated {
				break
			}
			if pages == 100 {
				return nil, errors.New("simulate policies: the answer does not end")
			}
			in.Marker = out.Marker
		}
	}
	var missing []string
	for action := range denied {
		missing = append(missing, action)
	}
	slices.Sort(missing)
	return missing, nil
}
