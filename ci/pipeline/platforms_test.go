package pipeline

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/supply"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestTogether(t *testing.T) {
	passed, failing, blind := verdict.Stage{}, verdict.Stage{}, verdict.Stage{}
	passed.Judge()
	failing.Judge(verdict.Problemf(supply.ImageVulnerable, "one"))
	blind.Judge(verdict.Problemf(supply.ImageUnreadable, "no"))
	for sentence, tc := range map[string]struct {
		amd64, arm64 verdict.Stage
		want         verdict.Outcome
		cause        string
	}{
		"both pass":             {passed, passed, verdict.Pass, ""},
		"one fails":             {passed, failing, verdict.Fail, "linux/arm64: one"},
		"one was not looked at": {blind, passed, verdict.CouldNotRun, "linux/amd64: no"},
		"both":                  {blind, failing, verdict.Fail, "linux/arm64: one"},
	} {
		all := together(verdict.Scan, []onPlatform{{"linux/amd64", tc.amd64}, {"linux/arm64", tc.arm64}})
		assert.Equal(t, tc.want, all.Verdict, sentence)
		assert.Equal(t, tc.cause, all.Cause, sentence)
		assert.Len(t, all.Problems, len(tc.amd64.Problems)+len(tc.arm64.Problems), sentence)
		run := verdict.Run{Stages: []verdict.Stage{all}}
		assert.Equal(t, tc.want, run.Judge().Verdict, "%s, judged again", sentence)
	}
}

func TestTogetherKeepsWhatBelongsToEach(t *testing.T) {
	stage := func(waivers float64, warnings ...string) verdict.Stage {
		s := verdict.Stage{}
		s.Judge()
		s.Add("image", "x")
		s.Measure(verdict.MeasureWaivers, "scan/unused", waivers, nil)
		for _, cause := range warnings {
			s.Warn(supply.WaiverUnused, "%s", cause)
		}
		s.Files = []verdict.ReportFile{{Path: "scan/scan.sarif", Content: []byte(`{"version":"2.1.0","runs":[{"tool":1}]}`)}}
		s.Blocks = []verdict.Block{{Title: "Known vulnerabilities"}}
		return s
	}
	all := together(verdict.Scan, []onPlatform{{"linux/amd64", stage(1, "both", "one")}, {"linux/../arm64", stage(3, "both")}})
	assert.Equal(t, "linux/amd64: image", all.Evidence[0].Name)
	require.Len(t, all.Measures, 1)
	assert.InDelta(t, 3, all.Measures[0].Value, 0)
	require.Len(t, all.Warnings, 2, "an exception that one image needs is not unused")
	assert.Equal(t, "linux/amd64: both", all.Warnings[0].Cause)
	assert.Equal(t, "linux/amd64: Known vulnerabilities", all.Blocks[0].Title)
	files := map[string]string{}
	for _, f := range all.Files {
		files[f.Path] = string(f.Content)
	}
	assert.Contains(t, files, "scan/linux-amd64/scan.sarif")
	assert.Contains(t, files, "scan/linux-..-arm64/scan.sarif", "a registry chooses no path")
	assert.JSONEq(t, `["linux-amd64","linux-..-arm64"]`, files[scanPlatforms])
	var joined struct{ Runs []any }
	require.NoError(t, json.Unmarshal([]byte(files["scan/scan.sarif"]), &joined))
	assert.Len(t, joined.Runs, 2)
}
