package verdict

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image/png"
	"io"
	"slices"
	"strings"
)

//go:embed report.html.tmpl
var pageSource string

// page renders report.html. html/template escapes each value for its context (text, attribute, SVG); the only values marked
// as safe are picture addresses made by dataURL.
var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"seconds": seconds,
	"short":   short,
	"word":    func(o Outcome) string { return strings.ReplaceAll(string(o), "-", " ") },
	"label":   label,
	"first":   firstProblems,
	"calm": func(all []Finding) bool {
		return !slices.ContainsFunc(all, func(f Finding) bool { return !f.Remark })
	},
	"join": func(lines []string) string { return strings.Join(lines, "\n") },
}).Parse(pageSource))

// label returns a cell's heading, for narrow screens. A row may have more cells than there are headings.
func label(columns []string, i int) string {
	if i < len(columns) {
		return columns[i]
	}
	return ""
}

// headline is a problem of a stage as the top of the page shows it.
type headline struct {
	Verdict           Outcome
	Code, Cause, Next string
	// More is how many further problems the last headline of a stage stands for.
	More int
}

// headlines limits the problems of one stage at the top of the page.
const headlines = 3

func firstProblems(s *Stage) []headline {
	problems := s.Problems
	if len(problems) == 0 {
		problems = []Finding{{Code: s.Code, Cause: s.Cause, Next: s.Next}}
	}
	var lines []headline
	for _, p := range problems[:min(len(problems), headlines)] {
		lines = append(lines, headline{Verdict: s.Verdict, Code: p.Code, Cause: p.Cause, Next: p.Next})
	}
	lines[len(lines)-1].More = len(problems) - len(lines)
	return lines
}

type pageView struct {
	Run    *Run
	Title  string
	Facts  [][2]string
	Stages []stageView
	// Failed are the stages to fix, Waiting those that did not start because of them.
	Failed  []*Stage
	Waiting []string
	// Published is what the whole run made visible to others.
	Published []string
	Times     *barView
	Share     string
}

type stageView struct {
	*Stage
	Result, Time string
	Blocks       []blockView
	Files        []FileEntry
	Pictures     []pictureView
}

// pictureView is a picture embedded in the page, so that the page is complete when it is mailed or stored as a CI artifact.
type pictureView struct {
	Path          string
	URL           template.URL
	Width, Height int
}

// pictureLimit limits one embedded picture and picturesLimit all of them, in bytes, so that the page opens on any machine.
// Larger pictures are linked.
const (
	pictureLimit  = 1 << 20
	picturesLimit = 4 << 20
)

// viewPicture returns a PNG for the page, and false if the file is not a PNG or too large.
func viewPicture(name string, content []byte) (pictureView, bool) {
	if len(content) > pictureLimit {
		return pictureView{}, false
	}
	header, err := png.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return pictureView{}, false
	}
	return pictureView{name, dataURL(content), header.Width, header.Height}, true
}

// dataURL is safe for any content: base64 cannot end an attribute, and the media type makes it nothing but a picture.
func dataURL(content []byte) template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(content)) //nolint:gosec // see above
}

type blockView struct {
	Title, Log string
	Text       []string
	Table      *Table
	Lines      *lineView
	Bars       *barView
	Heat       *heatView
	Empty      bool
}

// writeHTML renders the page of a cleaned run. pictures has the contents of files that may be pictures.
func writeHTML(w io.Writer, r *Run, files []FileEntry, pictures map[string][]byte) error {
	v := pageView{Run: r, Title: title(r), Facts: fullFacts(r), Failed: r.toSolve(), Waiting: r.waiting(), Published: shorten(r.published())}
	if r.BudgetSeconds > 0 {
		v.Share = fmt.Sprintf("%.0f %% of the budget of %s", 100*r.Seconds/r.BudgetSeconds, seconds(r.BudgetSeconds))
	}
	times := &BarChart{Unit: "s"}
	var classes []string
	charts, room := 0, picturesLimit
	id := func() string { charts++; return fmt.Sprintf("chart-%d", charts) }
	site := sites(files)
	for _, s := range r.all() {
		sv := stageView{Stage: s, Result: result(s), Time: stageTime(s)}
		for _, b := range s.Blocks {
			sv.Blocks = append(sv.Blocks, viewBlock(id, s.Name, b))
		}
		for _, f := range files {
			if site[f.Root] && f.Path != f.Root+index {
				continue
			}
			if f.Stage == s.Name && !strings.Contains(strings.TrimPrefix(f.Path, f.Root), "/") {
				sv.Files = append(sv.Files, f)
				if seen, ok := viewPicture(f.Path, pictures[f.Path]); ok && int(f.Bytes) <= room {
					room -= int(f.Bytes)
					sv.Pictures = append(sv.Pictures, seen)
				}
			}
		}
		v.Stages = append(v.Stages, sv)
		if s.Seconds > 0 && s.Verdict != NotRun && s.Name != Preflight {
			times.Labels, times.Values = append(times.Labels, s.Name), append(times.Values, s.Seconds)
			classes = append(classes, string(s.Verdict))
		}
	}
	if len(times.Values) > 0 && r.Seconds > 0 {
		times.Labels, times.Values = append(times.Labels, "whole run"), append(times.Values, r.Seconds)
		classes = append(classes, "whole")
	}
	if bars, ok := barChart(id(), "Time by stage", times, classes); ok {
		v.Times = &bars
	}
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("render report.html: %w", err)
	}
	return nil
}

// index is the entry page of a directory of HTML pages.
const index = "index.html"

// sites returns the directories of HTML pages. The report links only their entry pages, and none of their icons.
func sites(files []FileEntry) map[string]bool {
	found := map[string]bool{}
	for _, f := range files {
		if f.Root != "" && f.Path == f.Root+index {
			found[f.Root] = true
		}
	}
	return found
}

// fullFacts returns the facts with complete digests, for which the page has room.
func fullFacts(r *Run) [][2]string {
	var all [][2]string
	for _, f := range [][2]string{
		{"Environment", r.Environment}, {"Ref", r.Ref}, {"Started", started(r)}, {"Took", seconds(r.Seconds)},
		{"Critical path", r.criticalPath()},
		{"Runner", r.Runner}, {"Module", r.Module}, {"Model version", r.ModelVersion}, {"Commit", r.Commit}, {"Source tree", r.Tree},
		{"Model sha256", r.ModelSHA256}, {"Image", r.Image}, {"Image digest", r.ImageDigest},
	} {
		if f[1] != "" {
			all = append(all, f)
		}
	}
	return all
}

func started(r *Run) string {
	if r.Started.IsZero() {
		return ""
	}
	return r.Started.Format("2006-01-02 15:04:05 UTC")
}

func viewBlock(id func() string, stage string, b Block) blockView {
	v := blockView{Title: b.Title, Log: b.Log, Table: b.Table}
	if b.Text != "" {
		v.Text = paragraphs(b.Text)
	}
	name := b.Title
	if name == "" {
		name = "Chart of the stage " + stage
	}
	var drawn bool
	switch {
	case b.Lines != nil:
		view, ok := lineChart(id(), name, b.Lines)
		v.Lines, drawn = &view, ok
		if !ok {
			v.Lines = nil
		}
	case b.Bars != nil:
		view, ok := barChart(id(), name, b.Bars, nil)
		v.Bars, drawn = &view, ok
		if !ok {
			v.Bars = nil
		}
	case b.Heat != nil:
		view, ok := heatMap(id(), name, b.Heat)
		v.Heat, drawn = &view, ok
		if !ok {
			v.Heat = nil
		}
	case b.Table != nil:
		drawn = len(b.Table.Rows) > 0
		if !drawn {
			v.Table = nil
		}
	default:
		drawn = b.Text != "" || b.Log != ""
	}
	v.Empty = !drawn
	return v
}

// paragraphs splits text at empty lines.
func paragraphs(s string) []string {
	var all []string
	for _, p := range strings.Split(s, "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			all = append(all, p)
		}
	}
	return all
}
