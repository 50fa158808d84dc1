package ecs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// DescribeClustersInput names clusters.
type DescribeClustersInput struct {
	Clusters []string
	Include  []types.ClusterField
}

// DescribeClustersOutput has the clusters that exist, and a failure for each other.
type DescribeClustersOutput struct {
	Clusters       []types.Cluster
	Failures       []types.Failure
	ResultMetadata middleware.Metadata
}

// DescribeClusters describes up to 100 clusters.
func (c *Client) DescribeClusters(
	ctx context.Context, in *DescribeClustersInput, options ...func(*Options),
) (*DescribeClustersOutput, error) {
	return awscall.Do[DescribeClustersOutput](ctx, c.api, "DescribeClusters", in, options...)
}

// CreateClusterInput is a cluster, as in the API reference.
type CreateClusterInput struct {
	CapacityProviders               []string
	ClusterName                     *string
	Configuration                   *types.ClusterConfiguration
	DefaultCapacityProviderStrategy []types.CapacityProviderStrategyItem
	ServiceConnectDefaults          *types.ClusterServiceConnectDefaultsRequest
	Settings                        []types.ClusterSetting
	Tags                            []types.Tag
}

// CreateClusterOutput has the cluster.
type CreateClusterOutput struct {
	Cluster        *types.Cluster
	ResultMetadata middleware.Metadata
}

// CreateCluster creates a cluster.
func (c *Client) CreateCluster(ctx context.Context, in *CreateClusterInput, options ...func(*Options)) (*CreateClusterOutput, error) {
	return awscall.Do[CreateClusterOutput](ctx, c.api, "CreateCluster", in, options...)
}

// UpdateClusterSettingsInput names a cluster, and has its settings.
type UpdateClusterSettingsInput struct {
	Cluster  *string
	Settings []types.ClusterSetting
}

// UpdateClusterSettingsOutput has the cluster.
type UpdateClusterSettingsOutput struct {
	Cluster        *types.Cluster
	ResultMetadata middleware.Metadata
}

// UpdateClusterSettings changes settings of a cluster.
func (c *Client) UpdateClusterSettings(
	ctx context.Context, in *UpdateClusterSettingsInput, options ...func(*Options),
) (*UpdateClusterSettingsOutput, error) {
	return awscall.Do[UpdateClusterSettingsOutput](ctx, c.api, "UpdateClusterSettings", in, options...)
}

// DeleteClusterInput names a cluster.
type DeleteClusterInput struct {
	Cluster *string
}

// DeleteClusterOutput has the cluster.
type DeleteClusterOutput struct {
	Cluster        *types.Cluster
	ResultMetadata middleware.Metadata
}

// DeleteCluster deletes a cluster.
func (c *Client) DeleteCluster(ctx context.Context, in *DeleteClusterInput, options ...func(*Options)) (*DeleteClusterOutput, error) {
	return awscall.Do[DeleteClusterOutput](ctx, c.api, "DeleteCluster", in, options...)
}
