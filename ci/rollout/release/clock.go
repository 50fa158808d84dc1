package release

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
)

// dated is the client of STS, whose answer tells the time of AWS before anything else is asked.
type dated struct {
	account.Identity
	clock *awsclock.Clock
}

// GetCallerIdentity implements account.Identity.
func (d dated) GetCallerIdentity(ctx context.Context, in *sts.GetCallerIdentityInput, options ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error) {
	out, err := d.Identity.GetCallerIdentity(ctx, in, options...)
	awsclock.See(d.clock, out, err)
	return out, err
}
