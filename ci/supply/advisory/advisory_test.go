package advisory

import (
	"archive/zip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/supply/locks"
)

// osv is a record for one package with the given events.
func osv(id, name, more string, events ...string) string {
	var list []string
	for i := 0; i < len(events); i += 2 {
		list = append(list, fmt.Sprintf(`{%q:%q}`, events[i], events[i+1]))
	}
	return fmt.Sprintf(`{"id":%q,"modified":"2026-11-20T00:00:00Z","published":"2026-11-01T00:00:00Z"%s,"affected":[{"package":{"ecosystem":"PyPI",`+
		`"name":%q},"ranges":[{"type":"ECOSYSTEM","events":[%s]}]}]}`, id, more, name, strings.Join(list, ","))
}

func jsonl(t *testing.T, records ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "all.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(records, "\n")+"\n"), 0o600))
	return file
}

func against(t *testing.T, file string, packages ...string) ([]Finding, Database) {
	t.Helper()
	var all []locks.Package
	for _, p := range packages {
		name, version, _ := strings.Cut(p, "==")
		all = append(all, locks.Package{Name: name, Version: version, File: "x.lock"})
	}
	found, database, err := MatchOSV(t.Context(), file, all)
	require.NoError(t, err)
	return found, database
}

func TestVersionsInARange(t *testing.T) {
	two := []string{"introduced", "2", "fixed", "3", "introduced", "0", "fixed", "1"}
	for name, tc := range map[string]struct {
		events  []string
		version string
		want    bool
	}{
		"before the fix":                {[]string{"introduced", "0", "fixed", "1.5"}, "1.4.9", true},
		"at the fix":                    {[]string{"introduced", "0", "fixed", "1.5"}, "1.5", false},
		"the fix with more zeros":       {[]string{"introduced", "0", "fixed", "1.5"}, "1.5.0", false},
		"10 is after 9":                 {[]string{"introduced", "0", "fixed", "1.9"}, "1.10", false},
		"a candidate is before":         {[]string{"introduced", "0", "fixed", "1.5"}, "1.5rc1", true},
		"a post release is after":       {[]string{"introduced", "0", "fixed", "1.5"}, "1.5.post1", false},
		"a local version is after":      {[]string{"introduced", "0", "fixed", "1.5"}, "1.5+cpu", false},
		"an epoch is after":             {[]string{"introduced", "0", "fixed", "2000"}, "1!1.0", false},
		"the last one affected":         {[]string{"introduced", "0", "last_affected", "1.5"}, "1.5", true},
		"after the last one":            {[]string{"introduced", "0", "last_affected", "1.5"}, "1.5.1", false},
		"no fix":                        {[]string{"introduced", "1"}, "7", true},
		"before it was introduced":      {[]string{"introduced", "1"}, "0.9", false},
		"first of two, out of order":    {two, "0.5", true},
		"between two, out of order":     {two, "1.5", false},
		"second of two, out of order":   {two, "2.5", true},
		"after both, out of order":      {two, "3", false},
		"a version that cannot compare": {[]string{"introduced", "0", "fixed", "1"}, "2024b-custom", true},
		"an event that cannot compare":  {[]string{"introduced", "0", "fixed", "newest"}, "1", true},
	} {
		t.Run(name, func(t *testing.T) {
			found, _ := against(t, jsonl(t, osv("PYSEC-1", "Demo", "", tc.events...)), "demo=="+tc.version)
			assert.Equal(t, tc.want, len(found) == 1)
		})
	}
}

func TestMatchOSV(t *testing.T) {
	high := `,"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}]`
	words := `,"database_specific":{"severity":"MODERATE"}`
	listed := `{"id":"PYSEC-9","modified":"2026-11-21T00:00:00Z","affected":[{"package":{"ecosystem":"PyPI","name":"listed"},"versions":["1.0"]}]}`
	bare := `{"id":"PYSEC-10","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"PyPI","name":"bare"}}]}`
	withdrawn := osv("PYSEC-3", "demo", `,"withdrawn":"2026-11-02T00:00:00Z"`, "introduced", "0")
	other := `{"id":"GO-1","modified":"2030-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"Go","name":"demo"},"versions":["1"]}]}`
	file := jsonl(t, osv("PYSEC-1", "Demo", high, "introduced", "0", "fixed", "2"), osv("PYSEC-2", "demo", words, "introduced", "0"),
		withdrawn, listed, bare, other)
	found, database := against(t, file, "demo==1", "listed==1", "bare==1", "not-there==1")
	require.Len(t, found, 4)
	assert.Equal(t, []string{High, Medium, Unknown, Unknown}, []string{found[0].Severity, found[1].Severity, found[2].Severity, found[3].Severity})
	assert.InDelta(t, 7.5, found[0].Score, 0.01)
	assert.Equal(t, []string{"2"}, found[0].Fixed)
	assert.Empty(t, found[1].Fixed)
	assert.NotEmpty(t, found[3].Uncertain, "a record without versions does not rule out any")
	assert.Equal(t, 5, database.Records[PyPI])
	assert.Equal(t, "2026-11-21", database.Data[PyPI].Format(time.DateOnly), "records of others say nothing about the age")
	provider, at := database.Oldest()
	assert.Equal(t, PyPI, provider)
	assert.Equal(t, database.Data[PyPI], at)

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.json"), []byte(listed), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README.md"), []byte("no record"), 0o600))
	found, _ = against(t, dir, "listed==1.0")
	assert.Len(t, found, 1)

	archive := filepath.Join(t.TempDir(), "all.zip")
	f, err := os.Create(archive)
	require.NoError(t, err)
	z := zip.NewWriter(f)
	w, err := z.Create("PYSEC-9.json")
	require.NoError(t, err)
	_, err = w.Write([]byte(listed))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, f.Close())
	found, zipped := against(t, archive, "listed==1.0")
	assert.Len(t, found, 1)
	assert.NotEmpty(t, zipped.Digest)
}

func TestADatabaseThatCannotBeRead(t *testing.T) {
	good := osv("PYSEC-1", "demo", "", "introduced", "0")
	cut := filepath.Join(t.TempDir(), "cut.zip")
	require.NoError(t, os.WriteFile(cut, []byte("PK\x03\x04 cut off"), 0o600))
	for name, file := range map[string]string{
		"nothing there":      filepath.Join(t.TempDir(), "none.jsonl"),
		"cut off":            jsonl(t, good, good[:len(good)-10]),
		"no JSON":            jsonl(t, "<html>"),
		"no record":          jsonl(t, `{"message":"not found"}`),
		"no time":            jsonl(t, `{"id":"X-1","affected":[]}`),
		"no archive":         cut,
		"a time of no form":  jsonl(t, `{"id":"X-1","modified":"yesterday"}`),
		"a record too large": jsonl(t, `{"id":"X-1","x":"`+strings.Repeat("a", maxRecord)+`"}`),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := MatchOSV(t.Context(), file, nil)
			require.ErrorContains(t, err, "read advisories")
		})
	}
	linked := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Dir(jsonl(t, good)), filepath.Join(linked, "..data")))
	require.NoError(t, os.Symlink(jsonl(t, good), filepath.Join(linked, "a.jsonl")))
	_, database, err := MatchOSV(t.Context(), linked, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, database.Records[PyPI], "a link to a file is followed")
	require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(linked, "more")))
	_, _, err = MatchOSV(t.Context(), linked, nil)
	require.ErrorContains(t, err, "more is a link to a directory")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = MatchOSV(ctx, jsonl(t, good), nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestScoresOfAllVersions(t *testing.T) {
	for vector, want := range map[string]string{
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H": Critical,
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H":                    Critical,
		"CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L":                    Medium,
		"CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N":                    Low,
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N":                    Negligible,
		"AV:N/AC:L/Au:N/C:P/I:P/A:P":                                      High,
		"CVSS:3.1/AV:N":                                                   Unknown,
		"CVSS:9/AV:N":                                                     Unknown,
		"":                                                                Unknown,
	} {
		name, _ := severity([]score{{Score: vector}})
		assert.Equal(t, want, name, vector)
	}
	name, _ := severity([]score{{Score: "nonsense"}}, "CRITICAL", 7, nil)
	assert.Equal(t, Critical, name)
}

func TestMergeCountsAVulnerabilityOnce(t *testing.T) {
	at := func(day string) time.Time {
		d, err := time.Parse(time.DateOnly, day)
		require.NoError(t, err)
		return d
	}
	merged := Merge([]Finding{
		{ID: "PYSEC-1", Aliases: []string{"CVE-1"}, Package: "a", Version: "1", Severity: Unknown, Published: at("2026-05-02"), Locations: []string{"x"}},
		{ID: "GHSA-1", Aliases: []string{"CVE-1"}, Package: "a", Version: "1", Severity: High, Published: at("2026-05-01"), Fixed: []string{"2"}},
		{ID: "GO-1", Aliases: []string{"GHSA-1"}, Package: "a", Version: "1", Severity: "odd", Exploited: true, Fixed: []string{"2"}},
		{ID: "CVE-1", Package: "b", Version: "1", Severity: Low},
		{ID: "CVE-1", Package: "a", Version: "2", Severity: Low},
	})
	require.Len(t, merged, 3)
	first := merged[0]
	assert.Equal(t, "CVE-1", first.ID)
	assert.Equal(t, []string{"GHSA-1", "PYSEC-1", "GO-1"}, first.Aliases)
	assert.Equal(t, High, first.Severity, "a name without a severity does not hide another's")
	assert.Equal(t, at("2026-05-01"), first.Published)
	assert.True(t, first.Exploited)
	assert.Equal(t, []string{"2"}, first.Fixed)
	assert.Equal(t, Unknown, Merge([]Finding{{ID: "X-1", Severity: "odd"}})[0].Severity)
	assert.Empty(t, Merge(nil))
}
