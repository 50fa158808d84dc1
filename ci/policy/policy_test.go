package policy_test

import (
	"strings"
	"testing"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// running lists the stages that run.
func running(decisions []policy.Decision) string {
	var stages []string
	for _, d := range decisions {
		if d.Run {
			stages = append(stages, d.Stage)
		}
	}
	return strings.Join(stages, " ")
}

const all, safe = "test train publish image deploy", "test train"

func TestAPullRequestRunsNoMoreThanEveryBranch(t *testing.T) {
	cfg := config.Default()
	cfg.Policy["*"] = []string{"test", "publish"}
	for _, ref := range []string{"refs/pull/1/head", "refs/tags/v1", ""} {
		assert.Equal(t, "test", running(policy.Decide(cfg, policy.Request{Ref: ref, Environment: config.Production, Runner: policy.Engine})), ref)
	}
	delete(cfg.Policy, "*")
	assert.Equal(t, safe, running(policy.Decide(cfg, policy.Request{Ref: "refs/pull/1/head", Runner: policy.Engine})))
}

func TestDecideByRef(t *testing.T) {
	for name, tc := range map[string]struct{ ref, event, want string }{
		"main":                           {"main", "", all},
		"main as a full ref":             {"refs/heads/main", "push", all},
		"develop":                        {"refs/heads/develop", "push", safe},
		"a feature branch":               {"feature/x", "", safe},
		"a feature branch as a full ref": {"refs/heads/feature/x/y", "", safe},
		"a pull request":                 {"refs/pull/12/merge", "pull_request", safe},
		"a pull request without event":   {"refs/pull/12/head", "", safe},
		"a merge request":                {"refs/merge-requests/3/head", "", safe},
		"a pull request whose source is called main":   {"main", "pull_request", safe},
		"a pull_request_target event has main as ref":  {"refs/heads/main", "pull_request_target", safe},
		"a merge request event":                        {"main", "merge_request_event", safe},
		"a comment on a pull request":                  {"refs/heads/main", "issue_comment", safe},
		"a merge queue":                                {"refs/heads/gh-readonly-queue/main/pr-1-abc", "merge_group", safe},
		"a tag":                                        {"refs/tags/v1", "push", safe},
		"a tag called main":                            {"refs/tags/main", "push", safe},
		"no ref":                                       {"", "", safe},
		"a detached head":                              {"HEAD", "", safe},
		"a commit":                                     {"3f9c2d41b7a85e60c1d2e3f4a5b6c7d8e9f00112", "", safe},
		"another namespace":                            {"refs/changes/34/1234/1", "", safe},
		"main in another case":                         {"Main", "", safe},
		"main with a space":                            {"main ", "", safe},
		"main with a line break":                       {"main\n", "", safe},
		"a branch that only ends in main":              {"evil/main", "", safe},
		"a branch that hides behind a ref's prefix":    {"refs/heads/refs/heads/main", "", safe},
		"a branch that is a pattern":                   {"*", "", safe},
		"an empty branch":                              {"refs/heads/", "", safe},
		"the remote's name for it is not the branch":   {"origin/main", "", safe},
		"GitHub's short name of a pull request's ref":  {"12/merge", "", safe},
		"a scheduled run of main is a run of main":     {"refs/heads/main", "schedule", all},
		"a run by hand of main is a run of main":       {"main", "workflow_dispatch", all},
		"a pull request event in other people's words": {"main", "PullRequest", safe},
		"what another workflow started":                {"refs/heads/main", "workflow_run", safe},
		"a workflow that another one calls":            {"refs/heads/main", "workflow_call", safe},
		"a discussion":                                 {"refs/heads/main", "discussion", safe},
		"a child pipeline of nobody knows what":        {"main", "parent_pipeline", safe},
		"an event nobody has heard of":                 {"main", "push2", safe},
		"an event with white space around it":          {"main", " Push\n", all},
		"a batch of pushes":                            {"main", "BatchedCI", all},
	} {
		t.Run(name, func(t *testing.T) {
			decisions := policy.Decide(config.Default(), policy.Request{Ref: tc.ref, Event: tc.event, Environment: config.Production, Runner: policy.Engine})
			assert.Equal(t, tc.want, running(decisions))
			require.Len(t, decisions, len(verdict.Stages()))
			for i, d := range decisions {
				assert.Equal(t, verdict.Stages()[i], d.Stage)
				assert.Regexp(t, `^[A-Z].*\.$`, d.Reason)
				assert.NotContains(t, d.Reason, "\n")
				assert.Equal(t, d.Run, d.Code == "", "a stage that does not run says why in a code")
				if d.Stage == verdict.Test || d.Stage == verdict.Train {
					assert.False(t, d.Credentials, "tests and training never get credentials")
				}
			}
			assert.Equal(t, tc.want == all, decisions[4].Credentials)
		})
	}
}

func TestDecideByConfigurationInTheSandbox(t *testing.T) {
	for name, tc := range map[string]struct {
		policy map[string][]string
		ref    string
		want   string
	}{
		"the branch's own name beats a longer pattern": {map[string][]string{"main": {"test"}, "mai[nopq]": {"test", "train"}}, "main", "test"},
		"the longest pattern counts":                   {map[string][]string{"*": {"test"}, "release/*": {"test", "train"}, "release/1.*": {"train"}}, "release/1.2", "train"},
		"a star in a pattern stops at a slash":         {map[string][]string{"*": {"test"}, "release/*": {"train"}}, "release/1/x", "test"},
		"two stars do not":                             {map[string][]string{"*": {"test"}, "release/**": {"train"}}, "release/1/x", "train"},
		"a release branch may publish":                 {map[string][]string{"release/*": {"test", "train", "publish"}}, "release/1", "test train publish"},
		"no stage at all":                              {map[string][]string{"wip/*": {}}, "wip/x", ""},
		"a branch that nothing names":                  {map[string][]string{"main": {"test"}}, "other", safe},
		"a policy that skips a stage":                  {map[string][]string{"main": {"test", "publish", "image", "deploy"}}, "main", "test"},
		"a pattern that cannot be read":                {map[string][]string{"a[": {"test"}}, "a", safe},
		"patterns of the same length":                  {map[string][]string{"ma*n": {"test"}, "m*in": {"train"}}, "main", "train"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			cfg.Policy = tc.policy
			for range 20 { // maps have no order
				assert.Equal(t, tc.want, running(policy.Decide(cfg, policy.Request{Ref: tc.ref, Runner: policy.Engine})))
			}
		})
	}
}

// Outside of the sandbox the call says which branches release. The file, which the branch
// itself brings along, can only take stages away.
func TestABranchCannotGrantItselfStages(t *testing.T) {
	everything := strings.Fields(all)
	for name, tc := range map[string]struct {
		policy   map[string][]string
		ref      string
		releases []string
		want     string
	}{
		"a branch that names itself":   {map[string][]string{"feature/x": everything}, "refs/heads/feature/x", nil, safe},
		"a branch that names its kind": {map[string][]string{"feature/*": everything}, "feature/x", nil, safe},
		"a branch that names itself, beside others": {map[string][]string{"feature/x": everything}, "feature/x", []string{"main",
			"release/*"}, safe},
		"a branch that asks for less":         {map[string][]string{"feature/x": {"test"}}, "feature/x", nil, "test"},
		"main, where the file is silent":      {nil, "main", nil, all},
		"main, which another branch replaces": {map[string][]string{"main": everything}, "main", []string{"trunk"}, safe},
		"a release branch of the call":        {map[string][]string{"*": {"test", "train"}}, "trunk", []string{"trunk"}, all},
		"a release branch by a pattern":       {nil, "release/1.2", []string{"main", "release/*"}, all},
		"a pattern stops at a slash":          {nil, "release/1/x", []string{"release/*"}, safe},
		"a release branch that the file restricts": {map[string][]string{"main": {"test", "train", "publish"}}, "main", nil,
			"test train publish"},
		"a release branch that a pattern restricts": {map[string][]string{"release/*": {"test", "train"}}, "release/1",
			[]string{"release/*"}, safe},
		"a release branch without training":             {map[string][]string{"*": {"test"}}, "main", nil, "test"},
		"a tag of the name of a release branch":         {nil, "refs/tags/main", nil, safe},
		"a pull request from a branch of the same name": {nil, "refs/pull/1/head", []string{"1"}, safe},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			cfg.Policy = tc.policy
			request := policy.Request{Ref: tc.ref, Environment: config.Production, Runner: policy.Engine, ReleaseBranches: tc.releases}
			decisions := policy.Decide(cfg, request)
			assert.Equal(t, tc.want, running(decisions))
			if tc.want == safe && tc.policy["feature/x"] != nil {
				assert.Contains(t, decisions[2].Reason, "is not a release branch (--release-branch: main")
			}
		})
	}
}

func TestAReleaseBranchOfTheCallCountsInTheSandboxToo(t *testing.T) {
	assert.Equal(t, all, running(policy.Decide(config.Default(), policy.Request{Ref: "trunk", Runner: policy.Engine,
		ReleaseBranches: []string{"trunk"}})))
}

func TestCheckReleaseBranch(t *testing.T) {
	for _, good := range []string{"main", "release/*", "release/**", "v[0-9].x", "{main,trunk}"} {
		assert.NoError(t, policy.CheckReleaseBranch(good), good)
	}
	for _, bad := range []string{"", "*", "**", "*/**", "/", "a[", " main", "main\n", "refs/heads/main"} {
		assert.Error(t, policy.CheckReleaseBranch(bad), bad)
	}
}

func TestTrusted(t *testing.T) {
	for _, branch := range []string{"main", "feature/x", "refs/heads/develop"} {
		assert.True(t, policy.Request{Ref: branch, Event: "push"}.Trusted(), branch)
		assert.False(t, policy.Request{Ref: branch, Event: "workflow_run"}.Trusted(), branch)
		assert.False(t, policy.Request{Ref: branch, Event: "pull_request"}.Trusted(), branch)
	}
	for _, ref := range []string{"refs/pull/1/merge", "refs/tags/v1", "HEAD", ""} {
		assert.False(t, policy.Request{Ref: ref}.Trusted(), ref)
	}
}

func TestDecideWithoutAnEngine(t *testing.T) {
	for name, tc := range map[string]struct{ environment, runner, want, deploy string }{
		"in the sandbox the rollout is planned":   {"", policy.Native, "test train publish deploy", ""},
		"elsewhere there is nothing to roll out":  {config.Staging, policy.Native, "test train publish", "NO_ENGINE"},
		"an unknown runner can do less, not more": {config.Sandbox, "", "test train publish deploy", ""},
	} {
		t.Run(name, func(t *testing.T) {
			decisions := policy.Decide(config.Default(), policy.Request{Ref: "main", Environment: tc.environment, Runner: tc.runner})
			assert.Equal(t, tc.want, running(decisions))
			assert.Equal(t, "NO_ENGINE", decisions[4].Code)
			assert.Contains(t, decisions[4].Reason, "dagger call run")
			assert.Equal(t, tc.deploy, decisions[7].Code)
			s := decisions[4].NotRun()
			assert.Equal(t, verdict.NotRun, s.Verdict)
			run := &verdict.Run{Stages: []verdict.Stage{{Name: "test", Verdict: verdict.Pass}, s}}
			assert.Equal(t, verdict.Pass, run.Judge().Verdict)
		})
	}
	decisions := policy.Decide(config.Default(), policy.Request{Ref: "feature/x", Runner: policy.Native})
	assert.Equal(t, "POLICY", decisions[4].Code, "the policy is the better reason")
}

func TestTheSandboxNeedsNoCredentials(t *testing.T) {
	decisions := policy.Decide(config.Default(), policy.Request{Ref: "main", Runner: policy.Engine})
	assert.Equal(t, all, running(decisions))
	for _, d := range decisions {
		assert.False(t, d.Credentials, d.Stage)
	}
	assert.Contains(t, decisions[3].Reason, "Publish starts when test and train passed")
}

func TestTheGateDemandsWhatAStageRequires(t *testing.T) {
	pass := func(names ...string) []verdict.Stage {
		var stages []verdict.Stage
		for _, name := range names {
			stages = append(stages, verdict.Stage{Name: name, Verdict: verdict.Pass})
		}
		return stages
	}
	engine, native := policy.Request{Ref: "main", Runner: policy.Engine}, policy.Request{Ref: "main", Runner: policy.Native}
	given := policy.Request{Ref: "main", Environment: config.Production, Runner: policy.Native, Image: true}
	for name, tc := range map[string]struct {
		stage   string
		request policy.Request
		done    []verdict.Stage
		want    string
	}{
		"tests need nothing":           {"test", engine, nil, ""},
		"publish after test and train": {"publish", engine, pass("test", "train"), ""},
		"publish after a failed test": {"publish", engine, append(pass("train"), verdict.Stage{Name: "test", Verdict: verdict.Fail,
			Code: "TESTS_FAILED"}),
			"test did not pass (TESTS_FAILED)"},
		"publish after a training that could not run": {"publish", engine, append(pass("test"), verdict.Stage{Name: "train",
			Verdict: verdict.CouldNotRun}),
			"train did not pass (could-not-run)"},
		"publish after the training alone": {"publish", engine, pass("train"), "test has no verdict in this run"},
		"publish after nothing": {"publish", engine, nil,
			"test has no verdict in this run, train has no verdict in this run"},
		"a push after the training alone": {"image", engine, pass("train"),
			"test has no verdict in this run, publish has no verdict in this run"},
		"deploy needs the image": {"deploy", engine, pass("test", "train", "publish"),
			"image has no verdict in this run"},
		"deploy of an image whose model is not published": {"deploy", engine, pass("test", "train", "image"),
			"publish has no verdict in this run"},
		"deploy of a given image":                   {"deploy", given, nil, ""},
		"without an engine deploy needs publish":    {"deploy", native, pass("test", "train", "publish"), ""},
		"without an engine and a published version": {"deploy", native, pass("test", "train"), "publish has no verdict in this run"},
		"a stage that was not to run did not pass": {"image", engine, append(pass("test", "train"),
			verdict.Stage{Name: "publish", Verdict: verdict.NotRun, Code: "POLICY"}), "publish did not pass (POLICY)"},
	} {
		t.Run(name, func(t *testing.T) {
			permit, refused := policy.NewGate(config.Default(), tc.request).Ask(policy.Action{Stage: tc.stage}, tc.done)
			if tc.want == "" {
				require.Nil(t, refused)
				assert.True(t, permit.Allows(tc.stage))
				assert.False(t, permit.Allows("polish"), "one permit, one stage")
				return
			}
			require.NotNil(t, refused)
			assert.False(t, permit.Allows(tc.stage))
			assert.Equal(t, verdict.CouldNotRun, refused.Verdict)
			assert.Equal(t, "BLOCKED", refused.Code)
			assert.Contains(t, refused.Failure(), "FAIL "+tc.stage+" BLOCKED: "+tc.want)
		})
	}
}

func TestWhatPassedWithoutAGateIsNotPublished(t *testing.T) {
	done := []verdict.Stage{{Name: "test", Verdict: verdict.Pass}, {Name: "train", Verdict: verdict.Pass}}
	done[1].Warn(verdict.CodeGatesNone, "train.gates is empty")
	for environment, code := range map[string]string{config.Sandbox: "", config.Production: "GATES_NONE"} {
		_, refused := policy.NewGate(config.Default(), policy.Request{Ref: "main",
			Environment: environment}).Ask(policy.Action{Stage: "publish"}, done)
		if code == "" {
			require.Nil(t, refused, environment)
			continue
		}
		require.NotNil(t, refused)
		assert.Equal(t, code, refused.Code)
		assert.Equal(t, verdict.Fail, refused.Verdict)
		assert.Contains(t, refused.Failure(), "FAIL publish GATES_NONE: there is no gate on train")
	}
}

// In the sandbox a call of publish for a source without tests fails, and still publishes; tests that failed hold it back.
func TestWhatASourceWithoutTestsHoldsBack(t *testing.T) {
	for name, tc := range map[string]struct {
		environment, code string
		part, untested    bool
	}{
		"no tests in the sandbox":   {config.Sandbox, "NO_TESTS", true, true},
		"no tests, a whole run":     {config.Sandbox, "NO_TESTS", false, false},
		"no tests in production":    {config.Production, "NO_TESTS", true, false},
		"failed in the sandbox":     {config.Sandbox, "TESTS_FAILED", true, false},
		"not loaded in the sandbox": {config.Sandbox, "COLLECTION_ERROR", true, false},
	} {
		gate := policy.NewGate(config.Default(), policy.Request{Ref: "main", Environment: tc.environment, Part: tc.part})
		tests := verdict.Stage{Name: "test"}
		tests.Judge(verdict.Problemf(verdict.Code{Name: tc.code, Stage: "test", Outcome: verdict.Fail}, "x"))
		assert.Equal(t, tc.untested, gate.Untested(tests), name)
		_, refused := gate.Ask(policy.Action{Stage: "publish"}, []verdict.Stage{tests, {Name: "train", Verdict: verdict.Pass}})
		assert.Equal(t, tc.untested, refused == nil, name)
	}
}

func TestTheGateByKindOfAction(t *testing.T) {
	production := func(ref string) policy.Request {
		return policy.Request{Ref: ref, Environment: config.Production, Runner: policy.Native}
	}
	change, recorded, read := policy.Action{Stage: "publish"}, policy.Action{Stage: "deploy", Recorded: true},
		policy.Action{Stage: "publish", Reads: true}
	for name, tc := range map[string]struct {
		request policy.Request
		action  policy.Action
		allowed bool
	}{
		"main reads":                                {production("main"), read, true},
		"a branch reads":                            {production("feature/x"), read, true},
		"a pull request does not even read":         {production("refs/pull/1/merge"), read, false},
		"no ref does not even read":                 {production(""), read, false},
		"a pull request reads the sandbox":          {policy.Request{Ref: "refs/pull/1/merge"}, read, true},
		"main changes what is recorded":             {production("main"), recorded, true},
		"a branch does not change what is recorded": {production("feature/x"), recorded, false},
		"a branch does not publish":                 {production("feature/x"), change, false},
	} {
		t.Run(name, func(t *testing.T) {
			permit, refused := policy.NewGate(config.Default(), tc.request).Ask(tc.action, nil)
			assert.Equal(t, tc.allowed, refused == nil)
			assert.Equal(t, tc.allowed, permit.AllowsReading(tc.action.Stage))
			assert.Equal(t, tc.allowed && !tc.action.Reads, permit.Allows(tc.action.Stage), "leave to read is no leave to write")
			if refused != nil {
				assert.Equal(t, "not-run POLICY", string(refused.Verdict)+" "+refused.Code)
				assert.NotEmpty(t, refused.Cause)
			}
		})
	}
	assert.False(t, policy.Permit{}.Allows(""), "the zero permit allows nothing")
	assert.False(t, policy.Permit{}.AllowsReading(""))
	assert.False(t, policy.NewGate(config.Default(), production("main")).Decision("polish").Run)
}

func TestParseRef(t *testing.T) {
	for ref, want := range map[string]policy.Ref{
		"main":                       {Kind: policy.Branch, Name: "main"},
		"refs/heads/a/b":             {Kind: policy.Branch, Name: "a/b"},
		"refs/tags/v1.2":             {Kind: policy.Tag, Name: "v1.2"},
		"refs/pull/7/merge":          {Kind: policy.PullRequest, Name: "7"},
		"refs/merge-requests/8/head": {Kind: policy.PullRequest, Name: "8"},
		"refs/notes/x":               {Kind: policy.Unknown, Name: "refs/notes/x"},
		"a..b":                       {Kind: policy.Unknown, Name: "a..b"},
		"-x":                         {Kind: policy.Unknown, Name: "-x"},
		"":                           {Kind: policy.Unknown},
	} {
		assert.Equal(t, want, policy.ParseRef(ref, ""), ref)
	}
	assert.Equal(t, policy.Ref{Kind: policy.PullRequest, Name: "x"}, policy.ParseRef("refs/heads/x", "pull_request"))
	assert.Equal(t, policy.Ref{Kind: policy.PullRequest}, policy.ParseRef("", "pull_request"))
	assert.Equal(t, policy.Ref{Kind: policy.Unknown, Name: "main", Event: "workflow_run"}, policy.ParseRef("main", "workflow_run"))
}

func TestOwnCodesAreComplete(t *testing.T) {
	_, err := verdict.Codes(policy.OwnCodes(), verdict.OwnCodes(), config.OwnCodes())
	assert.NoError(t, err)
}

func TestAMainBranchOfAnotherNameIsToldTheFlag(t *testing.T) {
	d := policy.Decide(config.Default(), policy.Request{Ref: "master", Environment: config.Sandbox, Runner: policy.Engine})
	assert.Equal(t, safe, running(d))
	assert.Contains(t, d[3].Reason, "Branch master is not a release branch (--release-branch: main)")
	cfg := config.Default()
	cfg.Policy = map[string][]string{"*": {"test", "publish"}}
	d = policy.Decide(cfg, policy.Request{Ref: "master", Environment: config.Sandbox, Runner: policy.Engine})
	assert.NotContains(t, d[3].Reason, "not a release branch", "the sandbox lets the file decide")
}
