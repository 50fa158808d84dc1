package assembly

import (
	"context"
	"errors"
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// servingEnvironment determines the environment of the application, which is that of the image,
// and builds the project. Warnings are added to the stage.
func servingEnvironment(
	ctx context.Context, r runner.Runner, request pipeline.ImageRequest, stage *verdict.Stage,
) (*pyenv.Project, *pyenv.Built, *verdict.Problem) {
	c := request.Config
	wanted := pyenv.Request{
		Stage: verdict.Image, Requirements: c.Image.Requirements, Python: c.Python, Exclude: c.Exclude, System: c.SystemPackages,
	}
	project, err := pyenv.Detect(ctx, request.Source, wanted)
	var invalid *pyenv.InvalidError
	if errors.As(err, &invalid) {
		return nil, nil, invalid.Problem(image.CodeRequirementsMissing)
	}
	if err != nil {
		return nil, nil, verdict.Problemf(CodeServeFailed, "%v", err)
	}
	if project.Kind == pyenv.None {
		return nil, nil, verdict.Problemf(image.CodeRequirementsMissing, "none of %s is in the source", pyenv.LookedFor(verdict.Image))
	}
	built, err := project.Build(ctx, r, request.Source, pyenv.BuildRequest{
		Mode: pyenv.BuildMode(c.Test.Build), Exclude: c.Exclude, Vars: c.Image.Vars,
	})
	if err != nil {
		return nil, nil, verdict.Problemf(CodeServeFailed, "%v", err)
	}
	if built.Failure != nil {
		return nil, nil, verdict.Problemf(pyenv.For(verdict.Image, pyenv.BuildFailed), "%v", built.Failure)
	}
	for _, found := range slices.Concat(project.Findings, built.Findings) {
		stage.WarnNext(found.Code, found.Next, "%s", found.Cause)
	}
	stage.Add("installed from", project.Summary())
	return project, built, nil
}

// notRun is the problem of a step in the serving environment that could not run for a reason known here, nil otherwise.
func notRun(err error, project *pyenv.Project) *verdict.Problem {
	if problem := runner.Problem(err); problem != nil {
		return problem
	}
	var environment *runner.EnvironmentError
	if !errors.As(err, &environment) {
		return nil
	}
	problem := verdict.Problemf(image.CodeEnvFailed, "%v", environment)
	problem.Next, problem.Details = project.InstallNext(environment.Output), safetext.LastLines(environment.Output, 20)
	return problem
}
