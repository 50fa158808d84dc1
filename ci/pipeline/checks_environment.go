package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ofEnvironment returns the checks that run inside the locked Python environments.
type ofEnvironment struct{ doctor }

// inEnvironment runs Python in a stage's locked environment, with the source mounted.
func (s ofEnvironment) inEnvironment(ctx context.Context, stage string, requirements []string, args ...string) (string, error) {
	wanted := pyenv.Request{Stage: stage, Requirements: requirements, Python: s.cfg.Python,
		Exclude: s.cfg.Exclude, System: s.cfg.SystemPackages}
	project, err := pyenv.Detect(ctx, s.backend.Source, wanted)
	if err != nil {
		return "", err
	}
	if project.Kind == pyenv.None {
		return "", fmt.Errorf("none of %s is in the source", pyenv.LookedFor(stage))
	}
	result, err := s.backend.Runner.Run(ctx, runner.Step{
		Name: "doctor", Env: project.Environment(s.backend.Runner,
			s.backend.Source), Args: args, PythonPath: project.PythonPath(), Timeout: slowTimeout,
		Inputs: []runner.Mount{{Files: s.backend.Source.Filter(nil, s.cfg.Exclude)}}, Vars: map[string]string{"TF_CPP_MIN_LOG_LEVEL": "3"},
	})
	if err != nil {
		return "", err
	}
	lines := strings.Split(strings.TrimSpace(result.Stdout+"\n"+result.Stderr), "\n")
	last := lines[len(lines)-1]
	if result.ExitCode != 0 {
		for _, line := range lines {
			if strings.HasPrefix(line, "ERROR ") || strings.HasPrefix(line, "E  ") || strings.Contains(line, "Error:") {
				return "", errors.New(strings.TrimSpace(line))
			}
		}
		return "", fmt.Errorf("exit code %d: %s", result.ExitCode, last)
	}
	return last, nil
}

// checkTests collects the tests without running them, and names the first file that fails to import.
func (s ofEnvironment) checkTests(ctx context.Context) (string, error) {
	return s.inEnvironment(ctx, verdict.Test, s.cfg.Test.Requirements, "python", "-m", "pytest", "--collect-only", "-q", "-p",
		"no:cacheprovider")
}

// importing prints each module's version and import time in seconds.
const importing = `import importlib, sys, time
for name in sys.argv[1:]:
    began = time.time()
    module = importlib.import_module(name)
    print(name, getattr(module, "__version__", "?"), "%.1f s" % (time.time() - began), end="; ")
print()`

func (s ofEnvironment) checkImports(ctx context.Context) (string, error) {
	names := s.cfg.Image.Imports
	if len(names) == 0 {
		names = []string{"tensorflow", "mlflow", "streamlit"}
	}
	return s.inEnvironment(ctx, verdict.Image, s.cfg.Image.Requirements, append([]string{"python", "-c", importing}, names...)...)
}
