// Package account opens the clients of one AWS account, with credentials, endpoint and retry
// policy, and guards against the wrong account.
package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/iam"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
	"github.com/openstack-rca/openstack-rca/ci/awscall/sts"
	"github.com/openstack-rca/openstack-rca/ci/partition"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Options are the credentials for an account and how to reach it. At most one of access key, profile and web identity is
// given. Without any, the SDK searches where the AWS CLI does: environment, shared files, container and instance metadata.
type Options struct {
	// Region is the region of every client, such as ap-south-1.
	Region string
	// Endpoint is the base address of all services (AWS_ENDPOINT_URL); empty means AWS's own.
	Endpoint string
	// S3Endpoint and S3Region override Endpoint and Region for the journal's bucket.
	S3Endpoint, S3Region string
	// AccessKey and SecretKey are static credentials, SessionToken belongs to temporary ones.
	AccessKey, SecretKey, SessionToken string
	// Profile is a profile of the shared configuration and credentials files.
	Profile string
	// WebIdentity returns the token of an OIDC provider, such as a CI system's, each time credentials are needed. It is
	// exchanged for credentials of WebIdentityRole.
	WebIdentity     func() ([]byte, error)
	WebIdentityRole string
	// Role is assumed with the credentials above, and again five minutes before its session expires, because a bake may be
	// longer than a session. ExternalID may be empty.
	Role, ExternalID string
	// Session is the duration of a role's session, 15m..12h; 0 means an hour.
	Session time.Duration
	// SessionName names this run in CloudTrail; empty means openstack-rca.
	SessionName string
	// Attempts is the maximum number of attempts for a call; 0 means 10.
	Attempts int
	// MaxBackoff is the longest delay between two attempts; 0 means the SDK's 20 s.
	MaxBackoff time.Duration
	// LocalOnly refuses requests to other machines; see awscall.LocalOnly.
	LocalOnly bool
	// Transport replaces the HTTP transport in tests; nil means the SDK's own.
	Transport http.RoundTripper
}

// Clients are the clients of one account and region. They are safe for concurrent use and
// share one retry limiter.
type Clients struct {
	ECS        *ecs.Client
	Balancing  *elb.Client
	Scaling    *scaling.Client
	CloudWatch *cloudwatch.Client
	Logs       *logs.Client
	Objects    *s3object.Client
	STS        *sts.Client
	IAM        *iam.Client
	// Credentials sign the clients' requests.
	Credentials aws.CredentialsProvider
}

// refreshBefore is how long before expiry the credentials of a role are replaced.
const refreshBefore = 5 * time.Minute

const defaultAttempts = 10

// exchangeAttempts limits the attempts to exchange a web identity token for credentials.
const exchangeAttempts = 3

var (
	roleForm    = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$`)
	sessionForm = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{2,64}$`)
	notSession  = regexp.MustCompile(`[^A-Za-z0-9+=,.@_-]+`)
)

// validate returns everything that is wrong with the options, without values that could be secret.
func (o Options) validate() error {
	var all []error
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if _, known := partition.Of(o.Region); !known {
		bad("region %q is not a region, such as ap-south-1", o.Region)
	}
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
			bad("the endpoint is not an http or https URL without user")
		}
	}
	if (o.AccessKey == "") != (o.SecretKey == "") {
		bad("an access key needs its secret key, and the other way round")
	}
	if o.SessionToken != "" && o.AccessKey == "" {
		bad("a session token needs its access key")
	}
	if (o.WebIdentity == nil) != (o.WebIdentityRole == "") {
		bad("a web identity token needs a role, and the other way round")
	}
	given := 0
	for _, is := range []bool{o.AccessKey != "" || o.SecretKey != "", o.Profile != "", o.WebIdentity != nil || o.WebIdentityRole != ""} {
		if is {
			given++
		}
	}
	if given > 1 {
		bad("more than one of access key, profile and web identity is given")
	}
	for what, role := range map[string]string{"the role": o.Role, "the web identity's role": o.WebIdentityRole} {
		if role != "" && !roleForm.MatchString(role) {
			bad("%s %q is not the ARN of a role", what, role)
		}
	}
	if o.ExternalID != "" && o.Role == "" {
		bad("an external id needs a role")
	}
	if o.Session != 0 && (o.Session < 15*time.Minute || o.Session > 12*time.Hour) {
		bad("a session of %s is not within 15m..12h", o.Session)
	}
	return errors.Join(all...)
}

// Open creates the clients. It reads only shared files and calls nothing; Guard checks that
// the credentials work. The problem is nil or names everything that is wrong.
func Open(ctx context.Context, o Options) (*Clients, *verdict.Problem) {
	if err := o.validate(); err != nil {
		return nil, problem("check AWS options", err)
	}
	cfg, err := o.load(ctx)
	if err != nil {
		return nil, problem("load AWS credentials", err)
	}
	if o.WebIdentityRole != "" {
		cfg.Credentials = cached(o.webIdentity(cfg))
	}
	if o.Role != "" {
		cfg.Credentials = cached(o.role(cfg))
	}
	answering := cfg
	answering.APIOptions = append(slices.Clone(cfg.APIOptions), requireAnswers)
	return &Clients{
		ECS: ecs.New(answering), Balancing: elb.New(answering), Scaling: scaling.New(cfg), CloudWatch: cloudwatch.New(cfg),
		Logs: logs.New(cfg), Objects: o.objects(cfg), STS: sts.New(cfg), IAM: iam.New(cfg), Credentials: cfg.Credentials,
	}, nil
}

// objects returns the S3 client, which may use a store other than AWS's own.
func (o Options) objects(cfg aws.Config) *s3object.Client {
	cfg.Region = cmp.Or(o.S3Region, cfg.Region)
	return s3object.NewClient(cfg, o.S3Endpoint, false)
}

func (o Options) attempts() int {
	if o.Attempts <= 0 {
		return defaultAttempts
	}
	return o.Attempts
}

func (o Options) load(ctx context.Context) (aws.Config, error) {
	// All clients share one retryer: its token bucket slows all of them down when one is throttled.
	retryer := retry.NewAdaptiveMode(func(a *retry.AdaptiveModeOptions) {
		a.StandardOptions = append(a.StandardOptions, func(s *retry.StandardOptions) {
			s.MaxAttempts = o.attempts()
			if o.MaxBackoff > 0 {
				s.MaxBackoff = o.MaxBackoff
			}
			s.Retryables = append(s.Retryables, retry.IsErrorRetryableFunc(unread))
		})
	})
	request := awscall.Request{Region: o.Region, Endpoint: o.Endpoint, Transport: o.Transport}
	switch {
	case o.AccessKey != "":
		request.Credentials = credentials.NewStaticCredentialsProvider(o.AccessKey, o.SecretKey, o.SessionToken)
	case o.WebIdentityRole != "":
		request.Credentials = aws.AnonymousCredentials{} // the exchange itself is not signed
	case o.Profile != "":
		request.Profile = o.Profile
	}
	cfg, err := awscall.Configure(ctx, request)
	if o.LocalOnly {
		cfg.APIOptions = append(cfg.APIOptions, awscall.LocalOnly)
	}
	cfg.Retryer, cfg.Logger = func() aws.Retryer { return retryer }, logging.Nop{}
	return cfg, err
}

// unread makes it retryable that a response is truncated, which the SDK treats as unreadable, or empty.
func unread(err error) aws.Ternary {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errSilent) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

func (o Options) sessionName() string {
	name := strings.Trim(notSession.ReplaceAllString(o.SessionName, "-"), "-")
	name = name[:min(len(name), 64)]
	if !sessionForm.MatchString(name) {
		return "openstack-rca"
	}
	return name
}

func cached(provider aws.CredentialsProvider) aws.CredentialsProvider {
	return aws.NewCredentialsCache(provider, func(c *aws.CredentialsCacheOptions) { c.ExpiryWindow = refreshBefore })
}

// webIdentity exchanges the token of an identity provider for a role's credentials each time.
func (o Options) webIdentity(cfg aws.Config) aws.CredentialsProvider {
	// AWS may refuse a token that it does not know yet. With the attempts of other calls that would take minutes.
	retryer := retry.AddWithErrorCodes(retry.AddWithMaxAttempts(cfg.Retryer(), min(exchangeAttempts, o.attempts())), "InvalidIdentityToken")
	cfg.Retryer = func() aws.Retryer { return retryer }
	client := sts.New(cfg)
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		token, err := o.WebIdentity()
		if err != nil {
			return aws.Credentials{}, fmt.Errorf("read web identity token: %w", err)
		}
		text := strings.TrimSpace(string(token))
		if text == "" {
			return aws.Credentials{}, errors.New("read web identity token: it is empty")
		}
		out, err := client.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: &o.WebIdentityRole,
			RoleSessionName: aws.String(o.sessionName()), WebIdentityToken: &text, DurationSeconds: o.sessionSeconds()})
		if err != nil {
			return aws.Credentials{}, err
		}
		return out.Credentials.ForSDK()
	})
}

// role exchanges the configuration's credentials for a role's credentials each time.
func (o Options) role(cfg aws.Config) aws.CredentialsProvider {
	client := sts.New(cfg)
	in := &sts.AssumeRoleInput{RoleArn: &o.Role, RoleSessionName: aws.String(o.sessionName()), DurationSeconds: o.sessionSeconds()}
	if o.ExternalID != "" {
		in.ExternalId = &o.ExternalID
	}
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		out, err := client.AssumeRole(ctx, in)
		if err != nil {
			return aws.Credentials{}, err
		}
		return out.Credentials.ForSDK()
	})
}

// sessionSeconds returns the duration of a session; nil means AWS's default of an hour.
func (o Options) sessionSeconds() *int32 {
	if o.Session == 0 {
		return nil
	}
	return aws.Int32(int32(o.Session.Seconds()))
}

// Identity is the part of the STS client that Guard needs.
type Identity interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error)
}

// Guard fails with WrongAccount unless the credentials belong to the account with this 12-digit number. It must be called
// before anything is written. The text is the caller's ARN.
func Guard(ctx context.Context, client Identity, account string) (string, *verdict.Problem) {
	out, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", problem("ask who the credentials are of", err)
	}
	who := aws.ToString(out.Arn)
	if got := aws.ToString(out.Account); got != account || account == "" {
		return who, verdict.Problemf(WrongAccount, "the credentials are of account %q (%s), the environment's is %q", got, who, account)
	}
	return who, nil
}

func problem(doing string, err error) *verdict.Problem {
	code := CredentialsInvalid
	var send *smithyhttp.RequestSendError
	// Outside EC2 the metadata service does not answer, which means no credentials.
	if errors.As(err, &send) && !strings.Contains(err.Error(), "ec2imds") {
		code = Unreachable
	}
	found := verdict.Problemf(code, "%s: %s", doing, strings.ReplaceAll(err.Error(), "\n", "; "))
	// A web page, or a refusal without an AWS error code, comes from a proxy or another server.
	var refused smithy.APIError
	if errors.As(err, new(*smithy.DeserializationError)) || errors.As(err, &refused) && refused.ErrorCode() == "UnknownError" {
		found.Code = Unreachable
		found.Next = "Check --aws-endpoint-url (AWS_ENDPOINT_URL) and the proxy on the way: what answers there is not AWS"
	}
	return found
}
