// Package iam has the operations of AWS IAM that the rollout uses: one role with one inline
// policy, and the question which rights a caller has. Fields are as in the API reference; nil is
// not sent.
package iam

import (
	"context"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
	"github.com/openstack-rca/openstack-rca/ci/partition"
)

// Client calls IAM. It is safe for concurrent use.
type Client struct{ api *awscall.Client }

// New returns a client of the configuration's account.
func New(cfg aws.Config) *Client {
	return &Client{awscall.New(cfg, awscall.Service{
		ID: "IAM", Name: "iam", Endpoint: endpoint, Protocol: awscall.Query{Version: "2010-05-08"},
	})}
}

// home is where a partition's only IAM is: its host, those with validated cryptography and with
// IPv6, and the region that requests are signed for.
type home struct{ host, fips, dual, dualFIPS, region string }

// homes are those that the SDK knows, by the partition's ID.
var homes = map[string]home{
	"aws":        {"iam.amazonaws.com", "iam-fips.amazonaws.com", "iam.global.api.aws", "iam-fips.global.api.aws", "us-east-1"},
	"aws-us-gov": {"iam.us-gov.amazonaws.com", "iam.us-gov.amazonaws.com", "iam.us-gov.api.aws", "iam.us-gov.api.aws", "us-gov-west-1"},
	"aws-cn": {"iam.cn-north-1.amazonaws.com.cn", "iam-fips.amazonaws.com.cn", "iam.global.api.amazonwebservices.com.cn",
		"iam-fips.api.amazonwebservices.com.cn", "cn-north-1"},
	"aws-eusc":  {host: "iam.eusc-de-east-1.amazonaws.eu", region: "eusc-de-east-1"},
	"aws-iso":   {host: "iam.us-iso-east-1.c2s.ic.gov", region: "us-iso-east-1"},
	"aws-iso-b": {host: "iam.us-isob-east-1.sc2s.sgov.gov", region: "us-isob-east-1"},
	"aws-iso-e": {host: "iam.eu-isoe-west-1.cloud.adc-e.uk", region: "eu-isoe-west-1"},
	"aws-iso-f": {host: "iam.us-isof-south-1.csp.hci.ic.gov", region: "us-isof-south-1"},
}

func endpoint(region string, v awscall.Variant) (awscall.Endpoint, error) {
	p, _ := partition.Of(region)
	at := homes[p.ID]
	host := at.host
	switch v {
	case awscall.Variant{FIPS: true}:
		host = at.fips
	case awscall.Variant{DualStack: true}:
		host = at.dual
	case awscall.Variant{FIPS: true, DualStack: true}:
		host = at.dualFIPS
	}
	if host == "" {
		return awscall.Endpoint{}, fmt.Errorf("failed to resolve service endpoint, IAM has none of that kind for region %q", region)
	}
	return awscall.Endpoint{URL: url.URL{Scheme: "https", Host: host, Path: "/"}, Region: at.region}, nil
}

// Tag is a tag of a role.
type Tag struct{ Key, Value *string }

// Role is a role. Its document is URL-encoded.
type Role struct {
	Arn, RoleName, AssumeRolePolicyDocument *string
	Tags                                    []Tag
}

// CreateRoleInput describes the role to create.
type CreateRoleInput struct {
	RoleName, AssumeRolePolicyDocument, Description *string
	Tags                                            []Tag
}

// CreateRoleOutput is the new role.
type CreateRoleOutput struct{ Role *Role }

// CreateRole creates a role.
func (c *Client) CreateRole(ctx context.Context, in *CreateRoleInput) (*CreateRoleOutput, error) {
	return awscall.Do[CreateRoleOutput](ctx, c.api, "CreateRole", in)
}

// GetRoleInput names a role.
type GetRoleInput struct{ RoleName *string }

// GetRoleOutput is the role.
type GetRoleOutput struct{ Role *Role }

// GetRole describes a role.
func (c *Client) GetRole(ctx context.Context, in *GetRoleInput) (*GetRoleOutput, error) {
	return awscall.Do[GetRoleOutput](ctx, c.api, "GetRole", in)
}

// DeleteRoleInput names a role.
type DeleteRoleInput struct{ RoleName *string }

// DeleteRoleOutput is empty.
type DeleteRoleOutput struct{}

// DeleteRole deletes a role without policies.
func (c *Client) DeleteRole(ctx context.Context, in *DeleteRoleInput) (*DeleteRoleOutput, error) {
	return awscall.Do[DeleteRoleOutput](ctx, c.api, "DeleteRole", in)
}

// UpdateAssumeRolePolicyInput is a role's new trust policy.
type UpdateAssumeRolePolicyInput struct{ RoleName, PolicyDocument *string }

// UpdateAssumeRolePolicyOutput is empty.
type UpdateAssumeRolePolicyOutput struct{}

// UpdateAssumeRolePolicy replaces a role's trust policy.
func (c *Client) UpdateAssumeRolePolicy(ctx context.Context, in *UpdateAssumeRolePolicyInput) (*UpdateAssumeRolePolicyOutput, error) {
	return awscall.Do[UpdateAssumeRolePolicyOutput](ctx, c.api, "UpdateAssumeRolePolicy", in)
}

// PutRolePolicyInput is an inline policy of a role.
type PutRolePolicyInput struct{ RoleName, PolicyName, PolicyDocument *string }

// PutRolePolicyOutput is empty.
type PutRolePolicyOutput struct{}

// PutRolePolicy creates or replaces an inline policy.
func (c *Client) PutRolePolicy(ctx context.Context, in *PutRolePolicyInput) (*PutRolePolicyOutput, error) {
	return awscall.Do[PutRolePolicyOutput](ctx, c.api, "PutRolePolicy", in)
}

// GetRolePolicyInput names an inline policy.
type GetRolePolicyInput struct{ RoleName, PolicyName *string }

// GetRolePolicyOutput is an inline policy. Its document is URL-encoded.
type GetRolePolicyOutput struct{ RoleName, PolicyName, PolicyDocument *string }

// GetRolePolicy describes an inline policy.
func (c *Client) GetRolePolicy(ctx context.Context, in *GetRolePolicyInput) (*GetRolePolicyOutput, error) {
	return awscall.Do[GetRolePolicyOutput](ctx, c.api, "GetRolePolicy", in)
}

// DeleteRolePolicyInput names an inline policy.
type DeleteRolePolicyInput struct{ RoleName, PolicyName *string }

// DeleteRolePolicyOutput is empty.
type DeleteRolePolicyOutput struct{}

// DeleteRolePolicy deletes an inline policy.
func (c *Client) DeleteRolePolicy(ctx context.Context, in *DeleteRolePolicyInput) (*DeleteRolePolicyOutput, error) {
	return awscall.Do[DeleteRolePolicyOutput](ctx, c.api, "DeleteRolePolicy", in)
}

// ContextKeyTypeString is the type of a condition key with one value of text.
const ContextKeyTypeString ContextKeyType = "string"

// DecisionAllowed is the decision that allows an action; there are two that deny it.
const DecisionAllowed Decision = "allowed"

type (
	// ContextKeyType is the type of a condition key.
	ContextKeyType string
	// Decision is what policies say about an action.
	Decision string
)

// ContextEntry is the value of a condition key.
type ContextEntry struct {
	ContextKeyName   *string
	ContextKeyType   ContextKeyType
	ContextKeyValues []string
}

// SimulatePrincipalPolicyInput asks whether a principal may do the actions.
type SimulatePrincipalPolicyInput struct {
	PolicySourceArn, Marker   *string
	ActionNames, ResourceArns []string
	ContextEntries            []ContextEntry
}

// EvaluationResult is the decision on one action.
type EvaluationResult struct {
	EvalActionName *string
	EvalDecision   Decision
}

// SimulatePrincipalPolicyOutput is one page of decisions.
type SimulatePrincipalPolicyOutput struct {
	EvaluationResults []EvaluationResult
	IsTruncated       bool
	Marker            *string
}

// SimulatePrincipalPolicy asks what the policies of a principal allow.
func (c *Client) SimulatePrincipalPolicy(ctx context.Context, in *SimulatePrincipalPolicyInput) (*SimulatePrincipalPolicyOutput, error) {
	return awscall.Do[SimulatePrincipalPolicyOutput](ctx, c.api, "SimulatePrincipalPolicy", in)
}
