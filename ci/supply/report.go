package supply

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
	"github.com/openstack-rca/openstack-rca/ci/supply/judge"
	"github.com/openstack-rca/openstack-rca/ci/supply/locks"
	"github.com/openstack-rca/openstack-rca/ci/supply/secrets"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// results are the audit's results for the report.
type results struct {
	packages []locks.Package
	// loose are requirements without an exact version.
	loose           []locks.Loose
	bom             []byte
	database        *advisory.Database
	vulnerabilities judge.Verdict
	secrets         secrets.Verdict
}

// report adds the audit's tables and files.
func (a *audit) report() {
	for _, state := range []struct {
		name string
		all  []string
	}{{"ending", a.waivers.Ending}, {"expired", a.waivers.Expired}, {"too_long", a.waivers.TooLong}, {"unused", a.waivers.Unused}} {
		a.stage.Measure(verdict.MeasureWaivers, a.folder()+"/"+state.name, float64(len(state.all)), nil)
	}
	table := &verdict.Table{Columns: []string{"Package", "Version", "Vulnerability", "Severity", "Fixed in", "Leads to"}}
	for _, j := range a.found.vulnerabilities.All {
		table.Rows = append(table.Rows, []string{
			j.Package, j.Version, strings.Join(j.Names(), ", "), j.Severity, joinOr(j.Fixed, "no version"), LeadsTo(j),
		})
	}
	if len(table.Rows) > 0 {
		a.stage.Blocks = append(a.stage.Blocks, verdict.Block{Title: "Known vulnerabilities", Table: table})
	}
	if rows := a.found.secrets.Failed; len(rows) > 0 {
		table := &verdict.Table{Columns: []string{"File", "Line", "Rule"}}
		for _, f := range rows {
			table.Rows = append(table.Rows, []string{f.File, fmt.Sprint(f.Line), f.Rule})
		}
		a.stage.Blocks = append(a.stage.Blocks, verdict.Block{Title: "What looks like a secret", Table: table})
	}
	if a.found.bom != nil {
		a.file("sbom.cdx.json", a.found.bom)
	}
	findings := make([]map[string]any, 0, len(a.found.vulnerabilities.All))
	for _, j := range a.found.vulnerabilities.All {
		findings = append(findings, map[string]any{"finding": j.Finding, "leads_to": LeadsTo(j)})
	}
	a.encoded("findings.json", map[string]any{
		"database": a.found.database, "vulnerabilities": findings,
		"secrets":         append([]secrets.Finding{}, a.found.secrets.Failed...),
		"allowed_secrets": append([]secrets.Finding{}, a.found.secrets.Allowed...),
	})
	a.encoded(a.folder()+".sarif", a.found.sarif())
	for _, note := range a.found.notes() {
		a.stage.Note(note)
	}
}

// notes are findings that fail or warn, beside their lines in the source.
func (r *results) notes() []verdict.Note {
	var all []verdict.Note
	levels := map[string]string{judge.Fail: verdict.NoteError, judge.Warn: verdict.NoteWarning}
	for _, j := range r.vulnerabilities.All {
		level := levels[j.Action]
		if level == "" || j.Allowed != nil {
			continue
		}
		for _, p := range r.packages {
			if p.Name == j.Package && p.Version == j.Version {
				all = append(all, verdict.Note{
					File: p.File, Line: p.Line, Level: level, Title: "known vulnerability in " + j.Package, Text: oneLine(j.Finding),
				})
			}
		}
	}
	for _, f := range r.secrets.Failed {
		all = append(all, verdict.Note{File: f.File, Line: f.Line, Level: verdict.NoteError, Title: "this looks like a secret", Text: f.Rule})
	}
	for _, l := range r.loose {
		all = append(all, verdict.Note{File: l.File, Line: l.Line, Level: verdict.NoteError, Title: "no exact version", Text: l.Text})
	}
	return all
}

// LeadsTo formats the consequence of a vulnerability with its reason: fail (known to be exploited).
func LeadsTo(j judge.Judged) string {
	switch {
	case j.Allowed != nil:
		return "allowed until " + j.Allowed.Until + ": " + j.Allowed.Reason
	case j.Why != "":
		return j.Action + " (" + j.Why + ")"
	}
	return j.Action
}

// folder returns the directory of the stage's files in the report.
func (a *audit) folder() string {
	if a.stage.Name == verdict.Scan {
		return "scan"
	}
	return "audit"
}

func (a *audit) file(name string, content []byte) {
	a.stage.Files = append(a.stage.Files, verdict.ReportFile{Path: a.folder() + "/" + name, Content: content})
}

func (a *audit) encoded(name string, value any) {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		a.fail(ReportUnreadable, "write %s: %v", name, err)
		return
	}
	a.file(name, append(content, '\n'))
}

// sarif returns the findings in the form that code hosts show beside the lines.
func (r *results) sarif() any {
	type object = map[string]any
	results, rules, seen := []object{}, []object{}, map[string]bool{}
	add := func(rule, level, text, file string, line int) {
		if !seen[rule] {
			seen[rule] = true
			rules = append(rules, object{"id": rule})
		}
		location := object{"artifactLocation": object{"uri": file}}
		if line > 0 {
			location["region"] = object{"startLine": line}
		}
		results = append(results, object{
			"ruleId": rule, "level": level, "message": object{"text": text}, "locations": []object{{"physicalLocation": location}},
		})
	}
	levels := map[string]string{judge.Fail: "error", judge.Warn: "warning", judge.Note: "note"}
	for _, j := range r.vulnerabilities.All {
		level := levels[j.Action]
		if j.Allowed != nil {
			level = "note"
		}
		places := 0
		for _, p := range r.packages {
			if p.Name == j.Package && p.Version == j.Version {
				add(j.ID, level, oneLine(j.Finding), p.File, p.Line)
				places++
			}
		}
		for _, place := range j.Locations[:min(1, len(j.Locations))] {
			if places == 0 { // an image has no lines
				add(j.ID, level, oneLine(j.Finding), strings.TrimPrefix(place, "/"), 0)
			}
		}
	}
	for _, f := range r.secrets.Failed {
		add(f.Rule, "error", "something that looks like a secret", f.File, f.Line)
	}
	for _, l := range r.loose {
		add("unpinned", "error", l.Text, l.File, l.Line)
	}
	return object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
		"runs": []object{{"tool": object{"driver": object{"name": "openstack-rca audit", "rules": rules}}, "results": results}},
	}
}
