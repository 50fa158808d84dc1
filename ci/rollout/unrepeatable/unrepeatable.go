// Package unrepeatable keeps the AWS SDK from sending a call a second time that AWS may
// have carried out already. The SDK repeats after a broken connection and after a server's
// fault; that is right for reads and for calls with a client token, and wrong for those
// that start something anew each time: a second UpdateService starts a second deployment.
package unrepeatable

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// ECS is an option of one call of Amazon ECS that must not be carried out twice.
func ECS(o *ecs.Options) { o.Retryer = retryer{o.Retryer} }

// retryer repeats only what AWS turned away: a throttled call was not carried out.
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
	return r.Retryer.GetInitialToken(), nil
}
