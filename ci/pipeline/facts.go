package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// facts describe the run that built the image: this run, or the one whose report was given.
func (s attester) facts() (attest.Facts, *verdict.Problem) {
	run, read := s.run, s.reportFile
	if s.opts.Attest.From != "" {
		var err error
		if run, err = readRun(s.opts.Attest.From); err != nil {
			return attest.Facts{}, verdict.Problemf(attest.Refused, "%v", err)
		}
		read = readIn(s.opts.Attest.From)
	} else if s.opts.Image != "" {
		return attest.Facts{}, verdict.Problemf(attest.Refused, "--image names an image of an earlier run, and --from has no report of it")
	}
	if s.unpinned != nil {
		return attest.Facts{}, verdict.Problemf(attest.Refused, "the image is not named by its digest: %v", s.unpinned)
	}
	if read(indexFile) != nil {
		return s.factsOfIndex(run, read, s.image)
	}
	return s.factsOf(run, read, s.image)
}

// factsOf returns the facts of a run that built an image. read returns a file of its report, or nil if the report has none.
func (s attester) factsOf(run *verdict.Run, read func(string) []byte, reference imageref.Reference) (attest.Facts, *verdict.Problem) {
	if run.ImageDigest != reference.Digest {
		return attest.Facts{}, verdict.Problemf(attest.Refused, "the run built %q, not %s", run.ImageDigest, reference.Digest)
	}
	f := attest.Facts{
		Repository: reference.Repository.String(), Digest: reference.Digest, Application: run.Application, Environment: run.Environment,
		Ref: run.Ref, Commit: run.Commit, Source: s.cfg.Image.Source, Tree: run.Tree, Config: s.cfg.Digest(), Model: run.ModelSHA256,
		Version: run.ModelVersion,
		Builder: run.Module, Runner: run.Runner, Started: run.Started, Ended: run.Started.Add(time.Duration(run.Seconds * float64(time.Second))),
		Verdict: string(verdict.Pass),
	}
	if run == s.run {
		f.Ended = time.Now()
	}
	if run.Tree != s.run.Tree {
		f.Config = "" // that run may have had another configuration
	}
	if len(run.Stages) == 1 && run.Stages[0].Name == verdict.Scan {
		return scanned(f, &run.Stages[0], read)
	}
	// A file of a stage that did not pass was left by an earlier run in the same directory.
	for _, look := range []struct{ stage, folder, place string }{{verdict.Audit, "audit", "locks"}, {verdict.Scan, "scan", "image"}} {
		if st := run.Stage(look.stage); st == nil || st.Verdict != verdict.Pass {
			continue
		}
		f.Scan = f.Scan.With(scanOf(read(look.folder+"/findings.json"), look.place))
		if bom := read(look.folder + "/sbom.cdx.json"); bom != nil {
			f.BOM = [][]byte{bom} // the image's SBOM has more than that of the lock files
		}
		if spdx := read(look.folder + "/sbom.spdx.json"); spdx != nil { // only a scan has this file
			f.SPDX = [][]byte{spdx}
		}
	}
	for _, st := range run.Stages {
		if st.Name == verdict.Attest || st.Name == verdict.Deploy {
			continue
		}
		f.Stages = append(f.Stages, attest.StageVerdict{Name: st.Name, Verdict: string(st.Verdict), Code: st.Code})
		if st.Verdict != verdict.Pass && st.Verdict != verdict.NotRun {
			return f, verdict.Problemf(attest.Refused, "%s of that run did not pass (%s)", st.Name, st.Code)
		}
	}
	for _, wanted := range verdict.Requires(verdict.Publish) {
		if st := run.Stage(wanted); st == nil || st.Verdict != verdict.Pass {
			return f, verdict.Problemf(attest.Refused, "%s is no part of that run, or did not pass", wanted)
		}
	}
	return f, nil
}

// factsOfIndex returns the facts of an index. They come from the report of join, which has the reports of the runs that built
// each platform's image.
func (s attester) factsOfIndex(run *verdict.Run, read func(string) []byte, reference imageref.Reference) (attest.Facts, *verdict.Problem) {
	refuse := func(format string, args ...any) (attest.Facts, *verdict.Problem) {
		return attest.Facts{}, verdict.Problemf(attest.Refused, format, args...)
	}
	content := read(indexFile)
	if sum := sha256.Sum256(content); "sha256:"+hex.EncodeToString(sum[:]) != reference.Digest {
		return refuse("the run joined another index than %s", reference.Digest)
	}
	if run.Judge().Verdict != verdict.Pass {
		return refuse("joining the index did not pass (%s)", run.Code)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(content))
	if err != nil {
		return refuse("read %s: %v", indexFile, err)
	}
	var all attest.Facts
	for i, m := range index.Manifests {
		if m.Platform == nil {
			return refuse("read %s: %s has no platform", indexFile, m.Digest)
		}
		platform := m.Platform.OS + "/" + m.Platform.Architecture
		folder := platformsDir + "/" + folderOf(platform) + "/"
		of := func(name string) []byte { return read(folder + name) }
		built, err := decodeRun(of(verdict.ReportJSON))
		if err != nil {
			return refuse("%s: %v", platform, err)
		}
		one := imageref.Reference{Repository: reference.Repository, Digest: m.Digest.String()}
		f, problem := s.factsOf(built, of, one)
		if problem != nil {
			return refuse("%s: %s", platform, problem.Cause)
		}
		for k := range f.Stages {
			f.Stages[k].Platform = platform
		}
		if i == 0 {
			all = f
			all.Digest = reference.Digest
			continue
		}
		all.Stages, all.Scan = append(all.Stages, f.Stages...), all.Scan.With(f.Scan)
		all.BOM, all.SPDX = append(all.BOM, f.BOM...), append(all.SPDX, f.SPDX...)
		if f.Started.Before(all.Started) {
			all.Started = f.Started
		}
		if f.Ended.After(all.Ended) {
			all.Ended = f.Ended
		}
	}
	return all, nil
}

// scanned returns the facts of a separate scan, passed or failed. They update the image's known vulnerabilities and nothing
// else.
func scanned(f attest.Facts, st *verdict.Stage, read func(string) []byte) (attest.Facts, *verdict.Problem) {
	if st.Verdict != verdict.Pass && st.Verdict != verdict.Fail {
		return f, verdict.Problemf(attest.Refused, "the scan reached no verdict (%s)", st.Code)
	}
	f.Rescan = true
	for _, folder := range scannedIn(read) {
		f.Scan = f.Scan.With(scanOf(read(folder+"findings.json"), "image"))
		if bom := read(folder + "sbom.cdx.json"); bom != nil {
			f.BOM = append(f.BOM, bom)
		}
		if spdx := read(folder + "sbom.spdx.json"); spdx != nil {
			f.SPDX = append(f.SPDX, spdx)
		}
	}
	if st.Verdict == verdict.Fail {
		if f.Scan == nil {
			f.Scan = &attest.Scan{Scanner: attest.Verifier, Version: Version}
		}
		for _, p := range st.Problems {
			f.Scan.Faults = append(f.Scan.Faults, p.Code)
		}
	}
	if f.Scan == nil {
		return f, verdict.Problemf(attest.Refused, "the scan compared nothing")
	}
	return f, nil
}

// scannedIn returns the directories of a scan's report: one, or one per platform of an index.
func scannedIn(read func(string) []byte) []string {
	var names []string
	if json.Unmarshal(read(scanPlatforms), &names) != nil || len(names) == 0 {
		return []string{"scan/"}
	}
	for i, name := range names {
		names[i] = "scan/" + folderOf(name) + "/"
	}
	return names
}

// reportFile returns a file that a stage of this run added to the report, or nil.
func (s attester) reportFile(name string) []byte {
	for _, st := range s.run.Stages {
		for _, f := range st.Files {
			if f.Path == name {
				return f.Content
			}
		}
	}
	return nil
}

// maxReport limits the size of a report file that is read back.
const maxReport = 64 << 20

// readIn returns a function that reads a file of a report directory, and returns nil for a missing one.
func readIn(dir string) func(string) []byte {
	return func(name string) []byte { return optional(filepath.Join(dir, filepath.FromSlash(name))) }
}

// readRun reads report.json of a report.
func readRun(dir string) (*verdict.Run, error) { return decodeRun(readIn(dir)(verdict.ReportJSON)) }

func decodeRun(content []byte) (*verdict.Run, error) {
	if content == nil {
		return nil, fmt.Errorf("%s is not in the report", verdict.ReportJSON)
	}
	run := &verdict.Run{}
	if err := json.Unmarshal(content, run); err != nil {
		return nil, fmt.Errorf("read %s: %w", verdict.ReportJSON, err)
	}
	return run, nil
}

// optional returns a file's content, or nil if the file is missing or too large.
func optional(file string) []byte {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) || err != nil || info.Size() > maxReport {
		return nil
	}
	content, err := os.ReadFile(file) //nolint:gosec // the caller named the report
	if err != nil {
		return nil
	}
	return content
}

// scanOf returns the findings in a report of audit (lock files) or scan (image), or nil if nothing was compared with
// advisories.
func scanOf(content []byte, in string) *attest.Scan {
	var report struct {
		Database *struct {
			Kind   string               `json:"kind"`
			Schema string               `json:"schema"`
			Digest string               `json:"digest"`
			Data   map[string]time.Time `json:"data"`
		} `json:"database"`
		Vulnerabilities []struct {
			Finding advisory.Finding `json:"finding"`
			Leads   string           `json:"leads_to"`
		} `json:"vulnerabilities"`
	}
	if json.Unmarshal(content, &report) != nil || report.Database == nil {
		return nil
	}
	scan := &attest.Scan{Scanner: attest.Verifier, Version: Version, Database: report.Database.Kind + ":" + report.Database.Digest}
	for _, at := range report.Database.Data {
		if scan.Data.IsZero() || at.Before(scan.Data) {
			scan.Data = at
		}
	}
	for _, v := range report.Vulnerabilities {
		leads, _, _ := strings.Cut(v.Leads, " ")
		f := v.Finding
		scan.Found = append(scan.Found, attest.Vulnerability{
			ID: f.ID, Aliases: f.Aliases, Package: f.Package, Version: f.Version, Severity: f.Severity, Leads: leads, In: in,
			Fixed: f.Fixed, Published: f.Published, Exploited: f.Exploited,
		})
	}
	return scan
}
