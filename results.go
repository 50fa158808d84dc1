package main

import (
	"context"
	"errors"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// A function that returned an error could return nothing else, so the verdict of every
// object here is a value, and enforce makes it an error. What can be read is a field
// and not a function: the engine answers a field without starting the module again.

// enforce is the error of a verdict; an empty failure is a pass.
func enforce(failure string) error {
	if failure == "" {
		return nil
	}
	return errors.New(failure)
}

// Run is the verdict on a whole run.
type Run struct {
	// The whole report: report.json, report.md, report.html and each stage's files.
	Report *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	JSON string
	// +private
	Failure string
}

// Enforce fails unless the verdict is pass.
func (r *Run) Enforce() error { return enforce(r.Failure) }

// TestReport is the verdict on the tests.
type TestReport struct {
	// JUnit, coverage in XML and HTML, and the verdict.
	Report *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	JSON string
	// +private
	Failure string
}

// Coverage is the coverage report in Cobertura's XML.
func (r *TestReport) Coverage() *dagger.File { return r.Report.File("test/coverage.xml") }

// Enforce fails unless the tests and gates passed.
func (r *TestReport) Enforce() error { return enforce(r.Failure) }

// Model is a trained model with its verdict.
type Model struct {
	// The model card, curves and tables, and the verdict.
	Report *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	JSON string
	// +private
	Failure string
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
	if err := enforce(m.Failure); err != nil {
		return nil, err
	}
	return m.Files.File(m.Name), nil
}

// Directory is the model file with all that belongs to it: vocabulary, labels, golden sample.
func (m *Model) Directory() (*dagger.Directory, error) {
	if err := enforce(m.Failure); err != nil {
		return nil, err
	}
	return m.Files, nil
}

// Metrics are the metrics the training logged, in JSON.
func (m *Model) Metrics() *dagger.File { return m.Report.File("train/metrics.json") }

// Enforce fails unless the model passed its gates.
func (m *Model) Enforce() error { return enforce(m.Failure) }

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
	return result.run(), nil
}

// Image is the serving image with its verdict.
type Image struct {
	// The image's measurements and the verdict.
	Report *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	JSON string
	// +private
	Failure string
	// +private
	Built *dagger.Container
	// +private
	Pipeline *OpenstackRca
}

// Container is the image itself. It fails when the image did not pass.
func (i *Image) Container() (*dagger.Container, error) {
	if err := enforce(i.Failure); err != nil {
		return nil, err
	}
	return i.Built, nil
}

// Enforce fails unless the image was built, started and answered.
func (i *Image) Enforce() error { return enforce(i.Failure) }

// Publish publishes the model and pushes the image that has this version inside, once, by
// digest. It pushes to --image-address; in the sandbox to a registry of this call's own.
//
// +cache="session"
func (i *Image) Publish(ctx context.Context) (*Run, error) {
	result, err := i.Pipeline.call(ctx).run(verdict.Train, verdict.Publish, verdict.Image)
	if err != nil {
		return nil, err
	}
	return result.run(), nil
}

// Rollout is the verdict on a rollout, or its plan.
type Rollout struct {
	// The plan, what was rendered, and the verdict.
	Report *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	JSON string
	// +private
	Failure string
}

// Enforce fails unless the rollout, or in the sandbox its plan, is good.
func (r *Rollout) Enforce() error { return enforce(r.Failure) }

// Plan is what a run would do.
type Plan struct {
	// The plan in Markdown.
	Summary string
	// The plan for machines.
	JSON string
	// +private
	Failure string
}

// Enforce fails when the plan cannot be carried out.
func (p *Plan) Enforce() error { return enforce(p.Failure) }
