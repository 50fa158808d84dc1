// Package analysis judges a new version by the application's own numbers while traffic shifts to it:
// metrics of CloudWatch, queries of Prometheus, or a command of the image.
//
// A stage is a time in which the new version's share of the traffic stays the same. In each stage
// every metric is measured in windows of one interval. The rules are these, and docs/rollout.md
// has them in words:
//
//   - A measurement is failed if the failure condition holds, and successful if the success condition
//     holds. With one condition alone, the other is its opposite. With both, a value between them is
//     inconclusive, and so is a window without data.
//   - A round of measurements is failed with more failed ones than the limit, inconclusive with more
//     inconclusive ones than the limit, and successful when as many as configured are made, at least one
//     of them successful. Then the next round begins.
//   - A stage may be left when every metric had a successful round in it.
package analysis

import (
	"fmt"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// State is the state of a measurement or a round.
type State string

// States. An unfinished round is Running.
const (
	Running      State = "running"
	Successful   State = "successful"
	Failed       State = "failed"
	Inconclusive State = "inconclusive"
)

// Defaults of a metric's settings.
const (
	DefaultInterval = time.Minute
	DefaultCount    = 3
	DefaultLate     = 5 * time.Minute
)

// Metric is a metric with its conditions, ready to be measured.
type Metric struct {
	spec.Analysis
	success, failure *Condition
}

// NewMetric checks a metric and fills in defaults. Errors name the setting.
func NewMetric(a spec.Analysis) (*Metric, error) {
	m := &Metric{Analysis: a}
	if m.Interval == 0 {
		m.Interval = DefaultInterval
	}
	if m.Count == 0 {
		m.Count = DefaultCount
	}
	if m.Late == 0 {
		m.Late = DefaultLate
	}
	if err := m.checkCompare(); err != nil {
		return nil, err
	}
	if len(m.Command) > 0 && m.Success == "" && m.Failure == "" {
		m.Success, m.Failure = "value == 0", "value == 1"
	}
	var err error
	if m.success, err = ParseCondition(m.Success); err != nil {
		return nil, fmt.Errorf("success: %w", err)
	}
	if m.failure, err = ParseCondition(m.Failure); err != nil {
		return nil, fmt.Errorf("failure: %w", err)
	}
	if m.Compare != "" && (m.success.NeedsOld() || m.failure.NeedsOld()) {
		return nil, fmt.Errorf("success: with compare, value is a comparison already, and there is no old")
	}
	if m.success == nil && m.failure == nil {
		return nil, fmt.Errorf("neither success nor failure says what is good")
	}
	return m, m.checkSource()
}

// NeedsOld reports whether the old version must be measured too.
func (m *Metric) NeedsOld() bool {
	return m.Compare != "" || m.comparesValues()
}

// comparesValues reports whether a condition uses the old version's value.
func (m *Metric) comparesValues() bool { return m.success.NeedsOld() || m.failure.NeedsOld() }

// Judge returns the state of one measurement. known is false without data; old is used only if the conditions need it.
func (m *Metric) Judge(value, old float64, known bool) State {
	if !known {
		return Inconclusive
	}
	if m.failure != nil {
		switch failed, err := m.failure.Holds(value, old); {
		case err != nil:
			return Inconclusive
		case failed:
			return Failed
		case m.success == nil:
			return Successful
		}
	}
	switch good, err := m.success.Holds(value, old); {
	case err != nil:
		return Inconclusive
	case good:
		return Successful
	case m.failure == nil:
		return Failed
	default:
		return Inconclusive
	}
}

// round counts a metric's measurements in a stage.
type round struct {
	measured, failed, inconclusive int
	// passed is the number of successful rounds in this stage.
	passed int
}

// add counts a measurement and returns the state of the round after it.
func (r *round) add(m *Metric, s State) State {
	r.measured++
	switch s {
	case Failed:
		r.failed++
	case Inconclusive:
		r.inconclusive++
	}
	switch {
	case r.failed > m.FailureLimit:
		return Failed
	case r.inconclusive > m.InconclusiveLimit:
		return Inconclusive
	case r.measured < m.Count:
		return Running
	case r.measured == r.failed+r.inconclusive:
		return Inconclusive // within the limits, but nothing was successful
	}
	*r = round{passed: r.passed + 1}
	return Successful
}
