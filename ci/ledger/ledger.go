// Package ledger keeps the versions of a model in S3 so that a number is given out
// once and a version, once committed, never changes.
//
// The layout is the pipeline document's, with two records beside the model:
//
//	<root>/openstack-rca-system-<env>_<NNNN>/CLAIM.json                    who took the number
//	<root>/openstack-rca-system-<env>_<NNNN>/models/lstm_model_v<N>.keras  and side files
//	<root>/openstack-rca-system-<env>_<NNNN>/COMMIT.json                   written last
//	<root>/openstack-rca-system-<env>.keys/<idempotency key>.json          content -> number
//	<root>/openstack-rca-system-<env>.keys/SERIES.json                     whose folders these are
//	<root>/openstack-rca-system-<env>.keys/<idempotency key>-2.json        the same, after that number was abandoned
//
// COMMIT.json settles a number: it holds the manifest, or the note that the claim was abandoned. A cleaner and a
// publisher that is only slow both write it, and one of them loses.
//
// All of them are written with If-None-Match: *, so that two publishers can meet at
// any point and neither overwrites the other. A store that ignores this header
// cannot keep the promise; Probe finds out before anything is claimed.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
	"github.com/openstack-rca/openstack-rca/ci/stall"
)

// Options say where the ledger is and how to get there.
type Options struct {
	// Root is s3://bucket/prefix, the document's MLFLOW_ARTIFACT_ROOT.
	Root   string
	Series Series
	// Endpoint is the address of an S3 API other than AWS's own; empty for AWS.
	// With an endpoint, buckets are addressed by path.
	Endpoint string
	// PathStyle addresses buckets by path on AWS too.
	PathStyle bool
	Region    string
	// AccessKey, SecretKey and SessionToken are the credentials. Without them, and
	// with DefaultCredentials, AWS's default chain is used; without either, none.
	AccessKey, SecretKey, SessionToken string
	DefaultCredentials                 bool
	// Client is used instead of one with these credentials; nil makes one.
	Client *s3object.Client
	// Transport is the SDK's when nil.
	Transport http.RoundTripper
	Clock     clock.Clock
	// Attempts is how often the SDK tries a call (8 when 0), MaxBackoff the longest
	// wait between two of them (20 s when 0).
	Attempts   int
	MaxBackoff time.Duration
	// AnswerTimeout is how long one attempt waits for an answer to begin once all of the
	// request is sent; 45 s when 0. A connection that went dead is then left for a new one.
	AnswerTimeout time.Duration
	// StallTimeout is how long reading an object waits for its next byte; stall.Limit when 0.
	StallTimeout time.Duration
	// PartSize is the size of the parts of a large upload and the size above which
	// an upload has parts; 16 MiB when 0, at least 5 MiB on AWS.
	PartSize int64
}

// Ledger is one series of versions in one store. It is safe for concurrent use.
type Ledger struct {
	*Store
	layout
	bucket string
}

func (l *Ledger) at(key string) address { return address{l.bucket, key} }

// Open checks the options and makes a Ledger. Only DefaultCredentials make it talk
// to anyone (AWS's credential endpoints).
func Open(ctx context.Context, opts Options) (*Ledger, error) {
	bucket, prefix, err := ParseURI(opts.Root)
	if err != nil {
		return nil, err
	}
	if opts.Region == "" {
		return nil, errors.New("open ledger: no region is given")
	}
	if opts.PartSize == 0 {
		opts.PartSize = 16 << 20
	}
	if opts.Attempts == 0 {
		opts.Attempts = 8
	}
	if opts.MaxBackoff == 0 {
		opts.MaxBackoff = 20 * time.Second
	}
	if opts.AnswerTimeout == 0 {
		opts.AnswerTimeout = 45 * time.Second
	}
	if opts.StallTimeout == 0 {
		opts.StallTimeout = stall.Limit
	}
	if opts.Clock == nil {
		opts.Clock = clock.System{}
	}
	cfg := aws.Config{Region: opts.Region}
	switch {
	case opts.Client != nil:
	case opts.AccessKey != "" && opts.SecretKey != "":
		cfg.Credentials = credentials.NewStaticCredentialsProvider(opts.AccessKey, opts.SecretKey, opts.SessionToken)
	case opts.AccessKey != "" || opts.SecretKey != "":
		return nil, errors.New("open ledger: an access key needs its secret key and the other way round")
	case opts.DefaultCredentials:
		if cfg, err = awscall.Configure(ctx, awscall.Request{Region: opts.Region}); err != nil {
			return nil, fmt.Errorf("load default AWS credentials: %w", err)
		}
	default:
		return nil, errors.New("open ledger: no AWS credentials are given")
	}
	client := opts.Client
	if client == nil {
		client = newClient(cfg, opts)
	}
	store := &Store{opts: opts, client: client, objects: s3object.New(client, opts.Clock, bucket)}
	return &Ledger{Store: store, layout: layout{opts.Series, prefix}, bucket: bucket}, nil
}

func newClient(cfg aws.Config, opts Options) *s3object.Client {
	cfg.Retryer = func() aws.Retryer {
		return retry.NewAdaptiveMode(func(a *retry.AdaptiveModeOptions) {
			a.StandardOptions = append(a.StandardOptions, func(s *retry.StandardOptions) {
				s.MaxAttempts = opts.Attempts
				s.MaxBackoff = opts.MaxBackoff
			})
		})
	}
	if opts.Transport != nil {
		cfg.HTTPClient = &http.Client{Transport: opts.Transport}
	} else {
		cfg.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.ResponseHeaderTimeout = opts.AnswerTimeout
			t.IdleConnTimeout = idleTimeout
		})
	}
	return s3object.NewClient(cfg, opts.Endpoint, opts.PathStyle)
}

// URI is the address of a path in version n's folder.
func (l *Ledger) URI(n int, path string) string {
	return "s3://" + l.bucket + "/" + l.inVersion(n, path)
}

// Folder is the address of version n's folder.
func (l *Ledger) Folder(n int) string { return strings.TrimSuffix(l.URI(n, ""), "/") }

// Probe finds out whether the store honours conditional writes: of two conditional
// writes of one key the second must be refused. The key stays, so that one request
// is enough from then on. A store that ignores or refuses them is NoCAS.
func (l *Ledger) Probe(ctx context.Context) error {
	return l.objects.Probe(ctx, l.key(l.App+".probe"), false)
}

// idleTimeout is how long a connection is kept for the next request. A server may close it
// after two seconds, and tunnels (a Dagger service of the host) do not always hand that on.
const idleTimeout = time.Second

// call runs a small operation within s3object.CallTimeout.
func call[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, s3object.CallTimeout)
	defer cancel()
	return f(ctx)
}

// maxPages bounds a listing: ten million keys.
const maxPages = 10_000

// each calls f for each key with a prefix. A listing that comes back to a page it has
// shown, or does not end, is TooLong: half of a listing must not be taken for all of it.
func (s *Store) each(ctx context.Context, op string, in address, f func(key string) error) error {
	seen := map[string]bool{}
	for next := ""; ; {
		found, err := call(ctx, func(ctx context.Context) (*s3object.ListObjectsV2Output, error) {
			return s.client.ListObjectsV2(ctx, in.bucket, in.key, next)
		})
		if err != nil {
			return in.wrap(op, err)
		}
		s.Clock().See(found.ResultMetadata, nil)
		for _, object := range found.Contents {
			if err := f(object.Key); err != nil {
				return err
			}
		}
		if !found.IsTruncated {
			return nil
		}
		if next = found.NextContinuationToken; next == "" { // as of the older call, ListObjects
			return in.fail(op, NotImplemented, "there are more pages, and the answer has no token for the next one, as ListObjectsV2 must have")
		}
		if seen[next] || len(seen) == maxPages {
			return in.fail(op, TooLong, fmt.Sprintf("after %d pages the listing begins again or does not end", len(seen)+1))
		}
		seen[next] = true
	}
}
