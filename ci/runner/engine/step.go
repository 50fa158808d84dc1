package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
)

// Where the launcher lives in a step's container. Nothing of it is among the step's inputs.
const (
	launchDir  = "/.step"
	resultFile = launchDir + "/out/result.json"
)

// Workdir is the working directory of steps and services.
const Workdir = "/src"

// Run implements runner.Runner. A step that passed is answered from the engine's cache
// while its inputs stay the same. A failure from the cache is run again, because its cause
// may have been the network or the clock.
func (r *Runner) Run(ctx context.Context, step runner.Step) (*runner.Result, error) {
	called := time.Now()
	result, err := r.run(ctx, step, step.Fresh)
	if err != nil || result.ExitCode == 0 || !result.Started.Before(called) {
		return result, err
	}
	return r.run(ctx, step, called.UTC().Format(time.RFC3339Nano))
}

func (r *Runner) run(ctx context.Context, step runner.Step, fresh string) (*runner.Result, error) {
	for _, output := range step.Outputs {
		if !fs.ValidPath(path.Clean(output)) {
			return nil, fmt.Errorf("prepare step %s: output %q leads out of the working directory", step.Name, output)
		}
	}
	if step.GPU {
		if err := r.findGPU(ctx, step.Env.Python); err != nil {
			return nil, err
		}
	}
	ctr, err := r.environment(ctx, step.Env)
	if err != nil {
		return nil, err
	}
	if step.GPU {
		ctr = withGPUs(ctr)
	}
	if ctr, err = r.place(ctr, step.Inputs); err != nil {
		return nil, fmt.Errorf("prepare step %s: %w", step.Name, err)
	}
	ctr, replace := bind(ctr, step.Services, nil)
	for _, need := range step.Needs {
		svc, port, err := r.service(ctx, need, false)
		if err != nil {
			return nil, fmt.Errorf("prepare step %s: %w", step.Name, err)
		}
		ctr = ctr.WithServiceBinding(need.Name, svc)
		inner, address := replace, need.Name+":"+strconv.Itoa(port)
		replace = func(s string) string { return strings.ReplaceAll(inner(s), "{{"+need.Name+"}}", address) }
	}
	env, err := r.imageVars(ctx, step.Env.Python)
	if err != nil {
		return nil, err
	}
	spec, names, err := launchSpec(step, env, replace)
	if err != nil {
		return nil, fmt.Errorf("prepare step %s: %w", step.Name, err)
	}
	for _, name := range names {
		secret, err := r.secret(ctx, step.Secrets[name])
		if err != nil {
			return nil, fmt.Errorf("prepare step %s: %w", step.Name, err)
		}
		ctr = ctr.WithSecretVariable(name, secret)
	}
	if fresh != "" {
		ctr = ctr.WithEnvVariable("OPENSTACK_RCA_FRESH", fresh)
	}
	ctr = ctr.
		WithNewFile(launchDir+"/launch.py", launch.Script).
		WithNewFile(launchDir+"/spec.json", string(spec)).
		WithDirectory(launchDir+"/out", r.client.Directory()).
		WithExec([]string{"python", "-I", launchDir + "/launch.py", launchDir + "/spec.json"},
			dagger.ContainerWithExecOpts{Expect: dagger.ReturnTypeAny})
	return r.result(ctx, ctr, step)
}

// place mounts the inputs of a step in its working directory.
func (r *Runner) place(ctr *dagger.Container, inputs []runner.Mount) (*dagger.Container, error) {
	tree := r.client.Directory()
	for _, input := range inputs {
		dir, err := r.Directory(input.Files)
		if err != nil {
			return nil, err
		}
		tree = tree.WithDirectory(input.Path, dir)
	}
	// A mount costs nothing, unlike a copy, and the command may write to it.
	return ctr.WithMountedDirectory(Workdir, tree).WithWorkdir(Workdir), nil
}

// launchSpec returns the launcher's specification, and the names of the secrets in a stable order:
// they become part of a query and so of a cache key.
func launchSpec(step runner.Step, image map[string]string, replace func(string) string) ([]byte, []string, error) {
	timeout := step.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	env := map[string]string{
		"PATH": searchPath, "VIRTUAL_ENV": "/venv",
		"HOME": "/root", "TMPDIR": "/tmp", "LANG": "C.UTF-8",
		"SSL_CERT_FILE": SystemCAs, "REQUESTS_CA_BUNDLE": SystemCAs,
	}
	for name, value := range image {
		if _, ours := env[name]; !ours {
			env[name] = value
		}
	}
	for name, value := range step.Vars {
		env[name] = replace(value)
	}
	env["PATH"] = runner.Search(Workdir, step.Path, env["PATH"])
	if len(step.PythonPath) > 0 {
		env["PYTHONPATH"] = runner.Search(Workdir, step.PythonPath, env["PYTHONPATH"])
	}
	args := make([]string, len(step.Args))
	for i, arg := range step.Args {
		args[i] = replace(arg)
	}
	names := slices.Sorted(maps.Keys(step.Secrets))
	spec, err := launch.Marshal(launch.Spec{
		Args: args, Cwd: Workdir, Env: env, TimeoutSeconds: timeout.Seconds(), Result: resultFile, SecretNames: names, Offline: step.Offline,
		// The engine makes trees of hard links.
		OwnFiles: true, ListMade: step.ListMade, ListAltered: step.ListAltered,
	})
	return spec, names, err
}

// imageVars are the variables that the base image sets. Its programs may need them to start.
func (i *images) imageVars(ctx context.Context, python string) (map[string]string, error) {
	if known, ok := i.vars.Load(python); ok {
		return known.(map[string]string), nil
	}
	// One query: the client's own methods would send one for each name and each value.
	var list []struct{ Name, Value string }
	query := i.client.QueryBuilder().Select("container").Select("from").Arg("address", i.Image(python)).Select("envVariables")
	if err := query.SelectMultiple("name", "value").Bind(&list).Execute(ctx); err != nil {
		return nil, environmentError(err)
	}
	vars := map[string]string{}
	for _, v := range list {
		vars[v.Name] = v.Value
	}
	i.vars.Store(python, vars)
	return vars, nil
}

// secret makes a secret of the engine. Its name contains this runner's id, because the
// engine treats two secrets of one name as the same.
func (r *Runner) secret(ctx context.Context, secret runner.Secret) (*dagger.Secret, error) {
	plaintext, err := secret.Plaintext(ctx)
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", secret.Name(), err)
	}
	return r.client.SetSecret("openstack-rca-"+r.id+"-"+secret.Name(), plaintext), nil
}

// result reads the launcher's result and selects the outputs of the step.
func (r *Runner) result(ctx context.Context, ctr *dagger.Container, step runner.Step) (*runner.Result, error) {
	code, err := ctr.ExitCode(ctx)
	if err != nil {
		var exec *dagger.ExecError
		if errors.As(err, &exec) && exec.ExitCode > 128 {
			// A signal ended the launcher, sent by the kernel when memory ran out or by the
			// command itself. The engine keeps no files of such a container.
			return &runner.Result{
				ExitCode: exec.ExitCode, Started: time.Now().UTC(), Stdout: exec.Stdout, Stderr: exec.Stderr, Outputs: r.NewFiles(nil),
			}, nil
		}
		if exec != nil {
			return nil, fmt.Errorf("run step %s: exit code %d: %s", step.Name, exec.ExitCode, tail(exec.Stderr, 2<<10))
		}
		return nil, fmt.Errorf("run step %s: %w", step.Name, err)
	}
	left := r.client.Directory()
	if len(step.Outputs) > 0 {
		include := make([]string, len(step.Outputs))
		for i, output := range step.Outputs {
			include[i] = literal(path.Clean(output))
		}
		left = ctr.Directory(Workdir).Filter(dagger.DirectoryFilterOpts{Include: include})
	}
	result := &runner.Result{ExitCode: code, Outputs: r.Source(left)}
	if code != 0 {
		// The launcher was killed, as when memory runs out, and left only its exit code.
		result.Started = time.Now().UTC()
		return result, nil
	}
	data, err := ctr.File(resultFile).Contents(ctx)
	if err != nil {
		return nil, fmt.Errorf("run step %s: read its result: %w", step.Name, err)
	}
	parsed, err := launch.Parse([]byte(data))
	if err != nil {
		return nil, fmt.Errorf("run step %s: %w", step.Name, err)
	}
	result.ExitCode, result.TimedOut, result.Seconds = parsed.ExitCode, parsed.TimedOut, parsed.Seconds
	result.NetworkOpen, result.Made, result.Altered = parsed.NetworkOpen, parsed.Made, parsed.Altered
	result.Started, result.Stdout, result.Stderr = parsed.Started, parsed.Stdout, parsed.Stderr
	return result, nil
}
