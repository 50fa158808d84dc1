package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func (s *state) publish(ctx context.Context, permit policy.Permit) verdict.Stage {
	// The sandbox's servers are not needed after this stage, and stopping them takes a second or two.
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
		Known: s.opts.Trained != nil && !s.opts.sandbox(),
		Check: s.loadPublished, WorkDir: s.backend.WorkDir,
	})
	s.outcome.Version = result.Version
	if result.Version != nil {
		s.run.ModelVersion = fmt.Sprint(result.Version.Number)
	}
	return result.Stage
}

// readable returns the publishing target for requests that change nothing. It returns false in the sandbox and if the run
// publishes nothing.
func (s *state) readable() (publish.Input, bool) {
	if s.run.Preflight != nil || s.opts.sandbox() || !s.opts.wants(verdict.Publish) || !s.gate.Decision(verdict.Publish).Run {
		return publish.Input{}, false
	}
	permit, refused := policy.NewGate(s.cfg, s.opts.request(s.backend)).Ask(policy.Action{Stage: verdict.Publish, Reads: true}, nil)
	if refused != nil {
		return publish.Input{}, false
	}
	target, problem := s.outside(permit)
	return publish.Input{Config: s.cfg, Environment: s.opts.Environment, Target: target}, problem == nil
}

// refuseUnpublishable refuses a run before training if the call lacks an address or credentials that publishing needs.
func (s *state) refuseUnpublishable(ctx context.Context) {
	if in, publishes := s.readable(); publishes {
		if problems := publish.Unusable(ctx, in); len(problems) > 0 {
			s.run.Refuse(problems...)
		}
	}
}

// askServers warns early, while the first stages run, if a publishing server does not respond properly. It may recover before
// it is needed, so nothing is refused. The returned function ends the check.
func (s *state) askServers(ctx context.Context) (end func()) {
	in, publishes := s.readable()
	if !publishes {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var asked sync.WaitGroup
	asked.Go(func() {
		_, err := publish.Preflight(ctx, in)
		if problem := (*verdict.Problem)(nil); errors.As(err, &problem) && ctx.Err() == nil {
			s.progress.say("publish: would fail now (%s): %s", problem.Code.Name, problem.Cause)
		}
	})
	return func() { cancel(); asked.Wait() }
}

// loadPublished downloads a model from the registry and loads it in a step without credentials and servers.
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
	// The cache key has the version and the content, not the name of a temporary directory.
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

// target returns where the run may publish; in the sandbox that is its own servers.
func (s *state) target(ctx context.Context, permit policy.Permit) (publish.Target, *verdict.Problem) {
	target, refused := s.outside(permit)
	if refused != nil || !s.opts.sandbox() {
		return target, refused
	}
	return s.servers.target(ctx)
}

// outside returns where a call may publish outside of the sandbox.
func (s *call) outside(permit policy.Permit) (publish.Target, *verdict.Problem) {
	if !permit.AllowsReading(verdict.Publish) {
		return publish.Target{}, verdict.Problemf(policy.CodeBlocked.In(verdict.Publish), "the gate gave no permit")
	}
	return s.opts.Target, nil
}
