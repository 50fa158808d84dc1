package testrun

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// sealOf is what the plugin prints at the end of a run that left these reports, or nothing for one
// that did not come to its end.
func sealOf(left outputs) string {
	if !strings.Contains(left[".report/events.jsonl"], `"event":"end"`) {
		return ""
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(left)) {
		if name = strings.TrimPrefix(name, ".report/"); strings.Contains(name, "/") {
			continue
		}
		sum := sha256.Sum256([]byte(left[".report/"+name]))
		pairs = append(pairs, name+"="+hex.EncodeToString(sum[:])[:32])
	}
	return "2 passed in 0.1s\n\nopenstack-rca: sealed " + strings.Join(pairs, " ") + "\n"
}

// ranWith is the result of a run that left some outputs, and sealed them.
func ranWith(exit int, left outputs) *runner.Result {
	ran := fake.Result(exit, left)
	ran.Stdout = sealOf(left)
	return ran
}

func answer(exit int, left outputs) func(runner.Step) (*runner.Result, error) {
	return func(runner.Step) (*runner.Result, error) { return ranWith(exit, left), nil }
}

func TestRunRefusesReportsThatWereWrittenAgain(t *testing.T) {
	for name, c := range map[string]struct {
		adjust func(*Input, *runner.Result)
		code   string
		cause  string
	}{
		"events written again": {func(_ *Input, r *runner.Result) {
			r.Outputs = r.Outputs.With(".report", fake.Files(map[string]string{"events.jsonl": eventLines("tests/test_inference.py::test_a")}))
		}, "REPORT_DISAGREES", "events.jsonl was changed after the run ended"},
		"coverage written again": {func(_ *Input, r *runner.Result) {
			r.Outputs = r.Outputs.With(".report", fake.Files(map[string]string{"coverage.xml": covered("lstm/model.py 100 100")}))
		}, "REPORT_DISAGREES", "coverage.xml was changed after the run ended"},
		"a report that came later": {func(_ *Input, r *runner.Result) {
			r.Outputs = r.Outputs.With(".report", fake.Files(map[string]string{"selection.json": "{}"}))
		}, "REPORT_DISAGREES", "selection.json was not there when the run ended"},
		"a second seal": {func(_ *Input, r *runner.Result) { r.Stdout += sealOf(green()) }, "REPORT_DISAGREES", "said twice"},
		"no seal":       {func(_ *Input, r *runner.Result) { r.Stdout = "2 passed\n" }, "EVENTS_MISSING", "did not record its events to the end"},
		"half a seal":   {func(_ *Input, r *runner.Result) { r.Stdout = r.Stdout[:len(r.Stdout)-9] }, "EVENTS_MISSING", "did not record"},
		"no seal of a command that only starts pytest": {func(in *Input, r *runner.Result) {
			in.Config.Test.Command, r.Stdout = []string{"make", "test"}, ""
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in, ran := input(t), ranWith(0, green())
			c.adjust(&in, ran)
			r := Run(t.Context(), fake.New().OnRun(func(runner.Step) (*runner.Result, error) { return ran, nil }), in)
			assert.Equal(t, c.code, r.Stage.Code, r.Stage.Cause)
			assert.Contains(t, r.Stage.Cause, c.cause)
			if c.code == "" {
				require.Equal(t, verdict.Pass, r.Stage.Verdict)
				assert.Equal(t, []string{"EVENTS_MISSING"}, codes(r.Stage.Warnings))
			}
		})
	}
}

func TestTheSealIsNotShown(t *testing.T) {
	r := judge(t, input(t), 0, green())
	for _, b := range r.Stage.Blocks {
		assert.NotContains(t, fmt.Sprint(b), "sealed", b.Title)
	}
}
