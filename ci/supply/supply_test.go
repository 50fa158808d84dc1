package supply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// record is an OSV record; modified and published are days.
func record(id, name, modified, published, events, more string) string {
	return fmt.Sprintf(`{"id":%q,"modified":"%sT00:00:00Z","published":"%sT00:00:00Z"%s,"affected":[{`+
		`"package":{"ecosystem":"PyPI","name":%q},"ranges":[{"type":"ECOSYSTEM","events":[%s]}]}]}`, id, modified, published, more, name, events)
}

const (
	toFix    = `{"introduced":"0"},{"fixed":"99"}`
	highMark = `,"database_specific":{"severity":"HIGH"}`
)

// knownControl is the record that the planted package must be found by.
func knownControl(modified string) string {
	return record("PYSEC-2014-8", "jinja2", modified, "2014-05-01", `{"introduced":"0"},{"fixed":"2.7.2"}`, "")
}

func database(t *testing.T, records ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "advisories.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(records, "\n")), 0o600))
	return file
}

// input is an audit that passes.
func input(t *testing.T, checks ...string) Input {
	t.Helper()
	return Input{
		Config: config.Default(), Checks: checks, Now: now, Scratch: t.TempDir(),
		Source:     fake.Files(map[string]string{"main.py": "print()\n", "requirements.txt": "demo==1.0\n"}),
		Advisories: database(t, knownControl("2026-11-28")),
		Import:     func(dir string) (runner.Files, error) { return filetree.Dir(dir), nil },
		Tool: func(_ context.Context, name string) (runner.Files, error) {
			return fake.Files(map[string]string{name: "#!"}), nil
		},
	}
}

// gitleaks answers as the program does: with what was planted, and more.
func gitleaks(more ...string) *fake.Runner {
	entries := append([]string{`{"RuleID":"aws-access-token","File":"scan/planted/settings.py","StartLine":1,"Secret":"REDACTED"}`}, more...)
	return answering(0, secretsOut, "["+strings.Join(entries, ",")+"]")
}

func answering(code int, name, content string) *fake.Runner {
	return fake.New().OnRun(func(runner.Step) (*runner.Result, error) {
		outputs := map[string]string{name: content}
		if name == "" {
			outputs = nil
		}
		result := fake.Result(code, outputs)
		result.Stderr = content
		return result, nil
	})
}

func codes(stage verdict.Stage) string {
	var all []string
	for _, p := range stage.Problems {
		all = append(all, p.Code)
	}
	for _, w := range stage.Warnings {
		all = append(all, strings.ToLower(w.Code))
	}
	return strings.Join(all, " ")
}

func TestAnAuditThatPasses(t *testing.T) {
	r := gitleaks()
	stage := Audit(t.Context(), r, input(t, "advisories", "pinning", "secrets"))
	assert.Equal(t, verdict.Pass, stage.Verdict, "%v", stage.Problems)
	assert.Empty(t, stage.Warnings)
	step := r.Steps()[0]
	assert.True(t, step.Offline)
	inputs, err := r.Inputs(t.Context(), 0)
	require.NoError(t, err)
	assert.Contains(t, inputs, "scan/source/main.py")
	assert.Contains(t, inputs[searched+"/"+plantedFile], "aws_access_key_id")
	names := map[string]string{}
	for _, f := range stage.Files {
		names[f.Path] = string(f.Content)
	}
	assert.Contains(t, names["audit/sbom.cdx.json"], "pkg:pypi/demo@1.0")
	assert.NotContains(t, names["audit/sbom.cdx.json"], "jinja2", "what was planted is in no report")
	var sarif struct{ Version string }
	require.NoError(t, json.Unmarshal([]byte(names["audit/audit.sarif"]), &sarif))
	assert.Equal(t, "2.1.0", sarif.Version)
	assert.Contains(t, fmt.Sprint(stage.Evidence), "licenses not looked at")
}

func vexFor(purl, day string) string {
	return `{"@context":"https://openvex.dev/ns/v0.2.0","timestamp":"` + day + `T00:00:00Z","statements":[{"vulnerability":{"name":"CVE-2026-1"},` +
		`"products":[{"@id":"pkg:pypi/` + purl + `"}],"status":"not_affected","justification":"component_not_present"}]}`
}

// TestPlantedFaults are faults in the locks, the database and the exceptions. Each has its own code.
func TestPlantedFaults(t *testing.T) {
	demo := func(more string) string { return record("CVE-2026-1", "demo", "2026-11-28", "2026-01-01", toFix, more) }
	allow := func(until string) []config.AllowedAdvisory {
		return []config.AllowedAdvisory{{ID: "CVE-2026-1", Package: "demo", In: "locks", Reason: "not reachable", Until: until}}
	}
	source := func(in *Input, name, text string) {
		in.Source = fake.Files(map[string]string{"main.py": "print()\n", name: text})
	}
	for name, tc := range map[string]struct {
		change func(t *testing.T, in *Input)
		want   string
	}{
		"a vulnerable package": {func(t *testing.T, in *Input) {
			in.Advisories = database(t, knownControl("2026-11-28"), demo(highMark))
		}, "DEPENDENCY_VULNERABLE"},
		"one under three names": {func(t *testing.T, in *Input) {
			in.Advisories = database(t, knownControl("2026-11-28"), demo(`,"aliases":["GHSA-a"]`),
				record("GHSA-a", "demo", "2026-11-28", "2026-01-01", toFix, highMark), record("PYSEC-1", "demo", "2026-11-28", "2026-01-01", toFix,
					`,"aliases":["CVE-2026-1"]`))
		}, "DEPENDENCY_VULNERABLE"},
		"of unknown severity": {func(t *testing.T, in *Input) {
			in.Advisories = database(t, knownControl("2026-11-28"), demo(""))
		}, "vulnerable"},
		"without a fix": {func(t *testing.T, in *Input) {
			unfixed := record("CVE-2026-1", "demo", "2026-11-28", "2026-01-01", `{"introduced":"0"}`, highMark)
			in.Advisories = database(t, knownControl("2026-11-28"), unfixed)
		}, "vulnerable"},
		"published yesterday, with a grace": {func(t *testing.T, in *Input) {
			in.Config.Security.Grace.High = config.Duration(72 * time.Hour)
			in.Advisories = database(t, knownControl("2026-11-28"), record("CVE-2026-1", "demo", "2026-11-28", "2026-11-28", toFix, highMark))
		}, "vulnerable"},
		"allowed": {func(t *testing.T, in *Input) {
			in.Advisories, in.Config.Security.Allow = database(t, knownControl("2026-11-28"), demo(highMark)), allow("2027-01-31")
		}, "vulnerable_allowed"},
		"allowed, and ends soon": {func(t *testing.T, in *Input) {
			in.Advisories, in.Config.Security.Allow = database(t, knownControl("2026-11-28"), demo(highMark)), allow("2026-12-05")
		}, "vulnerable_allowed waiver_ends_soon"},
		"was allowed": {func(t *testing.T, in *Input) {
			in.Advisories, in.Config.Security.Allow = database(t, knownControl("2026-11-28"), demo(highMark)), allow("2026-11-28")
		}, "DEPENDENCY_VULNERABLE WAIVER_EXPIRED"},
		"allowed for a year": {func(t *testing.T, in *Input) {
			in.Advisories, in.Config.Security.Allow = database(t, knownControl("2026-11-28"), demo(highMark)), allow("2027-11-28")
		}, "DEPENDENCY_VULNERABLE WAIVER_TOO_LONG"},
		"stated in a VEX document": {func(t *testing.T, in *Input) {
			in.Advisories, in.Config.Security.VEX = database(t, knownControl("2026-11-28"), demo(highMark)), []string{"security/*.json"}
			in.Source = fake.Files(map[string]string{"requirements.txt": "demo==1.0\n", "security/a.json": vexFor("demo@1.0", "2026-11-01")})
		}, "vulnerable_allowed"},
		"stated of another version": {func(t *testing.T, in *Input) {
			in.Advisories, in.Config.Security.VEX = database(t, knownControl("2026-11-28"), demo(highMark)), []string{"security/*.json"}
			in.Source = fake.Files(map[string]string{"requirements.txt": "demo==1.0\n", "security/a.json": vexFor("demo@2.0", "2026-11-01")})
		}, "DEPENDENCY_VULNERABLE"},
		"stated a year ago": {func(t *testing.T, in *Input) {
			in.Advisories, in.Config.Security.VEX = database(t, knownControl("2026-11-28"), demo(highMark)), []string{"security/*.json"}
			in.Source = fake.Files(map[string]string{"requirements.txt": "demo==1.0\n", "security/a.json": vexFor("demo@1.0", "2025-11-01")})
		}, "DEPENDENCY_VULNERABLE WAIVER_EXPIRED"},
		"stated for the future": {func(t *testing.T, in *Input) {
			in.Advisories, in.Config.Security.VEX = database(t, knownControl("2026-11-28"), demo(highMark)), []string{"security/*.json"}
			in.Source = fake.Files(map[string]string{"requirements.txt": "demo==1.0\n", "security/a.json": vexFor("demo@1.0", "2028-11-01")})
		}, "DEPENDENCY_VULNERABLE WAIVER_TOO_LONG"},
		"a VEX document that is none": {func(_ *testing.T, in *Input) {
			in.Config.Security.VEX = []string{"*.json"}
			in.Source = fake.Files(map[string]string{"requirements.txt": "demo==1.0\n", "a.json": "{}"})
		}, "VEX_UNREADABLE"},
		"no VEX document":          {func(_ *testing.T, in *Input) { in.Config.Security.VEX = []string{"security/*.json"} }, "VEX_UNREADABLE"},
		"an exception for nothing": {func(_ *testing.T, in *Input) { in.Config.Security.Allow = allow("2027-01-31") }, "waiver_unused"},
		"a limit instead of a version": {func(_ *testing.T, in *Input) {
			source(in, "requirements.txt", "demo==1.0\nother>=2\n")
		}, "DEPENDENCY_UNPINNED"},
		"a wildcard": {func(_ *testing.T, in *Input) { source(in, "requirements.txt", "demo==1.0\nother==2.*\n") }, "DEPENDENCY_UNPINNED"},
		"a file that is named after another option": {func(t *testing.T, in *Input) {
			in.Source = fake.Files(map[string]string{
				"main.py": "", "requirements.txt": "plain==1\n-i https://host/simple -r hidden.txt\n", "hidden.txt": "demo==1.0\n",
			})
			in.Advisories = database(t, knownControl("2026-11-28"), demo(highMark))
		}, "DEPENDENCY_VULNERABLE"},
		"a vulnerable wheel at an address": {func(t *testing.T, in *Input) {
			source(in, "requirements.txt", "demo @ https://host/demo-1.0-py3-none-any.whl#sha256=aa\n")
			in.Advisories = database(t, knownControl("2026-11-28"), demo(highMark))
		}, "DEPENDENCY_VULNERABLE"},
		"a build of a vulnerable version": {func(t *testing.T, in *Input) {
			source(in, "requirements.txt", "demo==1.0+cpu\n")
			in.Advisories = database(t, knownControl("2026-11-28"),
				record("CVE-2026-1", "demo", "2026-11-28", "2026-01-01", `{"introduced":"0"},{"last_affected":"1.0"}`, highMark))
			in.Config.Security.Unfixed = "fail"
		}, "DEPENDENCY_VULNERABLE"},
		"a repository at a commit": {func(_ *testing.T, in *Input) {
			source(in, "requirements.txt", "plain==1\ndemo @ git+https://host/demo@"+strings.Repeat("a", 40)+"\n")
		}, "dependency_not_compared"},
		"a project without a lock": {func(_ *testing.T, in *Input) {
			source(in, "pyproject.toml", "[project]\nname = \"x\"\nversion = \"1\"\ndependencies = [\"demo\"]\n")
		}, "SCAN_EMPTY"},
		"no requirements":   {func(_ *testing.T, in *Input) { source(in, "other.py", "") }, "SCAN_EMPTY"},
		"below the minimum": {func(_ *testing.T, in *Input) { in.Config.Security.MinPackages = 2 }, "SCAN_EMPTY"},
		"a line that is not understood": {func(_ *testing.T, in *Input) {
			source(in, "requirements.txt", "demo==1.0\nother==1 2\n")
		}, "SCAN_EMPTY"},
		"a lock that is none": {func(_ *testing.T, in *Input) {
			in.Source = fake.Files(map[string]string{
				"main.py": "", "pyproject.toml": "[project]\nname=\"x\"\nversion=\"1\"\n", "uv.lock": "[[package]]\nversion=\"1\"\n",
			})
		}, "LOCK_UNREADABLE"},
		"a file that is not there": {func(_ *testing.T, in *Input) { source(in, "requirements.txt", "-r other.txt\ndemo==1\n") }, "LOCK_UNREADABLE"},
		"no database":              {func(_ *testing.T, in *Input) { in.Advisories = "" }, "ADVISORIES_MISSING"},
		"a database that cannot be fetched": {func(_ *testing.T, in *Input) {
			in.Advisories, in.Fetch = "", func(context.Context) (string, error) { return "", errors.New("no route") }
		}, "ADVISORIES_MISSING"},
		"a database that is gone":  {func(_ *testing.T, in *Input) { in.Advisories = filepath.Join(in.Scratch, "x.zip") }, "ADVISORIES_MISSING"},
		"a database of last month": {func(t *testing.T, in *Input) { in.Advisories = database(t, knownControl("2026-10-28")) }, "ADVISORIES_STALE"},
		"a database of next month": {func(t *testing.T, in *Input) { in.Advisories = database(t, knownControl("2026-12-28")) }, "ADVISORIES_CORRUPT"},
		"a database that is cut":   {func(t *testing.T, in *Input) { in.Advisories = database(t, knownControl("2026-11-28")[:80]) }, "ADVISORIES_CORRUPT"},
		"a database of other kinds": {func(t *testing.T, in *Input) {
			in.Advisories = database(t, strings.ReplaceAll(knownControl("2026-11-28"), "PyPI", "npm"))
		}, "ADVISORIES_INCOMPLETE"},
		"an empty database": {func(t *testing.T, in *Input) { in.Advisories = database(t) }, "ADVISORIES_INCOMPLETE"},
		"a database without what was planted": {func(t *testing.T, in *Input) {
			in.Advisories = database(t, record("CVE-2026-2", "else", "2026-11-28", "2026-01-01", toFix, ""))
		}, "SCANNER_BLIND"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, "advisories", "pinning")
			tc.change(t, &in)
			stage := Audit(t.Context(), fake.New(), in)
			assert.Equal(t, tc.want, codes(stage), "%v", stage.Problems)
			if tc.want == strings.ToLower(tc.want) {
				assert.Equal(t, verdict.Pass, stage.Verdict)
			} else {
				assert.NotEqual(t, verdict.Pass, stage.Verdict)
			}
		})
	}
}

// TestPlantedSecrets are faults of the search for secrets.
func TestPlantedSecrets(t *testing.T) {
	const found = `{"RuleID":"generic-api-key","File":"scan/source/main.py","StartLine":3,"Secret":"the-value"}`
	allow := func(until string) func(*Input) {
		return func(in *Input) {
			in.Config.Security.AllowSecrets = []config.AllowedSecret{{Rule: "generic-api-key", Path: "*.py", Reason: "made up", Until: until}}
		}
	}
	for name, tc := range map[string]struct {
		runner *fake.Runner
		change func(in *Input)
		want   string
	}{
		"a secret":                  {gitleaks(found), nil, "SECRET_FOUND"},
		"an allowed one":            {gitleaks(found), allow("2027-01-31"), ""},
		"one that was allowed":      {gitleaks(found), allow("2026-11-01"), "SECRET_FOUND WAIVER_EXPIRED"},
		"nothing for the exception": {gitleaks(), allow("2027-01-31"), "waiver_unused"},
		"what was planted is gone":  {answering(0, secretsOut, "[]"), nil, "SCANNER_BLIND"},
		"no report, exit code 0":    {answering(0, "", ""), nil, "SCANNER_FAILED"},
		"killed":                    {answering(137, "", ""), nil, "SCANNER_FAILED"},
		"a report and exit code 1":  {answering(1, secretsOut, "[]"), nil, "SCANNER_FAILED"},
		"a report that is cut":      {answering(0, secretsOut, `[{"RuleID":"x"`), nil, "REPORT_UNREADABLE"},
		"a report of another form":  {answering(0, secretsOut, `{"runs":[]}`), nil, "REPORT_UNREADABLE"},
		"a step that cannot run":    {fake.New(), nil, "SCANNER_FAILED"},
		"no program":                {gitleaks(), func(in *Input) { in.Tool = nil }, "SCANNER_MISSING"},
		"another version of it": {gitleaks(), func(in *Input) {
			in.Tool = func(context.Context, string) (runner.Files, error) { return nil, errors.New("it has another version") }
		}, "SCANNER_MISSING"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, "secrets")
			if tc.change != nil {
				tc.change(&in)
			}
			stage := Audit(t.Context(), tc.runner, in)
			assert.Equal(t, tc.want, codes(stage), "%v", stage.Problems)
			assert.NotContains(t, fmt.Sprintf("%+v", stage), "the-value", "no report has the value")
		})
	}
}

// TestTheHistory: a secret that a commit deleted is in the repository all the same.
func writeTree(dir, name string) error {
	file := filepath.Join(dir, filepath.FromSlash(name))
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("the-value"), 0o600))
}

func TestTheHistory(t *testing.T) {
	const inFile = `{"RuleID":"x","File":"scan/source/main.py","StartLine":3,"Secret":"the-value"}`
	const kept = `{"RuleID":"x","File":"scan/source/aa/main.py","StartLine":3,"Secret":"the-value"}`
	const deleted = `{"RuleID":"x","File":"scan/source/bb/old.py","StartLine":1,"Secret":"the-value"}`
	written := func(_ context.Context, dir string) (History, error) {
		commits := func(_ context.Context, ids []string) map[string]string {
			return map[string]string{ids[0]: ids[0] + "-commit"}
		}
		return History{Files: 2, Left: 1, Commits: commits}, os.MkdirAll(filepath.Join(dir, "bb"), 0o755)
	}
	for name, tc := range map[string]struct {
		history func(context.Context, string) (History, error)
		found   []string
		allow   bool
		want    string
		details []string
	}{
		"nothing":       {written, []string{"", ""}, false, "", nil},
		"a deleted one": {written, []string{"", deleted}, false, "SECRET_FOUND", []string{"old.py:1 in commit bb-commit (x)"}},
		"one below a name that gitleaks skips": {func(_ context.Context, dir string) (History, error) {
			return History{}, writeTree(dir, "cc/gitleaks.toml/a.py")
		}, []string{"", `{"RuleID":"x","File":"scan/copies/00000.txt","StartLine":1}`}, false, "SECRET_FOUND",
			[]string{"gitleaks.toml/a.py:1 in object cc of the history (x)"}},
		"an allowed one":           {written, []string{"", deleted}, true, "", nil},
		"an exception for nothing": {written, []string{"", ""}, true, "waiver_unused", nil},
		"one that is there":        {written, []string{inFile, kept}, false, "SECRET_FOUND", []string{"main.py:3 (x)"}},
		"a shallow clone": {func(context.Context, string) (History, error) { return History{}, errors.New("the clone is shallow") }, []string{"", ""},
			false, "HISTORY_INCOMPLETE", nil},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, "secrets")
			in.History = tc.history
			if tc.allow {
				in.Config.Security.AllowSecrets = []config.AllowedSecret{{Rule: "x", Path: "old.py", Reason: "made up", Until: "2027-01-31"}}
			}
			calls := 0
			r := fake.New().OnRun(func(runner.Step) (*runner.Result, error) {
				more := tc.found[calls]
				calls++
				entries := []string{`{"RuleID":"aws-access-token","File":"scan/planted/settings.py"}`}
				if more != "" {
					entries = append(entries, more)
				}
				return fake.Result(0, map[string]string{secretsOut: "[" + strings.Join(entries, ",") + "]"}), nil
			})
			stage := Audit(t.Context(), r, in)
			assert.Equal(t, tc.want, codes(stage), "%v", stage.Problems)
			assert.NotContains(t, fmt.Sprintf("%+v", stage), "the-value")
			if tc.details != nil {
				assert.Equal(t, tc.details, stage.Problems[0].Details)
			}
		})
	}
}

// TestTheRemedyOfAHistoryThatIsNone: fetching more of it would not help.
func TestTheRemedyOfAHistoryThatIsNone(t *testing.T) {
	for said, next := range map[string]string{
		"git rev-parse: fatal: not a git repository (or any of the parent directories): .git": "leave --git out",
		"git rev-list: fatal: ambiguous argument 'HEAD': unknown revision":                    "Commit once",
		"the clone is shallow": "Fetch the whole history",
	} {
		in := input(t, "secrets")
		in.History = func(context.Context, string) (History, error) { return History{}, errors.New(said) }
		stage := Audit(t.Context(), gitleaks("", "", ""), in)
		at := slices.IndexFunc(stage.Problems, func(p verdict.Finding) bool { return p.Code == HistoryIncomplete.Name })
		require.GreaterOrEqual(t, at, 0, "%v", stage.Problems)
		assert.Contains(t, stage.Problems[at].Next, next)
	}
}

// TestANameThatGitleaksSkips is one that its own rules pass over: the source must not be able to choose it.
func TestANameThatGitleaksSkips(t *testing.T) {
	in := input(t, "secrets")
	in.Source = fake.Files(map[string]string{
		"gitleaks.toml/settings.py": "the-value", "a.SVG": "the-value", "main.py": "", "big.svg": strings.Repeat("x", copyLimit+1),
		"settings.bin": "the-value", "weights.npz": "PK" + strings.Repeat("x", copyLimit), "text.npz": "the-value", "page.png": "", "poetry.lock": "",
	})
	r := gitleaks(`{"RuleID":"x","File":"scan/copies/00001.txt","StartLine":1,"Secret":"the-value"}`,
		`{"RuleID":"x","File":"scan/source/gitleaks.toml/settings.py","StartLine":1}`,
		`{"RuleID":"x","File":"scan/copies/00001.txt","StartLine":1}`)
	stage := Audit(t.Context(), r, in)
	inputs, err := r.Inputs(t.Context(), 0)
	require.NoError(t, err)
	assert.Equal(t, "the-value", inputs["scan/copies/00000.txt"])
	assert.Equal(t, "the-value", inputs["scan/copies/00001.txt"])
	assert.Equal(t, "the-value", inputs["scan/copies/00002.txt"])
	assert.Equal(t, "the-value", inputs["scan/copies/00003.txt"])
	assert.Contains(t, inputs, "scan/copies/00004.zip", "an archive by another name")
	assert.NotContains(t, inputs, "scan/copies/00005.txt")
	assert.Equal(t, []string{"gitleaks.toml/settings.py:1 (x)"}, stage.Problems[0].Details)
	assert.Contains(t, fmt.Sprint(stage.Evidence), "skips by their names 3 files")
	assert.Contains(t, fmt.Sprint(stage.Evidence), "searched for secrets 6 files")
}

// TestLocksThatPinNothing: the cause names what has no version: the number alone does not say what to do.
func TestLocksThatPinNothing(t *testing.T) {
	in := input(t, "advisories")
	in.Source = fake.Files(map[string]string{"main.py": "", "requirements.txt": "demo~=1.0\nother>=2\n"})
	stage := Audit(t.Context(), fake.New(), in)
	require.Equal(t, "SCAN_EMPTY", codes(stage))
	assert.Contains(t, stage.Problems[0].Cause, "requirements.txt:1 has no exact version: demo~=1.0, and 1 more")
	assert.Contains(t, stage.Problems[0].Next, "uv pip compile --universal --generate-hashes")
}

// TestTheSearchTakesWhatAnImageMayTake: a directory is left out only while no stage sees it.
func TestTheSearchTakesWhatAnImageMayTake(t *testing.T) {
	for _, taken := range []bool{false, true} {
		in, r := input(t, "secrets"), gitleaks()
		in.Source = fake.Files(map[string]string{"main.py": "", "venv/settings.py": "", ".git/config": ""})
		if taken {
			in.Config.Exclude = []string{".git"}
		}
		stage := Audit(t.Context(), r, in)
		inputs, err := r.Inputs(t.Context(), 0)
		require.NoError(t, err)
		_, has := inputs["scan/source/venv/settings.py"]
		assert.Equal(t, taken, has)
		assert.NotContains(t, inputs, "scan/source/.git/config")
		assert.Equal(t, !taken, strings.Contains(fmt.Sprint(stage.Evidence), "venv"), "what was not searched is said")
	}
}

// grypeReport is what Grype says of the planted package, and more.
func grypeReport(built, captured, more string) string {
	return `{"matches":[{"vulnerability":{"id":"GHSA-jinja","severity":"High"},"artifact":{"name":"Jinja2","version":"2.4.1","purl":"pkg:pypi/jinja2@2.4.1"}}` +
		more + `],"descriptor":{"version":"0.121.2","db":{"status":{"built":"` + built + `T00:00:00Z","valid":true},"providers":` + captured + `}}}`
}

// TestPlantedFaultsOfGrype are faults that a database of Grype, or Grype, can have.
func TestPlantedFaultsOfGrype(t *testing.T) {
	const fresh = `{"github":{"captured":"2026-11-28T00:00:00Z"}}`
	exploited := `,{"vulnerability":{"id":"CVE-2026-7","severity":"Low","knownExploited":[{"cve":"x"}]},"artifact":{"name":"demo","version":"1.0","purl":"pkg:pypi/demo@1.0"}}`
	for name, tc := range map[string]struct {
		runner *fake.Runner
		want   string
	}{
		"nothing found":           {answering(0, grypeOut, grypeReport("2026-11-28", fresh, "")), ""},
		"known to be exploited":   {answering(0, grypeOut, grypeReport("2026-11-28", fresh, exploited)), "DEPENDENCY_VULNERABLE"},
		"built last week":         {answering(0, grypeOut, grypeReport("2026-11-20", fresh, "")), "ADVISORIES_STALE"},
		"built today of old data": {answering(0, grypeOut, grypeReport("2026-11-29", strings.ReplaceAll(fresh, "11-28", "10-28"), "")), "ADVISORIES_STALE"},
		"no advisories of Python": {answering(0, grypeOut, grypeReport("2026-11-28", `{"debian":{"captured":"2026-11-28T00:00:00Z"}}`, "")), "ADVISORIES_INCOMPLETE"},
		"no time":                 {answering(0, grypeOut, grypeReport("2026-11-28", `{"github":{}}`, "")), "ADVISORIES_CORRUPT"},
		"a changed byte":          {answering(1, "", "bad db checksum"), "ADVISORIES_CORRUPT"},
		"out of memory":           {answering(137, "", ""), "SCANNER_FAILED"},
		"a report that is cut":    {answering(0, grypeOut, `{"matches":[`), "REPORT_UNREADABLE"},
		"blind": {answering(0, grypeOut, strings.Replace(grypeReport("2026-11-28", fresh, ""), "2.4.1", "9", 1)),
			"SCANNER_BLIND"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, "advisories")
			in.Advisories = filepath.Join(t.TempDir(), "db.tar.zst")
			require.NoError(t, os.WriteFile(in.Advisories, []byte("archive"), 0o600))
			stage := Audit(t.Context(), tc.runner, in)
			assert.Equal(t, tc.want, codes(stage), "%v", stage.Problems)
			inputs, err := tc.runner.Inputs(t.Context(), 0)
			require.NoError(t, err)
			assert.Contains(t, inputs, "db/archive/db.tar.zst")
			assert.Contains(t, inputs["bom.json"], "pkg:pypi/jinja2@2.4.1")
		})
	}
	in := input(t, "advisories")
	in.Advisories, in.Tool = filepath.Join(t.TempDir(), "db.tar"), nil
	require.NoError(t, os.WriteFile(in.Advisories, nil, 0o600))
	assert.Equal(t, "SCANNER_MISSING", codes(Audit(t.Context(), fake.New(), in)))
	assert.False(t, IsGrype(t.TempDir()))
}

func TestLicences(t *testing.T) {
	list := `[{"Name":"demo","Version":"1.0","Expression":"AGPL-3.0-only"},{"Name":"other","Version":"2"}]`
	in := input(t, "licenses")
	in.Config.Security.Licenses.Deny = []string{"AGPL-3.0-only"}
	stage := Audit(t.Context(), answering(0, licensesOut, list), in)
	assert.Equal(t, "LICENSE_DENIED license_unknown", codes(stage))
	in.Config.Security.Licenses.Except = []config.ExceptedLicense{{Package: "demo", Reason: "ours", Until: "2027-01-31"}}
	in.Config.Security.Licenses.Unknown = "fail"
	assert.Equal(t, "LICENSE_DENIED", codes(Audit(t.Context(), answering(0, licensesOut, list), in)))
	in.Config.Security.Licenses.Unknown = "note"
	assert.Empty(t, codes(Audit(t.Context(), answering(0, licensesOut, list), in)))
	assert.Equal(t, "SCAN_EMPTY", codes(Audit(t.Context(), answering(0, licensesOut, "[]"), in)))
	assert.Equal(t, "REPORT_UNREADABLE", codes(Audit(t.Context(), answering(0, licensesOut, "no"), in)))
	assert.Equal(t, "SCANNER_FAILED", codes(Audit(t.Context(), fake.New(), in)))
}

func TestEveryCodeHasARemedy(t *testing.T) {
	_, err := verdict.Codes(Codes())
	require.NoError(t, err)
}

func TestAnAuditMeasures(t *testing.T) {
	in := input(t, "advisories")
	in.Advisories = database(t, knownControl("2026-11-28"), record("CVE-2026-1", "demo", "2026-11-28", "2026-01-01", toFix, highMark))
	measured := func() map[string]float64 {
		all := map[string]float64{}
		for _, m := range Audit(t.Context(), gitleaks(), in).Measures {
			all[m.Name+" "+m.Of] = m.Value
		}
		return all
	}
	got := measured()
	assert.InDelta(t, 1, got["vulnerabilities audit/high/fixable"], 0)
	assert.InDelta(t, 0, got["waivers audit/ending"], 0)
	assert.Positive(t, got["advisories audit/data"])
	_, zero := got["vulnerabilities audit/critical/unfixed"]
	assert.True(t, zero, "none is known to be none")
	in.Config.Security.Allow = []config.AllowedAdvisory{{ID: "CVE-2026-1", Package: "demo", In: "locks", Reason: "x", Until: "2026-12-05"}}
	got = measured()
	assert.InDelta(t, 0, got["vulnerabilities audit/high/fixable"], 0, "an exception allows it")
	assert.InDelta(t, 1, got["waivers audit/ending"], 0)
	in.Advisories = filepath.Join(t.TempDir(), "none")
	_, looked := measured()["vulnerabilities audit/high/fixable"]
	assert.False(t, looked, "what was not looked at has no count")
}
