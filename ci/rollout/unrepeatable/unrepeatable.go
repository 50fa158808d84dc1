// Package unrepeatable keeps the AWS SDK from retrying a call that AWS may already have
// carried out. The SDK retries after a broken connection and after a server error; that is
// right for idempotent calls and wrong for others: a second UpdateService starts a second
// deployment.
package unrepeatable

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
)

// ECS is the option for a call of Amazon ECS that is not idempotent.
func ECS(o *ecs.Options) { o.Retryer = retryer{o.Retryer} }

// retryer retries only throttled calls, which were not carried out.
type retryer struct{ aws.Retryer }

// IsErrorRetryable implements aws.Retryer.
func (r retryer) IsErrorRetryable(err error) bool {
	for _, is := range retry.DefaultThrottles {
		if is.IsErrorThrottle(err).Bool() {
			return r.Retryer.IsErrorRetryable(err)
		}
	}
	return false
}

// GetAttemptToken implements aws.RetryerV2: adaptive retries limit the rate with it.
func (r retryer) GetAttemptToken(ctx context.Context) (func(error) error, error) {
	if limited, is := r.Retryer.(aws.RetryerV2); is {
		return limited.GetAttemptToken(ctx)
	}
	return r.GetInitialToken(), nil
}
