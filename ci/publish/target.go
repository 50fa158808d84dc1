package publish

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/partition"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Target says where a model is published and with what credentials.
type Target struct {
	// TrackingURI is the MLflow server: MLFLOW_TRACKING_URI.
	TrackingURI string
	// S3Endpoint is an S3 API other than AWS's own: MLFLOW_S3_ENDPOINT_URL.
	S3Endpoint string
	// ArtifactRoot is s3://bucket/prefix, MLFLOW_ARTIFACT_ROOT; the configuration's when empty.
	ArtifactRoot string
	// Region is the bucket's region; the configuration's when empty.
	Region string
	// AccessKey, SecretKey and SessionToken are AWS credentials; nil means none.
	AccessKey, SecretKey, SessionToken runner.Secret
	// MLflowUsername and MLflowPassword, or MLflowToken, are for MLflow; nil means none.
	MLflowUsername, MLflowPassword, MLflowToken runner.Secret
	// DefaultCredentials allows AWS's default chain when no access key is given. It
	// reads this process's environment and the instance's role, so that it is never
	// a silent fallback.
	DefaultCredentials bool
	// PathStyle addresses the bucket by path; implied by S3Endpoint.
	PathStyle bool
}

// Secrets are the credentials that nothing may show. A user name is not one of them: short names
// would mask half of a report.
func (t Target) Secrets() []runner.Secret {
	var all []runner.Secret
	for _, secret := range []runner.Secret{t.AccessKey, t.SecretKey, t.SessionToken, t.MLflowPassword, t.MLflowToken} {
		if secret != nil {
			all = append(all, secret)
		}
	}
	return all
}

// connection is an input with what it talks to, and what hides the credentials.
type connection struct {
	Input
	mlflow *mlflow.Client
	ledger *ledger.Ledger
	redact func(string) string
}

// tuning is for tests: faults, and no waiting.
type tuning struct {
	transport  http.RoundTripper
	maxBackoff time.Duration
	attempts   int
	partSize   int64
}

// environmentName is what can be part of a folder, an experiment and an alias.
var environmentName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// experiment is the experiment's name, registered that of the registered model. The
// name is the document's: <experiment>_<model>.
func (in Input) experiment() string {
	return strings.ReplaceAll(in.Config.Publish.Experiment, "{{environment}}", in.Environment)
}

func (in Input) registered() string { return in.experiment() + "_" + in.Config.Publish.Model }

func (in Input) series() ledger.Series {
	return ledger.Series{App: in.Config.Name, Environment: in.Environment, Model: in.Config.Publish.Model}
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// secrets fetches the credentials. A secret that is there and empty is as good as none.
func (t Target) secrets(ctx context.Context) (map[string]string, error) {
	values := map[string]string{}
	for name, secret := range map[string]runner.Secret{
		"AWS_ACCESS_KEY_ID": t.AccessKey, "AWS_SECRET_ACCESS_KEY": t.SecretKey, "AWS_SESSION_TOKEN": t.SessionToken,
		"MLFLOW_TRACKING_USERNAME": t.MLflowUsername, "MLFLOW_TRACKING_PASSWORD": t.MLflowPassword, "MLFLOW_TRACKING_TOKEN": t.MLflowToken,
	} {
		if secret == nil {
			continue
		}
		value, err := secret.Plaintext(ctx)
		if err != nil {
			return nil, fmt.Errorf("read secret %s: %w", name, err)
		}
		// A line break at the end comes from the file the secret was read from.
		values[name] = strings.TrimRight(value, "\r\n")
	}
	return values, nil
}

// connect checks the input and makes the clients; it talks to neither server. All
// problems of the input come at once.
func (in Input) connect(ctx context.Context, needStore bool) (*connection, []*verdict.Problem) {
	if in.Clock == nil {
		in.Clock = clock.System{}
	}
	var problems []*verdict.Problem
	bad := func(format string, args ...any) {
		problems = append(problems, verdict.Problemf(CodeInput, format, args...))
	}
	if !environmentName.MatchString(in.Environment) {
		bad("environment %q is not a name of lower-case letters, digits and hyphens", in.Environment)
	}
	values, err := in.Target.secrets(ctx)
	if err != nil {
		bad("%v", err)
		return &connection{Input: in, redact: verdict.Redact()}, problems
	}
	// These travel in headers as they are; a line break would end the header.
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN"} {
		if strings.ContainsFunc(values[name], unicode.IsControl) {
			bad("secret %s holds a line break or another control character", name)
		}
	}
	c := &connection{Input: in, redact: redactor(values)}
	if in.Target.TrackingURI == "" {
		bad("MLFLOW_TRACKING_URI is not given")
	} else if c.mlflow, err = mlflow.New(mlflow.Options{
		TrackingURI: in.Target.TrackingURI, Username: values["MLFLOW_TRACKING_USERNAME"], Password: values["MLFLOW_TRACKING_PASSWORD"],
		Token: values["MLFLOW_TRACKING_TOKEN"], Transport: in.tuning.transport, Clock: in.Clock, Attempts: in.tuning.attempts,
		Workspace: in.Config.Publish.Workspace,
	}); err != nil {
		bad("%s", c.redact(err.Error()))
	}
	if !needStore {
		return c, problems
	}
	if endpoint := in.Target.S3Endpoint; endpoint != "" {
		if u, err := url.Parse(endpoint); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
			bad("MLFLOW_S3_ENDPOINT_URL is not an http or https address without credentials")
		} else if bucket, _, err := ledger.ParseURI(first(in.Target.ArtifactRoot, in.Config.Publish.ArtifactRoot)); err == nil &&
			path.Base(u.Path) == bucket {
			bad("MLFLOW_S3_ENDPOINT_URL ends in the bucket's name, %s, which belongs into MLFLOW_ARTIFACT_ROOT alone", bucket)
		}
	}
	region := first(in.Target.Region, in.Config.Publish.Region)
	if _, known := partition.Of(region); !known && in.Target.S3Endpoint == "" {
		bad("%q is not a region of AWS, and MLFLOW_S3_ENDPOINT_URL names no other store", region)
	}
	root := first(in.Target.ArtifactRoot, in.Config.Publish.ArtifactRoot)
	hasKey := values["AWS_ACCESS_KEY_ID"] != "" && values["AWS_SECRET_ACCESS_KEY"] != ""
	switch {
	case root == "":
		bad("MLFLOW_ARTIFACT_ROOT is not given, nor publish.artifact_root")
	case !hasKey && !in.Target.DefaultCredentials:
		bad("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both given, and the default AWS credentials are not allowed")
	case len(problems) == 0:
		c.ledger, err = ledger.Open(ctx, ledger.Options{
			Root: root, Series: in.series(), Endpoint: in.Target.S3Endpoint, PathStyle: in.Target.PathStyle,
			Region:    region,
			AccessKey: values["AWS_ACCESS_KEY_ID"], SecretKey: values["AWS_SECRET_ACCESS_KEY"], SessionToken: values["AWS_SESSION_TOKEN"],
			DefaultCredentials: in.Target.DefaultCredentials, Transport: in.tuning.transport, Clock: in.Clock,
			Attempts: in.tuning.attempts, MaxBackoff: in.tuning.maxBackoff, PartSize: in.tuning.partSize,
		})
		if err != nil {
			bad("%s", c.redact(err.Error()))
		}
	}
	return c, problems
}

// skew describes how far this machine's clock is from the store's; empty when it is right.
func (c *connection) skew() string { return c.ledger.Clock().Skew("the store's") }

// clean makes a value fit for a server that others read.
func (c *connection) clean(value string, limit int) string {
	return mlflow.Clip(c.redact(value), limit)
}

// fail is what an error of a server means to somebody who only asked.
func (c *connection) fail(ctx context.Context, err error) error {
	found := problem(ctx, preparing, err)
	sameAgain(found)
	found.Cause = c.redact(found.Cause)
	return found
}

// redactor hides the credentials, but not a user name: it is no secret, and short
// names would mask half of a report.
func redactor(values map[string]string) func(string) string {
	var hide []string
	for name, value := range values {
		if name != "MLFLOW_TRACKING_USERNAME" {
			hide = append(hide, value)
		}
	}
	return verdict.Redact(hide...)
}

// insecure reports whether credentials go over plain HTTP to another machine.
func (t Target) insecure() bool {
	u, err := url.Parse(t.TrackingURI)
	if err != nil || u.Scheme != "http" || t.MLflowToken == nil && t.MLflowPassword == nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}
