package image

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// session is one run of the stage.
type session struct {
	client *dagger.Client
	engine *engine.Runner
	in     Input
	stage  *verdict.Stage
	// id makes this run's services and volumes its own.
	id string
	// appDir is where the application is in the image.
	appDir string
	// project is what the packages in the image are installed from; nil for a Dockerfile of the source, which knows its own.
	project *pyenv.Project
}

// Run builds the image, pulls it from a registry by its digest, judges it, runs it and, if a
// registry is configured, pushes that digest. It always returns a result with a judged stage.
// Reference is set only if everything passed.
//
// The order matters: nothing is pushed to a real registry before the image has been
// pulled back from the sandbox's registry, inspected, started and found healthy; and only the
// commit's tag is set before the digest has been read back.
func Run(ctx context.Context, client *dagger.Client, in Input) *Result {
	result := &Result{Stage: verdict.Stage{Name: verdict.Image}}
	s := &session{client: client, engine: in.Engine, in: in, stage: &result.Stage, id: newID(), appDir: AppDir}
	if s.engine == nil {
		s.engine = engine.New(client, engine.Options{})
		defer func() {
			if err := s.engine.Close(ctx); err != nil {
				s.stage.Add("not stopped", s.plain(err))
			}
		}()
	}
	result.Stage.Judge(s.run(ctx, result)...)
	if result.Stage.Verdict != verdict.Pass {
		result.Reference = imageref.Reference{}
	}
	return result
}

// newID returns a random name part for a run's services and volumes: the engine shares equal ones.
func newID() string {
	id := make([]byte, 8)
	// rand.Read never fails (Go 1.24 and later).
	if _, err := rand.Read(id); err != nil {
		panic(err)
	}
	return hex.EncodeToString(id)
}

func (s *session) redact(text string) string {
	if s.in.Redact == nil {
		return text
	}
	return s.in.Redact(text)
}

func (s *session) run(ctx context.Context, result *Result) []*verdict.Problem {
	plan, problems := s.check()
	if len(problems) > 0 {
		return problems
	}
	s.stage.Add("model", s.modelName())
	ahead := s.in.Ahead
	if ahead == nil {
		ahead = s.begin(ctx)
		defer ahead.Close(ctx)
	}
	// The registry starts while the image is built.
	built, problem := builder{s}.build(ctx)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	result.Container = built.container
	if s.in.Ahead != nil {
		result.Export = func(ctx context.Context, dir string) error {
			return s.export(ctx, ahead, built, plan, result.Reference.Digest, dir)
		}
	}
	s.stage.Add("base image", built.base)
	without, key := "", ""
	if ahead.memory != nil && built.foundation != nil {
		without = builder{s}.withoutModel(ctx, built.foundation)
		key = builder{s}.buildKey(ctx, without, built)
	}
	if known := ahead.memory.recall(ctx, key); known != nil {
		if reference, err := imageref.ParsePinned(known.Reference); err == nil {
			known.tell(s.stage, "this image was pushed, inspected, started and answered")
			result.Reference = reference
			return nil
		}
	}
	judged := verdict.Stage{}
	candidate, problems := s.with(&judged).judge(ctx, ahead, built, plan)
	s.take(judged)
	if candidate != nil {
		result.Reference = candidate.reference
	}
	if len(problems) > 0 {
		return problems
	}
	if !s.in.Push.real() {
		ahead.memory.keep(key, proof{WithoutModel: without, Reference: candidate.reference.String()}, &judged)
		ahead.memory.remember(ctx)
		return nil
	}
	pushed, problems := pusher{s}.push(ctx, candidate, plan)
	if len(problems) > 0 {
		return problems
	}
	result.Reference = pushed
	return nil
}

// export writes the image into a local directory. It comes from the sandbox's registry, to which an
// image with a stored proof was not pushed yet.
func (s *session) export(ctx context.Context, ahead *Ahead, built *built, plan plan, digest, dir string) error {
	registry, problem := ahead.open(ctx)
	if problem != nil {
		return problem
	}
	candidate, problem := pusher{s.with(&verdict.Stage{})}.pushSandbox(ctx, registry, built.container, plan)
	if problem != nil {
		return problem
	}
	if candidate.digest != digest {
		return fmt.Errorf("read image: it is %s now, and was %s", candidate.digest, digest)
	}
	return oci.Write(candidate.image, dir)
}

// judge pushes the image to the sandbox's registry, pulls it by its digest, inspects it, and
// runs it. The candidate is nil if it could not be pulled.
func (s *session) judge(ctx context.Context, ahead *Ahead, built *built, plan plan) (*candidate, []*verdict.Problem) {
	registry, problem := ahead.open(ctx)
	if problem != nil {
		return nil, []*verdict.Problem{problem}
	}
	candidate, problem := pusher{s}.pushSandbox(ctx, registry, built.container, plan)
	if problem != nil {
		return nil, []*verdict.Problem{problem}
	}
	s.stage.Add("image digest", candidate.digest)
	problems := inspector{s}.judgeConfig(candidate)
	pulled := s.platform().From(candidate.reference.String(), dagger.ContainerFromOpts{RegistryService: registry.service})
	problems = append(problems, s.aside(
		func(s *session) []*verdict.Problem { return inspector{s}.inspect(ctx, pulled, built) },
		func(s *session) []*verdict.Problem { return inspector{s}.score(ctx, pulled) })...)
	// Nothing else runs meanwhile, because the start is timed.
	problems = append(problems, prover{s}.proveOnce(ctx, ahead.memory, pulled, candidate.digest)...)
	if s.in.Config.Image.Page == "" {
		s.stage.Warn(WarnNoPage, "image.page is empty")
	}
	describer{s}.addUsage(candidate)
	return candidate, problems
}

// with returns a copy of the session that writes to another stage.
func (s *session) with(stage *verdict.Stage) *session {
	other := *s
	other.stage = stage
	return &other
}

// aside runs functions concurrently, each with a stage of its own, and joins their results in
// the order of the functions.
func (s *session) aside(all ...func(*session) []*verdict.Problem) []*verdict.Problem {
	stages, found := make([]verdict.Stage, len(all)), make([][]*verdict.Problem, len(all))
	var group sync.WaitGroup
	for i, do := range all {
		group.Go(func() {
			found[i] = do(s.with(&stages[i]))
		})
	}
	group.Wait()
	for _, stage := range stages {
		s.take(stage)
	}
	return slices.Concat(found...)
}

// take appends the content of another stage.
func (s *session) take(other verdict.Stage) {
	s.stage.Evidence = append(s.stage.Evidence, other.Evidence...)
	s.stage.Measures = append(s.stage.Measures, other.Measures...)
	s.stage.Warnings = append(s.stage.Warnings, other.Warnings...)
	s.stage.Blocks = append(s.stage.Blocks, other.Blocks...)
	s.stage.Files = append(s.stage.Files, other.Files...)
}

// check returns every problem of the input before any work is done.
func (s *session) check() (plan, []*verdict.Problem) {
	problems := checkConfig(s.in.Config.Image)
	if s.in.Model == nil || s.in.ModelFiles == nil || s.in.Model.SHA256 == "" {
		problems = append(problems, verdict.Problemf(CodeModelMissing, "no gated model was handed to the image stage"))
	} else if problem := s.checkModel(); problem != nil {
		problems = append(problems, problem)
	}
	p, err := s.plan()
	if err != nil {
		problems = append(problems, verdict.Problemf(CodeConfigInvalid, "%v", err))
	}
	return p, problems
}

func (s *session) modelName() string {
	name := fmt.Sprintf("%s, sha256 %s", s.in.Model.File, s.in.Model.SHA256)
	if s.in.Version != nil {
		return "version " + strconv.Itoa(s.in.Version.Number) + ", " + name
	}
	return name + " (not published)"
}
