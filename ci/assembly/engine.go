// Package assembly puts the pipeline together with a place to run it: a Dagger engine
// or this host. It holds no rule of either.
package assembly

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Engine is a pipeline on a Dagger engine.
type Engine struct {
	// Backend is what the pipeline runs on.
	Backend pipeline.Backend
	// Runner runs its steps. The caller closes it.
	Runner *engine.Runner
	// registry is the sandbox's, started ahead of the image that goes there; nil outside of it.
	registry *dagger.Service
	// Image is the image that the run built and that passed; nil until then.
	Image *dagger.Container
}

// Push says where images go outside of the sandbox.
type Push struct {
	// Address is registry/repository without tag; pipeline.yaml's when empty.
	Address string
	// Username and Password log in to the registry; nil when it needs no login.
	Username, Password *dagger.Secret
}

// OnEngine makes a pipeline of a source directory inside of a module function, where the
// engine's network is in reach. work is an existing directory of this process's file system.
func OnEngine(client *dagger.Client, source *dagger.Directory, work string, push Push) *Engine {
	r := engine.New(client, engine.Options{})
	assembled := &Engine{Runner: r}
	assembled.Backend = pipeline.Backend{Runner: r, Source: r.Source(source), WorkDir: work}
	assembled.Backend.WarmUp = assembled.warmUp
	assembled.Backend.BuildImage = func(ctx context.Context, request pipeline.ImageRequest) *pipeline.ImageResult {
		return assembled.buildImage(ctx, request, push)
	}
	return assembled
}

// warmUp starts the sandbox's registry while the model is still in the making. If that
// fails, the image stage finds out, and says so.
func (e *Engine) warmUp(ctx context.Context, environment string) {
	if environment != config.Sandbox {
		return
	}
	e.registry = image.NewSandboxRegistry(e.Runner.Client(), e.Runner.ID())
	go func() {
		if _, err := e.Runner.Serve(ctx, "registry", e.registry, image.SandboxPort, "", time.Minute); err != nil {
			return
		}
	}()
}

func (e *Engine) buildImage(ctx context.Context, request pipeline.ImageRequest, push Push) *pipeline.ImageResult {
	result := &pipeline.ImageResult{Stage: verdict.Stage{Name: verdict.Image}}
	source, err := e.Runner.Directory(request.Source)
	if err != nil {
		result.Stage.Judge(verdict.Problemf(image.CodeBuildFailed, "use source: %v", err))
		return result
	}
	files, err := e.Runner.Directory(request.Model.Files)
	if err != nil {
		result.Stage.Judge(verdict.Problemf(image.CodeBuildFailed, "use model: %v", err))
		return result
	}
	destination := image.Push{Address: push.Address, Password: push.Password, Sandbox: request.Environment == config.Sandbox, Service: e.registry}
	if push.Username != nil {
		if destination.Username, err = push.Username.Plaintext(ctx); err != nil {
			result.Stage.Judge(verdict.Problemf(image.CodeBuildFailed, "%v", fmt.Errorf("read the registry's user name: %w", err)))
			return result
		}
	}
	// The native runner takes any free port; an image has the one it declares.
	cfg := request.Config
	cfg.Image.Command = withPort(cfg.Image)
	built := image.Run(ctx, e.Runner.Client(), image.Input{
		Config: cfg, Source: source, ModelFiles: files, Model: request.Model, Version: request.Version,
		Environment: request.Environment, Ref: request.Ref, Commit: request.Commit, CommitTime: request.CommitTime,
		Push: destination, Engine: e.Runner,
	})
	result.Stage, result.Reference, result.Digest = built.Stage, built.Reference, built.Digest
	if built.Stage.Verdict == verdict.Pass {
		e.Image = built.Container
	}
	return result
}

// withPort is the application's command with {{port}} filled in.
func withPort(app config.Image) []string {
	command := make([]string, len(app.Command))
	for i, arg := range app.Command {
		command[i] = strings.ReplaceAll(arg, "{{port}}", strconv.Itoa(app.Port))
	}
	return command
}
