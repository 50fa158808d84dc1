package elb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// DescribeTargetGroupsInput names target groups.
type DescribeTargetGroupsInput struct{ Names, TargetGroupArns []string }

// DescribeTargetGroupsOutput is the first page of target groups.
type DescribeTargetGroupsOutput struct{ TargetGroups []types.TargetGroup }

// DescribeTargetGroups describes target groups.
func (c *Client) DescribeTargetGroups(ctx context.Context, in *DescribeTargetGroupsInput) (*DescribeTargetGroupsOutput, error) {
	return awscall.Do[DescribeTargetGroupsOutput](ctx, c.api, "DescribeTargetGroups", in)
}

// CreateTargetGroupInput describes the target group to create.
type CreateTargetGroupInput struct {
	Name, VpcId                                           *string
	TargetType                                            types.TargetTypeEnum
	IpAddressType                                         types.TargetGroupIpAddressTypeEnum
	Protocol                                              types.ProtocolEnum
	ProtocolVersion                                       *string
	Port                                                  *int32
	HealthCheckEnabled                                    *bool
	HealthCheckProtocol                                   types.ProtocolEnum
	HealthCheckPort, HealthCheckPath                      *string
	HealthCheckIntervalSeconds, HealthCheckTimeoutSeconds *int32
	HealthyThresholdCount, UnhealthyThresholdCount        *int32
	Matcher                                               *types.Matcher
	Tags                                                  []types.Tag
}

// CreateTargetGroupOutput is the new target group.
type CreateTargetGroupOutput struct{ TargetGroups []types.TargetGroup }

// CreateTargetGroup creates a target group.
func (c *Client) CreateTargetGroup(ctx context.Context, in *CreateTargetGroupInput) (*CreateTargetGroupOutput, error) {
	return awscall.Do[CreateTargetGroupOutput](ctx, c.api, "CreateTargetGroup", in)
}

// ModifyTargetGroupInput is a target group's health check.
type ModifyTargetGroupInput struct {
	TargetGroupArn                                        *string
	HealthCheckEnabled                                    *bool
	HealthCheckProtocol                                   types.ProtocolEnum
	HealthCheckPort, HealthCheckPath                      *string
	HealthCheckIntervalSeconds, HealthCheckTimeoutSeconds *int32
	HealthyThresholdCount, UnhealthyThresholdCount        *int32
	Matcher                                               *types.Matcher
}

// ModifyTargetGroupOutput is empty.
type ModifyTargetGroupOutput struct{}

// ModifyTargetGroup changes the health check of a target group.
func (c *Client) ModifyTargetGroup(ctx context.Context, in *ModifyTargetGroupInput) (*ModifyTargetGroupOutput, error) {
	return awscall.Do[ModifyTargetGroupOutput](ctx, c.api, "ModifyTargetGroup", in)
}

// DescribeTargetGroupAttributesInput names a target group.
type DescribeTargetGroupAttributesInput struct{ TargetGroupArn *string }

// DescribeTargetGroupAttributesOutput are its attributes.
type DescribeTargetGroupAttributesOutput struct{ Attributes []types.TargetGroupAttribute }

// DescribeTargetGroupAttributes describes the attributes of a target group.
func (c *Client) DescribeTargetGroupAttributes(
	ctx context.Context, in *DescribeTargetGroupAttributesInput,
) (*DescribeTargetGroupAttributesOutput, error) {
	return awscall.Do[DescribeTargetGroupAttributesOutput](ctx, c.api, "DescribeTargetGroupAttributes", in)
}

// ModifyTargetGroupAttributesInput are attributes to set.
type ModifyTargetGroupAttributesInput struct {
	TargetGroupArn *string
	Attributes     []types.TargetGroupAttribute
}

// ModifyTargetGroupAttributesOutput is empty.
type ModifyTargetGroupAttributesOutput struct{}

// ModifyTargetGroupAttributes sets attributes of a target group.
func (c *Client) ModifyTargetGroupAttributes(
	ctx context.Context, in *ModifyTargetGroupAttributesInput,
) (*ModifyTargetGroupAttributesOutput, error) {
	return awscall.Do[ModifyTargetGroupAttributesOutput](ctx, c.api, "ModifyTargetGroupAttributes", in)
}

// DescribeTargetHealthInput names a target group.
type DescribeTargetHealthInput struct{ TargetGroupArn *string }

// DescribeTargetHealthOutput are its targets and their health.
type DescribeTargetHealthOutput struct {
	TargetHealthDescriptions []types.TargetHealthDescription
}

// DescribeTargetHealth describes the health of a target group's targets.
func (c *Client) DescribeTargetHealth(ctx context.Context, in *DescribeTargetHealthInput) (*DescribeTargetHealthOutput, error) {
	return awscall.Do[DescribeTargetHealthOutput](ctx, c.api, "DescribeTargetHealth", in)
}

// DeleteTargetGroupInput names a target group.
type DeleteTargetGroupInput struct{ TargetGroupArn *string }

// DeleteTargetGroupOutput is empty.
type DeleteTargetGroupOutput struct{}

// DeleteTargetGroup deletes a target group.
func (c *Client) DeleteTargetGroup(ctx context.Context, in *DeleteTargetGroupInput) (*DeleteTargetGroupOutput, error) {
	return awscall.Do[DeleteTargetGroupOutput](ctx, c.api, "DeleteTargetGroup", in)
}
