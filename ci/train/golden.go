package train

import (
	"context"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// scoreGolden loads the saved model where nothing of its training is left, and lets it
// score the golden sample.
func (s *session) scoreGolden(ctx context.Context) []*verdict.Problem {
	if format, ok := s.loadable(); ok {
		return s.load(ctx, format)
	}
	return s.scoreByCommand(ctx)
}

// scoreByCommand does so with train.score_command.
func (s *session) scoreByCommand(ctx context.Context) []*verdict.Problem {
	if s.cfg.Golden == "" || len(s.cfg.ScoreCommand) == 0 {
		s.stage.Warn(NotScored, "train.golden and train.score_command are not both set")
		return nil
	}
	golden := s.golden()
	if len(golden) != 1 {
		return []*verdict.Problem{verdict.Problemf(GoldenMissing, "the training left no %s", s.cfg.Golden)}
	}
	keep := glob.EscapeAll(slices.Concat(s.matching(s.cfg.Model), s.matching(s.cfg.Artifacts...), golden))
	result, err := s.runner.Run(ctx, s.built.Use(runner.Step{
		Name: "score golden sample", Env: s.env,
		Inputs: []runner.Mount{s.inputs[0], {Path: ".", Files: s.trained.Outputs.Filter(keep, nil)}},
		Args:   s.cfg.ScoreCommand, Vars: s.vars(), Timeout: modelfile.LoadLimit, Fresh: s.in.Fresh, Offline: true,
	}))
	if err != nil {
		return []*verdict.Problem{stepProblem(ctx, "scoring the golden sample", err)}
	}
	s.warnNetwork(result)
	ok := result.ExitCode == 0 && !result.TimedOut
	s.stage.Gate("golden sample", goldenOutcome(result), "equal after reloading", ok)
	if ok {
		return nil
	}
	code := GoldenMismatch
	switch {
	case result.TimedOut:
		code = ScoreTimeout
	case result.ExitCode > 1:
		code = ScoreFailed
	}
	problem := verdict.Problemf(code, "%s %s: %s", strings.Join(s.cfg.ScoreCommand, " "), ended(result, modelfile.LoadLimit), reason(result))
	problem.Details = said(result)
	return []*verdict.Problem{problem}
}
