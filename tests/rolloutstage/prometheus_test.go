//go:build unix

package rolloutstage_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/analysis"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// A real Prometheus answers about the window alone: with the new version's share of errors and the
// old one's, and with nothing where no sample is in it, though it has older ones.
func TestARealPrometheusIsAskedAboutTheWindow(t *testing.T) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("there is no prometheus here; Debian has it as a package")
	}
	if testing.Short() {
		t.Skip("it takes half a minute; run without -short")
	}
	started := time.Now()
	var silent atomic.Bool
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if silent.Load() {
			http.Error(w, "late", http.StatusServiceUnavailable)
			return
		}
		n := time.Since(started).Seconds() * 100
		_, _ = fmt.Fprintln(w, "# TYPE requests_total counter")
		for _, c := range []struct {
			revision, code string
			value          float64
		}{{"1", "200", n}, {"1", "500", 0}, {"2", "200", n * 0.95}, {"2", "500", n * 0.05}} {
			_, _ = fmt.Fprintf(w, "requests_total{revision=%q,code=%q} %f\n", c.revision, c.code, c.value)
		}
	}))
	t.Cleanup(application.Close)
	address := servePrometheus(t, program, strings.TrimPrefix(application.URL, "http://"))

	const query = `sum(rate(requests_total{revision="{{revision}}",code="500"}[{{window}}])) / ` +
		`sum(rate(requests_total{revision="{{revision}}"}[{{window}}]))`
	metric := func(query string) *analysis.Metric {
		m, err := analysis.NewMetric(spec.Analysis{Name: "errors", Prometheus: address, Query: query, Success: "value < 0.01 + old",
			Interval: 10 * time.Second})
		require.NoError(t, err)
		return m
	}
	ask := func(query, revision string, end time.Time) (float64, bool, error) {
		return analysis.Prometheus{}.Ask(t.Context(), metric(query), analysis.Subject{Revision: revision},
			analysis.Window{Start: end.Add(-10 * time.Second), End: end})
	}
	time.Sleep(14 * time.Second)
	end := time.Now()
	value, known, err := ask(query, "2", end)
	require.NoError(t, err)
	require.True(t, known)
	assert.InDelta(t, 0.05, value, 0.001)
	old, known, err := ask(query, "1", end)
	require.NoError(t, err)
	require.True(t, known)
	assert.Zero(t, old)
	assert.Equal(t, analysis.Failed, metric(query).Judge(value, old, true))
	_, known, err = ask(query, "3", end)
	require.NoError(t, err)
	assert.False(t, known, "a revision that nobody publishes")
	_, _, err = ask(`rate(requests_total[{{window}}])`, "", end)
	require.ErrorContains(t, err, "series")
	_, _, err = ask(`sum(rate(requests_total[{{window}}])`, "", end)
	require.ErrorContains(t, err, "parse error")

	silent.Store(true) // the metric comes late
	time.Sleep(13 * time.Second)
	_, known, err = ask(query, "2", time.Now())
	require.NoError(t, err)
	assert.False(t, known, "the last value is from before the window")
}

// servePrometheus runs a server that scrapes a target every second.
func servePrometheus(t *testing.T, program, target string) string {
	t.Helper()
	return runPrometheus(t, program, fmt.Sprintf("[{targets: [%q]}]", target))
}

// scrape runs a server that scrapes several versions, each with its revision as a label, as a service
// discovery on ECS would.
func scrape(t *testing.T, program string, targets map[string]string) string {
	t.Helper()
	var all []string
	for revision, target := range targets {
		all = append(all, fmt.Sprintf("{targets: [%q], labels: {revision: %q}}", target, revision))
	}
	return runPrometheus(t, program, "["+strings.Join(all, ", ")+"]")
}

func runPrometheus(t *testing.T, program, targets string) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n  - {job_name: app, static_configs: %s}\n", targets)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, program, "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path",
		filepath.Join(dir, "data"), "--web.listen-address", address, "--log.level", "error")
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		cancel()
		_ = server.Wait()
	})
	require.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/-/ready", nil)
		if err != nil {
			return false
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, 30*time.Second, 200*time.Millisecond)
	return "http://" + address
}
