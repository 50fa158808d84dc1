package verdict_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Made-up values: with quotes, with lines, of 8 characters.
var canaries = []string{`can"ary'<&>\ +/=?ü-one`, "canary-line-one\ncanary-line-two\n", "c4n4ry88"}

func spelled(t *testing.T, secret string) map[string]string {
	t.Helper()
	quoted, err := json.Marshal(secret)
	require.NoError(t, err)
	forms := map[string]string{
		"raw": secret, "trimmed": strings.TrimSpace(secret), "json": string(quoted), "query": url.QueryEscape(secret), "path": url.PathEscape(secret),
		"hex": hex.EncodeToString([]byte(secret)), "upper hex": strings.ToUpper(hex.EncodeToString([]byte(secret))), "html": html.EscapeString(secret), "quoted": fmt.Sprintf("%q", secret),
		"base64": base64.StdEncoding.EncodeToString([]byte(secret)), "raw base64": base64.RawStdEncoding.EncodeToString([]byte(secret)), "url base64": base64.URLEncoding.EncodeToString([]byte(secret)),
	}
	for _, user := range []string{"u:", "us:", "user:"} {
		forms["basic "+user] = base64.StdEncoding.EncodeToString([]byte(user + secret + "@"))
	}
	return forms
}

func TestRedactHidesEveryForm(t *testing.T) {
	redact := verdict.Redact(canaries...)
	for i, secret := range canaries {
		for form, text := range spelled(t, secret) {
			t.Run(fmt.Sprintf("secret %d as %s", i, form), func(t *testing.T) {
				out := redact("before " + text + " after")
				assert.Contains(t, out, verdict.Mask)
				assert.NotContains(t, out, secret)
				// Of an embedded form only characters that also hold neighbours may stay.
				assert.Less(t, len(out), len("before  after")+len(verdict.Mask)*4+16, out)
				assert.True(t, strings.HasPrefix(out, "before ") && strings.HasSuffix(out, " after"))
			})
		}
	}
}

func TestRedactLeavesTheRest(t *testing.T) {
	same := "nothing to hide: abc 123"
	assert.Equal(t, same, verdict.Redact()(same))
	assert.Equal(t, same, verdict.Redact("", "  ", "abc")(same), "values shorter than 4 bytes would mask half the report")
	assert.Equal(t, "*** and ***", verdict.Redact("password", "password-long")("password-long and password"), "the longest first")
}

func TestNoSecretInAnyReport(t *testing.T) {
	for i, secret := range canaries {
		for form, text := range spelled(t, secret) {
			t.Run(fmt.Sprintf("secret %d as %s", i, form), func(t *testing.T) {
				dir := t.TempDir()
				run := failedRun()
				run.Redact = verdict.Redact(canaries...)
				run.Commit = text
				s := &run.Stages[0]
				s.Problems[0].Cause, s.Problems[0].Details = text, []string{"log: " + text, strings.Repeat("x", 90_000) + text}
				s.Published = []string{text}
				s.Evidence = append(s.Evidence, verdict.Evidence{Name: text, Value: text, OK: true})
				s.Blocks = append(s.Blocks, verdict.Block{Title: text, Log: text, Summary: true}, verdict.Block{Table: &verdict.Table{Columns: []string{text}, Rows: [][]string{{text}}}})
				s.Files = append(s.Files, verdict.ReportFile{Path: "test/log.txt", Content: []byte("x " + text)})
				require.NoError(t, verdict.WriteReport(dir, run))
				all := verdict.Summary(run) + strings.Join(run.Failures(), "\n")
				for _, name := range []string{"report.json", "report.md", "report.html", "test/log.txt"} {
					content, err := os.ReadFile(filepath.Join(dir, name))
					require.NoError(t, err)
					all += string(content)
				}
				for what, form := range spelled(t, secret) {
					if !strings.HasPrefix(what, "basic") {
						assert.NotContains(t, all, strings.Trim(form, `"`), what)
					}
				}
			})
		}
	}
}

func TestASecretBrokenUpByControlCharactersIsHidden(t *testing.T) {
	run := &verdict.Run{Redact: verdict.Redact("c4n4ry88"), Stages: []verdict.Stage{{Name: "test", Verdict: verdict.Fail, Code: "X", Cause: "c4n\x1b[0m4ry\u200b88"}}}
	assert.NotContains(t, verdict.Summary(run), "c4n4ry88")
	assert.NotContains(t, run.Markdown(), "c4n4ry88")
}
