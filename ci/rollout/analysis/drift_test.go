package analysis

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

func TestTheStabilityIndex(t *testing.T) {
	same := map[string]float64{"a": 5000, "b": 3000, "c": 2000}
	assert.Zero(t, StabilityIndex(same, same))
	// (0.6-0.5)ln(0.6/0.5) + (0.2-0.3)ln(0.2/0.3) = 0.01823 + 0.04055, by hand.
	assert.InDelta(t, 0.05878, StabilityIndex(map[string]float64{"a": 50e6, "b": 30e6, "c": 20e6},
		map[string]float64{"a": 60e6, "b": 20e6, "c": 20e6}), 1e-4)
	assert.InDelta(t, StabilityIndex(same, map[string]float64{"a": 100}), StabilityIndex(map[string]float64{"a": 100}, same), 1e-9,
		"it has no direction")
	empty := StabilityIndex(map[string]float64{"a": 1000}, map[string]float64{"b": 1000})
	assert.False(t, math.IsInf(empty, 0) || math.IsNaN(empty))
	assert.Greater(t, empty, 10.0)
	assert.Zero(t, StabilityIndex(nil, nil))
}

// Two samples of one distribution do not look like a shift at the least number of samples, and a shift of a
// fifth of the predictions does.
func TestTheIndexOfSamples(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	draw := func(shift float64) map[string]float64 {
		counts := map[string]float64{}
		for range DefaultMinSamples {
			class := random.IntN(10)
			if random.Float64() < shift {
				class = 0
			}
			counts[fmt.Sprint(class)]++
		}
		return counts
	}
	const times = 500
	alarms, missed := 0, 0
	for range times {
		if StabilityIndex(draw(0), draw(0)) >= 0.1 {
			alarms++
		}
		if StabilityIndex(draw(0), draw(0.4)) < 0.25 {
			missed++
		}
	}
	t.Logf("%d samples in 10 classes: %d of %d equal ones seem shifted, %d of %d shifted ones seem equal", DefaultMinSamples, alarms, times, missed,
		times)
	assert.LessOrEqual(t, alarms, times/100)
	assert.Zero(t, missed)
}

func TestBucketsOfAHistogram(t *testing.T) {
	counts, err := buckets(map[string]float64{"0.5": 10, "+Inf": 30, "0.1": 2, "1.0": 30})
	require.NoError(t, err)
	assert.Equal(t, map[string]float64{"0.1": 2, "0.5": 8, "1.0": 20, "+Inf": 0}, counts)
	_, err = buckets(map[string]float64{"much": 1})
	require.ErrorContains(t, err, "much")
}

func TestWhatCannotBeCompared(t *testing.T) {
	good := spec.Analysis{Name: "predictions", Prometheus: "http://p", Query: `sum by (label) (increase(n[{{window}}]))`, Compare: Index}
	m, err := NewMetric(good)
	require.NoError(t, err)
	assert.Equal(t, DefaultMinSamples, m.MinSamples)
	assert.True(t, m.NeedsOld())
	assert.Equal(t, []State{Successful, Inconclusive, Failed}, []State{m.Judge(0.05, 0, true), m.Judge(0.2, 0, true), m.Judge(0.3, 0, true)})
	for words, change := range map[string]func(*spec.Analysis){
		"there is no \"ks\"": func(a *spec.Analysis) { a.Compare = "ks" },
		"is for compare":     func(a *spec.Analysis) { a.Compare, a.MinSamples, a.Success = "", 5, "value < 1" },
		"negative":           func(a *spec.Analysis) { a.MinSamples = -1 },
		"exit code":          func(a *spec.Analysis) { a.Prometheus, a.Command = "", []string{"check"} },
		"at least two":       func(a *spec.Analysis) { a.Metrics = []spec.Metric{{ID: "a", Namespace: "n", Name: "n", Stat: "Sum"}} },
		"there is no old":    func(a *spec.Analysis) { a.Success = "value < old" },
	} {
		bad := good
		change(&bad)
		_, err := NewMetric(bad)
		require.ErrorContains(t, err, words)
	}
}

func TestWhatPrometheusAnswersOfADistribution(t *testing.T) {
	series := func(all ...string) string {
		text := ""
		for n := 0; n < len(all); n += 2 {
			if n > 0 {
				text += ","
			}
			text += fmt.Sprintf(`{"metric":{%s},"value":[1,%q]}`, all[n], all[n+1])
		}
		return `{"status":"success","data":{"resultType":"vector","result":[` + text + `]}}`
	}
	for body, want := range map[string]any{
		series(`"label":"a"`, "3", `"label":"b"`, "4.5"): map[string]float64{"a": 3, "b": 4.5},
		series(`"le":"1"`, "3", `"le":"+Inf"`, "4"):      map[string]float64{"1": 3, "+Inf": 1},
		series():                                   map[string]float64{},
		series(`"a":"1","b":"2"`, "1"):             "2 labels",
		series(``, "1"):                            "0 labels",
		series(`"a":"1"`, "1", `"b":"1"`, "1"):     "the same",
		series(`"a":"1"`, "NaN"):                   "no count",
		series(`"a":"1"`, "-1"):                    "no count",
		series(`"le":"x"`, "1"):                    "no number",
		`{"status":"error","error":"parse error"}`: "parse error",
		`{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`:                "scalar",
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"}}]}}`: "no count",
		`<html>`: "not Prometheus's",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		m, err := NewMetric(spec.Analysis{Name: "p", Prometheus: server.URL, Query: `n[{{window}}]`, Compare: Index})
		require.NoError(t, err)
		counts, err := Prometheus{}.Count(t.Context(), m, Subject{}, Window{})
		server.Close()
		if words, bad := want.(string); bad {
			require.ErrorContains(t, err, words, body)
			continue
		}
		require.NoError(t, err, body)
		assert.Equal(t, want, counts)
	}
}

// counter has the counts of each version, by its revision.
type counter map[string]map[string]float64

func (c counter) Ask(context.Context, *Metric, Subject, Window) (float64, bool, error) {
	return 0, false, nil
}

func (c counter) Count(_ context.Context, _ *Metric, of Subject, _ Window) (map[string]float64, error) {
	return c[of.Revision], nil
}

// plain is a source that knows single values only.
type plain struct{ Source }

func TestADistributionIsMeasured(t *testing.T) {
	m, err := NewMetric(spec.Analysis{Name: "p", Prometheus: "http://p", Query: `n[{{window}}]`, Compare: Index, Count: 1, MinSamples: 100,
		Late: time.Minute})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		source Source
		want   State
		note   string
	}{
		"equal":      {counter{"1": {"a": 500, "b": 500}, "2": {"a": 52, "b": 48}}, Successful, "100 samples of the new version, 1000 of the old one"},
		"shifted":    {counter{"1": {"a": 500, "b": 500}, "2": {"a": 190, "b": 10}}, Failed, "200 samples"},
		"too few":    {counter{"1": {"a": 500, "b": 500}, "2": {"a": 95, "b": 4}}, Inconclusive, "99 samples of the new version, 1000 of the old one; 100"},
		"few before": {counter{"1": {"a": 5, "b": 5}, "2": {"a": 500, "b": 400}}, Inconclusive, "10 of the old one; 100 of each are needed"},
		"no source":  {plain{}, Inconclusive, "no distributions"},
	} {
		t.Run(name, func(t *testing.T) {
			a := New([]*Metric{m}, Options{Source: func(*Metric) Source { return test.source }, Pauses: true,
				Subjects: func(context.Context, string, string) (Subject, Subject, error) {
					return Subject{Revision: "2"}, Subject{Revision: "1"}, nil
				}})
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			var advice deployment.Advice
			for ; len(a.Samples()) == 0; now = now.Add(5 * time.Second) {
				advice = a.Look(t.Context(), deployment.Traffic{Now: now, Weight: 10, Stage: "PRODUCTION_TRAFFIC_SHIFT", New: "n", Old: "o"})
			}
			sample := a.Samples()[0]
			assert.Equal(t, test.want, sample.State)
			assert.Contains(t, sample.Note, test.note)
			assert.Equal(t, test.want == Successful, advice.Go)
			if test.want == Failed {
				assert.Contains(t, advice.Problem.Cause, "population stability index")
			}
		})
	}
}
