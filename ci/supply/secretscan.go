package supply

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base32"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/supply/secrets"
	"github.com/openstack-rca/openstack-rca/ci/supply/tools"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// heavy are directories of third-party files. They are skipped if exclude of pipeline.yaml hides them from every stage, and
// so from the image; .git is always skipped.
var heavy = []string{".venv", "venv", ".tox", ".nox", "node_modules", "**/node_modules", "**/__pycache__"}

// Paths in a step of Gitleaks.
const (
	secretsOut   = "out/gitleaks.json"
	searched     = "scan"
	plantedFile  = "planted/settings.py"
	wideFile     = "wide.py"
	secretsLimit = 256 << 20
)

//go:embed wide.py
var wideScript string

// ownRules selects Gitleaks' own rules explicitly, so that no configuration of the source applies.
const ownRules = "title = \"openstack-rca\"\n[extend]\nuseDefault = true\n"

// search configures Gitleaks: the rules, the depth in archives, and how often encoded text is decoded.
type search struct{ rules, depth, decode string }

// inFull is Gitleaks' default; inLayers is the same without archives; byForm has only the rules that recognise a secret by
// its own form.
var (
	inFull   = search{rules: ownRules, depth: "3", decode: "5"}
	inLayers = search{rules: ownRules, depth: "1", decode: "5"}
	byForm   = search{rules: ownRules + "disabledRules = [\"" + genericRule + "\"]\n", depth: "1", decode: "0"}
)

// planted is a file that every search must find: an invalid key in AWS's format. It is computed, so that this program
// contains nothing that looks like a secret.
func planted() []byte {
	sum := sha256.Sum256([]byte("planted by the audit"))
	return []byte("aws_access_key_id = \"" + "AK" + "IA" + base32.StdEncoding.EncodeToString(sum[:])[:16] + "\"\n")
}

// secretSearch is the part of an audit or scan that searches for secrets.
type secretSearch struct{ *audit }

// secrets searches all files. Instructions for the search in the source, in comments or files, are ignored: exceptions are in
// pipeline.yaml, with a reason and an end.
func (a secretSearch) secrets(ctx context.Context) {
	skipped := []string{".git"}
	for _, name := range heavy {
		if slices.Contains(a.Config.Exclude, name) {
			skipped = append(skipped, name)
		}
	}
	all, err := a.Source.List(ctx)
	for _, dir := range pyenv.Virtual(all) {
		if name := glob.Escape(dir); slices.Contains(a.Config.Exclude, name) {
			skipped = append(skipped, name)
		}
	}
	source := a.Source.Filter(nil, skipped)
	names, listed := source.List(ctx)
	err = errors.Join(err, listed)
	if err != nil {
		a.fail(ScannerFailed, "list the source: %v", err)
		return
	}
	other := copied(ctx, a.Source, names)
	if other.left > 0 {
		a.stage.Add("files that gitleaks skips by their names", plural(other.left, "file"))
	}
	found, ok := a.gitleaks(ctx, source, inFull, other)
	a.stage.Gate("planted secret", seenText(ok), "found", ok)
	if ok {
		a.inFiles = found
		a.stage.Add("files searched for secrets", plural(len(names)-other.left, "file"))
		a.stage.Add("not searched for secrets", strings.Join(skipped, ", "))
		v := secrets.Judge(found, a.Config.Security.AllowSecrets, a.Now)
		if a.History != nil {
			v.Unused = nil // findings in the history may need the exception
		}
		a.secretsFound(SecretFound, v)
	}
}

// gitleaks searches a tree. It reports whether the findings can be trusted.
func (a secretSearch) gitleaks(ctx context.Context, source runner.Files, how search, other copies) (found []secrets.Finding, ok bool) {
	report, ok := a.reported(ctx, source, how, other)
	if !ok {
		return nil, false
	}
	return a.believed(report, other)
}

// believed returns the findings in the searched tree if the report also has the planted ones.
func (a secretSearch) believed(report []secrets.Finding, other copies) (found []secrets.Finding, ok bool) {
	found, seen := ofSource(report, other)
	if !seen {
		a.fail(ScannerBlind, "the key that was planted for gitleaks was not found")
		return nil, false
	}
	return found, true
}

// ofSource removes planted findings from a report, and reports whether they were all there.
func ofSource(report []secrets.Finding, other copies) (found []secrets.Finding, seen bool) {
	for _, f := range report {
		inner, is := strings.CutPrefix(f.File, "source/")
		if !is {
			inner, is = strings.CutPrefix(f.File, "wide/") // of wide.py
		}
		if is {
			f.File = original(inner)
			if !slices.Contains(found, f) {
				found = append(found, f)
			}
		} else if f.File == plantedFile {
			seen = true
		} else if f, is = other.original(f); is && !slices.Contains(found, f) {
			found = append(found, f)
		}
	}
	return found, seen
}

// reported are Gitleaks' findings in a tree and in what was planted beside it.
func (a secretSearch) reported(ctx context.Context, source runner.Files, how search, other copies) (all []secrets.Finding, ok bool) {
	program, problem := a.tool(ctx, tools.Gitleaks)
	if problem != nil {
		problem.Code = a.own(problem.Code)
		a.problems = append(a.problems, problem)
		return nil, false
	}
	result, err := a.runner.Run(ctx, runner.Step{
		Name: "gitleaks", Env: runner.Environment{Python: a.Config.Python, Files: a.runner.NewFiles(nil)},
		Inputs: []runner.Mount{
			{Path: toolDir, Files: program}, {Path: searched + "/source", Files: source},
			{Path: ".", Files: a.runner.NewFiles(map[string][]byte{
				searched + "/" + plantedFile: planted(), wideFile: []byte(wideScript),
				"rules.toml": []byte(how.rules), "none/.keep": nil, "out/.keep": nil,
			})},
			{Path: ".", Files: a.runner.NewFiles(other.files)},
		},
		Args: []string{
			"python", wideFile, searched + "/source", searched + "/wide",
			"./tool/gitleaks", "dir", searched, "--config", "rules.toml", "--gitleaks-ignore-path", "none", "--ignore-gitleaks-allow",
			"--report-format", "json", "--report-path", secretsOut, "--redact=100", "--exit-code", "0",
			"--max-archive-depth", how.depth, "--max-decode-depth", how.decode,
			"--no-banner", "--no-color", "--log-level", "error",
		},
		Outputs: []string{secretsOut}, Offline: true,
	})
	if err != nil {
		a.fail(ScannerFailed, "run gitleaks: %v", err)
		return nil, false
	}
	report, err := result.Outputs.Read(ctx, secretsOut, secretsLimit)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && result.ExitCode != 0:
		a.fail(ScannerFailed, "gitleaks ended with %d: %s", result.ExitCode, strings.Join(safetext.LastLines(result.Stderr, 3), " "))
		return nil, false
	case err != nil:
		a.fail(ReportUnreadable, "%v", err)
		return nil, false
	}
	all, err = secrets.Read(report, searched)
	if err != nil {
		a.fail(ReportUnreadable, "%v", err)
		return nil, false
	}
	return all, true
}

func (a secretSearch) secretsFound(code verdict.Code, v secrets.Verdict) {
	a.found.secrets = v
	a.stage.Gate("secrets", plural(len(v.Failed), "finding"), "none", len(v.Failed) == 0)
	if len(v.Allowed) > 0 {
		a.stage.Add("findings that are allowed", plural(len(v.Allowed), "finding"))
	}
	if len(v.Failed) > 0 {
		problem := verdict.Problemf(code, "%s", v.Failed[0])
		if len(v.Failed) > 1 {
			problem.Cause += ", and " + plural(len(v.Failed)-1, "more")
		}
		for _, f := range v.Failed {
			problem.Details = append(problem.Details, f.String())
		}
		a.problems = append(a.problems, problem)
	}
	a.exceptions(v.Exceptions)
}
