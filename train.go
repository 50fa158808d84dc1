package main

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Train trains the model and judges it by the model gates.
//
// +cache="session"
func (m *OpenstackRca) Train(
	ctx context.Context,

	// Data set to train on instead of the one the application brings.
	//
	// +optional
	data *dagger.Directory,

	// Parameters of the training, as key=value.
	//
	// +optional
	param []string,

	// Python version; pipeline.yaml's when empty.
	//
	// +optional
	python string,

	// CPU threads of the training. More are faster, with slightly different weights.
	//
	// +optional
	cpuThreads int,

	// Metrics of the model in production, to compare with: train/metrics.json of its report, or a JSON
	// object of numbers. Without it they come from the MLflow registry, if there is one.
	//
	// +optional
	champion *dagger.File,

	// Train a second time, from the start, and compare both models.
	//
	// +optional
	twice bool,
) (*Model, error) {
	call := m.call(ctx)
	call.data, call.params, call.python, call.threads = data, param, python, cpuThreads
	call.champion, call.twice = champion, twice
	result, err := call.run(verdict.Train)
	if err != nil {
		return nil, err
	}
	return &Model{
		Report: result.report, Summary: result.summary, Json: result.json, Failure: result.failure, Files: result.model, Name: result.modelFile,
		Left:     result.trained,
		Pipeline: m, Data: data, Param: param, Python: python, CPUThreads: cpuThreads, Champion: champion,
	}, nil
}

// Model is a trained model with its verdict.
type Model struct {
	// The model card, curves and tables, and the verdict.
	Report *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	Json string
	// +private
	Failure string
	// +private
	Files *dagger.Directory
	// +private
	Left *dagger.Directory
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
	// +private
	Champion *dagger.File
}

// File is the model file. It fails when the model did not pass its gates.
func (m *Model) File() (*dagger.File, error) {
	if err := enforce(m.Failure); err != nil {
		return nil, err
	}
	return m.Files.File(m.Name), nil
}

// Directory is the model file with everything that belongs to it: vocabulary, labels, golden sample.
func (m *Model) Directory() (*dagger.Directory, error) {
	if err := enforce(m.Failure); err != nil {
		return nil, err
	}
	return m.Files, nil
}

// Trained is what the training left, with its record: a run on another platform takes it as --trained, and
// judges the same model there.
func (m *Model) Trained() (*dagger.Directory, error) {
	if err := enforce(m.Failure); err != nil {
		return nil, err
	}
	return m.Left, nil
}

// Metrics are the metrics, parameters, tags and history that the training logged, and what
// was measured from its predictions, in JSON. It exists for every verdict.
func (m *Model) Metrics() *dagger.File { return m.Report.File("train/metrics.json") }

// Enforce fails unless the model passed its gates.
func (m *Model) Enforce() error { return enforce(m.Failure) }

// Publish publishes exactly this model as one version in S3 and the MLflow registry, in
// the sandbox to servers that this call starts, once the tests and the model's gates have passed.
// Publishing the same content again writes nothing.
//
// +cache="session"
func (m *Model) Publish(ctx context.Context) (*Run, error) {
	call := m.Pipeline.call(ctx)
	call.data, call.params, call.python, call.threads = m.Data, m.Param, m.Python, m.CPUThreads
	call.champion = m.Champion
	result, err := call.run(verdict.Test, verdict.Train, verdict.Audit, verdict.Publish)
	if err != nil {
		return nil, err
	}
	return result.run(), nil
}
