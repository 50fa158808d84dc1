// Package assembly connects the pipeline to a place to run it: a Dagger engine or this host.
// It has no rules of its own.
package assembly

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/supply"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Engine is a pipeline on a Dagger engine.
type Engine struct {
	// Backend is where the pipeline runs.
	Backend pipeline.Backend
	// Runner runs its steps. The caller closes it.
	Runner *engine.Runner
	push   Push
	// ahead is the part of the image stage that was started early; nil until then.
	ahead *image.Ahead
	// Image is the image that the run built and that passed; nil until then.
	Image *dagger.Container
}

// Push is where images go outside of the sandbox.
type Push struct {
	// Address is registry/repository without tag; pipeline.yaml's when empty.
	Address string
	// Username and Password log in to the registry; nil when it needs no login.
	Username, Password *dagger.Secret
	// AWS are credentials that a login to ECR is made from; all nil for other registries.
	AWS image.AWS
}

// OnEngine returns the pipeline of a source directory for a module function, which can reach
// the engine's network. work is an existing directory of this process's file system.
//
// index is the address of a package index to install from; nil means PyPI. history is the .git
// directory of the source's repository; nil when nothing needs the changes.
func OnEngine(
	client *dagger.Client, source *dagger.Directory, work string, push Push, index *dagger.Secret, history *dagger.Directory,
) *Engine {
	r := engine.New(client, engine.Options{Index: index})
	assembled := &Engine{Runner: r, push: push}
	assembled.Backend = pipeline.Backend{Runner: r, Source: r.Source(source), WorkDir: work, Again: runner.Again{Engine: true}}
	assembled.Backend.Root = func(ctx context.Context) ([]string, error) { return source.Entries(ctx) }
	assembled.Backend.Import = func(dir string) (runner.Files, error) {
		return r.Source(client.CurrentModule().Workdir(dir)), nil
	}
	assembled.Backend.Tool = once(engineTool(client, func(dir *dagger.Directory) runner.Files { return r.Source(dir) }))
	assembled.Backend.AdvisoriesURL = AdvisoriesURL
	assembled.Backend.Advisories = func(ctx context.Context) (string, error) {
		return engineAdvisories(ctx, client, AdvisoriesURL, work)
	}
	assembled.Backend.ImageAdvisories = onceFile(func(ctx context.Context) (string, error) {
		return engineGrype(ctx, client, GrypeURL, work)
	})
	if history != nil {
		assembled.Backend.Changes = func(ctx context.Context, since string) (changed, removed []string, err error) {
			return gitChanges(ctx, client, source, history, since)
		}
		assembled.Backend.Patch = func(ctx context.Context, since string) (string, error) {
			return gitPatch(ctx, client, source, history, since)
		}
	}
	if history != nil {
		assembled.Backend.History = func(ctx context.Context, out string) (supply.History, error) {
			dir := filepath.Join(work, "repository")
			if _, err := history.Export(ctx, dir); err != nil {
				return supply.History{}, fmt.Errorf("read --git: %w", err)
			}
			return gitHistory(dir)(ctx, out)
		}
	}
	assembled.Backend.Memory = assembled.memory
	assembled.Backend.WarmUp = assembled.warmUp
	assembled.Backend.BuildImage = assembled.buildImage
	return assembled
}

// Close stops everything that the pipeline started.
func (e *Engine) Close(ctx context.Context) error {
	if e.ahead != nil {
		e.ahead.Close(ctx)
	}
	return e.Runner.Close(ctx)
}

// warmUp starts the image's build while the model is being trained. If that fails, the image
// stage fails in the same way and reports it.
func (e *Engine) warmUp(ctx context.Context, request pipeline.ImageRequest) {
	if in, err := e.input(ctx, request); err == nil {
		e.ahead = image.Begin(ctx, e.Runner.Client(), in)
	}
}

// memory is stored beside the proofs of images. It is nil if the call builds no image, or builds one for a real
// registry.
func (e *Engine) memory() supply.Memory {
	if e.ahead == nil {
		return nil
	}
	return e.ahead
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
	// The native runner uses any free port; an image has a fixed one.
	cfg := request.Config
	cfg.Image.Command = withPort(cfg.Image)
	return image.Input{
		Config: cfg, Source: source,
		Environment: request.Environment, Ref: request.Ref, Commit: request.Commit, CommitTime: request.CommitTime,
		Push: destination, Engine: e.Runner, Redact: request.Redact, Tell: request.Tell,
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
	result.Stage, result.Reference, result.Export = built.Stage, built.Reference, built.Export
	if built.Stage.Verdict == verdict.Pass {
		e.Image = built.Container
	}
	return result
}

// permitted is where an image may be pushed: without the gate's permit only to the sandbox's
// registry, under the same name and without a login.
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
