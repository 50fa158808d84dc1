package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// bad is one way in which a source can be wrong.
type bad struct {
	change func(t *testing.T, dir string)
	// stage and code are what the run must end with; line is part of what users see.
	stage, code string
	line        string
}

// The inputs that issue the pipeline's users most: each must end in FAIL <stage> <CODE>,
// exit 1, nothing published after it, and a complete report.
var badInputs = map[string]bad{
	"an empty source": {func(t *testing.T, dir string) {
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, os.Mkdir(dir, 0o755))
	}, verdict.Preflight, "SRC_EMPTY", "it has no file besides what pipeline.yaml excludes"},
	"a source without Python": {func(t *testing.T, dir string) {
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, os.Mkdir(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "main.rb"), []byte("puts 1"), 0o644))
	}, verdict.Preflight, "SRC_NOT_PYTHON", "none of its 1 files ends in .py"},
	"a configuration with an unknown key, a wrong type and a threshold of 101": {func(t *testing.T, dir string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "pipeline.yaml"), []byte("tests: {}\ntrain:\n  timeout: [1]\ntest:\n  coverage:\n    total: 101\n"), 0o644))
	}, verdict.Preflight, "CONFIG_INVALID", "pipeline.yaml:6:"},
	"a failing test": {replace("tests/test_scoring.py", "score([]) == 0.0", "score([]) == 0.5"), verdict.Test, "TESTS_FAILED", "test_empty_sequence_scores_zero"},
	"no test": {func(t *testing.T, dir string) {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "tests")))
		require.NoError(t, os.Mkdir(filepath.Join(dir, "tests"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "tests", "helpers.py"), []byte("x = 1\n"), 0o644))
	}, verdict.Test, "NO_TESTS", "FAIL test NO_TESTS"},
	"coverage below the gate": {func(t *testing.T, dir string) {
		require.NoError(t, os.Remove(filepath.Join(dir, "tests", "test_network.py")))
	}, verdict.Test, "COVERAGE_BELOW", "FAIL test COVERAGE_BELOW"},
	"a training that leaves no model":  {replace("main.py", `write(MODELS / "lstm_model.keras")`, "MODELS.mkdir()"), verdict.Train, "NO_MODEL", "FAIL train NO_MODEL"},
	"an accuracy that is not a number": {replace("main.py", `"accuracy": accuracy`, `"accuracy": float("nan")`), verdict.Train, "METRIC_INVALID", "FAIL train METRIC_INVALID"},
}

func TestBadInputOnAnEngine(t *testing.T) {
	reachable.Engine(t) // here, or a test of which every part was skipped would count as passed
	for name, c := range badInputs {
		t.Run(name, func(t *testing.T) { c.check(t, onEngine(t, changed(t, c.change))) })
	}
	t.Run("an image that is never healthy", func(t *testing.T) {
		c := bad{replace("app/server.py", "200 if healthy else 503", "500"), verdict.Image, "UNHEALTHY", "FAIL image UNHEALTHY"}
		left := onEngine(t, changed(t, c.change))
		c.check(t, left)
		assert.Empty(t, left.report.ImageDigest)
	})
}

func TestBadInputOnThisHost(t *testing.T) {
	reachable.Python(t)
	for name, c := range badInputs {
		t.Run(name, func(t *testing.T) { c.check(t, native(t, changed(t, c.change))) })
	}
	t.Run("an application that is never healthy", func(t *testing.T) {
		c := bad{replace("app/server.py", "200 if healthy else 503", "500"), verdict.Image, "UNHEALTHY", "FAIL image UNHEALTHY"}
		c.check(t, native(t, changed(t, c.change)))
	})
}

func (c bad) check(t *testing.T, left outcome) {
	t.Helper()
	assert.Equal(t, 1, left.exit)
	assert.Equal(t, "fail", left.report.Verdict)
	assert.Contains(t, left.report.codes(), c.code)
	assert.Contains(t, left.output, "FAIL "+c.stage+" "+c.code)
	assert.Contains(t, left.output, c.line)
	after := c.stage == verdict.Preflight
	for _, name := range verdict.Stages() {
		stage := left.report.stage(name)
		require.Equal(t, name, stage.Name, "the report has every stage")
		// None of them is asked for, here or in the sample.
		if c.stage != verdict.Preflight && slices.Contains([]string{verdict.Audit, verdict.Scan, verdict.Attest}, name) {
			assert.Equal(t, "not-run", stage.Verdict, name)
			continue
		}
		// Tests and training run side by side; all others come one after the other.
		if after && (c.stage == verdict.Preflight || name != verdict.Train) {
			assert.Equal(t, "could-not-run", stage.Verdict, name)
			assert.Empty(t, stage.Published, name)
		}
		after = after || name == c.stage
	}
	if c.stage != verdict.Image {
		assert.Empty(t, left.report.stage(verdict.Publish).Published)
	}
}
