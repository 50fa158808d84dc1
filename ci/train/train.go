// Package train is the train stage. It runs the training command in an environment made from lock files, and judges the
// outputs. A model only leaves the stage if it can be opened, matches the contract, passes its gates, beats guessing, is not
// worse than the model in production, and scores the same after it is reloaded.
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

// Input are the arguments of the stage.
type Input struct {
	// Config is the effective configuration.
	Config config.Config
	// Source is the application's tree.
	Source runner.Files
	// Data is the data set to train on; nil uses the application's own.
	Data runner.Files
	// Params are appended to the training command as --key value, sorted by key; an empty value adds only the flag.
	Params map[string]string
	// Python overrides Config.Python.
	Python string
	// Threads is the number of CPU threads; 0 means DefaultThreads.
	Threads int
	// Champion is the model in production; nil means that there is none yet.
	Champion *Champion
	// FindChampion looks it up if Champion is nil; it may be nil.
	FindChampion FindChampion
	// Twice trains a second time from the start and compares both models.
	Twice bool
	// Left has the outputs of an earlier training of the same source, as in Result, such as one on another platform. They are
	// judged instead of training again. Nil trains.
	Left runner.Files
	// Tolerance is how much worse than the champion a gated metric may be; nil means DefaultTolerance.
	Tolerance *Tolerance
	// WorkDir is a local directory for exports, created if needed. The model stays there for later stages; the caller removes
	// it.
	WorkDir string
	// Fresh, if not empty, trains again for each different value.
	Fresh string
	// Again returns the command that calls the stage again, for remedies.
	Again runner.Again
}

// again returns the command that trains as this run did, in the same environment, and shows the training's output.
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

// Champion is the model in production.
type Champion struct {
	// Version names it in messages.
	Version string
	// Metrics are its metrics as logged when it was trained.
	Metrics map[string]float64
}

// Tolerance is how much worse than the champion a metric may be; the larger of the two limits applies.
type Tolerance struct {
	// Absolute is in the metric's own unit: 0.01 is one point of accuracy.
	Absolute float64
	// Relative is a fraction of the champion's value.
	Relative float64
}

// DefaultTolerance allows one percentage point: the accuracy on a few hundred sequences varies as much between equally good
// trainings.
var DefaultTolerance = Tolerance{Absolute: 0.01}

// DefaultThreads is fixed rather than taken from the machine, because the order of floating-point sums, and so the weights,
// depends on the number of threads.
const DefaultThreads = 2

// Result is the stage's verdict and the model.
type Result struct {
	// Stage is the verdict with its evidence.
	Stage verdict.Stage
	// Model is the trained model; nil unless the stage passed.
	Model *model.Artifact
	// Candidate has the outputs and what was found about them, for reports. It is nil if there are no outputs. Only Model may
	// be loaded, published or deployed.
	Candidate *Candidate
	// Left has all outputs that the judgement is based on; nil unless the stage passed.
	Left runner.Files
}

// Candidate is a model under examination.
type Candidate struct {
	// Artifact is the model, as far as it is known.
	Artifact model.Artifact
	// Inspection is the content of the model file; nil if it was not opened.
	Inspection *modelfile.Report
	// Run is what the training recorded about itself; nil if it recorded nothing.
	Run *RunRecord
	// Scores are measured from the held-out predictions; nil if there are none.
	Scores *Scores
	// Second is the result of a second training; nil if there was none.
	Second *Second
	// gates are the results of the gates on metrics.
	gates []gateRow
}

// Run trains and judges. It always returns a result with a complete verdict; all problems, including a cancelled context, are
// in Result.Stage.
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
