package advisory

import (
	"errors"
	"slices"
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	pep440 "github.com/aquasecurity/go-pep440-version"
)

// includes reports whether a version is affected. If that cannot be decided it is, with the reason.
func (a affected) includes(version string) (is bool, uncertain string) {
	v, err := pep440.Parse(version)
	if err != nil {
		return true, "the version " + version + " cannot be compared"
	}
	public := release(v, version)
	for _, one := range a.Versions {
		if other, err := pep440.Parse(one); one == version || err == nil && (other.Equal(v) || other.Equal(public)) {
			return true, ""
		}
	}
	comparable := len(a.Versions) > 0
	for _, r := range a.Ranges {
		if r.Type != "ECOSYSTEM" && r.Type != "SEMVER" {
			continue
		}
		comparable = true
		in, err := r.includes(v)
		if err != nil {
			return true, "the advisory's range cannot be compared: " + err.Error()
		}
		if in {
			return true, ""
		}
	}
	if !comparable {
		return true, "the advisory names no versions"
	}
	return false, ""
}

// release returns a version without its local part: 2.0+cpu is a build of 2.0 and has the same vulnerabilities.
func release(v pep440.Version, text string) pep440.Version {
	public, _, local := strings.Cut(text, "+")
	if parsed, err := pep440.Parse(public); local && err == nil {
		return parsed
	}
	return v
}

// includes evaluates the events of a range by version, as OSV's schema requires: introduced, then fixed, last_affected or
// nothing.
func (r versions) includes(v pep440.Version) (bool, error) {
	type event struct {
		kind string
		at   pep440.Version
	}
	in, begins := false, false
	var events []event
	for _, e := range r.Events {
		for kind, text := range e {
			switch {
			case kind == "introduced" && text == "0":
				in, begins = true, true
			case kind == "introduced", kind == "fixed", kind == "last_affected":
				at, err := pep440.Parse(text)
				if err != nil {
					return false, err
				}
				events = append(events, event{kind, at})
				begins = begins || kind == "introduced"
			}
		}
	}
	if !begins {
		return false, errors.New("it has no beginning")
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	for _, e := range events {
		switch e.kind {
		case "introduced":
			in = in || !v.LessThan(e.at)
		case "fixed":
			in = in && v.LessThan(e.at)
		case "last_affected":
			in = in && !release(v, v.String()).GreaterThan(e.at)
		}
	}
	return in, nil
}

// fixes returns the versions that fix it and are newer than the given one.
func (a affected) fixes(version string) []string {
	v, err := pep440.Parse(version)
	var fixes []string
	for _, r := range a.Ranges {
		for _, event := range r.Events {
			fixed := event["fixed"]
			if fixed == "" || r.Type == "GIT" {
				continue
			}
			if at, bad := pep440.Parse(fixed); err == nil && bad == nil && !at.GreaterThan(v) {
				continue
			}
			fixes = append(fixes, fixed)
		}
	}
	return fixes
}

// severity returns the highest severity in a record, from CVSS scores or words.
func severity(scores []score, words ...any) (name string, highest float64) {
	name = Unknown
	take := func(other string) {
		if rank[other] > rank[name] {
			name = other
		}
	}
	for _, s := range scores {
		if base, ok := baseScore(s.Score); ok {
			highest = max(highest, base)
			take(rating(base))
		}
	}
	for _, word := range words {
		text, _ := word.(string)
		take(Word(text))
	}
	return name, highest
}

// Word returns the severity for a database's word, or Unknown.
func Word(text string) string {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "critical":
		return Critical
	case "high", "important":
		return High
	case "moderate", "medium":
		return Medium
	case "low":
		return Low
	case "negligible", "none":
		return Negligible
	}
	return Unknown
}

// rating is the qualitative scale of CVSS 3 and 4.
func rating(base float64) string {
	switch {
	case base >= 9:
		return Critical
	case base >= 7:
		return High
	case base >= 4:
		return Medium
	case base > 0:
		return Low
	}
	return Negligible
}

// baseScore returns the base score of a CVSS vector of version 2, 3 or 4.
func baseScore(vector string) (float64, bool) {
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		if v, err := gocvss40.ParseVector(vector); err == nil {
			return v.Score(), true
		}
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		if v, err := gocvss31.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		if v, err := gocvss30.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case strings.HasPrefix(vector, "AV:"):
		if v, err := gocvss20.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	}
	return 0, false
}
