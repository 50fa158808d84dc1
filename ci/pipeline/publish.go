package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func (p *progress) publish(servers *servers) verdict.Stage {
	if m := p.outcome.Model; m != nil && m.Unseen != "" {
		stage := verdict.Stage{Name: verdict.Publish}
		return *stage.Judge(verdict.Problemf(CodeUnseen, "%s is a file of the format %s, and nothing has looked into it", m.File, m.Unseen))
	}
	target := p.opts.Target
	if p.opts.Environment == "sandbox" {
		var problem *verdict.Problem
		if target, problem = servers.target(p.ctx); problem != nil {
			stage := verdict.Stage{Name: verdict.Publish}
			return *stage.Judge(problem)
		}
	}
	result := publish.Run(p.ctx, publish.Input{
		Config: p.cfg, Model: p.outcome.Model, Environment: p.opts.Environment,
		Commit: p.opts.Commit, Tree: p.run.Tree, ModuleVersion: p.run.Module, Target: target,
		Check: p.loadPublished, WorkDir: p.backend.WorkDir,
	})
	p.outcome.Version = result.Version
	if result.Version != nil {
		p.run.ModelVersion = fmt.Sprint(result.Version.Number)
	}
	return result.Stage
}

// loadPublished loads a model as the registry handed it out, in a step that sees no
// credentials and no server.
func (p *progress) loadPublished(ctx context.Context, version, dir string) publish.Checked {
	if p.backend.Import == nil {
		return publish.Checked{Warning: verdict.Problemf(publish.CodeNotLoaded, "this backend cannot take files into a step")}
	}
	notRun := func(err error) publish.Checked {
		var found *verdict.Problem
		if errors.As(err, &found) {
			problem := verdict.Problemf(publish.CodeVerifyNotRun, "%s: %s", found.Code.Name, found.Cause)
			problem.Details = found.Details
			return publish.Checked{Problem: problem}
		}
		return publish.Checked{Problem: verdict.Problemf(publish.CodeVerifyNotRun, "%v", err)}
	}
	files, err := p.backend.Import(dir)
	if err != nil {
		return notRun(err)
	}
	// The name of a temporary directory must not keep the same step from the cache; its
	// version and content do.
	found, err := train.Rescore(ctx, p.backend.Runner, p.trainInput(), p.outcome.Model, files, version)
	switch {
	case err != nil:
		return notRun(err)
	case !found.Loaded:
		return publish.Checked{Warning: verdict.Problemf(publish.CodeNotLoaded, "%s", found.Outcome)}
	case !found.OK:
		code := publish.CodeLoadFailed
		if found.TimedOut {
			code = publish.CodeLoadTimeout
		}
		problem := verdict.Problemf(code, "%s: %s", version, found.Outcome)
		problem.Details = found.Details
		return publish.Checked{Problem: problem}
	}
	return publish.Checked{Found: found.Outcome}
}

// trainInput is the train stage's input.
func (p *progress) trainInput() train.Input {
	return train.Input{
		Config: p.cfg, Source: p.backend.Source, Data: p.opts.Data, Python: p.opts.Python,
		Params: p.args.params, Threads: p.opts.Train.Threads,
		WorkDir: filepath.Join(p.backend.WorkDir, "model"),
	}
}

// Models lists what is published in the environment; it writes nothing.
func Models(ctx context.Context, backend Backend, opts Options, limit int) *verdict.Run {
	return registry(ctx, backend, opts, false, func(in publish.Input) verdict.Stage { return publish.List(ctx, in, limit).Stage })
}

// ModelsJSON is the list of a run of Models for machines; empty when there is none. What
// hides secrets in reports has been applied to it.
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

// Promote points an alias at a published version of the environment.
func Promote(ctx context.Context, backend Backend, opts Options, move publish.Move) *verdict.Run {
	return registry(ctx, backend, opts, true, func(in publish.Input) verdict.Stage { return publish.Promote(ctx, in, move).Stage })
}

// RollbackModel points an alias back at the version it came from.
func RollbackModel(ctx context.Context, backend Backend, opts Options, move publish.Move) *verdict.Run {
	return registry(ctx, backend, opts, true, func(in publish.Input) verdict.Stage { return publish.Rollback(ctx, in, move).Stage })
}

// CleanClaims removes what publications that died have left.
func CleanClaims(ctx context.Context, backend Backend, opts Options, numbers []int) *verdict.Run {
	return registry(ctx, backend, opts, true, func(in publish.Input) verdict.Stage { return publish.Clean(ctx, in, numbers).Stage })
}

// registry runs an operation on published versions and makes a run of it. What writes
// needs the policy's leave, as publishing does.
func registry(ctx context.Context, backend Backend, opts Options, writes bool, operate func(publish.Input) verdict.Stage) *verdict.Run {
	run, cfg, decisions := Prepare(ctx, backend, opts)
	defer run.Judge()
	if run.Preflight != nil {
		run.Stages = append(run.Stages, blocked(verdict.Publish, verdict.Preflight))
		return run
	}
	for _, decision := range decisions {
		if writes && decision.Stage == verdict.Publish && !decision.Run {
			run.Stages = append(run.Stages, decision.NotRun())
			return run
		}
	}
	target := opts.Target
	if run.Environment == "sandbox" {
		servers := &servers{mlflow: opts.Servers.MLflow, s3: opts.Servers.S3}
		stage := &verdict.Stage{Name: verdict.Publish}
		if servers.mlflow == nil || servers.s3 == nil {
			run.Stages = append(run.Stages, *stage.Judge(verdict.Problemf(publish.CodeInput,
				"the sandbox's own servers end with the run that started them: give --sandbox-mlflow and --sandbox-s3 (of the Dagger module), or another --environment")))
			return run
		}
		var problem *verdict.Problem
		if target, problem = servers.target(ctx); problem != nil {
			run.Stages = append(run.Stages, *stage.Judge(problem))
			return run
		}
	}
	run.Stages = append(run.Stages, operate(publish.Input{
		Config: cfg, Environment: run.Environment, Commit: opts.Commit, Tree: run.Tree, ModuleVersion: run.Module, Target: target, WorkDir: os.TempDir(),
	}))
	run.Seconds = run.Stages[0].Seconds
	return run
}
