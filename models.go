package main

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Models lists the published versions of --environment, the newest first: state,
// metrics, commit, and the aliases that point at them. Claims that seem
// abandoned are warnings. It writes nothing; list is for machines.
//
// +cache="session"
func (m *OpenstackRca) Models(
	ctx context.Context,

	// How many numbers to list, the highest first; 50 when 0.
	//
	// +optional
	limit int,
) (*Models, error) {
	list := ""
	run, err := m.registry(ctx, func(backend pipeline.Backend, opts pipeline.Options) *verdict.Run {
		run := pipeline.Models(ctx, backend, opts, limit)
		list = pipeline.ModelsJSON(run)
		return run
	})
	if err != nil {
		return nil, err
	}
	return &Models{Report: run.Report, Summary: run.Summary, Json: run.Json, List: list, Failure: run.Failure}, nil
}

// Models are the published versions of an environment.
type Models struct {
	// The verdict, and publish/models.json.
	Report *dagger.Directory
	// The versions as a table in Markdown.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	Json string
	// The versions for machines: schema, registered_model, versions. Empty when they could not be listed.
	List string
	// +private
	Failure string
}

// Enforce fails unless everything could be read.
func (m *Models) Enforce() error { return enforce(m.Failure) }

// Promote points an alias, and champion, at a published version of --environment: the one
// that the environment's own alias points at, or --number. The version does not change
// and nothing is uploaded. It is idempotent.
//
//	dagger call --environment staging ... promote enforce
//
// +cache="session"
func (m *OpenstackRca) Promote(
	ctx context.Context,

	// Alias to point at the version.
	//
	// +optional
	// +default="production"
	alias string,

	// Number of the version, as models lists it.
	//
	// +optional
	number int,

	// Who requests it, for the history.
	//
	// +optional
	by string,
) (*Run, error) {
	return m.registry(ctx, func(backend pipeline.Backend, opts pipeline.Options) *verdict.Run {
		return pipeline.Promote(ctx, backend, opts, publish.Move{Alias: alias, Number: number, By: by})
	})
}

// RollbackModel points an alias back at the version it came from, or at --number. It is
// idempotent.
//
// +cache="session"
func (m *OpenstackRca) RollbackModel(
	ctx context.Context,

	// Alias to move; the environment's own when empty.
	//
	// +optional
	alias string,

	// Number of the version, as models lists it.
	//
	// +optional
	number int,

	// Who requests it, for the history.
	//
	// +optional
	by string,
) (*Run, error) {
	return m.registry(ctx, func(backend pipeline.Backend, opts pipeline.Options) *verdict.Run {
		return pipeline.RollbackModel(ctx, backend, opts, publish.Move{Alias: alias, Number: number, By: by})
	})
}

// CleanClaims removes what interrupted publications left: uncommitted registry versions, their
// runs, files and unfinished uploads. It keeps what is committed.
//
// +cache="session"
func (m *OpenstackRca) CleanClaims(
	ctx context.Context,

	// Numbers of claims to give up, whatever their age. Without any: those older than an hour.
	//
	// +optional
	number []int,
) (*Run, error) {
	return m.registry(ctx, func(backend pipeline.Backend, opts pipeline.Options) *verdict.Run {
		return pipeline.CleanClaims(ctx, backend, opts, number)
	})
}

// registry runs an operation on published versions and returns its report.
func (m *OpenstackRca) registry(ctx context.Context, operate func(pipeline.Backend, pipeline.Options) *verdict.Run) (*Run, error) {
	call := m.call(ctx)
	backend, err := call.backend()
	if err != nil {
		return nil, err
	}
	defer call.close()
	result, err := call.report(operate(backend, call.options()))
	if err != nil {
		return nil, err
	}
	return result.run(), nil
}
