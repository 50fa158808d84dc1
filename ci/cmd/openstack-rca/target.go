package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/openstack-rca/openstack-rca/ci/assembly"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// commonFlags adds the flags of every command: the arguments of the module's constructor. A flag that is not given
// leaves the value to its variable of the environment.
func (in *invocation) commonFlags(flags *pflag.FlagSet) {
	o, t, r := &in.opts, &in.opts.Target, &in.opts.Rollout
	r.Endpoint = os.Getenv("AWS_ENDPOINT_URL")
	values := to{
		"source": &in.source, "environment": &o.Environment, "ref": &o.Ref, "release-branch": (*whole)(&o.ReleaseBranches),
		"commit": &o.Commit, "commit-time": &o.CommitTime, "platform": &o.Platform, "trained": &in.trained, "event": &o.Event,
		"mlflow-tracking-uri": &t.TrackingURI, "mlflow-artifact-root": &t.ArtifactRoot, "mlflow-s3-endpoint-url": &t.S3Endpoint,
		"aws-default-region": &t.Region, "aws-endpoint-url": &r.Endpoint, "aws-role": &r.Role, "aws-external-id": &r.ExternalID,
		"aws-web-identity-role": &r.WebIdentityRole, "sandbox-mlflow": &in.mlflow, "sandbox-s3": &in.s3,
		"state": &o.Observe.State, "pushgateway-url": &o.Observe.PushgatewayURL, "otlp-endpoint": &o.Observe.OTLPEndpoint,
		"hotfix": &o.Observe.Hotfix,
	}
	for _, secret := range secretFlags {
		reference := new(string)
		in.secrets[secret.variable], values[secret.flag] = reference, reference
	}
	addFlags(flags, "", values)
}

// secretFlags are the flags for secrets, with the variables of the environment that they replace.
// Their values are references, as for Dagger: a secret on a command line is seen by every user of
// the machine.
var secretFlags = []struct{ flag, variable string }{
	{"mlflow-token", "MLFLOW_TRACKING_TOKEN"},
	{"mlflow-tracking-username", "MLFLOW_TRACKING_USERNAME"}, {"mlflow-tracking-password", "MLFLOW_TRACKING_PASSWORD"},
	{"aws-access-key-id", "AWS_ACCESS_KEY_ID"}, {"aws-secret-access-key", "AWS_SECRET_ACCESS_KEY"},
	{"aws-session-token", "AWS_SESSION_TOKEN"}, {"aws-web-identity-token", "AWS_WEB_IDENTITY_TOKEN"},
	{"metrics-auth", "METRICS_AUTH"}, {"notify-secrets", "NOTIFY_SECRETS"},
}

// secretReferences are those of a call, by their variable; see secretFlags.
type secretReferences map[string]*string

// maxSecret bounds a file that holds a secret, in bytes.
const maxSecret = 64 << 10

// environment is the environment's variables with those replaced that a flag refers to. Its error
// never holds what was given: that may be the secret itself.
func (s secretReferences) environment() (func(string) string, error) {
	replaced := map[string]string{}
	for _, secret := range secretFlags {
		reference := *s[secret.variable]
		if reference == "" {
			continue
		}
		value := ""
		switch kind, where, _ := strings.Cut(reference, "://"); {
		case kind == "env" && where != "":
			if value = os.Getenv(where); value == "" {
				return nil, fmt.Errorf("--%s: the variable it names is empty or not set", secret.flag)
			}
		case kind == "file" && where != "":
			content, err := readBounded(where, maxSecret)
			if err != nil {
				return nil, fmt.Errorf("--%s: %w", secret.flag, err)
			}
			value = strings.TrimRight(string(content), "\r\n")
		default:
			return nil, fmt.Errorf("--%s: give env://NAME or file://PATH, never the secret itself", secret.flag)
		}
		replaced[secret.variable] = value
	}
	return func(name string) string {
		if value, ok := replaced[name]; ok {
			return value
		}
		return os.Getenv(name)
	}, nil
}

// checkout fills in what git knows of the source and the call did not say. Where others are affected
// the ref stays the caller's to name: it decides who may publish.
func checkout(ctx context.Context, o *pipeline.Options, source, report string) {
	assumes := o.AssumesRef()
	if o.Commit != "" && (o.Ref != "" || !assumes) {
		return
	}
	found := assembly.RevisionOf(ctx, source, report)
	if o.Ref == "" && assumes {
		o.Ref = found.Ref
	}
	if o.Commit != "" {
		return
	}
	if o.Uncommitted = found.Uncommitted; len(o.Uncommitted) > 0 {
		return
	}
	o.Commit = found.Commit
	if o.CommitTime == "" {
		o.CommitTime = found.Time
	}
}

// besideSource returns an error when the files of a report would lie among those of the source.
func besideSource(report, source string) error {
	whole := func(dir string) string {
		if absolute, err := filepath.Abs(dir); err == nil {
			dir = absolute
		}
		if target, err := filepath.EvalSymlinks(dir); err == nil {
			dir = target
		}
		return dir
	}
	// On two volumes it is empty.
	below, _ := filepath.Rel(whole(report), whole(source))
	first, _, _ := strings.Cut(filepath.ToSlash(below), "/")
	if first == "." || slices.Contains(verdict.Stages(), first) {
		return fmt.Errorf("the files of the report would lie among those of the source, %s", source)
	}
	return nil
}
