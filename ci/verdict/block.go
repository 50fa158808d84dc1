package verdict

// Block is one part of a stage's section in the reports: exactly one of its fields
// besides Title is set. Stages provide data; the renderers decide how it looks.
type Block struct {
	// Title heads the block.
	Title string
	// Text is a paragraph.
	Text string
	// Log is preformatted text, such as the end of a log.
	Log string
	// Table is a table.
	Table *Table
	// Lines is a line chart, such as training curves.
	Lines *LineChart
	// Bars is a bar chart with an optional threshold, such as coverage by package.
	Bars *BarChart
	// Heat is a matrix of counts, such as a confusion matrix.
	Heat *HeatMap
	// Summary puts the block into the short Markdown summary, too.
	Summary bool
	// Answer marks the block as the answer to the call, such as a service's state: its table is
	// shown on a terminal, too.
	Answer bool
}

// Table is rows of plain text under a header.
type Table struct {
	Columns []string
	Rows    [][]string
}

// LineChart is one or more series over the same axis.
type LineChart struct {
	X, Y   string
	Series []Series
}

// Series is a named sequence of points, X ascending.
type Series struct {
	Name string
	X, Y []float64
}

// BarChart is a value for each label.
type BarChart struct {
	// Unit is shown behind each value, such as "%".
	Unit string
	// Max is the end of the scale; the largest value when 0.
	Max float64
	// Threshold is marked by a line if above 0.
	Threshold float64
	Labels    []string
	Values    []float64
}

// HeatMap is a matrix of counts; Counts[row][column].
type HeatMap struct {
	RowTitle, ColumnTitle string
	Labels                []string
	Counts                [][]int
}
