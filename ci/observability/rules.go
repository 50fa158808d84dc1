// Package observability generates what watches the metrics of a pipeline: alert rules with the
// thresholds of pipeline.yaml and their tests, a dashboard, and the configuration of Prometheus and
// Alertmanager. It is pure.
package observability

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/runledger/dora"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Rule is an alert with the cases that test it.
type Rule struct {
	Alert string
	Expr  string
	// For is how long it must hold; 0 for at once.
	For      time.Duration
	Severity string
	// Summary is for people; {{ $labels.x }} and {{ $value | humanizePercentage }} are replaced.
	Summary string
	// Remedy is the page that helps.
	Remedy string
	cases  []ruleCase
	// alarm is the same for CloudWatch; nil for a rule on several series.
	alarm *alarm
}

// The severities.
const (
	critical = "critical"
	warning  = "warning"
)

// ruleCase is a state of the metrics, and whether the rule fires.
type ruleCase struct {
	// series are the values by name with labels, in promtool's notation.
	series map[string]string
	at     time.Duration
	// labels are those of the alert besides its own; nil if it does not fire.
	labels map[string]string
	value  float64
}

const (
	codesPage  = "https://github.com/openstack-rca/openstack-rca/blob/main/docs/codes.md"
	remedyPage = "https://github.com/openstack-rca/openstack-rca/blob/main/docs/troubleshooting.md"
	day        = 24 * time.Hour
)

// generator makes the rules of a pipeline.
type generator struct {
	cfg   config.Config
	rules []Rule
}

// Rules are the alerts of a pipeline with the thresholds of its configuration.
func Rules(cfg config.Config) []Rule { return generate(cfg).rules }

func generate(cfg config.Config) *generator {
	g := &generator{cfg: cfg}
	g.runs()
	g.coverage()
	g.model()
	g.deployments()
	g.silence()
	g.supply()
	return g
}

// of selects a metric of the pipeline's release branches.
func (g *generator) of(m metrics.Metric, matchers ...string) string {
	all := append([]string{`pipeline=` + strconv.Quote(g.cfg.Name), `ref!=` + strconv.Quote(metrics.OtherRef)}, matchers...)
	return m.Name + "{" + strings.Join(all, ",") + "}"
}

// target are the labels that a series of these tests has.
func (g *generator) target() map[string]string {
	return map[string]string{"pipeline": g.cfg.Name, "environment": "production", "ref": "main", "call": "run"}
}

// series is the name of a test's series with labels.
func (g *generator) series(m metrics.Metric, pairs ...string) (name string, labels map[string]string) {
	labels = g.target()
	for i := 0; i+1 < len(pairs); i += 2 {
		labels[pairs[i]] = pairs[i+1]
	}
	return m.Name + matchers(labels), labels
}

// threshold adds the cases of a rule on one series: a value at the limit is quiet, one beyond it fires.
func (g *generator) threshold(rule Rule, m metrics.Metric, at, beyond float64, pairs ...string) {
	name, labels := g.series(m, pairs...)
	other, _ := g.series(m, append([]string{"ref", metrics.OtherRef}, pairs...)...)
	flat := func(v float64) string { return fmt.Sprintf("%s+0x%d", decimal(v), 3+int(rule.For/time.Minute)) }
	end := rule.For + 2*time.Minute
	rule.cases = []ruleCase{
		{series: map[string]string{name: flat(at)}, at: end},
		{series: map[string]string{other: flat(beyond)}, at: end},
		{series: map[string]string{name: flat(beyond)}, at: end, labels: labels, value: beyond},
	}
	rule.alarm = &alarm{metric: m, beyond: beyond > at, limit: at}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] != "code" && pairs[i] != "service" { // see metrics.ForCloudWatch
			rule.alarm.dimensions = append(rule.alarm.dimensions, [2]string{pairs[i], pairs[i+1]})
		}
	}
	g.rules = append(g.rules, rule)
}

// placeholder is a label in a summary.
var placeholder = regexp.MustCompile(`\{\{ \$(labels\.)?([a-z]+)[^}]* \}\}`)

// text is the summary where no label is known.
func (r Rule) text(pipeline string) string {
	known := strings.ReplaceAll(strings.ReplaceAll(r.Summary, "{{ $labels.pipeline }}", pipeline), braces, "{{")
	return placeholder.ReplaceAllString(known, "<$2>")
}

func (g *generator) runs() {
	g.threshold(Rule{Alert: "PipelineFailed", Expr: g.of(metrics.RunVerdict, `verdict="fail"`) + " == 1", Severity: critical,
		Remedy: codesPage,
		Summary: "{{ $labels.pipeline }} in {{ $labels.environment }}: the {{ $labels.call }} of {{ $labels.ref }} failed with " +
			"{{ $labels.code }}"},
		metrics.RunVerdict, 0, 1, "verdict", string(verdict.Fail), "code", "TESTS_FAILED")
	g.threshold(Rule{Alert: "PipelineCouldNotRun", Expr: g.of(metrics.RunVerdict, `verdict="could-not-run"`) + " == 1",
		For:      30 * time.Minute,
		Severity: warning, Remedy: codesPage,
		Summary: "{{ $labels.pipeline }} in {{ $labels.environment }}: the {{ $labels.call }} of {{ $labels.ref }} could not run: " +
			"{{ $labels.code }}"},
		metrics.RunVerdict, 0, 1, "verdict", string(verdict.CouldNotRun), "code", "PYPI_UNREACHABLE")
	budget := verdict.Budget.Seconds()
	g.threshold(Rule{Alert: "PipelineOverBudget", Expr: g.of(metrics.RunDuration) + " > " + decimal(budget), Severity: warning,
		Remedy: codesPage,
		Summary: "{{ $labels.pipeline }} in {{ $labels.environment }}: the {{ $labels.call }} of {{ $labels.ref }} took longer than " +
			verdict.Budget.String()}, metrics.RunDuration, budget, budget+0.001)
}

func (g *generator) coverage() {
	c := g.cfg.Test.Coverage
	below := func(set string, percent float64) {
		limit := fraction(percent)
		g.threshold(Rule{Alert: "CoverageBelow" + title(set), Expr: g.of(metrics.Coverage, `set=`+strconv.Quote(set)) + " < " + decimal(limit),
			Severity: warning, Remedy: codesPage,
			Summary: "{{ $labels.pipeline }}: coverage of " + set + " is {{ $value | humanizePercentage }}, at least " + decimal(percent) +
				" % is demanded"},
			metrics.Coverage, limit, limit-0.0001, "set", set)
	}
	if c.Total > 0 {
		below("total", c.Total)
	}
	if len(c.Critical.Paths) > 0 && c.Critical.Min > 0 {
		below("critical", c.Critical.Min)
	}
	if len(c.Model.Paths) > 0 && c.Model.Min > 0 {
		below("model", c.Model.Min)
	}
	if c.Branch > 0 {
		below("branches", c.Branch)
	}
	drop := g.cfg.Observe.CoverageDrop
	name, labels := g.series(metrics.Coverage, "set", "total")
	now := g.of(metrics.Coverage, `set="total"`)
	falls := func(points float64) map[string]string {
		return map[string]string{name: fmt.Sprintf("0.9+0x60 %s+0x60", decimal(fraction(90-points)))}
	}
	g.rules = append(g.rules, Rule{Alert: "CoverageDropped", Severity: warning, Remedy: codesPage,
		// Rounded, since the difference of two fractions is not exact.
		Expr:    fmt.Sprintf("round(100 * (max_over_time(%s[7d]) - %s), 0.0001) > %s", now, now, decimal(drop)),
		Summary: "{{ $labels.pipeline }}: coverage of {{ $labels.ref }} dropped by more than " + decimal(drop) + " points within seven days",
		cases: []ruleCase{{series: falls(drop), at: 100 * time.Minute},
			{series: falls(drop + 0.01), at: 100 * time.Minute, labels: labels, value: drop + 0.01}},
	})
}

func (g *generator) model() {
	for _, gate := range g.cfg.Train.Gates {
		of := g.of(metrics.Model, `metric=`+strconv.Quote(gate.Metric))
		add := func(alert, severity, sign, what string, limit, step float64) {
			g.threshold(Rule{Alert: alert + title(gate.Metric), Expr: of + " " + sign + " " + decimal(limit), Severity: severity,
				Remedy:  codesPage,
				Summary: "{{ $labels.pipeline }}: " + literal(gate.Metric) + " of the model of {{ $labels.ref }} is " + what + " " + decimal(limit)},
				metrics.Model, limit, limit+step, "metric", gate.Metric)
		}
		if gate.Min != nil {
			add("ModelBelowGate", warning, "<", "below the gate of", *gate.Min, -0.0001)
		}
		if gate.Max != nil {
			add("ModelAboveGate", warning, ">", "above the gate of", *gate.Max, 0.0001)
		}
		if gate.AlertBelow != nil {
			add("ModelDegraded", critical, "<", "degraded, below", *gate.AlertBelow, -0.0001)
		}
	}
}

func (g *generator) deployments() {
	for _, end := range [][2]string{{verdict.DeploymentFailed, "failed"}, {verdict.DeploymentRolledBack, "was rolled back"}} {
		outcome, words := end[0], end[1]
		g.threshold(Rule{Alert: "Deployment" + title(outcome), Expr: g.of(metrics.DeploymentOutcome, `outcome=`+strconv.Quote(outcome)) +
			" == 1",
			Severity: critical, Remedy: remedyPage,
			Summary: "{{ $labels.pipeline }}: the deployment of {{ $labels.service }} in {{ $labels.environment }} " + words},
			metrics.DeploymentOutcome, 0, 1, "outcome", outcome, "service", "web")
	}
	ratio, labels := g.series(metrics.SuccessRatio)
	finished, _ := g.series(metrics.DeploymentsFinished)
	second, _ := g.series(metrics.SuccessRatio, "call", verdict.Deploy)
	labels = map[string]string{"pipeline": labels["pipeline"], "environment": labels["environment"]}
	least := g.cfg.Observe.MinRuns
	with := func(value float64, n int) map[string]string {
		return map[string]string{ratio: decimal(value) + "+0x5", second: decimal(value) + "+0x5", finished: strconv.Itoa(n) + "+0x5"}
	}
	low := dora.SuccessTarget - 0.0001
	g.rules = append(g.rules, Rule{Alert: "DeploymentSuccessLow", Severity: warning, Remedy: remedyPage,
		// One alert for an environment: the figures are the same in the series of each branch and call.
		Expr: fmt.Sprintf("min by (pipeline, environment) (%s) < %s and max by (pipeline, environment) (%s) >= %d", g.of(metrics.SuccessRatio),
			decimal(dora.SuccessTarget), g.of(metrics.DeploymentsFinished), least),
		Summary: fmt.Sprintf("{{ $labels.pipeline }}: {{ $value | humanizePercentage }} of the deployments to {{ $labels.environment }} "+
			"succeeded, the target is %s %%", decimal(100*dora.SuccessTarget)),
		cases: []ruleCase{
			{series: with(dora.SuccessTarget, least), at: 2 * time.Minute}, {series: with(low, least-1), at: 2 * time.Minute},
			{series: with(low, least), at: 2 * time.Minute, labels: labels, value: low},
		}})
}

func (g *generator) silence() {
	days := time.Duration(g.cfg.Observe.SilentDays) * day
	name, labels := g.series(metrics.RunTimestamp)
	by := map[string]string{"pipeline": labels["pipeline"], "environment": labels["environment"]}
	// The time of a test begins at 0: a run before it makes the test short.
	at := 2 * time.Minute
	last := func(ago time.Duration) map[string]string {
		return map[string]string{name: fmt.Sprintf("%d+0x5", int64((at-ago)/time.Second))}
	}
	g.rules = append(g.rules, Rule{Alert: "PipelineSilent", Severity: warning, Remedy: remedyPage,
		Expr:    fmt.Sprintf("time() - max by (pipeline, environment) (%s) > %s", g.of(metrics.RunTimestamp), decimal(days.Seconds())),
		Summary: fmt.Sprintf("{{ $labels.pipeline }}: no run for {{ $labels.environment }} in %d days", g.cfg.Observe.SilentDays),
		cases:   []ruleCase{{series: last(days), at: at}, {series: last(days + time.Second), at: at, labels: by}},
	})
	other := map[string]string{metrics.RunTimestamp.Name + `{pipeline="another"}`: "0+0x90"}
	g.rules = append(g.rules, Rule{Alert: "MetricsAbsent", Severity: warning, Remedy: remedyPage, For: time.Hour,
		Expr:    fmt.Sprintf("absent(%s{pipeline=%q})", metrics.RunTimestamp.Name, g.cfg.Name),
		Summary: "{{ $labels.pipeline }}: there are no metrics of any run",
		cases: []ruleCase{{series: map[string]string{name: "0+0x90"}, at: 70 * time.Minute},
			{series: other, at: 70 * time.Minute, labels: map[string]string{"pipeline": g.cfg.Name}}},
	})
	// These two are the Pushgateway's own.
	selector := fmt.Sprintf("{pipeline=%q}", g.cfg.Name)
	failing := matchers(g.target())
	g.rules = append(g.rules, Rule{Alert: "PushFailing", Severity: warning, Remedy: remedyPage,
		Expr:    "push_failure_time_seconds" + selector + " > push_time_seconds" + selector,
		Summary: "{{ $labels.pipeline }}: the Pushgateway refused the last metrics of {{ $labels.environment }}",
		cases: []ruleCase{
			{series: map[string]string{"push_failure_time_seconds" + failing: "10+0x5", "push_time_seconds" + failing: "10+0x5"},
				at: 2 * time.Minute},
			{series: map[string]string{"push_failure_time_seconds" + failing: "11+0x5", "push_time_seconds" + failing: "10+0x5"},
				at:     2 * time.Minute,
				labels: g.target()},
		}})
}

// literal is a text in which a template of Prometheus finds nothing to replace.
func literal(text string) string { return strings.ReplaceAll(text, "{{", braces) }

const braces = `{{"{{"}}`

// title is a name as a part of an alert's name: only letters and digits, each word capitalised.
func title(name string) string {
	var b strings.Builder
	up := true
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter {
			up = true
			continue
		}
		if up {
			b.WriteString(strings.ToUpper(string(r)))
		} else {
			b.WriteRune(r)
		}
		up = false
	}
	return b.String()
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// fraction of a percentage, as the decimal number nearest to it: 85.5 is 0.855.
func fraction(percent float64) float64 {
	v, err := strconv.ParseFloat(strconv.FormatFloat(percent/100, 'f', 10, 64), 64)
	if err != nil {
		return percent / 100
	}
	return v
}
