// Package sandbox describes the servers of a pipeline without an account: an MLflow server and
// an S3 API, both from PyPI, both without persistent data.
package sandbox

import (
	"context"
	"embed"
	"fmt"
	"path"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// The names the servers are bound under: {{mlflow}} and {{s3}} in a step.
const (
	MLflowName = "mlflow"
	S3Name     = "s3"
)

// The bucket and the credentials of the sandbox's S3 API. The credentials are public: they are
// for a server that lives as long as one run.
const (
	Bucket       = "openstack-rca-sandbox"
	ArtifactRoot = "s3://" + Bucket + "/models"
	Region       = "us-east-1"
	AccessKey    = "sandbox-access-key"
	SecretKey    = "sandbox-secret-key"
)

// python is the version the locks are made for.
const python = "3.11"

// CodeSandboxFailed is raised when a server of the sandbox did not start.
var CodeSandboxFailed = verdict.Code{Name: "SANDBOX_FAILED", Stage: verdict.Publish, Outcome: verdict.CouldNotRun,
	Meaning: "A server of the sandbox (MLflow or the S3 API) did not start, or its bucket could not be created.",
	Remedy:  "Read the server's last lines; it is installed from PyPI, so check the network and the proxy settings, then run again"}

// Codes are the codes of this package.
func Codes() []verdict.Code { return []verdict.Code{CodeSandboxFailed} }

//go:embed locks/*.lock serve_mlflow.py s3_app.py
var files embed.FS

// tree makes a tree of embedded files, under their base names.
func tree(r runner.Runner, names ...string) runner.Files {
	contents := map[string][]byte{}
	for _, name := range names {
		content, err := files.ReadFile(name)
		if err != nil {
			panic(err) // the names are constants of this file, embedded above
		}
		contents[path.Base(name)] = content
	}
	return r.NewFiles(contents)
}

func install(lock string) []string {
	return []string{"uv", "pip", "install", "--quiet", "--require-hashes", "-r", lock}
}

// MLflow is an MLflow 3 server: SQLite, and artifacts behind the server.
//
// Its database is migrated once, in the environment, which halves the start. Its check
// of the Host header is off: steps reach it by a name that only the runner knows, and
// it holds no private data.
func MLflow(r runner.Runner) runner.Service {
	return runner.Service{
		Name: MLflowName,
		Env: runner.Environment{
			Python:  python,
			Files:   tree(r, "locks/mlflow.lock", "serve_mlflow.py"),
			Install: [][]string{install("mlflow.lock"), {"python", "serve_mlflow.py", "prepare"}},
		},
		Inputs: []runner.Mount{{Path: ".", Files: tree(r, "serve_mlflow.py")}},
		Args:   []string{"python", "serve_mlflow.py", "{{bind}}", "{{port}}"},
		Vars: map[string]string{
			"MLFLOW_SERVER_ALLOWED_HOSTS": "*",
			// Jobs would start three more processes that this server has no use for.
			"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
			"MLFLOW_DISABLE_TELEMETRY":           "true",
			"GIT_PYTHON_REFRESH":                 "quiet",
			"PYTHONUNBUFFERED":                   "1",
		},
		Port:         5000,
		Ready:        "/health",
		StartTimeout: 2 * time.Minute,
	}
}

// S3 is an S3 API that keeps its objects in memory and honours conditional writes.
func S3(r runner.Runner) runner.Service {
	return runner.Service{
		Name: S3Name,
		Env: runner.Environment{
			Python:  python,
			Files:   tree(r, "locks/s3.lock"),
			Install: [][]string{install("s3.lock")},
		},
		Inputs: []runner.Mount{{Path: ".", Files: tree(r, "s3_app.py")}},
		Args: []string{"python", "-m", "gunicorn", "--workers", "1", "--threads", "16", "--timeout", "600", "--graceful-timeout", "3",
			"--no-control-socket", "--bind", "{{bind}}:{{port}}", "s3_app:application"},
		Vars:         map[string]string{"PYTHONUNBUFFERED": "1", "AWS_DEFAULT_REGION": Region, "S3_BUCKET": Bucket},
		Port:         9000,
		Ready:        "/moto-api/",
		StartTimeout: 2 * time.Minute,
	}
}

// Vars are the environment variables by which a step with both servers bound finds
// them, under the names that MLflow, boto3 and the pipeline document use.
func Vars() map[string]string {
	return map[string]string{
		"MLFLOW_TRACKING_URI":    "http://{{" + MLflowName + "}}",
		"MLFLOW_S3_ENDPOINT_URL": "http://{{" + S3Name + "}}",
		"MLFLOW_ARTIFACT_ROOT":   ArtifactRoot,
		"AWS_ENDPOINT_URL":       "http://{{" + S3Name + "}}",
		"AWS_ENDPOINT_URL_S3":    "http://{{" + S3Name + "}}",
		"AWS_ACCESS_KEY_ID":      AccessKey,
		"AWS_SECRET_ACCESS_KEY":  SecretKey,
		"AWS_DEFAULT_REGION":     Region,
		"AWS_REGION":             Region,
		// Without it, a client on AWS would spend seconds asking for instance metadata.
		"AWS_EC2_METADATA_DISABLED": "true",
	}
}

// Target makes the sandbox's bucket, unless it exists, and returns where to publish,
// as this process reaches the servers.
func Target(ctx context.Context, mlflow, s3 *runner.Running) (publish.Target, error) {
	endpoint := "http://" + s3.Address
	if err := createBucket(ctx, endpoint); err != nil {
		return publish.Target{}, err
	}
	return publish.Target{
		TrackingURI:  "http://" + mlflow.Address,
		S3Endpoint:   endpoint,
		ArtifactRoot: ArtifactRoot,
		Region:       Region,
		AccessKey:    public{"AWS_ACCESS_KEY_ID", AccessKey},
		SecretKey:    public{"AWS_SECRET_ACCESS_KEY", SecretKey},
	}, nil
}

func createBucket(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	key := credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, "")
	client := s3object.NewClient(aws.Config{Region: Region, Credentials: key}, endpoint, true)
	// In us-east-1 S3 answers the second creation by the same owner as the first.
	if err := client.CreateBucket(ctx, Bucket); err != nil {
		return fmt.Errorf("create bucket %s in the sandbox: %w", Bucket, err)
	}
	return nil
}

// public is a public value where a secret is expected.
type public struct{ name, value string }

// Name implements runner.Secret.
func (p public) Name() string { return p.name }

// Plaintext implements runner.Secret.
func (p public) Plaintext(context.Context) (string, error) { return p.value, nil }
