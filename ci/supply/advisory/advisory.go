// Package advisory finds known vulnerabilities of packages, in a database of OSV records or in Grype's report. It does not
// judge them.
package advisory

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Severities, by their names in the configuration.
const (
	Critical   = "critical"
	High       = "high"
	Medium     = "medium"
	Low        = "low"
	Negligible = "negligible"
	Unknown    = "unknown"
)

// rank orders severities from least to most severe; Unknown has no rank.
var rank = map[string]int{Critical: 5, High: 4, Medium: 3, Low: 2, Negligible: 1, Unknown: 0}

// Database is the identity and age of the advisories that packages were compared with.
type Database struct {
	// Kind is "osv" or "grype", Schema its version.
	Kind   string `json:"kind"`
	Schema string `json:"schema,omitempty"`
	// Built is when the database was built; zero if the format does not say.
	Built time.Time `json:"built,omitzero"`
	// Data is, per provider, when its data were collected or its newest record changed.
	Data map[string]time.Time `json:"data"`
	// Records is the number of advisories per provider; 0 if the report does not say.
	Records map[string]int `json:"records,omitempty"`
	// Digest is the SHA-256 of the database in hex, or the checksum that its publisher gives.
	Digest string `json:"digest,omitempty"`
	// Exploited is set if the database knows which vulnerabilities are exploited.
	Exploited bool `json:"knows_exploited"`
}

// Oldest returns the provider with the oldest data, and their time.
func (d Database) Oldest() (provider string, at time.Time) {
	for name, data := range d.Data {
		if provider == "" || data.Before(at) || data.Equal(at) && name < provider {
			provider, at = name, data
		}
	}
	return provider, at
}

// Finding is one vulnerability of one package.
type Finding struct {
	// ID is its best known name, Aliases are all others.
	ID      string   `json:"id"`
	Aliases []string `json:"aliases,omitempty"`
	// Package, Version and Type identify the package; Type is that of its package URL, such as pypi.
	Package string `json:"package"`
	Version string `json:"version"`
	Type    string `json:"type"`
	// Severity is one of the constants; Score is the highest base score, or 0.
	Severity string  `json:"severity"`
	Score    float64 `json:"score,omitempty"`
	// Fixed are the versions that fix it; empty if there is no fix.
	Fixed []string `json:"fixed,omitempty"`
	// Published is when it became known; zero if the database does not say.
	Published time.Time `json:"published,omitzero"`
	// Exploited is set if it is known to be exploited.
	Exploited bool `json:"exploited,omitempty"`
	// Uncertain is the reason why it could not be ruled out; empty for a definite match.
	Uncertain string `json:"uncertain,omitempty"`
	// Locations are where the package was found.
	Locations []string `json:"locations,omitempty"`
}

// Names returns all names of the vulnerability.
func (f Finding) Names() []string { return append([]string{f.ID}, f.Aliases...) }

// Merge merges findings of one package that share a name, so that a vulnerability is counted once. The result has the highest
// known severity, the earliest publication and all fixes.
func Merge(findings []Finding) []Finding {
	group := make([]int, len(findings))
	byName := map[string]int{}
	var find func(int) int
	find = func(i int) int {
		if group[i] != i {
			group[i] = find(group[i])
		}
		return group[i]
	}
	for i, f := range findings {
		group[i] = i
		for _, name := range f.Names() {
			key := strings.ToLower(strings.Join([]string{f.Type, f.Package, f.Version, name}, "\x00"))
			if j, known := byName[key]; known {
				group[find(i)] = find(j)
			}
			byName[key] = i
		}
	}
	merged := map[int]*Finding{}
	for i, f := range findings {
		if into := merged[find(i)]; into != nil {
			into.join(f)
			continue
		}
		merged[find(i)] = &f
	}
	var all []Finding
	for _, f := range merged {
		f.settle()
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(rank[b.Severity]-rank[a.Severity], strings.Compare(a.Package, b.Package), strings.Compare(a.Version, b.Version),
			strings.Compare(a.ID, b.ID))
	})
	return all
}

func (f *Finding) join(other Finding) {
	f.Aliases = append(append(slices.Clone(f.Aliases), other.ID), other.Aliases...)
	f.Fixed = append(slices.Clone(f.Fixed), other.Fixed...)
	f.Locations = append(slices.Clone(f.Locations), other.Locations...)
	if rank[other.Severity] > rank[f.Severity] {
		f.Severity = other.Severity
	}
	f.Score = max(f.Score, other.Score)
	if f.Published.IsZero() || !other.Published.IsZero() && other.Published.Before(f.Published) {
		f.Published = other.Published
	}
	f.Exploited = f.Exploited || other.Exploited
	if f.Uncertain != "" {
		f.Uncertain = other.Uncertain
	}
}

// settle makes the best known name the ID.
func (f *Finding) settle() {
	names := f.Names()
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(fame(a)-fame(b), strings.Compare(a, b)) })
	names = slices.Compact(names)
	f.ID, f.Aliases = names[0], names[1:]
	slices.Sort(f.Fixed)
	f.Fixed = slices.Compact(f.Fixed)
	slices.Sort(f.Locations)
	f.Locations = slices.Compact(f.Locations)
	if _, known := rank[f.Severity]; !known {
		f.Severity = Unknown
	}
}

func fame(id string) int {
	for i, prefix := range []string{"CVE-", "GHSA-", "PYSEC-"} {
		if strings.HasPrefix(id, prefix) {
			return i
		}
	}
	return 3
}
