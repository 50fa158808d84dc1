package verdict_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"image"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(verdict.ReportSchema()))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("report.schema.json", document))
	compiled, err := compiler.Compile("report.schema.json")
	require.NoError(t, err)
	return compiled
}

// written writes the report and returns its files, checked against what holds for every report.
func written(t *testing.T, run *verdict.Run) (dir string, report map[string]any, markdown, page string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, verdict.WriteReport(dir, run))
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return string(content)
	}
	content := read(verdict.ReportJSON)
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(content))
	require.NoError(t, err)
	require.NoError(t, schema(t).Validate(instance))
	require.NoError(t, json.Unmarshal([]byte(content), &report))
	markdown, page = read(verdict.ReportMarkdown), read(verdict.ReportHTML)
	assert.Less(t, len(markdown), 60_000)
	checkPage(t, page)
	return dir, report, markdown, page
}

var external = regexp.MustCompile(`(?i)<(script|iframe|object|embed|link|base|form)\b|\ssrc=|href="(?:[a-z]+:|//)|url\(|@import|<[^>]*\son[a-z]+=`)

// picture is the only thing that a page may show and is not made of itself: it holds it.
var picture = regexp.MustCompile(`<img class="picture" src="data:image/png;base64,((?:[A-Za-z0-9/=]|&#43;)*)"`)

func checkPage(t *testing.T, page string) {
	t.Helper()
	page = picture.ReplaceAllString(page, "<img")
	assert.Empty(t, external.FindAllString(page, -1), "the page loads and runs nothing")
	assert.NotContains(t, page, "ZgotmplZ")
	assert.NotContains(t, page, "NaN")
	for _, tag := range []string{"svg", "section", "table", "figure", "details", "div", "main", "header"} {
		assert.Equal(t, len(regexp.MustCompile("<"+tag+`[\s>]`).FindAllString(page, -1)), strings.Count(page, "</"+tag+">"), tag)
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(`\bid="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		assert.False(t, ids[m[1]], "id %s twice", m[1])
		ids[m[1]] = true
	}
}

func TestReportOfEveryVerdict(t *testing.T) {
	could := failedRun()
	could.Stages = could.Stages[1:3]
	for name, tc := range map[string]struct {
		run  *verdict.Run
		want verdict.Outcome
	}{
		"a run that passed":       {passedRun(), verdict.Pass},
		"a run that failed":       {failedRun(), verdict.Fail},
		"a run that could not":    {could, verdict.CouldNotRun},
		"a run without stages":    {&verdict.Run{}, verdict.CouldNotRun},
		"a refused run":           {(&verdict.Run{}).Refuse(verdict.Problemf(codeBelow, "bad")), verdict.Fail},
		"a run with empty stages": {&verdict.Run{Stages: []verdict.Stage{{}, {Name: "train", Verdict: verdict.NotRun}}}, verdict.CouldNotRun},
	} {
		t.Run(name, func(t *testing.T) {
			_, report, markdown, page := written(t, tc.run)
			assert.Equal(t, string(tc.want), report["verdict"])
			assert.Contains(t, markdown, string(tc.want))
			assert.Contains(t, page, `class="top `+string(tc.want)+`"`)
			assert.Contains(t, verdict.Summary(tc.run), string(tc.want))
			assert.IsType(t, []any{}, report["stages"])
			for _, s := range report["stages"].([]any) {
				assert.Contains(t, s, "evidence")
			}
		})
	}
}

func TestReportHoldsTheEvidence(t *testing.T) {
	dir, report, markdown, page := written(t, passedRun())
	for _, want := range []string{"line coverage", "93.4 %", "OVER", "lstm_model_v1.keras"} {
		if want == "OVER" {
			assert.NotContains(t, markdown, "OVER_BUDGET")
			continue
		}
		assert.Contains(t, markdown, want)
		assert.Contains(t, page, want)
	}
	assert.Contains(t, page, "<polyline", "training curves")
	assert.Contains(t, page, "predicted", "confusion matrix")
	assert.Contains(t, page, `href="./test/junit.xml"`)
	files := report["files"].([]any)
	require.Len(t, files, 2)
	assert.Equal(t, "test/coverage.xml", files[0].(map[string]any)["path"])
	assert.FileExists(t, filepath.Join(dir, "test", "junit.xml"))
	first := report["stages"].([]any)[0].(map[string]any)
	assert.Equal(t, "test", first["name"])
	assert.Equal(t, 41.2, first["seconds"])
}

func TestReportIsDeterministic(t *testing.T) {
	for name, make := range map[string]func() *verdict.Run{"pass": passedRun, "fail": failedRun} {
		t.Run(name, func(t *testing.T) {
			first, _, _, _ := written(t, make())
			second, _, _, _ := written(t, make())
			for _, name := range []string{"report.json", "report.md", "report.html", "test/junit.xml"} {
				a, err := os.ReadFile(filepath.Join(first, name))
				require.NoError(t, err)
				b, err := os.ReadFile(filepath.Join(second, name))
				require.NoError(t, err)
				assert.Equal(t, string(a), string(b), name)
			}
		})
	}
}

// hostile is what a test name, a log line or a metric's name may be.
const hostile = "\x1b[31m</code><script>alert(1)</script>\u202e![i](javascript:x) | `x` @octocat\n::error::x ##[add-path]/tmp \"' onload=x"

func TestATerminalShowsTheTablesThatWereAskedFor(t *testing.T) {
	table := &verdict.Table{Columns: []string{"What", "State"}, Rows: [][]string{{"service", "tiny is ACTIVE"}, {"trial task", "1"}, {}}}
	s := verdict.Stage{Name: verdict.Deploy, Blocks: []verdict.Block{
		{Title: "Now", Summary: true, Answer: true, Table: table},
		{Title: "Beside", Summary: true, Table: table}, {Title: "Many", Answer: true, Table: &verdict.Table{Columns: []string{"What"}}},
	}}
	for range 50 {
		s.Blocks[2].Table.Rows = append(s.Blocks[2].Table.Rows, []string{"x", "a cell too many"})
	}
	s.Judge()
	summary := verdict.Summary(&verdict.Run{Stages: []verdict.Stage{s}})
	assert.Contains(t, summary, "\n  Now\n    What        State\n    service     tiny is ACTIVE\n    trial task  1\n")
	assert.NotContains(t, summary, "Beside")
	assert.Contains(t, summary, "and 10 more")
	assert.NotContains(t, summary, "too many")
}

func TestNothingHostileGetsThrough(t *testing.T) {
	code := verdict.Code{Name: "TESTS_FAILED", Stage: "test", Outcome: verdict.Fail, Remedy: hostile}
	s := verdict.Stage{Name: "test"}
	s.Gate(hostile, hostile, hostile, false)
	s.Warn(verdict.Code{Name: hostile, Remedy: hostile}, "%s", hostile)
	s.Blocks = []verdict.Block{
		{Title: hostile, Text: hostile, Summary: true}, {Title: hostile, Log: hostile + "\n```\n" + hostile, Summary: true},
		{Title: hostile, Summary: true, Answer: true, Table: &verdict.Table{Columns: []string{hostile}, Rows: [][]string{{hostile, hostile}, {}}}},
		{Title: hostile, Summary: true, Lines: &verdict.LineChart{X: hostile, Y: hostile, Series: []verdict.Series{{Name: hostile, X: []float64{1, 2, 3}, Y: []float64{math.NaN(), 1, math.Inf(1)}}, {Name: "none"}}}},
		{Title: hostile, Summary: true, Bars: &verdict.BarChart{Unit: hostile, Max: math.NaN(), Threshold: math.Inf(1), Labels: []string{hostile, "b"}, Values: []float64{math.NaN(), -3}}},
		{Title: hostile, Summary: true, Heat: &verdict.HeatMap{RowTitle: hostile, ColumnTitle: hostile, Labels: []string{hostile, "b"}, Counts: [][]int{{1}, {-1, 2, 3}}}},
	}
	s.Judge(&verdict.Problem{Code: code, Cause: hostile, Published: []string{hostile}, Details: []string{hostile, "```"}})
	s.Files = []verdict.ReportFile{{Path: "test/<b>\"x.txt", Content: []byte("x")}}
	run := &verdict.Run{Application: hostile, Environment: hostile, Ref: hostile, Commit: hostile, Tree: hostile, Image: hostile, ModelVersion: hostile, Stages: []verdict.Stage{s}}
	_, report, markdown, page := written(t, run)
	summary := verdict.Summary(run)
	for what, text := range map[string]string{"report.md": markdown, "report.html": page, "summary": summary, "error": run.Enforce().Error(), "json": fmt.Sprint(report)} {
		assert.NotContains(t, text, "\x1b", what)
		assert.NotContains(t, text, "\u202e", what)
		assert.NotContains(t, text, "##[", what)
		for _, line := range strings.Split(text, "\n") {
			assert.False(t, strings.HasPrefix(strings.TrimSpace(line), "::"), "%s: %q", what, line)
		}
	}
	assert.NotContains(t, page, "<script")
	outside := withoutCode(markdown)
	assert.NotContains(t, outside, "<script")
	assert.NotContains(t, outside, "@octocat")
	assert.NotContains(t, outside, "![i]")
}

// withoutCode drops fenced blocks and code spans as CommonMark delimits them.
func withoutCode(markdown string) string {
	var out []string
	fence := ""
	for _, line := range strings.Split(markdown, "\n") {
		bare := strings.TrimSpace(line)
		ticks := bare[:len(bare)-len(strings.TrimLeft(bare, "`"))]
		switch {
		case fence != "":
			if len(ticks) >= len(fence) && bare == ticks {
				fence = ""
			}
		case len(ticks) >= 3 && !strings.Contains(bare[len(ticks):], "`"):
			fence = ticks
		default:
			out = append(out, withoutSpans(line))
		}
	}
	return strings.Join(out, "\n")
}

var tickRun = regexp.MustCompile("`+")

func withoutSpans(line string) string {
	var b strings.Builder
	for {
		open := tickRun.FindStringIndex(line)
		if open == nil {
			return b.String() + line
		}
		ticks := line[open[0]:open[1]]
		b.WriteString(line[:open[0]])
		escaped := strings.HasSuffix(line[:open[0]], `\`)
		line = line[open[1]:]
		if escaped {
			continue
		}
		for _, end := range tickRun.FindAllStringIndex(line, -1) {
			if line[end[0]:end[1]] == ticks {
				line = line[end[1]:]
				break
			}
		}
	}
}

func TestMarkdownStaysShort(t *testing.T) {
	run := failedRun()
	s := &run.Stages[0]
	for i := range 120 {
		s.Problems = append(s.Problems, verdict.Finding{Code: "TESTS_FAILED", Cause: strings.Repeat("long ", 300), Details: []string{strings.Repeat("line\n", 4000)}})
		s.Blocks = append(s.Blocks, verdict.Block{Title: fmt.Sprint(i), Summary: true, Log: strings.Repeat("l\n", 3000)})
		s.Evidence = append(s.Evidence, verdict.Evidence{Name: "n", Value: strings.Repeat("v", 3000), Want: "w", OK: true})
		s.Published = append(s.Published, strings.Repeat("p", 3000))
		run.Warnings = append(run.Warnings, verdict.Finding{Code: "W", Cause: strings.Repeat("w", 3000)})
	}
	markdown := run.Markdown()
	assert.Less(t, len(markdown), 60_000)
	assert.Contains(t, markdown, "parts did not fit here")
	assert.Contains(t, markdown, "| test |", "the verdict table comes first")
	assert.Contains(t, markdown, "### What failed", "and then what failed")
	assert.Less(t, len(verdict.Summary(run)), 1<<20)
	assert.Contains(t, run.Enforce().Error(), "more problems are in report.json")
}

func TestFilesThatAReportRefuses(t *testing.T) {
	source := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(source, "a.txt"), []byte("a"), 0o600))
	require.NoError(t, os.Symlink("/etc/hostname", filepath.Join(source, "link")))
	require.NoError(t, os.Mkdir(filepath.Join(source, "sub"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(source, "sub", "b.txt"), []byte("b"), 0o600))
	for name, tc := range map[string]struct {
		file verdict.ReportFile
		want string
	}{
		"an absolute path":       {verdict.ReportFile{Path: "/etc/x", Content: []byte("x")}, "not a plain relative path"},
		"a path that leaves":     {verdict.ReportFile{Path: "../x", Content: []byte("x")}, "not a plain relative path"},
		"a backslash":            {verdict.ReportFile{Path: `a\b`, Content: []byte("x")}, "not a plain relative path"},
		"a control character":    {verdict.ReportFile{Path: "a\nb", Content: []byte("x")}, "not a plain relative path"},
		"the report itself":      {verdict.ReportFile{Path: "report.json", Content: []byte("{}")}, "already has a file"},
		"the same in upper case": {verdict.ReportFile{Path: "REPORT.html", Content: []byte("{}")}, "already has a file"},
		"a file that is not":     {verdict.ReportFile{Path: "x", Local: filepath.Join(source, "none")}, "no such file"},
		"a symbolic link":        {verdict.ReportFile{Path: "x", Local: filepath.Join(source, "link")}, "symbolic link"},
		"a link in a directory":  {verdict.ReportFile{Path: "x", Local: source}, "x/link: a symbolic link"},
		"a file below a file":    {verdict.ReportFile{Path: "test/junit.xml/x", Content: []byte("x")}, "add file test/junit.xml/x"},
	} {
		t.Run(name, func(t *testing.T) {
			run := passedRun()
			run.Stages[1].Files = []verdict.ReportFile{tc.file}
			_, report, markdown, _ := written(t, run)
			require.Len(t, run.Warnings, 1)
			assert.Equal(t, "REPORT_FILE", run.Warnings[0].Code)
			assert.Contains(t, run.Warnings[0].Cause, tc.want)
			assert.NotContains(t, run.Warnings[0].Cause, source, "local paths say nothing to the reader")
			assert.Equal(t, "pass", report["verdict"], "the verdicts do not depend on it")
			assert.Contains(t, markdown, "REPORT_FILE")
		})
	}
	run := passedRun()
	run.Stages[0].Files = []verdict.ReportFile{{Path: "tree", Local: filepath.Join(source, "sub")}, {Path: "one.txt", Local: filepath.Join(source, "a.txt")}}
	dir, _, _, _ := written(t, run)
	assert.FileExists(t, filepath.Join(dir, "tree", "b.txt"))
	assert.FileExists(t, filepath.Join(dir, "one.txt"))
}

func TestAnEarlierReportIsReplaced(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine.txt"), []byte("mine"), 0o600))
	require.NoError(t, verdict.WriteReport(dir, passedRun()))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "test", "coverage.xml"), []byte("edited"), 0o600))
	require.NoError(t, verdict.WriteReport(dir, &verdict.Run{}))
	assert.NoFileExists(t, filepath.Join(dir, "test", "junit.xml"), "nothing old may be taken for new")
	assert.FileExists(t, filepath.Join(dir, "test", "coverage.xml"), "it is not ours any more")
	assert.FileExists(t, filepath.Join(dir, "mine.txt"))
	entries, err := filepath.Glob(filepath.Join(dir, "*.partial"))
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestWriteReportNeedsADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	assert.ErrorContains(t, verdict.WriteReport(file, passedRun()), "make report directory")
}

func TestJSONAndMarkdownWithoutADirectory(t *testing.T) {
	content, err := passedRun().JSON()
	require.NoError(t, err)
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	require.NoError(t, err)
	assert.NoError(t, schema(t).Validate(instance))
	assert.Contains(t, passedRun().Markdown(), "✅ openstack-rca-system: pass")
}

func TestTheSchemaRefuses(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"an unknown verdict":       func(r map[string]any) { r["verdict"] = "ok" },
		"a missing list of stages": func(r map[string]any) { delete(r, "stages") },
		"an unknown field":         func(r map[string]any) { r["extra"] = 1 },
		"a pass with a code":       func(r map[string]any) { r["stages"].([]any)[0].(map[string]any)["code"] = "X" },
		"a stage without evidence": func(r map[string]any) { delete(r["stages"].([]any)[0].(map[string]any), "evidence") },
		"negative seconds":         func(r map[string]any) { r["seconds"] = json.Number("-1") },
	} {
		t.Run(name, func(t *testing.T) {
			content, err := passedRun().JSON()
			require.NoError(t, err)
			instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
			require.NoError(t, err)
			change(instance.(map[string]any))
			assert.Error(t, schema(t).Validate(instance))
		})
	}
}

// The document describes every field of the schema.
func TestReportDocument(t *testing.T) {
	f, err := os.Open("../../docs/report.md")
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	content, err := io.ReadAll(f)
	require.NoError(t, err)
	var walk func(any)
	walk = func(node any) {
		switch v := node.(type) {
		case map[string]any:
			if properties, ok := v["properties"].(map[string]any); ok && v["type"] == "object" {
				for name := range properties {
					assert.Contains(t, string(content), "`"+name+"`")
				}
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	var document any
	require.NoError(t, json.Unmarshal(verdict.ReportSchema(), &document))
	walk(document)
}

// noise is a PNG of about that many bytes: what is random cannot be compressed.
func noise(t *testing.T, size int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 1000, size/1000))
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(img.Pix) // never fails
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

func TestThePageHoldsThePicturesOfAReport(t *testing.T) {
	small := noise(t, 40_000)
	run := passedRun()
	run.Stages[1].Files = []verdict.ReportFile{
		{Path: "image/page.png", Content: small},
		{Path: "image/wrong.png", Content: []byte(`"><script>alert(1)</script>`)},
		{Path: "image/large.png", Content: noise(t, 1<<20+50_000)},
	}
	dir, _, _, page := written(t, run)
	found := picture.FindAllStringSubmatch(page, -1)
	require.Len(t, found, 1, "what is no picture, or large, is linked only")
	content, err := base64.StdEncoding.DecodeString(html.UnescapeString(found[0][1]))
	require.NoError(t, err)
	assert.Equal(t, small, content)
	assert.Contains(t, page, `width="1000" height="40" alt="Picture image/page.png"`)
	for _, name := range []string{"page", "wrong", "large"} {
		assert.Contains(t, page, `href="./image/`+name+`.png"`)
		assert.FileExists(t, filepath.Join(dir, "image", name+".png"))
	}

	run = passedRun()
	for i := range 6 {
		run.Stages[1].Files = append(run.Stages[1].Files, verdict.ReportFile{Path: fmt.Sprintf("image/%d.png", i), Content: noise(t, 1_000_000)})
	}
	require.NoError(t, verdict.WriteReport(dir, run))
	large, err := os.ReadFile(filepath.Join(dir, verdict.ReportHTML))
	require.NoError(t, err)
	assert.Equal(t, 4, bytes.Count(large, []byte("<img")), "as many as leave the page one that opens")
}
