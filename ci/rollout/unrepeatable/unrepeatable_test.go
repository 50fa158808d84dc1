package unrepeatable

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
)

func TestOnlyWhatWasTurnedAwayIsSentAgain(t *testing.T) {
	throttled := &smithy.GenericAPIError{Code: "ThrottlingException"}
	lost := &aws.RequestCanceledError{Err: errors.New("connection reset by peer")}
	reset := &retry.MaxAttemptsError{Err: lost}
	for name, under := range map[string]aws.Retryer{"standard": retry.NewStandard(), "adaptive": retry.NewAdaptiveMode(),
		"none": aws.NopRetryer{}} {
		options := ecs.Options{Retryer: under}
		ECS(&options)
		r := options.Retryer
		assert.Equal(t, name != "none", r.IsErrorRetryable(throttled), name)
		for _, err := range []error{lost, reset, &smithy.GenericAPIError{Code: "ServerException", Fault: smithy.FaultServer},
			&smithy.GenericAPIError{Code: "InternalFailure"}} {
			assert.False(t, r.IsErrorRetryable(err), "%s: %v", name, err)
		}
		release, err := r.(aws.RetryerV2).GetAttemptToken(context.Background())
		require.NoError(t, err, name)
		assert.NoError(t, release(nil), name)
	}
}
