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

const all, harmless = "test train publish image deploy", "test train"

func TestDecideByRef(t *testing.T) {
	for name, tc := range map[string]struct{ ref, event, want string }{
		"main":                           {"main", "", all},
		"main as a full ref":             {"refs/heads/main", "push", all},
		"develop":                        {"refs/heads/develop", "push", harmless},
		"a feature branch":               {"feature/x", "", harmless},
		"a feature branch as a full ref": {"refs/heads/feature/x/y", "", harmless},
		"a pull request":                 {"refs/pull/12/merge", "pull_request", harmless},
		"a pull request without event":   {"refs/pull/12/head", "", harmless},
		"a merge request":                {"refs/merge-requests/3/head", "", harmless},
		"a pull request whose source is called main":   {"main", "pull_request", harmless},
		"a pull_request_target event has main as ref":  {"refs/heads/main", "pull_request_target", harmless},
		"a merge request event":                        {"main", "merge_request_event", harmless},
		"a comment on a pull request":                  {"refs/heads/main", "issue_comment", harmless},
		"a merge queue":                                {"refs/heads/gh-readonly-queue/main/pr-1-abc", "merge_group", harmless},
		"a tag":                                        {"refs/tags/v1", "push", harmless},
		"a tag called main":                            {"refs/tags/main", "push", harmless},
		"no ref":                                       {"", "", harmless},
		"a detached head":                              {"HEAD", "", harmless},
		"a commit":                                     {"3f9c2d41b7a85e60c1d2e3f4a5b6c7d8e9f00112", "", harmless},
		"another namespace":                            {"refs/changes/34/1234/1", "", harmless},
		"main in another case":                         {"Main", "", harmless},
		"main with a space":                            {"main ", "", harmless},
		"main with a line break":                       {"main\n", "", harmless},
		"a branch that only ends in main":              {"evil/main", "", harmless},
		"a branch that hides behind a ref's prefix":    {"refs/heads/refs/heads/main", "", harmless},
		"a branch that is a pattern":                   {"*", "", harmless},
		"an empty branch":                              {"refs/heads/", "", harmless},
		"the remote's name for it is not the branch":   {"origin/main", "", harmless},
		"GitHub's short name of a pull request's ref":  {"12/merge", "", harmless},
		"a scheduled run of main is a run of main":     {"refs/heads/main", "schedule", all},
		"a run by hand of main is a run of main":       {"main", "workflow_dispatch", all},
		"a pull request event in other people's words": {"main", "PullRequest", harmless},
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
			assert.Equal(t, tc.want == all, policy.Credentials(decisions))
		})
	}
}

func TestDecideByConfiguration(t *testing.T) {
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
		"a branch that nothing names":                  {map[string][]string{"main": {"test"}}, "other", harmless},
		"a policy that skips a stage":                  {map[string][]string{"main": {"test", "publish", "image", "deploy"}}, "main", "test"},
		"a pattern that cannot be read":                {map[string][]string{"a[": {"test"}}, "a", harmless},
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

func TestDecideWithoutAnEngine(t *testing.T) {
	for name, tc := range map[string]struct{ environment, runner, want, deploy string }{
		"in the sandbox the rollout is planned":   {"", policy.Native, "test train publish deploy", ""},
		"elsewhere there is nothing to roll out":  {config.Staging, policy.Native, "test train publish", "NO_ENGINE"},
		"an unknown runner can do less, not more": {config.Sandbox, "", "test train publish deploy", ""},
	} {
		t.Run(name, func(t *testing.T) {
			decisions := policy.Decide(config.Default(), policy.Request{Ref: "main", Environment: tc.environment, Runner: tc.runner})
			assert.Equal(t, tc.want, running(decisions))
			assert.Equal(t, "NO_ENGINE", decisions[3].Code)
			assert.Contains(t, decisions[3].Reason, "start Docker")
			assert.Equal(t, tc.deploy, decisions[4].Code)
			s := decisions[3].NotRun()
			assert.Equal(t, verdict.NotRun, s.Verdict)
			run := &verdict.Run{Stages: []verdict.Stage{{Name: "test", Verdict: verdict.Pass}, s}}
			assert.Equal(t, verdict.Pass, run.Judge().Verdict)
		})
	}
	decisions := policy.Decide(config.Default(), policy.Request{Ref: "feature/x", Runner: policy.Native})
	assert.Equal(t, "POLICY", decisions[3].Code, "the policy is the better reason")
}

func TestTheSandboxNeedsNoCredentials(t *testing.T) {
	decisions := policy.Decide(config.Default(), policy.Request{Ref: "main", Runner: policy.Engine})
	assert.Equal(t, all, running(decisions))
	assert.False(t, policy.Credentials(decisions))
	assert.Contains(t, decisions[2].Reason, "publish starts when test and train passed")
}

func TestReady(t *testing.T) {
	engine := policy.Decide(config.Default(), policy.Request{Ref: "main", Runner: policy.Engine})
	native := policy.Decide(config.Default(), policy.Request{Ref: "main", Runner: policy.Native})
	pass := func(names ...string) []verdict.Stage {
		var stages []verdict.Stage
		for _, name := range names {
			stages = append(stages, verdict.Stage{Name: name, Verdict: verdict.Pass})
		}
		return stages
	}
	for name, tc := range map[string]struct {
		stage     string
		decisions []policy.Decision
		done      []verdict.Stage
		want      string
	}{
		"tests need nothing":                        {"test", engine, nil, ""},
		"publish after test and train":              {"publish", engine, pass("test", "train"), ""},
		"publish after a failed test":               {"publish", engine, append(pass("train"), verdict.Stage{Name: "test", Verdict: verdict.Fail, Code: "TESTS_FAILED"}), "test did not pass (TESTS_FAILED)"},
		"publish after a training that could not":   {"publish", engine, append(pass("test"), verdict.Stage{Name: "train", Verdict: verdict.CouldNotRun}), "train did not pass (could-not-run)"},
		"publish after nothing":                     {"publish", engine, nil, "test has no verdict, train has no verdict"},
		"deploy needs the image":                    {"deploy", engine, pass("test", "train", "publish"), "image has no verdict"},
		"without an engine deploy needs publish":    {"deploy", native, pass("test", "train", "publish"), ""},
		"without an engine and a published version": {"deploy", native, pass("test", "train"), "publish has no verdict"},
		"a stage that was not to run did not pass":  {"image", engine, append(pass("test"), verdict.Stage{Name: "publish", Verdict: verdict.NotRun, Code: "POLICY"}), "publish did not pass (POLICY)"},
	} {
		t.Run(name, func(t *testing.T) {
			p := policy.Ready(tc.stage, tc.decisions, tc.done)
			if tc.want == "" {
				require.Nil(t, p)
				return
			}
			require.NotNil(t, p)
			assert.Equal(t, tc.want, p.Cause)
			s := policy.Blocked(tc.stage, p)
			assert.Equal(t, verdict.CouldNotRun, s.Verdict)
			assert.Equal(t, "BLOCKED", s.Code)
			assert.Contains(t, s.Failure(), "FAIL "+tc.stage+" BLOCKED: "+tc.want)
		})
	}
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
}

func TestOwnCodesAreComplete(t *testing.T) {
	_, err := verdict.Codes(policy.OwnCodes(), verdict.OwnCodes(), config.OwnCodes())
	assert.NoError(t, err)
}
