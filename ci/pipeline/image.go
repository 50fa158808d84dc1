package pipeline

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ImageRequest is the input of an image build.
type ImageRequest struct {
	Config      config.Config
	Source      runner.Files
	Model       *model.Artifact
	Version     *model.Version
	Environment string
	Ref         string
	Commit      string
	// CommitTime is in UTC.
	CommitTime time.Time
	// Pushes is set if the image will be pushed once the gate permits it; Permit is that permit. Without a permit nothing is
	// pushed.
	Pushes bool
	Permit policy.Permit
	// Redact masks secrets in the application's output; nil masks nothing.
	Redact func(string) string
	// Tell receives a line while a slow start is in progress; it may be nil.
	Tell func(line string)
}

// Answered is the key of the evidence for how soon the application answered, such as "after 1.7 s".
const Answered = "healthy"

// ImageResult is the verdict on an image, with its reference by digest.
type ImageResult struct {
	Stage verdict.Stage
	// Reference is the zero value unless the stage passed.
	Reference imageref.Reference
	// Export writes the image into a local directory in the form that supply.Image reads; nil if there is no image.
	Export func(ctx context.Context, dir string) error
}

// imageRequest returns the parts of the request that do not depend on a model.
func (s *call) imageRequest() ImageRequest {
	leftOut := func(needed string) bool { return !s.opts.wants(needed) }
	return ImageRequest{
		Config: s.cfg, Source: s.backend.Source,
		Environment: s.opts.Environment, Ref: s.opts.Ref, Commit: s.opts.Commit, CommitTime: s.args.commitTime, Redact: s.run.Redact,
		// If the run lacks a stage that a push requires, the image is only built.
		Pushes: !s.opts.sandbox() && !slices.ContainsFunc(verdict.Requires(verdict.Image), leftOut),
	}
}

// warmUp starts the image's build while tests and training run.
func (s *state) warmUp(ctx context.Context) {
	if s.backend.WarmUp != nil {
		s.backend.WarmUp(ctx, s.imageRequest())
	}
}

// appMissing reports a start command whose file is not in the source. Files that the training creates beside the model are
// not expected there.
func (s *call) appMissing() *verdict.Problem {
	if s.cfg.Image.Dockerfile != "" {
		return nil
	}
	for _, arg := range s.cfg.Image.Command {
		name := path.Clean(arg)
		if !scriptName.MatchString(arg) || strings.HasPrefix(name, path.Clean(s.cfg.Image.ModelDir)+"/") || slices.Contains(s.files, name) {
			continue
		}
		return verdict.Problemf(CodeAppMissing, "image.command starts %s, which the source does not have", arg)
	}
	return nil
}

// built records the run's image; the zero value means none.
func (s *state) built(image imageref.Reference) {
	s.outcome.Image, s.run.Image, s.run.ImageDigest = image.Written(), image.Written(), image.Digest
}

// scriptName returns the source file that the command runs with Python or a program such as Streamlit.
var scriptName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*\.py$`)

func (s *state) image(ctx context.Context, permit policy.Permit) verdict.Stage {
	if s.outcome.Model == nil {
		return failed(verdict.Image,
			verdict.Problemf(policy.CodeBlocked.In(verdict.Image), "there is no model: train has no verdict in this run"))
	}
	request := s.imageRequest()
	request.Model, request.Version, request.Permit = s.outcome.Model, s.outcome.Version, permit
	request.Tell = func(line string) { s.progress.say("image: %s", s.line(line)) }
	decision := s.gate.Decision(verdict.Image)
	if decision.Run {
		result := s.backend.BuildImage(ctx, request)
		s.built(result.Reference)
		s.export = result.Export
		if !s.opts.sandbox() && !permit.Allows(verdict.Image) {
			result.Stage.Add("pushed", "no: this call runs no tests and publishes no model")
		}
		return result.Stage
	}
	// Without an engine no image is built, but the application can still be started with the model and probed. If that fails
	// here, it would fail in an image.
	stage := s.backend.ServeApp(ctx, request).Stage
	if stage.Verdict == verdict.Pass {
		cause := "no image was built; the application answered as a process"
		if at := slices.IndexFunc(stage.Evidence, func(e verdict.Evidence) bool { return e.Name == Answered }); at >= 0 {
			cause += " " + stage.Evidence[at].Value
		}
		stage.Verdict, stage.Code, stage.Cause, stage.Next = verdict.NotRun, decision.Code, cause, policy.CodeNoEngine.Remedy
	}
	return stage
}
