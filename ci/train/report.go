package train

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	// maxSeries, maxPlotted, maxHeat and maxRows keep charts and tables readable.
	maxSeries, maxPlotted, maxHeat, maxRows = 6, 300, 25, 60
	labelWidth                              = 48
)

// report adds evidence, charts and files for everything that is known, whether the stage passed or failed.
func (s *session) report() {
	s.stage.Add("command", strings.Join(s.command, " "))
	s.stage.Add("model in production", s.incumbent())
	if s.trained != nil && s.in.Left == nil {
		s.stage.Add("training time", fmt.Sprintf("%.1f s", s.trained.result.Seconds))
		s.stage.Add("ran at", s.trained.result.Started.UTC().Format(time.RFC3339Nano))
	}
	if c := s.candidate; c != nil {
		s.evidence(c)
		for _, blocks := range [][]verdict.Block{c.gateBlocks(), c.scoreBlocks(), c.curveBlocks(), c.modelBlocks()} {
			s.stage.Blocks = append(s.stage.Blocks, blocks...)
		}
	}
	s.files(s.candidate)
	if s.trained != nil && (s.trained.result.ExitCode != 0 || s.candidate == nil || s.candidate.Artifact.SHA256 == "") {
		last := strings.Join(said(s.trained.result), "\n")
		s.stage.Blocks = append(s.stage.Blocks, verdict.Block{Title: "The training's last lines", Log: last})
	}
}

func (s *session) evidence(c *Candidate) {
	artifact := c.Artifact
	if artifact.SHA256 != "" {
		s.stage.Add("model sha256", artifact.SHA256)
		s.stage.Add("model file", fmt.Sprintf("%s, %d bytes", artifact.File, artifact.Bytes))
	}
	if i := c.Inspection; i != nil && i.Unseen != "" {
		s.stage.Add("model layers", "not looked into: "+i.Unseen)
	} else if i != nil && i.OK() {
		for _, fact := range facts(i) {
			s.stage.Add(fact.Name, fact.Value)
		}
	}
	if c.Run != nil {
		s.stage.Add("metrics from", c.Run.Source)
		if text := leakage(c.Run); text != "" {
			s.stage.Add("sequences of the training seen again", text)
		}
	}
	if s.data != "" {
		s.stage.Add("data set digest", s.data)
	}
	if artifact.Data != "" && artifact.Data != s.data {
		s.stage.Add("data fingerprint as logged", clip(artifact.Data, 100))
	}
}

// facts describes a model file in lines.
func facts(i *modelfile.Report) []modelfile.Fact {
	all := slices.Clone(i.Facts)
	for name, tensors := range map[string][]modelfile.Tensor{"model inputs": i.Inputs, "model outputs": i.Outputs} {
		var texts []string
		for _, t := range tensors {
			texts = append(texts, clip(strings.TrimSpace(strings.Join([]string{t.Name, t.Type, t.Shape}, " ")), 100))
		}
		if len(texts) > 0 {
			all = append(all, modelfile.Fact{Name: name, Value: clip(listed(texts), 300)})
		}
	}
	slices.SortStableFunc(all, func(a, b modelfile.Fact) int { return strings.Compare(a.Name, b.Name) })
	if i.Parameters >= 0 {
		all = append(all, modelfile.Fact{Name: "model parameters", Value: strconv.FormatInt(i.Parameters, 10)})
	}
	return all
}

// incumbent describes what the model was compared with.
func (s *session) incumbent() string {
	switch {
	case s.in.Champion != nil:
		return fmt.Sprintf("version %s (from %s)", s.in.Champion.Version, s.asked)
	case s.asked != "":
		return fmt.Sprintf("none in %s: this would be the first", s.asked)
	}
	if s.notAsked != "" {
		return "not asked for: " + s.notAsked
	}
	return "none known, and no registry to ask: this counts as the first"
}

// leakage counts validation and test sequences that are also in the training set. For logs this is not necessarily a fault: a
// healthy start of an instance looks like any other.
func leakage(record *RunRecord) string {
	var parts []string
	for _, set := range []string{"validation", "test"} {
		count, ok := record.Metrics["duplicate_sequences_train_"+set]
		if !ok {
			continue
		}
		part := fmt.Sprintf("%s %s", number(count), set)
		if total := record.Metrics[set+"_sequences"]; total > 0 {
			part = fmt.Sprintf("%s of %s in %s (%s)", number(count), number(total), set, percent(count/total))
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func (c *Candidate) gateBlocks() []verdict.Block {
	if len(c.gates) == 0 {
		return nil
	}
	table := &verdict.Table{Columns: []string{"Metric", "Value", "Gate", "In production", "Outcome"}}
	for _, row := range c.gates {
		table.Rows = append(table.Rows, []string{row.metric, row.value, row.want, either(row.champion, "-"), row.outcome})
	}
	// The report lists all gates; this table is only useful if there is a champion to compare with.
	compared := slices.ContainsFunc(c.gates, func(row gateRow) bool { return row.champion != "" })
	return []verdict.Block{{Title: "Gates of the model", Table: table, Summary: compared}}
}

func (c *Candidate) scoreBlocks() []verdict.Block {
	scores := c.Scores
	if scores == nil {
		return nil
	}
	counted := "the right class is the first guess"
	if scores.TopK > 1 {
		counted = fmt.Sprintf("the true class is among the first %d guesses (top-%d accuracy; the first guess alone: %s)", scores.TopK,
			scores.TopK, percent(scores.Top1))
	}
	blocks := []verdict.Block{
		{Title: "Against guessing", Summary: true,
			Text: fmt.Sprintf("On %d held-out examples %s for %s of them. Always guessing the most frequent gives %s: the model is "+
				"%.1f points better.",
				scores.Examples, counted, percent(scores.Accuracy), percent(scores.Baseline), 100*(scores.Accuracy-scores.Baseline))},
		{Title: "Classes", Table: classTable(scores)},
		{Title: "Confusion matrix", Heat: heat(scores)},
	}
	if len(scores.Calibration) > 0 {
		var confidence, accuracy []float64
		for _, b := range scores.Calibration {
			confidence, accuracy = append(confidence, b.Confidence), append(accuracy, b.Accuracy)
		}
		blocks = append(blocks, verdict.Block{
			Title: fmt.Sprintf("Calibration (expected error %s)", percent(scores.CalibrationError)),
			Lines: &verdict.LineChart{X: "confidence", Y: "accuracy", Series: []verdict.Series{
				{Name: "model", X: confidence, Y: accuracy}, {Name: "ideal", X: []float64{0, 1}, Y: []float64{0, 1}},
			}},
		})
	}
	return blocks
}

func classTable(scores *Scores) *verdict.Table {
	table := &verdict.Table{Columns: []string{"Class", "Examples", "Precision", "Recall", "F1"}}
	classes := bySupport(scores)
	for _, c := range classes[:min(len(classes), maxRows)] {
		table.Rows = append(table.Rows, []string{clip(c.Label, 120), strconv.Itoa(c.Support), rounded(c.Precision), rounded(c.Recall),
			rounded(c.F1)})
	}
	if more := len(classes) - maxRows; more > 0 {
		table.Rows = append(table.Rows, []string{fmt.Sprintf("%d further classes", more), "", "", "", ""})
	}
	return table
}

func bySupport(scores *Scores) []ClassScore {
	classes := slices.Clone(scores.Classes)
	sort.SliceStable(classes, func(i, j int) bool { return classes[i].Support > classes[j].Support })
	return classes
}

// heat returns the confusion matrix, limited to the most frequent classes.
func heat(scores *Scores) *verdict.HeatMap {
	var kept []int
	for i, label := range scores.Labels {
		if slices.ContainsFunc(scores.Classes, func(c ClassScore) bool { return c.Label == label }) {
			kept = append(kept, i)
		}
	}
	rows := map[int]int{}
	for _, i := range kept {
		for _, n := range scores.Confusion[i] {
			rows[i] += n
		}
	}
	sort.SliceStable(kept, func(a, b int) bool { return rows[kept[a]] > rows[kept[b]] })
	rest := len(kept) > maxHeat
	if rest {
		kept = kept[:maxHeat]
	}
	slices.Sort(kept)
	place := map[int]int{}
	h := &verdict.HeatMap{RowTitle: "true", ColumnTitle: "predicted"}
	for at, i := range kept {
		place[i] = at
		h.Labels = append(h.Labels, clip(scores.Labels[i], labelWidth))
	}
	if rest {
		h.Labels = append(h.Labels, "others")
	}
	at := func(i int) int {
		if p, ok := place[i]; ok {
			return p
		}
		return len(kept)
	}
	h.Counts = make([][]int, len(h.Labels))
	for i := range h.Counts {
		h.Counts[i] = make([]int, len(h.Labels))
	}
	for i, row := range scores.Confusion {
		for j, n := range row {
			if n > 0 {
				h.Counts[at(i)][at(j)] += n
			}
		}
	}
	return h
}

// lossLike are the metrics that share an axis with the loss.
var lossLike = regexp.MustCompile(`(?i)(^|_)(loss|error|mse|mae|rmse|perplexity)($|_)`)

func (c *Candidate) curveBlocks() []verdict.Block {
	if c.Run == nil {
		return nil
	}
	var losses, fractions []verdict.Series
	var blocks []verdict.Block
	for _, name := range slices.Sorted(maps.Keys(c.Run.History)) {
		points := c.Run.History[name]
		if len(points) < 2 {
			continue
		}
		series := curve(name, points)
		switch {
		case lossLike.MatchString(name):
			losses = append(losses, series)
		case slices.Max(series.Y) <= 1 && slices.Min(series.Y) >= 0:
			fractions = append(fractions, series)
		}
	}
	for _, chart := range []struct {
		title, y string
		series   []verdict.Series
	}{{"Training curves: loss", "loss", losses}, {"Training curves: fractions", "fraction", fractions}} {
		if len(chart.series) == 0 {
			continue
		}
		// Short names are the ones people look for; longer names contain them.
		sort.SliceStable(chart.series, func(i, j int) bool { return len(chart.series[i].Name) < len(chart.series[j].Name) })
		blocks = append(blocks, verdict.Block{
			Title: chart.title, Lines: &verdict.LineChart{X: "epoch", Y: chart.y, Series: chart.series[:min(len(chart.series), maxSeries)]},
		})
	}
	return blocks
}

// curve returns at most maxPlotted points of a metric's history, including the last one.
func curve(name string, points []model.Point) verdict.Series {
	series := verdict.Series{Name: name}
	stride := (len(points) + maxPlotted - 1) / maxPlotted
	for i, p := range points {
		if i%stride == 0 || i == len(points)-1 {
			series.X, series.Y = append(series.X, float64(p.Step)), append(series.Y, p.Value)
		}
	}
	return series
}

func (c *Candidate) modelBlocks() []verdict.Block {
	var blocks []verdict.Block
	if c.Run != nil && len(c.Run.Params) > 0 {
		blocks = append(blocks, verdict.Block{Title: "Parameters", Table: pairs("Parameter", c.Run.Params)})
	}
	if c.Inspection == nil || len(c.Inspection.Layers) == 0 {
		return blocks
	}
	table := &verdict.Table{Columns: []string{"Layer", "Class", "Size"}}
	for i, l := range c.Inspection.Layers {
		if i == maxRows {
			table.Rows = append(table.Rows, []string{fmt.Sprintf("%d further layers", len(c.Inspection.Layers)-maxRows), "", ""})
			break
		}
		table.Rows = append(table.Rows, []string{strings.Repeat("· ", max(l.Depth-1, 0)) + clip(l.Name, 80), clip(l.Class, 80), l.Size})
	}
	return append(blocks, verdict.Block{Title: "Layers", Table: table})
}

func pairs(title string, values map[string]string) *verdict.Table {
	table := &verdict.Table{Columns: []string{title, "Value"}}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(table.Rows) == maxRows {
			table.Rows = append(table.Rows, []string{fmt.Sprintf("%d more", len(values)-maxRows), ""})
			break
		}
		table.Rows = append(table.Rows, []string{clip(name, 100), clip(values[name], 200)})
	}
	return table
}

// measured returns train/metrics.json: the measurements for machines.
type measured struct {
	Source  string                   `json:"source,omitempty"`
	RunID   string                   `json:"run_id,omitempty"`
	SHA256  string                   `json:"model_sha256,omitempty"`
	Data    string                   `json:"data,omitempty"`
	Status  string                   `json:"run_status,omitempty"`
	Params  map[string]string        `json:"params"`
	Tags    map[string]string        `json:"tags"`
	Metrics map[string]float64       `json:"metrics"`
	Scores  *Scores                  `json:"scores,omitempty"`
	History map[string][]model.Point `json:"history"`
}

// files adds the model card and the measurements to the report directory. metrics.json exists after every training, so that
// asking for it never fails for an unrelated reason.
func (s *session) files(c *Candidate) {
	if c == nil {
		c = &Candidate{}
	}
	m := measured{SHA256: c.Artifact.SHA256, Data: c.Artifact.Data, Params: map[string]string{}, Tags: map[string]string{},
		Metrics: map[string]float64{}, Scores: c.Scores, History: map[string][]model.Point{}}
	if c.Run != nil {
		m.Source, m.RunID, m.Params, m.Metrics, m.History = c.Run.Source, c.Run.ID, c.Run.Params, c.Run.Metrics, c.Run.History
		m.Status, m.Tags = c.Run.Status, c.Run.Tags
	}
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil { // it contains only finite numbers and strings
		s.stage.Blocks = append(s.stage.Blocks, verdict.Block{Title: "metrics.json", Text: fmt.Sprintf("could not be written: %v", err)})
	} else {
		s.stage.Files = append(s.stage.Files, verdict.ReportFile{Path: "train/metrics.json", Content: append(content, '\n')})
	}
	if c.Artifact.SHA256 != "" {
		s.stage.Files = append(s.stage.Files, verdict.ReportFile{Path: "train/model-card.md", Content: []byte(s.card(c))})
	}
}

// goldenOutcome describes the result of the score command, in its own words if there are any.
func goldenOutcome(result *runner.Result) string {
	switch said := scoreSaid(result); {
	case said != "":
		return said
	case result.ExitCode == 0:
		return "equal"
	}
	return fmt.Sprintf("exit code %d", result.ExitCode)
}

// scoreSaid returns the score command's own words about its result, which are in a line of JSON, or an empty string.
func scoreSaid(result *runner.Result) string {
	for _, line := range slices.Backward(safetext.LastLines(result.Stdout, 20)) {
		var said struct {
			Result     string   `json:"result"`
			Samples    int      `json:"samples"`
			Difference *float64 `json:"max_abs_difference"`
		}
		if json.Unmarshal([]byte(line), &said) == nil && said.Result != "" {
			text := clip(said.Result, 40)
			if said.Samples > 0 {
				text += fmt.Sprintf(", %d samples", said.Samples)
			}
			if said.Difference != nil && !math.IsNaN(*said.Difference) {
				text += fmt.Sprintf(", largest difference %.2g", *said.Difference)
			}
			return text
		}
	}
	return ""
}

func either(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
