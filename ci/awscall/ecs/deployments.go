package ecs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// ListServiceDeploymentsInput names a service, and chooses its deployments.
type ListServiceDeploymentsInput struct {
	Service, Cluster, NextToken *string
	CreatedAt                   *types.CreatedAt
	MaxResults                  *int32
	Status                      []types.ServiceDeploymentStatus
}

// ListServiceDeploymentsOutput is a page of deployments.
type ListServiceDeploymentsOutput struct {
	NextToken          *string
	ServiceDeployments []types.ServiceDeploymentBrief
	ResultMetadata     middleware.Metadata
}

// ListServiceDeployments lists deployments of a service, the newest first, a page a call.
func (c *Client) ListServiceDeployments(
	ctx context.Context, in *ListServiceDeploymentsInput, options ...func(*Options),
) (*ListServiceDeploymentsOutput, error) {
	return awscall.Do[ListServiceDeploymentsOutput](ctx, c.api, "ListServiceDeployments", in, options...)
}

// DescribeServiceDeploymentsInput names deployments by ARN.
type DescribeServiceDeploymentsInput struct {
	ServiceDeploymentArns []string
}

// DescribeServiceDeploymentsOutput has the deployments that exist, and a failure for each other.
type DescribeServiceDeploymentsOutput struct {
	Failures           []types.Failure
	ServiceDeployments []types.ServiceDeployment
	ResultMetadata     middleware.Metadata
}

// DescribeServiceDeployments describes up to 20 deployments.
func (c *Client) DescribeServiceDeployments(
	ctx context.Context, in *DescribeServiceDeploymentsInput, options ...func(*Options),
) (*DescribeServiceDeploymentsOutput, error) {
	return awscall.Do[DescribeServiceDeploymentsOutput](ctx, c.api, "DescribeServiceDeployments", in, options...)
}

// DescribeServiceRevisionsInput names revisions by ARN.
type DescribeServiceRevisionsInput struct {
	ServiceRevisionArns []string
}

// DescribeServiceRevisionsOutput has the revisions that exist, and a failure for each other.
type DescribeServiceRevisionsOutput struct {
	Failures         []types.Failure
	ServiceRevisions []types.ServiceRevision
	ResultMetadata   middleware.Metadata
}

// DescribeServiceRevisions describes up to 20 revisions of services.
func (c *Client) DescribeServiceRevisions(
	ctx context.Context, in *DescribeServiceRevisionsInput, options ...func(*Options),
) (*DescribeServiceRevisionsOutput, error) {
	return awscall.Do[DescribeServiceRevisionsOutput](ctx, c.api, "DescribeServiceRevisions", in, options...)
}

// StopServiceDeploymentInput names a deployment by ARN, and says whether to roll it back.
type StopServiceDeploymentInput struct {
	ServiceDeploymentArn *string
	StopType             types.StopServiceDeploymentStopType
}

// StopServiceDeploymentOutput has the ARN of the deployment.
type StopServiceDeploymentOutput struct {
	ServiceDeploymentArn *string
	ResultMetadata       middleware.Metadata
}

// StopServiceDeployment stops a deployment in progress.
func (c *Client) StopServiceDeployment(
	ctx context.Context, in *StopServiceDeploymentInput, options ...func(*Options),
) (*StopServiceDeploymentOutput, error) {
	return awscall.Do[StopServiceDeploymentOutput](ctx, c.api, "StopServiceDeployment", in, options...)
}

// ContinueServiceDeploymentInput names a deployment and the hook it waits in, and says how it goes on.
type ContinueServiceDeploymentInput struct {
	HookId, ServiceDeploymentArn *string
	Action                       types.DeploymentLifecycleHookAction
}

// ContinueServiceDeploymentOutput has the ARN of the deployment.
type ContinueServiceDeploymentOutput struct {
	ServiceDeploymentArn *string
	ResultMetadata       middleware.Metadata
}

// ContinueServiceDeployment ends the pause of a deployment.
func (c *Client) ContinueServiceDeployment(
	ctx context.Context, in *ContinueServiceDeploymentInput, options ...func(*Options),
) (*ContinueServiceDeploymentOutput, error) {
	return awscall.Do[ContinueServiceDeploymentOutput](ctx, c.api, "ContinueServiceDeployment", in, options...)
}
