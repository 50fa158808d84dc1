// Package dora computes the figures of software delivery from the ledger of runs: how often and
// how fast changes reach an environment, how many of them fail, how long it takes to recover, and
// the pipeline document's own targets. Everything comes from deployments that really ended, never
// from green builds. The package is pure.
package dora

import (
	"math"
	"slices"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// The targets of the pipeline document, and the definition of a failed change.
const (
	// SuccessTarget is the share of deployments that succeed.
	SuccessTarget = 0.99
	// Blame is how long after a deployment a rollback or a hotfix makes it a failed change.
	Blame = 24 * time.Hour
	// MinRuns is from how many cases on a figure is judged, unless configured.
	MinRuns = 20
)

// Figure is one figure over a window of time.
type Figure struct {
	// Name is one of the names below, Unit per_day, seconds or ratio.
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Value is nil without any case.
	Value *float64 `json:"value"`
	// N is how many cases it comes from. Enough is false if these are too few to judge it.
	N      int  `json:"n"`
	Enough bool `json:"enough"`
	// Goal is the document's, nil without one. Met is nil without a goal, or with too few cases.
	Goal *float64 `json:"target,omitempty"`
	Met  *bool    `json:"met,omitempty"`
}

// The names of the figures.
const (
	Frequency   = "deployment_frequency"
	LeadTime    = "lead_time_p50"
	LeadTime95  = "lead_time_p95"
	FailRate    = "change_fail_rate"
	Recovery    = "recovery_time_p50"
	Rework      = "rework_rate"
	SuccessRate = "deployment_success_rate"
	BuildTime   = "build_time_p50"
	BuildTime95 = "build_time_p95"
)

// Counts are what the figures come from.
type Counts struct {
	// Runs counts whole runs by verdict.
	Runs map[verdict.Outcome]int `json:"runs"`
	// Succeeded, RolledBack and Failed count deployments by their end; Refused those that failed
	// before the service was touched.
	Succeeded  int `json:"succeeded"`
	RolledBack int `json:"rolled_back"`
	Failed     int `json:"failed"`
	Refused    int `json:"refused"`
	// CouldNotRun counts attempts without a result; they are in no rate.
	CouldNotRun int `json:"could_not_run"`
	// Restored counts rollbacks that put an earlier release back, Hotfixes changes marked so.
	Restored int `json:"restored"`
	Hotfixes int `json:"hotfixes"`
	// FailedChanges counts changes that failed, Unrecovered those without a recovery since.
	FailedChanges int `json:"failed_changes"`
	Unrecovered   int `json:"unrecovered"`
}

// Summary is all of it.
type Summary struct {
	Environment string    `json:"environment"`
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until"`
	MinRuns     int       `json:"min_runs"`
	Figures     []Figure  `json:"figures"`
	Counts      Counts    `json:"counts"`
}

// Figure returns the figure of that name; its zero value for an unknown name.
func (s *Summary) Figure(name string) Figure {
	for _, f := range s.Figures {
		if f.Name == name {
			return f
		}
	}
	return Figure{}
}

// change is one change that was deployed, or that an earlier release was restored with.
type change struct {
	start, end time.Time
	outcome    string
	seconds    float64
	commit     time.Time
	hotfix     bool
	restores   bool
	failed     bool
}

// Window is what Of looks at.
type Window struct {
	Environment  string
	Since, Until time.Time
	// MinRuns is from how many cases on a figure is judged; MinRuns of the package when 0.
	MinRuns int
	// Budget is how long a run may take; verdict.Budget when 0.
	Budget time.Duration
}

// Of computes the figures of the runs that began in the window. Records may come in any order and
// more than once.
func Of(records []runledger.Record, w Window) Summary {
	if w.MinRuns <= 0 {
		w.MinRuns = MinRuns
	}
	if w.Budget <= 0 {
		w.Budget = verdict.Budget
	}
	records = slices.DeleteFunc(slices.Clone(records), func(r runledger.Record) bool {
		return r.Environment != w.Environment || r.Started.Before(w.Since) || !r.Started.Before(w.Until)
	})
	records, _ = runledger.Sorted(records)
	s := Summary{Environment: w.Environment, Since: w.Since.UTC(), Until: w.Until.UTC(), MinRuns: w.MinRuns}
	s.Counts.Runs = map[verdict.Outcome]int{}
	var builds []float64
	for i := range records {
		r := &records[i]
		if r.Call == "run" {
			s.Counts.Runs[r.Verdict]++
			if r.Verdict == verdict.Pass {
				builds = append(builds, r.Seconds)
			}
		}
		s.Counts.withoutDeployment(r)
	}
	changes := changesOf(records)
	blame(changes)
	s.count(changes)
	s.figures(changes, builds, w)
	return s
}

// withoutDeployment counts the attempts that did not come to a deployment.
func (c *Counts) withoutDeployment(r *runledger.Record) {
	if r.Deployment != nil || r.Environment == spec.Sandbox || r.Call != "run" && r.Call != "deploy" {
		return
	}
	for _, stage := range r.Stages {
		switch {
		case stage.Name != verdict.Deploy || stage.Code == "BLOCKED":
		case stage.Verdict == verdict.Fail:
			c.Refused++
		case stage.Verdict == verdict.CouldNotRun:
			c.CouldNotRun++
		}
	}
}

// changesOf are the deployments that ended, by their end. Several runs may have followed the same one:
// the first has the commit, the last that saw an end has the result.
func changesOf(sorted []runledger.Record) []*change {
	byID := map[string]*change{}
	var all []*change
	for i := range sorted {
		r := &sorted[i]
		d := r.Deployment
		if d == nil || d.Outcome == verdict.DeploymentUnchanged {
			continue
		}
		c := byID[d.ID]
		if c == nil || d.ID == "" {
			c = &change{start: r.Started, commit: r.CommitTime, hotfix: r.Hotfix}
			// A rollback that ended a deployment in progress passed, and names that deployment; any
			// other one deploys an earlier release.
			c.restores = r.Call == "rollback" && (d.Outcome != verdict.DeploymentRolledBack || r.Verdict != verdict.Pass)
			byID[d.ID] = c
			all = append(all, c)
		}
		if d.Outcome != verdict.DeploymentOpen && (c.outcome == "" || !r.Ended().Before(c.end)) {
			c.outcome, c.end, c.seconds = d.Outcome, r.Ended(), d.Seconds
		}
	}
	all = slices.DeleteFunc(all, func(c *change) bool { return c.outcome == "" })
	slices.SortStableFunc(all, func(a, b *change) int { return a.end.Compare(b.end) })
	return all
}

// blame marks the changes that failed: those that did not end well, and the last good one before a
// rollback or a hotfix, if that is not older than Blame.
func blame(changes []*change) {
	for i, c := range changes {
		if c.restores {
			if c.outcome != verdict.DeploymentSucceeded {
				continue
			}
		} else if c.outcome != verdict.DeploymentSucceeded {
			c.failed = true
		}
		if !c.restores && !c.hotfix {
			continue
		}
		for _, before := range slices.Backward(changes[:i]) {
			if before.restores || before.outcome != verdict.DeploymentSucceeded {
				continue
			}
			// A rollback or hotfix is begun because of what served then.
			if c.end.Sub(before.end) <= Blame && before.end.Before(c.end) {
				before.failed = true
			}
			break
		}
	}
}

func (s *Summary) count(changes []*change) {
	for _, c := range changes {
		switch {
		case c.restores && c.outcome == verdict.DeploymentSucceeded:
			s.Counts.Restored++
		case c.restores:
		case c.outcome == verdict.DeploymentSucceeded:
			s.Counts.Succeeded++
		case c.outcome == verdict.DeploymentRolledBack:
			s.Counts.RolledBack++
		default:
			s.Counts.Failed++
		}
		if c.hotfix && !c.restores {
			s.Counts.Hotfixes++
		}
	}
}

func (s *Summary) figures(changes []*change, builds []float64, w Window) {
	var leads, recoveries []float64
	total := 0
	for i, c := range changes {
		if c.restores {
			continue
		}
		total++
		if c.outcome == verdict.DeploymentSucceeded && !c.commit.IsZero() && !c.end.Before(c.commit) {
			leads = append(leads, c.end.Sub(c.commit).Seconds())
		}
		if !c.failed {
			continue
		}
		s.Counts.FailedChanges++
		if seconds, ok := recovery(changes, i); ok {
			recoveries = append(recoveries, seconds)
		} else {
			s.Counts.Unrecovered++
		}
	}
	// Whole days: a window of 30 days may end an hour from now, for clocks that are ahead.
	days := max(math.Round(w.Until.Sub(w.Since).Hours()/24), 1)
	s.add(Frequency, "per_day", float64(s.Counts.Succeeded)/days, s.Counts.Succeeded, nil, nil)
	s.quantile(LeadTime, leads, 0.5, nil)
	s.quantile(LeadTime95, leads, 0.95, nil)
	s.ratio(FailRate, s.Counts.FailedChanges, total, nil)
	s.quantile(Recovery, recoveries, 0.5, nil)
	s.ratio(Rework, s.Counts.Hotfixes, total, nil)
	target := SuccessTarget
	s.ratio(SuccessRate, s.Counts.Succeeded, total+s.Counts.Refused, &target)
	budget := w.Budget.Seconds()
	s.quantile(BuildTime, builds, 0.5, &budget)
	s.quantile(BuildTime95, builds, 0.95, &budget)
}

// recovery is how long it took after a failed change until a good version served again: the
// deployment itself if ECS put the old version back, else until the next one that succeeded.
func recovery(changes []*change, i int) (float64, bool) {
	c := changes[i]
	if c.outcome == verdict.DeploymentRolledBack {
		return c.seconds, true
	}
	for _, after := range changes[i+1:] {
		if after.outcome == verdict.DeploymentSucceeded && after.end.After(c.end) {
			return after.end.Sub(c.end).Seconds(), true
		}
	}
	return 0, false
}

func (s *Summary) ratio(name string, part, whole int, target *float64) {
	value := 0.0
	if whole > 0 {
		value = float64(part) / float64(whole)
	}
	atLeast := func(v float64) bool { return v >= *target }
	s.add(name, "ratio", value, whole, target, atLeast)
}

func (s *Summary) quantile(name string, values []float64, q float64, target *float64) {
	s.add(name, "seconds", Quantile(values, q), len(values), target, func(v float64) bool { return v <= *target })
}

func (s *Summary) add(name, unit string, value float64, n int, target *float64, met func(float64) bool) {
	f := Figure{Name: name, Unit: unit, N: n, Enough: n >= s.MinRuns, Goal: target}
	if n > 0 {
		f.Value = &value
	}
	if target != nil && f.Enough {
		ok := met(value)
		f.Met = &ok
	}
	s.Figures = append(s.Figures, f)
}

// Quantile is the smallest value that at least the share q of the values does not exceed; 0 of none.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := 0
	for rank < len(sorted)-1 && float64(rank+1) < q*float64(len(sorted)) {
		rank++
	}
	return sorted[rank]
}
