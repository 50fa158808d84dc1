package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/runledger/dora"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Observed is the result of a query of the run ledger.
type Observed struct {
	// Summary is text, JSON is for machines. Both are empty if Failure is set.
	Summary string
	JSON    []byte
	// Failure says why there is no result.
	Failure string
}

func unknown(problem *verdict.Problem) Observed { return Observed{Failure: problem.Error()} }

// listed limits how many runs the summary shows; the JSON has all of them.
const listed = 50

// Runs lists the runs of the last days, newest first. It writes nothing.
func Runs(ctx context.Context, backend Backend, opts Options, days int) Observed {
	_, w, problem := past(ctx, backend, opts, days)
	if problem != nil {
		return unknown(problem)
	}
	records := slices.Clone(w.history.Records)
	slices.Reverse(records)
	table := &verdict.Table{Columns: []string{"Started", "Call", "Ref", "Commit", "Verdict", "Code", "Seconds", "Coverage", "Deployment"}}
	for _, r := range records[:min(len(records), listed)] {
		covered, outcome := "", ""
		if v, ok := r.Measured(verdict.MeasureCoverage, "total"); ok {
			covered = fmt.Sprintf("%.1f %%", 100*v)
		}
		if r.Deployment != nil {
			outcome = r.Deployment.Outcome
		}
		table.Rows = append(table.Rows, []string{r.Started.UTC().Format(time.RFC3339), r.Call, r.Ref, r.Commit[:min(len(r.Commit), 12)],
			string(r.Verdict), r.Code, fmt.Sprintf("%.0f", r.Seconds), covered, outcome})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Runs of %s\n\n%d runs since %s in %s\n\n", opts.withDefaults().Environment, len(records),
		w.since.Format(time.DateOnly), w.where)
	b.WriteString(table.Markdown())
	if n := len(records) - listed; n > 0 {
		fmt.Fprintf(&b, "\n%d earlier ones are in the JSON.\n", n)
	}
	if text := w.warning(); text != "" {
		fmt.Fprintf(&b, "\n%s\n", text)
	}
	content, err := json.MarshalIndent(struct {
		Schema     int                `json:"schema"`
		Where      string             `json:"where"`
		Since      time.Time          `json:"since"`
		Until      time.Time          `json:"until"`
		Runs       []runledger.Record `json:"runs"`
		Unreadable []string           `json:"unreadable"`
	}{1, w.where, w.since, w.until, append([]runledger.Record{}, records...), append([]string{}, w.history.Unreadable...)}, "", "  ")
	if err != nil {
		return unknown(verdict.Problemf(runledger.CodeFailed, "render runs: %v", err))
	}
	return Observed{Summary: b.String(), JSON: append(content, '\n')}
}

// Dora computes the delivery metrics (DORA) of the last days and compares them with the targets of the pipeline document. It
// writes nothing.
func Dora(ctx context.Context, backend Backend, opts Options, days int) Observed {
	s, w, problem := past(ctx, backend, opts, days)
	if problem != nil {
		return unknown(problem)
	}
	summary := s.dora(w)
	var b strings.Builder
	fmt.Fprintf(&b, "# Delivery to %s\n\nfrom %d runs since %s; a figure of fewer than %d cases is not judged\n\n", summary.Environment,
		len(w.history.Records), w.since.Format(time.DateOnly), summary.MinRuns)
	table := &verdict.Table{Columns: []string{"Figure", "Value", "n", "Target", "Result"}}
	for _, f := range summary.Figures {
		table.Rows = append(table.Rows, figureRow(f))
	}
	b.WriteString(table.Markdown())
	c := summary.Counts
	fmt.Fprintf(&b, "\nDeployments: %d succeeded, %d rolled back, %d failed, %d refused before the service was touched, %d without a result "+
		"(in no rate). Rollbacks to an earlier release: %d. Failed changes without a recovery: %d.\n",
		c.Succeeded, c.RolledBack, c.Failed, c.Refused, c.CouldNotRun, c.Restored, c.Unrecovered)
	if text := w.warning(); text != "" {
		fmt.Fprintf(&b, "\n%s\n", text)
	}
	content, err := json.MarshalIndent(struct {
		Schema int `json:"schema"`
		dora.Summary
		Unreadable []string `json:"unreadable"`
	}{1, summary, append([]string{}, w.history.Unreadable...)}, "", "  ")
	if err != nil {
		return unknown(verdict.Problemf(runledger.CodeFailed, "render figures: %v", err))
	}
	return Observed{Summary: b.String(), JSON: append(content, '\n')}
}

func (s *call) dora(w window) dora.Summary {
	return dora.Of(w.history.Records, dora.Window{Environment: s.opts.Environment, Since: w.since, Until: w.until,
		MinRuns: s.cfg.Observe.MinRuns})
}

// figureNames are the metrics' display names.
var figureNames = map[string]string{
	dora.Frequency: "deployments per day", dora.LeadTime: "lead time, median", dora.LeadTime95: "lead time, 95 %",
	dora.FailRate: "change fail rate", dora.Recovery: "recovery time, median", dora.Rework: "rework rate",
	dora.SuccessRate: "deployment success rate", dora.BuildTime: "build time, median", dora.BuildTime95: "build time, 95 %",
}

func figureRow(f dora.Figure) []string {
	show := func(v *float64) string {
		switch {
		case v == nil:
			return ""
		case f.Unit == "ratio":
			return fmt.Sprintf("%.1f %%", 100**v)
		case f.Unit == "seconds":
			return (time.Duration(*v) * time.Second).String()
		}
		return fmt.Sprintf("%.2f", *v)
	}
	target, result := show(f.Goal), ""
	if f.Goal != nil {
		target = map[bool]string{true: "at least ", false: "at most "}[f.Unit == "ratio"] + target
	}
	switch {
	case !f.Enough:
		result = "too few"
	case f.Met != nil && *f.Met:
		result = "met"
	case f.Met != nil:
		result = "not met"
	}
	return []string{figureNames[f.Name], cmp.Or(show(f.Value), "none"), fmt.Sprint(f.N), target, result}
}
