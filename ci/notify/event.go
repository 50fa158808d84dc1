// Package notify tells people what came of a run: which events it is, the message, and the channels
// that it is sent to. What is known to them already is not sent again.
//
// The address of a channel is a secret: no error and no message has it.
package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Events are what happened in a run, by the names of config.Events. before is the last run of the
// same branch and call; nil if none is known. drop is by how many percentage points coverage may drop.
func Events(now runledger.Record, before *runledger.Record, drop float64) []string {
	var all []string
	add := func(event string, happened bool) {
		if happened {
			all = append(all, event)
		}
	}
	add(config.EventFailed, now.Verdict == verdict.Fail)
	add(config.EventCouldNotRun, now.Verdict == verdict.CouldNotRun)
	add(config.EventRecovered, now.Verdict == verdict.Pass && before != nil && before.Verdict != verdict.Pass)
	add(config.EventOverBudget, slices.Contains(now.Warnings, verdict.CodeOverBudget.Name))
	add(config.EventModelDegraded, slices.Contains(now.Warnings, "MODEL_DEGRADED"))
	if covered, ok := now.Measured(verdict.MeasureCoverage, "total"); ok && before != nil {
		earlier, known := before.Measured(verdict.MeasureCoverage, "total")
		// The difference of two fractions is not exact.
		add(config.EventCoverageDropped, known && 100*(earlier-covered) > drop+1e-9)
	}
	add(config.EventVulnerable, vulnerable(now) > 0)
	add(config.EventWaiverEnds, slices.Contains(now.Warnings, "WAIVER_ENDS_SOON"))
	if d := now.Deployment; d != nil {
		add(config.EventDeployed, d.Outcome == verdict.DeploymentSucceeded)
		add(config.EventRolledBack, d.Outcome == verdict.DeploymentRolledBack || d.Outcome == verdict.DeploymentFailed)
		add(config.EventAwaitingApproval, d.Waits != "")
	}
	return all
}

// vulnerable is how many vulnerabilities of the run matter to somebody: those that fail, and those that are
// a warning; 0 where only some were noted.
func vulnerable(r runledger.Record) float64 {
	told := slices.Contains(r.Warnings, "VULNERABLE") || slices.ContainsFunc(r.Stages, func(s runledger.Stage) bool {
		return s.Code == "DEPENDENCY_VULNERABLE" || s.Code == "IMAGE_VULNERABLE"
	})
	if !told {
		return 0
	}
	sum := 0.0
	for _, m := range r.Measures {
		if m.Name == verdict.MeasureVulnerabilities {
			sum += m.Value
		}
	}
	return max(sum, 1)
}

// News are the events that were not so in the run before: what a channel gets unless it repeats.
func News(now runledger.Record, before *runledger.Record, drop float64) []string {
	all := Events(now, before, drop)
	if before == nil {
		return all
	}
	known := Events(*before, nil, drop)
	return slices.DeleteFunc(all, func(event string) bool {
		switch event {
		case config.EventRecovered, config.EventCoverageDropped:
			return false
		case config.EventVulnerable:
			return vulnerable(now) <= vulnerable(*before)
		case config.EventFailed, config.EventCouldNotRun:
			return slices.Contains(known, event) && before.Code == now.Code
		case config.EventDeployed, config.EventRolledBack, config.EventAwaitingApproval:
			same := before.Deployment != nil && now.Deployment != nil && before.Deployment.ID == now.Deployment.ID
			return same && slices.Contains(known, event)
		}
		return slices.Contains(known, event)
	})
}

// Message is what people read.
type Message struct {
	// Title is one line. Good and Bad say how it is to be taken; neither is a warning.
	Title     string
	Good, Bad bool
	// Lines are what failed, as the report has it.
	Lines []string
	// Facts are names and values.
	Facts [][2]string
	// Commands are what to call next.
	Commands []string

	// Test is set for a message about no run.
	Test bool
	// Events, Run and Pull are for machines: the run's record, and the number of the pull request.
	Events []string
	Run    runledger.Record
	Pull   string
	// Notes are places in files that something is said about, Plots are charts. Only code hosts show them.
	Notes []Note
	Plots []Plot
}

// Note is about a line of a file.
type Note struct {
	Path string
	Line int
	Text string
	// Bad is set for a failure; else it is a warning.
	Bad bool
}

// maxLines bounds what a message says about failures; the report has everything.
const maxLines = 8

// Compose makes the message about events. failures are the lines of the run's report, main are the last
// runs of the main branch to compare with, the newest last; nil for none.
func Compose(now runledger.Record, events, failures []string, main []runledger.Record) Message {
	words := map[string]string{
		config.EventFailed: "failed", config.EventCouldNotRun: "could not run", config.EventRecovered: "passes again",
		config.EventOverBudget: "took too long", config.EventModelDegraded: "has a degraded model",
		config.EventCoverageDropped: "covers less", config.EventDeployed: "deployed", config.EventRolledBack: "was rolled back",
		config.EventAwaitingApproval: "waits for an approval", config.EventVulnerable: "has vulnerabilities",
		config.EventWaiverEnds: "has an exception that ends soon",
	}
	what := make([]string, 0, len(events))
	for _, event := range events {
		what = append(what, words[event])
	}
	if len(what) == 0 {
		what = []string{map[verdict.Outcome]string{verdict.Pass: "passed", verdict.Fail: "failed",
			verdict.CouldNotRun: "could not run"}[now.Verdict]}
	}
	m := Message{
		Title: fmt.Sprintf("%s: %s of %s in %s %s", now.Application, now.Call, now.Ref, now.Environment, strings.Join(what, ", ")),
		Good:  now.Verdict == verdict.Pass, Bad: now.Verdict != verdict.Pass, Events: events, Run: now,
	}
	for _, event := range []string{config.EventOverBudget, config.EventCoverageDropped, config.EventModelDegraded, config.EventVulnerable,
		config.EventWaiverEnds} {
		m.Good = m.Good && !slices.Contains(events, event)
	}
	m.Lines = failures[:min(len(failures), maxLines)]
	if n := len(failures) - maxLines; n > 0 {
		m.Lines = append(slices.Clone(m.Lines), fmt.Sprintf("and %d more, in the report", n))
	}
	fact := func(name, value string) {
		if value != "" {
			m.Facts = append(m.Facts, [2]string{name, value})
		}
	}
	fact("commit", now.Commit[:min(len(now.Commit), 12)])
	fact("took", (time.Duration(now.Seconds) * time.Second).String())
	for _, measure := range now.Measures {
		fact(factOf(measure, main))
	}
	if now.ModelVersion != "" {
		fact("model", "version "+now.ModelVersion)
	}
	if d := now.Deployment; d != nil {
		fact("deployment of "+d.Service, strings.ReplaceAll(d.Outcome, "_", " "))
		if d.Waits != "" {
			m.Good, m.Bad = false, false
			for _, answer := range []string{"approve", "reject"} {
				m.Commands = append(m.Commands, fmt.Sprintf("openstack-rca %s --environment %s --ref %s", answer, now.Environment, now.Ref))
			}
		}
	}
	return m
}

// factOf is a measurement with its difference to the main branch and its trend there; empty for one that
// nobody waits for.
func factOf(m verdict.Measure, main []runledger.Record) (name, value string) {
	switch m.Name {
	case verdict.MeasureCoverage:
		name, value = "coverage, "+m.Of, fmt.Sprintf("%.2f %%", 100*m.Value)
		if m.Of == "changed" {
			return "coverage of the changed lines", value // main has no change
		}
	case verdict.MeasureModel:
		name, value = m.Of, fmt.Sprintf("%.4g", m.Value)
	default:
		return "", ""
	}
	if len(main) == 0 {
		return name, value
	}
	if earlier, ok := main[len(main)-1].Measured(m.Name, m.Of); ok {
		difference := m.Value - earlier
		if m.Name == verdict.MeasureCoverage {
			value += fmt.Sprintf(" (%+.2f points to main)", 100*difference)
		} else {
			value += fmt.Sprintf(" (%+.4g to main)", difference)
		}
	}
	return name, strings.TrimSpace(value + " " + trend(m, main))
}
