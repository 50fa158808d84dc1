package pipeline

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"

	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TrainOptions configure the training.
type TrainOptions struct {
	// Params are appended to the training command as --key value, each given as key=value.
	Params []string
	// Threads is the number of CPU threads; 0 means the stage's default.
	Threads int
	Twice   bool
	// Champion is read from the MLflow registry if nil.
	Champion *ChampionFile
}

// ChampionFile is a file of metrics in a format that train.ParseChampion reads.
type ChampionFile struct {
	// Name is used in messages.
	Name string
	// Content is the file's.
	Content []byte
}

func (s *state) train(ctx context.Context, _ policy.Permit) verdict.Stage {
	in := s.trainInput()
	in.Twice = s.opts.Train.Twice
	permit, refused := s.gate.Ask(policy.Action{Stage: verdict.Train, Reads: true}, nil)
	in.FindChampion = func(ctx context.Context) (train.Incumbent, *verdict.Problem) { return s.champion(ctx, permit) }
	result := train.Run(ctx, s.backend.Runner, in)
	if refused != nil && s.opts.Train.Champion == nil && s.opts.Target.TrackingURI != "" {
		result.Stage.Warn(CodeChampionNotAsked, "%s; the model was not compared with the one in production", refused.Cause)
	}
	s.outcome.Model, s.outcome.Trained = result.Model, result.Left
	if result.Model != nil {
		s.run.ModelSHA256 = result.Model.SHA256
	}
	return result.Stage
}

// champion returns the metrics of the model in production: from the caller's file, or from the champion alias of the registry
// that this run would publish to, if the permit allows it. This process sends the request, so that the training never sees an
// address or a credential.
func (s *call) champion(ctx context.Context, permit policy.Permit) (train.Incumbent, *verdict.Problem) {
	if file := s.opts.Train.Champion; file != nil {
		champion, problem := train.ParseChampion(file.Name, file.Content)
		return train.Incumbent{Champion: champion, Asked: "file " + file.Name}, problem
	}
	if !permit.AllowsReading(verdict.Train) {
		return train.Incumbent{}, nil
	}
	target := s.opts.Target
	if s.opts.sandbox() {
		if s.opts.Servers.MLflow == nil {
			return train.Incumbent{Asked: "the sandbox's registry, which begins empty"}, nil
		}
		target = publish.Target{TrackingURI: "http://" + s.opts.Servers.MLflow.Address}
	}
	if target.TrackingURI == "" {
		return train.Incumbent{}, nil
	}
	asked := train.Incumbent{Asked: "alias " + publish.ChampionAlias + " of the MLflow registry"}
	found, err := publish.ChampionOf(ctx, publish.Input{Config: s.cfg, Environment: s.opts.Environment, Target: target})
	if errors.Is(err, publish.ErrChampionLost) {
		return asked, verdict.Problemf(train.ChampionLost, "%v", err)
	}
	if err != nil {
		unknown := verdict.Problemf(train.ChampionUnknown, "%s: %v", asked.Asked, err)
		// Its own line would name the publish stage, which has not run.
		if problem := (*verdict.Problem)(nil); errors.As(err, &problem) {
			unknown.Cause = asked.Asked + ": " + problem.Cause
			unknown.Next = cmp.Or(problem.Next, problem.Code.Remedy) + "; or give the production model's metrics with --champion"
		}
		return asked, unknown
	}
	if found != nil {
		asked.Champion = &train.Champion{Version: found.Version, Metrics: found.Metrics}
	}
	return asked, nil
}

// trainInput returns the input of the train stage.
func (s *call) trainInput() train.Input {
	return train.Input{
		Config: s.cfg, Source: s.backend.Source, Data: s.opts.Data, Python: s.opts.Python,
		Params: s.args.params, Threads: s.opts.Train.Threads, Left: s.opts.Trained, Again: s.backend.Again,
		WorkDir: filepath.Join(s.backend.WorkDir, "model"),
	}
}
