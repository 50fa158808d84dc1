package oci

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecr"
)

// authorization is the response to GetAuthorizationToken: user and password, in base64.
type authorization struct {
	AuthorizationData []struct{ AuthorizationToken string }
}

// Login is a user name and password for a registry; the zero value is anonymous.
type Login struct{ Username, Password string }

// AWS are credentials and the region of an Amazon ECR registry. Endpoint is the base address of its API if it is not AWS's
// own.
type AWS struct {
	Region, Endpoint                   string
	AccessKey, SecretKey, SessionToken string
	// Attempts limits the attempts to get a login; 0 means 3.
	Attempts int
}

// Configuration is how ECR's API is reached.
func (a AWS) Configuration() aws.Config {
	cfg := aws.Config{
		Region: a.Region, Credentials: credentials.NewStaticCredentialsProvider(a.AccessKey, a.SecretKey, a.SessionToken),
		HTTPClient: http.DefaultClient, RetryMaxAttempts: max(a.Attempts, 1),
	}
	if a.Attempts == 0 {
		cfg.RetryMaxAttempts = 3
	}
	if a.Endpoint != "" {
		cfg.BaseEndpoint = aws.String(a.Endpoint)
	}
	return cfg
}

// ECRLogin exchanges AWS credentials for a login to ECR, which is valid for twelve hours. The error is the API's, or
// ErrNoLogin.
func ECRLogin(ctx context.Context, a AWS) (Login, error) {
	out, err := awscall.Do[authorization](ctx, awscall.New(a.Configuration(), ecr.Service), "GetAuthorizationToken", nil)
	if err != nil {
		return Login{}, fmt.Errorf("log in to ECR in %s: %w", a.Region, err)
	}
	for _, data := range out.AuthorizationData {
		login, err := base64.StdEncoding.DecodeString(data.AuthorizationToken)
		user, password, ok := strings.Cut(string(login), ":")
		if err == nil && ok && user != "" && password != "" {
			return Login{user, password}, nil
		}
	}
	return Login{}, fmt.Errorf("log in to ECR in %s: %w", a.Region, ErrNoLogin)
}

// ErrNoLogin means that ECR's response has no login.
var ErrNoLogin = errors.New("the answer has no login")
