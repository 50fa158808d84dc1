package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/formats"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Second is the comparison with a second training on the same inputs.
type Second struct {
	// SHA256 is its model's hash in lower-case hex.
	SHA256 string
	// Same is set if both files are identical; Equal if both models are, in files that only differ in the dates and addresses
	// that change with each save.
	Same, Equal bool
	// Moved are the metrics that differ, by name, without those that measure time.
	Moved []Moved
}

// Moved is a metric that two trainings give differently.
type Moved struct {
	Metric        string
	First, Second float64
}

// trainAgain trains a second time and compares weights and metrics. Only the hash of the second model is kept: the first
// model leaves the stage.
func (s *session) trainAgain(ctx context.Context) []*verdict.Problem {
	step := s.step()
	step.Name, step.Fresh = "train again", s.in.Fresh+" again "+time.Now().UTC().Format(time.RFC3339Nano)
	again, problem := s.run(ctx, step)
	if problem != nil {
		problem.Cause = "the second training: " + problem.Cause
		return []*verdict.Problem{problem}
	}
	record, other, problem := again.secondModel(ctx)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	second := &Second{SHA256: other.SHA256, Same: other.SHA256 == s.candidate.Artifact.SHA256, Moved: moved(s.candidate.Run, record)}
	if !second.Same && other.Content != "" {
		ours, err := s.content(ctx, s.candidate.Artifact.Dir, s.candidate.Artifact.File)
		if err != nil {
			return []*verdict.Problem{stepProblem(ctx, "compare the models", err)}
		}
		second.Equal = ours.Content == other.Content
	}
	s.candidate.Second = second
	s.stage.Gate("trained twice", second.outcome(), "the same model", second.Same || second.Equal || !s.cfg.Deterministic)
	switch {
	case second.Same, second.Equal:
		return nil
	case s.cfg.Deterministic:
		return []*verdict.Problem{verdict.Problemf(NotReproducible, "%s", second.outcome())}
	}
	s.stage.Warn(Differs, "%s", second.outcome())
	return nil
}

// secondModel is what the training logged, and what its model's file holds.
func (t *training) secondModel(ctx context.Context) (*RunRecord, *modelfile.Report, *verdict.Problem) {
	models := t.matching(t.cfg.Model)
	if len(models) != 1 {
		return nil, nil, t.noModel(ctx, models)
	}
	report, err := t.inspectIn(ctx, t.result.Outputs.Filter(glob.EscapeAll(models), nil), models[0], filepath.Join(t.in.WorkDir, "second"))
	if err != nil {
		return nil, nil, verdict.Problemf(RunnerFailed, "read %s of the second training: %v", path.Base(models[0]), err)
	}
	record, problems := t.readRecord(ctx, report.SHA256)
	if len(problems) > 0 {
		return nil, nil, problems[0]
	}
	return record, report, nil
}

// inspectIn exports a tree temporarily to inspect one of its files.
func (s *session) inspectIn(ctx context.Context, files runner.Files, name, dir string) (report *modelfile.Report, err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := files.Export(ctx, dir); err != nil {
		return nil, fmt.Errorf("export model: %w", err)
	}
	file := filepath.Join(dir, filepath.FromSlash(name))
	return s.content(ctx, filepath.Dir(file), filepath.Base(file))
}

// content hashes a model without what changes with each save.
func (s *session) content(ctx context.Context, dir, name string) (*modelfile.Report, error) {
	options, err := s.inspection(dir)
	if err != nil {
		return nil, err
	}
	options.Content = true
	return formats.Inspect(ctx, filepath.Join(dir, name), options)
}

// moved lists the metrics that differ between two records, largest difference first.
func moved(first, second *RunRecord) []Moved {
	if first == nil || second == nil {
		return nil
	}
	var all []Moved
	for _, name := range slices.Sorted(maps.Keys(first.Metrics)) {
		other, ok := second.Metrics[name]
		if ok && other != first.Metrics[name] && !strings.Contains(name, "seconds") && !strings.Contains(name, "time") {
			all = append(all, Moved{name, first.Metrics[name], other})
		}
	}
	slices.SortStableFunc(all, func(a, b Moved) int {
		return cmp.Compare(math.Abs(b.First-b.Second), math.Abs(a.First-a.Second))
	})
	return all
}

// outcome describes the result of the second training in one line.
func (s *Second) outcome() string {
	if s.Same {
		return "the same model, bit for bit"
	}
	if s.Equal {
		return "the same weights and layers, in files that differ in dates and addresses alone"
	}
	var parts []string
	for _, m := range s.Moved[:min(len(s.Moved), 5)] {
		parts = append(parts, fmt.Sprintf("%s moved from %s to %s (%s)", m.Metric, number(m.First), number(m.Second), signed(m.Second-m.First)))
	}
	if more := len(s.Moved) - 5; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	if len(parts) == 0 {
		parts = []string{"no metric moved"}
	}
	return fmt.Sprintf("the second model is %s: %s", clip(s.SHA256, 12), strings.Join(parts, ", "))
}
