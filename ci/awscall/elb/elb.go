// Package elb has the operations of Elastic Load Balancing that the rollout uses: one Application
// Load Balancer with its listeners, one rule and two target groups. The shapes are the SDK's, so
// that an action or condition of somebody else is written back whole; inputs have the members that
// are used, and nil is not sent.
package elb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// Client calls Elastic Load Balancing. It is safe for concurrent use.
type Client struct{ api *awscall.Client }

// New returns a client of the configuration's account and region.
func New(cfg aws.Config) *Client {
	return &Client{awscall.New(cfg, awscall.Service{
		ID: "Elastic Load Balancing v2", Name: "elasticloadbalancing", Endpoint: awscall.Regional("elasticloadbalancing", true),
		Protocol: awscall.Query{Version: "2015-12-01"},
	})}
}

// DescribeLoadBalancersInput names load balancers.
type DescribeLoadBalancersInput struct{ Names []string }

// DescribeLoadBalancersOutput is the first page of load balancers.
type DescribeLoadBalancersOutput struct{ LoadBalancers []types.LoadBalancer }

// DescribeLoadBalancers describes load balancers.
func (c *Client) DescribeLoadBalancers(ctx context.Context, in *DescribeLoadBalancersInput) (*DescribeLoadBalancersOutput, error) {
	return awscall.Do[DescribeLoadBalancersOutput](ctx, c.api, "DescribeLoadBalancers", in)
}

// CreateLoadBalancerInput describes the load balancer to create.
type CreateLoadBalancerInput struct {
	Name                    *string
	Type                    types.LoadBalancerTypeEnum
	Scheme                  types.LoadBalancerSchemeEnum
	IpAddressType           types.IpAddressType
	Subnets, SecurityGroups []string
	Tags                    []types.Tag
}

// CreateLoadBalancerOutput is the new load balancer.
type CreateLoadBalancerOutput struct{ LoadBalancers []types.LoadBalancer }

// CreateLoadBalancer creates a load balancer.
func (c *Client) CreateLoadBalancer(ctx context.Context, in *CreateLoadBalancerInput) (*CreateLoadBalancerOutput, error) {
	return awscall.Do[CreateLoadBalancerOutput](ctx, c.api, "CreateLoadBalancer", in)
}

// DescribeLoadBalancerAttributesInput names a load balancer.
type DescribeLoadBalancerAttributesInput struct{ LoadBalancerArn *string }

// DescribeLoadBalancerAttributesOutput are its attributes.
type DescribeLoadBalancerAttributesOutput struct{ Attributes []types.LoadBalancerAttribute }

// DescribeLoadBalancerAttributes describes the attributes of a load balancer.
func (c *Client) DescribeLoadBalancerAttributes(
	ctx context.Context, in *DescribeLoadBalancerAttributesInput,
) (*DescribeLoadBalancerAttributesOutput, error) {
	return awscall.Do[DescribeLoadBalancerAttributesOutput](ctx, c.api, "DescribeLoadBalancerAttributes", in)
}

// ModifyLoadBalancerAttributesInput are attributes to set.
type ModifyLoadBalancerAttributesInput struct {
	LoadBalancerArn *string
	Attributes      []types.LoadBalancerAttribute
}

// ModifyLoadBalancerAttributesOutput is empty.
type ModifyLoadBalancerAttributesOutput struct{}

// ModifyLoadBalancerAttributes sets attributes of a load balancer.
func (c *Client) ModifyLoadBalancerAttributes(
	ctx context.Context, in *ModifyLoadBalancerAttributesInput,
) (*ModifyLoadBalancerAttributesOutput, error) {
	return awscall.Do[ModifyLoadBalancerAttributesOutput](ctx, c.api, "ModifyLoadBalancerAttributes", in)
}

// SetSubnetsInput are a load balancer's subnets.
type SetSubnetsInput struct {
	LoadBalancerArn *string
	Subnets         []string
}

// SetSubnetsOutput is empty.
type SetSubnetsOutput struct{}

// SetSubnets replaces the subnets of a load balancer.
func (c *Client) SetSubnets(ctx context.Context, in *SetSubnetsInput) (*SetSubnetsOutput, error) {
	return awscall.Do[SetSubnetsOutput](ctx, c.api, "SetSubnets", in)
}

// SetSecurityGroupsInput are a load balancer's security groups.
type SetSecurityGroupsInput struct {
	LoadBalancerArn *string
	SecurityGroups  []string
}

// SetSecurityGroupsOutput is empty.
type SetSecurityGroupsOutput struct{}

// SetSecurityGroups replaces the security groups of a load balancer.
func (c *Client) SetSecurityGroups(ctx context.Context, in *SetSecurityGroupsInput) (*SetSecurityGroupsOutput, error) {
	return awscall.Do[SetSecurityGroupsOutput](ctx, c.api, "SetSecurityGroups", in)
}

// DeleteLoadBalancerInput names a load balancer.
type DeleteLoadBalancerInput struct{ LoadBalancerArn *string }

// DeleteLoadBalancerOutput is empty.
type DeleteLoadBalancerOutput struct{}

// DeleteLoadBalancer deletes a load balancer with its listeners and rules.
func (c *Client) DeleteLoadBalancer(ctx context.Context, in *DeleteLoadBalancerInput) (*DeleteLoadBalancerOutput, error) {
	return awscall.Do[DeleteLoadBalancerOutput](ctx, c.api, "DeleteLoadBalancer", in)
}

// DescribeTagsInput names resources, at most 20.
type DescribeTagsInput struct{ ResourceArns []string }

// DescribeTagsOutput are their tags.
type DescribeTagsOutput struct{ TagDescriptions []types.TagDescription }

// DescribeTags describes the tags of resources.
func (c *Client) DescribeTags(ctx context.Context, in *DescribeTagsInput) (*DescribeTagsOutput, error) {
	return awscall.Do[DescribeTagsOutput](ctx, c.api, "DescribeTags", in)
}
