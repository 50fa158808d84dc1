package main

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Test runs the application's tests and holds them against the coverage gates.
//
// +cache="session"
func (m *OpenstackRca) Test(
	ctx context.Context,

	// Test files or directories to run instead of all.
	//
	// +optional
	path []string,

	// Only tests whose names match, as for pytest -k.
	//
	// +optional
	keyword string,

	// Only tests with this marker, as for pytest -m.
	//
	// +optional
	marker string,

	// Python version; pipeline.yaml's when empty.
	//
	// +optional
	python string,
) (*TestReport, error) {
	call := m.call(ctx)
	call.python, call.test = python, pipeline.TestOptions{Paths: path, Keyword: keyword, Marker: marker}
	result, err := call.run(verdict.Test)
	if err != nil {
		return nil, err
	}
	return &TestReport{Report: result.report, Summary: result.summary, Json: result.json, Failure: result.failure}, nil
}

// TestReport is the verdict on the tests.
type TestReport struct {
	// JUnit, coverage in XML and HTML, and the verdict.
	Report *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	Json string
	// +private
	Failure string
}

// Coverage is the coverage report in Cobertura's XML.
func (r *TestReport) Coverage() *dagger.File { return r.Report.File("test/coverage.xml") }

// Enforce fails unless the tests and gates passed.
func (r *TestReport) Enforce() error { return enforce(r.Failure) }
