package pipeline

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/supply"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// scanPlatforms is the file that names the directory of each platform in an index's scan report.
const scanPlatforms = "scan/platforms.json"

// folderOf returns a platform as a directory name, such as linux-arm64.
func folderOf(platform string) string { return unsafeInName.ReplaceAllString(platform, "-") }

var unsafeInName = regexp.MustCompile(`[^A-Za-z0-9._]+`)

// onPlatform is the result of a stage for one platform's image.
type onPlatform struct {
	platform string
	stage    verdict.Stage
}

// together combines the results for all images of an index. The verdict is the worst of them, and every entry names its
// platform.
func together(name string, parts []onPlatform) verdict.Stage {
	all := verdict.Stage{Name: name, Verdict: verdict.Pass}
	for _, outcome := range []verdict.Outcome{verdict.Fail, verdict.CouldNotRun} {
		for _, part := range parts {
			if part.stage.Verdict != outcome {
				continue
			}
			if all.Verdict == verdict.Pass {
				all.Verdict, all.Code, all.Next = outcome, part.stage.Code, part.stage.Next
				all.Cause = part.platform + ": " + part.stage.Cause
			}
			all.Problems = append(all.Problems, part.named(part.stage.Problems)...)
		}
	}
	var folders []string
	for _, part := range parts {
		st := part.stage
		for _, e := range st.Evidence {
			e.Name = part.platform + ": " + e.Name
			all.Evidence = append(all.Evidence, e)
		}
		for _, w := range st.Warnings {
			// An exception counts as used if it applies to one of the images.
			if w.Code == supply.WaiverUnused.Name && !everywhere(parts, w) {
				continue
			}
			all.Warnings = append(all.Warnings, part.named([]verdict.Finding{w})...)
		}
		for _, b := range st.Blocks {
			b.Title = part.platform + ": " + b.Title
			all.Blocks = append(all.Blocks, b)
		}
		for _, m := range st.Measures {
			all.Measures = most(all.Measures, m)
		}
		all.Notes = append(all.Notes, st.Notes...)
		folder := folderOf(part.platform)
		folders = append(folders, folder)
		for _, f := range st.Files {
			dir, base := path.Split(f.Path)
			f.Path = dir + folder + "/" + base
			all.Files = append(all.Files, f)
		}
	}
	content, err := json.Marshal(folders)
	if err != nil { // strings can always be encoded
		return failed(name, verdict.Problemf(supply.ReportUnreadable, "write %s: %v", scanPlatforms, err))
	}
	all.Files = append(all.Files, verdict.ReportFile{Path: scanPlatforms, Content: content})
	if sarif := joinedSARIF(parts); sarif != nil {
		all.Files = append(all.Files, verdict.ReportFile{Path: "scan/scan.sarif", Content: sarif})
	}
	return all
}

// named adds the platform to findings.
func (p onPlatform) named(all []verdict.Finding) []verdict.Finding {
	all = slices.Clone(all)
	for i := range all {
		all[i].Cause = p.platform + ": " + all[i].Cause
	}
	return all
}

func everywhere(parts []onPlatform, finding verdict.Finding) bool {
	for _, part := range parts {
		same := func(w verdict.Finding) bool { return w.Code == finding.Code && w.Cause == finding.Cause }
		if !slices.ContainsFunc(part.stage.Warnings, same) {
			return false
		}
	}
	return true
}

// most keeps the largest measurement of each kind.
func most(all []verdict.Measure, m verdict.Measure) []verdict.Measure {
	for i := range all {
		if all[i].Name == m.Name && all[i].Of == m.Of {
			if m.Value > all[i].Value {
				all[i] = m
			}
			return all
		}
	}
	return append(all, m)
}

// joinedSARIF combines the findings of all images, with one SARIF run per image. It returns nil without findings files.
func joinedSARIF(parts []onPlatform) []byte {
	var joined map[string]any
	for _, part := range parts {
		for _, f := range part.stage.Files {
			var one map[string]any
			if !strings.HasSuffix(f.Path, ".sarif") || json.Unmarshal(f.Content, &one) != nil {
				continue
			}
			runs, _ := one["runs"].([]any)
			for _, run := range runs {
				if object, is := run.(map[string]any); is { // code hosts use it to tell the runs apart
					object["automationDetails"] = map[string]any{"id": fmt.Sprintf("openstack-rca/%s/", part.platform)}
				}
			}
			if joined == nil {
				joined = one
				continue
			}
			before, _ := joined["runs"].([]any)
			joined["runs"] = append(before, runs...)
		}
	}
	if joined == nil {
		return nil
	}
	content, err := json.MarshalIndent(joined, "", "  ")
	if err != nil {
		return nil
	}
	return append(content, '\n')
}
