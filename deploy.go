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
// the whole bake time. It makes what the service needs first, changes the service once,
// and follows its own deployment to the end; what is already so is not written. In the
// sandbox the rollout is planned. A run that was lost is gone on with by the next.
//
//	dagger call --environment staging ... deploy --image repository@sha256:... enforce
//
// +cache="session"
func (m *OpenstackRca) Deploy(
	ctx context.Context,

	// The image, by digest: repository@sha256:...
	image string,

	// Why production is to take an image that staging has not run; it is recorded.
	//
	// +optional
	override string,

	// What to do with another version's deployment under way: refuse, wait, rollback or
	// supersede. When empty, one that a lost run left is waited for, and any other refused.
	//
	// +optional
	inFlight string,

	// What to do with a deployment that does not end in time: rollback or leave.
	//
	// +optional
	// +default="rollback"
	onTimeout string,

	// Wait at a pause until somebody else approves or rejects, instead of ending there.
	//
	// +optional
	awaitApproval bool,

	// How long to wait for another run's lock, such as 5m; 0s for not at all. When empty, as
	// long as the lock of a lost run lasts.
	//
	// +optional
	lockWait string,
) (*Rollout, error) {
	call := m.call(ctx)
	call.deployed = image
	call.rollout = pipeline.RolloutOptions{Override: override, InFlight: inFlight, OnTimeout: onTimeout, AwaitApproval: awaitApproval, LockWait: lockWait}
	result, err := call.run(verdict.Deploy)
	if err != nil {
		return nil, err
	}
	return result.rollout(), nil
}

// Status says what runs in the environment, what is under way, who deploys, and what was
// deployed before. It changes nothing.
//
// +cache="session"
func (m *OpenstackRca) Status(ctx context.Context) (*Rollout, error) {
	return m.operate(ctx, pipeline.Status, pipeline.RolloutOptions{})
}

// Rollback puts the last good release back. A deployment under way is stopped and rolled
// back; without one, the last good task definition is deployed with the target groups'
// settings it had, and followed like any deployment.
//
// +cache="session"
func (m *OpenstackRca) Rollback(
	ctx context.Context,

	// How long to wait for another run's lock, such as 5m; 0s for not at all.
	//
	// +optional
	lockWait string,
) (*Rollout, error) {
	return m.operate(ctx, pipeline.Rollback, pipeline.RolloutOptions{LockWait: lockWait})
}

// Approve lets a deployment that stands at a pause go on, and follows it to its end or to
// the next pause.
//
// +cache="session"
func (m *OpenstackRca) Approve(ctx context.Context) (*Rollout, error) {
	return m.operate(ctx, pipeline.Approve, pipeline.RolloutOptions{})
}

// Reject rolls back a deployment that stands at a pause, and passes when the old version serves.
//
// +cache="session"
func (m *OpenstackRca) Reject(ctx context.Context) (*Rollout, error) {
	return m.operate(ctx, pipeline.Reject, pipeline.RolloutOptions{})
}

// Wait follows the deployment under way to its end, and judges it as deploy would.
//
// +cache="session"
func (m *OpenstackRca) Wait(
	ctx context.Context,

	// Wait at a pause until somebody else approves or rejects, instead of ending there.
	//
	// +optional
	awaitApproval bool,
) (*Rollout, error) {
	return m.operate(ctx, pipeline.Wait, pipeline.RolloutOptions{AwaitApproval: awaitApproval})
}

// Prune deregisters old task definitions of the service. Those stay that run, that a
// deployment uses, and that a rollback would go back to.
//
// +cache="session"
func (m *OpenstackRca) Prune(
	ctx context.Context,

	// How many of the newest to keep.
	//
	// +optional
	// +default=10
	keep int,
) (*Rollout, error) {
	return m.operate(ctx, pipeline.Prune, pipeline.RolloutOptions{Keep: keep})
}

// Destroy deletes everything that was made for the service in this environment, and
// nothing else. It demands the service's name.
//
// +cache="session"
func (m *OpenstackRca) Destroy(
	ctx context.Context,

	// The service's name, as status shows it.
	confirm string,

	// Delete the logs too.
	//
	// +optional
	withLogs bool,
) (*Rollout, error) {
	return m.operate(ctx, pipeline.Destroy, pipeline.RolloutOptions{Confirm: confirm, WithLogs: withLogs})
}

// operate does something to the service and takes its report back.
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
	return &Rollout{Report: r.report, Summary: r.summary, Json: r.json, Failure: r.failure}
}

// Rollout is the verdict on a rollout, or its plan.
type Rollout struct {
	// The plan, what was rendered, and the verdict.
	Report *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	Json string
	// +private
	Failure string
}

// Enforce fails unless the rollout, or in the sandbox its plan, is good.
func (r *Rollout) Enforce() error { return enforce(r.Failure) }
