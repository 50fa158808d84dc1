package verdict_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func stage(name string, outcome verdict.Outcome, code string) verdict.Stage {
	return verdict.Stage{Name: name, Verdict: outcome, Code: code, Cause: "because"}
}

func TestJudge(t *testing.T) {
	for name, tc := range map[string]struct {
		stages   []verdict.Stage
		want     verdict.Outcome
		wantCode string
	}{
		"all passed":                          {[]verdict.Stage{stage("test", verdict.Pass, ""), stage("train", verdict.Pass, "")}, verdict.Pass, ""},
		"a stage that was not to run is left": {[]verdict.Stage{stage("test", verdict.Pass, ""), stage("image", verdict.NotRun, "NO_ENGINE")}, verdict.Pass, ""},
		"one failed":                          {[]verdict.Stage{stage("test", verdict.Pass, ""), stage("train", verdict.Fail, "NO_MODEL")}, verdict.Fail, "NO_MODEL"},
		"one could not run":                   {[]verdict.Stage{stage("test", verdict.Pass, ""), stage("train", verdict.CouldNotRun, "ENV_FAILED")}, verdict.CouldNotRun, "ENV_FAILED"},
		"a failure outweighs could-not-run":   {[]verdict.Stage{stage("test", verdict.CouldNotRun, "ENV_FAILED"), stage("train", verdict.Fail, "NO_MODEL")}, verdict.Fail, "NO_MODEL"},
		"nothing ran":                         {nil, verdict.CouldNotRun, "NOTHING_RAN"},
		"only stages that were not to run":    {[]verdict.Stage{stage("image", verdict.NotRun, "POLICY")}, verdict.CouldNotRun, "NOTHING_RAN"},
		"a stage that was never judged":       {[]verdict.Stage{stage("test", verdict.Pass, ""), {Name: "train"}}, verdict.CouldNotRun, "NO_VERDICT"},
		"an unknown verdict":                  {[]verdict.Stage{stage("test", "passed", "")}, verdict.CouldNotRun, "NO_VERDICT"},
		"a failure without a code":            {[]verdict.Stage{stage("test", verdict.Fail, "")}, verdict.Fail, "NO_VERDICT"},
		"a pass in spite of a problem": {[]verdict.Stage{{Name: "test", Verdict: verdict.Pass, Problems: []verdict.Finding{{Code: "TESTS_FAILED", Cause: "2 failed"}}}},
			verdict.Fail, "TESTS_FAILED"},
		"a pass in spite of a gate that did not hold": {[]verdict.Stage{{Name: "test", Verdict: verdict.Pass, Evidence: []verdict.Evidence{{Name: "coverage", Value: "79", Want: ">= 80"}}}},
			verdict.Fail, "VERDICT_INCONSISTENT"},
	} {
		t.Run(name, func(t *testing.T) {
			run := &verdict.Run{Stages: tc.stages}
			assert.Equal(t, tc.want, run.Judge().Verdict)
			assert.Equal(t, tc.wantCode, run.Code)
			assert.Equal(t, tc.want, run.Judge().Verdict, "judging twice changes nothing")
			err := run.Enforce()
			if tc.want == verdict.Pass {
				require.NoError(t, err)
				assert.Empty(t, run.Failures())
				return
			}
			var notPassed *verdict.NotPassed
			require.ErrorAs(t, err, &notPassed)
			assert.Equal(t, tc.want, notPassed.Verdict)
			require.NotEmpty(t, run.Failures())
			for _, line := range run.Failures() {
				assert.Regexp(t, `^FAIL \w+ [A-Z_]+: .+\. Published: .+\. Next: `, line)
			}
		})
	}
}

func TestRefuseFailsARunBeforeItsFirstStage(t *testing.T) {
	code := verdict.Code{Name: "CONFIG_INVALID", Stage: verdict.Preflight, Outcome: verdict.Fail, Remedy: "Fix it"}
	run := (&verdict.Run{}).Refuse(verdict.Problemf(code, "pipeline.yaml:1:1: bad"))
	assert.EqualError(t, run.Enforce(), "FAIL preflight CONFIG_INVALID: pipeline.yaml:1:1: bad. Published: nothing. Next: Fix it.")
}

func TestEveryProblemIsALine(t *testing.T) {
	run := failedRun().Judge()
	lines := run.Failures()
	require.Len(t, lines, 2, "what waits for the tests has no line of its own")
	assert.Contains(t, lines[1], "critical paths")
	alone := (&verdict.Run{Stages: []verdict.Stage{*(&verdict.Stage{Name: verdict.Publish}).Judge(verdict.Problemf(codeBlocked, "test did not pass"))}}).Judge()
	assert.Contains(t, alone.Failures()[0], "FAIL publish BLOCKED", "nothing else says why")
	assert.NotNil(t, run.Stage(verdict.Train))
	assert.Nil(t, run.Stage("polish"))
}

// TestPublishedCountsTheWholeRun: people on call read it to know what is out, whichever stage failed.
func TestPublishedCountsTheWholeRun(t *testing.T) {
	effects := []string{verdict.Publish, verdict.Image, verdict.Attest, verdict.Deploy}
	broken := verdict.Code{Name: "BROKEN", Outcome: verdict.Fail, Remedy: "Mend it"}
	for failing, name := range verdict.Stages() {
		t.Run(name, func(t *testing.T) {
			run := &verdict.Run{}
			var want []string
			for i, stage := range verdict.Stages() {
				s := verdict.Stage{Name: stage}
				if slices.Contains(effects, stage) && i <= failing {
					want = append(want, stage+" A", "shared")
					s.Published = []string{stage + " A", "shared"}
				}
				switch {
				case i < failing:
					s.Judge()
				case i == failing:
					s.Judge(verdict.Problemf(broken.In(stage), "first"), &verdict.Problem{Code: broken.In(stage), Cause: "second", Published: []string{"half of " + stage}})
					want = append(want, "half of "+stage)
				default:
					s.Judge(verdict.Problemf(codeBlocked.In(stage), "%s did not pass", name))
				}
				run.Stages = append(run.Stages, s)
			}
			slices.Sort(want)
			want = slices.Compact(want)
			dir := t.TempDir()
			require.NoError(t, verdict.WriteReport(dir, run))
			page, err := os.ReadFile(filepath.Join(dir, "report.html"))
			require.NoError(t, err)
			header, _, _ := strings.Cut(string(page), "</header>")
			require.Len(t, run.Failures(), 2)
			for _, line := range run.Failures() {
				assert.Regexp(t, `^FAIL `+name+` BROKEN: (first|second)\. Published: .+\. Next: Mend it\.$`, line)
				_, what, _ := strings.Cut(line, ". Published: ")
				what, _, _ = strings.Cut(what, ". Next: ")
				said := strings.Split(what, ", ")
				slices.Sort(said)
				assert.Equal(t, want, said, "all of it, each thing once")
			}
			for _, w := range want {
				assert.Contains(t, header, "<code>"+w+"</code>")
				assert.Contains(t, verdict.Summary(run), w)
			}
		})
	}
}

// TestWhatToDoIsNotPushedOutByWhatWasPublished: a long list is counted, not shown.
func TestWhatToDoIsNotPushedOutByWhatWasPublished(t *testing.T) {
	for sentence, c := range map[string]struct {
		length int
		more   string
	}{"many": {5, ", 30 more. Next: "}, "long": {500, ", 39 more. Next: "}, "one that is longer than the room": {1200, ", 39 more. Next: "}} {
		t.Run(sentence, func(t *testing.T) {
			run := failedRun()
			run.Stages[2].Published = nil
			for i := range 40 {
				run.Stages[2].Published = append(run.Stages[2].Published, fmt.Sprintf("%02d%s", i, strings.Repeat("p", c.length-2)))
			}
			line := run.Judge().Failures()[0]
			assert.Contains(t, line, ". Published: 00p")
			assert.Contains(t, line, c.more+"Add tests for the files listed.")
		})
	}
}

func TestBudget(t *testing.T) {
	for name, tc := range map[string]struct {
		seconds, budget float64
		warned          bool
	}{
		"within the document's 15 minutes": {seconds: 899},
		"exactly at it":                    {seconds: 900},
		"over it":                          {seconds: 901, warned: true},
		"over a budget of one's own":       {seconds: 61, budget: 60, warned: true},
	} {
		t.Run(name, func(t *testing.T) {
			run := &verdict.Run{Seconds: tc.seconds, BudgetSeconds: tc.budget, Stages: []verdict.Stage{stage("test", verdict.Pass, "")}}
			run.Judge().Judge()
			assert.Equal(t, verdict.Pass, run.Verdict, "a slow run is warned of, not failed")
			if !tc.warned {
				assert.Empty(t, run.Warnings)
				return
			}
			require.Len(t, run.Warnings, 1)
			assert.Equal(t, "OVER_BUDGET", run.Warnings[0].Code)
		})
	}
}

func TestTheReportHasTheCriticalPath(t *testing.T) {
	run := &verdict.Run{Seconds: 70, Critical: []string{"train", "publish"}, Stages: []verdict.Stage{
		{Name: "test", Verdict: verdict.Pass, Seconds: 2}, {Name: "train", Verdict: verdict.Pass, Seconds: 61}, {Name: "publish", Verdict: verdict.Pass, Seconds: 9},
	}}
	run.Judge()
	const path = "critical path: train 61 s → publish 9.0 s"
	assert.Contains(t, verdict.Summary(run), path)
	run.Critical = run.Critical[:1]
	assert.NotContains(t, verdict.Summary(run), "critical path", "one stage is its own path")
}

func TestStageJudge(t *testing.T) {
	fail := verdict.Code{Name: "TESTS_FAILED", Stage: "test", Outcome: verdict.Fail, Remedy: "Fix the test"}
	cannot := verdict.Code{Name: "ENV_FAILED", Stage: "test", Outcome: verdict.CouldNotRun, Remedy: "See the log"}
	s := verdict.Stage{Name: "test"}
	s.Judge(verdict.Problemf(cannot, "no index"), nil, &verdict.Problem{Code: fail, Cause: "1 failed", Next: "Run it", Published: []string{"s3://b/k"}})
	assert.Equal(t, verdict.Fail, s.Verdict)
	assert.Equal(t, "TESTS_FAILED", s.Code)
	require.Len(t, s.Problems, 2)
	assert.Equal(t, "FAIL test TESTS_FAILED: 1 failed. Published: s3://b/k. Next: Run it.", s.Failure())

	s = verdict.Stage{Name: "test"}
	assert.Equal(t, verdict.CouldNotRun, s.Judge(verdict.Problemf(cannot, "no index")).Verdict)
	s.Judge()
	assert.Equal(t, verdict.Pass, s.Verdict)
	assert.Empty(t, s.Failure())
	s.Took(time.Now().Add(-time.Minute))
	assert.Greater(t, s.Seconds, 59.0)
}

func TestACodeWithoutAnOutcomeFails(t *testing.T) {
	s := verdict.Stage{Name: "test"}
	assert.Equal(t, verdict.Fail, s.Judge(verdict.Problemf(verdict.Code{Name: "ODD", Stage: "test"}, "odd")).Verdict)
}

func TestNoTimeBreaksAReport(t *testing.T) {
	for name, seconds := range map[string]float64{"NaN": math.NaN(), "infinite": math.Inf(1), "negative": -1} {
		t.Run(name, func(t *testing.T) {
			run := passedRun()
			run.Seconds, run.Stages[0].Seconds = seconds, seconds
			_, err := run.JSON()
			assert.NoError(t, err)
		})
	}
}

func TestRequires(t *testing.T) {
	assert.Equal(t, []string{"test", "train"}, verdict.Requires(verdict.Publish))
	assert.Equal(t, []string{"publish"}, verdict.Requires(verdict.Image))
	assert.Equal(t, []string{"image"}, verdict.Requires(verdict.Deploy))
	assert.Empty(t, verdict.Requires(verdict.Test))
	assert.Empty(t, verdict.Requires("polish"))
	for name, effect := range map[string]bool{verdict.Test: false, verdict.Train: false, verdict.Publish: true,
		verdict.Image: true, verdict.Deploy: true, "polish": false} {
		assert.Equal(t, effect, verdict.Effectful(name), name)
	}
}

func TestAFailureCanBeReadAndItsCommandTyped(t *testing.T) {
	code := verdict.Code{Name: "X", Stage: "test", Remedy: "Do it."}
	for sentence, c := range map[string]struct{ cause, next, want string }{
		"a question":               {`unknown key; did you mean "health"?`, "", `unknown key; did you mean "health"? Published: nothing. Next: Do it.`},
		"a command alone":          {"x", "openstack-rca test --path a", "x. Published: nothing. Next: openstack-rca test --path a"},
		"a command after a colon":  {"x", "Train alone: openstack-rca train --param a=3.", "x. Published: nothing. Next: Train alone: openstack-rca train --param a=3"},
		"one of an engine":         {"x", "dagger call --source . test summary", "x. Published: nothing. Next: dagger call --source . test summary"},
		"a command and a sentence": {"x", "Lock them: uv lock; then name it", "x. Published: nothing. Next: Lock them: uv lock; then name it."},
		"a tool's name only":       {"x", "Look at what uv printed", "x. Published: nothing. Next: Look at what uv printed."},
	} {
		t.Run(sentence, func(t *testing.T) {
			p := verdict.Problemf(code, "%s", c.cause)
			p.Next = c.next
			assert.Equal(t, "FAIL test X: "+c.want, p.Error())
		})
	}
}

func TestProblemIsAnError(t *testing.T) {
	var err error = verdict.Problemf(verdict.Code{Name: "X", Stage: "test", Remedy: "Do it."}, "ends with a stop.")
	var problem *verdict.Problem
	require.True(t, errors.As(err, &problem))
	assert.Equal(t, "FAIL test X: ends with a stop. Published: nothing. Next: Do it.", err.Error())
}

func TestWhatAnEarlierRunDidIsSaid(t *testing.T) {
	called := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for done, want := range map[time.Time]string{
		called.Add(-time.Hour): "the result of a run at 2026-11-30 11:00:00 UTC with the same inputs", {}: "", called: "", called.Add(time.Second): "",
	} {
		var s verdict.Stage
		s.Reuse(done, called)
		said := ""
		for _, e := range s.Evidence {
			assert.Equal(t, verdict.Reused, e.Name)
			said = e.Value
		}
		assert.Equal(t, want, said, done)
	}
}
