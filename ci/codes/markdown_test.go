package codes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// codesMarkdown renders codes as the body of docs/codes.md: one table a stage.
func codesMarkdown(codes []verdict.Code) string {
	var b strings.Builder
	stage := ""
	for _, c := range codes {
		if c.Stage != stage {
			stage = c.Stage
			fmt.Fprintf(&b, "\n## %s\n\n| Code | Verdict | What was found | What to do |\n| --- | --- | --- | --- |\n", codesTitle(stage))
		}
		outcome := string(c.Outcome)
		if outcome == "" {
			outcome = "warning"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.Name, outcome, cell(c.Meaning), cell(c.Remedy))
	}
	return strings.TrimLeft(b.String(), "\n")
}

func codesTitle(stage string) string {
	if stage == "any" {
		return "any stage"
	}
	return stage
}

// cell escapes the text of a table's cell. The texts are this program's own.
func cell(s string) string { return escape.Replace(s) }

var escape = strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "\\`", "*", `\*`, "__", `\_\_`, "[", `\[`, "]", `\]`)

func TestTheTablesOfCodes(t *testing.T) {
	markdown := codesMarkdown([]verdict.Code{
		{Name: "Z", Stage: "test", Outcome: verdict.Fail, Meaning: "a | b", Remedy: "r"},
		{Name: "A", Stage: "train", Meaning: "m", Remedy: "r"},
		{Name: "ANY", Stage: "any", Meaning: "m", Remedy: "r"},
	})
	assert.Contains(t, markdown, "## train\n\n| Code | Verdict |")
	assert.Contains(t, markdown, "| `A` | warning | m | r |")
	assert.Contains(t, markdown, `a \| b`)
	assert.Contains(t, markdown, "## any stage")
}
