// Package assembly puts the pipeline together with a place to run it: a Dagger engine
// or this host. It holds no rule of either.
package assembly

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Engine is a pipeline on a Dagger engine.
type Engine struct {
	// Backend is what the pipeline runs on.
	Backend pipeline.Backend
	// Runner runs its steps. The caller closes it.
	Runner *engine.Runner
	push   Push
	// ahead is what the image stage has begun before its turn; nil until then.
	ahead *image.Ahead
	// Image is the image that the run built and that passed; nil until then.
	Image *dagger.Container
}

// Push says where images go outside of the sandbox.
type Push struct {
	// Address is registry/repository without tag; pipeline.yaml's when empty.
	Address string
	// Username and Password log in to the registry; nil when it needs no login.
	Username, Password *dagger.Secret
	// AWS are credentials that a login to ECR is made from; all nil for other registries.
	AWS image.AWS
}

// OnEngine makes a pipeline of a source directory inside of a module function, where the
// engine's network is in reach. work is an existing directory of this process's file system.
//
// index is the address of a package index to install from; nil means PyPI. history is the .git
// directory of the source's repository; nil where nothing asks what changed.
func OnEngine(client *dagger.Client, source *dagger.Directory, work string, push Push, index *dagger.Secret, history *dagger.Directory) *Engine {
	r := engine.New(client, engine.Options{Index: index})
	assembled := &Engine{Runner: r, push: push}
	assembled.Backend = pipeline.Backend{Runner: r, Source: r.Source(source), WorkDir: work}
	assembled.Backend.Root = func(ctx context.Context) ([]string, error) { return source.Entries(ctx) }
	assembled.Backend.Import = func(dir string) (runner.Files, error) {
		return r.Source(client.CurrentModule().Workdir(dir)), nil
	}
	if history != nil {
		assembled.Backend.Changes = func(ctx context.Context, since string) (changed, removed []string, err error) {
			return gitChanges(ctx, client, source, history, since)
		}
	}
	assembled.Backend.WarmUp = assembled.warmUp
	assembled.Backend.BuildImage = assembled.buildImage
	return assembled
}

// Close ends everything that the pipeline started.
func (e *Engine) Close(ctx context.Context) error {
	if e.ahead != nil {
		e.ahead.Close(ctx)
	}
	return e.Runner.Close(ctx)
}

// warmUp begins the image while the model is being trained. If that fails, the image stage
// fails in the same way and reports it.
func (e *Engine) warmUp(ctx context.Context, request pipeline.ImageRequest) {
	if in, err := e.input(ctx, request); err == nil {
		e.ahead = image.Begin(ctx, e.Runner.Client(), in)
	}
}

// input is the image stage's, without a model.
func (e *Engine) input(ctx context.Context, request pipeline.ImageRequest) (image.Input, error) {
	source, err := e.Runner.Directory(request.Source)
	if err != nil {
		return image.Input{}, fmt.Errorf("use source: %w", err)
	}
	destination := image.Push{
		Address: e.push.Address, Password: e.push.Password, AWS: e.push.AWS,
		Sandbox: request.Environment == config.Sandbox || !request.Pushes,
	}
	if e.push.Username != nil {
		if destination.Username, err = e.push.Username.Plaintext(ctx); err != nil {
			return image.Input{}, fmt.Errorf("read the registry's user name: %w", err)
		}
	}
	// The native runner takes any free port; an image has the one it declares.
	cfg := request.Config
	cfg.Image.Command = withPort(cfg.Image)
	return image.Input{
		Config: cfg, Source: source,
		Environment: request.Environment, Ref: request.Ref, Commit: request.Commit, CommitTime: request.CommitTime,
		Push: destination, Engine: e.Runner, Redact: request.Redact,
	}, nil
}

func (e *Engine) buildImage(ctx context.Context, request pipeline.ImageRequest) *pipeline.ImageResult {
	result := &pipeline.ImageResult{Stage: verdict.Stage{Name: verdict.Image}}
	in, err := e.input(ctx, request)
	if err != nil {
		result.Stage.Judge(verdict.Problemf(image.CodeBuildFailed, "%v", err))
		return result
	}
	if in.ModelFiles, err = e.Runner.Directory(request.Model.Files); err != nil {
		result.Stage.Judge(verdict.Problemf(image.CodeBuildFailed, "use model: %v", err))
		return result
	}
	in.Push = permitted(in.Push, request.Permit)
	in.Model, in.Version, in.Ahead = request.Model, request.Version, e.ahead
	built := image.Run(ctx, e.Runner.Client(), in)
	result.Stage, result.Reference, result.Digest = built.Stage, built.Reference, built.Digest
	if built.Stage.Verdict == verdict.Pass {
		e.Image = built.Container
	}
	return result
}

// permitted is where an image may go: without the gate's permit it keeps its name, and stays in
// the sandbox's registry without any login.
func permitted(to image.Push, permit policy.Permit) image.Push {
	if permit.Allows(verdict.Image) {
		return to
	}
	return image.Push{Address: to.Address, Sandbox: true}
}

// withPort is the application's command with {{port}} filled in.
func withPort(app config.Image) []string {
	command := make([]string, len(app.Command))
	for i, arg := range app.Command {
		command[i] = strings.ReplaceAll(arg, "{{port}}", strconv.Itoa(app.Port))
	}
	return command
}
