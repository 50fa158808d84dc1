// The delivery pipeline of an ML service, from commit to production: pytest with
// coverage gates, LSTM training with model gates, publishing to MLflow and S3, a
// multi-stage image, a rollout on ECS.
//
// The same call gives the same result on a laptop and in any CI. With no account and
// no secret, the pipeline runs the whole path against servers it starts itself.
//
//	dagger call run summary
//	dagger call --source . test summary
//	dagger call --source . --environment staging plan summary
package main

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// OpenstackRca is the pipeline of one source tree in one environment.
type OpenstackRca struct {
	// +private
	Source *dagger.Directory
	// +private
	Environment string
	// +private
	Ref string
	// +private
	Commit string
	// +private
	CommitTime string
	// +private
	Event string
	// +private
	Target *Target
	// +private
	SandboxMlflow *dagger.Service
	// +private
	SandboxS3 *dagger.Service
}

// Target is where results go outside of the sandbox, and with which credentials. No
// step of the tests or the training ever gets any of it.
type Target struct {
	// +private
	MlflowTrackingURI string
	// +private
	MlflowArtifactRoot string
	// +private
	MlflowS3EndpointURL string
	// +private
	MlflowToken *dagger.Secret
	// +private
	AwsAccessKeyID *dagger.Secret
	// +private
	AwsSecretAccessKey *dagger.Secret
	// +private
	AwsSessionToken *dagger.Secret
	// +private
	AwsDefaultRegion string
	// +private
	ImageAddress string
	// +private
	DockerUsername *dagger.Secret
	// +private
	DockerPassword *dagger.Secret
}

// New describes what the pipeline works on.
func New(
	// Root of the application's repository. Without it, the example application that
	// comes with this module.
	//
	// +optional
	// +defaultPath="/examples/openstack-rca"
	// +ignore=["**/.git", "**/.venv", "**/venv", "**/__pycache__", "**/.pytest_cache", "**/.ruff_cache", "**/.mypy_cache", "**/node_modules", "**/mlruns", "**/mlartifacts", "**/.env", "**/.env.*"]
	source *dagger.Directory,

	// Where the results go: sandbox (servers that the run starts itself), staging,
	// production, or an environment that pipeline.yaml declares.
	//
	// +optional
	// +default="sandbox"
	environment string,

	// Branch, tag or pull request the run is for, such as main or refs/pull/7/merge. It
	// decides which stages run: see plan.
	//
	// +optional
	// +default="main"
	ref string,

	// Revision of the source, for labels, tags and the report.
	//
	// +optional
	commit string,

	// Time of that revision in RFC 3339, for the image's label.
	//
	// +optional
	commitTime string,

	// What the CI system runs for, in its own word: push, pull_request. A pull request
	// never publishes, whatever its branch is called.
	//
	// +optional
	event string,

	// MLflow server to publish to, outside of the sandbox.
	//
	// +optional
	mlflowTrackingUri string,

	// Where the model goes: s3://bucket/prefix.
	//
	// +optional
	mlflowArtifactRoot string,

	// S3 API to use instead of AWS's own.
	//
	// +optional
	mlflowS3EndpointUrl string,

	// Bearer token of the MLflow server.
	//
	// +optional
	mlflowToken *dagger.Secret,

	// Credentials for S3 and ECS.
	//
	// +optional
	awsAccessKeyId *dagger.Secret,

	// +optional
	awsSecretAccessKey *dagger.Secret,

	// +optional
	awsSessionToken *dagger.Secret,

	// AWS region; pipeline.yaml's when empty.
	//
	// +optional
	awsDefaultRegion string,

	// Repository to push the image to, outside of the sandbox: docker.io/team/openstack-rca-system.
	//
	// +optional
	imageAddress string,

	// Login of that registry.
	//
	// +optional
	dockerUsername *dagger.Secret,

	// +optional
	dockerPassword *dagger.Secret,

	// MLflow server for the sandbox to use instead of starting its own, such as
	// tcp://127.0.0.1:5000. It stays as it is after the run.
	//
	// +optional
	sandboxMlflow *dagger.Service,

	// S3 API for the sandbox to use instead of starting its own.
	//
	// +optional
	sandboxS3 *dagger.Service,
) *OpenstackRca {
	return &OpenstackRca{
		Source: source, Environment: environment, Ref: ref, Commit: commit, CommitTime: commitTime, Event: event,
		Target: &Target{
			MlflowTrackingURI: mlflowTrackingUri, MlflowArtifactRoot: mlflowArtifactRoot, MlflowS3EndpointURL: mlflowS3EndpointUrl, MlflowToken: mlflowToken,
			AwsAccessKeyID: awsAccessKeyId, AwsSecretAccessKey: awsSecretAccessKey, AwsSessionToken: awsSessionToken, AwsDefaultRegion: awsDefaultRegion,
			ImageAddress: imageAddress, DockerUsername: dockerUsername, DockerPassword: dockerPassword,
		},
		SandboxMlflow: sandboxMlflow, SandboxS3: sandboxS3,
	}
}

// Run runs every stage that the policy allows for --ref, and reports on all of them. It
// returns for every verdict; enforce turns the verdict into an exit code.
//
// +cache="session"
func (m *OpenstackRca) Run(
	ctx context.Context,

	// Data set to train on instead of the one the application brings.
	//
	// +optional
	data *dagger.Directory,

	// Parameters of the training, as key=value.
	//
	// +optional
	param []string,
) (*Run, error) {
	call := m.call(ctx)
	call.data, call.params = data, param
	result, err := call.run(verdict.Stages()...)
	if err != nil {
		return nil, err
	}
	return result.run(), nil
}

// Pipeline is the same as run. `dagger call` v0.21 hides every function of this name;
// in dagger shell and from other modules it works.
//
// +cache="session"
func (m *OpenstackRca) Pipeline(
	ctx context.Context,

	// Data set to train on instead of the one the application brings.
	//
	// +optional
	data *dagger.Directory,

	// Parameters of the training, as key=value.
	//
	// +optional
	param []string,
) (*Run, error) {
	return m.Run(ctx, data, param)
}

// Plan shows what a run for --ref would do and why, and what it would change in AWS.
// It writes nothing.
//
// +cache="session"
func (m *OpenstackRca) Plan(ctx context.Context) (*Plan, error) {
	call := m.call(ctx)
	backend, err := call.backend()
	if err != nil {
		return nil, err
	}
	defer call.close()
	plan := pipeline.Explain(ctx, backend, call.options())
	return &Plan{Summary: plan.Markdown(), JSON: string(plan.JSON()), Failure: plan.Failure()}, nil
}

// Test runs the application's tests and holds them against the coverage gates.
//
// +cache="session"
func (m *OpenstackRca) Test(
	ctx context.Context,

	// Test files or directories to run instead of all.
	//
	// +optional
	path []string,

	// Only tests whose names match, as for pytest -k.
	//
	// +optional
	keyword string,

	// Only tests with this marker, as for pytest -m.
	//
	// +optional
	marker string,

	// Python version; pipeline.yaml's when empty.
	//
	// +optional
	python string,
) (*TestReport, error) {
	call := m.call(ctx)
	call.python, call.test = python, pipeline.TestOptions{Paths: path, Keyword: keyword, Marker: marker}
	result, err := call.run(verdict.Test)
	if err != nil {
		return nil, err
	}
	return &TestReport{Report: result.report, Summary: result.summary, JSON: result.json, Failure: result.failure}, nil
}

// Train trains the model and holds it against the model gates.
//
// +cache="session"
func (m *OpenstackRca) Train(
	ctx context.Context,

	// Data set to train on instead of the one the application brings.
	//
	// +optional
	data *dagger.Directory,

	// Parameters of the training, as key=value.
	//
	// +optional
	param []string,

	// Python version; pipeline.yaml's when empty.
	//
	// +optional
	python string,

	// CPU threads of the training. More are faster, and give slightly different weights.
	//
	// +optional
	cpuThreads int,
) (*Model, error) {
	call := m.call(ctx)
	call.data, call.params, call.python, call.threads = data, param, python, cpuThreads
	result, err := call.run(verdict.Train)
	if err != nil {
		return nil, err
	}
	return &Model{Report: result.report, Summary: result.summary, JSON: result.json, Failure: result.failure, Files: result.model, Name: result.modelFile, Pipeline: m, Data: data, Param: param, Python: python, CPUThreads: cpuThreads}, nil
}

// Image trains the model (answered from the cache when nothing changed), builds the
// image with it inside, starts it, and waits until it answers.
//
// +cache="session"
func (m *OpenstackRca) Image(ctx context.Context) (*Image, error) {
	result, err := m.call(ctx).run(verdict.Train, verdict.Image)
	if err != nil {
		return nil, err
	}
	return &Image{Report: result.report, Summary: result.summary, JSON: result.json, Failure: result.failure, Built: result.image, Pipeline: m}, nil
}

// Deploy plans, and outside of the sandbox performs, the rollout of an image on ECS.
//
// +cache="session"
func (m *OpenstackRca) Deploy(
	ctx context.Context,

	// The image, by digest: repository@sha256:...
	image string,
) (*Rollout, error) {
	call := m.call(ctx)
	call.deployed = image
	result, err := call.run(verdict.Deploy)
	if err != nil {
		return nil, err
	}
	return &Rollout{Report: result.report, Summary: result.summary, JSON: result.json, Failure: result.failure}, nil
}

// Doctor checks everything a run depends on, without changing anything, and names a
// remedy for what is missing.
//
// +cache="session"
func (m *OpenstackRca) Doctor(ctx context.Context) (string, error) {
	call := m.call(ctx)
	backend, err := call.backend()
	if err != nil {
		return "", err
	}
	defer call.close()
	return pipeline.Doctor(ctx, backend, call.options()), nil
}
