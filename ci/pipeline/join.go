package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/join"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	images "github.com/openstack-rca/openstack-rca/ci/registry"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// JoinOptions choose the images that become one index.
type JoinOptions struct {
	// Images are references by digest. If empty, they are taken from the reports.
	Images []string
	// From is a local directory with one report directory for each run that built an image.
	From string
}

// The report of a joined index has the index and, for each platform, the relevant files of the report of the run that built
// its image.
const (
	platformsDir = "platforms"
	indexFile    = platformsDir + "/index.json"
)

// provingFiles are the files of a run's report that say something about its image.
var provingFiles = []string{
	verdict.ReportJSON, "audit/findings.json", "audit/sbom.cdx.json", "scan/findings.json", "scan/sbom.cdx.json", "scan/sbom.spdx.json",
}

// Join combines the images that runs on several platforms built, checked and pushed into one index in the same repository. It
// is idempotent.
func Join(ctx context.Context, backend Backend, opts Options) *verdict.Run {
	s := prepare(ctx, backend, opts)
	// Each image passed the gates of its own run; the report of that run is the proof.
	run := s.operate(policy.Action{Stage: verdict.Image, Recorded: true}, func(permit policy.Permit) verdict.Stage {
		return s.join(ctx, permit)
	})
	(&observer{call: s.call}).observe(ctx, "join")
	return run
}

func (s *state) join(ctx context.Context, permit policy.Permit) verdict.Stage {
	dirs, err := reportsIn(s.opts.Join.From)
	if err != nil {
		return failed(verdict.Image, verdict.Problemf(CodeBadArgument, "--from: %v", err))
	}
	in := join.Input{
		Images: s.opts.Join.Images, Platforms: s.cfg.Image.Platforms, Environment: s.opts.Environment, Permit: permit,
		Open: func(repository imageref.Repository) (images.Repository, error) {
			return s.repository(ctx, permit, repository)
		},
	}
	for _, dir := range dirs {
		run, err := readRun(dir)
		if err != nil {
			return failed(verdict.Image, verdict.Problemf(CodeBadArgument, "--from: %s: %v", dir, err))
		}
		name, err := filepath.Rel(s.opts.Join.From, dir)
		if err != nil {
			name = dir
		}
		proof := join.Proof{Name: name, Run: run}
		if reference, err := imageref.ParsePinned(run.Image); err == nil {
			proof.Refused = s.unproven(ctx, permit, run, dir, reference)
		}
		in.Proofs = append(in.Proofs, proof)
	}
	result := join.Run(in)
	if result.Reference.Digest == "" {
		return result.Stage
	}
	first := result.Members[0].Proof.Run
	s.built(result.Reference)
	s.run.ModelSHA256, s.run.ModelVersion, s.run.Commit, s.run.Tree = first.ModelSHA256, first.ModelVersion, first.Commit, first.Tree
	result.Stage.Files = append(result.Stage.Files, verdict.ReportFile{Path: indexFile, Content: result.Manifest})
	for _, m := range result.Members {
		read := readIn(filepath.Join(s.opts.Join.From, m.Proof.Name))
		for _, name := range provingFiles {
			if content := read(name); content != nil {
				result.Stage.Files = append(result.Stage.Files, verdict.ReportFile{
					Path: path.Join(platformsDir, folderOf(m.Platform), name), Content: content,
				})
			}
		}
	}
	return result.Stage
}

// unproven explains why a run's report does not prove its image, or returns an empty string. It applies the rules of attest
// and, if the call trusts a key, also those of verify: the image must then have been attested.
func (s *call) unproven(ctx context.Context, permit policy.Permit, run *verdict.Run, dir string, image imageref.Reference) string {
	of := attester{call: s, image: image}
	if _, problem := of.factsOf(run, readIn(dir), image); problem != nil {
		return problem.Cause
	}
	if !s.opts.Verify.trusts() {
		return ""
	}
	for _, problem := range of.verified(ctx, permit).problems {
		return problem.Code.Name + ": " + problem.Cause
	}
	return ""
}

// repository opens a repository with the credentials of the call.
func (s *call) repository(ctx context.Context, permit policy.Permit, of imageref.Repository) (images.Repository, error) {
	login, err := s.login(ctx, permit, of)
	if err != nil {
		return images.Repository{}, err
	}
	var opts []remote.Option
	if login != (oci.Login{}) {
		opts = append(opts, remote.WithAuth(&authn.Basic{Username: login.Username, Password: login.Password}))
	}
	if s.opts.Registry.Transport != nil {
		opts = append(opts, remote.WithTransport(s.opts.Registry.Transport))
	}
	return images.At(ctx, "", of, opts...)
}

// maxReports limits how many reports are read, and maxReportDepth how deeply they may be nested.
const (
	maxReports     = 100
	maxReportDepth = 4
)

// reportsIn returns the directories below a directory, itself included, that contain a report.
func reportsIn(dir string) ([]string, error) {
	if dir == "" {
		return nil, errors.New("the reports of the runs that built the images are needed")
	}
	var all []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(dir, name)
		if err == nil && entry.IsDir() && (entry.Name() == platformsDir || strings.Count(below, string(filepath.Separator)) >= maxReportDepth) {
			return fs.SkipDir // the reports inside an index's report are not separate runs
		}
		if err == nil && !entry.IsDir() && entry.Name() == verdict.ReportJSON {
			all = append(all, filepath.Dir(name))
		}
		if len(all) > maxReports {
			return fmt.Errorf("there are more than %d reports", maxReports)
		}
		return err
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("there is no %s in it", verdict.ReportJSON)
	}
	return all, err
}
