// Package machine lets package awscall read the AWS configuration of this machine, by being
// imported.
package machine

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

//nolint:gochecknoinits // as a driver of database/sql: what imports it has it
func init() { awscall.Machine = load }

func load(ctx context.Context, r awscall.Request) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{config.WithRegion(r.Region), config.WithLogger(logging.Nop{})}
	if r.Endpoint != "" {
		options = append(options, config.WithBaseEndpoint(r.Endpoint))
	}
	if r.Transport != nil {
		options = append(options, config.WithHTTPClient(awscall.HTTPClient(r.Transport)))
	}
	if r.Credentials != nil {
		options = append(options, config.WithCredentialsProvider(r.Credentials))
	}
	if r.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(r.Profile))
	}
	return config.LoadDefaultConfig(ctx, options...)
}
