package judge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func rules(change func(*config.Security)) config.Security {
	r := config.Default().Security
	if change != nil {
		change(&r)
	}
	return r
}

func finding(change func(*advisory.Finding)) advisory.Finding {
	f := advisory.Finding{
		ID: "CVE-2026-1", Aliases: []string{"GHSA-1"}, Package: "demo", Version: "1", Type: "pypi", Severity: advisory.High, Fixed: []string{"2"},
		Published: now.Add(-30 * 24 * time.Hour),
	}
	if change != nil {
		change(&f)
	}
	return f
}

func TestWhatAFindingLeadsTo(t *testing.T) {
	day := 24 * time.Hour
	for name, tc := range map[string]struct {
		finding func(*advisory.Finding)
		rules   func(*config.Security)
		want    string
	}{
		"high fails":             {nil, nil, Fail},
		"critical fails":         {func(f *advisory.Finding) { f.Severity = advisory.Critical }, nil, Fail},
		"medium warns":           {func(f *advisory.Finding) { f.Severity = advisory.Medium }, nil, Warn},
		"low is noted":           {func(f *advisory.Finding) { f.Severity = advisory.Low }, nil, Note},
		"unknown warns":          {func(f *advisory.Finding) { f.Severity = advisory.Unknown }, nil, Warn},
		"an odd severity fails":  {func(f *advisory.Finding) { f.Severity = "odd" }, nil, Fail},
		"unknown is never quiet": {func(f *advisory.Finding) { f.Severity = advisory.Unknown }, func(r *config.Security) { r.Severity["unknown"] = Note }, Fail},
		"no fix":                 {func(f *advisory.Finding) { f.Fixed = nil }, nil, Warn},
		"no fix that fails":      {func(f *advisory.Finding) { f.Fixed = nil }, func(r *config.Security) { r.Unfixed = Fail }, Fail},
		"no fix does not worsen": {func(f *advisory.Finding) { f.Fixed, f.Severity = nil, advisory.Low }, func(r *config.Security) { r.Unfixed = Fail }, Note},
		"unknown and no fix": {func(f *advisory.Finding) { f.Severity, f.Fixed = advisory.Unknown, nil },
			func(r *config.Security) { r.Unfixed = Note }, Warn},
		"published next year":     {func(f *advisory.Finding) { f.Published = now.AddDate(1, 0, 0) }, nil, Fail},
		"no rule for no fix":      {func(f *advisory.Finding) { f.Fixed = nil }, func(r *config.Security) { r.Unfixed = "" }, Warn},
		"in its grace":            {nil, func(r *config.Security) { r.Grace.High = config.Duration(31 * day) }, Warn},
		"at the end of its grace": {nil, func(r *config.Security) { r.Grace.High = config.Duration(30 * day) }, Fail},
		"the grace of another":    {nil, func(r *config.Security) { r.Grace.Critical = config.Duration(90 * day) }, Fail},
		"no date has no grace":    {func(f *advisory.Finding) { f.Published = time.Time{} }, func(r *config.Security) { r.Grace.High = config.Duration(90 * day) }, Fail},
		"exploited in its grace": {func(f *advisory.Finding) { f.Exploited = true },
			func(r *config.Security) { r.Grace.High = config.Duration(90 * day) }, Fail},
		"exploited without a fix": {func(f *advisory.Finding) { f.Exploited, f.Fixed = true, nil }, nil, Fail},
		"exploited and low":       {func(f *advisory.Finding) { f.Exploited, f.Severity = true, advisory.Low }, nil, Fail},
		"a severity without rule": {nil, func(r *config.Security) { delete(r.Severity, "high") }, Fail},
	} {
		t.Run(name, func(t *testing.T) {
			v := Advisories([]advisory.Finding{finding(tc.finding)}, rules(tc.rules), "locks", now)
			assert.Equal(t, tc.want, v.All[0].Action)
			assert.Len(t, v.Of(tc.want), 1)
		})
	}
}

func TestExceptions(t *testing.T) {
	allow := config.AllowedAdvisory{ID: "ghsa-1", Package: "Demo", In: "locks", Reason: "not reachable", Until: "2027-01-31"}
	with := func(change func(*config.AllowedAdvisory)) config.Security {
		a := allow
		if change != nil {
			change(&a)
		}
		return rules(func(r *config.Security) { r.Allow = []config.AllowedAdvisory{a} })
	}
	for name, tc := range map[string]struct {
		change                                 func(*config.AllowedAdvisory)
		allowed, expired, long, ending, unused int
	}{
		"by an alias":             {nil, 1, 0, 0, 0, 0},
		"on its last day":         {func(a *config.AllowedAdvisory) { a.Until = "2026-11-29" }, 1, 0, 0, 1, 0},
		"the day after":           {func(a *config.AllowedAdvisory) { a.Until = "2026-11-28" }, 0, 1, 0, 0, 0},
		"ends in 13 days":         {func(a *config.AllowedAdvisory) { a.Until = "2026-12-12" }, 1, 0, 0, 1, 0},
		"ends in 14 days":         {func(a *config.AllowedAdvisory) { a.Until = "2026-12-13" }, 1, 0, 0, 0, 0},
		"180 days":                {func(a *config.AllowedAdvisory) { a.Until = "2027-05-28" }, 1, 0, 0, 0, 0},
		"181 days":                {func(a *config.AllowedAdvisory) { a.Until = "2027-05-30" }, 0, 0, 1, 0, 0},
		"no day":                  {func(a *config.AllowedAdvisory) { a.Until = "never" }, 0, 1, 0, 0, 0},
		"another package":         {func(a *config.AllowedAdvisory) { a.Package = "other" }, 0, 0, 0, 0, 1},
		"another place":           {func(a *config.AllowedAdvisory) { a.In = "image" }, 0, 0, 0, 0, 0},
		"another id":              {func(a *config.AllowedAdvisory) { a.ID = "CVE-2026-2" }, 0, 0, 0, 0, 1},
		"ended and nothing there": {func(a *config.AllowedAdvisory) { a.ID, a.Until = "CVE-2026-2", "2026-01-01" }, 0, 0, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			v := Advisories([]advisory.Finding{finding(nil)}, with(tc.change), "locks", now)
			assert.Len(t, v.Allowed(), tc.allowed)
			assert.Len(t, v.Of(Fail), 1-tc.allowed)
			assert.Len(t, v.Expired, tc.expired)
			assert.Len(t, v.TooLong, tc.long)
			assert.Len(t, v.Ending, tc.ending)
			assert.Len(t, v.Unused, tc.unused)
		})
	}
}

// TestAnAdvisoryForSeveral is one of a distribution, which names the CVE of each vulnerability.
func TestAnAdvisoryForSeveral(t *testing.T) {
	several := finding(func(f *advisory.Finding) { f.ID, f.Aliases = "ALSA-1", []string{"CVE-2026-1", "CVE-2026-2"} })
	for want, ids := range map[string][]string{
		"one is not all": {"CVE-2026-1"}, "all": {"CVE-2026-1", "cve-2026-2"}, "the advisory": {"ALSA-1"},
	} {
		r := rules(func(r *config.Security) {
			for _, id := range ids {
				r.Allow = append(r.Allow, config.AllowedAdvisory{ID: id, Package: "demo", In: "image", Reason: "x", Until: "2027-01-31"})
			}
		})
		v := Advisories([]advisory.Finding{several}, r, "image", now)
		assert.Equal(t, want != "one is not all", len(v.Allowed()) == 1, want)
		assert.Empty(t, v.Unused)
	}
}

func TestDatabase(t *testing.T) {
	day := 24 * time.Hour
	for name, tc := range map[string]struct {
		change func(*advisory.Database)
		want   FaultKind
		text   string
	}{
		"fresh":                    {nil, 0, ""},
		"built six days ago":       {func(d *advisory.Database) { d.Built = now.Add(-6 * day) }, Stale, "built"},
		"built today of old data":  {func(d *advisory.Database) { d.Data["github"] = now.Add(-8 * day) }, Stale, "data of github"},
		"no provider":              {func(d *advisory.Database) { delete(d.Data, "github") }, Incomplete, "no advisories of github"},
		"a provider without any":   {func(d *advisory.Database) { d.Records = map[string]int{"debian": 5} }, Incomplete, "no advisories of github"},
		"no time of the building":  {func(d *advisory.Database) { d.Built = time.Time{} }, Corrupt, "does not say"},
		"no time of the data":      {func(d *advisory.Database) { d.Data["github"] = time.Time{} }, Corrupt, "does not say"},
		"built tomorrow":           {func(d *advisory.Database) { d.Built = now.Add(2 * day) }, Corrupt, "in the future"},
		"data of next year":        {func(d *advisory.Database) { d.Data["github"] = now.Add(365 * day) }, Corrupt, "in the future"},
		"another provider is old":  {func(d *advisory.Database) { d.Data["debian"] = now.Add(-99 * day) }, 0, ""},
		"OSV has no building time": {func(d *advisory.Database) { d.Kind, d.Built = "osv", time.Time{} }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := advisory.Database{Kind: "grype", Built: now.Add(-day), Data: map[string]time.Time{"github": now.Add(-day), "debian": now.Add(-day)}}
			if tc.change != nil {
				tc.change(&d)
			}
			faults := Database(d, rules(nil), []string{"github"}, now)
			if tc.want == 0 {
				assert.Empty(t, faults)
				return
			}
			require.Len(t, faults, 1)
			assert.Equal(t, tc.want, faults[0].Kind)
			assert.Contains(t, faults[0].Text, tc.text)
		})
	}
}
