package image

import (
	"context"
	"errors"
	"strings"

	"dagger.io/dagger"
	"github.com/aws/smithy-go"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
	"github.com/openstack-rca/openstack-rca/ci/partition"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// AWS are the credentials that a login to a registry of ECR is made from.
type AWS struct {
	// AccessKey and SecretKey are both set or both nil; SessionToken belongs to temporary ones.
	AccessKey, SecretKey, SessionToken *dagger.Secret
	// Endpoint is ECR's API where it is not AWS's own; for tests.
	Endpoint string
}

// ecrAttempts is how often ECR is asked for a login.
var ecrAttempts = 3

// ecrLogin exchanges AWS credentials for a login to ECR, which is valid for twelve hours. It
// is kept in this process only.
func (p pusher) ecrLogin(ctx context.Context, region string) (authn.Authenticator, *verdict.Problem) {
	var values [3]string
	for i, secret := range []*dagger.Secret{p.in.Push.AWS.AccessKey, p.in.Push.AWS.SecretKey, p.in.Push.AWS.SessionToken} {
		if secret == nil {
			continue
		}
		value, err := secret.Plaintext(ctx)
		if err != nil {
			return nil, verdict.Problemf(CodePushAuth, "the AWS credentials cannot be read")
		}
		values[i] = strings.TrimSpace(value)
	}
	login, err := oci.ECRLogin(ctx, oci.AWS{
		Region: region, Endpoint: p.in.Push.AWS.Endpoint, Attempts: ecrAttempts,
		AccessKey: values[0], SecretKey: values[1], SessionToken: values[2],
	})
	switch {
	case errors.Is(err, oci.ErrNoLogin):
		return nil, verdict.Problemf(CodePushFailed, "%v", err)
	case err != nil && ctx.Err() != nil:
		return nil, cancelled(ctx, "the login to ECR")
	case err != nil:
		return nil, verdict.Problemf(ecrCode(err), "%s", p.plain(err))
	}
	return &authn.Basic{Username: login.Username, Password: login.Password}, nil
}

// ecrCode is the code for an answer of ECR's API.
func ecrCode(err error) verdict.Code {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return CodePushUnavailable
	}
	switch code := api.ErrorCode(); {
	case strings.Contains(code, "Throttl") || strings.Contains(code, "TooManyRequests") || strings.Contains(code, "LimitExceeded"):
		return CodePushThrottled
	case api.ErrorFault() == smithy.FaultServer:
		return CodePushUnavailable
	default:
		// A call without parameters can only fail for lack of permission.
		return CodePushAuth
	}
}

// registryLogin is the login for this process's requests: the given password, a login from AWS
// credentials for ECR, or none.
func (p pusher) registryLogin(ctx context.Context, host string) (authn.Authenticator, *verdict.Problem) {
	to := p.in.Push
	if to.Password != nil {
		password, err := to.Password.Plaintext(ctx)
		if err != nil {
			return nil, verdict.Problemf(CodePushAuth, "the registry's password cannot be read")
		}
		return &authn.Basic{Username: to.Username, Password: strings.TrimSpace(password)}, nil
	}
	if region := partition.RegistryRegion(host); region != "" {
		if to.AWS.AccessKey == nil || to.AWS.SecretKey == nil {
			return nil, verdict.Problemf(CodePushAuth, "%s is a registry of ECR, and neither its login nor AWS credentials were given", host)
		}
		return p.ecrLogin(ctx, region)
	}
	return authn.Anonymous, nil
}
