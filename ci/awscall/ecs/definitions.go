package ecs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// RegisterTaskDefinitionInput is a task definition, as in the API reference.
type RegisterTaskDefinitionInput struct {
	ContainerDefinitions                               []types.ContainerDefinition
	Family, Cpu, ExecutionRoleArn, Memory, TaskRoleArn *string
	EnableFaultInjection                               *bool
	EphemeralStorage                                   *types.EphemeralStorage
	InferenceAccelerators                              []types.InferenceAccelerator
	IpcMode                                            types.IpcMode
	NetworkMode                                        types.NetworkMode
	PidMode                                            types.PidMode
	PlacementConstraints                               []types.TaskDefinitionPlacementConstraint
	ProxyConfiguration                                 *types.ProxyConfiguration
	RequiresCompatibilities                            []types.Compatibility
	RuntimePlatform                                    *types.RuntimePlatform
	Tags                                               []types.Tag
	Volumes                                            []types.Volume
}

// RegisterTaskDefinitionOutput has the revision.
type RegisterTaskDefinitionOutput struct {
	Tags           []types.Tag
	TaskDefinition *types.TaskDefinition
	ResultMetadata middleware.Metadata
}

// RegisterTaskDefinition registers a revision of a task definition.
func (c *Client) RegisterTaskDefinition(
	ctx context.Context, in *RegisterTaskDefinitionInput, options ...func(*Options),
) (*RegisterTaskDefinitionOutput, error) {
	return awscall.Do[RegisterTaskDefinitionOutput](ctx, c.api, "RegisterTaskDefinition", in, options...)
}

// DeregisterTaskDefinitionInput names a revision by family:revision or ARN.
type DeregisterTaskDefinitionInput struct {
	TaskDefinition *string
}

// DeregisterTaskDefinitionOutput has the revision.
type DeregisterTaskDefinitionOutput struct {
	TaskDefinition *types.TaskDefinition
	ResultMetadata middleware.Metadata
}

// DeregisterTaskDefinition makes a revision inactive.
func (c *Client) DeregisterTaskDefinition(
	ctx context.Context, in *DeregisterTaskDefinitionInput, options ...func(*Options),
) (*DeregisterTaskDefinitionOutput, error) {
	return awscall.Do[DeregisterTaskDefinitionOutput](ctx, c.api, "DeregisterTaskDefinition", in, options...)
}

// DescribeTaskDefinitionInput names a family, whose newest revision is described, or a revision.
type DescribeTaskDefinitionInput struct {
	TaskDefinition *string
	Include        []types.TaskDefinitionField
}

// DescribeTaskDefinitionOutput has the revision.
type DescribeTaskDefinitionOutput struct {
	Tags           []types.Tag
	TaskDefinition *types.TaskDefinition
	ResultMetadata middleware.Metadata
}

// DescribeTaskDefinition describes a revision, with its tags if asked for.
func (c *Client) DescribeTaskDefinition(
	ctx context.Context, in *DescribeTaskDefinitionInput, options ...func(*Options),
) (*DescribeTaskDefinitionOutput, error) {
	return awscall.Do[DescribeTaskDefinitionOutput](ctx, c.api, "DescribeTaskDefinition", in, options...)
}

// ListTaskDefinitionsInput chooses revisions.
type ListTaskDefinitionsInput struct {
	FamilyPrefix, NextToken *string
	MaxResults              *int32
	Sort                    types.SortOrder
	Status                  types.TaskDefinitionStatus
}

// ListTaskDefinitionsOutput is a page of ARNs.
type ListTaskDefinitionsOutput struct {
	NextToken          *string
	TaskDefinitionArns []string
	ResultMetadata     middleware.Metadata
}

// ListTaskDefinitions lists revisions by ARN, a page a call.
func (c *Client) ListTaskDefinitions(
	ctx context.Context, in *ListTaskDefinitionsInput, options ...func(*Options),
) (*ListTaskDefinitionsOutput, error) {
	return awscall.Do[ListTaskDefinitionsOutput](ctx, c.api, "ListTaskDefinitions", in, options...)
}
