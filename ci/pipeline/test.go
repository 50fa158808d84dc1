package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/ci/testrun"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TestOptions select tests and configure how they run; see the function Test of package main.
type TestOptions struct {
	Paths                     []string
	Keyword, Marker, Category string
	// Pythons defaults to Options.Python, MaxSkipped to the value in pipeline.yaml.
	Pythons    []string
	MaxSkipped *int
	Workers    string
	Reruns     int
	Shards     int
	// Durations and Baseline are local files.
	Durations, Baseline string
	Tolerance           float64
	ChangedSince, Base  string
	Full                bool
}

// Changes lists the files of a source that differ from a revision.
type Changes func(ctx context.Context, since string) (changed, removed []string, err error)

// revision matches names of revisions that git cannot mistake for an option.
var revision = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./@{}^~+-]{0,254}$`)

func (o TestOptions) check(bad func(format string, args ...any)) {
	seen := map[string]bool{}
	for _, version := range o.Pythons {
		oneOf(bad, "--python", version, config.Pythons)
		if version == "" || seen[version] {
			bad("--python %q is empty or given twice", version)
		}
		seen[version] = true
	}
	if o.ChangedSince != "" && (!revision.MatchString(o.ChangedSince) || strings.Contains(o.ChangedSince, "..")) {
		bad("--changed-since %q is not the name of a revision", o.ChangedSince)
	}
	if o.Base != "" && (!revision.MatchString(o.Base) || strings.Contains(o.Base, "..")) {
		bad("--base %q is not the name of a revision", o.Base)
	}
	if o.Full && o.ChangedSince == "" {
		bad("--full is given without --changed-since")
	}
}

func (s *state) test(ctx context.Context, _ policy.Permit) verdict.Stage {
	o := s.opts.Test
	in := testrun.Input{
		Config: s.cfg, Source: s.backend.Source, Python: s.opts.Python,
		Paths: o.Paths, Keyword: o.Keyword, Marker: o.Marker, Category: o.Category,
		Workers: o.Workers, Shards: o.Shards, Durations: o.Durations, Reruns: o.Reruns,
		Baseline: o.Baseline, Tolerance: o.Tolerance, Full: o.Full,
		Scratch: filepath.Join(s.backend.WorkDir, "test"), Again: s.backend.Again,
	}
	if o.MaxSkipped != nil {
		in.Config.Test.MaxSkipped = *o.MaxSkipped
	}
	if err := os.MkdirAll(in.Scratch, 0o755); err != nil {
		return failed(verdict.Test, verdict.Problemf(testrun.Internal, "make directory: %v", err))
	}
	if s.cfg.Test.Services {
		in.Needs = []runner.Service{sandbox.MLflow(s.backend.Runner), sandbox.S3(s.backend.Runner)}
		in.ServiceVars = sandbox.Vars()
	}
	if o.ChangedSince != "" {
		in.Changes = s.changes(ctx, o.ChangedSince)
	}
	if o.Base != "" {
		in.Base = s.base(ctx, o.Base)
	}
	return testrun.RunMatrix(ctx, s.backend.Runner, in, o.Pythons)
}

// Patch returns the difference between the source's Python files and a revision in git's format.
type Patch func(ctx context.Context, since string) (string, error)

// base returns the revision to compare with, or why there is none.
func (s *call) base(ctx context.Context, since string) *testrun.Base {
	found := &testrun.Base{Since: since}
	if s.backend.Patch == nil {
		found.Unknown = "the history of the source was not given: --git"
		return found
	}
	patch, err := s.backend.Patch(ctx, since)
	if err == nil {
		found.Lines, err = coverage.ParsePatch(patch)
	}
	if err != nil {
		found.Unknown = fmt.Sprintf("compare with %s: %v", since, err)
	}
	return found
}

// changes returns the changed files, or why they are unknown.
func (s *call) changes(ctx context.Context, since string) *testrun.Changes {
	found := &testrun.Changes{Since: since}
	if s.backend.Changes == nil {
		found.Unknown = "the history of the source was not given: --git"
		return found
	}
	var err error
	if found.Changed, found.Removed, err = s.backend.Changes(ctx, since); err != nil {
		found.Unknown = fmt.Sprintf("compare with %s: %v", since, err)
	}
	return found
}
