package teststage

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/ci/testrun"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// row is a line of coverage.py's table: file, statements, missed, branches, partly taken.
var row = regexp.MustCompile(`(?m)^(\S+\.py)\s+(\d+)\s+(\d+)\s+(\d+)\s+\d+\s+\d+%`)

// last is the number of passed tests in pytest's last line.
var last = regexp.MustCompile(`(?m)^=+ .*?(\d+) passed`)

// equalsPytest holds the stage's numbers against those that pytest and coverage.py
// printed in the same run.
func equalsPytest(t *testing.T, r *testrun.Result) {
	t.Helper()
	output := ""
	for _, b := range r.Stage.Blocks {
		output += b.Log + "\n"
	}
	passed := last.FindStringSubmatch(output)
	require.NotNil(t, passed, "pytest's last line is in the report")
	assert.Equal(t, passed[1], strconv.Itoa(r.JUnit.Passed))
	printed := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(output, -1) {
		printed[m[1]] = m[2:5]
	}
	require.NotEmpty(t, r.Coverage.Files)
	for _, f := range r.Coverage.Files {
		totals := f.Totals()
		assert.Equal(t, printed[f.Path], []string{strconv.Itoa(totals.Lines), strconv.Itoa(totals.Lines - totals.Covered), strconv.Itoa(totals.Branches)}, f.Path)
	}
}

func TestNumbersEqualThosePrinted(t *testing.T) {
	equalsPytest(t, run(t, calculator(), nil))
}

func TestTheExampleApplicationPasses(t *testing.T) {
	if os.Getenv("OPENSTACK_RCA_SLOW_TESTS") == "" {
		t.Skip("set OPENSTACK_RCA_SLOW_TESTS=1: installs TensorFlow and trains a model")
	}
	dir, err := filepath.Abs("../../examples/openstack-rca")
	require.NoError(t, err)
	content, err := os.ReadFile(filepath.Join(dir, config.FileName))
	require.NoError(t, err)
	cfg, err := config.Load(content, "sandbox")
	require.NoError(t, err)
	r := runDir(t, dir, func(r runner.Runner, in *testrun.Input) {
		in.Config = cfg
		in.Services = map[string]*runner.Running{}
		for _, service := range []runner.Service{sandbox.MLflow(r), sandbox.S3(r)} {
			running, err := r.Start(t.Context(), service)
			require.NoError(t, err)
			in.Services[service.Name] = running
		}
		in.ServiceVars = sandbox.Vars()
		_, err := sandbox.Target(t.Context(), in.Services[sandbox.MLflowName], in.Services[sandbox.S3Name]) // makes the bucket
		require.NoError(t, err)
	})
	equalsPytest(t, r)
	require.Equal(t, verdict.Pass, r.Stage.Verdict)
	assert.Empty(t, r.Stage.Warnings)
	for _, e := range r.Stage.Evidence {
		t.Logf("%s: %s %s", e.Name, e.Value, e.Want)
	}
}
