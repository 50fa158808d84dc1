package analysis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// point is what a metric has for a window: its value comes so long after the window's end.
type point struct {
	value, old float64
	after      time.Duration
	never      bool
}

// rule is a pair of conditions as text, and what they mean for a value.
type rule struct {
	success, failure string
	means            func(value, old float64) State
}

func choose(failed, good bool) State {
	switch {
	case failed:
		return Failed
	case good:
		return Successful
	default:
		return Inconclusive
	}
}

// rules have the documented meanings, written by hand.
var rules = []rule{
	{"value < 0.02", "", func(v, _ float64) State { return choose(v >= 0.02, v < 0.02) }},
	{"", "value > 0.05", func(v, _ float64) State { return choose(v > 0.05, v <= 0.05) }},
	{"value < 0.02", "value > 0.05", func(v, _ float64) State { return choose(v > 0.05, v < 0.02) }},
	{"value <= 2*old + 0.001", "", func(v, old float64) State { return choose(v > 2*old+0.001, v <= 2*old+0.001) }},
	{"value < 0.04 && !(value > 3*old)", "value >= 0.09 || value > 5*old",
		func(v, old float64) State { return choose(v >= 0.09 || v > 5*old, v < 0.04 && v <= 3*old) }},
}

// trial is a random deployment with random metrics and series.
type trial struct {
	metrics []*Metric
	means   []func(value, old float64) State
	// points are by metric, and by the minutes of the window's start.
	points []map[int64]point
	pauses bool
	stages []float64
	// last is how long each stage takes where nothing pauses, and how long the bake takes.
	lasts time.Duration
	bake  time.Duration
	begin time.Time
}

func randomTrial(r *rand.Rand) *trial {
	t := &trial{pauses: r.IntN(2) == 0, lasts: time.Duration(4+r.IntN(12)) * time.Minute, bake: time.Duration(2+r.IntN(20)) * time.Minute,
		begin: time.Date(2026, 3, 2, 9, 0, r.IntN(4)*15, 0, time.UTC)}
	t.stages = [][]float64{{100}, {10, 100}, {25, 50, 75, 100}}[r.IntN(3)]
	calm := r.IntN(3) > 0 // most versions are good
	for range 1 + r.IntN(2) {
		kind := rules[r.IntN(len(rules))]
		m, err := NewMetric(spec.Analysis{
			Name: fmt.Sprint("m", len(t.metrics)), Metrics: []spec.Metric{{ID: "m", Namespace: "n", Name: "x", Stat: "Sum"}},
			Success: kind.success, Failure: kind.failure, Interval: time.Duration(1+r.IntN(3)) * time.Minute, Count: 1 + r.IntN(4),
			FailureLimit: r.IntN(2), InconclusiveLimit: r.IntN(3), Late: time.Duration(2+r.IntN(5)) * time.Minute,
		})
		if err != nil {
			panic(err)
		}
		t.metrics, t.means = append(t.metrics, m), append(t.means, kind.means)
		points := map[int64]point{}
		for minute := range int64(200) {
			p := point{value: []float64{0, 0.01, 0.03, 0.06, 0.1}[r.IntN(5)], old: []float64{0, 0.01, 0.04}[r.IntN(3)],
				after: time.Duration(r.IntN(14))*30*time.Second + 7*time.Second, never: r.IntN(12) == 0}
			if calm {
				p.value, p.old, p.after, p.never = 0.01, 0.01, time.Duration(r.IntN(4))*30*time.Second+7*time.Second, r.IntN(40) == 0
			}
			points[minute] = p
		}
		t.points = append(t.points, points)
	}
	return t
}

// Ask implements Source.
func (s asking) Ask(_ context.Context, m *Metric, of Subject, in Window) (float64, bool, error) {
	p := s.t.points[slices.Index(s.t.metrics, m)][int64(in.Start.Sub(s.t.begin.Truncate(time.Hour)).Minutes())]
	if p.never || s.now().Before(in.End.Add(p.after)) {
		return 0, false, nil
	}
	if of.Revision == "old" {
		return p.old, true, nil
	}
	return p.value, true, nil
}

type asking struct {
	t   *trial
	now func() time.Time
}

// look is the interval of looks here.
const look = 15 * time.Second

// result is how a trial ends: in which state, at which share of the traffic.
type result struct {
	state  State
	weight float64
}

// run plays ECS to the analyzer.
func (t *trial) run() result {
	now := t.begin
	a := New(t.metrics, Options{Pauses: t.pauses, Source: func(*Metric) Source { return asking{t, func() time.Time { return now }} },
		Subjects: func(context.Context, string, string) (Subject, Subject, error) {
			return Subject{Revision: "new"}, Subject{Revision: "old"}, nil
		}})
	ended := func(advice deployment.Advice, weight float64) *result {
		switch {
		case advice.Problem == nil:
			return nil
		case advice.Problem.Code == deployment.AnalysisFailed:
			return &result{Failed, weight}
		default:
			return &result{Inconclusive, weight}
		}
	}
	for _, weight := range t.stages {
		last := weight == 100
		for begun := now; ; now = now.Add(look) {
			advice := a.Look(context.Background(), deployment.Traffic{Now: now, Stage: "PRODUCTION_TRAFFIC_SHIFT", Weight: weight, Bake: t.bake})
			if r := ended(advice, weight); r != nil {
				return *r
			}
			if t.pauses && advice.Go || !t.pauses && (last || now.Sub(begun) >= t.lasts) {
				break
			}
		}
		now = now.Add(look)
	}
	for end := now.Add(t.bake); now.Before(end); now = now.Add(look) {
		advice := a.Look(context.Background(), deployment.Traffic{Now: now, Stage: "BAKE_TIME", Weight: 100, Bake: t.bake})
		if r := ended(advice, 100); r != nil {
			return *r
		}
	}
	if a.Finish() != nil {
		return result{Inconclusive, 100}
	}
	return result{Successful, 100}
}

// event is a measurement of the oracle: when it is known, and what it is.
type event struct {
	at     time.Time
	metric int
	state  State
}

// events lists what a metric measures in a stage that begins at a time, until another one, by the
// documented rules: windows one after the other from the first whole minute on, data until it is late.
func (t *trial) events(metric int, begun, until time.Time) []event {
	m := t.metrics[metric]
	grid := func(at time.Time) time.Time { // the first look at or after
		steps := (at.Sub(t.begin) + look - 1) / look
		return t.begin.Add(steps * look)
	}
	start := begun.Truncate(time.Minute)
	if start != begun {
		start = start.Add(time.Minute)
	}
	var all []event
	known := begun
	for ; ; start = start.Add(m.Interval) {
		end := start.Add(m.Interval)
		p := t.points[metric][int64(start.Sub(t.begin.Truncate(time.Hour)).Minutes())]
		arrives, late := end.Add(p.after), end.Add(m.Late)
		if p.never {
			arrives = late.Add(time.Hour)
		}
		at := end.Add(time.Minute) // CloudWatch's windows settle for a minute
		if decided := arrives; decided.After(late) {
			at = latest(at, late)
		} else {
			at = latest(at, decided)
		}
		at = latest(grid(at), known)
		if at.After(until) {
			return all
		}
		known = at
		e := event{at: at, metric: metric, state: Inconclusive}
		if !arrives.After(at) {
			e.state = t.means[metric](p.value, p.old)
		}
		all = append(all, e)
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// judge plays the events of all metrics in one stage, with counters written from the documentation. The
// time is when the stage may be left; zero if it never may.
func (t *trial) judge(begun, until time.Time) (state State, may time.Time) {
	var all []event
	for metric := range t.metrics {
		all = append(all, t.events(metric, begun, until)...)
	}
	slices.SortStableFunc(all, func(a, b event) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.metric - b.metric
	})
	rounds := make([][]State, len(t.metrics))
	passed := make([]bool, len(t.metrics))
	for _, e := range all {
		m := t.metrics[e.metric]
		rounds[e.metric] = append(rounds[e.metric], e.state)
		count := func(of State) (n int) {
			for _, s := range rounds[e.metric] {
				if s == of {
					n++
				}
			}
			return n
		}
		switch {
		case count(Failed) > m.FailureLimit:
			return Failed, e.at
		case count(Inconclusive) > m.InconclusiveLimit:
			return Inconclusive, e.at
		case len(rounds[e.metric]) < m.Count:
			continue
		case count(Successful) == 0:
			return Inconclusive, e.at
		}
		rounds[e.metric], passed[e.metric] = nil, true
		if !slices.Contains(passed, false) && may.IsZero() {
			may = e.at
		}
	}
	return Successful, may
}

// expected is the oracle.
func (t *trial) expected() result {
	now := t.begin
	for _, weight := range t.stages[:len(t.stages)-1] {
		until := now.Add(1000 * time.Hour)
		if t.pauses {
			// It is left at the look at which it may be: what comes later does not count.
			for end := now; end.Before(until); end = end.Add(look) {
				if state, may := t.judge(now, end); state != Successful {
					return result{state, weight}
				} else if !may.IsZero() {
					until = end
				}
			}
		} else {
			until = now.Add((t.lasts + look - 1) / look * look)
			state, may := t.judge(now, until)
			if state != Successful {
				return result{state, weight}
			}
			if may.IsZero() {
				return result{Inconclusive, t.stages[slices.Index(t.stages, weight)+1]} // seen when the next stage has begun
			}
		}
		now = until.Add(look)
	}
	begun, bakes := now, now.Add(look)
	if t.pauses {
		for ; ; now = now.Add(look) {
			if state, may := t.judge(begun, now); state != Successful {
				return result{state, 100}
			} else if !may.IsZero() {
				break
			}
		}
		bakes = now.Add(look)
	}
	end := bakes.Add(t.bake)
	lastLook := end.Add(-look)
	if state, may := t.judge(begun, lastLook); !t.pauses {
		// It has to have a result half a minute before the end of the bake.
		guard := bakes.Add((t.bake - 30*time.Second + look - 1) / look * look)
		before, mayBefore := t.judge(begun, guard)
		switch {
		case before != Successful:
			return result{before, 100}
		case mayBefore.IsZero():
			return result{Inconclusive, 100}
		case state != Successful:
			return result{state, 100}
		case may.IsZero():
			return result{Inconclusive, 100}
		}
	} else if state != Successful {
		return result{state, 100}
	}
	return result{Successful, 100}
}

// 500 random analyses of random series end as the documented rules say.
func TestRandomAnalysesEndAsTheRulesSay(t *testing.T) {
	counts := map[result]int{}
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 18)) //nolint:gosec // it has to be repeatable
		trial := randomTrial(r)
		want, got := trial.expected(), trial.run()
		require.Equal(t, want, got, "seed %d: pauses %v, stages %v, lasts %s, bake %s, %+v", seed, trial.pauses, trial.stages,
			trial.lasts, trial.bake, trial.metrics)
		counts[got]++
	}
	states := map[State]int{}
	for r, n := range counts {
		states[r.state] += n
	}
	t.Logf("%v", states)
	for _, state := range []State{Successful, Failed, Inconclusive} {
		assert.Greater(t, states[state], 30, state)
	}
}
