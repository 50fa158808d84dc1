// Package reportpage looks at report.html in a browser: with axe-core by the rules of WCAG 2.2 AA, and for what
// does not fit a phone.
package reportpage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	axeVersion = "4.11.0"
	axeSHA256  = "39bed7d72308f6d620789c169d699bfd7e8da80f65b545821a6b2215c3e83107"
)

// axe is the script of axe-core, from the npm package with the known content.
func axe(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("there is no npm to fetch axe-core with")
	}
	dir := t.TempDir()
	pack := exec.CommandContext(t.Context(), "npm", "pack", "--silent", "axe-core@"+axeVersion)
	pack.Dir = dir
	if out, err := pack.CombinedOutput(); err != nil {
		t.Skipf("axe-core cannot be fetched: %s", out)
	}
	archive := filepath.Join(dir, "axe-core-"+axeVersion+".tgz")
	content, err := os.ReadFile(archive)
	require.NoError(t, err)
	sum := sha256.Sum256(content)
	require.Equal(t, axeSHA256, hex.EncodeToString(sum[:]))
	out, err := exec.CommandContext(t.Context(), "tar", "xzf", archive, "-C", dir, "package/axe.min.js").CombinedOutput()
	require.NoError(t, err, string(out))
	script, err := os.ReadFile(filepath.Join(dir, "package", "axe.min.js"))
	require.NoError(t, err)
	return string(script)
}

func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no Chromium")
	return ""
}

// run has everything that a page can have: failures, warnings, gates, tables, logs and charts.
func run(failed bool) *verdict.Run {
	code := verdict.Code{Name: "TESTS_FAILED", Stage: verdict.Test, Outcome: verdict.Fail, Meaning: "m", Remedy: "Run python -m pytest"}
	test := verdict.Stage{Name: verdict.Test, Seconds: 12}
	test.Gate("line coverage", "79.9 %", ">= 80 %", !failed)
	test.Add("environment", "Python 3.11, requirements/test.lock with "+strings.Repeat("a-long-name-without-a-break-", 8))
	test.Warn(verdict.Code{Name: "GATE_UNSET", Stage: verdict.Test, Remedy: "Name the paths"}, "critical paths have no globs")
	test.Blocks = []verdict.Block{
		{Title: "Slowest tests", Table: &verdict.Table{Columns: []string{"Test", "Seconds", "Share"}, Rows: [][]string{
			{"tests/test_inference.py::TestModel::test_a_very_long_name_of_a_test_that_does_not_break[parameter-1]", "1.5", "30 %"},
			{"tests/test_inference.py::test_text[" + strings.Repeat("ب", 120) + "👩‍👧" + strings.Repeat("/a", 90) + "]", "0.1", "2 %"}}}},
		{Title: "Line coverage by package", Bars: &verdict.BarChart{Unit: "%", Max: 100, Threshold: 80, Labels: []string{"app", "lib"},
			Values: []float64{70, 92}}},
		{Title: "End of the output", Log: strings.Repeat("a long line of a log ", 20) + "\n" + strings.Repeat("x", 300)},
	}
	train := verdict.Stage{Name: verdict.Train, Seconds: 90, Blocks: []verdict.Block{
		{Title: "Training", Lines: &verdict.LineChart{X: "epoch", Y: "loss", Series: []verdict.Series{{Name: "loss", X: []float64{1, 2, 3},
			Y: []float64{3, 2, 1}},
			{Name: "val_loss", X: []float64{1, 2, 3}, Y: []float64{3, 2.5, 2}}}}},
		{Title: "Confusion", Heat: &verdict.HeatMap{RowTitle: "true", ColumnTitle: "predicted", Labels: []string{"fine", "failure"},
			Counts: [][]int{{90, 3}, {2, 40}}}},
		{Title: "Note", Text: "A paragraph."},
	}}
	if failed {
		problem := verdict.Problemf(code, "1 of 20 tests: tests/test_a.py::test_b (assert 4 == 5)")
		problem.Details = []string{"    def test_b():", ">       assert 4 == 5"}
		test.Judge(problem)
	} else {
		test.Judge()
	}
	train.Judge()
	return &verdict.Run{Application: "openstack-rca", Environment: "sandbox", Ref: "main", Commit: strings.Repeat("ab", 20), Runner: "native",
		Started: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), Stages: []verdict.Stage{test, train}}
}

// seen is what the script in the page found.
type seen struct {
	Violations []struct {
		ID    string `json:"id"`
		Nodes []struct {
			HTML           string `json:"html"`
			FailureSummary string `json:"failureSummary"`
		} `json:"nodes"`
	} `json:"violations"`
	Passes       int
	Dark         bool
	Width, Inner int
	Top          string
}

// script asks axe, and leaves the answer as the text of the page.
const script = `axe.run(document,{runOnly:["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa"]}).then(r=>{
const e=document.documentElement, todo=document.querySelector(".todo");
const found={violations:r.violations,Passes:r.passes.length,Dark:matchMedia("(prefers-color-scheme: dark)").matches,Width:e.scrollWidth,Inner:innerWidth,
  Top:todo?String(Math.round(todo.getBoundingClientRect().top)):""};
document.body.innerHTML="";const pre=document.createElement("pre");pre.id="axe";pre.textContent=JSON.stringify(found);document.body.append(pre)})`

var answer = regexp.MustCompile(`(?s)<pre id="axe">(.*?)</pre>`)

// the page forbids scripts; the copy that is looked at must not.
var forbids = regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`)

func look(t *testing.T, program, axe, page string, width int, dark bool) seen {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.html")
	require.Contains(t, page, "</body>")
	page = strings.Replace(forbids.ReplaceAllString(page, ""), "</body>", "<script>"+axe+"</script><script>"+script+"</script></body>", 1)
	require.NoError(t, os.WriteFile(file, []byte(page), 0o600))
	scheme := 1
	if dark {
		scheme = 0
	}
	// A window of Chromium is at least 500 pixels wide: a narrow page is one in a frame.
	outer := filepath.Join(filepath.Dir(file), "outer.html")
	frame := fmt.Sprintf(`<iframe id=f src=page.html style="width:%dpx;height:800px;border:0"></iframe><script>
setInterval(()=>{const p=document.getElementById("f").contentDocument.getElementById("axe");if(p&&!document.getElementById("axe"))document.body.append(p.cloneNode(true))},50)</script>`, width)
	require.NoError(t, os.WriteFile(outer, []byte("<!doctype html><body>"+frame), 0o600))
	out, err := exec.CommandContext(t.Context(), program, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,900",
		"--virtual-time-budget=30000", //nolint:gosec // a browser
		"--allow-file-access-from-files", "--dump-dom", fmt.Sprintf("--blink-settings=preferredColorScheme=%d", scheme), "file://"+outer).Output()
	require.NoError(t, err)
	m := answer.FindStringSubmatch(string(out))
	require.NotNil(t, m, "axe left no answer")
	var found seen
	require.NoError(t, json.Unmarshal([]byte(html.UnescapeString(m[1])), &found))
	return found
}

func TestThePageIsAccessibleAndFitsAPhone(t *testing.T) {
	program, axe := browser(t), axe(t)
	for name, failed := range map[string]bool{"pass": false, "fail": true} {
		dir := t.TempDir()
		require.NoError(t, verdict.WriteReport(dir, run(failed)))
		page, err := os.ReadFile(filepath.Join(dir, verdict.ReportHTML))
		require.NoError(t, err)
		for _, dark := range []bool{false, true} {
			for _, width := range []int{360, 1200} {
				t.Run(fmt.Sprintf("%s, dark %t, %d pixels", name, dark, width), func(t *testing.T) {
					found := look(t, program, axe, string(page), width, dark)
					for _, v := range found.Violations {
						assert.Fail(t, v.ID, "%d times, such as %s: %s", len(v.Nodes), v.Nodes[0].HTML, v.Nodes[0].FailureSummary)
					}
					assert.Greater(t, found.Passes, 10)
					assert.Equal(t, dark, found.Dark)
					assert.Equal(t, width, found.Inner)
					assert.LessOrEqual(t, found.Width, found.Inner, "the page scrolls sideways")
				})
			}
		}
		if failed {
			broken := strings.Replace(string(page), `<html lang="en">`, "<html>", 1)
			found := look(t, program, axe, broken, 1200, false)
			require.Len(t, found.Violations, 1)
			assert.Equal(t, "html-has-lang", found.Violations[0].ID, "a mistake is seen")
		}
	}
}
