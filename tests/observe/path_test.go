package observe

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/observability"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// recorder is a webhook of Alertmanager.
type recorder struct {
	*httptest.Server
	mu     sync.Mutex
	alerts []string
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		var message struct {
			Alerts []struct {
				Status              string
				Labels, Annotations map[string]string
			}
		}
		assert.NoError(t, json.NewDecoder(request.Body).Decode(&message))
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, a := range message.Alerts {
			r.alerts = append(r.alerts, strings.Join([]string{a.Status, a.Labels["alertname"], a.Labels["code"], a.Annotations["summary"]}, " "))
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) has(prefix string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.alerts {
		if strings.HasPrefix(a, prefix) {
			return true
		}
	}
	return false
}

// TestAFailedRunRingsAndTheNextGoodOneResolvesIt goes the whole way with the generated files: run,
// Pushgateway, Prometheus, rule, Alertmanager, webhook.
func TestAFailedRunRingsAndTheNextGoodOneResolvesIt(t *testing.T) {
	gateway, prometheus, alertmanager := tool(t, "prometheus-pushgateway", "pushgateway"), tool(t, "prometheus"), tool(t,
		"prometheus-alertmanager", "alertmanager")
	hook := newRecorder(t)
	cfg := config.Default()
	dir := written(t, cfg, observability.Options{Webhook: hook.URL})
	at := map[string]string{"pushgateway:9091": port(t), "alertmanager:9093": port(t), "prometheus": port(t)}
	for name, change := range map[string][]string{
		observability.PrometheusFile: {"pushgateway:9091", at["pushgateway:9091"], "alertmanager:9093", at["alertmanager:9093"], "15s",
			"500ms"},
		// As generated, but without the pauses that spare people.
		observability.AlertmanagerFile: {"group_wait: 10s", "group_wait: 100ms", "group_interval: 1m", "group_interval: 1s"},
	} {
		file := filepath.Join(dir, name)
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for i := 0; i < len(change); i += 2 {
			require.Contains(t, string(content), change[i])
		}
		require.NoError(t, os.WriteFile(file, []byte(strings.NewReplacer(change...).Replace(string(content))), 0o600))
	}
	serve(t, "http://"+at["pushgateway:9091"]+"/-/ready", gateway, "--web.listen-address="+at["pushgateway:9091"])
	serve(t, "http://"+at["alertmanager:9093"]+"/-/ready", alertmanager, "--config.file="+filepath.Join(dir, observability.AlertmanagerFile),
		"--storage.path="+t.TempDir(), "--web.listen-address="+at["alertmanager:9093"], "--cluster.listen-address=")
	serve(t, "http://"+at["prometheus"]+"/-/ready", prometheus, "--config.file="+filepath.Join(dir, observability.PrometheusFile),
		"--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+at["prometheus"])

	said := func() string { return fmt.Sprint(hook.alerts) }
	began := time.Now()
	outcome := pipeline.Run(t.Context(), failing(t), pipeline.Options{Ref: "main", Observe: pipeline.Observe{PushgatewayURL: "http://" +
		at["pushgateway:9091"]}})
	require.NotEqual(t, verdict.Pass, outcome.Run.Verdict)
	until(t, 2*time.Minute, func() bool { return hook.has("firing PipelineFailed " + outcome.Run.Code) }, said)
	t.Logf("from the run to the webhook: %s", time.Since(began).Round(100*time.Millisecond))

	// The next run of the same branch passes.
	good, err := runledger.Of(outcome.Run, runledger.Details{Call: "run"})
	require.NoError(t, err)
	good.Verdict, good.Code, good.Failed, good.Started = verdict.Pass, "", "", time.Now()
	target := metrics.GroupOf(good, []string{"main"})
	require.NoError(t, metrics.Push(t.Context(), metrics.Endpoint{URL: "http://" + at["pushgateway:9091"]}, target,
		metrics.Of(metrics.Input{Run: good})))
	until(t, 2*time.Minute, func() bool { return hook.has("resolved PipelineFailed " + outcome.Run.Code) }, said)
}

// failing is a source whose run fails at once.
func failing(t *testing.T) pipeline.Backend {
	t.Helper()
	r := fake.New()
	r.OnRun(func(runner.Step) (*runner.Result, error) { return fake.Result(1, nil), nil })
	files := fake.Files(map[string]string{"main.py": "print()", "pipeline.yaml": "test:\n  requirements: [missing.lock]\n"})
	return pipeline.Backend{Runner: r, Source: files, WorkDir: t.TempDir()}
}

// TestABackfilledHistoryCountsWhatTheLedgerHas lets Prometheus count what was exported.
func TestABackfilledHistoryCountsWhatTheLedgerHas(t *testing.T) {
	promtool, prometheus := tool(t, "promtool"), tool(t, "prometheus")
	var records []runledger.Record
	failed := 0
	now := time.Now().Truncate(time.Hour)
	for n := range 100 {
		outcome := verdict.Pass
		if n%3 == 0 {
			outcome = verdict.Fail
			failed++
		}
		records = append(records, record(n, now.Add(-time.Duration(3+n)*time.Hour), outcome))
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "history.txt"), []byte(metrics.Open(metrics.History(records, []string{"main"}),
		nil)), 0o600))
	says(t, dir, "", promtool, "tsdb", "create-blocks-from", "openmetrics", "history.txt", filepath.Join(dir, "data"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte("global: {}\n"), 0o600))
	address := port(t)
	serve(t, "http://"+address+"/-/ready", prometheus, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--storage.tsdb.retention.time=400d")
	for outcome, want := range map[string]int{"fail": failed, "pass": len(records) - failed} {
		value, ok := query(t, address, fmt.Sprintf(`last_over_time(openstack_rca_runs_total{verdict=%q}[30d]) - min_over_time(openstack_rca_runs_total{verdict=%q}[30d])`,
			outcome, outcome))
		require.True(t, ok, value)
		assert.Equal(t, fmt.Sprint(want), value, outcome)
	}
}
