package main

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

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
	return &Rollout{Report: result.report, Summary: result.summary, Json: result.json, Failure: result.failure}, nil
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
