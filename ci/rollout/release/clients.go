package release

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/sts"
	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/analysis"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
)

// ECS is the part of the ECS client that this package needs.
type ECS interface {
	ensure.ECS
	deployment.ECS
	trial.ECS
}

// Balancing is the part of the Elastic Load Balancing client that this package needs.
type Balancing interface {
	ensure.Balancing
	DescribeTargetHealth(context.Context, *elb.DescribeTargetHealthInput) (*elb.DescribeTargetHealthOutput, error)
}

// CloudWatch is the part of the CloudWatch client that this package needs.
type CloudWatch interface {
	ensure.CloudWatch
	analysis.MetricData
}

// Logs is the part of the CloudWatch Logs client that this package needs.
type Logs interface {
	ensure.Logs
	GetLogEvents(context.Context, *logs.GetLogEventsInput) (*logs.GetLogEventsOutput,
		error)
}

// Clients are the AWS clients of one account and region.
type Clients struct {
	ECS        ECS
	Balancing  Balancing
	Scaling    ensure.Scaling
	CloudWatch CloudWatch
	Logs       Logs
	Roles      ensure.Roles
	Identity   account.Identity
	Objects    journal.Objects
}

// Of returns the clients of an account.
func Of(c *account.Clients) Clients {
	return Clients{ECS: c.ECS, Balancing: c.Balancing, Scaling: c.Scaling, CloudWatch: c.CloudWatch, Logs: c.Logs, Roles: c.IAM,
		Identity: c.STS, Objects: c.Objects}
}

// dated is an STS client whose first response also measures AWS's time.
type dated struct {
	account.Identity
	clock *awsclock.Clock
}

// GetCallerIdentity implements account.Identity.
func (d dated) GetCallerIdentity(ctx context.Context, in *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	out, err := d.Identity.GetCallerIdentity(ctx, in)
	awsclock.See(d.clock, out, err)
	return out, err
}
