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
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go/logging"
)

// Login is a user name and a password of a registry; the zero value is none.
type Login struct{ Username, Password string }

// AWS are credentials and the region of a registry of Amazon ECR. Endpoint is the base address of
// its API where that is not AWS's own.
type AWS struct {
	Region, Endpoint                   string
	AccessKey, SecretKey, SessionToken string
	// Attempts is how often ECR is asked; 3 when 0.
	Attempts int
}

// ECRLogin exchanges AWS credentials for a login to ECR, which is valid for twelve hours. The
// error is that of the API, or ErrNoLogin.
func ECRLogin(ctx context.Context, a AWS) (Login, error) {
	opts := ecr.Options{
		Region: a.Region, Credentials: credentials.NewStaticCredentialsProvider(a.AccessKey, a.SecretKey, a.SessionToken),
		HTTPClient: http.DefaultClient, Logger: logging.Nop{}, RetryMaxAttempts: max(a.Attempts, 1),
	}
	if a.Attempts == 0 {
		opts.RetryMaxAttempts = 3
	}
	if a.Endpoint != "" {
		opts.BaseEndpoint = aws.String(a.Endpoint)
	}
	out, err := ecr.New(opts).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return Login{}, fmt.Errorf("log in to ECR in %s: %w", a.Region, err)
	}
	for _, data := range out.AuthorizationData {
		login, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
		user, password, ok := strings.Cut(string(login), ":")
		if err == nil && ok && user != "" && password != "" {
			return Login{user, password}, nil
		}
	}
	return Login{}, fmt.Errorf("log in to ECR in %s: %w", a.Region, ErrNoLogin)
}

// ErrNoLogin is an answer of ECR without a login.
var ErrNoLogin = errors.New("the answer has no login")
