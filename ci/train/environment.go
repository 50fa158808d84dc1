package train

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/refused"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// environment determines the training's environment and builds the project, as for the tests.
func (s *session) environment(ctx context.Context) *verdict.Problem {
	project, err := pyenv.Detect(ctx, s.in.Source, pyenv.Request{
		Stage: verdict.Train, Requirements: s.cfg.Requirements, Python: s.in.Python, Exclude: s.in.Config.Exclude,
		System: s.in.Config.SystemPackages,
	})
	var invalid *pyenv.InvalidError
	switch {
	case errors.As(err, &invalid):
		return invalid.Problem(EnvMissing)
	case err != nil:
		return stepProblem(ctx, "read the source", err)
	case project.Kind == pyenv.None:
		return verdict.Problemf(EnvMissing, "none of %s is in the source", pyenv.LookedFor(verdict.Train))
	}
	s.built, err = project.Build(ctx, s.runner, s.in.Source, pyenv.BuildRequest{
		Mode: pyenv.BuildMode(s.in.Config.Test.Build), Exclude: s.in.Config.Exclude, Vars: s.cfg.Vars,
	})
	if err != nil {
		return stepProblem(ctx, "building the project", err)
	}
	if s.built.Failure != nil {
		return verdict.Problemf(pyenv.For(verdict.Train, pyenv.BuildFailed), "%v", s.built.Failure)
	}
	s.project, s.env = project, project.Environment(s.runner, s.in.Source)
	if !project.Locked {
		s.stage.WarnNext(Unlocked, project.LockNext(), "the packages of %s are installed without hashes", strings.Join(project.From, ", "))
	}
	for _, found := range slices.Concat(project.Findings, s.built.Findings) {
		s.stage.WarnNext(found.Code, found.Next, "%s", found.Cause)
	}
	return nil
}

// notRun explains why a step in the training's own environment could not run.
func notRun(ctx context.Context, project *pyenv.Project, err error) *verdict.Problem {
	problem := stepProblem(ctx, "training", err)
	if problem.Code == EnvFailed {
		problem.Next = project.InstallNext(strings.Join(problem.Details, "\n"))
	}
	return problem
}

// stepProblem explains why a step could not run at all.
func stepProblem(ctx context.Context, what string, err error) *verdict.Problem {
	var environment *runner.EnvironmentError
	switch {
	case ctx.Err() != nil:
		return verdict.Problemf(Cancelled, "%s was cancelled: %v", what, context.Cause(ctx))
	case runner.Problem(err) != nil:
		return runner.Problem(err)
	case errors.As(err, &environment):
		problem := verdict.Problemf(EnvFailed, "%v", environment)
		problem.Next, problem.Details = pyenv.PythonNext(environment.Output), safetext.LastLines(environment.Output, 20)
		return problem
	}
	return verdict.Problemf(RunnerFailed, "%s: %v", what, err)
}

// ended explains how a failed command ended.
func ended(result *runner.Result, limit fmt.Stringer) string {
	switch {
	case result.TimedOut:
		return fmt.Sprintf("was ended after its time limit of %s", limit)
	case result.ExitCode == 137:
		return "was killed by signal 9, most often because memory ran out"
	case result.ExitCode > 128 && result.ExitCode < 160:
		return fmt.Sprintf("was ended by signal %d", result.ExitCode-128)
	}
	return fmt.Sprintf("ended with exit code %d", result.ExitCode)
}

// said returns the end of what a command printed, with errors last.
func said(result *runner.Result) []string {
	if errs := safetext.LastLines(result.Stderr, 15); len(errs) > 0 {
		return append(safetext.LastLines(result.Stdout, 10), errs...)
	}
	return safetext.LastLines(result.Stdout, 20)
}

// reason returns the line of a command's output that most likely explains its failure.
func reason(result *runner.Result) string {
	lines := slices.DeleteFunc(append(safetext.LastLines(result.Stdout, 100), safetext.LastLines(result.Stderr, 100)...), refused.Own)
	for i := len(lines) - 1; i >= 0; i-- {
		line := strings.TrimSpace(lines[i])
		lower := strings.ToLower(line)
		if strings.HasPrefix(lower, "error:") || strings.Contains(lower, "error: ") || strings.Contains(lower, "exception") {
			return clip(line, 300)
		}
	}
	if len(lines) == 0 {
		return "it printed nothing"
	}
	return clip(strings.TrimSpace(lines[len(lines)-1]), 300)
}

// clip shortens text to at most n bytes, at a rune's border.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n-3], "") + "..."
}
