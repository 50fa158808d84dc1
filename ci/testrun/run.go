package testrun

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Run runs the tests and judges them. It always returns a result; all problems are in the verdict of its stage. It changes
// nothing outside of in.Scratch.
func Run(ctx context.Context, r runner.Runner, in Input) *Result {
	started := time.Now()
	result := &Result{Stage: verdict.Stage{Name: verdict.Test}}
	run(ctx, r, in, result)
	result.Stage.Judge(result.problems...)
	result.Stage.Took(started)
	return result
}

// run goes from the plan to what the runs left, and judges that.
func run(ctx context.Context, r runner.Runner, in Input, result *Result) {
	p := prepare(ctx, r, in, result)
	if p == nil {
		return
	}
	called := time.Now()
	found, err := execute(ctx, r, p, result)
	if err != nil {
		result.unable(ctx, p.project, err)
		return
	}
	judgeRun(result, p, found)
	notCounted := judgeCoverage(result, p, found)
	report(result, p, found, notCounted)
	// All of it or nothing.
	last := slices.MaxFunc(found.parts, func(a, b *part) int { return a.ran.Started.Compare(b.ran.Started) })
	result.Stage.Reuse(last.ran.Started, called)
}

// fail adds a problem.
func (r *Result) fail(code verdict.Code, format string, args ...any) {
	_ = r.problem(code, format, args...)
}

// problem adds a problem and returns it, for its details.
func (r *Result) problem(code verdict.Code, format string, args ...any) *verdict.Problem {
	p := verdict.Problemf(code, format, args...)
	r.problems = append(r.problems, p)
	return p
}

// attach adds a local file or directory to the report.
func (r *Result) attach(name, local string) {
	r.Stage.Files = append(r.Stage.Files, verdict.ReportFile{Path: path.Join(verdict.Test, name), Local: local})
}

// prepare checks the source and plans the step. It returns nil if there is a problem, which is then in the result.
func prepare(ctx context.Context, r runner.Runner, in Input, result *Result) *plan {
	if in.Source == nil {
		result.fail(SourceEmpty, "no source was given")
		return nil
	}
	names, err := in.Source.List(ctx)
	if err != nil {
		result.unable(ctx, nil, fmt.Errorf("list source: %w", err))
		return nil
	}
	if len(names) == 0 {
		result.fail(SourceEmpty, "the source holds no files")
		return nil
	}
	if !slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, ".py") }) {
		result.fail(SourceNotPython, "none of the source's %d files ends in .py (the first is %s)", len(names), names[0])
		return nil
	}
	if wrong := in.check(); len(wrong) > 0 {
		for _, cause := range wrong {
			result.fail(ArgumentInvalid, "%s", cause)
		}
		return nil
	}
	if in.Shards > 1 {
		if in.durations, err = readDurations(ctx, in); err != nil {
			result.Stage.Warn(DurationsUnused, "%v", err)
		}
	}
	p, err := newPlan(ctx, r, in)
	if err != nil {
		result.unable(ctx, nil, err)
		return nil
	}
	if p.nothing {
		result.fail(NoTests, "no file belongs to the category %s", in.Category)
		return nil
	}
	for _, f := range slices.Concat(p.project.Findings, p.built.Findings) {
		result.Stage.WarnNext(f.Code, f.Next, "%s", f.Cause)
	}
	p.source = names
	return p
}

// unable records that the stage could not run. The project may still be nil.
func (r *Result) unable(ctx context.Context, project *pyenv.Project, err error) {
	var environment *runner.EnvironmentError
	var service *runner.StartError
	var file *runner.FileError
	problem := runner.Problem(err)
	switch {
	case ctx.Err() != nil:
		r.fail(Cancelled, "%v", context.Cause(ctx))
	case problem != nil:
		r.problems = append(r.problems, problem)
	case errors.As(err, &environment):
		p := r.problem(EnvironmentFailed, "%v", environment)
		p.Next, p.Details = project.InstallNext(environment.Output), safetext.LastLines(environment.Output, 30)
	case errors.As(err, &service):
		r.problem(ServiceFailed, "%v", service).Details = safetext.LastLines(service.Logs, 30)
	case errors.As(err, &file) && strings.HasPrefix(file.Path, reportDir+"/"):
		// The run created it, and would create it again.
		p := r.problem(runner.CodeOutputUnusable, "the run left %s, which no report can hold: %v", file.Path, file.Err)
		p.Next = "Find the test or the plugin that makes this file, and let it make it in a directory of its own (tmp_path)"
		p.Details = safetext.LastLines(err.Error(), shown)
	default:
		r.fail(Internal, "%v", err)
	}
}
