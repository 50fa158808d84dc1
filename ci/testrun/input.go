// Package testrun is the test stage. It runs pytest through a runner and judges what the run left behind: the JUnit report,
// the coverage report and its own record of which tests started and ended. An exit code alone proves nothing.
package testrun

import (
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Input are the arguments of the stage.
type Input struct {
	// Config is the effective configuration.
	Config config.Config
	// Source is the application's tree on the runner that Run gets.
	Source runner.Files
	// Services are running services that the tests may use, by name. Needs are services that are started for the tests alone.
	// ServiceVars are the environment variables that contain their addresses; {{NAME}} in a value is replaced by a service's
	// address.
	Services    map[string]*runner.Running
	Needs       []runner.Service
	ServiceVars map[string]string
	// Paths, Keyword (pytest -k) and Marker (pytest -m) select tests. If any is set, coverage gates are reported but not
	// enforced, because a part of the suite covers only a part of the code.
	Paths           []string
	Keyword, Marker string
	// Category selects the tests of one category of the configuration.
	Category string
	// Python is the version to test with; it defaults to Config.Python.
	Python string
	// Workers is the number of pytest-xdist processes per container: a number, "auto" or "logical". Empty leaves it to the
	// command.
	Workers string
	// Shards is the number of containers that share the suite; 0 means one. Durations is a local file with the duration of
	// each test: junit.xml or durations.json of an earlier report. It defaults to .test_durations in the source; without
	// either, shards have the same number of tests.
	Shards    int
	Durations string
	// Reruns is how often failed tests are run again. A test that then passes is flaky, not passed.
	Reruns int
	// Changes are the files that differ from an earlier revision. If set, only tests that they can affect run, unless Full is
	// set, and the report lists the uncovered lines of the changed files.
	Changes *Changes
	Full    bool
	// Base is the revision to compare with, for the coverage of changed lines; it may be nil.
	Base *Base
	// Fresh, if not empty, runs the tests even if a cached result exists.
	Fresh string
	// Baseline is the local coverage.xml of an earlier run, and Tolerance by how many percentage points total coverage may
	// fall below it without a warning. Optional.
	Baseline  string
	Tolerance float64
	// Again returns the command that calls the stage again, for remedies.
	Again runner.Again
	// rerun is set while failed tests are run again. shard is the number of the shard, out of Shards.
	rerun     bool
	shard     int
	durations map[string]float64
	// Scratch is an existing local directory for the files of the report, which must stay until the report is written; the
	// caller removes it. If it is empty, a temporary directory is created: see Result.Scratch.
	Scratch string
}

// Selective reports whether only a part of the suite is selected.
func (in Input) Selective() bool {
	return len(in.Paths) > 0 || in.Keyword != "" || in.Marker != "" || in.Category != ""
}

// again returns the command that runs one test, or the tests of one file, as this run did. The user's own Python lacks the
// packages.
func (in Input) again(path string) string {
	options := []runner.Option{{Name: "path", Value: path}}
	if path == "" {
		options = nil
	}
	if in.Python != "" && in.Python != in.Config.Python {
		options = append(options, runner.Option{Name: "python", Value: in.Python})
	}
	return in.Again.Command(verdict.Test, options...)
}

// Changes are the differences between the source and an earlier revision of it.
type Changes struct {
	// Since is the revision.
	Since string
	// Changed are new and modified files, Removed the deleted ones.
	Changed, Removed []string
	// Unknown explains why the changes are unknown; then all tests run.
	Unknown string
}

// Base is the earlier revision that a change is compared with.
type Base struct {
	// Since is the revision, Lines are the lines that the change modified.
	Since string
	Lines coverage.Changed
	// Unknown explains why the lines are unknown.
	Unknown string
}

// Result is the result of the stage.
type Result struct {
	// Stage is the verdict, with evidence and with blocks and files for the report.
	Stage verdict.Stage
	// JUnit summarises the tests; nil if there is no readable report.
	JUnit *junit.Report
	// Coverage is the measured coverage without omitted files; nil if there is none.
	Coverage *coverage.Report
	// Scratch is the directory that Stage.Files refer to.
	Scratch string

	problems []*verdict.Problem
}
