// Package testrun is the test stage: it runs pytest through a runner and judges what the
// run left behind: the JUnit report, the coverage report and its own record of which
// test started and ended. An exit code alone proves nothing.
package testrun

import (
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Input is what the stage needs.
type Input struct {
	// Config is the effective configuration.
	Config config.Config
	// Source is the application's tree, a tree of the runner that Run gets.
	Source runner.Files
	// Services are started services that the tests may talk to, by name; Needs are
	// services started for the tests alone. ServiceVars are the environment variables
	// that tell the tests where they are; {{NAME}} in a value stands for a service's address.
	Services    map[string]*runner.Running
	Needs       []runner.Service
	ServiceVars map[string]string
	// Paths, Keyword (pytest -k) and Marker (pytest -m) select tests. With any of
	// them set, the coverage gates are reported but not held: a part of the suite
	// covers a part of the code.
	Paths           []string
	Keyword, Marker string
	// Category runs the tests of one category of the configuration alone.
	Category string
	// Python is the version to test with; empty means Config.Python.
	Python string
	// Workers is how many processes share the tests of one container, as for pytest-xdist:
	// a number, "auto" or "logical". Empty leaves it to the command.
	Workers string
	// Shards is how many containers share the suite; 0 means one. Durations is a file of
	// this process's file system that says how long each test takes: the junit.xml or the
	// durations.json of an earlier report. Without it .test_durations in the source is
	// used, and without that too shards have the same number of tests.
	Shards    int
	Durations string
	// Reruns is how often failed tests are run again. One that then passes is flaky, not passed.
	Reruns int
	// Changes are the files that differ from an earlier revision. With them only those
	// tests run that the changes can affect, unless Full; the report names the uncovered
	// lines of the changed files.
	Changes *Changes
	Full    bool
	// Base is what the change is compared with, for the coverage of the lines that it altered; nil for nothing.
	Base *Base
	// Fresh, when not empty, runs the tests again instead of taking a cached answer.
	Fresh string
	// Baseline is the coverage.xml of an earlier run, a file of this process's file
	// system, and Tolerance by how many percentage points total coverage may fall below it
	// without a warning. Optional.
	Baseline  string
	Tolerance float64
	// Again is how the user calls the stage once more, for remedies.
	Again runner.Again
	// rerun means that this runs failed tests again; shard is which of Shards this is.
	rerun     bool
	shard     int
	durations map[string]float64
	// Scratch is an existing directory of this process's file system where the stage
	// may leave the files of its report. They must stay until the report is
	// written; the caller removes it. Empty makes a temporary one: see Result.Scratch.
	Scratch string
}

// Selective reports whether only a part of the suite is asked for.
func (in Input) Selective() bool {
	return len(in.Paths) > 0 || in.Keyword != "" || in.Marker != "" || in.Category != ""
}

// again is the command that runs one test, or the tests of one file, as this run did: a Python of the user's own lacks the
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

// Changes are what differs between the source and an earlier revision of it.
type Changes struct {
	// Since names the revision.
	Since string
	// Changed are the files that are new or different, Removed those that are gone.
	Changed, Removed []string
	// Unknown says why the changes could not be told; everything runs then.
	Unknown string
}

// Base is an earlier revision of the source, from which a change begins.
type Base struct {
	// Since names the revision, Lines are those that the change altered.
	Since string
	Lines coverage.Changed
	// Unknown says why the lines could not be told.
	Unknown string
}

// Result is what the stage found.
type Result struct {
	// Stage is the verdict with evidence, blocks and files for the report.
	Stage verdict.Stage
	// JUnit sums up the tests; nil when there is no readable report.
	JUnit *junit.Report
	// Coverage is what was measured, without the omitted files; nil when there is none.
	Coverage *coverage.Report
	// Scratch is the directory that Stage.Files point into.
	Scratch string

	problems []*verdict.Problem
}
