package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func (s *state) publish(ctx context.Context, permit policy.Permit) verdict.Stage {
	// Nothing needs the sandbox's servers after this, and stopping them takes a second or two.
	defer s.servers.retire(ctx)
	if m := s.outcome.Model; m != nil && m.Unseen != "" {
		return failed(verdict.Publish, verdict.Problemf(CodeUnseen,
			"%s is a file of the format %s, and nothing has looked into it", m.File, m.Unseen))
	}
	target, problem := s.target(ctx, permit)
	if problem != nil {
		return failed(verdict.Publish, problem)
	}
	result := publish.Run(ctx, publish.Input{
		Config: s.cfg, Model: s.outcome.Model, Environment: s.opts.Environment,
		Commit: s.opts.Commit, Tree: s.run.Tree, ModuleVersion: s.run.Module, Target: target,
		Check: s.loadPublished, WorkDir: s.backend.WorkDir,
	})
	s.outcome.Version = result.Version
	if result.Version != nil {
		s.run.ModelVersion = fmt.Sprint(result.Version.Number)
	}
	return result.Stage
}

// loadPublished loads a model as downloaded from the registry, in a step without credentials
// and servers.
func (s *state) loadPublished(ctx context.Context, version, dir string) publish.Checked {
	if s.backend.Import == nil {
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
	files, err := s.backend.Import(dir)
	if err != nil {
		return notRun(err)
	}
	// The version and the content key the step, not the name of a temporary directory.
	found, err := train.Rescore(ctx, s.backend.Runner, s.trainInput(), s.outcome.Model, files, version)
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

// target is where the permit lets the run publish: in the sandbox, to its own servers.
func (s *state) target(ctx context.Context, permit policy.Permit) (publish.Target, *verdict.Problem) {
	target, refused := s.outside(permit)
	if refused != nil || !s.opts.sandbox() {
		return target, refused
	}
	return s.servers.target(ctx)
}

// outside is where the permit lets a call publish outside of the sandbox.
func (s *call) outside(permit policy.Permit) (publish.Target, *verdict.Problem) {
	if !permit.AllowsReading(verdict.Publish) {
		return publish.Target{}, verdict.Problemf(policy.CodeBlocked.In(verdict.Publish), "the gate gave no permit")
	}
	return s.opts.Target, nil
}
