// Package secrets reads Gitleaks' findings. No result contains a secret's value.
package secrets

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/supply/judge"
)

// Finding is a place that looks like a secret.
type Finding struct {
	// Rule is the name of the rule that found it.
	Rule string `json:"rule"`
	// File is relative to the searched directory, Line counts from 1. For a file in an archive, File is archive!file.
	File string `json:"file"`
	Line int    `json:"line"`
	// Commit is the revision that added it, in a search of the history. If it is unknown, Object is the file's content in the
	// repository.
	Commit string `json:"commit,omitempty"`
	Object string `json:"object,omitempty"`
}

// String is file:line (rule).
func (f Finding) String() string {
	switch {
	case f.Commit != "":
		return fmt.Sprintf("%s:%d in commit %.12s (%s)", f.File, f.Line, f.Commit, f.Rule)
	case f.Object != "":
		return fmt.Sprintf("%s:%d in object %.12s of the history (%s)", f.File, f.Line, f.Object, f.Rule)
	}
	return fmt.Sprintf("%s:%d (%s)", f.File, f.Line, f.Rule)
}

// maxFindings limits a report.
const maxFindings = 100_000

// Read parses Gitleaks' JSON report. below is the searched directory: paths are made relative to it, and a path outside of it
// is an error. Only rule, place and commit are kept.
func Read(report []byte, below string) ([]Finding, error) {
	var entries []struct {
		RuleID    string
		File      string
		StartLine int
		Commit    string
	}
	if err := json.Unmarshal(report, &entries); err != nil {
		// The error of encoding/json may quote its input.
		return nil, errors.New("read report of gitleaks: it is not the list of findings that was asked for")
	}
	if entries == nil {
		return nil, errors.New("read report of gitleaks: it has no list")
	}
	if len(entries) > maxFindings {
		return nil, fmt.Errorf("read report of gitleaks: more than %d findings", maxFindings)
	}
	found := make([]Finding, 0, len(entries))
	for _, e := range entries {
		file := path.Clean(e.File)
		if below != "" {
			inner, ok := strings.CutPrefix(file, below+"/")
			if !ok {
				return nil, errors.New("read report of gitleaks: a finding is outside of what was searched")
			}
			file = inner
		}
		if e.RuleID == "" {
			return nil, errors.New("read report of gitleaks: a finding has no rule")
		}
		found = append(found, Finding{Rule: e.RuleID, File: file, Line: e.StartLine, Commit: e.Commit})
	}
	return found, nil
}

// Verdict is the judgement on the findings.
type Verdict struct {
	Failed, Allowed []Finding
	judge.Exceptions
}

// Judge sorts findings by the exceptions that apply on a given day.
func Judge(found []Finding, allowed []config.AllowedSecret, now time.Time) Verdict {
	var v Verdict
	used := make([]bool, len(allowed))
	for _, f := range found {
		excepted := false
		for i, a := range allowed {
			if a.Rule == f.Rule && glob.Match(a.Path, f.File) {
				used[i] = true
				excepted = excepted || judge.Holds(a.Until, now)
			}
		}
		if excepted {
			v.Allowed = append(v.Allowed, f)
		} else {
			v.Failed = append(v.Failed, f)
		}
	}
	for i, a := range allowed {
		v.Note(a.Rule+" in "+a.Path, a.Until, used[i], now)
	}
	slices.SortStableFunc(v.Failed, func(a, b Finding) int { return strings.Compare(a.String(), b.String()) })
	return v
}
