package observability

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/metrics"
)

// gated is a configuration with every threshold that a rule knows.
func gated() config.Config {
	cfg := config.Default()
	cfg.Test.Coverage.Critical.Paths, cfg.Test.Coverage.Model.Paths, cfg.Test.Coverage.Branch = []string{"a"}, []string{"b"}, 70
	highest := 0.5
	cfg.Train.Gates = append(cfg.Train.Gates, config.Gate{Metric: "val-loss", Max: &highest})
	return cfg
}

func alerts(rules []Rule) []string {
	var names []string
	for _, r := range rules {
		names = append(names, r.Alert)
	}
	slices.Sort(names)
	return names
}

func TestTheAlertsOfTheDocument(t *testing.T) {
	assert.Equal(t, []string{"AdvisoriesStaleBuilt", "AdvisoriesStaleData", "CoverageBelowTotal", "CoverageDropped",
		"DeploymentFailed", "DeploymentRolledBack", "DeploymentSuccessLow", "MetricsAbsent", "ModelBelowGateAccuracy", "ModelDegradedAccuracy", "PipelineCouldNotRun", "PipelineFailed", "PipelineOverBudget",
		"PipelineSilent", "PushFailing", "Vulnerable", "WaiverEnding"}, alerts(Rules(config.Default())))
	all := alerts(Rules(gated()))
	for _, name := range []string{"CoverageBelowCritical", "CoverageBelowModel", "CoverageBelowBranches", "ModelAboveGateValLoss"} {
		assert.Contains(t, all, name)
	}
	none := config.Default()
	none.Test.Coverage.Total, none.Train.Gates = 0, nil
	assert.NotContains(t, strings.Join(alerts(Rules(none)), " "), "CoverageBelow")
}

func exprs(cfg config.Config) map[string]string {
	found := map[string]string{}
	for _, r := range Rules(cfg) {
		found[r.Alert] = r.Expr
	}
	return found
}

// TestAThresholdChangesItsRule changes every threshold of the configuration, one at a time.
func TestAThresholdChangesItsRule(t *testing.T) {
	number := func(v float64) *float64 { return &v }
	before := exprs(gated())
	for alert, change := range map[string]struct {
		do   func(*config.Config)
		want string
	}{
		"CoverageBelowTotal":     {func(c *config.Config) { c.Test.Coverage.Total = 85.5 }, "< 0.855"},
		"CoverageBelowCritical":  {func(c *config.Config) { c.Test.Coverage.Critical.Min = 91 }, "< 0.91"},
		"CoverageBelowModel":     {func(c *config.Config) { c.Test.Coverage.Model.Min = 92 }, "< 0.92"},
		"CoverageBelowBranches":  {func(c *config.Config) { c.Test.Coverage.Branch = 57 }, "< 0.57"},
		"CoverageDropped":        {func(c *config.Config) { c.Observe.CoverageDrop = 2.5 }, "> 2.5"},
		"ModelBelowGateAccuracy": {func(c *config.Config) { c.Train.Gates[0].Min = number(0.9) }, "< 0.9"},
		"ModelDegradedAccuracy":  {func(c *config.Config) { c.Train.Gates[0].AlertBelow = number(0.75) }, "< 0.75"},
		"ModelAboveGateValLoss":  {func(c *config.Config) { c.Train.Gates[1].Max = number(0.25) }, "> 0.25"},
		"DeploymentSuccessLow":   {func(c *config.Config) { c.Observe.MinRuns = 35 }, ">= 35"},
		"PipelineSilent":         {func(c *config.Config) { c.Observe.SilentDays = 2 }, "> 172800"},
	} {
		cfg := gated()
		change.do(&cfg)
		after := exprs(cfg)
		assert.True(t, strings.HasSuffix(after[alert], change.want), "%s: %s", alert, after[alert])
		for name, expr := range after {
			assert.Equal(t, name == alert, expr != before[name], "%s changes %s", alert, name)
		}
	}
	renamed := gated()
	renamed.Name = "another"
	for name, expr := range exprs(renamed) {
		assert.Contains(t, expr, `pipeline="another"`, name)
	}
}

var (
	metricName = regexp.MustCompile(`\b([a-z_]+)\{([^}]*)\}`)
	labelName  = regexp.MustCompile(`(?:^|,)\s*([a-z_]+)\s*(?:=~|!~|!=|=)`)
	legendName = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}`)
)

// TestEveryNamedMetricExists walks the rules and the dashboard: each metric is one that a run
// makes, and each label one that it has.
func TestEveryNamedMetricExists(t *testing.T) {
	known := map[string]metrics.Metric{}
	for _, m := range metrics.All() {
		known[m.Name] = m
	}
	target := []string{"pipeline", "environment", "ref", "call"}
	check := func(where, expr, text string) {
		found := metricName.FindAllStringSubmatch(expr, -1)
		require.NotEmpty(t, found, "%s: %s", where, expr)
		labels := slices.Clone(target)
		for _, f := range found {
			if strings.HasPrefix(f[1], "push_") {
				continue // the Pushgateway's own
			}
			m, ok := known[f[1]]
			assert.True(t, ok, "%s names %s, which nobody exports", where, f[1])
			assert.False(t, m.Counter, "%s: %s is in a history only", where, f[1])
			labels = append(labels, m.Labels...)
			for _, l := range labelName.FindAllStringSubmatch(f[2], -1) {
				assert.Contains(t, append(m.Labels, target...), l[1], "%s: %s", where, expr)
			}
		}
		for _, l := range legendName.FindAllStringSubmatch(text, -1) {
			assert.Contains(t, labels, l[1], "%s: %s", where, text)
		}
	}
	for _, r := range Rules(gated()) {
		check(r.Alert, r.Expr, r.Summary)
	}
	board := Dashboard(gated())
	ids := map[int]bool{}
	for _, p := range board.Panels {
		require.NotEmpty(t, p.Targets, p.Title)
		assert.False(t, ids[p.ID])
		ids[p.ID] = true
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for _, q := range p.Targets {
			check(p.Title, q.Expr, q.LegendFormat)
		}
	}
	for _, v := range board.Templating.List[1:] {
		check(v.Name, v.Query, "")
	}
	shown := map[string]bool{}
	content, err := json.Marshal(board)
	require.NoError(t, err)
	for name := range known {
		shown[name] = strings.Contains(string(content), name)
	}
	assert.True(t, shown[metrics.Coverage.Name] && shown[metrics.SuccessRatio.Name] && shown[metrics.BuildTime.Name])
}

func TestFiles(t *testing.T) {
	files, err := Files(gated(), Options{Webhook: "http://127.0.0.1:9095/alerts"})
	require.NoError(t, err)
	assert.Equal(t, []string{"README.md", "alertmanager.yml", "cloudwatch-alarms.json", "compose.yaml", "dashboard.json", "grafana/dashboards/openstack-rca.yml",
		"grafana/datasources/prometheus.yml", "prometheus.yml", "rules.yml", "rules_test.yml"}, slices.Sorted(maps.Keys(files)))
	for name, content := range files {
		if strings.HasSuffix(name, ".md") {
			assert.Contains(t, string(content), RulesFile)
			continue
		}
		var tree any
		require.NoError(t, yaml.Unmarshal(content, &tree), name)
	}
	assert.Contains(t, string(files[AlertmanagerFile]), "http://127.0.0.1:9095/alerts")
	quiet, err := Files(gated(), Options{})
	require.NoError(t, err)
	assert.NotContains(t, string(quiet[AlertmanagerFile]), "webhook_configs")

	// Every file that the compose file mounts is generated, and nothing listens on other machines' networks.
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{WorkingDir: "/x",
		ConfigFiles: []types.ConfigFile{{Filename: ComposeFile,
			Content: files[ComposeFile]}}}, func(o *loader.Options) { o.SetProjectName("x", true) })
	require.NoError(t, err)
	assert.Len(t, project.Services, 4)
	for name, service := range project.Services {
		assert.Regexp(t, `:v?[0-9]+\.[0-9]+\.[0-9]+$`, service.Image, "%s is pinned", name)
		for _, port := range service.Ports {
			assert.Equal(t, "127.0.0.1", port.HostIP, name)
		}
		for _, volume := range service.Volumes {
			if path, ok := strings.CutPrefix(volume.Source, "/x/"); ok {
				generated := slices.ContainsFunc(slices.Collect(maps.Keys(files)), func(f string) bool {
					return f == path || strings.HasPrefix(f,
						path+"/")
				})
				assert.True(t, generated, "%s mounts %s", name, path)
			}
		}
	}
}

func TestNamesOfAlerts(t *testing.T) {
	for name, want := range map[string]string{"accuracy": "Accuracy", "val_loss": "ValLoss", "f1-score x": "F1ScoreX", "ü": "", "": ""} {
		assert.Equal(t, want, title(name))
	}
	assert.InDelta(t, 0.855, fraction(85.5), 0)
	assert.Equal(t, "x 79.99%", fill("{{ $labels.a }} {{ $value | humanizePercentage }}", map[string]string{"a": "x"}, 0.7999))
}

func TestAMetricThatLooksLikeATemplateIsAText(t *testing.T) {
	cfg, least := config.Default(), 0.5
	cfg.Train.Gates = []config.Gate{{Metric: "f1.{{x}}", Min: &least}}
	for _, r := range Rules(cfg) {
		if r.Alert == "ModelBelowGateF1X" {
			assert.Contains(t, r.Summary, `f1.{{"{{"}}x}} of the model`, "Prometheus would refuse the whole file for it")
			assert.Contains(t, fill(r.Summary, nil, 0), "f1.{{x}} of the model")
			return
		}
	}
	t.Error("there is no such rule")
}
