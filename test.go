package main

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Test runs the application's tests and judges them by the coverage gates. A pass is remembered by
// the engine for a day: the same source, arguments and module are then answered without a start of the module.
//
// +cache="24h"
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

	// Only the tests of this category of pipeline.yaml, such as inference.
	//
	// +optional
	category string,

	// Python versions, such as 3.11; several run side by side. pipeline.yaml's when empty.
	//
	// +optional
	python []string,

	// How many tests may be skipped; pipeline.yaml's when below 0.
	//
	// +optional
	// +default=-1
	maxSkipped int,

	// How often failed tests are run again, at most 10 times. Those that then pass are reported as
	// flaky, not as passed.
	//
	// +optional
	rerunFailed int,

	// Processes that share the tests, as for pytest-xdist: auto, or a number of at most 256.
	//
	// +optional
	workers string,

	// Environments that share the suite, at most 64.
	//
	// +optional
	shards int,

	// How long each test takes, so that shards have the same length: test/junit.xml or
	// test/durations.json of an earlier report. Without it, .test_durations in the source.
	//
	// +optional
	durations *dagger.File,

	// Run only the tests that what changed since this revision can affect by their
	// imports, such as origin/main. Everything runs where that cannot be determined. Needs --git.
	//
	// +optional
	changedSince string,

	// The .git directory of the source's repository, for --changed-since and --base.
	//
	// +optional
	git *dagger.Directory,

	// With --changed-since: run all tests, and only report on what changed.
	//
	// +optional
	full bool,

	// Revision that the change is compared with, such as origin/main: the report has the coverage
	// of the lines that differ. Needs --git.
	//
	// +optional
	base string,

	// coverage.xml of an earlier report. Coverage below it is a warning.
	//
	// +optional
	baseline *dagger.File,

	// Percentage points by which coverage may be below the baseline without a warning, such as 0.5.
	//
	// +optional
	tolerance float64,
) (*TestReport, error) {
	call := m.call(ctx)
	call.test = pipeline.TestOptions{
		Paths: path, Keyword: keyword, Marker: marker, Category: category, Pythons: python, Reruns: rerunFailed,
		Workers: workers, Shards: shards, ChangedSince: changedSince, Full: full, Base: base, Tolerance: tolerance,
	}
	if maxSkipped >= 0 {
		call.test.MaxSkipped = &maxSkipped
	}
	call.git = git
	call.files = []localFile{{durations, "durations", &call.test.Durations}, {baseline, "baseline.xml", &call.test.Baseline}}
	result, err := call.run(verdict.Test)
	if err != nil {
		return nil, err
	}
	report := &TestReport{Report: result.report, Summary: result.summary, Json: result.json, Failure: result.failure}
	if report.Failure != "" {
		report.Report = forSession(report.Report)
	}
	return report, nil
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

// Enforce fails unless the tests and gates passed. `dagger check` runs it as test:enforce.
//
// +check
func (r *TestReport) Enforce() error { return enforce(r.Failure) }
