package ecs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// DescribeServicesInput names services of a cluster, with their tags if asked for.
type DescribeServicesInput struct {
	Services []string
	Cluster  *string
	Include  []types.ServiceField
}

// DescribeServicesOutput has the services that exist, and a failure for each other.
type DescribeServicesOutput struct {
	Failures       []types.Failure
	Services       []types.Service
	ResultMetadata middleware.Metadata
}

// DescribeServices describes up to 10 services of a cluster.
func (c *Client) DescribeServices(
	ctx context.Context, in *DescribeServicesInput, options ...func(*Options),
) (*DescribeServicesOutput, error) {
	return awscall.Do[DescribeServicesOutput](ctx, c.api, "DescribeServices", in, options...)
}

// CreateServiceInput is a service, as in the API reference.
type CreateServiceInput struct {
	ServiceName, ClientToken, Cluster, PlatformVersion, Role, TaskDefinition *string
	AvailabilityZoneRebalancing                                              types.AvailabilityZoneRebalancing
	CapacityProviderStrategy                                                 []types.CapacityProviderStrategyItem
	DeploymentConfiguration                                                  *types.DeploymentConfiguration
	DeploymentController                                                     *types.DeploymentController
	DesiredCount, HealthCheckGracePeriodSeconds                              *int32
	EnableECSManagedTags, EnableExecuteCommand                               bool
	LaunchType                                                               types.LaunchType
	LoadBalancers                                                            []types.LoadBalancer
	Monitoring                                                               *types.MonitoringConfiguration
	NetworkConfiguration                                                     *types.NetworkConfiguration
	PlacementConstraints                                                     []types.PlacementConstraint
	PlacementStrategy                                                        []types.PlacementStrategy
	PropagateTags                                                            types.PropagateTags
	SchedulingStrategy                                                       types.SchedulingStrategy
	ServiceConnectConfiguration                                              *types.ServiceConnectConfiguration
	ServiceRegistries                                                        []types.ServiceRegistry
	Tags                                                                     []types.Tag
	VolumeConfigurations                                                     []types.ServiceVolumeConfiguration
	VpcLatticeConfigurations                                                 []types.VpcLatticeConfiguration
}

// CreateServiceOutput has the service.
type CreateServiceOutput struct {
	Service        *types.Service
	ResultMetadata middleware.Metadata
}

// CreateService creates a service.
func (c *Client) CreateService(ctx context.Context, in *CreateServiceInput, options ...func(*Options)) (*CreateServiceOutput, error) {
	return awscall.Do[CreateServiceOutput](ctx, c.api, "CreateService", in, options...)
}

// UpdateServiceInput has what changes.
type UpdateServiceInput struct {
	Service, Cluster, PlatformVersion, TaskDefinition *string
	AvailabilityZoneRebalancing                       types.AvailabilityZoneRebalancing
	CapacityProviderStrategy                          []types.CapacityProviderStrategyItem
	DeploymentConfiguration                           *types.DeploymentConfiguration
	DeploymentController                              *types.DeploymentController
	DesiredCount, HealthCheckGracePeriodSeconds       *int32
	EnableECSManagedTags, EnableExecuteCommand        *bool
	ForceNewDeployment                                bool
	LoadBalancers                                     []types.LoadBalancer
	Monitoring                                        *types.MonitoringConfiguration
	NetworkConfiguration                              *types.NetworkConfiguration
	PlacementConstraints                              []types.PlacementConstraint
	PlacementStrategy                                 []types.PlacementStrategy
	PropagateTags                                     types.PropagateTags
	ServiceConnectConfiguration                       *types.ServiceConnectConfiguration
	ServiceRegistries                                 []types.ServiceRegistry
	VolumeConfigurations                              []types.ServiceVolumeConfiguration
	VpcLatticeConfigurations                          []types.VpcLatticeConfiguration
}

// UpdateServiceOutput has the service as it will be.
type UpdateServiceOutput struct {
	Service        *types.Service
	ResultMetadata middleware.Metadata
}

// UpdateService changes a service. Nil members stay as they are.
func (c *Client) UpdateService(ctx context.Context, in *UpdateServiceInput, options ...func(*Options)) (*UpdateServiceOutput, error) {
	return awscall.Do[UpdateServiceOutput](ctx, c.api, "UpdateService", in, options...)
}

// DeleteServiceInput names a service. With Force its tasks need not be stopped before.
type DeleteServiceInput struct {
	Service, Cluster *string
	Force            *bool
}

// DeleteServiceOutput has the service, which drains.
type DeleteServiceOutput struct {
	Service        *types.Service
	ResultMetadata middleware.Metadata
}

// DeleteService deletes a service.
func (c *Client) DeleteService(ctx context.Context, in *DeleteServiceInput, options ...func(*Options)) (*DeleteServiceOutput, error) {
	return awscall.Do[DeleteServiceOutput](ctx, c.api, "DeleteService", in, options...)
}
