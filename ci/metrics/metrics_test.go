package metrics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/semconv/v1.40.0/cicdconv"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/runledger/dora"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

var began = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// full is a record with everything that a record can have.
func full() runledger.Record {
	floor := 0.8
	return runledger.Record{
		Schema: 1, ID: "0000000000000001", Call: "run", Application: "shop", Environment: "production", Ref: "main", Commit: "abc",
		Started: began, Seconds: 90, Budget: 900, Verdict: verdict.Fail, Code: "TESTS_FAILED", Module: "1.0", ImageDigest: "sha256:1", ModelVersion: "7",
		Stages: []runledger.Stage{{Name: verdict.Test, Verdict: verdict.Fail, Seconds: 12}, {Name: verdict.Train, Verdict: verdict.Pass,
			Seconds: 60}},
		Measures: []verdict.Measure{
			{Name: verdict.MeasureCoverage, Of: "total", Value: 0.9, Floor: &floor}, {Name: verdict.MeasureTests, Of: "passed", Value: 40},
			{Name: verdict.MeasureModel, Of: `accu"racy` + "\n", Value: 0.91, Floor: &floor}, {Name: verdict.MeasureImage, Value: 5e8},
			{Name: verdict.MeasureVulnerabilities, Of: "audit/high/fixable", Value: 2}, {Name: verdict.MeasureAdvisories, Of: "audit/data", Value: 1.7e9},
			{Name: verdict.MeasureWaivers, Of: "scan/ending", Value: 1},
		},
		Deployment: &verdict.Deployment{ID: "d", Service: "web", Outcome: verdict.DeploymentRolledBack, Seconds: 80},
	}
}

func delivery() *dora.Summary {
	var records []runledger.Record
	for n := range 25 {
		r := full()
		r.ID, r.Started = strings.Repeat("0", 14)+string(rune('a'+n)), began.Add(time.Duration(n)*time.Hour)
		r.CommitTime, r.Verdict, r.Code = r.Started.Add(-time.Hour), verdict.Pass, ""
		r.Deployment = &verdict.Deployment{ID: r.ID, Outcome: []string{verdict.DeploymentSucceeded, verdict.DeploymentFailed}[n%2], Seconds: 50}
		records = append(records, r)
	}
	s := dora.Of(records, dora.Window{Environment: "production", Since: began, Until: began.AddDate(0, 0, 30)})
	return &s
}

func TestEveryDeclaredMetricIsMade(t *testing.T) {
	before := full()
	before.Verdict, before.ID = verdict.Pass, "0000000000000000"
	made := metrics.Join(metrics.Of(metrics.Input{Run: full(), Before: []runledger.Record{before}, Delivery: delivery()}),
		metrics.History([]runledger.Record{full()}, []string{"main"}))
	var names []string
	for _, f := range made {
		names = append(names, f.Name)
		for _, s := range f.Samples {
			for _, l := range s.Labels {
				if !slices.Contains([]string{"pipeline", "environment", "ref", "call"}, l.Name) {
					assert.Contains(t, f.Labels, l.Name, f.Name)
				}
			}
		}
	}
	var declared []string
	for _, m := range metrics.All() {
		declared = append(declared, m.Name)
		assert.True(t, strings.HasPrefix(m.Name, metrics.Prefix))
		assert.Equal(t, m.Counter, strings.HasSuffix(m.Name, "_total"), m.Name)
		assert.True(t, m.Unit == "" || strings.HasSuffix(strings.TrimSuffix(m.Name, "_total"), "_"+m.Unit), m.Name)
	}
	assert.Equal(t, declared, names)
}

func TestText(t *testing.T) {
	target := metrics.GroupOf(full(), []string{"main"})
	text := metrics.Text(metrics.Of(metrics.Input{Run: full()}), target.Labels())
	for _, line := range []string{
		`# TYPE openstack_rca_run_duration_seconds gauge`,
		`openstack_rca_run_duration_seconds{pipeline="shop",environment="production",ref="main",call="run"} 90`,
		`openstack_rca_run_verdict{pipeline="shop",environment="production",ref="main",call="run",verdict="fail",code="TESTS_FAILED"} 1`,
		`openstack_rca_model_metric{pipeline="shop",environment="production",ref="main",call="run",metric="accu\"racy\n"} 0.91`,
	} {
		assert.Contains(t, text, line+"\n")
	}
	assert.NotContains(t, text, "last_success", "it has not passed")
	plain := metrics.Text(metrics.Of(metrics.Input{Run: full()}), nil)
	assert.NotRegexp(t, regexp.MustCompile(`[{,](pipeline|environment|ref|call)=`), plain, "these are the grouping key of a push")
	assert.True(t, strings.HasSuffix(metrics.Open(nil, nil), "# EOF\n"))
	invalid := full()
	invalid.Code = "\xff"
	assert.NotContains(t, metrics.Text(metrics.Of(metrics.Input{Run: invalid}), nil), "\xff")
}

func TestOtherBranchesShareALabel(t *testing.T) {
	r := full()
	for ref, want := range map[string]string{"main": "main", "refs/heads/main": "main", "feature/x": "other", "refs/pull/7/merge": "other",
		"": "other"} {
		r.Ref = ref
		assert.Equal(t, want, metrics.GroupOf(r, []string{"main"}).Ref, ref)
	}
}

func TestHistoryCountsFromZero(t *testing.T) {
	var records []runledger.Record
	for n := range 3 {
		r := full()
		r.ID, r.Started = strings.Repeat("a", 15)+string(rune('a'+n)), began.Add(time.Duration(n)*time.Hour)
		records = append(records, r)
	}
	slices.Reverse(records)
	text := metrics.Open(metrics.With(metrics.History(records, []string{"main"}), metrics.Group{}), nil)
	assert.Contains(t, text, `openstack_rca_runs_total{pipeline="shop",environment="production",ref="main",call="run",verdict="fail"} 0 1773144089.000`)
	assert.Contains(t, text, `verdict="fail"} 3 1773151290.000`)
	assert.Contains(t, text, "# TYPE openstack_rca_runs counter\n")
	assert.NotContains(t, text, "run_verdict", "it is of one moment")
}

func TestPushReplacesTheGroup(t *testing.T) {
	var got *http.Request
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		got, body = r, string(content)
	}))
	t.Cleanup(server.Close)
	r := full()
	target := metrics.GroupOf(r, []string{"main"})
	families := metrics.Of(metrics.Input{Run: r})
	require.NoError(t, metrics.Push(t.Context(), metrics.Endpoint{URL: server.URL + "/", Auth: "me:word"}, target, families))
	assert.Equal(t, http.MethodPut, got.Method)
	assert.Equal(t, "/metrics/job/openstack_rca/pipeline@base64/c2hvcA/environment@base64/cHJvZHVjdGlvbg/ref@base64/bWFpbg/call@base64/cnVu", got.URL.Path)
	user, password, _ := got.BasicAuth()
	assert.Equal(t, "me word", user+" "+password)
	assert.Equal(t, metrics.Text(families, nil), body)
	require.NoError(t, metrics.Push(t.Context(), metrics.Endpoint{URL: server.URL, Auth: "token"}, target, families))
	assert.Equal(t, "Bearer token", got.Header.Get("Authorization"))
}

func TestWhatCannotBeSentIsAnErrorWithoutTheAddress(t *testing.T) {
	secret := strings.Join([]string{"path", "of", "the", "gateway"}, "-")
	redirected := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "moved"):
			redirected = true
		case strings.Contains(r.URL.Path, "redirect"):
			http.Redirect(w, r, "/moved", http.StatusTemporaryRedirect)
		case strings.Contains(r.URL.Path, "hang"):
			<-r.Context().Done()
		default:
			http.Error(w, "pushed metrics are invalid", http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	hang, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for address, c := range map[string]struct {
		ctx  context.Context
		want string
	}{
		server.URL + "/" + secret:               {t.Context(), "HTTP 400"},
		server.URL + "/redirect/" + secret:      {t.Context(), "HTTP 307"},
		server.URL + "/hang/" + secret:          {hang, "no answer within"},
		"http://127.0.0.1:1/" + secret:          {t.Context(), "connection refused"},
		"http://user:" + secret + "@127.0.0.1":  {t.Context(), "--metrics-auth"},
		"http://127.0.0.1/?key=" + secret:       {t.Context(), "query"},
		"ftp://127.0.0.1/" + secret:             {t.Context(), "no http or https"},
		"http://nothing.invalid:9091/" + secret: {t.Context(), "nothing.invalid"},
	} {
		for _, err := range []error{
			metrics.Push(c.ctx, metrics.Endpoint{URL: address}, metrics.Group{Pipeline: "x"}, nil),
			metrics.SendOTLP(c.ctx, metrics.Endpoint{URL: address}, metrics.Group{Pipeline: "x"}, full(), nil),
		} {
			require.ErrorContains(t, err, c.want, address)
			assert.NotContains(t, err.Error(), secret)
		}
	}
	assert.False(t, redirected, "what was sent goes nowhere else")
}

func TestOTLPIsWhatACollectorReads(t *testing.T) {
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/v1/metrics", r.URL.Path)
		var err error
		body, err = io.ReadAll(r.Body)
		assert.NoError(t, err)
	}))
	t.Cleanup(server.Close)
	r := full()
	target := metrics.GroupOf(r, []string{"main"})
	require.NoError(t, metrics.SendOTLP(t.Context(), metrics.Endpoint{URL: server.URL}, target, r, metrics.Of(metrics.Input{Run: r})))
	var message collector.ExportMetricsServiceRequest
	require.NoError(t, protojson.Unmarshal(body, &message), "unknown fields are refused")
	resource := message.GetResourceMetrics()[0]
	attributes := map[string]string{}
	for _, a := range resource.GetResource().GetAttributes() {
		attributes[a.GetKey()] = a.GetValue().GetStringValue()
	}
	assert.Equal(t, "main", attributes["vcs.ref.head.name"])
	found := resource.GetScopeMetrics()[0].GetMetrics()
	assert.Equal(t, "cicd.pipeline.run.duration", found[0].GetName())
	point := found[0].GetHistogram().GetDataPoints()[0]
	assert.InDelta(t, 90, point.GetSum(), 0)
	assert.Equal(t, []uint64{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, point.GetBucketCounts())
	own := map[string]string{}
	for _, a := range point.GetAttributes() {
		own[a.GetKey()] = a.GetValue().GetStringValue()
	}
	assert.Equal(t, map[string]string{"cicd.pipeline.name": "shop", "cicd.pipeline.run.state": "executing",
		"cicd.pipeline.result": "failure",
		"error.type":           "TESTS_FAILED"}, own)
	assert.Equal(t, "cicd.pipeline.run.errors", found[1].GetName())
	for outcome, want := range map[verdict.Outcome]string{verdict.Pass: "success", verdict.CouldNotRun: "error"} {
		r.Verdict, r.Seconds = outcome, 1e6
		require.NoError(t, metrics.SendOTLP(t.Context(), metrics.Endpoint{URL: server.URL}, target, r, nil))
		assert.Contains(t, string(body), want)
	}
}

func TestEMF(t *testing.T) {
	r := full()
	group := metrics.GroupOf(r, []string{"main"})
	text, err := metrics.EMF(metrics.With(metrics.Of(metrics.Input{Run: r}), group), began)
	require.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		var message map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &message))
		aws, ok := message["_aws"].(map[string]any)
		require.True(t, ok)
		assert.InDelta(t, began.UnixMilli(), aws["Timestamp"], 0)
		directive := aws["CloudWatchMetrics"].([]any)[0].(map[string]any)
		assert.Equal(t, metrics.Namespace, directive["Namespace"])
		dimensions := directive["Dimensions"].([]any)[0].([]any)
		assert.LessOrEqual(t, len(dimensions), 30, "the limit of CloudWatch")
		for _, name := range dimensions {
			assert.NotEmpty(t, message[name.(string)], "a dimension is a member of the message")
		}
		for _, m := range directive["Metrics"].([]any) {
			name := m.(map[string]any)["Name"].(string)
			seen[name] = true
			assert.IsType(t, float64(0), message[name])
		}
	}
	assert.True(t, seen[metrics.RunDuration.Name] && seen[metrics.Coverage.Name] && seen[metrics.Model.Name])
	empty, err := metrics.EMF(nil, began)
	require.NoError(t, err)
	assert.Empty(t, empty)
	_, err = metrics.EMF([]metrics.Family{{Metric: metrics.Coverage, Samples: []metrics.Sample{{Value: math.NaN()}}}}, began)
	require.Error(t, err)
}

func TestARecordThatIsOddMakesAValidFile(t *testing.T) {
	r := full()
	r.Application, r.Code = "he\x00l\"lo\r\n\\x\xff", "A\x1b[31m"
	r.Stages, r.Measures = append(r.Stages, r.Stages...), append(r.Measures, r.Measures...)
	target := metrics.GroupOf(r, nil)
	text := metrics.Text(metrics.Of(metrics.Input{Run: r}), target.Labels())
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		assert.NotRegexp(t, `[\x00-\x09\x0b-\x1f\x7f]`, line)
		series, _, _ := strings.Cut(line, "} ")
		assert.False(t, seen[series], "a series that is there twice is refused: %s", series)
		seen[series] = true
	}
	assert.Contains(t, text, `pipeline="he�l\"lo�\n\\x�"`)
}

// stored is a CloudWatch that keeps what it gets, or refuses.
type stored struct {
	err  error
	data [][]cloudwatch.MetricDatum
}

func (s *stored) PutMetricData(_ context.Context, in *cloudwatch.PutMetricDataInput) (*cloudwatch.PutMetricDataOutput, error) {
	s.data = append(s.data, in.MetricData)
	return &cloudwatch.PutMetricDataOutput{}, s.err
}

func TestCloudWatchGetsWhatAnAlarmCanTell(t *testing.T) {
	r := full()
	r.Ref = "main"
	target := metrics.GroupOf(r, []string{"main"})
	to := &stored{}
	require.NoError(t, metrics.PutMetrics(t.Context(), to, target, metrics.Of(metrics.Input{Run: r}), r.Ended()))
	verdicts := map[string]float64{}
	for _, datum := range to.data[0] {
		assert.NotEqual(t, metrics.Info.Name, *datum.MetricName)
		for _, d := range datum.Dimensions {
			assert.NotContains(t, []string{"code", "service"}, *d.Name)
			assert.NotEmpty(t, *d.Value)
			if *datum.MetricName == metrics.RunVerdict.Name && *d.Name == "verdict" {
				verdicts[*d.Value] = *datum.Value
			}
		}
	}
	want := map[string]float64{"pass": 0, "fail": 0, "could-not-run": 0}
	want[string(r.Verdict)] = 1
	assert.Equal(t, want, verdicts)

	many := metrics.Family{Metric: metrics.Tests}
	for n := range 2500 {
		many.Samples = append(many.Samples, metrics.Sample{Value: float64(n),
			Labels: []metrics.Label{{Name: "outcome", Value: fmt.Sprint("é", n)}}})
	}
	to = &stored{}
	require.NoError(t, metrics.PutMetrics(t.Context(), to, target, []metrics.Family{many}, time.Now()))
	require.Len(t, to.data, 13)
	assert.Len(t, to.data[11], 200)
	assert.Len(t, to.data[12], 100)
	assert.Equal(t, "?0", *to.data[0][0].Dimensions[4].Value)
	to = &stored{err: errors.New("denied")}
	assert.ErrorContains(t, metrics.PutMetrics(t.Context(), to, target, []metrics.Family{many}, time.Now()), "CloudWatch: denied")
}

// TestOTLPFollowsTheConventions compares with the generated constants of OpenTelemetry's own conventions.
func TestOTLPFollowsTheConventions(t *testing.T) {
	var sent string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		sent = string(content)
	}))
	defer server.Close()
	for outcome, want := range map[verdict.Outcome]cicdconv.PipelineResultAttr{verdict.Pass: cicdconv.PipelineResultSuccess,
		verdict.Fail: cicdconv.PipelineResultFailure, verdict.CouldNotRun: cicdconv.PipelineResultError} {
		r := full()
		r.Verdict = outcome
		require.NoError(t, metrics.SendOTLP(t.Context(), metrics.Endpoint{URL: server.URL}, metrics.GroupOf(r, nil), r, nil))
		duration, failures := cicdconv.PipelineRunDuration{}, cicdconv.PipelineRunErrors{}
		result, kind := duration.AttrPipelineResult(want), duration.AttrErrorType(cicdconv.ErrorTypeAttr(r.Code))
		for _, part := range []string{
			`"name":"` + duration.Name() + `"`, `"unit":"` + duration.Unit() + `"`, `"description":"` + duration.Description() + `"`,
			`"name":"` + failures.Name() + `"`, `"unit":"` + failures.Unit() + `"`,
			`{"key":"` + string(result.Key) + `","value":{"stringValue":"` + result.Value.AsString() + `"}}`,
			`{"key":"` + string(kind.Key) + `","value":{"stringValue":"` + kind.Value.AsString() + `"}}`,
			`{"key":"cicd.pipeline.run.state","value":{"stringValue":"` + string(cicdconv.PipelineRunStateExecuting) + `"}}`,
		} {
			assert.Contains(t, sent, part, outcome)
		}
	}
}
