package train

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// training is a finished training with its outputs.
type training struct {
	*session
	result *runner.Result
	// left are the files, sorted.
	left []string
}

// judging judges a successful training against the contract. Its findings go into the candidate.
type judging struct{ *training }

// run trains. The training is nil if the step could not run; otherwise a problem means that the training failed.
func (s *session) run(ctx context.Context, step runner.Step) (*training, *verdict.Problem) {
	result, err := s.runner.Run(ctx, step)
	if err != nil {
		return nil, notRun(ctx, s.project, err)
	}
	trained := &training{session: s, result: result}
	if problem := s.trainingEnded(result); problem != nil {
		return trained, problem
	}
	if trained.left, err = result.Outputs.List(ctx); err != nil {
		return nil, verdict.Problemf(RunnerFailed, "list what the training left: %v", err)
	}
	return trained, nil
}

// obtain trains, or uses the outputs of an earlier training.
func (s *session) obtain(ctx context.Context) (*training, *verdict.Problem) {
	step := s.step()
	if s.in.Left == nil {
		called := time.Now()
		trained, problem := s.run(ctx, step)
		if trained != nil {
			s.stage.Reuse(trained.result.Started, called)
		}
		return trained, problem
	}
	taken := &training{session: s, result: &runner.Result{Outputs: s.in.Left.Filter(glob.EscapeAll(step.Outputs), nil)}}
	digest, err := taken.result.Outputs.Digest(ctx)
	if err == nil {
		taken.left, err = taken.result.Outputs.List(ctx)
	}
	if err != nil {
		return nil, verdict.Problemf(RunnerFailed, "read what the earlier training left: %v", err)
	}
	if len(taken.left) == 0 {
		return nil, verdict.Problemf(LeftNothing, "none of %s is there", strings.Join(step.Outputs, ", "))
	}
	s.stage.Add("training", "none here: what an earlier one left is judged, "+digest)
	return taken, nil
}

// judge judges all outputs of the training against the contract.
func (j judging) judge(ctx context.Context) []*verdict.Problem {
	problems := j.judgeModel(ctx)
	record, problem := j.readRecord(ctx, j.candidate.Artifact.SHA256)
	problems = append(problems, problem...)
	j.candidate.Run = record
	// Before the gates, because they determine how many guesses the accuracy counts.
	held := j.judgePredictions(ctx)
	if record != nil {
		rows, gateProblems := judgeGates(&j.stage, record, j.cfg.Gates, j.in.Champion, *j.in.Tolerance, j.called)
		j.candidate.gates = rows
		problems = append(problems, gateProblems...)
		problems = append(problems, j.judgeRecord(record)...)
	}
	problems = append(problems, held...)
	j.warnUngated()
	j.fillArtifact()
	// A model that is refused is never loaded, not even to be scored.
	if j.candidate.Inspection != nil && j.candidate.Inspection.OK() && j.candidate.Artifact.File != "" {
		problems = append(problems, j.scoreGolden(ctx)...)
	}
	return problems
}

// warnUngated warns if no measurement could have failed the model: because of the settings, because there are no predictions
// to compare with the margin, or because guessing the most frequent class passes the only gate.
func (j judging) warnUngated() {
	scores := j.candidate.Scores
	guessed := func(g config.Gate) bool {
		return scores != nil && g.Metric == "accuracy" && g.Max == nil && g.Min != nil && *g.Min <= scores.Baseline
	}
	why := "train.gates holds no bound that a metric could miss"
	switch canFail := slices.IndexFunc(j.cfg.Gates, config.Gate.CanFail); {
	case j.cfg.BaselineMargin > 0 && scores != nil,
		slices.ContainsFunc(j.cfg.Gates, func(g config.Gate) bool { return g.CanFail() && !guessed(g) }):
		return
	case canFail >= 0:
		why = fmt.Sprintf("guessing the most frequent class meets the gate on accuracy (%s)", percent(scores.Baseline))
	}
	if j.cfg.BaselineMargin > 0 {
		why += ", and train.baseline_margin is not held without predictions"
	} else {
		why += ", and train.baseline_margin is 0"
	}
	j.candidate.Artifact.Ungated = true
	j.stage.Warn(verdict.CodeGatesNone.In(verdict.Train), "%s", why)
}

// called returns a metric's name with what it counts, because the accuracy of rankings is not a plain accuracy.
func (j judging) called(metric string) string {
	if scores := j.candidate.Scores; scores != nil && scores.TopK > 1 && metric == "accuracy" {
		return scores.called()
	}
	return metric
}

// matching returns the output files that match a glob.
func (t *training) matching(globs ...string) []string {
	var found []string
	for _, name := range t.left {
		if slices.ContainsFunc(globs, func(glob string) bool {
			return glob != "" && (name == path.Clean(glob) || doublestar.MatchUnvalidated(glob, name))
		}) {
			found = append(found, name)
		}
	}
	return found
}

// fillArtifact adds what the training recorded to the model.
func (j judging) fillArtifact() {
	artifact, record := &j.candidate.Artifact, j.candidate.Run
	artifact.Data = j.data
	if record == nil {
		return
	}
	artifact.Metrics, artifact.History, artifact.Params, artifact.Tags = record.Metrics, record.History, record.Params, record.Tags
	for _, from := range []map[string]string{record.Tags, record.Params} {
		if fingerprint := from["data_fingerprint"]; fingerprint != "" {
			artifact.Data = fingerprint
			break
		}
	}
}
