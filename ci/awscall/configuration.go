package awscall

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Request is what a configuration must have. Zero values leave it to the machine.
type Request struct {
	Region string
	// Profile is one of the machine's shared configuration files.
	Profile string
	// Credentials are used instead of the machine's.
	Credentials aws.CredentialsProvider
	// Endpoint is the base address of every service.
	Endpoint string
	// Transport replaces the HTTP transport.
	Transport http.RoundTripper
}

// Machine reads the configuration of this machine as the AWS CLI does: environment, shared files,
// metadata services, all ways to sign in. Package awscall/machine sets it, and only the command
// imports that: a module function runs where none of these exist, so the module need not compile it.
var Machine func(context.Context, Request) (aws.Config, error)

// Configure returns the configuration of this machine with what is requested, or where a module
// function runs, just that.
func Configure(ctx context.Context, r Request) (aws.Config, error) {
	if Machine != nil {
		return Machine(ctx, r)
	}
	if r.Credentials == nil || r.Profile != "" {
		return aws.Config{}, errors.New("there are no shared configuration files and no default credentials where module functions run")
	}
	cfg := aws.Config{Region: r.Region, Credentials: r.Credentials}
	if r.Endpoint != "" {
		cfg.BaseEndpoint = aws.String(r.Endpoint)
	}
	if r.Transport != nil {
		cfg.HTTPClient = HTTPClient(r.Transport)
	}
	return cfg, nil
}

// HTTPClient is a client that follows only the redirects that the SDK's own client follows: with the others a write
// would arrive as a read.
func HTTPClient(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, CheckRedirect: func(to *http.Request, via []*http.Request) error {
		if status := to.Response.StatusCode; len(via) < 10 && (status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect) {
			return nil
		}
		return http.ErrUseLastResponse
	}}
}
