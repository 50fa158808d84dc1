package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
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
	env, err := r.environment(ctx, step.Env)
	if err != nil {
		return nil, err
	}
	inputs := place(step.Inputs)
	digest, err := inputs.Digest(ctx)
	if err != nil {
		return nil, err
	}
	cached := len(step.Secrets) == 0 && len(step.Services) == 0 && step.Fresh == "" && !talksToOthers(step.Needs)
	needs, err := needsKey(ctx, step.Needs)
	if err != nil {
		return nil, err
	}
	key, err := keyOf(format, env.key, digest, step.Args, step.Vars, step.Outputs, needs, step.Offline)
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
	step, stop, err := r.startNeeds(ctx, step)
	if err != nil {
		return nil, err
	}
	dir, err := r.scratch("step")
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	result, err := r.execute(ctx, step, env, inputs, secrets, dir)
	if err := errors.Join(err, removeAll(dir), stop()); err != nil {
		return nil, err
	}
	if cached && result.ExitCode == 0 && !result.TimedOut {
		if err := r.remember(ctx, key, result); err != nil {
			// The result is good; only the next run will not be quicker.
			r.warn(CodeNotRemembered, "the result of %s could not be kept for later runs: %v", step.Name, err)
		}
	}
	return result, nil
}

func (r *Runner) execute(ctx context.Context, step runner.Step, env *environment, inputs runner.Files, secrets map[string]string, dir string) (*runner.Result, error) {
	work := filepath.Join(dir, "work")
	if err := inputs.Export(ctx, work); err != nil {
		return nil, err
	}
	args, vars := fill(env, dir, step.Args, step.Vars, addresses(step.Services, nil))
	timeout := step.Timeout
	if timeout == 0 {
		timeout = launch.DefaultTimeout
	}
	stdout, stderr := r.log.named(step.Name), r.log.named(step.Name)
	p, err := r.start(env.base.path, dir, launch.Spec{
		Args: args, Cwd: work, Env: vars, TimeoutSeconds: timeout.Seconds(),
		SecretNames: slices.Sorted(maps.Keys(secrets)), Offline: step.Offline,
	}, secrets, stdout, stderr)
	if err != nil {
		return nil, err
	}
	left, err := p.wait(ctx)
	<-p.done
	stdout.flush()
	stderr.flush()
	if err != nil {
		return nil, err
	}
	kept, err := os.MkdirTemp(r.temp, "outputs-")
	if err != nil {
		return nil, fmt.Errorf("make output directory: %w", err)
	}
	if err := filetree.Paths(work, step.Outputs).Export(ctx, kept); err != nil {
		return nil, fmt.Errorf("collect outputs: %w", err)
	}
	return left.Runner(filetree.Dir(kept)), nil
}

// fill makes the command and its whole environment but for the secrets.
func fill(env *environment, dir string, args []string, own map[string]string, replacer interface{ Replace(string) string }) ([]string, map[string]string) {
	filled := make([]string, len(args))
	for i, arg := range args {
		filled[i] = replacer.Replace(arg)
	}
	vars := stepVariables(env, dir)
	for name, value := range own {
		vars[name] = replacer.Replace(value)
	}
	return filled, vars
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

// touch marks a thing of the cache as used now.
func touch(path string) {
	now := time.Now()
	// Only the order of removal depends on it.
	_ = os.Chtimes(path, now, now)
}
