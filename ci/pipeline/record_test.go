package pipeline

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/openstack-rca/openstack-rca/ci/awscall/machine" // profiles and default credentials
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func warned(run *verdict.Run, code verdict.Code) bool {
	for _, w := range run.Warnings {
		if w.Code == code.Name {
			return true
		}
	}
	return false
}

// recorded are the runs that the ledger of a call lists.
func recorded(t *testing.T, backend Backend, opts Options) []runledger.Record {
	t.Helper()
	found := Runs(t.Context(), backend, opts, 0)
	require.Empty(t, found.Failure)
	var list struct {
		Runs []runledger.Record `json:"runs"`
	}
	require.NoError(t, json.Unmarshal(found.JSON, &list))
	return list.Runs
}

func TestARunIsRecordedWhateverCameOfIt(t *testing.T) {
	b, _ := backend(t, source(nil))
	opts := Options{Observe: Observe{State: filepath.Join(t.TempDir(), "state"), Hotfix: true}, Commit: strings.Repeat("a", 40), Ref: "main"}
	for range 3 {
		run := Run(t.Context(), b, opts).Run
		require.NotEqual(t, verdict.Pass, run.Verdict)
		assert.False(t, warned(run, runledger.CodeUnwritten), run.Warnings)
	}
	opts.Stages = []string{verdict.Test}
	Run(t.Context(), b, opts)
	all := recorded(t, b, opts)
	require.Len(t, all, 3, "a part of the pipeline is no run")
	assert.Equal(t, "run", all[0].Call)
	assert.True(t, all[0].Hotfix)
	assert.NotEmpty(t, all[0].Code)
	figures := Dora(t.Context(), b, opts, 7)
	require.Empty(t, figures.Failure)
	assert.Contains(t, figures.Summary, "too few")
	assert.Contains(t, figures.Summary, "| at least 99.0 % |")
	assert.NotContains(t, figures.Summary, "&lt;", "it is read on a terminal, too")
	assert.Contains(t, string(figures.JSON), `"deployment_success_rate"`)
}

func TestTheTrendIsInTheReport(t *testing.T) {
	b, _ := backend(t, source(nil))
	opts := Options{Observe: Observe{State: t.TempDir()}, Ref: "main"}
	assert.NotContains(t, titles(Run(t.Context(), b, opts).Run), "Trend")
	opts.Observe.State = t.TempDir()
	s := prepare(t.Context(), b, opts)
	ledger, err := s.ledger(t.Context(), policy.Permit{})
	require.NoError(t, err)
	floor, now := 0.8, time.Now().UTC()
	past := func(n int, at time.Time) runledger.Record {
		return runledger.Record{Schema: 1, ID: fmt.Sprintf("%016x", n), Call: "run", Application: s.cfg.Name, Environment: "sandbox",
			Ref: "main", Started: at,
			Verdict:  verdict.Pass,
			Stages:   []runledger.Stage{{Name: verdict.Test, Verdict: verdict.Pass, Seconds: 40}},
			Measures: []verdict.Measure{{Name: verdict.MeasureCoverage, Of: "total", Value: 0.9, Floor: &floor}}}
	}
	for n := range 25 {
		require.NoError(t, ledger.Write(t.Context(), past(n, now.Add(time.Duration(n-30)*time.Minute))))
	}
	record := past(99, now)
	s.run.Stages = []verdict.Stage{{Name: verdict.Test, Verdict: verdict.Pass, Measures: record.Measures}}
	(&observer{call: s.call}).trend(t.Context(), ledger, record)
	assert.Equal(t, "Trend: line coverage, %, last 20 runs\nTrend: seconds, last 20 runs", titles(s.run))
	record.Ref = "feature/x"
	s.run.Stages[0].Blocks = nil
	(&observer{call: s.call}).trend(t.Context(), ledger, record)
	assert.Empty(t, titles(s.run), "another branch has its own")
}

func titles(run *verdict.Run) string {
	var all []string
	for _, s := range run.Stages {
		for _, block := range s.Blocks {
			all = append(all, block.Title)
		}
	}
	return strings.Join(all, "\n")
}

func TestALedgerThatCannotBeWrittenIsAWarning(t *testing.T) {
	b, _ := backend(t, source(nil))
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	opts := Options{Observe: Observe{State: file}, Ref: "main"}
	plain := Run(t.Context(), b, Options{Ref: "main"}).Run
	run := Run(t.Context(), b, opts).Run
	assert.True(t, warned(run, runledger.CodeUnwritten))
	assert.Equal(t, []any{plain.Verdict, plain.Code}, []any{run.Verdict, run.Code})
	assert.Contains(t, Runs(t.Context(), b, opts, 0).Failure, "FAIL preflight LEDGER_FAILED", "what cannot be read is not empty")
	assert.Contains(t, Dora(t.Context(), b, Options{Ref: "main"}, 0).Failure, "LEDGER_NONE")
	assert.Contains(t, Dora(t.Context(), b, Options{Ref: "main"}, -1).Failure, "BAD_ARGUMENT")
	assert.Contains(t, Runs(t.Context(), b, Options{Ref: "a..b"}, 0).Failure, "BAD_ARGUMENT")
}

func TestADeploymentIsRecordedInS3(t *testing.T) {
	o := newOutside(t)
	o.opts.Stages = []string{verdict.Deploy}
	run := Run(t.Context(), o.backend, o.opts).Run
	require.Equal(t, verdict.Pass, run.Verdict, run.Cause)
	all := recorded(t, o.backend, o.opts)
	require.Len(t, all, 1)
	assert.Equal(t, verdict.Deploy, all[0].Call)
	require.NotNil(t, all[0].Deployment)
	assert.Equal(t, verdict.DeploymentSucceeded, all[0].Deployment.Outcome)
	assert.NotEmpty(t, all[0].Deployment.ID)
	assert.Equal(t, "sha256:"+strings.Repeat("a", 64), all[0].Deployment.Digest)

	again := Run(t.Context(), o.backend, o.opts).Run
	require.Equal(t, verdict.Pass, again.Verdict)
	assert.Equal(t, verdict.DeploymentUnchanged, again.Stages[0].Deployment.Outcome)
	assert.Contains(t, Dora(t.Context(), o.backend, o.opts, 0).Summary, "Deployments: 1 succeeded")

	o.opts.Ref, o.opts.Event = "refs/pull/7/merge", "pull_request"
	requests := len(o.store.Requests())
	assert.Contains(t, Runs(t.Context(), o.backend, o.opts, 0).Failure, "LEDGER_NONE", "a pull request gets no credentials")
	assert.Len(t, o.store.Requests(), requests)
}

func TestARoleRecordsWithItsOwnCredentials(t *testing.T) {
	o := newOutside(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "credentials")
	require.NoError(t, os.WriteFile(file, []byte("[ci]\naws_access_key_id = test-access\naws_secret_access_key = test-secret\n"), 0o600))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	o.opts.Stages = []string{verdict.Deploy}
	o.opts.Target.AccessKey, o.opts.Target.SecretKey = nil, nil
	o.opts.Rollout.Profile = "ci"
	run := Run(t.Context(), o.backend, o.opts).Run
	require.Equal(t, verdict.Pass, run.Verdict, run.Cause)
	assert.False(t, warned(run, runledger.CodeUnwritten), run.Warnings)
	require.Len(t, recorded(t, o.backend, o.opts), 1)
	o.opts.Rollout.Profile = "nobody"
	assert.Contains(t, Runs(t.Context(), o.backend, o.opts, 0).Failure, "LEDGER_FAILED")
}
