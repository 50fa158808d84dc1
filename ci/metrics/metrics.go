// Package metrics makes metrics of runs, in the formats of Prometheus, OpenMetrics and OTLP, and
// sends them. The families are declared in one table, names.go, which the generated alert rules
// and dashboard are checked against.
package metrics

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/runledger/dora"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Label is a dimension of a sample.
type Label struct{ Name, Value string }

// Sample is one value of a family.
type Sample struct {
	Labels []Label
	Value  float64
	// Time is when it was so; zero for now.
	Time time.Time
}

// Family is a metric with all its samples.
type Family struct {
	Metric
	Samples []Sample
}

// Group identifies what the metrics are of. It is on every sample in a file, and is the grouping
// key of a push, where a sample must not have it.
type Group struct{ Pipeline, Environment, Ref, Call string }

// Labels are the labels of a target.
func (t Group) Labels() []Label {
	return []Label{{"pipeline", t.Pipeline}, {"environment", t.Environment}, {"ref", t.Ref}, {"call", t.Call}}
}

// OtherRef is the label of every ref that is no release branch: each branch would be a series.
const OtherRef = "other"

// GroupOf is the target of a run. Only refs that are named get a label of their own.
func GroupOf(r runledger.Record, refs []string) Group {
	ref := strings.TrimPrefix(r.Ref, "refs/heads/")
	if !slices.Contains(refs, ref) {
		ref = OtherRef
	}
	return Group{Pipeline: r.Application, Environment: r.Environment, Ref: ref, Call: r.Call}
}

// Input is what metrics are made of.
type Input struct {
	// Run is the run.
	Run runledger.Record
	// Before are earlier runs of the same target, for the time of the last success. May be empty.
	Before []runledger.Record
	// Delivery are the figures of the ledger; nil without one.
	Delivery *dora.Summary
}

// Of makes the metrics of a run, and of the ledger if there is one. Families without a sample are
// left out.
func Of(in Input) []Family {
	b := builder{}
	r := in.Run
	b.add(RunDuration, r.Seconds)
	b.add(RunBudget, r.Budget)
	b.add(RunVerdict, 1, Label{"verdict", string(r.Verdict)}, Label{"code", r.Code})
	b.add(RunTimestamp, unix(r.Ended()))
	if at, ok := lastSuccess(append(slices.Clone(in.Before), r)); ok {
		b.add(LastSuccess, unix(at))
	}
	for _, s := range r.Stages {
		b.add(StageDuration, s.Seconds, Label{"stage", s.Name})
		b.add(StageVerdict, 1, Label{"stage", s.Name}, Label{"verdict", string(s.Verdict)})
	}
	for _, m := range r.Measures {
		b.measure(m)
	}
	if d := r.Deployment; d != nil {
		b.add(DeploymentOutcome, 1, Label{"service", d.Service}, Label{"outcome", d.Outcome})
		if d.Seconds > 0 {
			b.add(DeploymentDuration, d.Seconds, Label{"service", d.Service})
		}
	}
	b.add(Info, 1, Label{"version", r.Module}, Label{"image", r.ImageDigest}, Label{"model", r.ModelVersion})
	if in.Delivery != nil {
		b.delivery(in.Delivery)
	}
	return b.families()
}

func unix(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

func lastSuccess(records []runledger.Record) (at time.Time, ok bool) {
	for _, r := range records {
		if r.Verdict == verdict.Pass && r.Ended().After(at) {
			at, ok = r.Ended(), true
		}
	}
	return at, ok
}

// builder collects samples by family.
type builder map[string]*Family

func (b builder) add(m Metric, value float64, labels ...Label) {
	f := b[m.Name]
	if f == nil {
		f = &Family{Metric: m}
		b[m.Name] = f
	}
	labels = slices.DeleteFunc(labels, func(l Label) bool { return l.Value == "" })
	f.Samples = append(f.Samples, Sample{Labels: labels, Value: value})
}

func (b builder) measure(m verdict.Measure) {
	switch m.Name {
	case verdict.MeasureCoverage:
		b.add(Coverage, m.Value, Label{"set", m.Of})
		if m.Floor != nil {
			b.add(CoverageFloor, *m.Floor, Label{"set", m.Of})
		}
	case verdict.MeasureTests:
		b.add(Tests, m.Value, Label{"outcome", m.Of})
	case verdict.MeasureModel:
		b.add(Model, m.Value, Label{"metric", m.Of})
		if m.Floor != nil {
			b.add(ModelFloor, *m.Floor, Label{"metric", m.Of})
		}
	case verdict.MeasureImage:
		b.add(ImageSize, m.Value)
	case verdict.MeasureVulnerabilities:
		by, rest, _ := strings.Cut(m.Of, "/")
		severity, fixable, _ := strings.Cut(rest, "/")
		b.add(Vulnerabilities, m.Value, Label{"by", by}, Label{"severity", severity}, Label{"fixable", fixable})
	case verdict.MeasureAdvisories:
		by, clock, _ := strings.Cut(m.Of, "/")
		b.add(Advisories, m.Value, Label{"by", by}, Label{"clock", clock})
	case verdict.MeasureWaivers:
		by, state, _ := strings.Cut(m.Of, "/")
		b.add(Waivers, m.Value, Label{"by", by}, Label{"state", state})
	}
}

func (b builder) delivery(s *dora.Summary) {
	b.add(WindowSeconds, s.Until.Sub(s.Since).Seconds())
	for _, outcome := range []verdict.Outcome{verdict.Pass, verdict.Fail, verdict.CouldNotRun} {
		b.add(WindowRuns, float64(s.Counts.Runs[outcome]), Label{"verdict", string(outcome)})
	}
	for outcome, n := range map[string]int{"succeeded": s.Counts.Succeeded, "rolled_back": s.Counts.RolledBack, "failed": s.Counts.Failed,
		"refused": s.Counts.Refused, "could_not_run": s.Counts.CouldNotRun} {
		b.add(WindowDeployments, float64(n), Label{"outcome", outcome})
	}
	b.add(DeploymentsFinished, float64(s.Figure(dora.SuccessRate).N))
	for name, m := range map[string]Metric{dora.SuccessRate: SuccessRatio, dora.FailRate: FailRatio, dora.Rework: ReworkRatio,
		dora.Frequency: Frequency} {
		if v := s.Figure(name).Value; v != nil {
			b.add(m, *v)
		}
	}
	for name, to := range map[string]struct {
		metric   Metric
		quantile string
	}{dora.LeadTime: {LeadTime, "0.5"}, dora.LeadTime95: {LeadTime, "0.95"}, dora.Recovery: {RecoveryTime, "0.5"},
		dora.BuildTime: {BuildTime, "0.5"}, dora.BuildTime95: {BuildTime, "0.95"}} {
		if v := s.Figure(name).Value; v != nil {
			b.add(to.metric, *v, Label{"quantile", to.quantile})
		}
	}
}

// families are in the order of the table, their samples by their labels.
func (b builder) families() []Family {
	var all []Family
	for _, m := range All() {
		if f := b[m.Name]; f != nil {
			slices.SortStableFunc(f.Samples, func(x, y Sample) int { return cmp.Compare(key(x.Labels), key(y.Labels)) })
			// A series that is there twice would make the whole file invalid: the first counts.
			f.Samples = slices.CompactFunc(f.Samples, func(x, y Sample) bool { return x.Time.Equal(y.Time) && key(x.Labels) == key(y.Labels) })
			all = append(all, *f)
		}
	}
	return all
}

func key(labels []Label) string {
	var b strings.Builder
	for _, l := range labels {
		b.WriteString(l.Name + "\x00" + l.Value + "\x00")
	}
	return b.String()
}

// History is the metrics of past runs with their times, for backfilling, by target: what was
// measured at the end of each run, and counters of runs and deployments since the first of them.
func History(records []runledger.Record, refs []string) []Family {
	records, _ = runledger.Sorted(records)
	slices.SortStableFunc(records, func(a, b runledger.Record) int { return a.Ended().Compare(b.Ended()) })
	byName := builder{}
	runs, deployments := map[string]float64{}, map[string]float64{}
	count := func(m Metric, of map[string]float64, target Group, label Label, at time.Time) {
		labels := append(target.Labels(), label)
		if _, known := of[key(labels)]; !known {
			// increase() sees a counter only from its first sample on.
			byName.add(m, 0, labels...)
			byName.stamp(m, at.Add(-time.Second))
		}
		of[key(labels)]++
		byName.add(m, of[key(labels)], labels...)
		byName.stamp(m, at)
	}
	for _, r := range records {
		target, at := GroupOf(r, refs), r.Ended()
		for _, f := range Of(Input{Run: r}) {
			// These are of one moment only.
			if slices.Contains([]string{RunVerdict.Name, StageVerdict.Name, Info.Name, DeploymentOutcome.Name, LastSuccess.Name}, f.Name) {
				continue
			}
			for _, s := range f.Samples {
				byName.add(f.Metric, s.Value, append(target.Labels(), s.Labels...)...)
				byName.stamp(f.Metric, at)
			}
		}
		count(RunsTotal, runs, target, Label{"verdict", string(r.Verdict)}, at)
		if d := r.Deployment; d != nil && d.Outcome != verdict.DeploymentOpen {
			count(DeploymentsTotal, deployments, target, Label{"outcome", d.Outcome}, at)
		}
	}
	return byName.families()
}

// stamp sets the time of the last sample of a family.
func (b builder) stamp(m Metric, at time.Time) {
	f := b[m.Name]
	f.Samples[len(f.Samples)-1].Time = at
}

// With puts a target's labels on every sample, and Join makes one list of the families of several.
func With(families []Family, target Group) []Family {
	all := slices.Clone(families)
	for i := range all {
		samples := slices.Clone(all[i].Samples)
		for n := range samples {
			samples[n].Labels = append(target.Labels(), samples[n].Labels...)
		}
		all[i].Samples = samples
	}
	return all
}

// Join makes one list of the families of several targets: a file has each family once.
func Join(lists ...[]Family) []Family {
	b := builder{}
	for _, list := range lists {
		for _, f := range list {
			for _, s := range f.Samples {
				b.add(f.Metric, s.Value, s.Labels...)
				b.stamp(f.Metric, s.Time)
			}
		}
	}
	return b.families()
}
