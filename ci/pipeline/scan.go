package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/supply"
	"github.com/openstack-rca/openstack-rca/ci/supply/tools"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Scan inspects an image by its digest, whether or not this pipeline built it: its packages, their vulnerabilities, and
// secrets in every layer. It changes nothing.
func Scan(ctx context.Context, backend Backend, opts Options) *verdict.Run {
	s := prepare(ctx, backend, opts)
	run := s.operate(policy.Action{Stage: verdict.Scan, Reads: true}, func(permit policy.Permit) verdict.Stage {
		return s.scan(ctx, permit)
	})
	(&observer{call: s.call}).observe(ctx, "scan")
	return run
}

// scan inspects the image of the run, or the one that the call names.
func (s *state) scan(ctx context.Context, permit policy.Permit) verdict.Stage {
	reference, err := imageref.ParsePinned(s.outcome.Image)
	if err != nil {
		return failed(verdict.Scan, verdict.Problemf(CodeBadArgument, "--image: %v", err))
	}
	s.run.ImageDigest = reference.Digest
	if s.export != nil {
		return s.scanImage(ctx, permit, reference, s.backend.WorkDir, s.export)
	}
	image, err := s.registry(ctx, permit, reference)
	var members []oci.Member
	if err == nil {
		members, err = image.Members()
	}
	if err != nil {
		return failed(verdict.Scan, verdict.Problemf(supply.ImageUnreadable, "%v", err))
	}
	export := func(i oci.Image) exporter {
		return func(_ context.Context, dir string) error { return i.Export(dir) }
	}
	if members == nil {
		return s.scanImage(ctx, permit, reference, s.backend.WorkDir, export(image))
	}
	var parts []onPlatform
	for _, m := range members {
		of := imageref.Reference{Repository: reference.Repository, Digest: m.Digest}
		scratch := filepath.Join(s.backend.WorkDir, folderOf(m.Platform))
		stage := s.scanImage(ctx, permit, of, scratch, export(m.Image))
		if err := os.RemoveAll(scratch); err != nil { // frees space for the next image
			return failed(verdict.Scan, verdict.Problemf(supply.ImageUnreadable, "remove what was unpacked: %v", err))
		}
		parts = append(parts, onPlatform{m.Platform, stage})
	}
	return together(verdict.Scan, parts)
}

// exporter writes an image into a local directory.
type exporter func(ctx context.Context, dir string) error

// scanImage inspects one image.
func (s *state) scanImage(
	ctx context.Context, permit policy.Permit, image imageref.Reference, scratch string, export exporter,
) verdict.Stage {
	return supply.Scan(ctx, s.backend.Runner, supply.Input{
		Config: s.cfg, Source: s.backend.Source, Advisories: s.opts.Advisories,
		Fetch: s.backend.ImageAdvisories, Import: s.backend.Import, Tool: s.backend.Tool,
		Memory: s.memory(), Scratch: scratch, Now: time.Now(), Registry: s.opinion(permit, image),
	}, supply.Image{Digest: image.Digest, Export: export, Unpack: oci.Unpack})
}

// prepareScan builds the scanners and downloads the advisories while tests and training run. The scanners are built one at a
// time because a build needs a lot of memory. Errors are reported by the stage itself.
func (s *state) prepareScan(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	s.early = append(s.early, func() { cancel(); group.Wait() })
	if s.backend.Tool != nil {
		group.Go(func() {
			for _, name := range []string{tools.Gitleaks, tools.Grype, tools.Syft} {
				program, err := s.backend.Tool(ctx, name)
				if err == nil {
					_, err = program.Digest(ctx) // needed first
				}
				if err != nil {
					return
				}
			}
		})
	}
	if s.opts.Advisories == "" && s.backend.ImageAdvisories != nil {
		group.Go(func() { _, _ = s.backend.ImageAdvisories(ctx) })
	}
}
