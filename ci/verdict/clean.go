package verdict

import (
	"math"
	"slices"
	"strings"
)

// cleaner makes the data of stages safe to render: it masks secrets, removes control characters and limits lengths. All data
// of a report pass through it exactly once, before rendering.
type cleaner struct{ redact func(string) string }

func (r *Run) clean() cleaner { return cleaner{redact: r.Redact} }

func (c cleaner) hide(s string) string {
	if c.redact == nil {
		return s
	}
	return c.redact(s)
}

// line returns text as one line of at most limit characters. Secrets are masked before it is cut, so that no part of one
// remains, and again after control characters are removed, because one may have split a secret.
func (c cleaner) line(s string, limit int) string {
	return Line(c.hide(Line(c.hide(s), maxText)), limit)
}

func (c cleaner) text(s string, limit int) string {
	return Text(tail(c.hide(Text(tail(c.hide(s), 8*maxText), 8*maxText)), 4*maxText), limit)
}

// tail keeps the end of a long text, because a log ends with the error.
func tail(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	s = s[len(s)-limit:]
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = s[i+1:] // a whole line: half a secret must not survive at the cut
	}
	return s
}

func (c cleaner) lines(all []string, items, limit int) []string {
	var out []string
	for i, s := range all {
		if i == items {
			out = append(out, "…")
			break
		}
		out = append(out, c.line(s, limit))
	}
	return out
}

// code reduces codes to the characters that programs reading the report rely on.
func (c cleaner) code(name string) string {
	if name == "" || isCodeName(name) && len(name) <= maxName {
		return name
	}
	return "UNKNOWN_CODE"
}

func (c cleaner) run(r *Run) *Run {
	out := *r
	out.Code = c.code(out.Code)
	for _, field := range []*string{&out.Application, &out.Environment, &out.Ref, &out.Commit, &out.Tree,
		&out.Runner, &out.Module, &out.ModelSHA256, &out.ModelVersion, &out.Image, &out.ImageDigest} {
		*field = c.line(*field, maxName)
	}
	out.Cause = c.line(out.Cause, maxLine)
	out.Started = out.Started.UTC()
	out.Seconds = round(out.Seconds)
	out.BudgetSeconds = round(out.BudgetSeconds)
	out.Warnings = c.findings(r.Warnings)
	out.Stages = make([]Stage, 0, len(r.Stages))
	for _, s := range r.Stages {
		out.Stages = append(out.Stages, c.stage(s))
	}
	if r.Preflight != nil {
		s := c.stage(*r.Preflight)
		out.Preflight = &s
	}
	return &out
}

func (c cleaner) stage(s Stage) Stage {
	s.Name = c.line(s.Name, maxName)
	s.Code, s.Cause, s.Next = c.code(s.Code), c.line(s.Cause, maxLine), c.line(s.Next, maxLine)
	s.Problems, s.Warnings = c.findings(s.Problems), c.findings(s.Warnings)
	s.Published = c.lines(s.Published, maxItems, maxLine)
	s.Seconds = round(s.Seconds)
	evidence := make([]Evidence, 0, len(s.Evidence))
	for _, e := range s.Evidence[:min(len(s.Evidence), maxItems)] {
		evidence = append(evidence, Evidence{
			Name: c.line(e.Name, maxName), Value: c.line(e.Value, maxLine), Want: c.line(e.Want, maxName), OK: e.OK,
		})
	}
	s.Evidence = evidence
	measures := make([]Measure, 0, len(s.Measures))
	for _, m := range s.Measures[:min(len(s.Measures), maxItems)] {
		m.Name, m.Of = c.line(m.Name, maxName), c.line(m.Of, maxName)
		measures = append(measures, m)
	}
	s.Measures = measures
	if s.Deployment != nil {
		d := *s.Deployment
		for _, field := range []*string{&d.ID, &d.Service, &d.Outcome, &d.Digest, &d.Waits} {
			*field = c.line(*field, maxName)
		}
		d.Seconds = round(d.Seconds)
		s.Deployment = &d
	}
	notes := make([]Note, 0, len(s.Notes))
	for _, n := range s.Notes[:min(len(s.Notes), maxNotes)] {
		n.File, n.Title, n.Text = c.line(n.File, maxName), c.line(n.Title, maxName), c.text(n.Text, maxLine)
		notes = append(notes, n)
	}
	s.Notes = notes
	blocks := make([]Block, 0, len(s.Blocks))
	for _, b := range s.Blocks[:min(len(s.Blocks), 200)] {
		blocks = append(blocks, c.block(b))
	}
	s.Blocks = blocks
	return s
}

func (c cleaner) findings(all []Finding) []Finding {
	var out []Finding
	for _, f := range all[:min(len(all), maxItems)] {
		out = append(out, Finding{Code: c.code(f.Code), Cause: c.line(f.Cause, maxLine), Next: c.line(f.Next, maxLine),
			Details: c.details(f.Details), Remark: f.Remark})
	}
	return out
}

// maxDetails limits the details of one finding, in bytes.
const maxDetails = 8000

// details keeps the indentation, because most details are tracebacks. If there are too many lines it keeps the last, where a
// traceback has its error.
func (c cleaner) details(all []string) []string {
	var out []string
	room := maxDetails
	for i := len(all) - 1; i >= 0; i-- {
		line := strings.TrimRight(c.text(all[i], maxDetails/2), " \t\n")
		if room -= len(line) + 1; room < 0 {
			out = append(out, "…")
			break
		}
		out = append(out, line)
	}
	slices.Reverse(out)
	return out
}

func (c cleaner) block(b Block) Block {
	b.Title, b.Text, b.Log = c.line(b.Title, maxName), c.text(b.Text, 0), c.text(b.Log, 0)
	if t := b.Table; t != nil {
		table := &Table{Columns: c.lines(t.Columns, 40, maxName)}
		for i, row := range t.Rows {
			if i == maxItems {
				table.Rows = append(table.Rows, []string{"…"})
				break
			}
			table.Rows = append(table.Rows, c.lines(row, 40, maxLine))
		}
		b.Table = table
	}
	if l := b.Lines; l != nil {
		chart := &LineChart{X: c.line(l.X, maxName), Y: c.line(l.Y, maxName)}
		for _, s := range l.Series[:min(len(l.Series), 12)] {
			x, y := points(s.X, s.Y)
			chart.Series = append(chart.Series, Series{Name: c.line(s.Name, maxName), X: x, Y: y})
		}
		b.Lines = chart
	}
	if a := b.Bars; a != nil {
		bars := &BarChart{Unit: c.line(a.Unit, 20), Max: finite(a.Max), Threshold: finite(a.Threshold)}
		for i := range min(len(a.Labels), len(a.Values), 200) {
			bars.Labels = append(bars.Labels, c.line(a.Labels[i], maxName))
			bars.Values = append(bars.Values, finite(a.Values[i]))
		}
		b.Bars = bars
	}
	if h := b.Heat; h != nil {
		n := min(len(h.Labels), len(h.Counts), 60)
		heat := &HeatMap{RowTitle: c.line(h.RowTitle, maxName), ColumnTitle: c.line(h.ColumnTitle, maxName)}
		for i := range n {
			heat.Labels = append(heat.Labels, c.line(h.Labels[i], maxName))
			row := make([]int, n)
			copy(row, h.Counts[i])
			heat.Counts = append(heat.Counts, row)
		}
		b.Heat = heat
	}
	return b
}

// points keeps at most 600 finite points, evenly chosen, and always the last one.
func points(xs, ys []float64) (x, y []float64) {
	for i := range min(len(xs), len(ys)) {
		if finite(xs[i]) == xs[i] && finite(ys[i]) == ys[i] {
			x, y = append(x, xs[i]), append(y, ys[i])
		}
	}
	const most = 600
	if n := len(x); n > most {
		var a, b []float64
		for i := range most {
			at := i * (n - 1) / (most - 1)
			a, b = append(a, x[at]), append(b, y[at])
		}
		x, y = a, b
	}
	return x, y
}

// finite returns v, or 0 if charts and JSON cannot represent it.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

// round rounds seconds to milliseconds; invalid durations become 0.
func round(s float64) float64 {
	if s = finite(s); s < 0 || s > 1e9 {
		return 0
	}
	return math.Round(s*1000) / 1000
}
