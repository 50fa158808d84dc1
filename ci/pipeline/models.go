package pipeline

import (
	"context"
	"os"

	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Models lists the published versions of the environment. It writes nothing.
func Models(ctx context.Context, backend Backend, opts Options, limit int) *verdict.Run {
	return registry(ctx, backend, opts, policy.Action{Stage: verdict.Publish, Reads: true},
		func(in publish.Input) verdict.Stage { return publish.List(ctx, in, limit).Stage })
}

// ModelsJSON returns the list of a run of Models as JSON, or an empty string. Secrets are masked.
func ModelsJSON(run *verdict.Run) string {
	for _, stage := range run.Stages {
		for _, file := range stage.Files {
			if file.Path == publish.ListFile {
				return string(file.Content)
			}
		}
	}
	return ""
}

// moving changes published versions that a run recorded after passing the gates.
var moving = policy.Action{Stage: verdict.Publish, Recorded: true}

// Promote points an alias at a published version of the environment.
func Promote(ctx context.Context, backend Backend, opts Options, move publish.Move) *verdict.Run {
	return registry(ctx, backend, opts, moving, func(in publish.Input) verdict.Stage { return publish.Promote(ctx, in, move).Stage })
}

// RollbackModel points an alias back at the version it came from.
func RollbackModel(ctx context.Context, backend Backend, opts Options, move publish.Move) *verdict.Run {
	return registry(ctx, backend, opts, moving, func(in publish.Input) verdict.Stage { return publish.Rollback(ctx, in, move).Stage })
}

// CleanClaims removes what interrupted publications left behind.
func CleanClaims(ctx context.Context, backend Backend, opts Options, numbers []int) *verdict.Run {
	return registry(ctx, backend, opts, moving, func(in publish.Input) verdict.Stage { return publish.Clean(ctx, in, numbers).Stage })
}

// registry runs an operation on published versions as a run of its own.
func registry(
	ctx context.Context, backend Backend, opts Options, action policy.Action, run func(publish.Input) verdict.Stage,
) *verdict.Run {
	s := prepare(ctx, backend, opts)
	return s.operate(action, func(permit policy.Permit) verdict.Stage {
		if s.opts.sandbox() {
			if s.servers.mlflow, s.servers.s3 = opts.Servers.MLflow, opts.Servers.S3; s.servers.mlflow == nil || s.servers.s3 == nil {
				return failed(verdict.Publish, verdict.Problemf(publish.CodeInput, "the sandbox's own servers stop with the run that started them: "+
					"give --sandbox-mlflow and --sandbox-s3 (of the Dagger module), or another --environment"))
			}
		}
		target, problem := s.target(ctx, permit)
		if problem != nil {
			return failed(verdict.Publish, problem)
		}
		return run(publish.Input{
			Config: s.cfg, Environment: s.opts.Environment, Commit: s.opts.Commit, Tree: s.run.Tree, ModuleVersion: s.run.Module,
			Target: target, WorkDir: os.TempDir(),
		})
	})
}
