package train

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// A training may take hours. Certain failures are detected before it starts.

// scriptName matches a source file that Python runs.
var scriptName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*\.py$`)

// scriptMissing reports a command whose script is not visible to the training.
func (s *session) scriptMissing(ctx context.Context) *verdict.Problem {
	if len(s.command) < 2 || !strings.HasPrefix(s.command[0], "python") || !scriptName.MatchString(s.command[1]) {
		return nil
	}
	script := s.command[1]
	if names, err := s.inputs[0].Files.Filter([]string{script}, nil).List(ctx); err != nil || len(names) > 0 {
		return nil //nolint:nilerr // the training itself reports unreadable sources
	}
	why := "the source does not have"
	if names, err := s.in.Source.Filter([]string{script}, nil).List(ctx); err == nil && len(names) > 0 {
		why = "the training does not see: exclude or train.inputs leave it out"
	}
	problem := verdict.Problemf(ConfigInvalid, "train.command starts %s, which %s", script, why)
	if _, err := s.in.Source.Read(ctx, config.FileName, 0); errors.Is(err, fs.ErrNotExist) {
		problem.Next = "There is no pipeline.yaml, so this is the default. Let one be written, with the training that is found: " +
			s.in.Again.Init()
	}
	return problem
}

// noMLflow is the exit code of the probe for an environment without MLflow.
const noMLflow = 66

// unheard reports a training that cannot hand over its metrics: no metrics file is declared, and MLflow, which would log the
// run and read it back, is not installed in the training's environment.
func (s *session) unheard(ctx context.Context) *verdict.Problem {
	if s.cfg.Metrics != "" || s.named(ctx, "mlflow") {
		return nil
	}
	result, err := s.runner.Run(ctx, s.built.Use(runner.Step{
		Name: "look for MLflow", Env: s.env, Vars: s.vars(), Timeout: exportLimit, Offline: true,
		Args: []string{"python", "-c", "import importlib.util, sys; sys.exit(0 if importlib.util.find_spec('mlflow') else 66)"},
	}))
	if err != nil {
		return notRun(ctx, s.project, err)
	}
	if result.ExitCode != noMLflow {
		return nil
	}
	problem := verdict.Problemf(RunMissing, "train.metrics names no file, and the training's environment has no MLflow to log a run with; "+
		"the training was not started")
	problem.Next = metricsNext(&s.cfg)
	return problem
}

// named reports whether a file that the environment is installed from contains a word.
func (s *session) named(ctx context.Context, word string) bool {
	names, err := s.env.Files.List(ctx)
	if err != nil {
		return false
	}
	for _, name := range names {
		content, err := s.env.Files.Read(ctx, name, maxMetrics)
		if err == nil && strings.Contains(strings.ToLower(string(content)), word) {
			return true
		}
	}
	return false
}
