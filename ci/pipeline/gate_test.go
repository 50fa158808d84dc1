package pipeline

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
	"github.com/openstack-rca/openstack-rca/ci/mlflow/mlflowtest"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// outside is everything that a call for staging could reach.
type outside struct {
	backend Backend
	opts    Options
	aws     *fakeaws.Account
	store   *ledgertest.Store
	mlflow  *mlflowtest.Server
	// opened counts the accounts that were opened, pushes the images that could have been pushed.
	opened, pushes atomic.Int64
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{store: ledgertest.Start(t, "models-bucket"), mlflow: mlflowtest.Start(t)}
	o.backend, o.opts, o.aws, _ = inAWS(t, stagingConfig)
	connect := o.opts.Rollout.Connect
	o.opts.Rollout.Connect = func(ctx context.Context, options account.Options) (release.Clients, *verdict.Problem) {
		o.opened.Add(1)
		return connect(ctx, options)
	}
	o.opts.Target = publish.Target{TrackingURI: o.mlflow.URL, S3Endpoint: o.store.URL, ArtifactRoot: "s3://models-bucket/x",
		AccessKey: fixed("test-access"), SecretKey: fixed("test-secret"), MLflowToken: fixed("test-token")}
	o.opts.Registry = RegistryOptions{Username: fixed("test-user"), Password: fixed("test-password"), Transport: o}
	o.backend.BuildImage = func(_ context.Context, request ImageRequest) *ImageResult {
		if request.Permit.Allows(verdict.Image) {
			o.pushes.Add(1)
		}
		return &ImageResult{Stage: verdict.Stage{Verdict: verdict.Pass}}
	}
	return o
}

// RoundTrip is the registry, which has nothing. Whatever does not read counts as a push.
func (o *outside) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		o.pushes.Add(1)
	}
	return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}

// reached is what was asked of anything outside of the run, written what was changed there.
func (o *outside) reached() int64 {
	return o.opened.Load() + o.pushes.Load() + int64(len(o.aws.Calls())+len(o.store.Requests())+len(o.mlflow.Requests()))
}

func (o *outside) written() int64 {
	n := o.pushes.Load()
	for _, request := range o.store.Requests() {
		// The record of the run itself is written whatever came of it; recorded counts it.
		if strings.HasPrefix(request, http.MethodPut) && !strings.Contains(request, ".runs/") || strings.HasPrefix(request,
			http.MethodDelete) ||
			strings.HasPrefix(request, http.MethodPost) {
			n++
		}
	}
	for _, call := range o.aws.Calls() {
		_, operation, _ := strings.Cut(call, ":")
		if !strings.HasPrefix(operation, "Describe") && !strings.HasPrefix(operation, "List") && !strings.HasPrefix(operation,
			"Get") && !strings.HasPrefix(operation, "Head") && !strings.HasPrefix(operation, "Simulate") {
			n++
		}
	}
	for _, request := range o.mlflow.Requests() {
		if !strings.HasPrefix(request, http.MethodGet) && !strings.Contains(request, "/search") {
			n++
		}
	}
	return n
}

// enter calls an entry of this package as the public functions do.
func (o *outside) enter(t *testing.T, f function) *verdict.Run {
	t.Helper()
	opts := o.opts
	opts.Stages = f.stages
	if !slices.Contains(f.stages, verdict.Deploy) || len(f.stages) > 1 {
		opts.Image = ""
	}
	switch f.entry {
	case "Run":
		return Run(t.Context(), o.backend, opts).Run
	case "Explain":
		opts.Image = o.opts.Image
		Explain(t.Context(), o.backend, opts)
	case "Doctor":
		// It opens a connection to see whether there is anybody, which takes no credential.
		Doctor(t.Context(), o.backend, opts)
	case "Operate":
		opts.Rollout.Confirm, opts.Rollout.Keep = "openstack-rca-service-staging", 1
		return Operate(t.Context(), o.backend, opts, f.operation)
	case "Verify":
		opts.Image, opts.Verify.Keys = o.opts.Image, filepath.Join(t.TempDir(), "none.pem")
		return Verify(t.Context(), o.backend, opts)
	case "Scan":
		opts.Image = o.opts.Image
		return Scan(t.Context(), o.backend, opts)
	case "Join":
		opts.Join = JoinOptions{Images: []string{o.opts.Image}, From: t.TempDir()}
		require.NoError(t, os.WriteFile(filepath.Join(opts.Join.From, verdict.ReportJSON), []byte("{}"), 0o600))
		return Join(t.Context(), o.backend, opts)
	case "Advisories":
		_, _ = Advisories(t.Context(), o.backend, t.TempDir())
	case "Models":
		return Models(t.Context(), o.backend, opts, 0)
	case "Promote":
		return Promote(t.Context(), o.backend, opts, publish.Move{Alias: "production"})
	case "RollbackModel":
		return RollbackModel(t.Context(), o.backend, opts, publish.Move{})
	case "CleanClaims":
		return CleanClaims(t.Context(), o.backend, opts, nil)
	case "Runs":
		Runs(t.Context(), o.backend, opts, 0)
	case "Dora":
		Dora(t.Context(), o.backend, opts, 0)
	case "Metrics":
		Metrics(t.Context(), o.backend, opts, 0)
	case "Observability":
		Observability(t.Context(), o.backend, opts, "")
	case "Notify":
		Notify(t.Context(), o.backend, opts, "")
	case "Init":
		Init(t.Context(), o.backend, InitOptions{CI: "github"})
	default:
		t.Fatalf("%s calls %s, which this test does not know: say how it is entered", f.name, f.entry)
	}
	return nil
}

// TestEveryPublicFunctionPassesTheGate reads the public functions from package main and enters
// each of them where it would have an effect if it did not ask the gate.
func TestEveryPublicFunctionPassesTheGate(t *testing.T) {
	untrusted := map[string]Options{
		"a pull request":                  {Ref: "refs/pull/7/merge"},
		"a pull request from main":        {Ref: "main", Event: "pull_request"},
		"what a workflow started":         {Ref: "main", Event: "workflow_run"},
		"a tag":                           {Ref: "refs/tags/v1"},
		"a call that names no ref":        {},
		"a commit":                        {Ref: strings.Repeat("a", 40)},
		"a ref of somebody else's choice": {Ref: "refs/heads/../main"},
	}
	branches := map[string]Options{
		"a feature branch":                     {Ref: "feature/x", Event: "push"},
		"a feature branch that grants itself":  {Ref: "feature/grant", Event: "push"},
		"main, where another branch releases":  {Ref: "main", ReleaseBranches: []string{"trunk"}},
		"a branch whose name ends in the main": {Ref: "evil/main"},
	}
	grant := stagingConfig + "policy:\n  feature/grant: [test, train, publish, image, deploy]\n"
	for _, f := range publicFunctions(t) {
		if f.entry == "" {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			o := newOutside(t)
			o.backend.Source = withConfig(grant)
			for who, as := range untrusted {
				o.opts.Ref, o.opts.Event, o.opts.ReleaseBranches = as.Ref, as.Event, nil
				run := o.enter(t, f)
				assert.Zero(t, o.reached(), "%s reached something outside", who)
				if run != nil && f.effect() {
					assert.NotEqual(t, verdict.Pass, run.Stages[len(run.Stages)-1].Verdict, who)
				}
			}
			for who, as := range branches {
				o.opts.Ref, o.opts.Event, o.opts.ReleaseBranches = as.Ref, as.Event, as.ReleaseBranches
				o.enter(t, f)
				assert.Zero(t, o.written(), "%s changed something outside", who)
			}
			// Here no test and no training passes, since no step runs.
			o.opts.Ref, o.opts.Event, o.opts.ReleaseBranches = "main", "push", nil
			o.enter(t, f)
			if f.entry == "Run" && !slices.Equal(f.stages, []string{verdict.Deploy}) {
				assert.Zero(t, o.written(), "it went on although nothing passed")
			}
			if f.effect() && f.entry != "Run" {
				assert.NotZero(t, o.reached(), "what this test looks for would not be seen")
			}
		})
	}
}

// TestNoStageStartsBeforeWhatItRequires runs the stages of every public function with one
// that does not pass, or is missing, at a time.
func TestNoStageStartsBeforeWhatItRequires(t *testing.T) {
	for _, f := range publicFunctions(t) {
		if f.entry != "Run" {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			ran := simulate(t, f.stages, "", "")
			for _, name := range f.stages {
				assert.Contains(t, ran, name, "all of its stages run when all pass")
			}
			for _, effect := range f.stages {
				if !verdict.Effectful(effect) || len(f.stages) == 1 {
					continue
				}
				assert.NotContains(t, simulate(t, f.stages, verdict.Audit, ""), effect+" with effects", "%s after a failed audit", effect)
				for _, needed := range allRequired(effect) {
					without := slices.DeleteFunc(slices.Clone(f.stages), func(s string) bool { return s == needed })
					assert.NotContains(t, simulate(t, f.stages, needed, ""), effect+" with effects", "%s after %s failed", effect, needed)
					assert.NotContains(t, simulate(t, without, "", ""), effect+" with effects", "%s without %s", effect, needed)
				}
			}
		})
	}
}

// simulate walks the real list with stages that pass at once, except for one, and returns which ran,
// and which of them with leave to change something.
func simulate(t *testing.T, wanted []string, failing, image string) []string {
	t.Helper()
	b, r := backend(t, withConfig("security:\n  audit: [pinning]\n  scan: true\n"))
	r.As("engine")
	s := prepare(t.Context(), b, Options{
		Environment: "staging", Ref: "main", Stages: wanted, Image: image, Attest: AttestOptions{KMS: "alias/key"},
	})
	if len(wanted) == 1 && (wanted[0] == verdict.Deploy || wanted[0] == verdict.Attest) {
		s = prepare(t.Context(), b, Options{
			Environment: "staging", Ref: "main", Stages: wanted, Image: "r@sha256:" + strings.Repeat("a", 64), Attest: AttestOptions{KMS: "alias/key"},
		})
	}
	require.Nil(t, s.run.Preflight)
	list := stages()
	ran := make([][]string, len(list))
	for i := range list {
		name := list[i].name
		list[i].begin = nil
		list[i].run = func(_ *state, _ context.Context, permit policy.Permit) verdict.Stage {
			ran[i] = []string{name}
			if permit.Allows(name) {
				ran[i] = append(ran[i], name+" with effects")
			}
			if name == failing {
				return verdict.Stage{Verdict: verdict.Fail, Code: "SIMULATED"}
			}
			return verdict.Stage{Verdict: verdict.Pass}
		}
	}
	s.walk(t.Context(), list)
	return slices.Concat(ran...)
}

// TestTheListOfStagesIsThePipelines holds the list against the names that the policy, the
// configuration and the reports go by.
func TestTheListOfStagesIsThePipelines(t *testing.T) {
	var names []string
	for _, st := range stages() {
		names = append(names, st.name)
		require.NotNil(t, st.run, st.name)
		for _, needed := range verdict.Requires(st.name) {
			assert.Contains(t, names, needed, "%s comes before what it requires", st.name)
		}
	}
	assert.Equal(t, verdict.Stages(), names)
	var groups [][]string
	for _, group := range sideBySide(stages()) {
		var together []string
		for _, st := range group {
			together = append(together, st.name)
		}
		groups = append(groups, together)
	}
	assert.Equal(t, [][]string{{"test", "train", "audit"}, {"publish"}, {"image"}, {"scan"}, {"attest"}, {"deploy"}}, groups)
}

func TestTheCriticalPathIsWhatTheOthersWaitedFor(t *testing.T) {
	assert.Equal(t, []string{"train"}, longest([]verdict.Stage{{Name: "test", Seconds: 2}, {Name: "train", Seconds: 3}, {Name: "audit"}}))
	assert.Empty(t, longest([]verdict.Stage{{Name: "scan"}}), "a stage that did not run took no time")

	b, r := backend(t, source(nil))
	r.As("engine")
	s := prepare(t.Context(), b, Options{})
	require.Nil(t, s.run.Preflight)
	list := stages()[:1]
	list[0].run = func(*state, context.Context, policy.Permit) verdict.Stage {
		return verdict.Stage{Verdict: verdict.Pass}
	}
	s.walk(t.Context(), list)
	assert.Equal(t, []string{verdict.Test}, s.run.Critical)
}

func TestAnImageAloneIsBuiltAndNotPushed(t *testing.T) {
	o := newOutside(t)
	o.opts.Ref, o.opts.Image, o.opts.Stages = "main", "", []string{verdict.Image}
	var warmed ImageRequest
	o.backend.WarmUp = func(_ context.Context, request ImageRequest) { warmed = request }
	s := prepare(t.Context(), o.backend, o.opts)
	s.outcome.Model = &model.Artifact{}
	s.walk(t.Context(), stages())
	run := s.finish().Run
	require.Equal(t, verdict.Pass, run.Stages[0].Verdict, run.Failures())
	assert.False(t, warmed.Pushes)
	assert.Zero(t, o.pushes.Load())
	assert.Contains(t, run.Stages[0].Evidence[0].Value, "no: this call runs no tests")
	b, _ := backend(t, source(nil))
	assert.True(t, prepare(t.Context(), b, Options{Environment: "staging", Ref: "main"}).imageRequest().Pushes)
	assert.False(t, prepare(t.Context(), b, Options{}).imageRequest().Pushes, "the sandbox has a registry of its own")
}

func TestWithoutAPermitThereAreNoCredentials(t *testing.T) {
	o := newOutside(t)
	o.opts.Rollout.Profile = "somebody"
	s := prepare(t.Context(), o.backend, o.opts)
	require.Nil(t, s.run.Preflight)
	publishing := permitted(t, verdict.Publish)
	target, problem := s.target(t.Context(), policy.Permit{})
	require.NotNil(t, problem)
	assert.Nil(t, target.MLflowToken)
	target, problem = s.target(t.Context(), publishing)
	require.Nil(t, problem)
	assert.NotNil(t, target.MLflowToken)
	for _, permit := range []policy.Permit{{}, publishing} {
		_, _, _, problems := s.deployer().connect(t.Context(), permit)
		require.Len(t, problems, 1, "one permit, one stage")
		assert.Zero(t, o.opened.Load())
	}
}
