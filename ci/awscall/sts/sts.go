// Package sts has the operations of AWS STS that are used: who the caller is, and credentials of a
// role. Fields are as in the API reference; nil is not sent.
package sts

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// Client calls STS. It is safe for concurrent use.
type Client struct{ api *awscall.Client }

// New returns a client of the configuration's region.
func New(cfg aws.Config) *Client {
	return &Client{awscall.New(cfg, awscall.Service{
		ID: "STS", Name: "sts", Endpoint: awscall.Regional("sts", true), Protocol: awscall.Query{Version: "2011-06-15"},
	})}
}

// GetCallerIdentityInput is empty.
type GetCallerIdentityInput struct{}

// GetCallerIdentityOutput is who signed the request.
type GetCallerIdentityOutput struct {
	Account, Arn, UserId *string
	// ResultMetadata has when AWS answered.
	ResultMetadata middleware.Metadata
}

// GetCallerIdentity asks who signs the requests.
func (c *Client) GetCallerIdentity(ctx context.Context, in *GetCallerIdentityInput) (*GetCallerIdentityOutput, error) {
	return awscall.Do[GetCallerIdentityOutput](ctx, c.api, "GetCallerIdentity", in)
}

// Credentials are those of a session.
type Credentials struct {
	AccessKeyId, SecretAccessKey, SessionToken *string
	Expiration                                 *time.Time
}

// AssumeRoleInput is the role to assume, and how long the session lasts; without a duration AWS's
// hour.
type AssumeRoleInput struct {
	RoleArn, RoleSessionName, ExternalId *string
	DurationSeconds                      *int32
}

// AssumeRoleOutput are credentials of the role.
type AssumeRoleOutput struct{ Credentials *Credentials }

// AssumeRole exchanges the caller's credentials for those of a role.
func (c *Client) AssumeRole(ctx context.Context, in *AssumeRoleInput) (*AssumeRoleOutput, error) {
	return awscall.Do[AssumeRoleOutput](ctx, c.api, "AssumeRole", in)
}

// AssumeRoleWithWebIdentityInput is the role to assume, and the token of an identity provider.
type AssumeRoleWithWebIdentityInput struct {
	RoleArn, RoleSessionName, WebIdentityToken *string
	DurationSeconds                            *int32
}

// AssumeRoleWithWebIdentityOutput are credentials of the role.
type AssumeRoleWithWebIdentityOutput struct{ Credentials *Credentials }

// AssumeRoleWithWebIdentity exchanges a token for credentials of a role. Its configuration has
// aws.AnonymousCredentials: the token says who asks.
func (c *Client) AssumeRoleWithWebIdentity(
	ctx context.Context, in *AssumeRoleWithWebIdentityInput,
) (*AssumeRoleWithWebIdentityOutput, error) {
	return awscall.Do[AssumeRoleWithWebIdentityOutput](ctx, c.api, "AssumeRoleWithWebIdentity", in)
}

// ForSDK are the credentials as the SDK takes them. It is an error to have none.
func (c *Credentials) ForSDK() (aws.Credentials, error) {
	if c == nil {
		return aws.Credentials{}, errors.New("the answer has no credentials")
	}
	return aws.Credentials{
		AccessKeyID: aws.ToString(c.AccessKeyId), SecretAccessKey: aws.ToString(c.SecretAccessKey), SessionToken: aws.ToString(c.SessionToken),
		Source: "STS", CanExpire: true, Expires: aws.ToTime(c.Expiration),
	}, nil
}
