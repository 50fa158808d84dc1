// Package awscall calls the few operations that this project needs of services of AWS whose
// clients are large: the SDK's client of IAM alone takes as long to compile as all packages of
// this project, and every engine that has an empty cache compiles it. Credentials, signatures,
// retries, clock skew, request ids and errors are those of the SDK's core; only a service's
// address and the shape of its messages are described here; those of S3 are in package s3object.
package awscall

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Service is one service of AWS: what it is called, where it is, and how it is spoken to.
type Service struct {
	// ID is the SDK's name of the service, which errors and AWS_ENDPOINT_URL_<ID> have.
	ID string
	// Name is what requests are signed for.
	Name string
	// Endpoint is where the service is, unless the configuration says so.
	Endpoint func(region string, v Variant) (Endpoint, error)
	// Protocol is the form of its messages.
	Protocol Protocol
}

// Protocol writes requests and reads answers.
type Protocol interface {
	// Request completes r, a POST to the endpoint. A header X-Amz-Content-Sha256 of it is what is
	// signed for the body.
	Request(at Endpoint, operation string, in any, r *smithyhttp.Request) (*smithyhttp.Request, error)
	// Answer reads a successful answer into out, a pointer to a struct. It returns a
	// smithy.APIError for a refusal with a status of success. Unless it fails, the body is closed here or by what out has.
	Answer(operation string, answer *smithyhttp.Response, out any) error
	// Failure is what an answer with an error's status says: a smithy.APIError, if it is the service's.
	Failure(answer *smithyhttp.Response, body []byte) error
}

// Client calls operations of one service. It is safe for concurrent use.
type Client struct {
	service Service
	cfg     aws.Config
	retryer aws.Retryer
	http    aws.HTTPClient
	signer  *v4.Signer
	// skew is by how much AWS's clock is ahead of this machine's, in nanoseconds.
	skew atomic.Int64
}

// New returns a client with the region, credentials, retries and transport of a configuration.
func New(cfg aws.Config, service Service) *Client {
	c := &Client{service: service, cfg: cfg, http: cfg.HTTPClient, signer: v4.NewSigner()}
	if c.http == nil {
		c.http = awshttp.NewBuildableClient()
	}
	if cfg.Retryer != nil {
		c.retryer = cfg.Retryer()
	} else {
		c.retryer = retry.NewStandard()
	}
	if cfg.RetryMaxAttempts != 0 {
		c.retryer = retry.AddWithMaxAttempts(c.retryer, cfg.RetryMaxAttempts)
	}
	return c
}

// Options adjust one call.
type Options struct {
	// Retryer decides which failures are tried again.
	Retryer aws.Retryer
	// APIOptions change the call's middleware.
	APIOptions []func(*middleware.Stack) error
}

// Do calls an operation. in is a pointer to a struct with the operation's members, or nil; nil
// members are not sent. The error is a *smithy.OperationError with the SDK's causes: a
// smithy.APIError is AWS's refusal, with its code.
func Do[Output any](ctx context.Context, c *Client, operation string, in any, options ...func(*Options)) (*Output, error) {
	out, o := new(Output), Options{Retryer: c.retryer, APIOptions: slices.Clone(c.cfg.APIOptions)}
	for _, option := range options {
		option(&o)
	}
	if err := c.call(ctx, operation, in, out, o); err != nil {
		return nil, &smithy.OperationError{ServiceID: c.service.ID, OperationName: operation, Err: err}
	}
	return out, nil
}

func (c *Client) call(ctx context.Context, operation string, in, out any, o Options) error {
	at, err := c.endpoint(ctx)
	if err != nil {
		return err
	}
	ctx = middleware.WithOperationName(middleware.WithServiceID(middleware.ClearStackValues(ctx), c.service.ID), operation)
	ctx = middleware.SetLogger(ctx, logger(c.cfg.Logger))
	stack := middleware.NewStack(operation, smithyhttp.NewStackRequest)
	if err := c.assemble(stack, at, operation, in, out, o); err != nil {
		return fmt.Errorf("assemble the call: %w", err)
	}
	_, metadata, err := middleware.DecorateHandler(smithyhttp.NewClientHandlerWithOptions(c.http), stack).Handle(ctx, in)
	if field := reflect.ValueOf(out).Elem().FieldByName("ResultMetadata"); field.IsValid() {
		field.Set(reflect.ValueOf(metadata)) // as the SDK's clients do
	}
	return err
}

func logger(l logging.Logger) logging.Logger {
	if l == nil {
		return logging.Nop{}
	}
	return l
}

// assemble puts the SDK's middleware in the order of its own clients: each attempt takes
// credentials and signs anew, and sees the error with its status and request id.
func (c *Client) assemble(stack *middleware.Stack, at Endpoint, operation string, in, out any, o Options) error {
	attempts := retry.NewAttemptMiddleware(o.Retryer, smithyhttp.RequestCloner, func(a *retry.Attempt) {
		a.LogAttempts, a.ClientSkew = c.cfg.ClientLogMode.IsRetries(), &c.skew
		a.DisableClockSkewCorrection = c.cfg.DisableClockSkewCorrection
	})
	steps := []func() error{
		func() error { return stack.Serialize.Add(c.write(at, operation, in), middleware.After) },
		func() error { return awsmiddleware.AddClientRequestIDMiddleware(stack) },
		func() error { return awsmiddleware.AddRequestUserAgentMiddleware(stack) },
		func() error { return awsmiddleware.AddRecursionDetection(stack) },
		func() error { return stack.Finalize.Add(attempts, middleware.After) },
		func() error { return stack.Finalize.Add(&v4.ComputePayloadSHA256{}, middleware.After) },
		func() error { return stack.Finalize.Add(c.sign(at), middleware.After) },
		func() error { return stack.Deserialize.Add(c.read(operation, out), middleware.After) },
		func() error { return awsmiddleware.AddRequestIDRetrieverMiddleware(stack) },
		func() error { return awshttp.AddResponseErrorMiddleware(stack) },
		func() error {
			timing := &awsmiddleware.RecordResponseTiming{DisableClockSkewCorrection: c.cfg.DisableClockSkewCorrection}
			return stack.Deserialize.Add(timing, middleware.After)
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	for _, change := range o.APIOptions {
		if err := change(stack); err != nil {
			return err
		}
	}
	return nil
}

// sign signs with AWS's time, as far as an answer told it.
func (c *Client) sign(at Endpoint) middleware.FinalizeMiddleware {
	return middleware.FinalizeMiddlewareFunc("Signing", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (out middleware.FinalizeOutput, metadata middleware.Metadata, err error) {
		request, is := in.Request.(*smithyhttp.Request)
		if !is {
			return out, metadata, fmt.Errorf("sign request: it is a %T", in.Request)
		}
		if aws.IsCredentialsProvider(c.cfg.Credentials, (*aws.AnonymousCredentials)(nil)) {
			return next.HandleFinalize(ctx, in)
		}
		if c.cfg.Credentials == nil {
			return out, metadata, fmt.Errorf("get identity: there are no credentials")
		}
		credentials, err := c.cfg.Credentials.Retrieve(ctx)
		if err != nil {
			return out, metadata, fmt.Errorf("get identity: get credentials: %w", err)
		}
		now := time.Now().Add(time.Duration(c.skew.Load()))
		if err := c.signer.SignHTTP(ctx, credentials, request.Request, v4.GetPayloadHash(ctx), c.service.Name, at.Region, now,
			func(o *v4.SignerOptions) { o.DisableURIPathEscaping = c.service.Name == "s3" }); err != nil { // S3 alone signs the path as it is sent
			return out, metadata, fmt.Errorf("sign request: %w", err)
		}
		out, metadata, err = next.HandleFinalize(ctx, in)
		if skew, measured := awsmiddleware.GetAttemptSkew(metadata); measured {
			c.skew.Store(int64(skew)) // the next attempt needs it, not only the next call
		}
		return out, metadata, err
	})
}
