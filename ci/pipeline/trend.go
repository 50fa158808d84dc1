package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// trendRuns limits how many runs a trend shows, trendRead how many records are read to find them, because other branches and
// calls are recorded in between.
const (
	trendRuns = 20
	trendRead = 60
)

// trend adds charts of the last runs on the same ref to the stages: measurements and duration. If the ledger cannot be read
// there are no charts; writing to it will report the error.
func (s *observer) trend(ctx context.Context, ledger *runledger.Ledger, now runledger.Record) {
	history, err := ledger.Last(ctx, trendRead, now.Started)
	if err != nil {
		return
	}
	s.before = history.Records
	records := runsLike(history.Records, now)
	if len(records) < 2 {
		return
	}
	for i := range s.run.Stages {
		stage := &s.run.Stages[i]
		if stage.Verdict == verdict.NotRun {
			continue
		}
		for _, m := range stage.Measures {
			if percent, title, ok := trendOf(m); ok {
				chart := lineOf(records, func(r runledger.Record) (float64, bool) {
					v, found := r.Measured(m.Name, m.Of)
					return v * percent, found
				})
				stage.Blocks = append(stage.Blocks, trendBlock(title, chart))
			}
		}
		chart := lineOf(records, func(r runledger.Record) (float64, bool) { return secondsOf(r, stage.Name) })
		if len(chart.Y) > 1 && slices.Max(chart.Y) >= 1 {
			stage.Blocks = append(stage.Blocks, trendBlock("seconds", chart))
		}
	}
}

// runsLike returns the last runs of the same call and ref, including this one.
func runsLike(before []runledger.Record, now runledger.Record) []runledger.Record {
	var same []runledger.Record
	for _, r := range before {
		if r.Call == now.Call && r.Ref == now.Ref {
			same = append(same, r)
		}
	}
	same = append(same, now)
	return same[max(0, len(same)-trendRuns):]
}

// trendOf returns the scale factor and title of a measurement's chart, and false if it has none.
func trendOf(m verdict.Measure) (factor float64, title string, ok bool) {
	switch {
	case m.Name == verdict.MeasureCoverage && m.Of == "total":
		return 100, "line coverage, %", true
	case m.Name == verdict.MeasureModel:
		return 1, m.Of, true
	case m.Name == verdict.MeasureImage:
		return 1e-6, "image, MB", true
	}
	return 0, "", false
}

func secondsOf(r runledger.Record, stage string) (float64, bool) {
	for _, s := range r.Stages {
		if s.Name == stage && s.Verdict != verdict.NotRun {
			return s.Seconds, true
		}
	}
	return 0, false
}

// lineOf returns a value's points over the runs, numbered from 1. Runs without the value are skipped.
func lineOf(records []runledger.Record, value func(runledger.Record) (float64, bool)) verdict.Series {
	var line verdict.Series
	for i, r := range records {
		if v, ok := value(r); ok {
			line.X, line.Y = append(line.X, float64(i+1)), append(line.Y, v)
		}
	}
	return line
}

func trendBlock(title string, line verdict.Series) verdict.Block {
	line.Name = title
	return verdict.Block{Title: fmt.Sprintf("Trend: %s, last %d runs", title, len(line.X)),
		Lines: &verdict.LineChart{X: "run", Y: title, Series: []verdict.Series{line}}}
}
