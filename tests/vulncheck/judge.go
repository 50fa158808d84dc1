package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// longest is how long an entry of the allow-list may hold: what is allowed for longer than half a year is forgotten.
const longest = 180 * 24 * time.Hour

// An Exception is an advisory that is known and not fixed yet.
type Exception struct {
	ID     string    // of the Go vulnerability database: GO-2026-6508
	Module string    // the module that has to be updated
	Reason string    // why it cannot be fixed here
	Since  time.Time // when it was allowed
	Until  time.Time // the last day on which it is allowed
}

// ParseAllowed reads the allow-list: a JSON array of entries with id, module, reason, since and until (YYYY-MM-DD). It returns
// every problem of the list at once: a missing field, an end that is too far away, an advisory that is named twice.
func ParseAllowed(data []byte) ([]Exception, error) {
	var raw []struct{ ID, Module, Reason, Since, Until string }
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, err
	}
	var problems []error
	var allowed []Exception
	seen := map[string]bool{}
	for _, entry := range raw {
		since, errSince := time.Parse(time.DateOnly, entry.Since)
		until, errUntil := time.Parse(time.DateOnly, entry.Until)
		switch {
		case entry.ID == "" || entry.Module == "" || entry.Reason == "":
			problems = append(problems, fmt.Errorf("entry %q: id, module and reason are required", entry.ID))
		case errSince != nil || errUntil != nil:
			problems = append(problems, fmt.Errorf("entry %s: since and until must be dates such as 2026-11-29", entry.ID))
		case until.Sub(since) > longest || !until.After(since):
			problems = append(problems, fmt.Errorf("entry %s: until must be 1 to 180 days after since", entry.ID))
		case seen[entry.ID]:
			problems = append(problems, fmt.Errorf("entry %s: listed twice", entry.ID))
		}
		seen[entry.ID] = true
		allowed = append(allowed, Exception{entry.ID, entry.Module, entry.Reason, since, until})
	}
	return allowed, errors.Join(problems...)
}

// A Report says which reachable advisories were found, and why each may or may not stay.
type Report struct {
	Failed    []string // reachable and not allowed, or no longer allowed
	Allowed   []string // reachable, with an entry that still holds
	Toolchain []string // of the Go toolchain that compiled the packages
	Stale     []string // entries whose advisory was not found any more
}

// Passed tells whether nothing reachable is left that is not allowed.
func (r Report) Passed() bool { return len(r.Failed) == 0 }

// String renders the report, one finding a line.
func (r Report) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "vulncheck: %d to fix, %d allowed, %d of the Go toolchain\n", len(r.Failed), len(r.Allowed), len(r.Toolchain))
	for _, group := range []struct {
		title string
		lines []string
	}{{"FIX", r.Failed}, {"allowed", r.Allowed}, {"toolchain", r.Toolchain}, {"remove from the allow-list", r.Stale}} {
		for _, line := range group.lines {
			fmt.Fprintf(&text, "  %s: %s\n", group.title, line)
		}
	}
	return text.String()
}

// message is one object of the stream that `govulncheck -format json` writes.
type message struct {
	Config   *struct{ DB string }
	Progress *struct{ Message string }
	OSV      *struct{ ID, Summary string }
	Finding  *struct {
		OSV          string
		FixedVersion string `json:"fixed_version"`
		Trace        []struct{ Module, Version, Package, Function string }
	}
}

// Judge reads the stream of `govulncheck -format json` and holds each advisory that the code can reach against the allow-list.
// A stream without configuration, without an advisory or without findings to look through is an error: govulncheck looked at
// nothing, and that is never a pass.
func Judge(stream io.Reader, allowed []Exception, now time.Time) (Report, error) {
	var report Report
	summaries, found := map[string]string{}, map[string]bool{}
	configured := false
	for decoder := json.NewDecoder(stream); ; {
		var m message
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return Report{}, fmt.Errorf("read the output of govulncheck: %w", err)
		}
		if m.Config != nil {
			configured = m.Config.DB != ""
		}
		if m.OSV != nil {
			summaries[m.OSV.ID] = m.OSV.Summary
		}
		if m.Finding == nil || len(m.Finding.Trace) == 0 || m.Finding.Trace[0].Function == "" || found[m.Finding.OSV] {
			continue
		}
		found[m.Finding.OSV] = true
		at := m.Finding.Trace[0]
		fixed := m.Finding.FixedVersion
		if fixed == "" {
			fixed = "no release"
		}
		line := fmt.Sprintf("%s %s@%s, fixed in %s: %s", m.Finding.OSV, at.Module, at.Version, fixed, summaries[m.Finding.OSV])
		report.add(line, m.Finding.OSV, at.Module, allowed, now)
	}
	if !configured {
		return Report{}, errors.New("govulncheck named no advisory database")
	}
	if len(summaries) == 0 {
		return Report{}, errors.New("govulncheck considered no advisory at all: the database is empty or no package was loaded")
	}
	for _, exception := range allowed {
		if !found[exception.ID] {
			report.Stale = append(report.Stale, fmt.Sprintf("%s %s is not reachable any more", exception.ID, exception.Module))
		}
	}
	for _, lines := range [][]string{report.Failed, report.Allowed, report.Toolchain} {
		slices.Sort(lines)
	}
	return report, nil
}

func (r *Report) add(line, id, module string, allowed []Exception, now time.Time) {
	if module == "stdlib" || module == "toolchain" {
		r.Toolchain = append(r.Toolchain, line)
		return
	}
	for _, exception := range allowed {
		if exception.ID != id || exception.Module != module {
			continue
		}
		until := exception.Until.Format(time.DateOnly)
		if now.Before(exception.Until.AddDate(0, 0, 1)) {
			r.Allowed = append(r.Allowed, fmt.Sprintf("%s (until %s: %s)", line, until, exception.Reason))
			return
		}
		line += " (was allowed until " + until + ")"
	}
	r.Failed = append(r.Failed, line)
}
