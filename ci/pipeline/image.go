package pipeline

import (
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ImageRequest is what an image is made of.
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
	// Redact hides the run's secrets in what the application prints; nil hides nothing.
	Redact func(string) string
}

// ImageResult is the verdict on an image, and its reference by digest.
type ImageResult struct {
	Stage     verdict.Stage
	Reference string
	Digest    string
}

// imageRequest is as much of the image's request as does not wait for a model.
func (p *progress) imageRequest() ImageRequest {
	return ImageRequest{
		Config: p.cfg, Source: p.backend.Source,
		Environment: p.opts.Environment, Ref: p.opts.Ref, Commit: p.opts.Commit, CommitTime: p.args.commitTime, Redact: p.run.Redact,
	}
}

func (p *progress) image() verdict.Stage {
	request := p.imageRequest()
	request.Model, request.Version = p.outcome.Model, p.outcome.Version
	decision := p.decisions[verdict.Image]
	if decision.Run {
		result := p.backend.BuildImage(p.ctx, request)
		p.outcome.Image, p.run.Image, p.run.ImageDigest = result.Reference, result.Reference, result.Digest
		return result.Stage
	}
	// No engine, so no image. The application can still be shown to start and answer
	// with this model; if it does not, no image of it would.
	stage := p.backend.ServeApp(p.ctx, request).Stage
	if stage.Verdict == verdict.Pass {
		stage.Verdict, stage.Code, stage.Cause, stage.Next = verdict.NotRun, decision.Code, decision.Reason, policy.CodeNoEngine.Remedy
	}
	return stage
}
