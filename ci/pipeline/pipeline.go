// Package pipeline runs the stages in their order and hands on what each made: tests
// and training side by side, then publish, image and rollout, each only when all
// before it passed. It decides nothing about a stage's content, and everything about
// what runs after what.
package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Options are the arguments of a run.
type Options struct {
	// Environment is sandbox, staging, production, or one that pipeline.yaml declares. Empty means sandbox.
	Environment string
	// Ref is the branch, tag or pull request the run is for; the policy goes by it. Empty means main.
	Ref string
	// Commit is the revision, for labels and tags; it never keys a cache.
	Commit string
	// CommitTime dates the image, in RFC 3339; empty means 1970, never now.
	CommitTime string
	// Event is what the CI system runs for: push, pull_request. A pull request never publishes.
	Event string
	// Stages limits the run to these stages; all when empty. The policy still counts.
	Stages []string
	// Image is the image to roll out, by digest, when the run does not build one.
	Image string
	// Data is a data set to train on; nil trains on what the application brings.
	Data runner.Files
	// Python overrides the version in pipeline.yaml.
	Python string
	// Platform overrides the image's in pipeline.yaml, and with it the rollout's.
	Platform string
	// Test and Train narrow or override these stages.
	Test  TestOptions
	Train TrainOptions
	// Target is where the model is published. The sandbox starts its own servers instead.
	Target publish.Target
	// Rollout says how the service is operated outside of the sandbox.
	Rollout RolloutOptions
	// Servers are running servers that the sandbox uses instead of starting its own.
	Servers Servers
	// Secrets are secrets besides those of Target that the run was given; the report shows none of them.
	Secrets []runner.Secret
	// Module is this program's version, for the report.
	Module string
}

// Servers are an MLflow server and an S3 API. A nil one is started by the run.
type Servers struct {
	MLflow, S3 *runner.Running
}

// Backend is where a run happens.
type Backend struct {
	// Runner runs steps and services.
	Runner runner.Runner
	// Source is the application's tree.
	Source runner.Files
	// BuildImage builds, probes and pushes the image. Nil where there is no engine.
	BuildImage func(ctx context.Context, request ImageRequest) *ImageResult
	// WarmUp begins what BuildImage can do without Model and Version, in the background; nil
	// when there is nothing.
	WarmUp func(ctx context.Context, request ImageRequest)
	// ServeApp starts the application as a process with the model and probes it:
	// what can be shown of the image where there is no engine. Nil where there is one.
	ServeApp func(ctx context.Context, request ImageRequest) *ImageResult
	// Changes tells what differs from a revision; nil where the history is not known.
	Changes Changes
	// WorkDir is an existing directory of this process's file system.
	WorkDir string
	// Import makes a directory below WorkDir a tree for steps.
	Import func(dir string) (runner.Files, error)
}

// Outcome is what a run made.
type Outcome struct {
	// Run is the verdict with the report's content.
	Run *verdict.Run
	// Model is the gated model; nil when there is none.
	Model *model.Artifact
	// Version is the published version; nil when there is none.
	Version *model.Version
	// Image is the image's reference by digest; empty when there is none.
	Image string
	// Plan is the rollout's plan; nil when there is none.
	Plan *rollout.Plan
}

// maxConfig bounds pipeline.yaml before it is parsed.
const maxConfig = 1 << 20

// Configure reads pipeline.yaml of a source for an environment. All its problems come
// back at once, as the problems of the preflight.
func Configure(ctx context.Context, source runner.Files, environment string) (config.Config, []*verdict.Problem) {
	// Listed first: it is needed anyway, and then nobody has to be asked for what is not there.
	_, err := source.List(ctx)
	var content []byte
	if err == nil {
		content, err = source.Read(ctx, config.FileName, maxConfig)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		content = nil
	case errors.Is(err, runner.ErrTooLarge):
		return config.Config{}, []*verdict.Problem{verdict.Problemf(config.CodeInvalid, "%s is larger than %d bytes", config.FileName, maxConfig)}
	case err != nil:
		return config.Config{}, []*verdict.Problem{verdict.Problemf(CodeSourceUnreadable, "read %s: %v", config.FileName, err)}
	}
	cfg, err := config.Load(content, environment)
	if err == nil {
		return cfg, nil
	}
	var all *config.Errors
	if !errors.As(err, &all) {
		return config.Config{}, []*verdict.Problem{verdict.Problemf(config.CodeInvalid, "%v", err)}
	}
	// A line for each: whoever mends the file wants to see all of them.
	var problems []*verdict.Problem
	for _, found := range all.Problems {
		problems = append(problems, verdict.Problemf(config.CodeInvalid, "%s", found))
	}
	return config.Config{}, problems
}

// Prepare fills an environment's defaults, reads the configuration, looks at the source
// and decides which stages run. The run it returns is already refused when anything
// is wrong with them.
func Prepare(ctx context.Context, backend Backend, opts Options) (*verdict.Run, config.Config, []policy.Decision) {
	if opts.Environment == "" {
		opts.Environment = "sandbox"
	}
	if opts.Ref == "" {
		opts.Ref = "main"
	}
	if opts.Module == "" {
		opts.Module = Version
	}
	run := &verdict.Run{
		Environment: opts.Environment, Ref: opts.Ref, Commit: opts.Commit, Module: opts.Module,
		Runner: backend.Runner.Name(), Started: time.Now().UTC(), Redact: opts.redactor(ctx),
	}
	if live, ok := backend.Runner.(runner.Talkative); ok {
		live.Redact(run.Redact)
	}
	_, problems := parseArguments(opts)
	cfg, more := Configure(ctx, backend.Source, opts.Environment)
	if len(more) == 0 {
		more = checkSource(ctx, backend.Source, cfg)
	}
	problems = append(problems, more...)
	if len(problems) > 0 {
		run.Refuse(problems...)
		for _, name := range verdict.Stages() {
			if opts.wants(name) {
				run.Stages = append(run.Stages, blocked(name, verdict.Preflight))
			}
		}
		return run, cfg, nil
	}
	if opts.Python != "" {
		cfg.Python = opts.Python
	}
	if opts.Platform != "" {
		cfg.Image.Platform = opts.Platform
	}
	run.Application = cfg.Name
	tree, err := backend.Source.Filter(nil, cfg.Exclude).Digest(ctx)
	if err != nil {
		run.Refuse(verdict.Problemf(CodeSourceUnreadable, "digest source: %v", err))
		return run, cfg, nil
	}
	run.Tree = tree
	return run, cfg, policy.Decide(cfg, policy.Request{Ref: opts.Ref, Environment: opts.Environment, Runner: backend.Runner.Name(), Event: opts.Event})
}

// Run runs the pipeline. It always returns an outcome with a complete, judged run.
func Run(ctx context.Context, backend Backend, opts Options) *Outcome {
	started := time.Now()
	run, cfg, decisions := Prepare(ctx, backend, opts)
	opts.Environment, opts.Ref = run.Environment, run.Ref
	p := &progress{ctx: ctx, backend: backend, opts: opts, cfg: cfg, run: run}
	p.outcome.Image = opts.Image
	if run.Preflight == nil {
		// Prepare has checked them.
		p.args, _ = parseArguments(opts)
		p.decide(decisions)
		p.stages()
	}
	if live, ok := backend.Runner.(runner.Talkative); ok {
		for _, w := range live.Warnings() {
			run.Warn(w.Code, "%s", w.Text)
		}
	}
	run.Seconds = time.Since(started).Seconds()
	run.Judge()
	p.outcome.Run = run
	return &p.outcome
}

// progress is one run under way.
type progress struct {
	ctx       context.Context
	backend   Backend
	opts      Options
	args      arguments
	cfg       config.Config
	run       *verdict.Run
	decisions map[string]policy.Decision
	outcome   Outcome
}

func (p *progress) decide(decisions []policy.Decision) {
	p.decisions = map[string]policy.Decision{}
	for _, decision := range decisions {
		p.decisions[decision.Stage] = decision
	}
}

func (p *progress) stages() {
	servers := p.startServers()
	defer func() {
		if err := servers.stop(p.ctx); err != nil {
			p.run.Warn(CodeNotStopped, "%v", err)
		}
	}()

	if p.backend.WarmUp != nil && p.opts.wants(verdict.Image) && p.decisions[verdict.Image].Run {
		p.backend.WarmUp(p.ctx, p.imageRequest())
	}

	// Tests and training need nothing of each other.
	var group sync.WaitGroup
	first := make([]*verdict.Stage, 2)
	group.Go(func() { first[0] = p.stage(verdict.Test, nil, p.test) })
	group.Go(func() { first[1] = p.stage(verdict.Train, nil, p.train) })
	group.Wait()
	p.add(first...)

	// Each of these takes only what passed everything before it.
	p.add(p.stage(verdict.Publish, p.run.Stages, func() verdict.Stage { return p.publish(servers) }))
	// Nobody needs them any more, and ending takes them a second or two.
	servers.retire(p.ctx)
	p.add(p.stage(verdict.Image, p.run.Stages, p.image))
	p.add(p.stage(verdict.Deploy, p.run.Stages, p.deploy))
}

// add adds the stages that are part of this run.
func (p *progress) add(stages ...*verdict.Stage) {
	for _, stage := range stages {
		if stage != nil {
			p.run.Stages = append(p.run.Stages, *stage)
		}
	}
}

// wants says whether a stage is part of the run.
func (o Options) wants(stage string) bool {
	return len(o.Stages) == 0 || slices.Contains(o.Stages, stage)
}

// stage runs one stage if it is part of the run, the policy lets it and everything
// before it passed, and records its time. It is nil for a stage that is not part of the run.
func (p *progress) stage(name string, before []verdict.Stage, run func() verdict.Stage) *verdict.Stage {
	if !p.opts.wants(name) {
		return nil
	}
	decision := p.decisions[name]
	if !decision.Run && decision.Code != policy.CodeNoEngine.Name {
		stage := decision.NotRun()
		return &stage
	}
	for _, earlier := range before {
		if earlier.Verdict != verdict.Pass && earlier.Verdict != verdict.NotRun {
			stage := blocked(name, earlier.Name)
			return &stage
		}
	}
	started := time.Now()
	stage := run()
	stage.Name = name
	stage.Took(started)
	return &stage
}
