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

import "github.com/openstack-rca/openstack-rca/internal/dagger"

// OpenstackRca is the pipeline of one source tree in one environment.
type OpenstackRca struct {
	// +private
	Source *dagger.Directory
	// +private
	Environment string
	// +private
	Ref string
	// +private
	ReleaseBranches []string
	// +private
	Commit string
	// +private
	CommitTime string
	// +private
	Event string
	// +private
	Platform string
	// +private
	Trained *dagger.Directory
	// +private
	Target *Target
	// +private
	IndexURL *dagger.Secret
	// +private
	State *dagger.Directory
	// +private
	Hotfix bool
	// +private
	PushgatewayURL string
	// +private
	OtlpEndpoint string
	// +private
	MetricsAuth *dagger.Secret
	// +private
	NotifySecrets *dagger.Secret
	// +private
	SandboxMlflow *dagger.Service
	// +private
	SandboxS3 *dagger.Service
}

// Target is where results go outside the sandbox, with the credentials. No step of the
// tests or the training ever gets any of it.
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
	MlflowTrackingUsername *dagger.Secret
	// +private
	MlflowTrackingPassword *dagger.Secret
	// +private
	AwsAccessKeyID *dagger.Secret
	// +private
	AwsSecretAccessKey *dagger.Secret
	// +private
	AwsSessionToken *dagger.Secret
	// +private
	AwsDefaultRegion string
	// +private
	AwsEndpointURL string
	// +private
	AwsRole string
	// +private
	AwsExternalID string
	// +private
	AwsWebIdentityToken *dagger.Secret
	// +private
	AwsWebIdentityRole string
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
	// +ignore=[
	//   "**/.git", "**/.venv", "**/venv", "**/__pycache__", "**/.pytest_cache", "**/.ruff_cache", "**/.mypy_cache",
	//   "**/node_modules", "**/mlruns", "**/mlartifacts", "**/.env", "**/.env.*"
	// ]
	source *dagger.Directory,

	// Where the results go: sandbox (servers that the run starts itself), staging,
	// production, or an environment that pipeline.yaml declares.
	//
	// +optional
	// +default="sandbox"
	environment string,

	// Branch, tag or pull request of the run, such as main or refs/pull/7/merge. It decides
	// which stages run: see plan. In the sandbox it is main when empty; elsewhere it is required.
	//
	// +optional
	ref string,

	// Branches, or patterns of them such as release/*, that may publish, push images and deploy.
	// pipeline.yaml comes from the branch itself: outside the sandbox it can only remove stages.
	//
	// +optional
	// +default=["main"]
	releaseBranch []string,

	// Revision of the source, for labels, tags and the report.
	//
	// +optional
	commit string,

	// Time of that revision in RFC 3339, for the image's label.
	//
	// +optional
	commitTime string,

	// Event that started the CI run, in the CI system's own term: push, pull_request. A pull
	// request never publishes, whatever its branch is called; nor does an unknown event.
	//
	// +optional
	event string,

	// Platform of the image, linux/amd64 or linux/arm64, instead of image.platform in
	// pipeline.yaml. Any other than the engine's needs an engine that emulates it.
	//
	// +optional
	platform string,

	// What an earlier training of the same source left (train trained), such as one on another platform:
	// then nothing is trained, and that is judged here. Outside the sandbox its model must be published.
	//
	// +optional
	trained *dagger.Directory,

	// MLflow server to publish to, outside the sandbox.
	//
	// +optional
	mlflowTrackingUri string,

	// Where the model goes: s3://bucket/prefix.
	//
	// +optional
	mlflowArtifactRoot string,

	// S3 endpoint to use instead of AWS.
	//
	// +optional
	mlflowS3EndpointUrl string,

	// Bearer token of the MLflow server.
	//
	// +optional
	mlflowToken *dagger.Secret,

	// User name for the MLflow server, instead of --mlflow-token.
	//
	// +optional
	mlflowTrackingUsername *dagger.Secret,

	// Password of --mlflow-tracking-username.
	//
	// +optional
	mlflowTrackingPassword *dagger.Secret,

	// Access key of AWS: for S3, ECS, and a login to ECR where the image goes there.
	//
	// +optional
	awsAccessKeyId *dagger.Secret,

	// Secret of that access key.
	//
	// +optional
	awsSecretAccessKey *dagger.Secret,

	// Session token of temporary credentials of AWS.
	//
	// +optional
	awsSessionToken *dagger.Secret,

	// AWS region; pipeline.yaml's when empty.
	//
	// +optional
	awsDefaultRegion string,

	// Endpoint to use instead of AWS for the rollout, such as an emulator.
	//
	// +optional
	awsEndpointUrl string,

	// ARN of a role to assume for the rollout with the given credentials; its session is renewed
	// during a long deployment.
	//
	// +optional
	awsRole string,

	// External id of --aws-role.
	//
	// +optional
	awsExternalId string,

	// Token of an OIDC provider, such as the CI system's, to exchange for the credentials of
	// --aws-web-identity-role.
	//
	// +optional
	awsWebIdentityToken *dagger.Secret,

	// ARN of the role that --aws-web-identity-token is for.
	//
	// +optional
	awsWebIdentityRole string,

	// Repository to push the image to, outside the sandbox: docker.io/team/openstack-rca-system.
	//
	// +optional
	imageAddress string,

	// User name for the registry of --image-address. For ECR a login is made from the AWS credentials.
	//
	// +optional
	dockerUsername *dagger.Secret,

	// Password of --docker-username.
	//
	// +optional
	dockerPassword *dagger.Secret,

	// Address of a package index to install from instead of PyPI, with its login if it has
	// one: env://PIP_INDEX_URL. Only installations get it, and no report shows it.
	//
	// +optional
	indexUrl *dagger.Secret,

	// Directory with the ledger of runs, to which this run is added: the result's state is the new
	// one. Without it the ledger is in S3 beside the models, and the sandbox keeps none.
	//
	// +optional
	state *dagger.Directory,

	// Mark the run as an unplanned change that fixes production, for the figures of dora.
	//
	// +optional
	hotfix bool,

	// Pushgateway of Prometheus to send the metrics of a run to: http://host:9091.
	//
	// +optional
	pushgatewayUrl string,

	// Collector of OpenTelemetry to send the metrics of a run to, by OTLP over HTTP:
	// http://host:4318. The environment's own OTEL variables are not read.
	//
	// +optional
	otlpEndpoint string,

	// Login of --pushgateway-url and --otlp-endpoint: name:password, or a bearer token.
	//
	// +optional
	metricsAuth *dagger.Secret,

	// Secrets of the channels of notify in pipeline.yaml, as lines of name=secret: the address of
	// slack, teams and webhook, the token of github and gitlab, name:password of a mail server; and
	// name.key=secret for the key that signs.
	//
	// +optional
	notifySecrets *dagger.Secret,

	// MLflow server for the sandbox to use instead of starting its own, such as
	// tcp://127.0.0.1:5000. Its content stays after the run.
	//
	// +optional
	sandboxMlflow *dagger.Service,

	// S3 API for the sandbox to use instead of starting its own, such as tcp://127.0.0.1:9000.
	//
	// +optional
	sandboxS3 *dagger.Service,
) *OpenstackRca {
	return &OpenstackRca{
		Source: source, Environment: environment, Ref: ref, ReleaseBranches: releaseBranch,
		Commit: commit, CommitTime: commitTime, Event: event, Platform: platform, Trained: trained,
		Target: &Target{
			MlflowTrackingURI: mlflowTrackingUri, MlflowArtifactRoot: mlflowArtifactRoot, MlflowS3EndpointURL: mlflowS3EndpointUrl,
			MlflowToken:            mlflowToken,
			MlflowTrackingUsername: mlflowTrackingUsername, MlflowTrackingPassword: mlflowTrackingPassword,
			AwsAccessKeyID: awsAccessKeyId, AwsSecretAccessKey: awsSecretAccessKey, AwsSessionToken: awsSessionToken,
			AwsDefaultRegion: awsDefaultRegion, AwsEndpointURL: awsEndpointUrl, AwsRole: awsRole, AwsExternalID: awsExternalId,
			AwsWebIdentityToken: awsWebIdentityToken, AwsWebIdentityRole: awsWebIdentityRole,
			ImageAddress: imageAddress, DockerUsername: dockerUsername, DockerPassword: dockerPassword,
		},
		IndexURL: indexUrl, State: state, Hotfix: hotfix,
		PushgatewayURL: pushgatewayUrl, OtlpEndpoint: otlpEndpoint, MetricsAuth: metricsAuth, NotifySecrets: notifySecrets, SandboxMlflow: sandboxMlflow, SandboxS3: sandboxS3,
	}
}
