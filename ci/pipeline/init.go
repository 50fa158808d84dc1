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
	// Text says what was found, what is new, and what could not be found out.
	Text string
	// New are the files that the repository lacks, by path. Existing ones are never changed.
	New map[string]string
	// Again are files that an earlier init wrote and nobody has changed since: Old has their content, which Again
	// replaces.
	Again, Old map[string]string
	// Failure is set when the repository could not be read.
	Failure string
	// Unmeasured are the failures of a measuring run that measured nothing; New is there nevertheless.
	Unmeasured []string
}

// InitOptions say what Init is asked for.
type InitOptions struct {
	// CI is the system to write a file for; empty for none.
	CI string
	// Folder is the name of the source's directory; empty where it is not known.
	Folder string
	// Version is the version of the module that the file names; empty for main.
	Version string
	// Measure runs the tests once, to begin with a floor of coverage that they reach. Call are the arguments
	// of that run; its stages are chosen here.
	Measure bool
	Call    Options
}

// Init looks at the source and proposes its pipeline.yaml, and the file of a CI system. It writes
// nothing, and runs nothing of the source unless it is to measure.
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

// measure runs the tests with the configuration that the source has or would get, and tells the proposal what
// they execute. It returns the failures of a run that says nothing about that.
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

// releasedVersion is a version that the Go module proxy and Dagger can both find.
var releasedVersion = regexp.MustCompile(`^v\d+\.\d+\.\d+$`)

// ReleaseOf is the version of a build if it is one of a release, and empty otherwise.
func ReleaseOf(version string) string {
	if releasedVersion.MatchString(version) {
		return version
	}
	return ""
}
