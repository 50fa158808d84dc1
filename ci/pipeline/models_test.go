package pipeline

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
	"github.com/openstack-rca/openstack-rca/ci/mlflow/mlflowtest"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// registryOperations are the calls about published versions, by name.
func registryOperations(ctx context.Context, b Backend, opts Options) map[string]*verdict.Run {
	return map[string]*verdict.Run{
		"models":         Models(ctx, b, opts, 0),
		"promote":        Promote(ctx, b, opts, publish.Move{Alias: "production"}),
		"rollback-model": RollbackModel(ctx, b, opts, publish.Move{}),
		"clean-claims":   CleanClaims(ctx, b, opts, nil),
	}
}

func TestPublishedVersionsAreReachedInTheSandboxOnlyThroughServersThatStay(t *testing.T) {
	b, _ := backend(t, source(nil))
	for name, run := range registryOperations(t.Context(), b, Options{}) {
		assert.Equal(t, verdict.CouldNotRun, run.Verdict, name)
		assert.Contains(t, strings.Join(run.Failures(), "\n"), "--sandbox-mlflow", name)
	}

	store, mlflow := ledgertest.Start(t, sandbox.Bucket), mlflowtest.Start(t)
	at := func(url string) *runner.Running {
		return &runner.Running{Address: strings.TrimPrefix(url, "http://")}
	}
	opts := Options{Servers: Servers{MLflow: at(mlflow.URL), S3: at(store.URL)}}
	want := map[string]string{"models": "pass ", "promote": "fail VERSION_NOT_COMMITTED", "rollback-model": "fail NO_PREVIOUS_VERSION", "clean-claims": "pass "}
	for name, run := range registryOperations(t.Context(), b, opts) {
		assert.Equal(t, want[name], codes(run)["publish"], name)
		assert.Equal(t, name == "models", ModelsJSON(run) != "", name)
		require.NoError(t, verdict.WriteReport(t.TempDir(), run))
	}
}

func TestWhatWritesNeedsThePolicysLeave(t *testing.T) {
	b, _ := backend(t, source(nil))
	store, mlflow := ledgertest.Start(t, "models-bucket"), mlflowtest.Start(t)
	key := func(value string) runner.Secret { return fixed(value) }
	opts := Options{Environment: "staging", Ref: "feature/x", Target: publish.Target{TrackingURI: mlflow.URL, S3Endpoint: store.URL,
		ArtifactRoot: "s3://models-bucket/x", AccessKey: key("test-access"), SecretKey: key("test-secret")}}
	for name, run := range registryOperations(t.Context(), b, opts) {
		stage := run.Stages[0]
		if name == "models" {
			assert.Equal(t, verdict.Pass, stage.Verdict, stage.Failure())
		} else {
			assert.Equal(t, verdict.NotRun, stage.Verdict, name)
		}
	}
	assert.Zero(t, store.Writes())
	for name, run := range registryOperations(t.Context(), b, Options{Ref: "a..b"}) {
		assert.Contains(t, strings.Join(run.Failures(), "\n"), "BAD_ARGUMENT", name)
	}
}

// fixed is a secret with a fixed value.
type fixed string

func (f fixed) Name() string                              { return "fixed" }
func (f fixed) Plaintext(context.Context) (string, error) { return string(f), nil }

func TestWhatLoadingThePublishedModelFindsDecides(t *testing.T) {
	b, _ := backend(t, source(nil))
	p := prepare(t.Context(), b, Options{})
	p.outcome.Model = &model.Artifact{Format: "keras", File: "m.keras", Paths: map[string]string{"m.keras": "models/m.keras"}}
	assert.Equal(t, publish.CodeNotLoaded.Name, p.loadPublished(t.Context(), "m/1", "dir").Warning.Code.Name, "no way to take files into a step")

	files := fake.Files(map[string]string{"m.keras": "x"})
	p.backend.Import = func(string) (runner.Files, error) { return nil, errors.New("disk gone") }
	assert.Equal(t, publish.CodeVerifyNotRun.Name, p.loadPublished(t.Context(), "m/1", "dir").Problem.Code.Name)
	p.backend.Import = func(string) (runner.Files, error) { return files, nil }
	assert.Equal(t, publish.CodeVerifyNotRun.Name, p.loadPublished(t.Context(), "m/1", "dir").Problem.Code.Name, "nothing runs here")

	exit, late := 0, false
	p.backend.Runner = fake.New().OnRun(func(runner.Step) (*runner.Result, error) {
		return &runner.Result{ExitCode: exit, TimedOut: late, Stderr: "ValueError: no"}, nil
	})
	loaded := p.loadPublished(t.Context(), "m/1", "dir")
	require.Nil(t, loaded.Problem)
	assert.Contains(t, loaded.Found, "loaded with Keras")
	exit = 1
	assert.Equal(t, publish.CodeLoadFailed.Name, p.loadPublished(t.Context(), "m/1", "dir").Problem.Code.Name,
		"its bytes were compared before")
	late = true
	assert.Equal(t, publish.CodeLoadTimeout.Name, p.loadPublished(t.Context(), "m/1", "dir").Problem.Code.Name)
	exit, late = 78, false
	assert.Equal(t, publish.CodeLoadFailed.Name, p.loadPublished(t.Context(), "m/1", "dir").Problem.Code.Name,
		"an unknown class that nobody allowed")
	p.cfg.Train.AllowLayers = []string{"svc>Pool"}
	warning := p.loadPublished(t.Context(), "m/1", "dir").Warning
	require.NotNil(t, warning)
	assert.Equal(t, publish.CodeNotLoaded.Name, warning.Code.Name)
	assert.Contains(t, warning.Cause, "svc>Pool")
	exit = 77
	assert.Equal(t, publish.CodeNotLoaded.Name, p.loadPublished(t.Context(), "m/1", "dir").Warning.Code.Name)
}
