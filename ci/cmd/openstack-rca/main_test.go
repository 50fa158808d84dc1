package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// said is what a command line did.
type said struct {
	exit           int
	stdout, stderr string
}

// call runs a command line in a cache of its own.
func call(t *testing.T, args ...string) said {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var files [2]*os.File
	for i := range files {
		file, err := os.CreateTemp(t.TempDir(), "out")
		require.NoError(t, err)
		defer func() { require.NoError(t, file.Close()) }()
		files[i] = file
	}
	exit := execute(t.Context(), args, files[0], files[1])
	read := func(file *os.File) string {
		content, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		return string(content)
	}
	return said{exit, read(files[0]), read(files[1])}
}

// project is a source that a pipeline would take.
func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.py"), []byte("print()\n"), 0o600))
	return dir
}

func TestACommandLineThatIsWrong(t *testing.T) {
	for sentence, c := range map[string]struct {
		args []string
		want string
	}{
		"an unknown command":     {[]string{"deploy-all"}, "unknown command"},
		"an unknown flag":        {[]string{"test", "--shard", "2"}, "unknown flag: --shard"},
		"a wrong value":          {[]string{"train", "--cpu-threads", "two"}, "invalid argument"},
		"an argument too many":   {[]string{"plan", "main"}, "unknown command"},
		"a source that is gone":  {[]string{"plan", "--source", "/does/not/exist"}, "open --source"},
		"a data set that is not": {[]string{"train", "--source", ".", "--data", "/does/not/exist"}, "open --data"},
	} {
		t.Run(sentence, func(t *testing.T) {
			got := call(t, c.args...)
			assert.Equal(t, 2, got.exit)
			assert.Contains(t, got.stderr, "openstack-rca: ")
			assert.Contains(t, got.stderr, c.want)
			assert.Empty(t, got.stdout)
		})
	}
}

func TestAPlanIsShown(t *testing.T) {
	got := call(t, "plan", "--source", project(t), "--ref", "develop")
	assert.Equal(t, 0, got.exit, got.stderr)
	assert.Contains(t, got.stdout, "| publish | no |")
}

func TestAPlanThatCannotBeCarriedOut(t *testing.T) {
	got := call(t, "plan", "--source", t.TempDir())
	assert.Equal(t, 1, got.exit)
	assert.Contains(t, got.stderr, "SRC_EMPTY")
}

func TestARefusedRunHasAReport(t *testing.T) {
	report := filepath.Join(t.TempDir(), "report")
	got := call(t, "pipeline", "--source", t.TempDir(), "--report", report)
	assert.Equal(t, 1, got.exit)
	assert.Contains(t, got.stdout, "FAIL preflight SRC_EMPTY")
	assert.Contains(t, got.stdout, "Report: "+filepath.Join(report, "report.html"))
	assert.FileExists(t, filepath.Join(report, "report.json"))
}

func TestAReportThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	got := call(t, "test", "--source", t.TempDir(), "--report", file)
	assert.Equal(t, 2, got.exit)
	assert.Contains(t, got.stderr, "write report")
}

func TestTheDoctorChangesNothingAndSpeaks(t *testing.T) {
	got := call(t, "doctor", "--source", project(t))
	assert.Equal(t, 0, got.exit, got.stderr)
	assert.Contains(t, got.stdout, "of the checks failed")
}

func TestPublishedVersionsNeedServersThatStay(t *testing.T) {
	for _, command := range []string{"models", "promote", "rollback-model", "clean-claims"} {
		report := filepath.Join(t.TempDir(), "report")
		got := call(t, command, "--source", project(t), "--report", report)
		assert.Equal(t, 1, got.exit, command)
		assert.Contains(t, got.stdout, "PUBLISH_INPUT", command)
		assert.FileExists(t, filepath.Join(report, "report.json"))
	}
}
