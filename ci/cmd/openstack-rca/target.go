package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/openstack-rca/openstack-rca/ci/assembly"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
)

// targetFlags adds where results go, with references to the secrets: the module's arguments of
// the same names. A flag that is not given leaves the value to its variable of the environment.
func (in *invocation) targetFlags(flags *pflag.FlagSet) {
	t, o := &in.opts.Target, &in.opts.Rollout
	flags.StringVar(&t.TrackingURI, "mlflow-tracking-uri", "", "MLflow server to publish to; MLFLOW_TRACKING_URI when empty")
	flags.StringVar(&t.ArtifactRoot, "mlflow-artifact-root", "", "where the model goes, s3://bucket/prefix; MLFLOW_ARTIFACT_ROOT when empty")
	flags.StringVar(&t.S3Endpoint, "mlflow-s3-endpoint-url", "", "S3 endpoint to use instead of AWS; MLFLOW_S3_ENDPOINT_URL when empty")
	flags.StringVar(&t.Region, "aws-default-region", "", "AWS region; AWS_DEFAULT_REGION, then pipeline.yaml's, when empty")
	flags.StringVar(&o.Endpoint, "aws-endpoint-url", os.Getenv("AWS_ENDPOINT_URL"), "endpoint to use instead of AWS; AWS_ENDPOINT_URL")
	flags.StringVar(&o.Role, "aws-role", "", "ARN of a role to assume for the rollout")
	flags.StringVar(&o.ExternalID, "aws-external-id", "", "external id of that role")
	flags.StringVar(&o.WebIdentityRole, "aws-web-identity-role", "",
		"ARN of the role that the web identity token is for; AWS_ROLE_ARN when empty")
	flags.StringVar(&in.mlflow, "sandbox-mlflow", "", "MLflow server for the sandbox to use, tcp://host:port, instead of starting its own")
	flags.StringVar(&in.s3, "sandbox-s3", "", "S3 API for the sandbox to use, tcp://host:port, instead of starting its own")
	for _, secret := range secretFlags {
		in.secrets[secret.variable] = flags.String(secret.flag, "",
			"where the secret is, env://NAME or file://PATH; "+secret.variable+" when empty")
	}
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

// checkout fills in what git knows of the source and the call did not say. Outside of the sandbox
// the ref stays the caller's to name: it decides who may publish.
func checkout(ctx context.Context, o *pipeline.Options, source, report string) {
	sandbox := o.Environment == "" || o.Environment == "sandbox"
	if o.Commit != "" && (o.Ref != "" || !sandbox) {
		return
	}
	found := assembly.RevisionOf(ctx, source, report)
	if o.Ref == "" && sandbox {
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
