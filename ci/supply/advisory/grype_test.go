package advisory

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const descriptor = `"descriptor":{"name":"grype","version":"0.121.2","db":{"status":{"schemaVersion":"v6.1.10","built":"2026-11-28T10:00:00Z",` +
	`"from":"https://x/db.tar.zst?checksum=sha256%3Aab","valid":true},"providers":{"github":{"captured":"2026-11-27T00:00:00Z"},"debian":{}}}}`

const one = `{"vulnerability":{"id":"GHSA-1","severity":"High","cvss":[{"metrics":{"baseScore":7.5}}],"fix":{"versions":["2"]},` +
	`"knownExploited":[{}],"publishedDate":"2026-11-01T00:00:00Z"},"relatedVulnerabilities":[{"id":"CVE-1","severity":"Critical"}],` +
	`"artifact":{"name":"Flask_Cors","version":"1","purl":"pkg:pypi/flask-cors@1","locations":[{"path":"/a"}]}}`

func TestReadGrype(t *testing.T) {
	m, err := ReadGrype(strings.NewReader(`{"matches":[` + one + `],"source":{"x":[1,{"y":[]}]},"distro":{"name":"debian","version":"12"},` + descriptor + `}`))
	require.NoError(t, err)
	require.Len(t, m.Findings, 1)
	f := m.Findings[0]
	assert.Equal(t, []string{"GHSA-1", "flask-cors", "pypi", High, "CVE-1"}, []string{f.ID, f.Package, f.Type, f.Severity, f.Aliases[0]})
	assert.True(t, f.Exploited)
	assert.InDelta(t, 7.5, f.Score, 0)
	assert.Equal(t, []string{"0.121.2", "debian 12", "v6.1.10"}, []string{m.Version, m.Distribution, m.Database.Schema})
	assert.Equal(t, "2026-11-27", m.Database.Data["github"].Format(time.DateOnly))
	assert.True(t, m.Database.Data["debian"].IsZero(), "a provider without a time is there, and its age unknown")
}

func TestAReportOfGrypeThatIsNone(t *testing.T) {
	for name, text := range map[string]string{
		"empty":              "",
		"cut off":            `{"matches":[` + one + `,`,
		"cut off after":      `{"matches":[` + one + `],` + descriptor,
		"not JSON":           "1 vulnerability found",
		"another form":       `[]`,
		"no matches":         `{` + descriptor + `}`,
		"no descriptor":      `{"matches":[]}`,
		"matches of a kind":  `{"matches":{},` + descriptor + `}`,
		"a match of nothing": `{"matches":[{}],` + descriptor + `}`,
		"matches twice":      `{"matches":[` + one + `],"matches":[],` + descriptor + `}`,
		"an unfit database":  `{"matches":[],` + strings.Replace(descriptor, `"valid":true`, `"valid":false,"error":"bad"`, 1) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadGrype(strings.NewReader(text))
			require.ErrorContains(t, err, "read report of grype")
		})
	}
}

// TestALargeReport reads 40 MB, of which most is nothing that is kept.
func TestALargeReport(t *testing.T) {
	noise := strings.Replace(one, `"artifact"`, `"matchDetails":[{"found":"`+strings.Repeat("x", 100<<10)+`"}],"artifact"`, 1)
	parts := []io.Reader{strings.NewReader(`{"matches":[` + one)}
	for range 400 {
		parts = append(parts, strings.NewReader(","), strings.NewReader(noise))
	}
	parts = append(parts, strings.NewReader(fmt.Sprintf("],%s}", descriptor)))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m, err := ReadGrype(io.MultiReader(parts...))
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	assert.Len(t, m.Findings, 401)
	assert.Len(t, Merge(m.Findings), 1)
	assert.Less(t, after.Sys-min(before.Sys, after.Sys), uint64(100<<20))
}
