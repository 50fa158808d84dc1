package observability

import (
	"fmt"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/metrics"
)

// supply are the alerts on what an audit or a scan found. Without one there are no such series, and none rings.
func (g *generator) supply() {
	security := g.cfg.Security
	var failing []string
	for _, severity := range config.Severities[:len(config.Severities)-1] { // not those that nobody rated
		if action := security.Severity[severity]; action == "" || action == config.Actions[0] {
			failing = append(failing, severity)
		}
	}
	if len(failing) > 0 {
		g.vulnerable(failing)
	}
	g.stale("built", security.MaxBuildAge.Std())
	g.stale("data", security.MaxDataAge.Std())
	g.threshold(Rule{Alert: "WaiverEnding", Expr: g.of(metrics.Waivers, `state="ending"`) + " > 0", Severity: warning, Remedy: codesPage,
		Summary: "{{ $labels.pipeline }}: {{ $value }} exceptions of {{ $labels.ref }} end within 14 days, and fail then"},
		metrics.Waivers, 0, 1, "by", "audit", "state", "ending")
}

// vulnerable rings while there is a vulnerability of a severity that fails and no exception allows: also
// one that is only a warning yet, since its time of grace runs.
func (g *generator) vulnerable(severities []string) {
	name, labels := g.series(metrics.Vulnerabilities, "by", "audit", "severity", severities[0], "fixable", "fixable")
	another, _ := g.series(metrics.Vulnerabilities, "by", "scan", "severity", severities[0], "fixable", "unfixed")
	lesser, _ := g.series(metrics.Vulnerabilities, "by", "scan", "severity", "unknown", "fixable", "fixable")
	by := map[string]string{}
	for _, label := range []string{"pipeline", "environment", "ref", "call"} {
		by[label] = labels[label]
	}
	at := 2 * time.Minute
	g.rules = append(g.rules, Rule{Alert: "Vulnerable", Severity: critical, Remedy: codesPage,
		Expr: fmt.Sprintf("sum by (pipeline, environment, ref, call) (%s) > 0",
			g.of(metrics.Vulnerabilities, `severity=~"`+strings.Join(severities, "|")+`"`)),
		Summary: "{{ $labels.pipeline }} in {{ $labels.environment }}: {{ $value }} known vulnerabilities that no exception allows",
		cases: []ruleCase{
			{series: map[string]string{name: "0+0x5", another: "0+0x5", lesser: "7+0x5"}, at: at},
			{series: map[string]string{name: "1+0x5", another: "2+0x5", lesser: "7+0x5"}, at: at, labels: by, value: 3},
		}})
}

// stale rings when the database of the last audit has become older than an audit would take.
func (g *generator) stale(clock string, most time.Duration) {
	name, labels := g.series(metrics.Advisories, "by", "audit", "clock", clock)
	by := map[string]string{"pipeline": labels["pipeline"], "environment": labels["environment"], "by": labels["by"]}
	at := 2 * time.Minute
	made := func(ago time.Duration) map[string]string {
		return map[string]string{name: fmt.Sprintf("%d+0x5", int64((at-ago)/time.Second))}
	}
	g.rules = append(g.rules, Rule{Alert: "AdvisoriesStale" + title(clock), Severity: warning, Remedy: codesPage,
		Expr: fmt.Sprintf("time() - max by (pipeline, environment, by) (%s) > %s",
			g.of(metrics.Advisories, fmt.Sprintf("clock=%q", clock)), decimal(most.Seconds())),
		Summary: fmt.Sprintf("{{ $labels.pipeline }}: no {{ $labels.by }} for {{ $labels.environment }} had advisories that are %s old at "+
			"most", most), cases: []ruleCase{{series: made(most), at: at}, {series: made(most + time.Second), at: at, labels: by}},
	})
}
