package notify

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// bars draw a value between the lowest and the highest.
var bars = []rune("▁▂▃▄▅▆▇█")

// spark draws values as a line of text; empty for fewer than three.
func spark(values []float64) string {
	if len(values) < 3 {
		return ""
	}
	low, high := slices.Min(values), slices.Max(values)
	var b strings.Builder
	for _, v := range values {
		at := len(bars) / 2
		if high > low {
			at = int(math.Round((v - low) / (high - low) * float64(len(bars)-1)))
		}
		b.WriteRune(bars[min(max(at, 0), len(bars)-1)])
	}
	return b.String()
}

// trend draws a measurement over the runs of the main branch, and this one.
func trend(m verdict.Measure, main []runledger.Record) string {
	var values []float64
	for i := range main {
		if v, ok := main[i].Measured(m.Name, m.Of); ok {
			values = append(values, v)
		}
	}
	return spark(append(values, m.Value))
}

// Plot is a line chart for a code host.
type Plot struct {
	Title string
	Chart verdict.LineChart
}

const (
	// maxPlots and maxPoints bound what a comment shows; the report has everything.
	maxPlots  = 4
	maxPoints = 50
)

// PlotsOf are the charts of the run, such as the curves of the training. Those of earlier runs are left out.
func PlotsOf(run *verdict.Run) []Plot {
	var all []Plot
	for _, stage := range run.Stages {
		for _, b := range stage.Blocks {
			if b.Lines != nil && len(b.Lines.Series) > 0 && !strings.HasPrefix(b.Title, "Trend: ") && len(all) < maxPlots {
				all = append(all, Plot{Title: b.Title, Chart: *b.Lines})
			}
		}
	}
	return all
}

// plain is a text that cannot end a string or a block of Mermaid.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" _.,%()-/", r):
			return r
		}
		return '_'
	}, cut(s, 80))
}

// mermaid renders a plot for GitHub and GitLab, which draw the blocks of this language; empty for one
// without two points. Its lines have no names there, so the title has them in their order.
func (p Plot) mermaid() string {
	var names, lines []string
	first, last := math.Inf(1), math.Inf(-1)
	for _, s := range p.Chart.Series {
		n := min(len(s.X), len(s.Y))
		if n < 2 || slices.ContainsFunc(s.Y[:n], func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
			continue
		}
		step := (n + maxPoints - 1) / maxPoints
		var values []string
		for i := 0; i < n; i += step {
			values = append(values, strconv.FormatFloat(s.Y[i], 'f', -1, 32))
		}
		names, lines = append(names, plain(s.Name)), append(lines, "  line ["+strings.Join(values, ", ")+"]")
		first, last = min(first, s.X[0]), max(last, s.X[n-1])
	}
	if len(lines) == 0 || !(last > first) {
		return ""
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	return fmt.Sprintf("```mermaid\nxychart-beta\n  title \"%s: %s\"\n  x-axis \"%s\" %s --> %s\n  y-axis \"%s\"\n%s\n```\n", plain(p.Title),
		strings.Join(names, ", "), plain(p.Chart.X), number(first), number(last), plain(p.Chart.Y), strings.Join(lines, "\n"))
}
