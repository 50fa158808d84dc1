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

// JoinOptions say which images become one index.
type JoinOptions struct {
	// Images are references by digest; those of the reports when empty.
	Images []string
	// From is a local directory with the reports of the runs that built them, each in a directory of its own.
	From string
}

// The report of a joined index has a folder for each platform, with what the report of the run has that
// built its image, and the index itself.
const (
	platformsDir = "platforms"
	indexFile    = platformsDir + "/index.json"
)

// provingFiles are the files of a run's report that say something about its image.
var provingFiles = []string{
	verdict.ReportJSON, "audit/findings.json", "audit/sbom.cdx.json", "scan/findings.json", "scan/sbom.cdx.json", "scan/sbom.spdx.json",
}

// Join puts the images that runs on several platforms built, proved and pushed into one index, in their
// repository. Doing it again changes nothing.
func Join(ctx context.Context, backend Backend, opts Options) *verdict.Run {
	s := prepare(ctx, backend, opts)
	// The images passed the gates of their own runs, whose reports are the proof.
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

// unproven is why the run of a report proves nothing of its image; empty if it does. The rules are those of
// attest, and where the call trusts a key those of verify: then the image must have been attested.
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

// repository opens a repository with the login of the call.
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

// maxReports bounds how many reports are read, and how deep they may be.
const (
	maxReports     = 100
	maxReportDepth = 4
)

// reportsIn are the directories that have a report: the given one, and those below it.
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
			return fs.SkipDir // the reports in that of an index are no runs of their own
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
