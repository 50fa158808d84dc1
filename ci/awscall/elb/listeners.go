package elb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// DescribeListenersInput names a load balancer, and the page that a Marker begins.
type DescribeListenersInput struct{ LoadBalancerArn, Marker *string }

// DescribeListenersOutput is a page of listeners.
type DescribeListenersOutput struct {
	Listeners  []types.Listener
	NextMarker *string
}

// DescribeListeners describes the listeners of a load balancer.
func (c *Client) DescribeListeners(ctx context.Context, in *DescribeListenersInput) (*DescribeListenersOutput, error) {
	return awscall.Do[DescribeListenersOutput](ctx, c.api, "DescribeListeners", in)
}

// CreateListenerInput describes the listener to create.
type CreateListenerInput struct {
	LoadBalancerArn *string
	Port            *int32
	Protocol        types.ProtocolEnum
	Certificates    []types.Certificate
	SslPolicy       *string
	DefaultActions  []types.Action
	Tags            []types.Tag
}

// CreateListenerOutput is the new listener.
type CreateListenerOutput struct{ Listeners []types.Listener }

// CreateListener creates a listener.
func (c *Client) CreateListener(ctx context.Context, in *CreateListenerInput) (*CreateListenerOutput, error) {
	return awscall.Do[CreateListenerOutput](ctx, c.api, "CreateListener", in)
}

// ModifyListenerInput are the members of a listener to change.
type ModifyListenerInput struct {
	ListenerArn    *string
	Port           *int32
	Protocol       types.ProtocolEnum
	Certificates   []types.Certificate
	SslPolicy      *string
	DefaultActions []types.Action
}

// ModifyListenerOutput is empty.
type ModifyListenerOutput struct{}

// ModifyListener changes a listener.
func (c *Client) ModifyListener(ctx context.Context, in *ModifyListenerInput) (*ModifyListenerOutput, error) {
	return awscall.Do[ModifyListenerOutput](ctx, c.api, "ModifyListener", in)
}

// DeleteListenerInput names a listener.
type DeleteListenerInput struct{ ListenerArn *string }

// DeleteListenerOutput is empty.
type DeleteListenerOutput struct{}

// DeleteListener deletes a listener with its rules.
func (c *Client) DeleteListener(ctx context.Context, in *DeleteListenerInput) (*DeleteListenerOutput, error) {
	return awscall.Do[DeleteListenerOutput](ctx, c.api, "DeleteListener", in)
}

// DescribeRulesInput names a listener, and the page that a Marker begins.
type DescribeRulesInput struct{ ListenerArn, Marker *string }

// DescribeRulesOutput is a page of rules.
type DescribeRulesOutput struct {
	Rules      []types.Rule
	NextMarker *string
}

// DescribeRules describes the rules of a listener.
func (c *Client) DescribeRules(ctx context.Context, in *DescribeRulesInput) (*DescribeRulesOutput, error) {
	return awscall.Do[DescribeRulesOutput](ctx, c.api, "DescribeRules", in)
}

// CreateRuleInput describes the rule to create.
type CreateRuleInput struct {
	ListenerArn *string
	Priority    *int32
	Conditions  []types.RuleCondition
	Actions     []types.Action
	Tags        []types.Tag
}

// CreateRuleOutput is the new rule.
type CreateRuleOutput struct{ Rules []types.Rule }

// CreateRule creates a rule.
func (c *Client) CreateRule(ctx context.Context, in *CreateRuleInput) (*CreateRuleOutput, error) {
	return awscall.Do[CreateRuleOutput](ctx, c.api, "CreateRule", in)
}

// ModifyRuleInput are the members of a rule to replace.
type ModifyRuleInput struct {
	RuleArn    *string
	Conditions []types.RuleCondition
	Actions    []types.Action
}

// ModifyRuleOutput is empty.
type ModifyRuleOutput struct{}

// ModifyRule changes a rule.
func (c *Client) ModifyRule(ctx context.Context, in *ModifyRuleInput) (*ModifyRuleOutput, error) {
	return awscall.Do[ModifyRuleOutput](ctx, c.api, "ModifyRule", in)
}

// DeleteRuleInput names a rule.
type DeleteRuleInput struct{ RuleArn *string }

// DeleteRuleOutput is empty.
type DeleteRuleOutput struct{}

// DeleteRule deletes a rule.
func (c *Client) DeleteRule(ctx context.Context, in *DeleteRuleInput) (*DeleteRuleOutput, error) {
	return awscall.Do[DeleteRuleOutput](ctx, c.api, "DeleteRule", in)
}
