package train

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// scoreGolden loads the saved model in a step with nothing else of its training, and makes it score the golden sample.
func (j judging) scoreGolden(ctx context.Context) []*verdict.Problem {
	if format, ok := j.loadable(); ok {
		return j.load(ctx, format)
	}
	return j.scoreByCommand(ctx)
}

// goldenForm is a golden sample in the form that a format's library can score.
const goldenForm = `{"inputs": [[5.1, 3.5]], "outputs": [0]}`

// goldenNext is the remedy that makes the format's library score a model.
func goldenNext(cfg *config.Train, library string) string {
	name, set := cfg.Golden, ""
	if name == "" {
		name = beside(cfg.Model, "golden.json")
		set = ", and set train.golden: " + name + " in pipeline.yaml"
	}
	return fmt.Sprintf("Let the training write a few rows and what the model predicts for them to %s, "+goldenForm+"%s: "+
		"%s then loads the model in a fresh environment and compares", name, set, library)
}

// scoreByCommand scores it with train.score_command.
func (j judging) scoreByCommand(ctx context.Context) []*verdict.Problem {
	if j.cfg.Golden == "" || len(j.cfg.ScoreCommand) == 0 {
		j.stage.Warn(NotScored, "train.golden and train.score_command are not both set")
		return nil
	}
	golden := j.golden()
	if len(golden) != 1 {
		return []*verdict.Problem{verdict.Problemf(GoldenMissing, "the training left no %s", j.cfg.Golden)}
	}
	keep := glob.EscapeAll(slices.Concat(j.matching(j.cfg.Model), j.matching(j.cfg.Artifacts...), golden))
	score := runner.Step{
		Name: "score golden sample", Env: j.env,
		Inputs: []runner.Mount{j.inputs[0], {Path: ".", Files: j.result.Outputs.Filter(keep, nil)}},
		Args:   j.cfg.ScoreCommand, Vars: j.vars(), Timeout: modelfile.LoadLimit, Fresh: j.in.Fresh, Offline: true,
	}
	result, err := j.runner.Run(ctx, j.built.Use(score))
	if err != nil {
		return []*verdict.Problem{stepProblem(ctx, "scoring the golden sample", err)}
	}
	j.warnNetwork(result)
	ok := result.ExitCode == 0 && !result.TimedOut
	if ok && scoreSaid(result) == "" {
		// It said nothing of what it compared, so it must not pass where there is nothing to compare. The exit code is inverted
		// because only a step that passes is cached.
		score.Name, score.Inputs = "score without a model", j.inputs[:1]
		score.Args = slices.Concat([]string{"sh", "-c", `! "$@"`, "score"}, j.cfg.ScoreCommand)
		without, err := j.runner.Run(ctx, j.built.Use(score))
		if err != nil {
			return []*verdict.Problem{stepProblem(ctx, "scoring without a model", err)}
		}
		if without.ExitCode != 0 && !without.TimedOut {
			return []*verdict.Problem{verdict.Problemf(ScoreEmpty, "%s also passes without the model and without %s",
				strings.Join(j.cfg.ScoreCommand, " "), j.cfg.Golden)}
		}
	}
	j.stage.Gate("golden sample", goldenOutcome(result), "equal after reloading", ok)
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
	problem := verdict.Problemf(code, "%s %s: %s", strings.Join(j.cfg.ScoreCommand, " "), ended(result, modelfile.LoadLimit), reason(result))
	problem.Details = said(result)
	if code.Name == ScoreFailed.Name {
		problem.Next = "Fix the error in its last lines, and run it again, in the same environment: " + j.in.again()
	}
	return []*verdict.Problem{problem}
}
