package analysis

import (
	"fmt"
	"strconv"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Blocks returns all measurements as one chart per metric, with a series per stage, and as a table.
func (a *Analyzer) Blocks() []verdict.Block {
	if len(a.samples) == 0 {
		return nil
	}
	first := a.samples[0].Window.Start
	for _, s := range a.samples {
		if s.Window.Start.Before(first) {
			first = s.Window.Start
		}
	}
	var blocks []verdict.Block
	table := &verdict.Table{Columns: []string{"Window from", "Traffic", "Metric", "Value", "Old version", "State", "Note"}}
	for _, m := range a.metrics {
		chart := &verdict.LineChart{X: "minutes", Y: m.Name}
		var old verdict.Series
		for _, s := range a.samples {
			if s.Metric != m.Name {
				continue
			}
			value, before := "", ""
			if s.Known {
				value = strconv.FormatFloat(s.Value, 'g', 6, 64)
				x := s.Window.Start.Sub(first).Minutes()
				name := fmt.Sprintf("new, %g %% of the traffic", s.Weight)
				if n := len(chart.Series); n == 0 || chart.Series[n-1].Name != name {
					chart.Series = append(chart.Series, verdict.Series{Name: name})
				}
				at := &chart.Series[len(chart.Series)-1]
				at.X, at.Y = append(at.X, x), append(at.Y, s.Value)
				if m.comparesValues() {
					before = strconv.FormatFloat(s.Old, 'g', 6, 64)
					old.X, old.Y = append(old.X, x), append(old.Y, s.Old)
				}
			}
			table.Rows = append(table.Rows, []string{s.Window.Start.UTC().Format("15:04:05"), fmt.Sprintf("%g %%", s.Weight), m.Name, value, before,
				string(s.State), s.Note})
		}
		if len(old.X) > 0 {
			old.Name = "old"
			chart.Series = append(chart.Series, old)
		}
		if len(chart.Series) > 0 {
			blocks = append(blocks, verdict.Block{Title: "Analysis: " + m.Name, Lines: chart})
		}
	}
	return append(blocks, verdict.Block{Title: "Analysis: every measurement", Table: table})
}
