package dora_test

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/runledger/dora"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

var since = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

func window() dora.Window {
	return dora.Window{Environment: "production", Since: since, Until: since.AddDate(0, 0, 30)}
}

// deployed is a run that deployed at an hour of the window, and took a minute.
func deployed(n int, hour float64, call, outcome string) runledger.Record {
	at := since.Add(time.Duration(hour * float64(time.Hour)))
	r := runledger.Record{Schema: 1, ID: fmt.Sprintf("%016x", n), Call: call, Environment: "production", Started: at, Seconds: 60,
		CommitTime: at.Add(-time.Hour), Verdict: verdict.Pass,
		Deployment: &verdict.Deployment{ID: fmt.Sprintf("d%d", n), Outcome: outcome, Seconds: 50}}
	if outcome == verdict.DeploymentRolledBack || outcome == verdict.DeploymentFailed {
		r.Verdict = verdict.Fail
	}
	return r
}

func value(t *testing.T, s dora.Summary, name string) float64 {
	t.Helper()
	f := s.Figure(name)
	require.NotNil(t, f.Value, name)
	return *f.Value
}

func TestAWeekOfDeployments(t *testing.T) {
	good, bad := verdict.DeploymentSucceeded, verdict.DeploymentRolledBack
	hotfix := deployed(6, 62, "deploy", good)
	hotfix.Hotfix = true
	records := []runledger.Record{
		deployed(1, 1, "deploy", good), deployed(2, 10, "deploy", bad), deployed(3, 20, "deploy", good),
		deployed(4, 22, "rollback", good), // takes back the third
		deployed(5, 60, "run", good), hotfix,
		deployed(7, 100, "deploy", verdict.DeploymentFailed), deployed(8, 103, "deploy", good),
		deployed(9, 104, "deploy", verdict.DeploymentUnchanged),
	}
	refused := deployed(10, 105, "deploy", good)
	refused.Deployment, refused.Verdict = nil, verdict.Fail
	refused.Stages = []runledger.Stage{{Name: verdict.Deploy, Verdict: verdict.Fail, Code: "TRIAL_FAILED"}}
	lost := refused
	lost.ID, lost.Stages = "00000000000000ff", []runledger.Stage{{Name: verdict.Deploy, Verdict: verdict.CouldNotRun, Code: "AWS_FAILED"}}
	s := dora.Of(append(records, refused, lost), window())
	assert.Equal(t, dora.Counts{Runs: map[verdict.Outcome]int{verdict.Pass: 1}, Succeeded: 5, RolledBack: 1, Failed: 1, Refused: 1,
		CouldNotRun: 1,
		Restored:    1, Hotfixes: 1, FailedChanges: 4, Unrecovered: 0}, s.Counts)
	assert.InDelta(t, 5.0/30, value(t, s, dora.Frequency), 1e-9)
	assert.InDelta(t, 3660, value(t, s, dora.LeadTime), 0)
	assert.InDelta(t, 4.0/7, value(t, s, dora.FailRate), 1e-9)
	assert.InDelta(t, 7200, value(t, s, dora.Recovery), 0, "of 50 s, 2 h, 2 h and 3 h")
	assert.InDelta(t, 1.0/7, value(t, s, dora.Rework), 1e-9)
	assert.InDelta(t, 5.0/8, value(t, s, dora.SuccessRate), 1e-9)
	assert.InDelta(t, 60, value(t, s, dora.BuildTime), 0)
	assert.False(t, s.Figure(dora.SuccessRate).Enough)
	assert.Nil(t, s.Figure(dora.SuccessRate).Met, "too few to judge")
}

func TestADeploymentThatSeveralRunsFollowedCountsOnce(t *testing.T) {
	first, second, third := deployed(1, 1, "deploy", verdict.DeploymentOpen), deployed(2, 3, "wait", verdict.DeploymentOpen),
		deployed(3, 5, "approve", verdict.DeploymentSucceeded)
	second.Deployment.ID, third.Deployment.ID = "d1", "d1"
	second.CommitTime, third.CommitTime = time.Time{}, time.Time{}
	s := dora.Of([]runledger.Record{third, first, second}, window())
	assert.Equal(t, 1, s.Counts.Succeeded)
	assert.InDelta(t, 5*3600+60, value(t, s, dora.LeadTime), 0, "from the commit of the first to the end that the last saw")

	// A rollback that ends a deployment in progress makes that one a failed change.
	undone := deployed(4, 6, "rollback", verdict.DeploymentRolledBack)
	undone.Verdict, undone.Deployment.ID = verdict.Pass, "d1"
	s = dora.Of([]runledger.Record{first, undone}, window())
	assert.Equal(t, 1, s.Counts.FailedChanges)
	assert.Zero(t, s.Counts.Restored)
}

func TestTargetsAreJudgedFromEnoughCases(t *testing.T) {
	for n, want := range map[int]bool{19: false, 20: true} {
		var records []runledger.Record
		for i := range n {
			records = append(records, deployed(i, float64(i), "run", verdict.DeploymentSucceeded))
		}
		s := dora.Of(records, window())
		assert.Equal(t, want, s.Figure(dora.SuccessRate).Enough)
		assert.Equal(t, want, s.Figure(dora.SuccessRate).Met != nil)
		assert.Equal(t, want, s.Figure(dora.BuildTime95).Met != nil)
	}
	empty := dora.Of(nil, window())
	for _, f := range empty.Figures {
		assert.Nil(t, f.Value, f.Name)
		assert.Nil(t, f.Met, f.Name)
	}
	assert.Equal(t, dora.Figure{}, empty.Figure("no such figure"))
}

func TestQuantile(t *testing.T) {
	assert.Zero(t, dora.Quantile(nil, 0.5))
	assert.InDelta(t, 2, dora.Quantile([]float64{3, 1, 2}, 0.5), 0)
	assert.InDelta(t, 2, dora.Quantile([]float64{4, 3, 1, 2}, 0.5), 0)
	assert.InDelta(t, 95, dora.Quantile(upTo(100), 0.95), 0)
	assert.InDelta(t, 1, dora.Quantile([]float64{1}, 0.95), 0)
}

func upTo(n int) (all []float64) {
	for i := range n {
		all = append(all, float64(i+1))
	}
	return all
}

// random is a ledger of up to 120 records: runs, deployments, some followed by several runs,
// rollbacks, hotfixes, other environments, and times outside of the window.
func random(r *rand.Rand) []runledger.Record {
	outcomes := []string{verdict.DeploymentSucceeded, verdict.DeploymentSucceeded, verdict.DeploymentSucceeded, verdict.DeploymentRolledBack,
		verdict.DeploymentFailed, verdict.DeploymentUnchanged, verdict.DeploymentOpen}
	calls := []string{"run", "run", "deploy", "deploy", "rollback", "approve"}
	verdicts := []verdict.Outcome{verdict.Pass, verdict.Fail, verdict.CouldNotRun}
	var all []runledger.Record
	for n := range r.IntN(120) {
		rec := deployed(n, float64(r.IntN(40*24*60))/60-24, calls[r.IntN(len(calls))], outcomes[r.IntN(len(outcomes))])
		rec.Seconds = float64(r.IntN(4000))
		rec.Deployment.Seconds = float64(r.IntN(900))
		rec.Hotfix = r.IntN(6) == 0
		if rec.Deployment.Outcome == verdict.DeploymentRolledBack && r.IntN(3) == 0 {
			rec.Verdict = verdict.Pass
		}
		if n > 0 && r.IntN(6) == 0 {
			rec.Deployment.ID = fmt.Sprintf("d%d", r.IntN(n))
		}
		switch r.IntN(6) {
		case 0:
			rec.Deployment, rec.Verdict = nil, verdicts[r.IntN(3)]
			rec.Stages = []runledger.Stage{{Name: verdict.Deploy, Verdict: rec.Verdict, Code: []string{"", "BLOCKED", "X"}[r.IntN(3)]}}
		case 1:
			rec.CommitTime = time.Time{}
		case 2:
			rec.Environment = "staging"
		}
		all = append(all, rec)
	}
	return all
}

func TestRandomLedgersEqualTheOracle(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 7))
		records := random(r)
		want := oracle(records, window())
		mixed := append([]runledger.Record{}, records...)
		for range r.IntN(10) {
			if len(records) > 0 {
				mixed = append(mixed, records[r.IntN(len(records))])
			}
		}
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		s := dora.Of(mixed, window())
		got := map[string]float64{}
		for _, f := range s.Figures {
			got[f.Name+" n"] = float64(f.N)
			if f.Value != nil {
				got[f.Name] = *f.Value
			}
		}
		require.Len(t, got, len(want), "seed %d", seed)
		for name := range want {
			require.InDelta(t, want[name], got[name], 1e-6, "seed %d: %s", seed, name)
		}
	}
}

// oracle computes the figures anew and slowly, straight from their definitions in
// docs/observability.md: every question looks through all records again.
func oracle(records []runledger.Record, w dora.Window) map[string]float64 {
	inside := func(r runledger.Record) bool {
		return r.Environment == w.Environment && !r.Started.Before(w.Since) && r.Started.Before(w.Until)
	}
	end := func(r runledger.Record) time.Time {
		return r.Started.Add(time.Duration(r.Seconds * float64(time.Second)))
	}
	before := func(a, b runledger.Record) bool {
		return a.Started.Before(b.Started) || a.Started.Equal(b.Started) && a.ID < b.ID
	}
	type deployment struct {
		first, last runledger.Record
		restores    bool
	}
	var all []deployment
	for _, first := range records {
		if !inside(first) || first.Deployment == nil || first.Deployment.Outcome == verdict.DeploymentUnchanged {
			continue
		}
		isFirst, seen := true, false
		var last runledger.Record
		for _, other := range records {
			if !inside(other) || other.Deployment == nil || other.Deployment.ID != first.Deployment.ID ||
				other.Deployment.Outcome == verdict.DeploymentUnchanged {
				continue
			}
			isFirst = isFirst && !before(other, first)
			if other.Deployment.Outcome == verdict.DeploymentOpen {
				continue
			}
			if !seen || end(other).After(end(last)) || end(other).Equal(end(last)) && before(last, other) {
				seen, last = true, other
			}
		}
		if isFirst && seen {
			inFlight := first.Deployment.Outcome == verdict.DeploymentRolledBack && first.Verdict == verdict.Pass
			all = append(all, deployment{first, last, first.Call == "rollback" && !inFlight})
		}
	}
	sort.Slice(all, func(i, j int) bool { return before(all[i].first, all[j].first) })
	sort.SliceStable(all, func(i, j int) bool { return end(all[i].last).Before(end(all[j].last)) })
	good := func(d deployment) bool { return d.last.Deployment.Outcome == verdict.DeploymentSucceeded }
	got := map[string]float64{}
	var leads, recoveries, builds []float64
	changes, succeeded, failed, hotfixes, refused := 0, 0, 0, 0, 0
	for i, d := range all {
		if d.restores {
			continue
		}
		changes++
		if good(d) {
			succeeded++
			if commit := d.first.CommitTime; !commit.IsZero() && !end(d.last).Before(commit) {
				leads = append(leads, end(d.last).Sub(commit).Seconds())
			}
		}
		if d.first.Hotfix {
			hotfixes++
		}
		bad := !good(d)
		for j := i + 1; j < len(all) && good(d); j++ {
			// The next rollback that worked, or hotfix, is blamed on it, unless a good change came between.
			mends := all[j].restores && good(all[j]) || !all[j].restores && all[j].first.Hotfix
			if mends && end(all[j].last).Sub(end(d.last)) <= 24*time.Hour && end(all[j].last).After(end(d.last)) {
				bad = true
			}
			if !all[j].restores && good(all[j]) {
				break
			}
		}
		if !bad {
			continue
		}
		failed++
		if d.last.Deployment.Outcome == verdict.DeploymentRolledBack {
			recoveries = append(recoveries, d.last.Deployment.Seconds)
			continue
		}
		for _, after := range all[i+1:] {
			if good(after) && end(after.last).After(end(d.last)) {
				recoveries = append(recoveries, end(after.last).Sub(end(d.last)).Seconds())
				break
			}
		}
	}
	for _, r := range records {
		if !inside(r) {
			continue
		}
		if r.Call == "run" && r.Verdict == verdict.Pass {
			builds = append(builds, r.Seconds)
		}
		if r.Deployment == nil && (r.Call == "run" || r.Call == "deploy") {
			for _, s := range r.Stages {
				if s.Name == verdict.Deploy && s.Verdict == verdict.Fail && s.Code != "BLOCKED" {
					refused++
				}
			}
		}
	}
	figure := func(name string, value float64, n int) {
		got[name+" n"] = float64(n)
		if n > 0 {
			got[name] = value
		}
	}
	ratio := func(part, whole int) float64 { return float64(part) / float64(max(whole, 1)) }
	quantile := func(values []float64, percent int) float64 {
		sort.Float64s(values)
		for i, v := range values {
			if (i+1)*100 >= percent*len(values) {
				return v
			}
		}
		return 0
	}
	figure(dora.Frequency, float64(succeeded)/30, succeeded)
	figure(dora.LeadTime, quantile(leads, 50), len(leads))
	figure(dora.LeadTime95, quantile(leads, 95), len(leads))
	figure(dora.FailRate, ratio(failed, changes), changes)
	figure(dora.Recovery, quantile(recoveries, 50), len(recoveries))
	figure(dora.Rework, ratio(hotfixes, changes), changes)
	figure(dora.SuccessRate, ratio(succeeded, changes+refused), changes+refused)
	figure(dora.BuildTime, quantile(builds, 50), len(builds))
	figure(dora.BuildTime95, quantile(builds, 95), len(builds))
	return got
}

func TestAWindowThatEndsAnHourFromNowIsOfWholeDays(t *testing.T) {
	w := dora.Window{Environment: "production", Since: since, Until: since.Add(25 * time.Hour)}
	s := dora.Of([]runledger.Record{deployed(1, 1, "deploy", verdict.DeploymentSucceeded)}, w)
	assert.InDelta(t, 1, value(t, s, dora.Frequency), 0)
}
