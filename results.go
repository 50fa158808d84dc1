package main

import (
	"context"
	"errors"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Results are what every stage's object offers. A function that returned an error
// could return nothing else, so the verdict is a value and enforce makes it an error.
type Results struct {
	// +private
	Dir *dagger.Directory
	// +private
	Markdown string
	// +private
	Data string
	// +private
	Failure string
}

func (r *Results) enforce() error {
	if r.Failure == "" {
		return nil
	}
	return errors.New(r.Failure)
}

// Run is the verdict on a whole run.
type Run struct {
	// +private
	Results *Results
}

// Report is the whole report: report.json, report.md, report.html and each stage's files.
func (r *Run) Report() *dagger.Directory { return r.Results.Dir }

// Summary is the verdict in Markdown, short enough for a CI job's summary.
func (r *Run) Summary() string { return r.Results.Markdown }

// JSON is the verdict for machines; docs/report.md has its schema.
func (r *Run) JSON() string { return r.Results.Data }

// Enforce fails unless the verdict is pass.
func (r *Run) Enforce() error { return r.Results.enforce() }

// TestReport is the verdict on the tests.
type TestReport struct {
	// +private
	Results *Results
}

// Report holds JUnit, coverage in XML and HTML, and the verdict.
func (r *TestReport) Report() *dagger.Directory { return r.Results.Dir }

// Coverage is the coverage report in Cobertura's XML.
func (r *TestReport) Coverage() *dagger.File { return r.Results.Dir.File("test/coverage.xml") }

// Summary is the verdict in Markdown.
func (r *TestReport) Summary() string { return r.Results.Markdown }

// JSON is the verdict for machines.
func (r *TestReport) JSON() string { return r.Results.Data }

// Enforce fails unless the tests and gates passed.
func (r *TestReport) Enforce() error { return r.Results.enforce() }

// Model is a trained model with its verdict.
type Model struct {
	// +private
	Results *Results
	// +private
	Files *dagger.Directory
	// +private
	Name string
	// +private
	Pipeline *OpenstackRca
	// +private
	Data *dagger.Directory
	// +private
	Param []string
	// +private
	Python string
	// +private
	CPUThreads int
}

// File is the model file. It fails when the model did not pass its gates.
func (m *Model) File() (*dagger.File, error) {
	if err := m.Results.enforce(); err != nil {
		return nil, err
	}
	return m.Files.File(m.Name), nil
}

// Directory is the model file with all that belongs to it: vocabulary, labels, golden sample.
func (m *Model) Directory() (*dagger.Directory, error) {
	if err := m.Results.enforce(); err != nil {
		return nil, err
	}
	return m.Files, nil
}

// Metrics are the metrics the training logged, in JSON.
func (m *Model) Metrics() *dagger.File { return m.Results.Dir.File("train/metrics.json") }

// Report holds the model card, curves and tables, and the verdict.
func (m *Model) Report() *dagger.Directory { return m.Results.Dir }

// Summary is the verdict in Markdown.
func (m *Model) Summary() string { return m.Results.Markdown }

// JSON is the verdict for machines.
func (m *Model) JSON() string { return m.Results.Data }

// Enforce fails unless the model passed its gates.
func (m *Model) Enforce() error { return m.Results.enforce() }

// Publish publishes exactly this model as one version in S3 and the MLflow registry, in
// the sandbox to servers of this call's own. Publishing the same content again writes nothing.
//
// +cache="session"
func (m *Model) Publish(ctx context.Context) (*Run, error) {
	call := m.Pipeline.call(ctx)
	call.data, call.params, call.python, call.threads = m.Data, m.Param, m.Python, m.CPUThreads
	result, err := call.run(verdict.Train, verdict.Publish)
	if err != nil {
		return nil, err
	}
	return &Run{Results: result.Results}, nil
}

// Image is the serving image with its verdict.
type Image struct {
	// +private
	Results *Results
	// +private
	Built *dagger.Container
	// +private
	Pipeline *OpenstackRca
}

// Container is the image itself. It fails when the image did not pass.
func (i *Image) Container() (*dagger.Container, error) {
	if err := i.Results.enforce(); err != nil {
		return nil, err
	}
	return i.Built, nil
}

// Report holds the image's measurements and the verdict.
func (i *Image) Report() *dagger.Directory { return i.Results.Dir }

// Summary is the verdict in Markdown.
func (i *Image) Summary() string { return i.Results.Markdown }

// JSON is the verdict for machines.
func (i *Image) JSON() string { return i.Results.Data }

// Enforce fails unless the image was built, started and answered.
func (i *Image) Enforce() error { return i.Results.enforce() }

// Publish publishes the model and pushes the image that has this version inside, once, by
// digest. It pushes to --image-address; in the sandbox to a registry of this call's own.
//
// +cache="session"
func (i *Image) Publish(ctx context.Context) (*Run, error) {
	result, err := i.Pipeline.call(ctx).run(verdict.Train, verdict.Publish, verdict.Image)
	if err != nil {
		return nil, err
	}
	return &Run{Results: result.Results}, nil
}

// Rollout is the verdict on a rollout, or its plan.
type Rollout struct {
	// +private
	Results *Results
}

// Report holds the plan and what was rendered.
func (r *Rollout) Report() *dagger.Directory { return r.Results.Dir }

// Summary is the verdict in Markdown.
func (r *Rollout) Summary() string { return r.Results.Markdown }

// JSON is the verdict for machines.
func (r *Rollout) JSON() string { return r.Results.Data }

// Enforce fails unless the rollout, or in the sandbox its plan, is good.
func (r *Rollout) Enforce() error { return r.Results.enforce() }

// Plan is what a run would do.
type Plan struct {
	// +private
	Text string
	// +private
	Data string
	// +private
	Failure string
}

// Summary is the plan in Markdown.
func (p *Plan) Summary() string { return p.Text }

// JSON is the plan for machines.
func (p *Plan) JSON() string { return p.Data }

// Enforce fails when the plan cannot be carried out.
func (p *Plan) Enforce() error { return (&Results{Failure: p.Failure}).enforce() }
