package verdict

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

// Summary renders the run for a terminal as plain text: a line per stage, then failures with their remedies, warnings, and
// what was published. Tables that answer the call follow the stages. It ends with a newline.
func Summary(run *Run) string {
	run.Judge()
	r := run.clean().run(run)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", title(r))
	var about []string
	for _, f := range facts(r) {
		about = append(about, f[0]+" "+f[1])
	}
	if len(about) > 0 {
		fmt.Fprintf(&b, "  %s\n", strings.Join(about, ", "))
	}
	b.WriteString("\n")
	width := len("verdict")
	for _, s := range r.all() {
		width = max(width, len(s.Verdict))
	}
	row := func(stage, verdict, time, text string) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-9s  %-*s  %12s  %s", stage, width, verdict, time, text), " ") + "\n")
	}
	row("stage", "verdict", "time", "result")
	for _, s := range r.all() {
		row(s.Name, string(s.Verdict), stageTime(s), safetext.Cut(result(s), 160))
	}
	row("run", string(r.Verdict), seconds(r.Seconds), budget(r))
	for i := range r.Stages {
		for _, block := range r.Stages[i].Blocks {
			if block.Answer && block.Table != nil && len(block.Table.Rows) > 0 {
				b.WriteString("\n  " + block.Title + "\n" + columns(block.Table))
			}
		}
	}
	if r.Verdict != Pass {
		b.WriteString("\n")
		for _, line := range r.Failures() {
			fmt.Fprintf(&b, "%s\n", line)
		}
	}
	for _, s := range r.all() {
		for _, p := range s.Problems[:min(len(s.Problems), 10)] {
			if text := strings.TrimSpace(strings.Join(p.Details, "\n")); text != "" {
				fmt.Fprintf(&b, "\n  %s %s:\n%s", s.Name, p.Code, indent(tail(Text(text, 4000), 3000), "    "))
			}
		}
	}
	if warnings := summaryWarnings(r); warnings != "" {
		b.WriteString("\n" + warnings)
	}
	var published []string
	for _, s := range r.all() {
		for _, p := range s.Published {
			published = append(published, fmt.Sprintf("published by %s: %s", s.Name, p))
		}
	}
	if len(published) > 0 {
		b.WriteString("\n" + strings.Join(published[:min(len(published), 40)], "\n") + "\n")
	}
	return b.String()
}

// columns renders a table as text; the last column is not padded.
func columns(t *Table) string {
	rows := append([][]string{t.Columns}, t.Rows[:min(len(t.Rows), 40)]...)
	widths := make([]int, len(t.Columns))
	for _, cells := range rows {
		for i, cell := range cells[:min(len(cells), len(widths))] {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, cells := range rows {
		line := "   "
		for i, cell := range cells[:min(len(cells), len(widths))] {
			line += fmt.Sprintf(" %-*s ", widths[i], cell)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if more := len(t.Rows) + 1 - len(rows); more > 0 {
		fmt.Fprintf(&b, "    and %d more\n", more)
	}
	return b.String()
}
