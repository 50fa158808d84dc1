package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/scaffold"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Setup is what Init proposes for a repository.
type Setup struct {
	// Text lists what was detected, which files are new, and what is unknown.
	Text string
	// New has the files that the repository lacks, by path. Existing files are never changed.
	New map[string]string
	// Again has files that an earlier init wrote and that were not edited since, with their new content; Old has their
	// current content.
	Again, Old map[string]string
	// Failure is set if the repository could not be read.
	Failure string
	// Unmeasured has the failures of a measuring run without a result. New is still filled in.
	Unmeasured []string
}

// InitOptions are the arguments of Init.
type InitOptions struct {
	// CI is the CI system to write a file for; empty means none.
	CI string
	// Folder is the name of the source directory, empty if unknown.
	Folder string
	// Version is the module version that the generated file refers to; empty means main.
	Version string
	// Measure runs the tests once, to propose a coverage floor that they reach. Call has the arguments of that run; its
	// stages are set here.
	Measure bool
	Call    Options
}

// Init inspects the source and proposes a pipeline.yaml and the file of a CI system. It writes nothing, and runs code of the
// source only to measure.
func Init(ctx context.Context, backend Backend, options InitOptions) Setup {
	proposal, err := scaffold.Propose(ctx, scaffold.Request{
		Source: backend.Source, CI: options.CI, Folder: options.Folder, Version: options.Version,
	})
	var unreadable error
	existing := func(path string) (string, bool) {
		content, err := backend.Source.Read(ctx, path, maxConfig)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", false
		case err != nil && !errors.Is(err, runner.ErrTooLarge):
			unreadable = err
		}
		return string(content), true
	}
	switch {
	case err != nil && proposal == nil && strings.HasPrefix(err.Error(), "--ci"):
		return Setup{Failure: verdict.Problemf(CodeBadArgument, "%v", err).Error()}
	case err != nil:
		return Setup{Failure: unreadableSource(err).Error()}
	}
	if names, err := rootNames(ctx, backend); err == nil {
		if misnamed := misnamedConfig(names); misnamed != "" {
			return Setup{Failure: verdict.Problemf(CodeConfigMisnamed, "%s", misnamed).Error()}
		}
	}
	setup := Setup{New: map[string]string{}, Again: map[string]string{}, Old: map[string]string{}}
	if options.Measure {
		unmeasured := proposal.Config()
		setup.Unmeasured = measure(ctx, backend, options.Call, proposal, existing)
		if text, there := existing(config.FileName); there && text == unmeasured && proposal.Config() != text {
			setup.Again[config.FileName], setup.Old[config.FileName] = proposal.Config(), text
		}
	}
	files := proposal.Files(existing)
	for i := range files {
		_, files[i].Again = setup.Again[files[i].Path]
	}
	setup.Text = proposal.Text(files, func(path string) (string, bool) {
		if _, again := setup.Again[path]; again {
			return "", false
		}
		return existing(path)
	})
	if unreadable != nil {
		return Setup{Failure: unreadableSource(unreadable).Error()}
	}
	for _, file := range files {
		if file.New {
			setup.New[file.Path] = file.Content
		}
	}
	return setup
}

// measure runs the tests with the existing or proposed configuration and puts their coverage into the proposal. It returns
// the problems of a run without a usable result.
func measure(ctx context.Context, backend Backend, opts Options, proposal *scaffold.Proposal,
	existing func(string) (string, bool),
) []string {
	if _, there := existing(config.FileName); !there {
		written := map[string][]byte{config.FileName: []byte(proposal.Config())}
		backend.Source = backend.Source.With(".", backend.Runner.NewFiles(written))
	}
	opts.Stages, opts.measures = []string{verdict.Test}, true
	run := Run(ctx, backend, opts).Run
	if stage := run.Stage(verdict.Test); stage != nil && stage.Verdict == verdict.Pass {
		reached, measured := run.Measured(verdict.MeasureCoverage, "total")
		at := slices.IndexFunc(stage.Evidence, func(e verdict.Evidence) bool { return e.Name == "line coverage" })
		if measured && at >= 0 {
			proposal.Measured(reached, stage.Evidence[at].Value)
			return nil
		}
	}
	failures := run.Failures()
	why := "the run measured no line"
	if len(failures) > 0 {
		why = failures[0]
	}
	proposal.Unmeasured(why)
	if len(failures) == 0 {
		failures = []string{why}
	}
	return failures
}

func rootNames(ctx context.Context, backend Backend) ([]string, error) {
	names, err := backend.Source.List(ctx)
	if err != nil {
		return nil, err
	}
	return rootEntries(ctx, backend, names)
}

// releasedVersion matches versions that both the Go module proxy and Dagger can resolve.
var releasedVersion = regexp.MustCompile(`^v\d+\.\d+\.\d+$`)

// ReleaseOf returns a build's version if it is a release, otherwise an empty string.
func ReleaseOf(version string) string {
	if releasedVersion.MatchString(version) {
		return version
	}
	return ""
}
