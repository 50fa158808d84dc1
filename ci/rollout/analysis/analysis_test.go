package analysis

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

func TestConditions(t *testing.T) {
	for text, want := range map[string]bool{
		"value < 0.5": true, "value >= 0.5": false, "!(value < 0.5)": false, "value == 0.25 && old != 0": true, "value > 1 || old > 0": true,
		"value <= 1.5*old + 0.1": true, "value - old < -0.2": true, "value/old < 0.51": true, "-value < 0": true,
		"1 - 1 - 1 == -1 && 8 / 2 / 2 == 2": true, "1 + 2*3 == 7 && (1 + 2)*3 == 9": true, "2.5e-1 == value": true,
		"value > 1 || value < 1 && old > 1": false, "value != old && !(old == 0 || value > old)": true,
	} {
		c, err := ParseCondition(text)
		require.NoError(t, err, text)
		got, err := c.Holds(0.25, 0.5)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	none, err := ParseCondition("  ")
	require.NoError(t, err)
	assert.Nil(t, none)
	assert.False(t, none.NeedsOld())
	for _, text := range []string{"value", "1 + 2", "value <", "latency < 1", "value < \"a\"", "value & 1 == 1", "f(value) > 1",
		"value < old < 1", "!value", "true", "1x < 2", "(value < 1", "value < 1)", "value < 1 value", "-(value < 1)", "value < 1 &&",
		"1e999 < value", "&& value < 1", "(value < 1) + 1 > 0", "value[0] > 1", "func() bool { return true }()", string(make([]byte, 400))} {
		_, err := ParseCondition(text)
		assert.Error(t, err, text)
	}
	c, err := ParseCondition("value / old > 2")
	require.NoError(t, err)
	_, err = c.Holds(1, 0)
	assert.Error(t, err, "a division by zero is no answer")
}

func FuzzParseCondition(f *testing.F) {
	f.Add("value < 1.5*old + 0.01")
	f.Fuzz(func(_ *testing.T, text string) {
		if c, err := ParseCondition(text); err == nil && c != nil {
			_, _ = c.Holds(0, 0) // it never panics
		}
	})
}

func TestAMetricThatCanMeanNothingIsRefused(t *testing.T) {
	metric := spec.Metric{ID: "m", Namespace: "n", Name: "x", Stat: "Sum"}
	good := spec.Analysis{Name: "a", Success: "value < 1", Metrics: []spec.Metric{metric}}
	_, err := NewMetric(good)
	require.NoError(t, err)
	for want, change := range map[string]func(*spec.Analysis){
		"what is good":    func(a *spec.Analysis) { a.Success = "" },
		"success:":        func(a *spec.Analysis) { a.Success = "value" },
		"failure:":        func(a *spec.Analysis) { a.Failure = "(" },
		"one of":          func(a *spec.Analysis) { a.Metrics = nil },
		"has to have one": func(a *spec.Analysis) { a.Command = []string{"x"} },
		"{{version}}":     func(a *spec.Analysis) { a.Query = "m + {{version}}" },
		"whole number":    func(a *spec.Analysis) { a.Interval = 90 * time.Second },
		"an id":           func(a *spec.Analysis) { a.Metrics = []spec.Metric{metric, metric} },
		"no namespace":    func(a *spec.Analysis) { a.Metrics = []spec.Metric{{ID: "m"}} },
		"need an expression": func(a *spec.Analysis) {
			other := metric
			other.ID = "n"
			a.Metrics = append(a.Metrics[:1:1], other)
		},
		"is not an address": func(a *spec.Analysis) { a.Metrics, a.Prometheus = nil, "prometheus" },
		"[{{window}}]":      func(a *spec.Analysis) { a.Metrics, a.Prometheus, a.Query = nil, "http://p", "up" },
		"vector()": func(a *spec.Analysis) {
			a.Metrics, a.Prometheus, a.Query = nil, "http://p", "sum(rate(x[{{window}}])) or vector(0)"
		},
		"vector() makes": func(a *spec.Analysis) {
			a.Metrics, a.Prometheus, a.Query = nil, "http://p", "sum(rate(x[{{window}}])) or vector (0)"
		},
		"no old value": func(a *spec.Analysis) { a.Metrics, a.Command, a.Success = nil, []string{"x"}, "value < old" },
	} {
		a := good
		change(&a)
		_, err := NewMetric(a)
		assert.ErrorContains(t, err, want)
	}
}

// FILL gives a value where nothing was measured yet: that is no data.
type filled struct{ raw bool }

func (f filled) GetMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput) (*cloudwatch.GetMetricDataOutput, error) {
	out := &cloudwatch.GetMetricDataOutput{MetricDataResults: []cloudwatch.MetricDataResult{
		{Id: aws.String(resultID), Timestamps: []time.Time{*in.StartTime}, Values: []float64{0}}, {Id: aws.String("m")}}}
	if f.raw {
		out.MetricDataResults[1].Timestamps, out.MetricDataResults[1].Values = []time.Time{*in.StartTime}, []float64{7}
	}
	return out, nil
}

func TestAFilledValueIsNoData(t *testing.T) {
	m, err := NewMetric(spec.Analysis{Name: "a", Query: "FILL(m, 0)", Success: "value < 1",
		Metrics: []spec.Metric{{ID: "m", Namespace: "n", Name: "x", Stat: "Sum"}}})
	require.NoError(t, err)
	for _, raw := range []bool{true, false} {
		_, known, err := CloudWatch{filled{raw}}.Ask(t.Context(), m, Subject{}, Window{time.Unix(0, 0), time.Unix(60, 0)})
		require.NoError(t, err)
		assert.Equal(t, raw, known)
	}
}

func TestPrometheusAnswers(t *testing.T) {
	for answer, want := range map[string]struct {
		value float64
		known bool
		err   string
	}{
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0.5"]}]}}`:     {value: 0.5, known: true},
		`{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`:                               {value: 2, known: true},
		`{"status":"success","data":{"resultType":"vector","result":[]}}`:                                    {},
		`{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"NaN"]}]}}`:                 {},
		`{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"+Inf"]}]}}`:                {},
		`{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"1"]},{"value":[1,"2"]}]}}`: {err: "2 series"},
		`{"status":"success","data":{"resultType":"matrix","result":[]}}`:                                    {err: "matrix"},
		`{"status":"success","data":{"resultType":"vector","result":[{"value":[1]}]}}`:                       {err: "1 parts"},
		`{"status":"success","data":{"resultType":"vector","result":[{"value":[1,2]}]}}`:                     {err: "read value"},
		`{"status":"error","error":"parse error"}`:                                                           {err: "parse error"},
		`<html>log in</html>`: {err: "not Prometheus's"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "/api/v1/query", r.URL.Path)
			assert.Equal(t, "sum(rate(x{r=\"7\"}[60s]))", r.FormValue("query"))
			assert.Equal(t, "60.000", r.FormValue("time"))
			_, _ = io.WriteString(w, answer)
		}))
		m, err := NewMetric(spec.Analysis{Name: "a", Prometheus: server.URL + "/", Query: `sum(rate(x{r="{{revision}}"}[{{window}}]))`,
			Success: "value < 1"})
		require.NoError(t, err)
		value, known, err := Prometheus{}.Ask(t.Context(), m, Subject{Revision: "7"}, Window{time.Unix(0, 0), time.Unix(60, 0)})
		server.Close()
		if want.err != "" {
			assert.ErrorContains(t, err, want.err, answer)
			continue
		}
		require.NoError(t, err, answer)
		assert.Equal(t, want.known, known, answer)
		if known {
			assert.Equal(t, want.value, value)
		}
	}
	m, err := NewMetric(spec.Analysis{Name: "a", Prometheus: "http://127.0.0.1:1", Query: "rate(x[{{window}}])", Success: "value < 1"})
	require.NoError(t, err)
	_, _, err = Prometheus{}.Ask(t.Context(), m, Subject{}, Window{})
	assert.Error(t, err)
}

// oneTask is a cluster with one task at a time.
type oneTask struct {
	runs   int
	status string
	exit   *int32
	refuse error
}

func (o *oneTask) RunTask(_ context.Context, in *ecs.RunTaskInput, _ ...func(*ecs.Options)) (*ecs.RunTaskOutput, error) {
	if o.refuse != nil {
		return nil, o.refuse
	}
	o.runs++
	if in.Overrides.ContainerOverrides[0].Command[1] != "web" {
		return &ecs.RunTaskOutput{Failures: []types.Failure{{Reason: aws.String("no room")}}}, nil
	}
	return &ecs.RunTaskOutput{Tasks: []types.Task{{TaskArn: aws.String("task")}}}, nil
}

func (o *oneTask) DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error) {
	return &ecs.DescribeTasksOutput{Tasks: []types.Task{{LastStatus: aws.String(o.status), StoppedReason: aws.String("cannot pull"),
		Containers: []types.Container{{Name: aws.String("app"), ExitCode: o.exit}}}}}, nil
}

func TestACommandRunsOnceForEachWindow(t *testing.T) {
	m, err := NewMetric(spec.Analysis{Name: "check", Command: []string{"check", "{{service}}"}})
	require.NoError(t, err)
	assert.Equal(t, []State{Successful, Failed, Inconclusive}, []State{m.Judge(0, 0, true), m.Judge(1, 0, true), m.Judge(137, 0, true)})
	tasks := &oneTask{status: "RUNNING"}
	c := &Command{Tasks: tasks, Task: &ecs.RunTaskInput{}, Container: "app"}
	ask := func(service string, minute int64) (float64, bool, error) {
		return c.Ask(t.Context(), m, Subject{Service: service}, Window{time.Unix(minute*60, 0), time.Unix(minute*60+60, 0)})
	}
	for range 3 {
		_, known, err := ask("web", 0)
		require.NoError(t, err)
		assert.False(t, known)
	}
	assert.Equal(t, 1, tasks.runs)
	tasks.status, tasks.exit = "STOPPED", aws.Int32(1)
	value, known, err := ask("web", 0)
	require.NoError(t, err)
	assert.True(t, known)
	assert.Equal(t, 1.0, value)
	tasks.exit = nil
	_, _, err = ask("web", 0)
	assert.ErrorContains(t, err, "cannot pull")
	_, _, err = ask("other", 1)
	assert.ErrorContains(t, err, "no room")
	tasks.refuse = errors.New("denied")
	_, _, err = ask("web", 2)
	assert.ErrorContains(t, err, "denied")
}

// What cannot be asked, or described, is inconclusive when it is late, and says why.
func TestWhatCannotBeAskedIsInconclusive(t *testing.T) {
	m, err := NewMetric(spec.Analysis{Name: "a", Prometheus: "http://127.0.0.1:1", Query: "rate(x[{{window}}])", Success: "value < 1",
		Late: time.Minute})
	require.NoError(t, err)
	for _, undescribed := range []error{nil, errors.New("ECS is away")} {
		a := New([]*Metric{m}, Options{Pauses: true, Source: func(*Metric) Source { return Prometheus{} },
			Subjects: func(context.Context, string, string) (Subject, Subject, error) {
				return Subject{}, Subject{}, undescribed
			}})
		assert.Empty(t, a.Blocks())
		now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
		var advice deployment.Advice
		for ; advice.Problem == nil && now.Minute() < 10; now = now.Add(5 * time.Second) {
			advice = a.Look(t.Context(), deployment.Traffic{Now: now, Weight: 10})
			assert.False(t, advice.Go)
		}
		require.NotNil(t, advice.Problem)
		assert.Equal(t, deployment.AnalysisInconclusive, advice.Problem.Code)
		require.Len(t, a.Samples(), 1)
		assert.NotEmpty(t, a.Samples()[0].Note)
		assert.Len(t, a.Blocks(), 1, "the table; there is nothing to draw")
	}
	assert.True(t, New(nil, Options{}).Look(t.Context(), deployment.Traffic{}).Go, "without traffic there is nothing to measure")
	assert.NotNil(t, New([]*Metric{m}, Options{}).Finish(), "nothing was proved")
}

// always is a source with a value for every question, also about nobody.
type always struct{ asked []Subject }

func (a *always) Ask(_ context.Context, _ *Metric, of Subject, _ Window) (float64, bool, error) {
	a.asked = append(a.asked, of)
	return 0, true, nil
}

func TestThereIsNoOldVersionAtFirst(t *testing.T) {
	compares, err := NewMetric(spec.Analysis{Name: "a", Command: nil, Success: "value <= old", Count: 1, Prometheus: "http://p", Query: "x[{{window}}]"})
	require.NoError(t, err)
	plain, err := NewMetric(spec.Analysis{Name: "b", Success: "value < 1", Count: 1, Prometheus: "http://p", Query: "x[{{window}}]"})
	require.NoError(t, err)
	source := &always{}
	begin := func(metrics ...*Metric) *Analyzer {
		return New(metrics, Options{Pauses: true, Source: func(*Metric) Source { return source },
			Subjects: func(context.Context, string, string) (Subject, Subject, error) {
				return Subject{Service: "s"}, Subject{}, nil
			}})
	}
	at := deployment.Traffic{Now: time.Unix(0, 0), Weight: 10, First: true}
	a := begin(compares, plain)
	assert.Contains(t, a.Look(t.Context(), at).Note, "measuring 1 metrics at 10 % of the traffic; 1 compare with an old version")
	at.Now = at.Now.Add(10 * time.Minute)
	assert.True(t, a.Look(t.Context(), at).Go)
	// Where there has to be one, nobody else's numbers are taken for its own.
	at = deployment.Traffic{Now: time.Unix(0, 0), Weight: 10}
	a = begin(compares)
	a.Look(t.Context(), at)
	at.Now = at.Now.Add(10 * time.Minute)
	advice := a.Look(t.Context(), at)
	require.NotNil(t, advice.Problem)
	assert.Contains(t, advice.Problem.Cause, "ECS names no old version")
	assert.NotContains(t, source.asked, Subject{})
}
