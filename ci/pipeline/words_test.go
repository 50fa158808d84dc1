package pipeline

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestMainIsNeverAssumedInSilence(t *testing.T) {
	b, _ := backend(t, source(nil))
	assumed := Run(t.Context(), b, Options{}).Run
	assert.Contains(t, codesOf(assumed.Warnings), CodeRefAssumed.Name)
	assert.Equal(t, "main", assumed.Ref)
	named := Run(t.Context(), b, Options{Ref: "main"}).Run
	assert.NotContains(t, codesOf(named.Warnings), CodeRefAssumed.Name)
	elsewhere := Run(t.Context(), b, Options{Environment: "staging"}).Run
	assert.Equal(t, CodeRefMissing.Name, elsewhere.Code, "outside of the sandbox nothing is assumed")
	assert.NotContains(t, codesOf(elsewhere.Warnings), CodeRefAssumed.Name)
}

func TestAnEventThatIsNotKnownIsTold(t *testing.T) {
	b, _ := backend(t, source(nil))
	for event, told := range map[string]bool{"blah": true, "puhs": true, "workflow_run": true, "push": false, "": false, "pull_request": false} {
		run := Run(t.Context(), b, Options{Ref: "main", Event: event}).Run
		assert.Equal(t, told, slices.Contains(codesOf(run.Warnings), CodeEventUnknown.Name), event)
	}
}

func TestACheckoutWithChangesIsTold(t *testing.T) {
	b, _ := backend(t, source(nil))
	run := Run(t.Context(), b, Options{Ref: "main", Uncommitted: []string{"a.py", "b.py"}}).Run
	require.Contains(t, codesOf(run.Warnings), CodeSourceModified.Name)
	assert.Contains(t, run.Warnings[0].Cause, "2 files are not as in the commit, which is therefore not named: a.py, b.py")
}

func TestAPathOfTestsThatIsNotThere(t *testing.T) {
	files := fake.Files(map[string]string{"main.py": "", "tests/unit/test_a.py": "", "tests/test_b.py": ""})
	for given, want := range map[string]string{
		"nope": "--path nope: the source has no such file or directory", "test_b.py": "there is tests/test_b.py",
		"tests/unit/test_b.py": "there is tests/test_b.py", "tests/test": "no such file", "/home/me/app/tests": "relative to the root of the source",
		"tests": "", "tests/": "", "./tests/unit": "", "tests/test_b.py::test_x[a/b]": "", ".": "", "tests/unit/test_a.py": "",
	} {
		b, _ := backend(t, files)
		run := Run(t.Context(), b, Options{Ref: "main", Stages: []string{verdict.Test}, Test: TestOptions{Paths: []string{given}}}).Run
		if want == "" {
			assert.Nil(t, run.Preflight, given)
			continue
		}
		require.NotNil(t, run.Preflight, given)
		assert.Len(t, run.Preflight.Problems, 1, given)
		assert.Equal(t, CodeBadArgument.Name, run.Code, given)
		assert.Contains(t, run.Cause, want, given)
	}
}

// Stages tell their start and end under one lock, so the lines need none here.
func TestProgressTellsWhatRunsAndWhatIsWaitedFor(t *testing.T) {
	var lines []string
	p := &progress{tell: func(line string) { lines = append(lines, line) }}
	ended := p.began(verdict.Train)
	p.began(verdict.Test)(verdict.Stage{Verdict: verdict.Fail, Code: "TESTS_FAILED"})
	passed := verdict.Stage{Verdict: verdict.Pass}
	passed.Reuse(time.Date(2026, 11, 30, 3, 26, 9, 0, time.UTC), time.Now())
	ended(passed)
	p.began(verdict.Image)(verdict.Stage{Verdict: verdict.NotRun, Code: "NO_ENGINE", Cause: "none was built"})
	p.began(verdict.Deploy)(verdict.Stage{Verdict: verdict.Pass, Evidence: []verdict.Evidence{{Name: rollout.Planned}}})
	p.skipped(verdict.Stage{Name: verdict.Publish, Verdict: verdict.CouldNotRun, Code: "BLOCKED"})
	assert.Equal(t, []string{
		"train: started", "test: started", "test: fail after 0s (TESTS_FAILED); the next stage waits for train",
		"train: pass after 0s: reused, the result of a run at 2026-11-30 03:26:09 UTC with the same inputs", "image: started", "image: not-run after 0s (NO_ENGINE): none was built",
		"deploy: started", "deploy: pass after 0s: planned, nothing deployed", "publish: could-not-run (BLOCKED)",
	}, lines)
	(&progress{}).say("nobody listens")
}

func TestARunTellsItsProgress(t *testing.T) {
	b, _ := backend(t, source(nil))
	var mu sync.Mutex
	lines := map[string]bool{}
	Run(t.Context(), b, Options{Ref: "main", Progress: func(line string) {
		mu.Lock()
		defer mu.Unlock()
		lines[line] = true
	}})
	assert.True(t, lines["test: started"] && lines["train: started"], lines)
	assert.True(t, lines["publish: could-not-run (BLOCKED)"], lines)
}

func codesOf(findings []verdict.Finding) []string {
	var codes []string
	for _, found := range findings {
		codes = append(codes, found.Code)
	}
	return codes
}

// A project's own name is everywhere, not that of this repository's example.
func TestARunIsCalledAfterItsProject(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"from-pipeline": {"pipeline.yaml": "name: from-pipeline\n", "pyproject.toml": "[project]\nname = \"other\"\n"},
		"from-project":  {"pyproject.toml": "[project]\nname = \"From_Project\"\n"},
		"from-poetry":   {"pyproject.toml": "[tool.poetry]\nname = \"from-poetry\"\n"},
		"from-setup":    {"setup.cfg": "[metadata]\nname = from_setup\n"},
	} {
		files["main.py"] = ""
		b, _ := backend(t, fake.Files(files))
		outcome := Run(t.Context(), b, Options{Ref: "main", Stages: []string{verdict.Deploy}, Image: "repo@sha256:" + strings.Repeat("a", 64)})
		assert.Equal(t, name, outcome.Run.Application)
		require.NotNil(t, outcome.Plan, name)
		assert.Equal(t, name+"-service-sandbox", *outcome.Plan.Service.ServiceName)
	}
}

// What would certainly fail an hour later is told by the first run.
func TestAnApplicationThatIsNotThereIsToldAtOnce(t *testing.T) {
	const missing = "could-not-run BLOCKED"
	for config, want := range map[string]string{
		"": "fail APP_MISSING", "image: {command: [python, serve/app.py]}": "fail APP_MISSING",
		"image: {command: [python, ./app.py]}": missing, "image: {command: [python, models/served.py]}": missing,
		"image: {command: [python, -m, app, --script, /srv/x.py]}": missing, "image: {dockerfile: Dockerfile}": missing,
		"policy: {main: [test, train, publish]}": "not-run POLICY",
	} {
		b, _ := backend(t, fake.Files(map[string]string{"app.py": "", "Dockerfile": "FROM scratch\n", "pipeline.yaml": config}))
		b.BuildImage = func(context.Context, ImageRequest) *ImageResult { panic("nothing has passed") }
		var said []string
		run := Run(t.Context(), b, Options{Ref: "main", Progress: func(line string) { said = append(said, line) }}).Run
		assert.Contains(t, []string{want, "not-run NO_ENGINE"}, codes(run)[verdict.Image], config)
		assert.Equal(t, want == "fail APP_MISSING", strings.HasPrefix(said[0], "image: will fail (APP_MISSING): image.command starts"), "%v", said)
		if want == "fail APP_MISSING" {
			assert.Equal(t, want, codes(run)[verdict.Image], config)
		}
	}
}
