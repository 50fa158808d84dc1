package verdict_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TestARemarkIsNoAlarm: a green run with remarks looks like one, and a warning says what to do in every report.
func TestARemarkIsNoAlarm(t *testing.T) {
	run := passedRun()
	run.Stages[0].Remark(verdict.Code{Name: "TOOLS_ADDED", Remedy: "Lock the tools"}, "pytest was added")
	run.Remark(verdict.Code{Name: "REF_ASSUMED", Remedy: "Give --ref"}, "main is assumed")
	_, _, markdown, page := written(t, run)
	assert.Contains(t, page, `<div class="finding remark"><strong>Remark TOOLS_ADDED</strong>`)
	assert.Contains(t, page, `<div class="finding warn"><strong>Warning SLOW_TESTS</strong>`)
	assert.NotContains(t, page, `<div class="finding">`, "nothing failed, nothing is red")
	assert.Contains(t, page, ".finding.remark { border-left-color: var(--idle); background: var(--idle-bg); }")
	assert.Contains(t, page, "<header><h2>Remarks</h2></header>", "the run has no warning of its own")
	assert.Contains(t, markdown, "SLOW_TESTS`: tests/test_inference.py took 18.4 s\n  - Next: See the slowest ten\n")
	assert.NotContains(t, markdown, "Lock the tools", "a remark asks for nothing")

	run.Warn(codeSlow, "slow")
	_, _, _, page = written(t, run)
	assert.Contains(t, page, "<header><h2>Warnings</h2></header>")
}

// TestACommandIsTypedAsTheMarkdownHasIt: an engine prints it as it is.
func TestACommandIsTypedAsTheMarkdownHasIt(t *testing.T) {
	run := failedRun()
	p := verdict.Problemf(codeBelow, "x")
	p.Next = "Run it alone: dagger call test --path '\"t.py::x[a,b]\"' summary"
	alone := verdict.Problemf(codeBelow, "y")
	alone.Next = "openstack-rca test --verbose --path \"t.py::x[a_*b*]\""
	run.Stages[0].Judge(p, alone)
	_, _, markdown, _ := written(t, run)
	assert.Contains(t, markdown, "  - Next: Run it alone: `dagger call test --path '\"t.py::x[a,b]\"' summary`\n")
	assert.Contains(t, markdown, "  - Next: `openstack-rca test --verbose --path \"t.py::x[a_*b*]\"`\n")
}

// TestWhatIsUsefulIsNotPushedOutByDigests of 64 characters, and a time is told the same way everywhere.
func TestWhatIsUsefulIsNotPushedOutByDigests(t *testing.T) {
	sum := strings.Repeat("9f2c1b7e", 8)
	run := passedRun()
	run.Seconds = 10.962
	run.Stages = run.Stages[2:3]
	publish := &run.Stages[0]
	publish.Seconds = 10.962
	publish.Evidence = nil
	publish.Gate("sha256 read back", sum, sum, true)
	publish.Gate("loaded", "models/m.skops of sha256:"+sum, "loads", true)
	summary := verdict.Summary(run)
	assert.Contains(t, summary, "sha256 read back 9f2c1b7e9f2c, loaded models/m.skops of sha256:9f2c1b7e9f2c")
	_, report, _, page := written(t, run)
	require.Contains(t, fmt.Sprint(report), sum, "the evidence has it whole")
	assert.Contains(t, page, "11 s")
	assert.NotContains(t, page, "10.96")
}

func TestAWarningOfTwoStagesBeginsWithTheLastOfThem(t *testing.T) {
	code := verdict.Code{Name: "NOT_LOADED", Remedy: "Set train.score_command"}
	run := &verdict.Run{Stages: []verdict.Stage{{Name: verdict.Train}, {Name: verdict.Publish}}}
	run.Stages[0].Warn(code, "nothing here loads it")
	run.Stages[1].Warn(code, "nothing here loads it")
	assert.Contains(t, verdict.Summary(run.Judge()), "WARN publish, train NOT_LOADED: nothing here loads it\n     -> Set train.score_command\n")
}
