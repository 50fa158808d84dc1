package native

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Limits of a step's outputs, which are larger than any model with its reports.
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
	if step.GPU && !r.hasGPU() {
		return nil, verdict.Problemf(runner.CodeGPUMissing, "this machine has none of %s", strings.Join(gpuDevices, ", "))
	}
	env, err := r.environments.describe(ctx, step.Name, step.Env)
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
	key, err := keyOf(format, env.key, digest, step.Args, step.Vars, step.Path, step.PythonPath, step.Outputs, needs, step.Offline, step.GPU,
		step.ListMade, step.ListAltered)
	if err != nil {
		return nil, err
	}
	if cached {
		result, err := r.results.recall(ctx, key)
		if result != nil || err != nil {
			return result, err
		}
	}
	secrets, err := reveal(ctx, step.Secrets)
	if err != nil {
		return nil, err
	}
	changed := r.environments.changed.Load()
	step, stop, err := r.startNeeds(ctx, step)
	if err != nil {
		return nil, err
	}
	result, err := r.alone(ctx, step, env, inputs, secrets)
	if err := errors.Join(err, stop()); err != nil {
		return nil, err
	}
	// A result that a modified environment may have influenced is not kept.
	if cached && result.ExitCode == 0 && !result.TimedOut && r.environments.changed.Load() == changed {
		if err := r.results.remember(ctx, key, result); err != nil {
			r.warn(CodeNotRemembered, "the result of %s could not be kept for later runs: %v", step.Name, err)
		}
	}
	return result, nil
}

// alone runs a step in an environment and a scratch directory that no other command uses.
func (r *Runner) alone(
	ctx context.Context, step runner.Step, env *environment, inputs runner.Files, secrets map[string]string,
) (result *runner.Result, err error) {
	packages, err := r.environments.acquire(ctx, env)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.environments.release(packages, step.Name)) }()
	dir, spec, err := r.prepare(ctx, "step", packages, command{
		system: env.path, inputs: inputs,
		args: step.Args, vars: step.Vars, path: step.Path, pythonPath: step.PythonPath, addresses: addresses(step.Services, nil),
		gpu: step.GPU,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	spec.TimeoutSeconds, spec.Offline = cmp.Or(step.Timeout, launch.DefaultTimeout).Seconds(), step.Offline
	spec.ListMade, spec.ListAltered = step.ListMade, step.ListAltered
	left, err := r.execute(ctx, step.Name, env.base, dir, spec, secrets)
	mounted, unmounted := unmountBelow(dir)
	if err != nil {
		return nil, err
	}
	if len(mounted) > 0 {
		return nil, mountProblem(step.Name, strings.TrimPrefix(mounted[0], spec.Cwd+"/"), unmounted)
	}
	if unmounted != nil {
		return nil, unmounted
	}
	kept, err := os.MkdirTemp(r.temp, "outputs-")
	if err != nil {
		return nil, fmt.Errorf("make output directory: %w", err)
	}
	outputs, err := filetree.Collect(ctx, spec.Cwd, step.Outputs, kept, filetree.Limits{Files: maxFiles, Bytes: maxBytes})
	if err != nil {
		return nil, outputProblem(step.Name, err)
	}
	return left.Runner(outputs), nil
}

// outputProblem explains why the outputs of a step cannot be kept.
func outputProblem(step string, err error) error {
	var fault *runner.FileError
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	switch {
	case errors.Is(err, filetree.ErrTooMuch):
		return verdict.Problemf(runner.CodeOutputTooLarge, "%s left %s", step, text)
	case errors.As(err, &fault) && fault.Path == "." && errors.Is(err, fs.ErrNotExist):
		return verdict.Problemf(runner.CodeOutputUnusable, "%s removed its own working directory", step)
	case errors.As(err, &fault):
		return verdict.Problemf(runner.CodeOutputUnusable, "%s left something that is not a file: %s", step, text)
	}
	return fmt.Errorf("collect outputs: %w", err)
}

// mountProblem reports a file system that a step mounted in its directory; err is why it could not be unmounted.
func mountProblem(step, at string, err error) error {
	p := verdict.Problemf(runner.CodeOutputUnusable, "%s left a file system mounted at %s", step, at)
	p.Next = "Unmount it at the end of the test or training that mounts it"
	if err != nil {
		p.Cause += "; " + err.Error()
	}
	return p
}

// command is what a step and a service have in common; the fields are those of runner.Step.
type command struct {
	// system is the PATH that follows the environment's own programs.
	system           string
	inputs           runner.Files
	args             []string
	vars             map[string]string
	path, pythonPath []string
	// addresses replaces the {{name}} placeholders in args and vars.
	addresses *strings.Replacer
	gpu       bool
}

// prepare creates a scratch directory with a command's inputs. The returned spec has the command, its working directory and
// its complete environment except for secrets. The caller removes the directory.
func (r *Runner) prepare(ctx context.Context, kind string, packages *slot, c command) (dir string, spec launch.Spec, err error) {
	if dir, err = r.scratch(kind); err != nil {
		return "", spec, err
	}
	spec.Cwd = filepath.Join(dir, "work")
	if err := c.inputs.Export(ctx, spec.Cwd); err != nil {
		return "", spec, errors.Join(err, removeAll(dir))
	}
	for _, arg := range c.args {
		spec.Args = append(spec.Args, c.addresses.Replace(arg))
	}
	spec.Env = stepVariables(packages, c.system, dir)
	maps.Copy(spec.Env, gpuVariables(c.gpu, os.Getenv))
	for name, value := range c.vars {
		spec.Env[name] = c.addresses.Replace(value)
	}
	spec.Env["PATH"] = runner.Search(spec.Cwd, c.path, spec.Env["PATH"])
	if len(c.pythonPath) > 0 {
		spec.Env["PYTHONPATH"] = runner.Search(spec.Cwd, c.pythonPath, spec.Env["PYTHONPATH"])
	}
	return dir, spec, nil
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

// reveal reads the secrets. Errors contain their names and never their values.
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
