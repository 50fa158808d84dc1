package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// readRecord reads what the training recorded about a model: the declared metrics file, the MLflow run, or both.
func (t *training) readRecord(ctx context.Context, sha256 string) (*RunRecord, []*verdict.Problem) {
	run, problem := t.readRun(ctx, sha256)
	var problems []*verdict.Problem
	// With a metrics file, an MLflow run is optional.
	if problem != nil && (t.cfg.Metrics == "" || problem.Code.Name != RunMissing.Name) {
		if problem.Code.Name == RunMissing.Name {
			problem.Next = metricsNext(&t.cfg)
			if wrote := t.otherJSON(); len(wrote) > 0 {
				problem.Cause += "; it wrote " + listed(wrote)
				problem.Next = fmt.Sprintf("If %s has the metrics, name it in pipeline.yaml: train.metrics: %s. Else: %s", wrote[0], wrote[0],
					problem.Next)
			}
		}
		problems = append(problems, problem)
	}
	if t.cfg.Metrics == "" {
		return run, problems
	}
	content, err := t.result.Outputs.Read(ctx, path.Clean(t.cfg.Metrics), maxMetrics)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		problem := verdict.Problemf(MetricsMissing, "the training left no %s", t.cfg.Metrics)
		problem.Next = "Let the training write that file"
		if wrote := t.otherJSON(); len(wrote) > 0 {
			problem.Cause += "; it wrote " + listed(wrote)
			problem.Next = fmt.Sprintf("Set train.metrics: %s in pipeline.yaml if that has the metrics, or let the training write %s",
				wrote[0], t.cfg.Metrics)
		}
		return run, append(problems, problem)
	case err != nil:
		return run, append(problems, verdict.Problemf(MetricsMalformed, "%s cannot be read: %v", t.cfg.Metrics, err))
	}
	record, problem := parseMetricsFile(t.cfg.Metrics, content)
	if problem != nil {
		return run, append(problems, problem)
	}
	if run != nil {
		record.merge(run)
	}
	return record, problems
}

// metricsName matches the usual names of metrics files.
var metricsName = regexp.MustCompile(`(?i)metric|score|result|eval`)

// otherJSON returns the JSON outputs that the contract does not mention, those named like metrics first.
func (t *training) otherJSON() []string {
	known := t.matching(t.cfg.Model, t.cfg.Predictions, t.cfg.Golden)
	beside := t.matching(t.cfg.Artifacts...) // by default all JSON files beside the model, including its metrics
	var likely, others []string
	for _, name := range t.result.Made {
		switch {
		case path.Ext(name) != ".json" || slices.Contains(known, name):
		case metricsName.MatchString(path.Base(name)):
			likely = append(likely, name)
		case !slices.Contains(beside, name):
			others = append(others, name)
		}
	}
	return append(likely, others...)
}

// metricsNext returns the remedy that lets a training without MLflow hand over its metrics, with those that have gates.
func metricsNext(cfg *config.Train) string {
	var pairs []string
	for _, gate := range cfg.Gates {
		pairs = append(pairs, fmt.Sprintf("%q: 0.9", gate.Metric))
	}
	if len(pairs) == 0 {
		pairs = []string{`"accuracy": 0.9`}
	}
	return fmt.Sprintf("Let the training write what it measured as JSON, {%s}, and name the file: train.metrics: %s in pipeline.yaml. Or let "+
		"it log an MLflow run: MLFLOW_TRACKING_URI is set for it", strings.Join(pairs, ", "), beside(cfg.Model, "metrics.json"))
}

// beside returns a path in the model's directory, or in the part of that path before any pattern.
func beside(model, name string) string {
	var folder []string
	for _, part := range strings.Split(path.Dir(model), "/") {
		if strings.ContainsAny(part, "*?[{\\") {
			break
		}
		folder = append(folder, part)
	}
	return path.Join(append(folder, name)...)
}

// readRun exports the MLflow store in a separate step in the same environment. So the training runs exactly the declared
// command, and a change of the export does not repeat it.
func (t *training) readRun(ctx context.Context, sha256 string) (*RunRecord, *verdict.Problem) {
	if _, err := t.result.Outputs.Read(ctx, store, 0); errors.Is(err, fs.ErrNotExist) {
		return nil, verdict.Problemf(RunMissing, "the training wrote nothing to MLFLOW_TRACKING_URI (sqlite:///%s)", store)
	}
	result, err := t.runner.Run(ctx, runner.Step{
		Name: "export MLflow run", Env: t.env,
		Inputs: []runner.Mount{
			{Path: ".", Files: t.result.Outputs.Filter([]string{store}, nil)},
			{Path: ".", Files: t.runner.NewFiles(map[string][]byte{scriptFile: exportScript})},
		},
		Args: []string{"python", scriptFile, "sqlite:///" + store, exportFile}, Vars: t.vars(),
		Outputs: []string{exportFile}, Timeout: exportLimit, Offline: true,
	})
	if err != nil {
		return nil, stepProblem(ctx, "reading the MLflow store", err)
	}
	if result.ExitCode != 0 || result.TimedOut {
		problem := verdict.Problemf(ExportFailed, "reading %s %s: %s", store, ended(result, exportLimit), reason(result))
		problem.Details = said(result)
		return nil, problem
	}
	content, err := result.Outputs.Read(ctx, exportFile, maxExport)
	if err != nil {
		return nil, verdict.Problemf(ExportFailed, "read the exported runs: %v", err)
	}
	records, err := parseExport(content)
	if err != nil {
		return nil, verdict.Problemf(ExportFailed, "the exported runs are malformed: %v", err)
	}
	return chooseRun(records, sha256)
}
