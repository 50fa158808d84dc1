package verdict_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
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

func TestAMaskedXMLFileCanStillBeRead(t *testing.T) {
	const junit = `<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" tests="1"><testcase classname="tests.test_a" name='test_b' time="0.1"><failure message="failure &lt;is&gt; 1.0">c4n4ry88 testcase failure</failure>` +
		`<system-out><![CDATA[name is <testcase> line-rate]]></system-out></testcase><!-- testcase --></testsuite></testsuites>`
	const cobertura = `<coverage line-rate="0.9"><packages><package name="line-rate"><classes><class filename="app/line-rate.py" line-rate="1"/></classes></package></packages></coverage>`
	for _, secret := range []string{"testcase", "testsuite", "name", "failure", "line-rate", "encoding", "version",
		"1.0\" encoding=", "c4n4ry88", "message", "system-out", "class"} {
		t.Run(secret, func(t *testing.T) {
			dir := t.TempDir()
			run := failedRun()
			run.Redact = verdict.Redact(secret)
			run.Stages[0].Files = []verdict.ReportFile{{Path: "test/junit.xml", Content: []byte(junit)}, {Path: "test/coverage.xml",
				Content: []byte(cobertura)}, {Path: "test/odd.xml", Content: []byte("<a x " + secret + " <!-- " + secret)}}
			require.NoError(t, verdict.WriteReport(dir, run))
			for name, before := range map[string]string{"junit.xml": junit, "coverage.xml": cobertura} {
				content, err := os.ReadFile(filepath.Join(dir, "test", name))
				require.NoError(t, err)
				assert.Equal(t, markup(t, before), markup(t, string(content)), "elements and attributes are the same")
			}
			odd, err := os.ReadFile(filepath.Join(dir, "test", "odd.xml"))
			require.NoError(t, err)
			assert.NotContains(t, string(odd), " "+secret, "what is not XML is masked everywhere")
		})
	}
	run := failedRun()
	run.Redact = verdict.Redact("c4n4ry88", "testcase", "line-rate", "tests.test_a")
	run.Stages[0].Files = []verdict.ReportFile{{Path: "test/junit.xml", Content: []byte(junit)}}
	dir := t.TempDir()
	require.NoError(t, verdict.WriteReport(dir, run))
	content, err := os.ReadFile(filepath.Join(dir, "test", "junit.xml"))
	require.NoError(t, err)
	assert.Contains(t, string(content), `<testcase classname="***" name='test_b'`)
	assert.Contains(t, string(content), `>*** *** failure</failure>`)
	assert.Contains(t, string(content), `<![CDATA[name is <***> ***]]>`)
	assert.Contains(t, string(content), `<!-- *** -->`)
}

// markup lists the names of elements and attributes.
func markup(t *testing.T, content string) []string {
	t.Helper()
	var names []string
	for decoder := xml.NewDecoder(strings.NewReader(content)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return names
		}
		require.NoError(t, err, content)
		if start, ok := token.(xml.StartElement); ok {
			names = append(names, start.Name.Local)
			for _, attribute := range start.Attr {
				names = append(names, "@"+attribute.Name.Local)
			}
		}
	}
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
