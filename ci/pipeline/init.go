package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strings"

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
	// Failure is set when the repository could not be read.
	Failure string
}

// InitOptions say what Init is asked for.
type InitOptions struct {
	// CI is the system to write a file for; empty for none.
	CI string
	// Folder is the name of the source's directory; empty where it is not known.
	Folder string
	// Version is the version of the module that the file names; empty for main.
	Version string
}

// Init looks at the source and proposes its pipeline.yaml, and the file of a CI system. It runs
// nothing of the source and writes nothing.
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
		return Setup{Failure: verdict.Problemf(CodeSourceUnreadable, "%v", err).Error()}
	}
	if names, err := rootNames(ctx, backend); err == nil {
		if misnamed := misnamedConfig(names); misnamed != "" {
			return Setup{Failure: verdict.Problemf(CodeConfigMisnamed, "%s", misnamed).Error()}
		}
	}
	files := proposal.Files(existing)
	text := proposal.Text(files, existing)
	if unreadable != nil {
		return Setup{Failure: verdict.Problemf(CodeSourceUnreadable, "%v", unreadable).Error()}
	}
	setup := Setup{Text: text, New: map[string]string{}}
	for _, file := range files {
		if file.New {
			setup.New[file.Path] = file.Content
		}
	}
	return setup
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
