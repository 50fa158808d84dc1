package observability

import (
	"fmt"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/metrics"
)

// Board is a dashboard of Grafana, in its JSON model, as far as it is used here.
type Board struct {
	UID           string     `json:"uid"`
	Title         string     `json:"title"`
	Tags          []string   `json:"tags"`
	Timezone      string     `json:"timezone"`
	Editable      bool       `json:"editable"`
	SchemaVersion int        `json:"schemaVersion"`
	Refresh       string     `json:"refresh"`
	Time          TimeRange  `json:"time"`
	Templating    Templating `json:"templating"`
	Annotations   Events     `json:"annotations"`
	Panels        []Panel    `json:"panels"`
}

// Events are marks on the panels; there are none.
type Events struct {
	List []string `json:"list"`
}

// TimeRange is what a dashboard shows at first.
type TimeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Templating are the variables of a dashboard.
type Templating struct {
	List []Variable `json:"list"`
}

// Variable is a choice above the panels.
type Variable struct {
	Name       string      `json:"name"`
	Label      string      `json:"label"`
	Type       string      `json:"type"`
	Query      string      `json:"query"`
	Datasource *Datasource `json:"datasource,omitempty"`
	Refresh    int         `json:"refresh"`
	IncludeAll bool        `json:"includeAll"`
	Multi      bool        `json:"multi"`
}

// Datasource is where a panel reads.
type Datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Panel is one picture.
type Panel struct {
	ID          int         `json:"id"`
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Datasource  Datasource  `json:"datasource"`
	GridPos     Grid        `json:"gridPos"`
	Targets     []Query     `json:"targets"`
	FieldConfig FieldConfig `json:"fieldConfig"`
}

// Grid is a place of 24 columns.
type Grid struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

// Query is an expression of a panel.
type Query struct {
	RefID        string     `json:"refId"`
	Expr         string     `json:"expr"`
	LegendFormat string     `json:"legendFormat"`
	Datasource   Datasource `json:"datasource"`
}

// FieldConfig is how values are shown.
type FieldConfig struct {
	Defaults  Defaults `json:"defaults"`
	Overrides []string `json:"overrides"`
}

// Defaults are those of every value of a panel.
type Defaults struct {
	Unit string   `json:"unit"`
	Min  *float64 `json:"min,omitempty"`
	Max  *float64 `json:"max,omitempty"`
}

// source is the chosen data source.
var source = Datasource{Type: "prometheus", UID: "${datasource}"}

// Dashboard is the dashboard of a pipeline.
func Dashboard(cfg config.Config) Board {
	query := func(label string) string {
		return fmt.Sprintf("label_values(%s{pipeline=%q}, %s)", metrics.RunTimestamp.Name, cfg.Name, label)
	}
	b := &boardBuilder{board: Board{
		UID: "openstack-rca", Title: "Delivery pipeline: " + cfg.Name, Tags: []string{"openstack-rca"}, Timezone: "browser", Editable: true,
		SchemaVersion: 42, Refresh: "1m", Time: TimeRange{"now-30d", "now"},
		Annotations: Events{[]string{}},
		Templating: Templating{List: []Variable{
			{Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus"},
			{Name: "environment", Label: "Environment", Type: "query", Query: query("environment"), Datasource: &source, Refresh: 2,
				IncludeAll: true, Multi: true},
			{Name: "ref", Label: "Branch", Type: "query", Query: query("ref"), Datasource: &source, Refresh: 2, IncludeAll: true, Multi: true},
		}},
	}}
	of := func(m metrics.Metric, more ...string) string {
		selector := fmt.Sprintf(`{pipeline=%q,environment=~"$environment",ref=~"$ref"`, cfg.Name)
		for _, matcher := range more {
			selector += "," + matcher
		}
		return m.Name + selector + "}"
	}
	// The figures of the ledger are the same in the series of each branch and call.
	once := func(m metrics.Metric, by string, more ...string) string {
		return "max by (" + by + ") (" + of(m, more...) + ")"
	}
	b.panel("stat", "Verdict of the last run", "", 6, of(metrics.RunVerdict), "{{environment}} {{call}} of {{ref}}: {{verdict}} {{code}}")
	b.panel("stat", "Deployments that succeeded (target 99 %)", "percentunit", 6, once(metrics.SuccessRatio, "environment"), "{{environment}}")
	b.panel("stat", "Build time, 95 % (target 15 min)", "s", 6, once(metrics.BuildTime, "environment", `quantile="0.95"`), "{{environment}}")
	b.panel("stat", "Last run that passed", "dateTimeFromNow", 6, "1000 * "+of(metrics.LastSuccess), "{{environment}} {{ref}}")
	b.panel("timeseries", "Duration of a run and its budget", "s", 12, of(metrics.RunDuration), "{{call}} of {{ref}}",
		of(metrics.RunBudget), "budget")
	b.panel("timeseries", "Duration of the stages", "s", 12, of(metrics.StageDuration), "{{stage}}")
	b.panel("timeseries", "Coverage and what is demanded", "percentunit", 12, of(metrics.Coverage), "{{set}} of {{ref}}",
		of(metrics.CoverageFloor), "{{set}}, minimum")
	b.panel("timeseries", "Model and what is demanded", "none", 12, of(metrics.Model), "{{metric}} of {{ref}}", of(metrics.ModelFloor),
		"{{metric}}, minimum")
	b.panel("timeseries", "Tests", "none", 8, of(metrics.Tests), "{{outcome}}")
	b.panel("timeseries", "Image size", "decbytes", 8, of(metrics.ImageSize), "{{environment}}")
	b.panel("timeseries", "Duration of deployments", "s", 8, of(metrics.DeploymentDuration), "{{environment}} {{service}}")
	b.panel("timeseries", "Deployments in the window", "none", 8, once(metrics.WindowDeployments, "environment, outcome"),
		"{{environment}} {{outcome}}")
	b.panel("timeseries", "Changes that failed, and rework", "percentunit", 8, once(metrics.FailRatio, "environment"),
		"failed, {{environment}}",
		once(metrics.ReworkRatio, "environment"), "hotfixes, {{environment}}")
	b.panel("timeseries", "Lead time and recovery time", "s", 8, once(metrics.LeadTime, "environment, quantile"),
		"lead time {{quantile}}, {{environment}}",
		once(metrics.RecoveryTime, "environment, quantile"), "recovery {{quantile}}, {{environment}}")
	b.panel("stat", "Deployments a day", "none", 8, once(metrics.Frequency, "environment"), "{{environment}}")
	b.panel("stat", "Runs in the window", "none", 8, once(metrics.WindowRuns, "environment, verdict"), "{{environment}} {{verdict}}")
	b.panel("timeseries", "Known vulnerabilities", "none", 12, of(metrics.Vulnerabilities),
		"{{severity}}, {{fixable}}, {{by}} of {{ref}}")
	b.panel("stat", "Age of the advisories", "s", 6, "time() - "+of(metrics.Advisories), "{{by}}, {{clock}}")
	b.panel("stat", "Exceptions", "none", 6, of(metrics.Waivers), "{{by}}, {{state}}")
	b.panel("table", "What is deployed", "none", 8, of(metrics.Info), "{{version}} {{image}} {{model}}")
	return b.board
}

// boardBuilder places panels from left to right.
type boardBuilder struct {
	board        Board
	x, y, height int
}

// panel adds a panel; queries are expressions, each followed by its legend.
func (b *boardBuilder) panel(kind, title, unit string, width int, queries ...string) {
	height := 8
	if kind == "stat" {
		height = 5
	}
	if b.x+width > 24 {
		b.x, b.y, b.height = 0, b.y+b.height, 0
	}
	p := Panel{ID: len(b.board.Panels) + 1, Type: kind, Title: title, Datasource: source, GridPos: Grid{height, width, b.x, b.y},
		FieldConfig: FieldConfig{Defaults: Defaults{Unit: unit}, Overrides: []string{}}}
	for i := 0; i+1 < len(queries); i += 2 {
		p.Targets = append(p.Targets, Query{RefID: string(rune('A' + i/2)), Expr: queries[i], LegendFormat: queries[i+1], Datasource: source})
	}
	b.x, b.height = b.x+width, max(b.height, height)
	b.board.Panels = append(b.board.Panels, p)
}
