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

// Second is a second training on the same inputs beside the first.
type Second struct {
	// SHA256 is its model's hash in lower-case hex.
	SHA256 string
	// Same means that both files are the same, bit for bit; Equal that both models are, in
	// files that differ in the dates and addresses which each saving writes anew.
	Same, Equal bool
	// Moved are the metrics that differ, by name; those that measure time are left out.
	Moved []Moved
}

// Moved is a metric that two trainings give differently.
type Moved struct {
	Metric        string
	First, Second float64
}

// trainAgain trains a second time and compares weights and metrics. Only the hash of the
// second model is taken: the first is the one that leaves the stage.
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

// inspectIn exports a tree for as long as it takes to look into one file of it.
func (s *session) inspectIn(ctx context.Context, files runner.Files, name, dir string) (report *modelfile.Report, err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := files.Export(ctx, dir); err != nil {
		return nil, fmt.Errorf("export model: %w", err)
	}
	file := filepath.Join(dir, filepath.FromSlash(name))
	return s.content(ctx, filepath.Dir(file), filepath.Base(file))
}

// content looks into a model for what it is, whatever each saving writes anew.
func (s *session) content(ctx context.Context, dir, name string) (*modelfile.Report, error) {
	options, err := s.inspection(dir)
	if err != nil {
		return nil, err
	}
	options.Content = true
	return formats.Inspect(ctx, filepath.Join(dir, name), options)
}

// moved lists the metrics in which two records differ, the largest difference first.
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

// outcome says in one line what the second training showed.
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
