package train

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// card renders the model card, in the order of Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019), with what this
// stage measured. It is part of the report.
func (s *session) card(c *Candidate) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	row := func(cells ...string) {
		for i, cell := range cells {
			cells[i] = markdown(cell)
		}
		line("| %s |", strings.Join(cells, " | "))
	}
	line("# Model card: %s\n", markdown(c.Artifact.File))
	line("## Model\n")
	row("Fact", "Value")
	line("| --- | --- |")
	row("File", fmt.Sprintf("%s, %d bytes", c.Artifact.File, c.Artifact.Bytes))
	row("SHA-256", c.Artifact.SHA256)
	if i := c.Inspection; i != nil {
		row("Saved by", either(strings.TrimSpace(i.Library+" "+i.Version), "unknown"))
		for _, fact := range facts(i) {
			row(strings.ToUpper(fact.Name[:1])+fact.Name[1:], fact.Value)
		}
		if len(i.Layers) > 0 {
			row("Layers", layerSummary(c))
		}
	}
	row("Command", strings.Join(s.command, " "))
	row("Python", s.in.Python)
	row("CPU threads", fmt.Sprint(s.in.Threads))
	row("Packages", s.project.Summary())
	if c.Run != nil && c.Run.ID != "" {
		row("MLflow run", c.Run.ID)
	}
	line("\n## Training data\n")
	line("%s\n", markdown(either(c.Artifact.Data, "The training logged no fingerprint of its data.")))
	if c.Run != nil {
		if text := leakage(c.Run); text != "" {
			line("Sequences of the training set seen again: %s.\n", markdown(text))
		}
	}
	line("## Measurements\n")
	if len(c.gates) > 0 {
		row("Metric", "Value", "Gate", "Outcome")
		line("| --- | ---: | --- | --- |")
		for _, g := range c.gates {
			row(g.metric, g.value, g.want, g.outcome)
		}
		line("")
	}
	if c.Scores != nil {
		line("Measured on %d held-out examples: %s %s, majority class %s.\n", c.Scores.Examples, c.Scores.called(), percent(c.Scores.Accuracy),
			percent(c.Scores.Baseline))
		row("Class", "Examples", "Precision", "Recall", "F1")
		line("| --- | ---: | ---: | ---: | ---: |")
		for _, cells := range classTable(c.Scores).Rows {
			row(cells...)
		}
		line("")
	}
	if c.Run != nil && len(c.Run.Params) > 0 {
		line("## Parameters\n")
		row("Parameter", "Value")
		line("| --- | --- |")
		for _, name := range slices.Sorted(maps.Keys(c.Run.Params)) {
			row(clip(name, 100), clip(c.Run.Params[name], 200))
		}
		line("")
	}
	line("## Limits\n")
	line("The measurements hold for data like that of the training. A class with few examples above is")
	line("measured coarsely; what the training never saw is unknown to the model.")
	return b.String()
}

// layerSummary lists the layers' classes in order, merging equal neighbours.
func layerSummary(c *Candidate) string {
	var names []string
	for _, l := range c.Inspection.Layers {
		if len(names) == 0 || names[len(names)-1] != l.Class {
			names = append(names, l.Class)
		}
	}
	return clip(strings.Join(names, ", "), 400)
}

// markdown makes external text harmless in a table cell or line of Markdown.
func markdown(text string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 &&
			r <= 0x2069:
			return -1
		}
		return r
	}, text)
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "`", "\\`", "<", "&lt;", ">", "&gt;", "[", `\[`, "]", `\]`, "*", `\*`, "@",
		"&#64;").Replace(clean)
}
