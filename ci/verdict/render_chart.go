package verdict

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

// The geometry of the charts in report.html. Everything is computed here, in user units
// of the SVG, so that the template only places it; text never becomes markup, because
// the template escapes it like any other.

// chart is common to all charts: an accessible name and a size.
type chart struct {
	// ID makes the ids of the title and description unique on the page.
	ID            string
	Title, Desc   string
	Width, Height float64
	// Columns and Rows are the same data for those who cannot see the picture.
	Columns []string
	Rows    [][]string
}

// mark is a labelled position on an axis.
type mark struct {
	At, Text float64
	Label    string
}

type lineView struct {
	chart
	Left, Right, Top, Bottom float64
	X, Y                     string
	XMarks, YMarks           []mark
	Series                   []curve
}

type curve struct {
	Class, Name, Points string
	Dots                [][2]float64
	LegendX, LegendEnd  float64
	LegendY             float64
	Last                string
}

const (
	plotWidth  = 960.0
	maxClasses = 6
)

// lineChart lays out a line chart; false when there is nothing to draw.
func lineChart(id, title string, c *LineChart) (lineView, bool) {
	v := lineView{chart: chart{ID: id, Title: title, Width: plotWidth}, Left: 64, Right: plotWidth - 16, Top: 14, X: c.X, Y: c.Y}
	xLow, xHigh, yLow, yHigh := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, s := range c.Series {
		for i := range s.X {
			xLow, xHigh = min(xLow, s.X[i]), max(xHigh, s.X[i])
			yLow, yHigh = min(yLow, s.Y[i]), max(yHigh, s.Y[i])
		}
	}
	if math.IsInf(xLow, 0) {
		return v, false
	}
	if yLow >= 0 && yLow < yHigh/2 {
		yLow = 0
	}
	if xLow == xHigh {
		xLow, xHigh = xLow-0.5, xHigh+0.5
	}
	yTicks := ticks(yLow, yHigh, 5)
	yLow, yHigh = min(yLow, yTicks[0]), max(yHigh, yTicks[len(yTicks)-1])
	v.Bottom = v.Top + 240
	px := func(x float64) float64 { return place(v.Left + (v.Right-v.Left)*(x-xLow)/(xHigh-xLow)) }
	py := func(y float64) float64 { return place(v.Bottom - (v.Bottom-v.Top)*(y-yLow)/(yHigh-yLow)) }
	for _, t := range ticks(xLow, xHigh, 8) {
		if t >= xLow && t <= xHigh {
			v.XMarks = append(v.XMarks, mark{At: px(t), Text: v.Bottom + 18, Label: number(t)})
		}
	}
	for _, t := range yTicks {
		v.YMarks = append(v.YMarks, mark{At: py(t), Text: place(py(t) + 4), Label: number(t)})
	}
	legend := v.Bottom + 58
	x := v.Left
	for i, s := range c.Series {
		if len(s.X) == 0 {
			continue
		}
		k := curve{Class: "s" + strconv.Itoa(i%maxClasses), Name: s.Name, Last: number(s.Y[len(s.Y)-1])}
		var points []string
		for j := range s.X {
			points = append(points, fmt.Sprintf("%g,%g", px(s.X[j]), py(s.Y[j])))
			if len(s.X) <= 40 {
				k.Dots = append(k.Dots, [2]float64{px(s.X[j]), py(s.Y[j])})
			}
		}
		k.Points = strings.Join(points, " ")
		k.Name = safetext.Cut(k.Name, 32)
		width := 56 + 7.2*float64(len([]rune(k.Name+" "+k.Last)))
		if x+width > v.Right && x > v.Left {
			x, legend = v.Left, legend+22
		}
		k.LegendX, k.LegendEnd, k.LegendY = place(x), place(x+24), legend
		x += width
		v.Series = append(v.Series, k)
		v.Rows = append(v.Rows, []string{s.Name, number(s.Y[0]), number(s.Y[len(s.Y)-1]), strconv.Itoa(len(s.Y))})
	}
	v.Height = legend + 12
	v.Columns = []string{c.Y, "first", "last", "points"}
	v.Desc = fmt.Sprintf("Line chart of %d series over %s.", len(v.Series), c.X)
	return v, true
}

type barView struct {
	chart
	Left, Right, Top, Bottom float64
	Marks                    []mark
	Bars                     []bar
	// Limit is the position of the threshold; below 0 for none.
	Limit      float64
	LimitLabel string
}

type bar struct {
	Y, Middle, Width, Height, ValueX float64
	Class, Label, Full, Value        string
}

// barChart lays out horizontal bars; classes, when given, colour them.
func barChart(id, title string, c *BarChart, classes []string) (barView, bool) {
	v := barView{chart: chart{ID: id, Title: title, Width: plotWidth}, Left: 240, Right: plotWidth - 84, Top: 22, Limit: -1}
	if len(c.Values) == 0 {
		return v, false
	}
	top := c.Max
	for _, value := range c.Values {
		top = max(top, value)
	}
	top = max(top, c.Threshold)
	if top <= 0 {
		top = 1
	}
	px := func(x float64) float64 { return place((v.Right - v.Left) * max(x, 0) / top) }
	const step, thick = 26.0, 16.0
	for i, value := range c.Values {
		b := bar{Y: v.Top + float64(i)*step, Width: px(value), Height: thick, Class: "ok",
			Full: c.Labels[i], Label: cutLeft(c.Labels[i], 34), Value: measure(value, c.Unit)}
		b.Middle = b.Y + thick - 4
		b.ValueX = v.Right + 10
		switch {
		case len(classes) > i:
			b.Class = classes[i]
		case c.Threshold > 0 && value < c.Threshold:
			b.Class = "bad"
		}
		v.Bars = append(v.Bars, b)
		v.Rows = append(v.Rows, []string{c.Labels[i], b.Value})
	}
	v.Bottom = v.Top + float64(len(c.Values))*step
	for _, t := range ticks(0, top, 5) {
		if t <= top {
			v.Marks = append(v.Marks, mark{At: place(v.Left + px(t)), Text: v.Bottom + 16, Label: number(t)})
		}
	}
	if c.Threshold > 0 {
		v.Limit = place(v.Left + px(c.Threshold))
		v.LimitLabel = strings.TrimSpace(number(c.Threshold) + " " + c.Unit)
	}
	v.Height = v.Bottom + 26
	v.Columns = []string{"", "value"}
	v.Desc = fmt.Sprintf("Bar chart of %d values.", len(v.Bars))
	return v, true
}

type heatView struct {
	chart
	Left, Top, Size         float64
	Cells                   []cell
	RowLabels, ColumnLabels []heatLabel
	RowTitle, ColumnTitle   string
	CenterX, CenterY        float64
}

type cell struct {
	X, Y, TextX, TextY, Shade float64
	Class, Count, Full        string
}

type heatLabel struct {
	X, Y       float64
	Text, Full string
}

// heatMap lays out a matrix, each row shaded by its own total: a row of a confusion
// matrix is a class, and small classes must be as legible as large ones.
func heatMap(id, title string, h *HeatMap) (heatView, bool) {
	n := len(h.Counts)
	v := heatView{chart: chart{ID: id, Title: title}, RowTitle: h.RowTitle, ColumnTitle: h.ColumnTitle}
	if n == 0 {
		return v, false
	}
	v.Size = place(min(64, max(14, 470/float64(n))))
	v.Left, v.Top = 204, 130
	for i, counts := range h.Counts {
		total := 0
		for _, c := range counts {
			total += max(c, 0)
		}
		at := v.Size * (float64(i) + 0.5)
		label := h.Labels[i]
		v.RowLabels = append(v.RowLabels, heatLabel{X: v.Left - 8, Y: place(v.Top + at + 4), Text: safetext.Cut(label, 24), Full: label})
		v.ColumnLabels = append(v.ColumnLabels, heatLabel{X: place(v.Left + at), Y: v.Top - 8, Text: safetext.Cut(label, 18), Full: label})
		for j, count := range counts {
			share := 0.0
			if total > 0 {
				share = float64(max(count, 0)) / float64(total)
			}
			k := cell{X: place(v.Left + float64(j)*v.Size), Y: place(v.Top + float64(i)*v.Size), Shade: place(share),
				Full: fmt.Sprintf("%s %s, %s %s: %d (%.1f %%)", h.RowTitle, h.Labels[i], h.ColumnTitle, h.Labels[j], count, 100*share)}
			k.TextX, k.TextY = place(k.X+v.Size/2), place(k.Y+v.Size/2+4)
			k.Class = "off"
			if i == j {
				k.Class = "hit"
			}
			if share > 0.55 {
				k.Class += " deep"
			}
			if v.Size >= 22 {
				k.Count = strconv.Itoa(count)
			}
			v.Cells = append(v.Cells, k)
		}
	}
	side := v.Size * float64(n)
	v.CenterX, v.CenterY = place(v.Left+side/2), place(v.Top+side/2)
	v.Width, v.Height = place(max(v.Left+side+110, 420)), place(v.Top+side+12)
	v.Columns, v.Rows = heatTable(h)
	v.Desc = fmt.Sprintf("Matrix of %d by %d counts.", n, n)
	return v, true
}

// ticks are round positions that cover low..high, about count of them.
func ticks(low, high float64, count int) []float64 {
	if !(high > low) {
		pad := max(math.Abs(low)*0.1, 0.5)
		low, high = low-pad, high+pad
	}
	raw := (high - low) / float64(count)
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * power
	for _, f := range []float64{1, 2, 2.5, 5} {
		if f*power >= raw*0.999 {
			step = f * power
			break
		}
	}
	// A range beyond what floating point can step through has its ends only.
	if step <= 0 || math.IsInf(step, 0) || math.IsInf(high-low, 0) || low+step == low || high+step == high {
		return []float64{low, high}
	}
	var all []float64
	for i := math.Floor(low / step); i*step < high+step*0.999 && len(all) < 3*count; i++ {
		all = append(all, math.Round(i*step/power*1e6)*power/1e6)
	}
	return all
}

// place rounds a coordinate to what can be seen, so that files stay small and equal.
func place(v float64) float64 { return finite(math.Round(v*100) / 100) }

// cutLeft keeps the end of a long label: paths differ there.
func cutLeft(s string, limit int) string {
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	return "…" + string(runes[len(runes)-limit+1:])
}
