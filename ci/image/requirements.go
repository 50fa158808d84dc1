package image

import (
	"context"
	"errors"
	"slices"
	"strings"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// serving describes the application's packages, and what the project's build adds to its source.
type serving struct {
	project *pyenv.Project
	built   *pyenv.Built
	env     runner.Environment
}

// findServing detects the requirements for serving and builds the project.
func (b builder) findServing(ctx context.Context) (*serving, *verdict.Problem) {
	source, c := b.engine.Source(b.in.Source), b.in.Config
	project, err := pyenv.Detect(ctx, source, pyenv.Request{
		Stage: verdict.Image, Requirements: c.Image.Requirements, Python: c.Python, Exclude: c.Exclude, System: c.SystemPackages,
	})
	var invalid *pyenv.InvalidError
	switch {
	case errors.As(err, &invalid):
		return nil, invalid.Problem(CodeRequirementsMissing)
	case err != nil:
		return nil, unreadable(ctx, "read the source", err)
	case project.Kind == pyenv.None:
		return nil, verdict.Problemf(CodeRequirementsMissing, "none of %s is in the source", pyenv.LookedFor(verdict.Image))
	}
	built, err := project.Build(ctx, b.engine, source, pyenv.BuildRequest{
		Mode: pyenv.BuildMode(c.Test.Build), Exclude: c.Exclude, Vars: c.Image.Vars,
	})
	if err != nil {
		return nil, b.engineProblem(ctx, CodeEngineFailed, "build the project", err)
	}
	if built.Failure != nil {
		return nil, verdict.Problemf(pyenv.For(verdict.Image, pyenv.BuildFailed), "%v", built.Failure)
	}
	if !project.Locked {
		b.stage.WarnNext(WarnUnlocked, project.LockNext(), "%s without hashes", strings.Join(project.From, ", "))
	}
	for _, found := range slices.Concat(project.Findings, built.Findings) {
		b.stage.WarnNext(found.Code, found.Next, "%s", found.Cause)
	}
	b.project = project
	return &serving{project: project, built: built, env: project.Environment(b.engine, source)}, nil
}

// over adds the results of the project's build to the application's tree.
func (b builder) over(source *dagger.Directory, built *pyenv.Built) (*dagger.Directory, error) {
	if len(built.Mounts) == 0 {
		return source, nil
	}
	return b.engine.Directory(built.Over(b.engine.Source(source)))
}

// searchPath is the value of a search path: directories of the application, then the old value.
func searchPath(dirs []string, then string) string { return runner.Search(AppDir, dirs, then) }

func unreadable(ctx context.Context, what string, err error) *verdict.Problem {
	if ctx.Err() != nil {
		return cancelled(ctx, what)
	}
	return verdict.Problemf(CodeSourceUnreadable, "%s: %v", what, err)
}

func cancelled(ctx context.Context, what string) *verdict.Problem {
	return verdict.Problemf(CodeCancelled, "%s was cancelled: %v", what, context.Cause(ctx))
}
