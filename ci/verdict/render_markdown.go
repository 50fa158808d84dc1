package verdict

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

// markdownLimit keeps report.md readable, and within the limits of a CI job summary (1 MiB) and of a comment (65,536
// characters).
const markdownLimit = 60_000

var (
	// mdSpecial matches what can start or end inline markup. Underscores only count outside of words.
	mdSpecial = regexp.MustCompile("[\\\\`*\\[\\]|~$]")
	// mdStart matches markup at the start of a line.
	mdStart = regexp.MustCompile(`^([-+=#>]|\d{1,9}[.)](?:\s|$))`)
	// mdEntity matches an ampersand that would start a character reference.
	mdEntity = regexp.MustCompile(`&(#?\w)`)
	// mdAuto matches what a Markdown host turns into a link or a mention by itself.
	mdAuto = regexp.MustCompile(`(?i)(@)(\w)|(:)(//)|(www)(\.)|(mailto|xmpp)(:)|(#)(\d)`)
	// mdDigest matches an image digest with the word joiner that mdAuto inserted.
	mdDigest = regexp.MustCompile(`(\w)@\x{2060}(sha256:[0-9a-f]{64}\b)`)
)

// mdText escapes one line of text for a Markdown paragraph, list or table cell, so that nothing in it becomes markup, a link,
// an image, HTML or a mention.
func mdText(s string, limit int) string {
	s = Line(s, limit)
	s = mdEntity.ReplaceAllString(s, "&amp;$1")
	// A word joiner is invisible and breaks every automatic link. A backslash or an entity does not, because hosts create
	// links after unescaping.
	s = mdAuto.ReplaceAllString(s, "$1$3$5$7$9\u2060$2$4$6$8$10")
	// Directly after a word it is not a mention, and an image reference must stay intact for copying.
	s = mdDigest.ReplaceAllString(s, "$1@$2")
	s = mdSpecial.ReplaceAllString(s, `\$0`)
	s = mdUnderscores(s)
	s = strings.ReplaceAll(s, "<", "&lt;")
	return mdStart.ReplaceAllStringFunc(s, func(start string) string {
		if i := strings.IndexAny(start, ".)"); i > 0 {
			return start[:i] + `\` + start[i:]
		}
		return `\` + start
	})
}

// mdUnderscores escapes underscores that are not between letters or digits: only those
// can be emphasis, and names like test_inference stay legible in the raw text.
func mdUnderscores(s string) string {
	if !strings.Contains(s, "_") {
		return s
	}
	runes := []rune(s)
	inWord := func(i, step int) bool {
		for ; i >= 0 && i < len(runes); i += step {
			if runes[i] != '_' {
				return unicode.IsLetter(runes[i]) || unicode.IsDigit(runes[i])
			}
		}
		return false
	}
	var b strings.Builder
	for i, r := range runes {
		if r == '_' && (!inWord(i, -1) || !inWord(i, 1)) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func mdCell(s string, limit int) string {
	if s = mdText(s, limit); s == "" {
		return " "
	}
	return s
}

// mdCode renders one line as a code span that no text can end.
func mdCode(s string, limit int) string {
	s = strings.ReplaceAll(Line(s, limit), "|", "¦")
	if s == "" {
		return ""
	}
	ticks := strings.Repeat("`", longestRun(s, '`')+1)
	pad := ""
	if len(ticks) > 1 || strings.HasPrefix(s, " ") {
		pad = " "
	}
	return ticks + pad + s + pad + ticks
}

// mdFence renders text as a code block with a longer fence than any inside.
func mdFence(s string) string {
	fence := strings.Repeat("`", max(3, longestRun(s, '`')+1))
	return fence + "text\n" + strings.TrimRight(s, "\n") + "\n" + fence + "\n"
}

func longestRun(s string, of rune) int {
	longest, n := 0, 0
	for _, r := range s {
		if r != of {
			n = 0
			continue
		}
		n++
		longest = max(longest, n)
	}
	return longest
}

// mdTable renders a table of at most rows rows.
func mdTable(columns []string, rows [][]string, most int) string {
	var b strings.Builder
	width := len(columns)
	for _, row := range rows {
		width = max(width, len(row))
	}
	if width == 0 {
		return ""
	}
	line := func(cells []string) {
		b.WriteString("|")
		for i := range width {
			cell := ""
			if i < len(cells) {
				cell = cells[i]
			}
			b.WriteString(" " + mdCell(cell, 300) + " |")
		}
		b.WriteString("\n")
	}
	line(columns)
	b.WriteString("|" + strings.Repeat(" --- |", width) + "\n")
	for _, row := range rows[:min(most, len(rows))] {
		line(row)
	}
	if more := len(rows) - most; more > 0 {
		fmt.Fprintf(&b, "\n%s in report.html.\n", safetext.Count(more, "more row is", "more rows are"))
	}
	return b.String()
}

// markdown renders the short report of a cleaned run.
func markdown(r *Run) string {
	b := &bounded{limit: markdownLimit - 200}
	b.add(mdHead(r))
	// Uses at most half of the space, so that the gates are shown too.
	b.limit = markdownLimit / 2
	for _, piece := range mdFailures(r) {
		b.add(piece)
	}
	b.limit = markdownLimit - 200
	b.add(mdGates(r))
	for i := range r.Stages {
		for _, block := range r.Stages[i].Blocks {
			if block.Summary {
				b.add(mdBlock(block))
			}
		}
	}
	b.add(mdWarnings(r))
	b.add(mdPublished(r))
	return b.String()
}

// bounded joins as many whole sections as fit.
type bounded struct {
	strings.Builder
	limit, omitted int
}

func (b *bounded) add(section string) {
	if section == "" {
		return
	}
	if b.Len()+len(section)+1 > b.limit {
		b.omitted++
		return
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	b.WriteString(section)
}

// String returns the text, followed by a note on how much was omitted.
func (b *bounded) String() string {
	if b.omitted == 0 {
		return b.Builder.String()
	}
	return b.Builder.String() + fmt.Sprintf("\n%s not fit here; report.html has all.\n", safetext.Count(b.omitted, "part did", "parts did"))
}

var marks = map[Outcome]string{Pass: "✅", Fail: "❌", CouldNotRun: "⚠️", NotRun: "⏭️"}

func mdHead(r *Run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s %s\n\n", marks[r.Verdict], mdText(title(r), maxName))
	var line []string
	for _, f := range facts(r) {
		line = append(line, mdText(f[0], maxName)+" "+mdCode(f[1], maxName))
	}
	if len(line) > 0 {
		b.WriteString(strings.Join(line, " · ") + "\n\n")
	}
	b.WriteString("| Stage | Verdict | Time | Result |\n| --- | --- | ---: | --- |\n")
	for _, s := range r.all() {
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s |\n",
			mdCell(s.Name, 40), marks[s.Verdict], s.Verdict, stageTime(s), mdCell(result(s), 400))
	}
	fmt.Fprintf(&b, "| **run** | %s %s | %s | %s |\n", marks[r.Verdict], r.Verdict, seconds(r.Seconds), mdCell(budget(r), 400))
	return b.String()
}

// budget compares the run's duration with its budget, and says where the time went.
func budget(r *Run) string {
	text := "budget " + seconds(r.BudgetSeconds)
	if path := r.criticalPath(); path != "" {
		text += "; critical path: " + path
	}
	return text
}

// mdNext renders a remedy. A command at its end becomes a code span, because in unrendered text the escapes would be copied
// along with it.
func mdNext(next string) string {
	at := typed.FindStringSubmatchIndex(next)
	if at == nil {
		return mdText(next, 400)
	}
	return strings.TrimLeft(mdText(next[:at[2]], 400)+" ", " ") + mdCode(next[at[2]:], 400)
}

// mdFailures returns one section per problem; the first has the heading.
func mdFailures(r *Run) []string {
	var pieces []string
	for _, s := range r.toSolve() {
		for i, p := range s.Problems {
			var b strings.Builder
			if len(pieces) == 0 {
				b.WriteString("### What failed\n\n")
			}
			if i == 20 {
				pieces = append(pieces, fmt.Sprintf("- %d more problems of the stage %s are in report.html\n", len(s.Problems)-i, mdText(s.Name, 40)))
				break
			}
			fmt.Fprintf(&b, "- **%s** %s: %s\n", mdText(s.Name, 40), mdCode(p.Code, 80), mdText(p.Cause, 600))
			if p.Next != "" {
				fmt.Fprintf(&b, "  - Next: %s\n", mdNext(p.Next))
			}
			if details := strings.Join(p.Details, "\n"); strings.TrimSpace(details) != "" {
				b.WriteString("\n" + indent(mdFence(tail(details, 2500)), "  "))
			}
			pieces = append(pieces, b.String())
		}
	}
	return pieces
}

func indent(s, by string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return by + strings.Join(lines, "\n"+by) + "\n"
}

func mdGates(r *Run) string {
	var rows [][]string
	for _, s := range r.all() {
		for _, e := range s.Evidence {
			if e.Want == "" {
				continue
			}
			held := "held"
			if !e.OK {
				held = "NOT held"
			}
			rows = append(rows, []string{s.Name, e.Name, e.Value, e.Want, held})
		}
	}
	if len(rows) == 0 {
		return ""
	}
	return "### Gates\n\n" + mdTable([]string{"Stage", "Gate", "Found", "Wanted", "Verdict"}, rows, 60)
}

func mdBlock(b Block) string {
	head := ""
	if b.Title != "" {
		head = "### " + mdText(b.Title, 200) + "\n\n"
	}
	switch {
	case b.Table != nil:
		return head + mdTable(b.Table.Columns, b.Table.Rows, 40)
	case b.Lines != nil:
		var rows [][]string
		for _, s := range b.Lines.Series {
			if n := len(s.Y); n > 0 {
				rows = append(rows, []string{s.Name, number(s.Y[0]), number(s.Y[n-1]), strconv.Itoa(n)})
			}
		}
		return head + mdTable([]string{b.Lines.Y, "first", "last", "points"}, rows, 20)
	case b.Bars != nil:
		var rows [][]string
		for i, label := range b.Bars.Labels {
			rows = append(rows, []string{label, measure(b.Bars.Values[i], b.Bars.Unit)})
		}
		return head + mdTable([]string{"Name", "Value"}, rows, 40)
	case b.Heat != nil:
		columns, rows := heatTable(b.Heat)
		return head + mdTable(columns, rows, 20)
	case b.Log != "":
		return head + mdFence(tail(b.Log, 4000))
	default:
		return head + mdText(b.Text, 1500) + "\n"
	}
}

func heatTable(h *HeatMap) ([]string, [][]string) {
	columns := append([]string{h.RowTitle + " / " + h.ColumnTitle}, h.Labels...)
	var rows [][]string
	for i, counts := range h.Counts {
		row := []string{h.Labels[i]}
		for _, n := range counts {
			row = append(row, strconv.Itoa(n))
		}
		rows = append(rows, row)
	}
	return columns, rows
}

func mdWarnings(r *Run) string {
	var b strings.Builder
	for _, kind := range []struct {
		title  string
		remark bool
	}{{"### Warnings", false}, {"### Remarks", true}} {
		found := grouped(r, kind.remark)
		if len(found) > 0 {
			b.WriteString(kind.title + "\n\n")
		}
		for _, t := range found[:min(len(found), 40)] {
			fmt.Fprintf(&b, "- **%s** %s: %s\n", mdText(strings.Join(t.stages, ", "), 100), mdCode(t.code, 80),
				mdText(strings.Join(t.causes, "; "), 600))
			if kind.remark {
				continue // remarks need no action
			}
			for _, next := range t.nexts[:min(len(t.nexts), maxNexts)] {
				fmt.Fprintf(&b, "  - Next: %s\n", mdNext(next))
			}
		}
		if len(found) > 0 {
			b.WriteString("\n")
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func mdPublished(r *Run) string {
	var b strings.Builder
	for _, s := range r.all() {
		for _, p := range s.Published[:min(len(s.Published), 50)] {
			fmt.Fprintf(&b, "- %s: %s\n", mdText(s.Name, 40), mdCode(p, 400))
		}
	}
	if b.Len() == 0 {
		return "### Published\n\nNothing.\n"
	}
	return "### Published\n\n" + b.String()
}

// Markdown renders the table with every cell as plain text.
func (t *Table) Markdown() string { return mdTable(t.Columns, t.Rows, len(t.Rows)) }
