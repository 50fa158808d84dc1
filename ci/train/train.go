// Package train is the train stage: it runs the training command in an environment
// made from lock files, and judges what the training left behind. A model leaves the
// stage only when it opens, is what the contract says, measures up to its gates, beats
// guessing, is not worse than the model in production, and scores the same once reloaded.
package train

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Input is what the stage works on.
type Input struct {
	// Config is the effective configuration.
	Config config.Config
	// Source is the application's tree.
	Source runner.Files
	// Data is a data set to train on; nil trains on what the application brings.
	Data runner.Files
	// Params are added to the training command as --key value, sorted by key; an
	// empty value adds the flag alone.
	Params map[string]string
	// Python overrides Config.Python.
	Python string
	// Threads is how many CPU threads training uses; 0 means DefaultThreads.
	Threads int
	// Champion is the model in production; nil means that there is none yet.
	Champion *Champion
	// FindChampion asks for it where Champion is nil; nil asks nobody.
	FindChampion FindChampion
	// Twice trains a second time, from the start, and compares both models.
	Twice bool
	// Left is what an earlier training of the same source left, as Result has it, such as one on another
	// platform: then nothing is trained, and this is judged here. Nil trains.
	Left runner.Files
	// Tolerance is how much worse than the champion a gated metric may be. Nil means
	// DefaultTolerance.
	Tolerance *Tolerance
	// WorkDir is a directory of this process's file system for exports, made if need
	// be. The model stays there for the stages after this one; the caller removes it.
	WorkDir string
	// Fresh, when not empty, trains again for each different value.
	Fresh string
	// Again is how the user calls the stage once more, for remedies.
	Again runner.Again
}

// again is the command that trains as this run did, in the same environment, and shows what the training prints.
func (in Input) again() string {
	var options []runner.Option
	if in.Python != "" && in.Python != in.Config.Python {
		options = append(options, runner.Option{Name: "python", Value: in.Python})
	}
	for _, name := range slices.Sorted(maps.Keys(in.Params)) {
		options = append(options, runner.Option{Name: "param", Value: name + "=" + in.Params[name]})
	}
	return in.Again.Command(verdict.Train, options...)
}

// Champion is the model that is in production.
type Champion struct {
	// Version names it in messages.
	Version string
	// Metrics are its metrics as logged when it was trained.
	Metrics map[string]float64
}

// Tolerance says how much worse than the champion a metric may be. The wider of both bounds counts.
type Tolerance struct {
	// Absolute is in the metric's own unit: 0.01 is one point of accuracy.
	Absolute float64
	// Relative is a fraction of the champion's value.
	Relative float64
}

// DefaultTolerance allows one point: held-out sets of a few hundred sequences move by
// as much between equally good trainings.
var DefaultTolerance = Tolerance{Absolute: 0.01}

// DefaultThreads is fixed rather than taken from the machine, because the order of
// floating-point sums, and so the weights, depends on the number of threads.
const DefaultThreads = 2

// Result is the stage's verdict and the model.
type Result struct {
	// Stage is the verdict with its evidence.
	Stage verdict.Stage
	// Model is the trained model; nil unless the stage passed.
	Model *model.Artifact
	// Candidate is what the training left and what was found about it, for reports.
	// It is nil when the training left nothing. Nobody may load, publish or deploy
	// it: that is what Model is for.
	Candidate *Candidate
	// Left is everything that the training left and the judgement rests on; nil unless the stage passed.
	Left runner.Files
}

// Candidate is a model under examination.
type Candidate struct {
	// Artifact is the model as far as it is known.
	Artifact model.Artifact
	// Inspection is what the model file holds; nil when it was not opened.
	Inspection *modelfile.Report
	// Run is what the training wrote down about itself; nil when that is nothing.
	Run *RunRecord
	// Scores are measured from the held-out predictions; nil when there are none.
	Scores *Scores
	// Second is what a second training gave; nil when there was none.
	Second *Second
	// gates are the outcomes of the gates on metrics.
	gates []gateRow
}

// Run trains and judges. It always returns a result with a complete verdict; what
// went wrong, including a cancelled context, is in Result.Stage.
func Run(ctx context.Context, r runner.Runner, in Input) *Result {
	start := time.Now()
	s := newSession(r, in)
	problems := s.train(ctx)
	s.report()
	s.stage.Judge(problems...)
	s.stage.Took(start)
	result := &Result{Stage: s.stage, Candidate: s.candidate}
	if s.stage.Verdict == verdict.Pass {
		artifact := s.candidate.Artifact
		result.Model, result.Left = &artifact, s.trained.result.Outputs
	}
	return result
}
