// Package scaling has the operations of Application Auto Scaling that the rollout uses: one
// scalable target with its target tracking policies and scheduled actions. Fields are as in the API reference; nil is
// not sent.
package scaling

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// Client calls Application Auto Scaling. It is safe for concurrent use.
type Client struct{ api *awscall.Client }

// New returns a client of the configuration's account and region.
func New(cfg aws.Config) *Client {
	return &Client{awscall.New(cfg, awscall.Service{
		ID: "Application Auto Scaling", Name: "application-autoscaling", Endpoint: awscall.Regional("application-autoscaling", true),
		Protocol: awscall.JSON{Target: "AnyScaleFrontendService", Version: "1.1"},
	})}
}

// The values of the closed sets that a service on ECS needs.
const (
	NamespaceECS               = "ecs"
	DimensionECSDesiredCount   = "ecs:service:DesiredCount"
	PolicyTypeTargetTracking   = "TargetTrackingScaling"
	MetricECSCPUUtilization    = "ECSServiceAverageCPUUtilization"
	MetricECSMemoryUtilization = "ECSServiceAverageMemoryUtilization"
)

// ScalableTarget is what is scaled, and its bounds.
type ScalableTarget struct {
	ServiceNamespace, ScalableDimension string
	ResourceId, ScalableTargetARN       *string
	MinCapacity, MaxCapacity            *int32
}

// Policy is a policy of a target.
type Policy struct {
	ServiceNamespace, ScalableDimension, PolicyType string
	ResourceId, PolicyName                          *string
	TargetTrackingScalingPolicyConfiguration        *TargetTracking
}

// TargetTracking keeps a metric near a value. Cooldowns are in seconds.
type TargetTracking struct {
	TargetValue                   *float64          `json:",omitempty"`
	PredefinedMetricSpecification *PredefinedMetric `json:",omitempty"`
	ScaleOutCooldown              *int32            `json:",omitempty"`
	ScaleInCooldown               *int32            `json:",omitempty"`
	DisableScaleIn                *bool             `json:",omitempty"`
}

// PredefinedMetric is a metric that Application Auto Scaling knows.
type PredefinedMetric struct {
	PredefinedMetricType string  `json:",omitempty"`
	ResourceLabel        *string `json:",omitempty"`
}

// DescribeScalableTargetsInput asks for targets.
type DescribeScalableTargetsInput struct {
	ServiceNamespace  string   `json:",omitempty"`
	ScalableDimension string   `json:",omitempty"`
	ResourceIds       []string `json:",omitempty"`
}

// DescribeScalableTargetsOutput is the first page of targets.
type DescribeScalableTargetsOutput struct{ ScalableTargets []ScalableTarget }

// DescribeScalableTargets describes scalable targets.
func (c *Client) DescribeScalableTargets(ctx context.Context, in *DescribeScalableTargetsInput) (*DescribeScalableTargetsOutput, error) {
	return awscall.Do[DescribeScalableTargetsOutput](ctx, c.api, "DescribeScalableTargets", in)
}

// DescribeScalingPoliciesInput asks for the policies of a target.
type DescribeScalingPoliciesInput struct {
	ServiceNamespace  string  `json:",omitempty"`
	ScalableDimension string  `json:",omitempty"`
	ResourceId        *string `json:",omitempty"`
	NextToken         *string `json:",omitempty"`
}

// DescribeScalingPoliciesOutput is a page of policies; AWS puts 10 on one.
type DescribeScalingPoliciesOutput struct {
	ScalingPolicies []Policy
	NextToken       *string
}

// DescribeScalingPolicies describes the policies of a target, a page a call.
func (c *Client) DescribeScalingPolicies(ctx context.Context, in *DescribeScalingPoliciesInput) (*DescribeScalingPoliciesOutput, error) {
	return awscall.Do[DescribeScalingPoliciesOutput](ctx, c.api, "DescribeScalingPolicies", in)
}

// ScheduledAction changes a target's bounds at times that somebody set.
type ScheduledAction struct {
	ScheduledActionName  *string
	ScalableTargetAction *ScalableTargetAction
}

// ScalableTargetAction is what a scheduled action sets; nil is left as it is.
type ScalableTargetAction struct{ MinCapacity, MaxCapacity *int32 }

// DescribeScheduledActionsInput asks for the scheduled actions of a target.
type DescribeScheduledActionsInput struct {
	ServiceNamespace  string  `json:",omitempty"`
	ScalableDimension string  `json:",omitempty"`
	ResourceId        *string `json:",omitempty"`
	NextToken         *string `json:",omitempty"`
}

// DescribeScheduledActionsOutput is a page of scheduled actions.
type DescribeScheduledActionsOutput struct {
	ScheduledActions []ScheduledAction
	NextToken        *string
}

// DescribeScheduledActions describes the scheduled actions of a target, a page a call.
func (c *Client) DescribeScheduledActions(ctx context.Context, in *DescribeScheduledActionsInput) (*DescribeScheduledActionsOutput, error) {
	return awscall.Do[DescribeScheduledActionsOutput](ctx, c.api, "DescribeScheduledActions", in)
}

// ListTagsForResourceInput names a target by its ARN.
type ListTagsForResourceInput struct {
	ResourceARN *string `json:",omitempty"`
}

// ListTagsForResourceOutput are its tags.
type ListTagsForResourceOutput struct{ Tags map[string]string }

// ListTagsForResource lists the tags of a target.
func (c *Client) ListTagsForResource(ctx context.Context, in *ListTagsForResourceInput) (*ListTagsForResourceOutput, error) {
	return awscall.Do[ListTagsForResourceOutput](ctx, c.api, "ListTagsForResource", in)
}

// RegisterScalableTargetInput describes the target to create or change.
type RegisterScalableTargetInput struct {
	ServiceNamespace  string            `json:",omitempty"`
	ScalableDimension string            `json:",omitempty"`
	ResourceId        *string           `json:",omitempty"`
	MinCapacity       *int32            `json:",omitempty"`
	MaxCapacity       *int32            `json:",omitempty"`
	Tags              map[string]string `json:",omitempty"`
}

// RegisterScalableTargetOutput is the target's ARN.
type RegisterScalableTargetOutput struct{ ScalableTargetARN *string }

// RegisterScalableTarget creates or changes a target.
func (c *Client) RegisterScalableTarget(ctx context.Context, in *RegisterScalableTargetInput) (*RegisterScalableTargetOutput, error) {
	return awscall.Do[RegisterScalableTargetOutput](ctx, c.api, "RegisterScalableTarget", in)
}

// PutScalingPolicyInput describes the policy to create or replace.
type PutScalingPolicyInput struct {
	ServiceNamespace                         string          `json:",omitempty"`
	ScalableDimension                        string          `json:",omitempty"`
	PolicyType                               string          `json:",omitempty"`
	ResourceId                               *string         `json:",omitempty"`
	PolicyName                               *string         `json:",omitempty"`
	TargetTrackingScalingPolicyConfiguration *TargetTracking `json:",omitempty"`
}

// PutScalingPolicyOutput is the policy's ARN.
type PutScalingPolicyOutput struct{ PolicyARN *string }

// PutScalingPolicy creates or replaces a policy.
func (c *Client) PutScalingPolicy(ctx context.Context, in *PutScalingPolicyInput) (*PutScalingPolicyOutput, error) {
	return awscall.Do[PutScalingPolicyOutput](ctx, c.api, "PutScalingPolicy", in)
}

// DeregisterScalableTargetInput names a target.
type DeregisterScalableTargetInput struct {
	ServiceNamespace  string  `json:",omitempty"`
	ScalableDimension string  `json:",omitempty"`
	ResourceId        *string `json:",omitempty"`
}

// DeregisterScalableTargetOutput is empty.
type DeregisterScalableTargetOutput struct{}

// DeregisterScalableTarget deletes a target with its policies.
func (c *Client) DeregisterScalableTarget(ctx context.Context, in *DeregisterScalableTargetInput) (*DeregisterScalableTargetOutput, error) {
	return awscall.Do[DeregisterScalableTargetOutput](ctx, c.api, "DeregisterScalableTarget", in)
}
