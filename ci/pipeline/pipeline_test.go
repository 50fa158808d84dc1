package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// source is a project that every stage would look at.
func source(more map[string]string) runner.Files {
	files := map[string]string{
		"main.py": "print()", "tests/test_a.py": "def test_a(): pass", "streamlit_app/chatbot.py": "",
		"requirements/test.lock":  "pytest==8.4.2 --hash=sha256:00\npytest-cov==7.0.0 --hash=sha256:00",
		"requirements/train.lock": "six==1.17.0 --hash=sha256:00",
		"pipeline.yaml":           "train:\n  requirements: [requirements/train.lock]\ntest:\n  requirements: [requirements/test.lock]\n",
	}
	for name, content := range more {
		files[name] = content
	}
	return fake.Files(files)
}

// backend answers no step: every stage that runs could not run.
func backend(t *testing.T, files runner.Files) (Backend, *fake.Runner) {
	t.Helper()
	r := fake.New()
	r.OnRun(func(runner.Step) (*runner.Result, error) { return nil, errors.New("nothing runs here") })
	return Backend{Runner: r, Source: files, WorkDir: t.TempDir()}, r
}

func codes(run *verdict.Run) map[string]string {
	found := map[string]string{}
	for _, stage := range run.Stages {
		found[stage.Name] = string(stage.Verdict) + " " + stage.Code
	}
	return found
}

func TestNothingRunsWhenTheArgumentsOrTheConfigurationAreWrong(t *testing.T) {
	b, r := backend(t, source(map[string]string{"pipeline.yaml": "test:\n  coverage:\n    total: 101\nunknown: 1\n"}))
	outcome := Run(t.Context(), b, Options{Ref: "a..b", Commit: "not hexadecimal", CommitTime: "yesterday", Platform: "windows/amd64", Python: "2.7", Train: TrainOptions{Params: []string{"epochs", "a=1", "a=2"}, Threads: -1}})
	assert.Equal(t, verdict.Fail, outcome.Run.Verdict)
	assert.Empty(t, r.Steps())
	lines := strings.Join(outcome.Run.Failures(), "\n")
	for _, part := range []string{
		"BAD_ARGUMENT: --ref", "BAD_ARGUMENT: --commit", "BAD_ARGUMENT: --commit-time", "--param \"epochs\"", "--param a is given twice", "--cpu-threads -1",
		`BAD_ARGUMENT: --python "2.7" is not one of 3.10,`,
		`BAD_ARGUMENT: --platform "windows/amd64" is not one of linux/amd64, linux/arm64`,
		"CONFIG_INVALID: pipeline.yaml:3:", "test.coverage.total", "CONFIG_INVALID: pipeline.yaml:4:", "unknown",
	} {
		assert.Contains(t, lines, part)
	}
	for _, stage := range verdict.Stages() {
		assert.Equal(t, "could-not-run BLOCKED", codes(outcome.Run)[stage])
	}
	require.NoError(t, verdict.WriteReport(t.TempDir(), outcome.Run), "a refused run has a report too")
}

func TestASourceThatCannotBeOneIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		code  string
	}{
		"empty":               {map[string]string{}, "SRC_EMPTY"},
		"only excluded files": {map[string]string{"mlruns/0/meta.yaml": "hello"}, "SRC_EMPTY"},
		"documents":           {map[string]string{"README.md": "hello"}, "SRC_NOT_PYTHON"},
		"no Python":           {map[string]string{"main.rb": "puts 1"}, "SRC_NOT_PYTHON"},
	} {
		t.Run(name, func(t *testing.T) {
			b, r := backend(t, fake.Files(c.files))
			outcome := Run(t.Context(), b, Options{})
			assert.Contains(t, strings.Join(outcome.Run.Failures(), "\n"), "FAIL preflight "+c.code)
			assert.Empty(t, r.Steps())
		})
	}
}

// TestWhatIsOfOneMachineIsLeftOut: a virtual environment, whatever it is called, and the report of an earlier run. A package of that
// name stays.
func TestWhatIsOfOneMachineIsLeftOut(t *testing.T) {
	tree := func(files map[string]string) string {
		b, _ := backend(t, fake.Files(files))
		outcome := Run(t.Context(), b, Options{})
		require.NotEmpty(t, outcome.Run.Tree)
		return outcome.Run.Tree
	}
	plain := tree(map[string]string{"main.py": "x = 1\n"})
	assert.Equal(t, plain, tree(map[string]string{"main.py": "x = 1\n", "out/report.json": "{}", "out/report.html": "", "out/test/junit.xml": "",
		"env/pyvenv.cfg": "", "env/bin/activate": ""}))
	assert.NotEqual(t, plain, tree(map[string]string{"main.py": "x = 1\n", "report/app.py": ""}))
}

func TestAPullRequestDoesNotRunBesideCredentials(t *testing.T) {
	key := fake.Secret("AWS_SECRET_ACCESS_KEY", "correct-horse")
	keep := func(o *Options, secret runner.Secret) {
		o.Secrets = &Secrets{}
		o.Secrets.Keep(secret)
	}
	request := func(change func(*Options)) Options {
		opts := Options{Ref: "main", Event: "pull_request", Stages: []string{verdict.Test}}
		change(&opts)
		return opts
	}
	for sentence, c := range map[string]struct {
		runner string
		opts   Options
		cause  string
	}{
		"with keys":                       {"native", request(func(o *Options) { o.Target.AccessKey, o.Target.SecretKey = key, key }), "AWS_SECRET_ACCESS_KEY"},
		"with a token":                    {"native", request(func(o *Options) { keep(o, fake.Secret("MLFLOW_TRACKING_TOKEN", "x")) }), "MLFLOW_TRACKING_TOKEN"},
		"with a web identity":             {"native", request(func(o *Options) { o.Rollout.WebIdentity = key }), "AWS_SECRET_ACCESS_KEY"},
		"with a profile":                  {"native", request(func(o *Options) { o.Rollout.Profile = "staging" }), "the AWS profile staging"},
		"with the default credentials":    {"native", request(func(o *Options) { o.Rollout.DefaultCredentials = true }), "the default credentials of AWS"},
		"of another event":                {"native", request(func(o *Options) { o.Event = "merge_request_event"; keep(o, key) }), "AWS_SECRET_ACCESS_KEY"},
		"told by its ref":                 {"native", request(func(o *Options) { o.Event, o.Ref = "", "refs/pull/7/merge"; keep(o, key) }), "AWS_SECRET_ACCESS_KEY"},
		"of an event that is not known":   {"native", request(func(o *Options) { o.Event = "somebody_did_something"; keep(o, key) }), "AWS_SECRET_ACCESS_KEY"},
		"with a secret that is empty":     {"native", request(func(o *Options) { keep(o, fake.Secret("EMPTY", "")) }), ""},
		"without any":                     {"native", request(func(*Options) {}), ""},
		"a push may have them":            {"native", request(func(o *Options) { o.Event = "push"; keep(o, key) }), ""},
		"on an engine they are elsewhere": {"engine", request(func(o *Options) { keep(o, key) }), ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			b, r := backend(t, source(nil))
			r.As(c.runner)
			run := Run(t.Context(), b, c.opts).Run
			failures := strings.Join(run.Failures(), "\n")
			if c.cause == "" {
				assert.NotContains(t, failures, "UNTRUSTED_SOURCE")
				return
			}
			assert.Equal(t, verdict.CouldNotRun, run.Verdict)
			assert.Contains(t, failures, "FAIL preflight UNTRUSTED_SOURCE: the code of a pull request, or of an event that is not known, would run beside "+c.cause)
			assert.Empty(t, r.Steps())
		})
	}
}

// talkative is a runner with warnings that shows live output.
type talkative struct {
	*fake.Runner
	hide func(string) string
}

// Redact implements runner.Talkative.
func (r *talkative) Redact(hide func(string) string) { r.hide = hide }

// Warnings implements runner.Talkative.
func (r *talkative) Warnings() []runner.Warning {
	return []runner.Warning{{Code: verdict.Code{Name: "ODD_HOST", Remedy: "look"}, Text: "50% odd"}}
}

func TestWhatTheRunnerWarnsOfIsInTheReportAndItsLogIsRedacted(t *testing.T) {
	b, r := backend(t, source(nil))
	live := &talkative{Runner: r}
	b.Runner = live
	secrets := &Secrets{}
	secrets.Keep(fake.Secret("token", "correct-horse"))
	outcome := Run(t.Context(), b, Options{Stages: []string{verdict.Test}, Secrets: secrets})
	assert.Contains(t, outcome.Run.Warnings, verdict.Finding{Code: "ODD_HOST", Cause: "50% odd", Next: "look"})
	require.NotNil(t, live.hide)
	assert.Equal(t, "say "+verdict.Mask, live.hide("say correct-horse"))
}

// unreadable is a tree that cannot be read.
type unreadable struct{ runner.Files }

func (unreadable) Filter(_, _ []string) runner.Files      { return unreadable{} }
func (unreadable) List(context.Context) ([]string, error) { return nil, errors.New("disk gone") }
func (unreadable) Digest(context.Context) (string, error) { return "", errors.New("disk gone") }
func (unreadable) Read(context.Context, string, int64) ([]byte, error) {
	return nil, errors.New("disk gone")
}

// secondLook is a tree that can be read only while it is looked at for the first time.
type secondLook struct{ runner.Files }

func (s secondLook) Filter(i, e []string) runner.Files    { return secondLook{s.Files.Filter(i, e)} }
func (secondLook) Digest(context.Context) (string, error) { return "", errors.New("disk gone") }

func TestASourceThatCannotBeReadIsNoPass(t *testing.T) {
	for name, files := range map[string]runner.Files{"at all": unreadable{}, "any more": secondLook{source(nil)}} {
		t.Run(name, func(t *testing.T) {
			b, _ := backend(t, files)
			outcome := Run(t.Context(), b, Options{})
			assert.Equal(t, verdict.CouldNotRun, outcome.Run.Verdict)
			assert.Contains(t, strings.Join(outcome.Run.Failures(), "\n"), "SRC_UNREADABLE")
		})
	}
}

// TestAFolderOfAProjectIsNotJudgedByDefaults: its pipeline.yaml is above.
func TestAFolderOfAProjectIsNotJudgedByDefaults(t *testing.T) {
	for sentence, c := range map[string]struct {
		files   runner.Files
		above   func() string
		refused bool
	}{
		"a folder of a project":       {fake.Files(map[string]string{"a.py": ""}), func() string { return "../my app" }, true},
		"nothing is above":            {fake.Files(map[string]string{"a.py": ""}), func() string { return "" }, false},
		"it has its own":              {source(nil), func() string { return ".." }, false},
		"nobody can look, on engines": {fake.Files(map[string]string{"a.py": ""}), nil, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			b, r := backend(t, c.files)
			b.Above = c.above
			run := Run(t.Context(), b, Options{Stages: []string{verdict.Test}}).Run
			failures := strings.Join(run.Failures(), "\n")
			if !c.refused {
				assert.NotContains(t, failures, "CONFIG_ABOVE")
				return
			}
			assert.Contains(t, failures, "FAIL preflight CONFIG_ABOVE: pipeline.yaml is in ../my app")
			assert.Contains(t, failures, `Next: Give --source "../my app"`)
			assert.Empty(t, r.Steps())
		})
	}
}

func TestAConfigurationThatIsTooLargeIsRefused(t *testing.T) {
	b, _ := backend(t, source(map[string]string{"pipeline.yaml": strings.Repeat("#", maxConfig+1)}))
	_, problems := configure(t.Context(), b, "sandbox")
	require.Len(t, problems, 1)
	assert.Contains(t, problems[0].Error(), "CONFIG_INVALID")
}

func TestWhatComesAfterAFailureIsBlocked(t *testing.T) {
	b, r := backend(t, source(nil))
	b.BuildImage = func(context.Context, ImageRequest) *ImageResult {
		t.Error("an image must not be built of what did not pass")
		return &ImageResult{}
	}
	r.As("engine")
	outcome := Run(t.Context(), b, Options{Commit: "0123456"})
	found := codes(outcome.Run)
	assert.NotEqual(t, "pass ", found[verdict.Test])
	assert.NotEqual(t, "pass ", found[verdict.Train])
	for _, stage := range []string{verdict.Publish, verdict.Image, verdict.Deploy} {
		assert.Equal(t, "could-not-run BLOCKED", found[stage])
	}
	assert.NotEqual(t, verdict.Pass, outcome.Run.Verdict)
	assert.Nil(t, outcome.Model)
	assert.Nil(t, outcome.Version)
	assert.Empty(t, outcome.Image)
}

func TestWhatFollowsAStageThatPassedAlone(t *testing.T) {
	for name, c := range map[string]struct {
		opts   Options
		policy string
		passed verdict.Outcome
		want   string
	}{
		"the tests":                     {Options{Stages: []string{verdict.Test}}, "", verdict.Pass, "train"},
		"the training":                  {Options{Stages: []string{verdict.Train}}, "", verdict.Pass, "run"},
		"the tests of a library":        {Options{Stages: []string{verdict.Test}}, "policy: {main: [test]}\n", verdict.Pass, ""},
		"tests that failed":             {Options{Stages: []string{verdict.Test}}, "", verdict.Fail, ""},
		"a run":                         {Options{}, "", verdict.Pass, ""},
		"the tests outside the sandbox": {Options{Stages: []string{verdict.Test}, Environment: "staging", Ref: "main"}, "", verdict.Pass, ""},
	} {
		b, _ := backend(t, source(map[string]string{"pipeline.yaml": c.policy}))
		s := prepare(t.Context(), b, c.opts)
		s.run.Verdict = c.passed
		assert.Equal(t, c.want, s.next(), name)
	}
}

func TestAFeatureBranchAndAPullRequestPublishNothing(t *testing.T) {
	for name, opts := range map[string]Options{
		"feature branch":                       {Ref: "feature/x"},
		"develop":                              {Ref: "develop"},
		"pull request":                         {Ref: "refs/pull/7/merge"},
		"pull request of a branch called main": {Ref: "main", Event: "pull_request"},
	} {
		t.Run(name, func(t *testing.T) {
			b, r := backend(t, source(nil))
			outcome := Run(t.Context(), b, opts)
			found := codes(outcome.Run)
			for _, stage := range []string{verdict.Publish, verdict.Image, verdict.Deploy} {
				assert.Equal(t, "not-run POLICY", found[stage])
			}
			assert.Empty(t, r.Services(), "no server is started for nothing")
		})
	}
}

func TestARunOfSomeStagesHasOnlyThese(t *testing.T) {
	b, _ := backend(t, source(nil))
	outcome := Run(t.Context(), b, Options{Stages: []string{verdict.Test}})
	require.Len(t, outcome.Run.Stages, 1)
	assert.Equal(t, verdict.Test, outcome.Run.Stages[0].Name)

	refused, _ := backend(t, fake.Files(nil))
	outcome = Run(t.Context(), refused, Options{Stages: []string{verdict.Train}})
	require.Len(t, outcome.Run.Stages, 1, "a refused run too")
}

func TestARolloutOfAGivenImageIsPlannedInTheSandbox(t *testing.T) {
	b, r := backend(t, source(nil))
	r.As("engine")
	image := "registry.example/app@sha256:" + strings.Repeat("ab", 32)
	outcome := Run(t.Context(), b, Options{Stages: []string{verdict.Deploy}, Image: image})
	require.Equal(t, map[string]string{verdict.Deploy: "pass "}, codes(outcome.Run), outcome.Run.Failures())
	require.NotNil(t, outcome.Plan)
	assert.Equal(t, image, outcome.Plan.Image.Written())

	outcome = Run(t.Context(), b, Options{Stages: []string{verdict.Deploy}, Image: "registry.example/app:latest"})
	assert.Equal(t, verdict.Fail, outcome.Run.Verdict, "a tag is no digest")
}

// permitted is a permit for a stage, of a gate that finds that everything passed.
func permitted(t *testing.T, stage string) policy.Permit {
	t.Helper()
	permit, refused := policy.NewGate(config.Default(), policy.Request{Ref: "main",
		Runner: policy.Engine}).Ask(policy.Action{Stage: stage, Recorded: true}, nil)
	require.Nil(t, refused)
	return permit
}

func TestServersThatDoNotStartAreThePublishStagesProblem(t *testing.T) {
	b, _ := backend(t, source(nil))
	s := prepare(t.Context(), b, Options{})
	s.servers.mlflowErr = errors.New("no memory")
	stage := s.publish(t.Context(), permitted(t, verdict.Publish))
	assert.Equal(t, "SANDBOX_FAILED", stage.Code)
	assert.Equal(t, verdict.CouldNotRun, stage.Verdict)
}

func TestGivenServersAreUsedAndNotStopped(t *testing.T) {
	b, r := backend(t, source(nil))
	stopped := false
	given := &runner.Running{Name: "s3", Address: "127.0.0.1:1", Stop: func(context.Context) error { stopped = true; return nil }}
	s := prepare(t.Context(), b, Options{Servers: Servers{MLflow: given, S3: given}})
	s.startServers(t.Context())
	require.NoError(t, s.servers.stop(t.Context()))
	assert.False(t, stopped)
	assert.Empty(t, r.Services())
}

func TestAServerThatDoesNotStopIsAWarning(t *testing.T) {
	s := &servers{started: []*runner.Running{{Name: "mlflow", Stop: func(context.Context) error { return errors.New("stuck") }}}}
	require.ErrorContains(t, s.stop(t.Context()), "stop mlflow: stuck")
}

func TestWithoutAnEngineTheApplicationIsServedAndTheImageIsNotRun(t *testing.T) {
	b, _ := backend(t, source(nil))
	for name, c := range map[string]struct {
		served verdict.Stage
		want   string
	}{
		"it answers": {verdict.Stage{Verdict: verdict.Pass, Evidence: []verdict.Evidence{{Name: Answered, Value: "after 1.7 s", OK: true}}},
			"not-run NO_ENGINE no image was built; the application answered as a process after 1.7 s"},
		"it does not":     {verdict.Stage{Verdict: verdict.Fail, Code: "CRASHED"}, "fail CRASHED"},
		"nobody can tell": {verdict.Stage{Verdict: verdict.CouldNotRun, Code: "SERVE_FAILED"}, "could-not-run SERVE_FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			b.ServeApp = func(_ context.Context, request ImageRequest) *ImageResult {
				request.Tell("after 30s nothing listens yet")
				return &ImageResult{Stage: c.served}
			}
			var told []string
			s := prepare(t.Context(), b, Options{Progress: func(line string) { told = append(told, line) }})
			s.outcome.Model = &model.Artifact{}
			stage := s.image(t.Context(), policy.Permit{})
			assert.Equal(t, c.want, strings.TrimSpace(string(stage.Verdict)+" "+stage.Code+" "+stage.Cause))
			assert.Equal(t, []string{"image: after 30s nothing listens yet"}, told)
		})
	}
}

func TestAnImageIsKnownByItsDigest(t *testing.T) {
	built, err := imageref.ParsePinned("docker.io/team/app@sha256:" + strings.Repeat("1", 64))
	require.NoError(t, err)
	b, r := backend(t, source(nil))
	r.As("engine")
	b.BuildImage = func(_ context.Context, request ImageRequest) *ImageResult {
		assert.Equal(t, "main", request.Ref)
		assert.Equal(t, 1970, request.CommitTime.Year(), "never now")
		return &ImageResult{Stage: verdict.Stage{Verdict: verdict.Pass}, Reference: built}
	}
	p := prepare(t.Context(), b, Options{})
	assert.Equal(t, policy.CodeBlocked.Name, p.image(t.Context(), permitted(t, verdict.Image)).Code, "without a model there is no image")
	p.outcome.Model = &model.Artifact{}
	assert.Equal(t, verdict.Pass, p.image(t.Context(), permitted(t, verdict.Image)).Verdict)
	assert.Equal(t, built.String(), p.outcome.Image)
	assert.Equal(t, built.Digest, p.run.ImageDigest)
}

func TestThePlatformOfTheCallComesBeforeTheFiles(t *testing.T) {
	b, _ := backend(t, source(map[string]string{"pipeline.yaml": "image:\n  platform: linux/amd64\n"}))
	for given, want := range map[string]string{"": "linux/amd64", "linux/arm64": "linux/arm64"} {
		s := prepare(t.Context(), b, Options{Platform: given})
		require.Nil(t, s.run.Preflight)
		assert.Equal(t, want, s.cfg.Image.Platform)
	}
}

func TestTheTestStageSaysWhenItHasNoRoom(t *testing.T) {
	b, _ := backend(t, source(nil))
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	b.WorkDir = file
	assert.Equal(t, "INTERNAL", prepare(t.Context(), b, Options{}).test(t.Context(), policy.Permit{}).Code)
}

func TestThePlanSaysWhatRunsAndWhy(t *testing.T) {
	b, r := backend(t, source(nil))
	r.As("engine")
	plan := Explain(t.Context(), b, Options{Image: "registry.example/app@sha256:" + strings.Repeat("ab", 32)})
	assert.Empty(t, plan.Failure())
	text := plan.Markdown()
	assert.Contains(t, text, "| deploy | yes |")
	assert.Contains(t, text, "| audit | no | The audit is not configured")
	assert.Contains(t, text, "+ create task definition")
	assert.NotContains(t, text, "containerDefinitions")
	assert.Contains(t, plan.WholeMarkdown(), "containerDefinitions")
	plan.Compared, plan.Rollout = true, "~ change service\n    ~ tasks: 1 -> 2\n"
	assert.Contains(t, plan.Markdown(), "tasks: 1 -> 2")
	var decoded Plan
	require.NoError(t, json.Unmarshal(plan.JSON(), &decoded))
	assert.Len(t, decoded.Stages, 8)
	assert.Empty(t, r.Steps())

	feature := Explain(t.Context(), b, Options{Ref: "feature/x"})
	assert.Contains(t, feature.Markdown(), "| publish | no |")
	assert.Empty(t, feature.Rollout)

	wrong, _ := backend(t, fake.Files(nil))
	assert.Contains(t, Explain(t.Context(), wrong, Options{}).Failure(), "SRC_EMPTY")
	untagged := Explain(t.Context(), b, Options{Image: "registry.example/app:latest"})
	assert.NotEmpty(t, untagged.Failure())
}

func TestDoctorNamesARemedyForWhatIsMissing(t *testing.T) {
	b, r := backend(t, source(nil))
	found := Doctor(t.Context(), b, Options{})
	text := found.Text
	assert.Contains(t, text, "ok   source")
	assert.Contains(t, text, "ok   pipeline.yaml")
	assert.Contains(t, text, "FAIL python")
	assert.Contains(t, text, "remedy: install that Python version")
	assert.Contains(t, text, "1 of 15 checks failed: python\n")
	assert.Equal(t, "1 of 15 checks failed: python", found.Failure)
	assert.Contains(t, text, "warn engine", "a run passes without one")

	r2 := fake.New()
	r2.OnRun(func(runner.Step) (*runner.Result, error) { return fake.Result(1, nil), nil })
	b.Runner = r2
	assert.Contains(t, Doctor(t.Context(), b, Options{}).Text, "exit code 1")
	b.Runner = r

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	here := "http://" + listener.Addr().String()
	text = Doctor(t.Context(), b, Options{Environment: "staging", Target: publish.Target{TrackingURI: here, S3Endpoint: "not a url"}}).Text
	assert.Contains(t, text, "ok   mlflow")
	assert.Contains(t, text, "FAIL s3")
	text = Doctor(t.Context(), b, Options{Environment: "staging"}).Text
	assert.Contains(t, text, "FAIL mlflow")
	assert.NotContains(t, text, "s3", "AWS's own endpoint needs no check of ours")

	broken, _ := backend(t, unreadable{})
	assert.Contains(t, Doctor(t.Context(), broken, Options{}).Text, "FAIL source")
	_, err = dial(t.Context(), "http://127.0.0.1:1")
	require.ErrorContains(t, err, "connect to 127.0.0.1:1")
}

func TestEveryCodeIsDeclaredOnce(t *testing.T) {
	_, err := verdict.Codes(Codes())
	require.NoError(t, err)
}

// A call of publish without any test goes on in the sandbox; a run, of whatever spelling, is held back.
func TestARunIsNoPartOfOne(t *testing.T) {
	b, _ := backend(t, source(nil))
	for name, c := range map[string]struct {
		stages []string
		part   bool
	}{
		"run":                {nil, false},
		"run of the command": {verdict.Stages(), false},
		"publish":            {[]string{verdict.Test, verdict.Train, verdict.Publish}, true},
	} {
		assert.Equal(t, c.part, Options{Stages: c.stages}.request(b).Part, name)
	}
}
