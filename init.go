package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Init looks at the source and makes its pipeline.yaml, and the file of a CI system. It overwrites
// nothing, and runs nothing unless it is to measure.
//
//	dagger call --source . init --ci github files export --path .
func (m *OpenstackRca) Init(
	ctx context.Context,

	// CI system to make the file of.
	//
	// +optional
	ci CiSystem,

	// Run the tests once, and begin with the coverage that they reach where it is below the floor; the
	// file says so.
	//
	// +optional
	measure bool,
) (*Setup, error) {
	call := m.call(ctx)
	backend, err := call.backend()
	if err != nil {
		return nil, err
	}
	defer call.close()
	found := pipeline.Init(ctx, backend, pipeline.InitOptions{CI: string(ci), Measure: measure, Call: call.options()})
	if found.Failure != "" {
		return nil, enforce(found.Failure)
	}
	setup := &Setup{Files: dag.Directory(), Summary: found.Text}
	for _, files := range []map[string]string{found.New, found.Again} {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			setup.Files = setup.Files.WithNewFile(name, files[name])
		}
	}
	switch {
	case len(found.Unmeasured) > 0:
		setup.Failure = strings.Join(found.Unmeasured, "\n")
	case len(found.New) > 0:
		setup.Failure = "the source lacks " + strings.Join(slices.Sorted(maps.Keys(found.New)), ", ")
	}
	return setup, nil
}

// Setup is what a repository lacks to be run by this module.
type Setup struct {
	// The files that the source does not have. Of those that it has, only one that init wrote and nobody
	// changed is among them, when measuring added to it.
	Files *dagger.Directory
	// What was found, and what could not be found out.
	Summary string
	// +private
	Failure string
}

// Enforce fails while the source lacks one of the files.
func (s *Setup) Enforce() error { return enforce(s.Failure) }
