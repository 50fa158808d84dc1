package observe

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/observability"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func urlEscape(s string) string { return url.QueryEscape(s) }

// configurations are the default and one whose every threshold is another.
func configurations() map[string]config.Config {
	number := func(v float64) *float64 { return &v }
	other := config.Default()
	other.Name = `shop-2.x`
	other.Test.Coverage = config.Coverage{Total: 85.5, Critical: config.Floor{Paths: []string{"a"}, Min: 99.9},
		Model: config.Floor{Paths: []string{"b"}, Min: 91}, Branch: 33.3}
	other.Train.Gates = []config.Gate{{Metric: "accuracy", Min: number(0.9), AlertBelow: number(0.825)}, {Metric: "val_loss",
		Max: number(0.35)},
		{Metric: "f1", Min: number(0.7)}}
	other.Observe = config.Observe{MinRuns: 3, WindowDays: 7, CoverageDrop: 0.5, SilentDays: 2}
	return map[string]config.Config{"default": config.Default(), "other": other}
}

func TestPromtoolAcceptsTheRulesAndTheirTests(t *testing.T) {
	promtool := tool(t, "promtool")
	for name, cfg := range configurations() {
		t.Run(name, func(t *testing.T) {
			dir := written(t, cfg, observability.Options{})
			says(t, dir, "", promtool, "check", "rules", observability.RulesFile)
			says(t, dir, "", promtool, "test", "rules", observability.RulesTestFile)
			says(t, dir, "", promtool, "check", "config", "--syntax-only", observability.PrometheusFile)
		})
	}
	t.Run("the tests see a rule that is wrong", func(t *testing.T) {
		dir := written(t, config.Default(), observability.Options{})
		file := filepath.Join(dir, observability.RulesFile)
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for right, wrong := range map[string]string{" < 0.8\n": " <= 0.8\n", " < 0.85\n": " <= 0.85\n", " > 900\n": " >= 900\n",
			"> 604800": ">= 604800"} {
			require.Contains(t, string(content), right)
			require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(content), right, wrong, 1)), 0o600))
			assert.Error(t, fails(t, dir, promtool, "test", "rules", observability.RulesTestFile), right)
		}
	})
}

func TestAmtoolAcceptsTheConfiguration(t *testing.T) {
	amtool := tool(t, "amtool")
	for _, webhook := range []string{"", "http://127.0.0.1:9095/"} {
		dir := written(t, config.Default(), observability.Options{Webhook: webhook})
		says(t, dir, "", amtool, "check-config", observability.AlertmanagerFile)
	}
}

// TestPromtoolParsesTheDashboard writes every query of the dashboard as a rule that records it.
func TestPromtoolParsesTheDashboard(t *testing.T) {
	promtool := tool(t, "promtool")
	var b strings.Builder
	b.WriteString("groups:\n- name: dashboard\n  rules:\n")
	replace := strings.NewReplacer("$environment", ".*", "$ref", ".*")
	for _, p := range observability.Dashboard(config.Default()).Panels {
		for _, q := range p.Targets {
			b.WriteString("  - record: a:b\n    labels: {panel: '" + p.Title + q.RefID + "'}\n    expr: '" + replace.Replace(q.Expr) + "'\n")
		}
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yml"), []byte(b.String()), 0o600))
	says(t, dir, "", promtool, "check", "rules", "rules.yml")
}

func record(n int, at time.Time, outcome verdict.Outcome) runledger.Record {
	floor := 0.8
	r := runledger.Record{Schema: 1, ID: fmt.Sprintf("%016x", n),
		Call: "run", Application: "openstack-rca-system", Environment: "production", Ref: "main", Started: at, Seconds: 60, Budget: 900, Verdict: outcome,
		Measures: []verdict.Measure{{Name: verdict.MeasureCoverage, Of: "total", Value: 0.9, Floor: &floor},
			{Name: verdict.MeasureModel, Of: "accuracy", Value: 0.91, Floor: &floor}}}
	if outcome != verdict.Pass {
		r.Code = "TESTS_FAILED"
	}
	return r
}

func TestPromtoolReadsTheText(t *testing.T) {
	promtool := tool(t, "promtool")
	r := record(1, time.Now(), verdict.Fail)
	says(t, "", metrics.Text(metrics.Of(metrics.Input{Run: r}), metrics.GroupOf(r, nil).Labels()), promtool, "check", "metrics")
}

// TestAStrictParserReadsOpenMetrics uses that of Prometheus's Python client.
func TestAStrictParserReadsOpenMetrics(t *testing.T) {
	uv := tool(t, "uv")
	var records []runledger.Record
	for n := range 20 {
		records = append(records, record(n, time.Now().Add(-time.Duration(n)*time.Hour), []verdict.Outcome{verdict.Pass, verdict.Fail}[n%2]))
	}
	r := records[0]
	program := "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families\n" +
		"print(sum(len(f.samples) for f in text_string_to_metric_families(sys.stdin.read())))"
	for name, content := range map[string]string{
		"run":     metrics.Open(metrics.Of(metrics.Input{Run: r}), metrics.GroupOf(r, nil).Labels()),
		"history": metrics.Open(metrics.History(records, []string{"main"}), nil),
	} {
		out := says(t, t.TempDir(), content, uv, "run", "--quiet", "--no-project", "--with", "prometheus-client==0.23.1", "python", "-c",
			program)
		assert.NotEqual(t, "0", strings.TrimSpace(out), name)
	}
}

// TestGrafanaKnowsTheDashboard decodes it strictly with the types that Grafana's own SDK has.
func TestGrafanaKnowsTheDashboard(t *testing.T) {
	for _, cfg := range configurations() {
		file := filepath.Join(written(t, cfg, observability.Options{}), observability.DashboardFile)
		check := exec.CommandContext(t.Context(), "go", "run", ".", file)
		check.Dir = "grafana"
		out, err := check.CombinedOutput()
		if strings.Contains(string(out), "dial tcp") {
			t.Skip("the SDK cannot be downloaded from here")
		}
		require.NoError(t, err, string(out))
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(content), `"schemaVersion"`, `"version2"`, 1)), 0o600))
		assert.Error(t, fails(t, "grafana", "go", "run", ".", file), "a field that nobody knows")
	}
}
