package pipeline

import (
	"context"
	"errors"

	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TrainOptions adjust training.
type TrainOptions struct {
	// Params are added to the training command as --key value, each given as key=value.
	Params []string
	// Threads is how many CPU threads training uses; 0 for the stage's default.
	Threads int
	// Twice trains a second time and compares both models.
	Twice bool
	// Champion is a file with the metrics of the model in production; nil asks the MLflow registry.
	Champion *ChampionFile
}

// ChampionFile is a file of metrics as train.ParseChampion reads it.
type ChampionFile struct {
	// Name is for messages.
	Name string
	// Content is the file's.
	Content []byte
}

func (p *progress) train() verdict.Stage {
	in := p.trainInput()
	in.Twice, in.FindChampion = p.opts.Train.Twice, p.champion
	result := train.Run(p.ctx, p.backend.Runner, in)
	p.outcome.Model = result.Model
	if result.Model != nil {
		p.run.ModelSHA256 = result.Model.SHA256
	}
	return result.Stage
}

// champion asks for the model in production: the file that the caller gave, else the
// champion alias of the registry that this run would publish to. It is asked here, in this
// process: the training itself never sees an address or a credential.
func (p *progress) champion(ctx context.Context) (train.Incumbent, *verdict.Problem) {
	if file := p.opts.Train.Champion; file != nil {
		champion, problem := train.ParseChampion(file.Name, file.Content)
		return train.Incumbent{Champion: champion, Asked: "file " + file.Name}, problem
	}
	target := p.opts.Target
	if p.opts.Environment == "sandbox" {
		if p.opts.Servers.MLflow == nil {
			return train.Incumbent{Asked: "the sandbox's registry, which begins empty"}, nil
		}
		target = publish.Target{TrackingURI: "http://" + p.opts.Servers.MLflow.Address}
	}
	if target.TrackingURI == "" {
		return train.Incumbent{}, nil
	}
	asked := train.Incumbent{Asked: "alias " + publish.ChampionAlias + " of the MLflow registry"}
	found, err := publish.ChampionOf(ctx, publish.Input{Config: p.cfg, Environment: p.opts.Environment, Target: target})
	if errors.Is(err, publish.ErrChampionLost) {
		return asked, verdict.Problemf(train.ChampionLost, "%v", err)
	}
	if err != nil {
		cause := err.Error()
		// Its own line would name the publish stage, which has not run.
		if problem := (*verdict.Problem)(nil); errors.As(err, &problem) {
			cause = problem.Cause
		}
		return asked, verdict.Problemf(train.ChampionUnknown, "%s: %s", asked.Asked, cause)
	}
	if found != nil {
		asked.Champion = &train.Champion{Version: found.Version, Metrics: found.Metrics}
	}
	return asked, nil
}
