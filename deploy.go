package main

import (
	"context"
	"fmt"
	"os"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Deploy rolls an image out on ECS and passes only when this digest serves, healthy, for
// the whole bake time. It first creates what the service needs, updates the service once, and
// follows its own deployment to the end. What is already as planned is not written. In the
// sandbox the rollout is only planned. The next run resumes an interrupted one.
//
//	dagger call --environment staging ... deploy --image repository@sha256:... enforce
//
// +cache="session"
func (m *OpenstackRca) Deploy(
	ctx context.Context,

	// The image, by digest: repository@sha256:...
	image string,

	// Why production may take an image that staging has not run, or one that cannot be verified; it
	// is recorded.
	//
	// +optional
	override string,

	// What to do about another version's deployment in progress. When empty, wait for one that an
	// interrupted run left, and refuse any other.
	//
	// +optional
	inFlight InFlight,

	// What to do about a deployment that does not finish in time.
	//
	// +optional
	// +default="rollback"
	onTimeout OnTimeout,

	// Keep following a deployment that pauses, until approve or reject is called, instead of
	// returning.
	//
	// +optional
	awaitApproval bool,

	// How long to wait for another run's lock, such as 5m, and at most 24h; 0s for not at all. When
	// empty, until the lease of an interrupted run expires.
	//
	// +optional
	lockWait string,

	// Public keys that are trusted, in PEM. With them, only an image that one of them attested is
	// deployed. Production demands them.
	//
	// +optional
	verifyKey *dagger.File,

	// How old the verdict on the image may be.
	//
	// +optional
	// +default="168h"
	verifyMaxAge string,

	// How old the advisories that it rests on may be.
	//
	// +optional
	// +default="168h"
	verifyMaxDataAge string,

	// Other environments whose verdict counts, such as staging.
	//
	// +optional
	verifyFrom []string,

	// Statements that the image must have; all but sbom when empty.
	//
	// +optional
	verifyRequire []Statement,

	// Rules for vulnerabilities: a file with severity, unfixed, grace and allow of security, as in
	// pipeline.yaml; their defaults when not given.
	//
	// +optional
	verifyRules *dagger.File,

	// Names that are trusted to sign without a key.
	//
	// +optional
	verifyIdentity []string,

	// Address of the identity provider that must have issued the names of --verify-identity, such as
	// https://token.actions.githubusercontent.com.
	//
	// +optional
	verifyIssuer string,

	// Trusted root of the services that made the certificate and logged it.
	//
	// +optional
	verifyRoot *dagger.File,
) (*Rollout, error) {
	call := m.call(ctx)
	call.deployed = image
	call.demand(verifyKey, verifyRules, verifyRoot, pipeline.VerifyOptions{
		MaxAge: verifyMaxAge, MaxDataAge: verifyMaxDataAge, From: verifyFrom, Require: texts(verifyRequire),
		Identities: verifyIdentity, Issuer: verifyIssuer,
	})
	call.rollout = pipeline.RolloutOptions{
		Override: override, InFlight: pipeline.InFlight(inFlight), OnTimeout: pipeline.OnTimeout(onTimeout),
		AwaitApproval: awaitApproval, LockWait: lockWait,
	}
	result, err := call.run(verdict.Deploy)
	if err != nil {
		return nil, err
	}
	return result.rollout(), nil
}

// Status shows what runs in the environment, a deployment in progress, who holds the lock, and
// earlier deployments. It changes nothing.
//
// +cache="session"
func (m *OpenstackRca) Status(ctx context.Context) (*Rollout, error) {
	return m.operate(ctx, pipeline.Status, pipeline.RolloutOptions{})
}

// Rollback restores the last good release. A deployment in progress is stopped and rolled
// back; without one, the last good task definition is deployed with the settings its target
// groups had, and followed like any deployment.
//
// +cache="session"
func (m *OpenstackRca) Rollback(
	ctx context.Context,

	// How long to wait for another run's lock, such as 5m, and at most 24h; 0s for not at all. When
	// empty, until the lease of an interrupted run expires.
	//
	// +optional
	lockWait string,
) (*Rollout, error) {
	return m.operate(ctx, pipeline.Rollback, pipeline.RolloutOptions{LockWait: lockWait})
}

// Approve continues a paused deployment, and follows it to its end or the next pause.
//
// +cache="session"
func (m *OpenstackRca) Approve(
	ctx context.Context,

	// How long to wait for another run's lock, such as 5m, and at most 24h; 0s for not at all. When
	// empty, until the lease of an interrupted run expires.
	//
	// +optional
	lockWait string,
) (*Rollout, error) {
	return m.operate(ctx, pipeline.Approve, pipeline.RolloutOptions{LockWait: lockWait})
}

// Reject rolls back a paused deployment, and passes when the old version serves.
//
// +cache="session"
func (m *OpenstackRca) Reject(
	ctx context.Context,

	// How long to wait for another run's lock, such as 5m, and at most 24h; 0s for not at all. When
	// empty, until the lease of an interrupted run expires.
	//
	// +optional
	lockWait string,
) (*Rollout, error) {
	return m.operate(ctx, pipeline.Reject, pipeline.RolloutOptions{LockWait: lockWait})
}

// Wait follows the deployment in progress to its end, and judges it as deploy would.
//
// +cache="session"
func (m *OpenstackRca) Wait(
	ctx context.Context,

	// Keep following a deployment that pauses, until approve or reject is called, instead of
	// returning.
	//
	// +optional
	awaitApproval bool,

	// How long to wait for another run's lock, such as 5m, and at most 24h; 0s for not at all. When
	// empty, until the lease of an interrupted run expires.
	//
	// +optional
	lockWait string,
) (*Rollout, error) {
	return m.operate(ctx, pipeline.Wait, pipeline.RolloutOptions{AwaitApproval: awaitApproval, LockWait: lockWait})
}

// Prune deregisters old task definitions of the service. It keeps those that run, that a
// deployment uses, and that a rollback would restore.
//
// +cache="session"
func (m *OpenstackRca) Prune(
	ctx context.Context,

	// How many of the newest to keep, at least 1.
	//
	// +optional
	// +default=10
	keep int,

	// How long to wait for another run's lock, such as 5m, and at most 24h; 0s for not at all. When
	// empty, until the lease of an interrupted run expires.
	//
	// +optional
	lockWait string,
) (*Rollout, error) {
	return m.operate(ctx, pipeline.Prune, pipeline.RolloutOptions{Keep: keep, LockWait: lockWait})
}

// Destroy deletes everything that was created for the service in this environment, and
// nothing else. It requires the service's name.
//
// +cache="session"
func (m *OpenstackRca) Destroy(
	ctx context.Context,

	// The service's name, as status shows it.
	confirm string,

	// Delete the logs, too.
	//
	// +optional
	withLogs bool,

	// How long to wait for another run's lock, such as 5m, and at most 24h; 0s for not at all. When
	// empty, until the lease of an interrupted run expires.
	//
	// +optional
	lockWait string,
) (*Rollout, error) {
	return m.operate(ctx, pipeline.Destroy, pipeline.RolloutOptions{Confirm: confirm, WithLogs: withLogs, LockWait: lockWait})
}

// Import describes an existing ECS service as the pipeline.yaml that adopts it, and checks that a
// plan for the running image would then change nothing. The report has the file. It changes nothing.
//
//	dagger call --environment production ... import --cluster shop --service web report file --path pipeline.yaml
//
// +cache="session"
func (m *OpenstackRca) Import(
	ctx context.Context,

	// The cluster of the service.
	cluster string,

	// The name of the service.
	service string,

	// The region; rollout.region when empty.
	//
	// +optional
	region string,

	// The container that runs the application; found when empty.
	//
	// +optional
	container string,

	// Where the lock and the record of deployments will be kept, s3://bucket/prefix.
	//
	// +optional
	journal string,
) (*Rollout, error) {
	from := pipeline.ImportSource{Cluster: cluster, Service: service, Region: region, Container: container, Journal: journal}
	return m.operate(ctx, pipeline.Import, pipeline.RolloutOptions{From: from})
}

// operate runs an operation on the service and returns its report.
func (m *OpenstackRca) operate(ctx context.Context, operation string, options pipeline.RolloutOptions) (*Rollout, error) {
	call := m.call(ctx)
	call.rollout = options
	backend, err := call.backend()
	if err != nil {
		return nil, err
	}
	defer call.close()
	result, err := call.report(pipeline.Operate(ctx, backend, call.options(), operation))
	if err != nil {
		return nil, err
	}
	return result.rollout(), nil
}

// rolloutOptions are the call's own with the account of the module.
func (c *call) rolloutOptions() pipeline.RolloutOptions {
	options, to := c.rollout, c.module.Target
	options.Endpoint, options.Role, options.ExternalID = to.AwsEndpointURL, to.AwsRole, to.AwsExternalID
	options.WebIdentity, options.WebIdentityRole = c.secret("AWS_WEB_IDENTITY_TOKEN", to.AwsWebIdentityToken), to.AwsWebIdentityRole
	options.Progress = func(line string) { fmt.Fprintln(os.Stderr, line) }
	return options
}

func (r *results) rollout() *Rollout {
	return &Rollout{Report: r.report, State: r.state, Summary: r.summary, Json: r.json, Failure: r.failure}
}

// Rollout is the verdict on a rollout, or its plan.
type Rollout struct {
	// The plan, what was rendered, and the verdict.
	Report *dagger.Directory
	// The ledger of --state with this call; empty without --state.
	State *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	Json string
	// +private
	Failure string
}

// Enforce fails unless the rollout, or in the sandbox its plan, passed.
func (r *Rollout) Enforce() error { return enforce(r.Failure) }
