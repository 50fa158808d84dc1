package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// What a step may leave: more than any model with its reports needs.
const (
	maxFiles = 100_000
	maxBytes = 16 << 30
)

// Run implements runner.Runner. A step that succeeded before with the same
// environment, inputs, command and variables is answered from the cache, unless it is
// Fresh or has secrets or services.
func (r *Runner) Run(ctx context.Context, step runner.Step) (*runner.Result, error) {
	result, err := r.run(ctx, step)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", step.Name, err)
	}
	return result, nil
}

func (r *Runner) run(ctx context.Context, step runner.Step) (*runner.Result, error) {
	if err := checkStep(step); err != nil {
		return nil, err
	}
	env, err := r.describe(ctx, step.Env)
	if err != nil {
		return nil, err
	}
	inputs := place(step.Inputs)
	digest, err := inputs.Digest(ctx)
	if err != nil {
		return nil, err
	}
	cached := len(step.Secrets) == 0 && len(step.Services) == 0 && step.Fresh == "" && !talksToOthers(step.Needs)
	needs, err := r.needsKey(ctx, step.Needs)
	if err != nil {
		return nil, err
	}
	key, err := keyOf(format, env.key, digest, step.Args, step.Vars, step.Path, step.PythonPath, step.Outputs, needs, step.Offline)
	if err != nil {
		return nil, err
	}
	if cached {
		result, err := r.recall(ctx, key)
		if result != nil || err != nil {
			return result, err
		}
	}
	secrets, err := reveal(ctx, step.Secrets)
	if err != nil {
		return nil, err
	}
	changed := r.changed.Load()
	step, stop, err := r.startNeeds(ctx, step)
	if err != nil {
		return nil, err
	}
	result, err := r.alone(ctx, step, env, inputs, secrets)
	if err := errors.Join(err, stop()); err != nil {
		return nil, err
	}
	// A result that came of changed packages is shown, with a warning, and made again next time.
	if cached && result.ExitCode == 0 && !result.TimedOut && r.changed.Load() == changed {
		if err := r.remember(ctx, key, result); err != nil {
			r.warn(CodeNotRemembered, "the result of %s could not be kept for later runs: %v", step.Name, err)
		}
	}
	return result, nil
}

// alone runs a step with an environment and a scratch directory for itself.
func (r *Runner) alone(ctx context.Context, step runner.Step, env *environment, inputs runner.Files, secrets map[string]string) (result *runner.Result, err error) {
	packages, err := r.acquire(ctx, env)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.release(packages, step.Name)) }()
	dir, err := r.scratch("step")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	work := filepath.Join(dir, "work")
	if err := inputs.Export(ctx, work); err != nil {
		return nil, err
	}
	args, vars := fill(packages, dir, step.Args, step.Vars, addresses(step.Services, nil))
	search(vars, work, step.Path, step.PythonPath)
	timeout := step.Timeout
	if timeout == 0 {
		timeout = launch.DefaultTimeout
	}
	left, err := r.execute(ctx, step.Name, env.base, dir, launch.Spec{
		Args: args, Cwd: work, Env: vars, TimeoutSeconds: timeout.Seconds(), Offline: step.Offline,
	}, secrets)
	if err != nil {
		return nil, err
	}
	kept, err := os.MkdirTemp(r.temp, "outputs-")
	if err != nil {
		return nil, fmt.Errorf("make output directory: %w", err)
	}
	outputs, err := filetree.Collect(ctx, work, step.Outputs, kept, filetree.Limits{Files: maxFiles, Bytes: maxBytes})
	if err != nil {
		return nil, outputProblem(step.Name, err)
	}
	return left.Runner(outputs), nil
}

// outputProblem says what of a step's doing keeps its outputs from being taken.
func outputProblem(step string, err error) error {
	var fault *runner.FileError
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	switch {
	case errors.Is(err, filetree.ErrTooMuch):
		return verdict.Problemf(runner.CodeOutputTooLarge, "%s left %s", step, text)
	case errors.As(err, &fault) && fault.Path == "." && errors.Is(err, fs.ErrNotExist):
		return verdict.Problemf(runner.CodeOutputUnusable, "%s removed its own working directory", step)
	case errors.As(err, &fault):
		return verdict.Problemf(runner.CodeOutputUnusable, "%s left what is no file: %s", step, text)
	}
	return fmt.Errorf("collect outputs: %w", err)
}

// fill makes the command and its whole environment but for the secrets.
func fill(packages *slot, dir string, args []string, own map[string]string, replacer interface{ Replace(string) string }) ([]string, map[string]string) {
	filled := make([]string, len(args))
	for i, arg := range args {
		filled[i] = replacer.Replace(arg)
	}
	vars := stepVariables(packages, dir)
	for name, value := range own {
		vars[name] = replacer.Replace(value)
	}
	return filled, vars
}

// search puts directories of the working directory first on the search paths.
func search(vars map[string]string, work string, commands, modules []string) {
	vars["PATH"] = runner.Search(work, commands, vars["PATH"])
	if len(modules) > 0 {
		vars["PYTHONPATH"] = runner.Search(work, modules, vars["PYTHONPATH"])
	}
}

func checkStep(step runner.Step) error {
	var wrong []error
	if len(step.Args) == 0 {
		wrong = append(wrong, errors.New("no command"))
	}
	if step.Timeout < 0 {
		wrong = append(wrong, fmt.Errorf("a time limit of %s", step.Timeout))
	}
	for _, output := range step.Outputs {
		if !fs.ValidPath(path.Clean(output)) {
			wrong = append(wrong, fmt.Errorf("output %q leads out of the working directory", output))
		}
	}
	for name, running := range step.Services {
		if running == nil {
			wrong = append(wrong, fmt.Errorf("service %s is not running", name))
		}
	}
	return errors.Join(wrong...)
}

// reveal fetches the secrets. Errors name the secret and never show its value.
func reveal(ctx context.Context, secrets map[string]runner.Secret) (map[string]string, error) {
	values := make(map[string]string, len(secrets))
	var wrong []error
	for name, secret := range secrets {
		value, err := secret.Plaintext(ctx)
		if err == nil {
			err = launch.CheckVariable(name, value)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("read secret %s: %w", secret.Name(), err))
		}
		values[name] = value
	}
	return values, errors.Join(wrong...)
}
