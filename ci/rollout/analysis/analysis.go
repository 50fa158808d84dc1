package analysis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	// asksEvery is the interval at which a source is asked for a window without data.
	asksEvery = 15 * time.Second
	// beforeEnd is how long before the end of a bake a deployment can still be rolled back.
	beforeEnd = 30 * time.Second
)

// Options are what an analysis needs besides its metrics.
type Options struct {
	// Source returns the source of a metric.
	Source func(*Metric) Source
	// Subjects describes the new and the old version by the ARNs of their service revisions.
	Subjects func(ctx context.Context, newer, older string) (Subject, Subject, error)
	// Pauses is set if the deployment stops before each step and after the last until the analysis answers. Otherwise it
	// continues by the clock.
	Pauses bool
	// AskPeople lets a person decide about an inconclusive analysis at a pause, instead of rolling back.
	AskPeople bool
}

// Sample is one measurement.
type Sample struct {
	Metric string
	// Weight is the new version's share of the traffic in percent.
	Weight float64
	Window Window
	// Value and Old are the measured values, if Known is set.
	Value, Old float64
	Known      bool
	State      State
	// Note explains why there is no value, or how many samples it is based on.
	Note string
}

// Analyzer implements deployment.Analysis.
type Analyzer struct {
	Options
	metrics []*Metric
	samples []Sample
	stage   *stage
	// passed is the weight of the stages that may end.
	passed map[float64]bool
	// subjects are known from the first stage on.
	of, old   Subject
	described bool
}

// stage is a period of constant traffic.
type stage struct {
	weight float64
	begun  time.Time
	// baking is when the bake was first observed, or zero.
	baking time.Time
	series []*series
	// held is set once a person was asked.
	held bool
}

// series is a metric in one stage.
type series struct {
	metric *Metric
	round  round
	// next is the next window to measure; asked is when its source was last asked.
	next  Window
	asked time.Time
	// why is the reason why the source could not be asked, or empty.
	why string
}

// New returns an analysis of metrics.
func New(metrics []*Metric, options Options) *Analyzer {
	return &Analyzer{Options: options, metrics: metrics, passed: map[float64]bool{}}
}

// Samples returns all measurements so far, in order.
func (a *Analyzer) Samples() []Sample { return a.samples }

// Look implements deployment.Analysis.
func (a *Analyzer) Look(ctx context.Context, at deployment.Traffic) deployment.Advice {
	if at.Weight <= 0 || at.Stage == "CLEAN_UP" {
		return deployment.Advice{Go: true} // there is no traffic to measure, or no way back
	}
	note := ""
	if a.stage == nil || a.stage.weight != at.Weight {
		before := a.stage
		a.begin(at)
		note = fmt.Sprintf("analysis: measuring %d metrics at %g %% of the traffic", len(a.stage.series), at.Weight)
		if n := len(a.metrics) - len(a.stage.series); n > 0 {
			note += fmt.Sprintf("; %d compare with an old version, and there is none yet", n)
		}
		if before != nil && !a.passed[before.weight] {
			if !a.Pauses {
				return deployment.Advice{Problem: verdict.Problemf(deployment.AnalysisInconclusive,
					"the traffic went on from %g %% to %g %% before the analysis had a result", before.weight, at.Weight)}
			}
			note += fmt.Sprintf("; somebody let the traffic go on from %g %%, where it had no result", before.weight)
		}
	}
	if !a.described {
		var err error
		if a.of, a.old, err = a.Subjects(ctx, at.New, at.Old); err != nil {
			for _, s := range a.stage.series {
				s.why = err.Error()
			}
		}
		a.described = err == nil
	}
	if advice := a.measure(ctx, at); advice != nil {
		return *advice
	}
	if a.passed[at.Weight] {
		return deployment.Advice{Go: true, Note: note}
	}
	if at.Stage == "BAKE_TIME" && !a.Pauses {
		if a.stage.baking.IsZero() {
			a.stage.baking = at.Now
		}
		if !at.Now.Before(a.stage.baking.Add(at.Bake - beforeEnd)) {
			return deployment.Advice{Problem: verdict.Problemf(deployment.AnalysisInconclusive, "the bake is about to end, and the analysis has no "+
				"result: %s", a.open())}
		}
	}
	return deployment.Advice{Note: note}
}

// Finish implements deployment.Analysis. If the deployment pauses, its last pause was answered because of a result or by a
// person.
func (a *Analyzer) Finish() *verdict.Problem {
	if a.Pauses || a.passed[100] {
		return nil
	}
	return verdict.Problemf(deployment.AnalysisInconclusive, "the new version serves, and its deployment ended before the analysis had "+
		"a result: %s", a.open())
}

// begin starts a stage. Windows start at full minutes, like CloudWatch's periods: the first one starts when only the new
// share was being served.
func (a *Analyzer) begin(at deployment.Traffic) {
	a.stage = &stage{weight: at.Weight, begun: at.Now}
	start := at.Now.Truncate(time.Minute)
	if start.Before(at.Now) {
		start = start.Add(time.Minute)
	}
	for _, m := range a.metrics {
		if at.First && m.NeedsOld() {
			continue
		}
		a.stage.series = append(a.stage.series, &series{metric: m, next: Window{start, start.Add(m.Interval)}})
	}
}

// measure measures every window that is over. It returns what to do, or nil to continue.
func (a *Analyzer) measure(ctx context.Context, at deployment.Traffic) *deployment.Advice {
	now, bakes := at.Now, at.Stage == "BAKE_TIME"
	switch {
	case a.stage.held && !bakes:
		return &deployment.Advice{Hold: verdict.Problemf(deployment.AnalysisInconclusive, "a person decides")}
	case a.stage.held:
		a.begin(at) // a person let it continue, so earlier measurements no longer count
	}
	for _, s := range a.stage.series {
		for !now.Before(s.next.End.Add(s.metric.settles())) {
			sample, done := a.ask(ctx, s, now)
			if !done {
				break
			}
			a.samples = append(a.samples, sample)
			s.next, s.asked, s.why = Window{s.next.End, s.next.End.Add(s.metric.Interval)}, time.Time{}, ""
			switch s.round.add(s.metric, sample.State) {
			case Failed:
				return &deployment.Advice{Problem: verdict.Problemf(deployment.AnalysisFailed, "%s", a.describe(s, Failed))}
			case Inconclusive:
				problem := verdict.Problemf(deployment.AnalysisInconclusive, "%s", a.describe(s, Inconclusive))
				if a.AskPeople && a.Pauses && !bakes {
					a.stage.held = true
					return &deployment.Advice{Hold: problem, Note: "analysis: " + problem.Cause}
				}
				return &deployment.Advice{Problem: problem}
			}
		}
	}
	all := true
	for _, s := range a.stage.series {
		all = all && s.round.passed > 0
	}
	if all {
		a.passed[a.stage.weight] = true
	}
	return nil
}

// ask measures one window. done is false while its data may still arrive.
func (a *Analyzer) ask(ctx context.Context, s *series, now time.Time) (sample Sample, done bool) {
	late := !now.Before(s.next.End.Add(s.metric.Late))
	if !s.asked.IsZero() && now.Sub(s.asked) < asksEvery && !late {
		return Sample{}, false
	}
	s.asked = now
	sample = Sample{Metric: s.metric.Name, Weight: a.stage.weight, Window: s.next}
	if a.described {
		s.why = ""
		value, known, err := 0.0, false, error(nil)
		source := a.Source(s.metric)
		if s.metric.Compare != "" {
			value, known, s.why, err = a.shift(ctx, s.metric, s.next)
			sample.Note = s.why
		} else {
			value, known, err = source.Ask(ctx, s.metric, a.of, s.next)
		}
		if known && s.metric.comparesValues() && a.old == (Subject{}) {
			// With empty placeholders a source could return somebody else's numbers.
			known, s.why = false, "ECS names no old version to compare with"
		}
		if err == nil && known && s.metric.comparesValues() {
			sample.Old, known, err = source.Ask(ctx, s.metric, a.old, s.next)
			if err == nil && !known {
				s.why = "the old version has no data"
			}
		}
		if err != nil {
			s.why = verdict.Line(err.Error(), 200)
		}
		sample.Value, sample.Known = value, known && err == nil
	}
	if !sample.Known && !late {
		return Sample{}, false
	}
	sample.State = s.metric.Judge(sample.Value, sample.Old, sample.Known)
	if !sample.Known {
		if sample.Note = s.why; sample.Note == "" {
			sample.Note = fmt.Sprintf("no data within %s", s.metric.Late)
		}
	}
	return sample, true
}

// describe describes the last round of a series.
func (a *Analyzer) describe(s *series, state State) string {
	last := a.samples[len(a.samples)-1]
	value := last.Note
	if last.Known {
		value = fmt.Sprintf("value %.6g", last.Value)
		if s.metric.comparesValues() {
			value += fmt.Sprintf(", old %.6g", last.Old)
		}
		if last.Note != "" {
			value = fmt.Sprintf("population stability index %.4g (%s)", last.Value, last.Note)
		}
	}
	var conditions []string
	if s.metric.success != nil {
		conditions = append(conditions, "success is "+s.metric.success.String())
	}
	if s.metric.failure != nil {
		conditions = append(conditions, "failure is "+s.metric.failure.String())
	}
	return fmt.Sprintf("metric %s is %s at %g %% of the traffic: %s in the window from %s (%s); %d of %d measurements failed, "+
		"%d were inconclusive", s.metric.Name, state, a.stage.weight, value, last.Window.Start.UTC().Format("15:04:05"),
		strings.Join(conditions, ", "), s.round.failed, s.round.measured, s.round.inconclusive)
}

// open returns the metrics without a result in this stage.
func (a *Analyzer) open() string {
	if a.stage == nil {
		return "it never saw the new version with traffic"
	}
	var all []string
	for _, s := range a.stage.series {
		if s.round.passed == 0 {
			text := fmt.Sprintf("%s has %d of %d measurements %s", s.metric.Name, s.round.measured, s.metric.Count, s.why)
			all = append(all, strings.TrimSpace(text))
		}
	}
	return strings.Join(all, ", ")
}

// settles returns how long after a window to ask first: before that, CloudWatch has only a part of the window, and Prometheus
// may not have scraped its end.
func (m *Metric) settles() time.Duration {
	switch {
	case len(m.Metrics) > 0:
		return time.Minute
	case m.Prometheus != "":
		return 15 * time.Second
	default:
		return 0
	}
}
