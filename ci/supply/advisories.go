package supply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
	"github.com/openstack-rca/openstack-rca/ci/supply/judge"
	"github.com/openstack-rca/openstack-rca/ci/supply/locks"
	"github.com/openstack-rca/openstack-rca/ci/supply/tools"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// advisories compares the locked packages with an advisory database and judges the result.
func (a *audit) advisories(ctx context.Context) {
	file := a.Advisories
	if file == "" {
		if a.Fetch == nil {
			a.fail(AdvisoriesMissing, "none was given, and nothing is there to fetch one")
			return
		}
		var err error
		if file, err = a.Fetch(ctx); err != nil {
			a.fail(AdvisoriesMissing, "fetch advisories: %v", err)
			return
		}
	}
	if _, err := os.Stat(file); err != nil {
		a.fail(AdvisoriesMissing, "%s is not there", filepath.Base(file))
		return
	}
	bom, err := locks.BOM(a.Config.Name, a.found.packages)
	if err != nil {
		a.fail(ScannerFailed, "%v", err)
		return
	}
	a.found.bom = bom
	var all []advisory.Finding
	var database advisory.Database
	needed := []string{advisory.PyPI}
	packages := append(locks.Distinct(a.found.packages), control)
	if IsGrype(file) {
		needed = []string{"github"}
		var planted []byte
		if planted, err = locks.BOM(a.Config.Name, packages); err == nil {
			var matched advisory.Matched
			matched, err = a.grype(ctx, file, planted, []locks.Package{control})
			all, database = matched.Findings, matched.Database
		}
	} else {
		all, database, err = advisory.MatchOSV(ctx, file, packages)
	}
	var known *verdict.Problem
	switch {
	case errors.As(err, &known):
		known.Code = a.own(known.Code)
		a.problems = append(a.problems, known)
		return
	case err != nil:
		a.fail(AdvisoriesCorrupt, "%v", err)
		return
	}
	a.found.database = &database
	for _, l := range a.nameless {
		a.stage.Warn(NotCompared, "%s: %s", where(l.File, l.Line), l.Text)
	}
	if a.database(database, needed); len(a.problems) == 0 || !a.blind() {
		found, seen := split(all, a.found.packages)
		a.stage.Gate("planted vulnerability", seenText(seen), "found", seen)
		if !seen {
			a.fail(ScannerBlind, "%s %s, which was planted, was not found", control.Name, control.Version)
			return
		}
		a.found.vulnerabilities = judge.Advisories(advisory.Merge(found), a.Config.Security, "locks", a.Now)
		a.judged(DependencyVulnerable, a.found.vulnerabilities)
	}
}

// blind reports whether the database is unfit, so that neither findings nor their absence can be trusted.
func (a *audit) blind() bool {
	for _, p := range a.problems {
		if p.Code.Name == AdvisoriesIncomplete.Name || p.Code.Name == AdvisoriesCorrupt.Name {
			return true
		}
	}
	return false
}

func seenText(seen bool) string {
	if seen {
		return "found"
	}
	return "not found"
}

// database records the identity and age of the database, and its faults.
func (a *audit) database(d advisory.Database, needed []string) {
	provider, at := d.Oldest()
	if provider != "" {
		a.stage.Add("advisories", d.Kind+" of "+provider+", data of "+at.UTC().Format("2006-01-02"))
	}
	if provider != "" && !at.IsZero() {
		a.stage.Measure(verdict.MeasureAdvisories, a.folder()+"/data", float64(at.Unix()), nil)
	}
	if !d.Built.IsZero() {
		a.stage.Measure(verdict.MeasureAdvisories, a.folder()+"/built", float64(d.Built.Unix()), nil)
	}
	if d.Digest != "" {
		a.stage.Add("advisories digest", d.Digest)
	}
	if !d.Exploited {
		a.stage.Add("known exploited vulnerabilities", "not in this database")
	}
	codes := map[judge.FaultKind]verdict.Code{
		judge.Stale: AdvisoriesStale, judge.Incomplete: AdvisoriesIncomplete, judge.Corrupt: AdvisoriesCorrupt,
	}
	for _, fault := range judge.Database(d, a.Config.Security, needed, a.Now) {
		a.fail(codes[fault.Kind], "%s", fault.Text)
	}
}

// judged converts a judgement to problems and warnings.
func (a *audit) judged(code verdict.Code, v judge.Verdict) {
	failed := v.Of(judge.Fail)
	a.stage.Gate("vulnerabilities that fail", plural(len(failed), "vulnerability"), "none", len(failed) == 0)
	if len(failed) > 0 {
		problem := a.fail(code, "%s", oneLine(failed[0].Finding))
		if len(failed) > 1 {
			problem.Cause += ", and " + plural(len(failed)-1, "more")
		}
		for _, j := range failed {
			problem.Details = append(problem.Details, oneLine(j.Finding))
		}
	}
	for _, j := range v.Of(judge.Warn) {
		text := oneLine(j.Finding)
		if j.Why != "" && !strings.Contains(text, j.Why) {
			text += "; " + j.Why
		}
		a.stage.Warn(VulnerableWarn, "%s", text)
	}
	for _, j := range v.Allowed() {
		a.stage.Warn(VulnerableAllowed, "%s; allowed until %s: %s", oneLine(j.Finding), j.Allowed.Until, j.Allowed.Reason)
	}
	a.exceptions(v.Exceptions)
	a.measure(v)
}

// measure counts vulnerabilities without an exception. It includes every severity, so that a count of 0 is recorded too.
func (a *audit) measure(v judge.Verdict) {
	counts := map[string]int{}
	for _, j := range v.All {
		of := config.Severities[len(config.Severities)-1]
		if severity := strings.ToLower(j.Severity); slices.Contains(config.Severities, severity) {
			of = severity
		}
		if j.Allowed == nil {
			counts[of+"/"+map[bool]string{true: "fixable", false: "unfixed"}[len(j.Fixed) > 0]]++
		}
	}
	for _, severity := range config.Severities {
		for _, fixable := range []string{"/fixable", "/unfixed"} {
			a.stage.Measure(verdict.MeasureVulnerabilities, a.folder()+"/"+severity+fixable, float64(counts[severity+fixable]), nil)
		}
	}
}

// exceptions reports the findings about exceptions themselves.
func (a *audit) exceptions(e judge.Exceptions) {
	a.waive(e)
	for _, text := range e.Expired {
		a.fail(WaiverExpired, "%s", text)
	}
	for _, text := range e.TooLong {
		a.fail(WaiverTooLong, "%s", text)
	}
	for _, text := range e.Ending {
		a.stage.Warn(WaiverEndsSoon, "%s", text)
	}
	for _, text := range e.Unused {
		a.stage.Warn(WaiverUnused, "%s", text)
	}
}

// waive adds to the findings about all exceptions.
func (a *audit) waive(e judge.Exceptions) {
	a.waivers.Expired, a.waivers.TooLong = append(a.waivers.Expired, e.Expired...), append(a.waivers.TooLong, e.TooLong...)
	a.waivers.Ending, a.waivers.Unused = append(a.waivers.Ending, e.Ending...), append(a.waivers.Unused, e.Unused...)
}

// IsGrype reports whether a local path is a Grype database: its directory, with or without the subdirectory named after the
// schema version, or an archive of one.
func IsGrype(file string) bool {
	for _, ending := range []string{".tar.zst", ".tar.gz", ".tar.xz", ".tar"} {
		if strings.HasSuffix(file, ending) {
			return true
		}
	}
	for _, name := range []string{"vulnerability.db", "6/vulnerability.db"} {
		if _, err := os.Stat(filepath.Join(file, filepath.FromSlash(name))); err == nil {
			return true
		}
	}
	return false
}

// Paths in a step of Grype.
const (
	toolDir    = "tool"
	grypeOut   = "out/grype.json"
	reportSize = 1 << 30
)

// script imports an archive or uses a directory, then matches. The age of the database is judged in Go, because Grype checks
// only the build time, and ends without a report.
const script = `set -eu
mkdir -p out cache/6
if [ -f db/6/vulnerability.db ]; then cp -R db/6/. cache/6/
elif [ -f db/vulnerability.db ]; then cp -R db/. cache/6/
else ./tool/grype db import db/archive/* >&2; fi
./tool/grype sbom:bom.json --output json --file out/grype.json >&2
`

// grype runs Grype on a bill of materials with planted packages.
func (a *audit) grype(ctx context.Context, file string, bom []byte, planted []locks.Package) (advisory.Matched, error) {
	fail := func(code verdict.Code, format string, args ...any) (advisory.Matched, error) {
		return advisory.Matched{}, verdict.Problemf(code, format, args...)
	}
	program, problem := a.tool(ctx, tools.Grype)
	if problem != nil {
		return advisory.Matched{}, problem
	}
	key := a.grypeKey(ctx, program, file, bom)
	if report, ok := recalled(ctx, a, key, func(report []byte) bool { return hasAll(report, planted) }); ok {
		matched, err := advisory.ReadGrype(bytes.NewReader(report))
		a.stage.Add("grype", matched.Version)
		return matched, err
	}
	database, err := a.databaseFiles(file)
	if err != nil {
		return fail(AdvisoriesMissing, "use advisories: %v", err)
	}
	result, err := a.runner.Run(ctx, runner.Step{
		Name: "grype", Env: runner.Environment{Python: a.Config.Python, Files: a.runner.NewFiles(nil)},
		Inputs: []runner.Mount{
			{Path: toolDir, Files: program}, {Path: "db", Files: database},
			{Path: ".", Files: a.runner.NewFiles(map[string][]byte{"bom.json": bom})},
		},
		Args: []string{"sh", "-c", script},
		Vars: map[string]string{
			"GRYPE_DB_CACHE_DIR": "cache", "GRYPE_DB_AUTO_UPDATE": "false", "GRYPE_DB_VALIDATE_AGE": "false",
			"GRYPE_DB_VALIDATE_BY_HASH_ON_START": "true", "GRYPE_CHECK_FOR_APP_UPDATE": "false",
		},
		Outputs: []string{grypeOut}, Offline: true,
	})
	if err != nil {
		return fail(ScannerFailed, "run grype: %v", err)
	}
	size, err := result.Outputs.Size(ctx, grypeOut)
	switch {
	// Grype creates the report file before it searches.
	case errors.Is(err, fs.ErrNotExist), err == nil && size == 0:
		return advisory.Matched{}, noReport(result)
	case err != nil:
		return fail(ReportUnreadable, "%v", err)
	}
	matched, report, err := readGrype(ctx, result.Outputs, size, a.Scratch, a.Memory != nil)
	if err != nil {
		return fail(ReportUnreadable, "%v", err)
	}
	if report != nil {
		keep(a, key, report)
	}
	a.stage.Add("grype", matched.Version)
	return matched, nil
}

// noReport is the problem of a Grype run without a report.
func noReport(result *runner.Result) *verdict.Problem {
	tail := strings.Join(safetext.LastLines(result.Stderr, 5), " ")
	for _, sign := range []string{
		"checksum", "unable to open", "malformed", "not a database", "unable to import", "import vulnerability database", "no such table",
		"load vulnerability db", "hash", "disk i/o", "unexpected eof",
	} {
		if strings.Contains(strings.ToLower(tail), sign) {
			return verdict.Problemf(AdvisoriesCorrupt, "grype cannot read the database: %s", tail)
		}
	}
	return verdict.Problemf(ScannerFailed, "grype ended with %d and no report: %s", result.ExitCode, tail)
}

// readGrype reads the report from a local file, because it may be too large for memory. The content is only returned if it is
// wanted and small enough to keep.
func readGrype(
	ctx context.Context, outputs runner.Files, size int64, scratch string, wanted bool,
) (matched advisory.Matched, report []byte, err error) {
	if size > reportSize {
		return matched, nil, fmt.Errorf("the report of grype has %d bytes, more than %d", size, reportSize)
	}
	dir, err := os.MkdirTemp(scratch, "grype-")
	if err != nil {
		return matched, nil, fmt.Errorf("keep the report of grype: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := outputs.Export(ctx, dir); err != nil {
		return matched, nil, fmt.Errorf("keep the report of grype: %w", err)
	}
	local := filepath.Join(dir, filepath.FromSlash(grypeOut))
	if wanted && size <= maxReport {
		if report, err = os.ReadFile(local); err != nil { //nolint:gosec // exported above
			return matched, nil, err
		}
		matched, err = advisory.ReadGrype(bytes.NewReader(report))
		return matched, report, err
	}
	f, err := os.Open(local) //nolint:gosec // exported above
	if err != nil {
		return matched, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	matched, err = advisory.ReadGrype(f)
	return matched, nil, err
}

// databaseFiles makes the database available to a step; an archive is below archive/.
func (a *audit) databaseFiles(file string) (runner.Files, error) {
	if info, err := os.Stat(file); err != nil {
		return nil, err
	} else if info.IsDir() {
		return a.Import(file)
	}
	dir, err := a.Import(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	only := dir.Filter([]string{filepath.Base(file)}, nil)
	return a.runner.NewFiles(nil).With("archive", only), nil
}

// tool returns the pinned version of a program.
func (a *audit) tool(ctx context.Context, name string) (runner.Files, *verdict.Problem) {
	wanted, err := tools.Find(name)
	if err != nil {
		return nil, verdict.Problemf(ScannerMissing, "%v", err)
	}
	if a.Tool == nil {
		return nil, verdict.Problemf(ScannerMissing, "%s %s", name, wanted.Version)
	}
	files, err := a.Tool(ctx, name)
	if err != nil {
		return nil, verdict.Problemf(ScannerMissing, "%s %s: %v", name, wanted.Version, err)
	}
	return files, nil
}
