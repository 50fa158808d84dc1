package pipeline

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/observability"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// gateway records what is sent to it.
type gateway struct {
	*httptest.Server
	mu    sync.Mutex
	paths []string
	body  string
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.paths, g.body = append(g.paths, r.Method+" "+r.URL.Path), string(content)
	}))
	t.Cleanup(g.Close)
	return g
}

func TestTheMetricsOfARunAreSentAndInItsReport(t *testing.T) {
	b, _ := backend(t, source(nil))
	g, otlp := newGateway(t), newGateway(t)
	opts := Options{Ref: "main", Observe: Observe{PushgatewayURL: g.URL, OTLPEndpoint: otlp.URL, MetricsAuth: fake.Secret("METRICS_AUTH",
		"somebody:something")}}
	run := Run(t.Context(), b, opts).Run
	assert.False(t, warned(run, metrics.CodeUnsent), run.Warnings)
	require.Len(t, g.paths, 1)
	assert.Contains(t, g.paths[0], "PUT /metrics/job/openstack_rca/pipeline@base64/")
	assert.Contains(t, g.body, "openstack_rca_run_verdict{verdict=")
	assert.Equal(t, []string{"POST /v1/metrics"}, otlp.paths)
	file := run.Stages[len(run.Stages)-1].Files
	require.NotEmpty(t, file)
	assert.Equal(t, metricsFile, file[len(file)-1].Path)
	assert.Contains(t, string(file[len(file)-1].Content), `ref="main",call="run"`)

	opts.Stages = []string{verdict.Test}
	Run(t.Context(), b, opts)
	assert.Len(t, g.paths, 1, "a part of the pipeline is no run")
	opts.Stages, opts.Event = nil, "pull_request"
	run = Run(t.Context(), b, opts).Run
	file = run.Stages[len(run.Stages)-1].Files
	assert.Contains(t, string(file[len(file)-1].Content), `ref="other"`, "a pull request from a branch of that name is not the branch")
}

func TestAGatewayThatHangsChangesNothing(t *testing.T) {
	b, _ := backend(t, source(nil))
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hang) })
	plain := Run(t.Context(), b, Options{Ref: "main"}).Run
	began := time.Now()
	run := Run(t.Context(), b, Options{Ref: "main", Observe: Observe{PushgatewayURL: server.URL + "/secret-path",
		OTLPEndpoint: server.URL}}).Run
	assert.Less(t, time.Since(began), metrics.Timeout+5*time.Second, "both are tried side by side, once")
	assert.Equal(t, []any{plain.Verdict, plain.Code, plain.Cause}, []any{run.Verdict, run.Code, run.Cause})
	assert.True(t, warned(run, metrics.CodeUnsent))
	for _, w := range run.Warnings {
		assert.NotContains(t, w.Cause, "secret-path")
	}
}

func TestMetricsOfTheLedger(t *testing.T) {
	b, _ := backend(t, source(nil))
	opts := Options{Ref: "main", Observe: Observe{State: t.TempDir()}}
	for range 2 {
		Run(t.Context(), b, opts)
	}
	opts.Ref = "feature/x"
	Run(t.Context(), b, opts)
	found := Metrics(t.Context(), b, opts, 0)
	require.Empty(t, found.Failure)
	assert.Equal(t, 1, strings.Count(found.Text, "# TYPE openstack_rca_run_duration_seconds "))
	assert.Contains(t, found.Text, `ref="other"`)
	assert.Contains(t, found.Text, `openstack_rca_window_runs{pipeline="openstack-rca-system",environment="sandbox",ref="main",call="run"`)
	assert.Contains(t, found.Open, "# EOF")
	assert.Contains(t, found.EMF, `"CloudWatchMetrics"`)
	assert.Contains(t, found.History, "openstack_rca_runs_total")
	assert.Contains(t, Metrics(t.Context(), b, Options{Ref: "main"}, 0).Failure, "LEDGER_NONE")
}

func TestObservability(t *testing.T) {
	b, _ := backend(t, source(map[string]string{"pipeline.yaml": "test:\n  coverage:\n    total: 71\n"}))
	files, failure := Observability(t.Context(), b, Options{}, "")
	require.Empty(t, failure)
	assert.Contains(t, string(files[observability.RulesFile]), "< 0.71")
	b, _ = backend(t, source(map[string]string{"pipeline.yaml": "x: 1\n"}))
	_, failure = Observability(t.Context(), b, Options{}, "")
	assert.Contains(t, failure, "CONFIG_INVALID")
}

func TestAWebhookThatAlertmanagerWouldRefuse(t *testing.T) {
	b, _ := backend(t, source(nil))
	for _, webhook := range []string{"not a url", "ftp://example.org/x", "https://"} {
		files, failure := Observability(t.Context(), b, Options{}, webhook)
		assert.Empty(t, files)
		assert.Contains(t, failure, "--webhook is no http or https address")
		assert.NotContains(t, failure, webhook+" ")
	}
}
