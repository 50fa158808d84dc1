package pipeline

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// modelRegistry answers as MLflow does for version 7 with an accuracy of 0.97.
func modelRegistry(t *testing.T, status int, alias string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		body := alias
		if strings.HasSuffix(r.URL.Path, "/runs/get") {
			body = `{"run":{"info":{"run_id":"r7"},"data":{"metrics":[{"key":"accuracy","value":0.97}]}}}`
		}
		_, err := w.Write([]byte(body))
		assert.NoError(t, err)
	}))
	t.Cleanup(server.Close)
	return server
}

const seven = `{"model_version":{"name":"m","version":"7","run_id":"r7"}}`

// trained runs the train stage alone; no step of it can run.
func trained(t *testing.T, opts Options) verdict.Stage {
	t.Helper()
	b, r := backend(t, source(nil))
	// Without an engine the code of a pull request does not run beside credentials at all.
	r.As("engine")
	opts.Stages = []string{verdict.Train}
	outcome := Run(t.Context(), b, opts)
	require.Len(t, outcome.Run.Stages, 1)
	return outcome.Run.Stages[0]
}

func production(stage verdict.Stage) string {
	for _, e := range stage.Evidence {
		if e.Name == "model in production" {
			return e.Value
		}
	}
	return ""
}

func TestTheTrainStageIsToldWhatIsInProduction(t *testing.T) {
	address := func(s *httptest.Server) *runner.Running {
		return &runner.Running{Address: strings.TrimPrefix(s.URL, "http://")}
	}
	ask := func(opts Options) (train.Incumbent, *verdict.Problem) {
		b, _ := backend(t, source(nil))
		opts.Ref = "develop"
		p := prepare(t.Context(), b, opts)
		require.Nil(t, p.run.Preflight)
		permit, refused := p.gate.Ask(policy.Action{Stage: verdict.Train, Reads: true}, nil)
		require.Nil(t, refused)
		return p.champion(t.Context(), permit)
	}
	t.Run("by the registry of the environment", func(t *testing.T) {
		server := modelRegistry(t, http.StatusOK, seven)
		for _, opts := range []Options{
			{Servers: Servers{MLflow: address(server)}},
			{Environment: "staging", Target: publish.Target{TrackingURI: server.URL}},
		} {
			found, problem := ask(opts)
			require.Nil(t, problem)
			assert.Equal(t, &train.Champion{Version: "7", Metrics: map[string]float64{"accuracy": 0.97}}, found.Champion)
			assert.Contains(t, found.Asked, "alias champion")
		}
	})
	t.Run("by a file before all others", func(t *testing.T) {
		server := modelRegistry(t, http.StatusUnauthorized, "{}")
		file := &ChampionFile{Name: "c.json", Content: []byte(`{"accuracy":0.9}`)}
		found, problem := ask(Options{Servers: Servers{MLflow: address(server)}, Train: TrainOptions{Champion: file}})
		require.Nil(t, problem)
		assert.InDelta(t, 0.9, found.Champion.Metrics["accuracy"], 1e-12)
		assert.Equal(t, "file c.json", found.Asked)
	})
	t.Run("without one yet", func(t *testing.T) {
		server := modelRegistry(t, http.StatusNotFound, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Registered Model with name=m not found"}`)
		found, problem := ask(Options{Servers: Servers{MLflow: address(server)}})
		require.Nil(t, problem)
		assert.Nil(t, found.Champion)
		assert.NotEmpty(t, found.Asked)
	})
	t.Run("that the sandbox begins empty", func(t *testing.T) {
		assert.Contains(t, production(trained(t, Options{})), "begins empty: this would be the first")
	})
	t.Run("or that nobody can say", func(t *testing.T) {
		assert.Contains(t, production(trained(t, Options{Environment: "staging", Ref: "develop"})), "no registry to ask")
	})
}

func TestARegistryThatDoesNotAnswerIsNoPass(t *testing.T) {
	server := modelRegistry(t, http.StatusUnauthorized, `{"error_code":"UNAUTHENTICATED","message":"who are you"}`)
	stage := trained(t, Options{Environment: "staging", Ref: "main", Target: publish.Target{TrackingURI: server.URL}})
	assert.Equal(t, verdict.CouldNotRun, stage.Verdict)
	assert.Equal(t, train.ChampionUnknown.Name, stage.Code)
	assert.Contains(t, stage.Cause, "who are you")
	assert.NotContains(t, stage.Cause, "FAIL publish")
	assert.Contains(t, stage.Next, "MLFLOW_TRACKING_PASSWORD")
	assert.Contains(t, stage.Next, "--champion")
	t.Run("nor is a server without a registry", func(t *testing.T) {
		server := modelRegistry(t, http.StatusNotImplemented, `{"error_code":"FEATURE_DISABLED","message":"Model registry functionality is unavailable"}`)
		stage := trained(t, Options{Environment: "staging", Ref: "main", Target: publish.Target{TrackingURI: server.URL}})
		assert.Equal(t, train.ChampionUnknown.Name, stage.Code)
		assert.Contains(t, stage.Next, "--backend-store-uri")
	})
	t.Run("nor is a file without metrics", func(t *testing.T) {
		stage := trained(t, Options{Train: TrainOptions{Champion: &ChampionFile{Name: "c.json", Content: []byte(`[]`)}}})
		assert.Equal(t, verdict.Fail, stage.Verdict)
		assert.Equal(t, train.ChampionInvalid.Name, stage.Code)
	})
}

func TestAPullRequestAsksNoRegistry(t *testing.T) {
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(server.Close)
	opts := Options{Environment: "staging", Target: publish.Target{TrackingURI: server.URL, MLflowToken: fixed("a-token-of-mlflow")}}
	for _, untrusted := range []Options{{Ref: "refs/pull/7/merge"}, {Ref: "main", Event: "pull_request"}, {Ref: "main",
		Event: "workflow_run"}, {Ref: "refs/tags/v1"}} {
		opts.Ref, opts.Event = untrusted.Ref, untrusted.Event
		stage := trained(t, opts)
		require.False(t, asked, "%s %s", opts.Ref, opts.Event)
		require.NotEqual(t, "POLICY", stage.Code, "training itself runs")
		assert.Equal(t, CodeChampionNotAsked.Name, stage.Warnings[len(stage.Warnings)-1].Code)
	}
	opts.Ref, opts.Event = "develop", "push"
	trained(t, opts)
	assert.True(t, asked, "a branch may ask")
}
