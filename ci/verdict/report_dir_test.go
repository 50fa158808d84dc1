package verdict_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAReportDirectoryIsCheckedBeforeItIsNeeded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "report")
	require.NoError(t, verdict.CheckReportDir(dir))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.ErrorContains(t, verdict.CheckReportDir(file), "make report directory")
	require.ErrorContains(t, verdict.CheckReportDir(filepath.Join(file, "below")), "make report directory")
	blocked := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(blocked, ".check.partial"), 0o750))
	require.NoError(t, os.Mkdir(filepath.Join(blocked, ".check.partial", "full"), 0o750))
	require.ErrorContains(t, verdict.CheckReportDir(blocked), "write in the report directory")
	taken := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(taken, verdict.ReportHTML), 0o750))
	require.ErrorContains(t, verdict.CheckReportDir(taken), "report.html is a directory")
	require.ErrorContains(t, verdict.CheckWritable("directory of models", file), "make directory of models")
}

func TestReportsAmongFilesAreKnown(t *testing.T) {
	names := []string{"a/report.html", "a/report.json", "b/report.json", "deep/out/report.html", "deep/out/report.json", "report.html", "report.json", "report/app.py"}
	assert.Equal(t, []string{"a", "deep/out"}, verdict.ReportDirs(names), "neither the root, nor a page or a module alone")
	assert.Empty(t, verdict.ReportDirs(nil))
}

// TestOnlyAReportIsReplacedByAReport: files of the same names may be anybody's.
func TestOnlyAReportIsReplacedByAReport(t *testing.T) {
	for _, name := range []string{verdict.ReportJSON, verdict.ReportMarkdown, verdict.ReportHTML, verdict.ReportVerdict, verdict.Annotations} {
		dir := t.TempDir()
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(`{"schema": "theirs"}`), 0o600))
		require.ErrorContains(t, verdict.CheckReportDir(dir), name+" is there, which no report has left")
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.JSONEq(t, `{"schema": "theirs"}`, string(content))
	}
	dir := t.TempDir()
	require.NoError(t, verdict.WriteReport(dir, &verdict.Run{}))
	require.NoError(t, verdict.CheckReportDir(dir))
}

// A pass of an earlier run must not stand beside a report that could not be written, nor half
// a file of this one.
func TestAReportThatCannotBeWrittenLeavesNothingOld(t *testing.T) {
	for _, name := range []string{verdict.ReportJSON, verdict.ReportMarkdown, verdict.ReportHTML, verdict.ReportVerdict} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			earlier := &verdict.Run{Stages: []verdict.Stage{{Name: "test", Verdict: verdict.Pass}}}
			require.NoError(t, verdict.WriteReport(dir, earlier))
			require.NoError(t, os.Remove(filepath.Join(dir, name)))
			require.NoError(t, os.MkdirAll(filepath.Join(dir, name, "in the way"), 0o750))
			require.Error(t, verdict.WriteReport(dir, failedRun()))
			partial, err := filepath.Glob(filepath.Join(dir, "*.partial"))
			require.NoError(t, err)
			assert.Empty(t, partial)
			if name != verdict.ReportVerdict {
				content, err := os.ReadFile(filepath.Join(dir, verdict.ReportVerdict))
				assert.False(t, err == nil && strings.HasPrefix(string(content), "pass"), "the earlier verdict is gone")
			}
		})
	}
}
