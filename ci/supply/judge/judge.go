// Package judge decides what vulnerabilities, secrets and licences mean: what fails, what is allowed until when, and whether
// enough was examined. It is pure: it reads no clock and no file.
package judge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
	"github.com/openstack-rca/openstack-rca/ci/supply/locks"
)

// Limits of an exception.
const (
	// Longest is how far in the future an exception may end.
	Longest = 180 * 24 * time.Hour
	// Soon is how long before its end an exception causes a warning.
	Soon = 14 * 24 * time.Hour
)

// Actions, by their names in the configuration.
const (
	Fail = "fail"
	Warn = "warn"
	Note = "note"
)

// Judged is a finding with its consequence.
type Judged struct {
	advisory.Finding
	// Action is Fail, Warn or Note; Allowed is the exception that applies, or nil.
	Action  string
	Allowed *config.AllowedAdvisory
	// Why explains an action that is not the severity's.
	Why string
}

// Verdict is the judgement on all findings in one place.
type Verdict struct {
	All []Judged
	Exceptions
}

// Exceptions are sentences about the exceptions themselves.
type Exceptions struct {
	// Expired exceptions have ended but are still needed, TooLong ones end too far in the future: both fail.
	Expired, TooLong []string
	// Ending exceptions end soon, Unused ones match nothing: both warn.
	Ending, Unused []string
}

// Of returns the findings with the given action.
func (v Verdict) Of(action string) []Judged {
	return slices.DeleteFunc(slices.Clone(v.All), func(j Judged) bool { return j.Allowed != nil || j.Action != action })
}

// Allowed returns the findings that an exception covers.
func (v Verdict) Allowed() []Judged {
	return slices.DeleteFunc(slices.Clone(v.All), func(j Judged) bool { return j.Allowed == nil })
}

// Advisories judges merged findings in one place ("locks" or "image") by the rules.
func Advisories(findings []advisory.Finding, rules config.Security, place string, now time.Time) Verdict {
	var v Verdict
	used := make([]bool, len(rules.Allow))
	for _, f := range findings {
		j := action(f, rules, now)
		var holding []config.AllowedAdvisory
		for i, allowed := range rules.Allow {
			if allowed.Version != "" && allowed.Version != f.Version {
				continue
			}
			if allowed.In != place || !Same(allowed.Package, f.Package) || !named(f, allowed.ID) {
				continue
			}
			used[i] = true
			if Holds(allowed.Until, now) {
				holding = append(holding, allowed)
			}
		}
		j.Allowed = covering(f, holding)
		v.All = append(v.All, j)
	}
	for i, allowed := range rules.Allow {
		// A VEX document is for all users of the project. It need not match anything, and its end is computed, not chosen.
		if allowed.In == place && (!allowed.Stated || used[i]) {
			v.Note(fmt.Sprintf("%s in %s", allowed.ID, allowed.Package), allowed.Until, used[i], now)
		}
	}
	return v
}

// covering returns the exception that allows a finding. An advisory for several vulnerabilities has the CVE of each; an
// exception for one of these CVEs does not allow the others.
func covering(f advisory.Finding, holding []config.AllowedAdvisory) *config.AllowedAdvisory {
	if len(holding) == 0 {
		return nil
	}
	cve := func(id string) bool { return len(id) > 4 && strings.EqualFold(id[:4], "CVE-") }
	for _, allowed := range holding {
		if !cve(allowed.ID) {
			return &allowed
		}
	}
	for _, name := range f.Names() {
		if cve(name) && !slices.ContainsFunc(holding, func(a config.AllowedAdvisory) bool { return strings.EqualFold(a.ID, name) }) {
			return nil
		}
	}
	return &holding[0]
}

// Holds reports whether an exception applies: its last day has not passed and is not too far in the future.
func Holds(until string, now time.Time) bool { return !past(until, now) && !tooLong(until, now) }

// Note adds the findings about one exception, whether or not it was used.
func (e *Exceptions) Note(what, until string, used bool, now time.Time) {
	switch {
	case tooLong(until, now):
		e.TooLong = append(e.TooLong, fmt.Sprintf("%s until %s", what, until))
	case !used:
		e.Unused = append(e.Unused, fmt.Sprintf("%s until %s", what, until))
	case past(until, now):
		e.Expired = append(e.Expired, fmt.Sprintf("%s ended on %s", what, until))
	case end(until).Sub(now) < Soon:
		e.Ending = append(e.Ending, fmt.Sprintf("%s ends on %s", what, until))
	}
}

// end returns the moment after the last day, or the zero time, which is past, for an invalid day.
func end(until string) time.Time {
	day, err := time.Parse(time.DateOnly, until)
	if err != nil {
		return time.Time{}
	}
	return day.AddDate(0, 0, 1)
}

func past(until string, now time.Time) bool { return !now.Before(end(until)) }

func tooLong(until string, now time.Time) bool {
	return end(until).Sub(now) > Longest+24*time.Hour
}

// Same reports whether two names mean the same package.
func Same(allowed, found string) bool {
	return strings.EqualFold(allowed, found) || locks.Normal(allowed) == locks.Normal(found)
}

func named(f advisory.Finding, id string) bool {
	return slices.ContainsFunc(f.Names(), func(name string) bool { return strings.EqualFold(name, id) })
}

// action returns the consequence of a finding without exceptions.
func action(f advisory.Finding, rules config.Security, now time.Time) Judged {
	j := Judged{Finding: f, Action: rules.Severity[f.Severity]}
	if j.Action == "" || f.Severity == advisory.Unknown && j.Action == Note {
		j.Action = Fail // nothing unconfigured may pass silently
	}
	if f.Exploited {
		j.Action, j.Why = Fail, "known to be exploited"
		return j
	}
	if len(f.Fixed) == 0 && weight[rules.Unfixed] < weight[j.Action] {
		j.Action, j.Why = rules.Unfixed, "no version fixes it"
		if weight[j.Action] == 0 || f.Severity == advisory.Unknown { // it may be critical
			j.Action = Warn
		}
	}
	grace := map[string]time.Duration{
		advisory.Critical: rules.Grace.Critical.Std(), advisory.High: rules.Grace.High.Std(), advisory.Medium: rules.Grace.Medium.Std(),
	}[f.Severity]
	// A date in the future counts as unknown; it would be an unlimited grace period.
	dated := !f.Published.IsZero() && !f.Published.After(now)
	if until := f.Published.Add(grace); j.Action == Fail && dated && now.Before(until) {
		j.Action, j.Why = Warn, "published on "+f.Published.UTC().Format(time.DateOnly)+", fails from "+until.UTC().Format(time.DateOnly)
	}
	return j
}

var weight = map[string]int{Fail: 3, Warn: 2, Note: 1}

// Fault is a reason why a database is insufficient.
type Fault struct {
	Kind FaultKind
	Text string
}

// FaultKind is the kind of a Fault.
type FaultKind int

// Kinds of faults.
const (
	// Stale: the database was built, or its data were collected, too long ago.
	Stale FaultKind = iota + 1
	// Incomplete: the provider for a package in use is missing.
	Incomplete
	// Corrupt: the database contradicts itself, such as with a time in the future.
	Corrupt
)

// fresh is by how much a database may be ahead of this machine's clock.
const fresh = 24 * time.Hour

// Database returns why a database is insufficient for packages of the needed providers.
func Database(d advisory.Database, rules config.Security, needed []string, now time.Time) []Fault {
	var faults []Fault
	add := func(kind FaultKind, format string, args ...any) {
		faults = append(faults, Fault{kind, fmt.Sprintf(format, args...)})
	}
	age := func(what string, at time.Time, most time.Duration) {
		switch {
		case at.IsZero():
			add(Corrupt, "it does not say when %s", what)
		case at.Sub(now) > fresh:
			add(Corrupt, "%s on %s, which is in the future", what, at.UTC().Format(time.DateTime))
		case now.Sub(at) > most:
			add(Stale, "%s on %s, %.0f days ago; the limit is %.0f", what, at.UTC().Format(time.DateOnly),
				now.Sub(at).Hours()/24, most.Hours()/24)
		}
	}
	if d.Kind != "osv" {
		age("it was built", d.Built, rules.MaxBuildAge.Std())
	}
	for _, provider := range needed {
		at, has := d.Data[provider]
		if !has || d.Records != nil && d.Records[provider] == 0 {
			add(Incomplete, "it has no advisories of %s", provider)
			continue
		}
		age("the data of "+provider+" were collected", at, rules.MaxDataAge.Std())
	}
	return faults
}
