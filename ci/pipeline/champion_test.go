package pipeline

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	b, _ := backend(t, source(nil))
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
	p := func(opts Options) *progress {
		b, _ := backend(t, source(nil))
		if opts.Environment == "" {
			opts.Environment = "sandbox"
		}
		cfg, problems := Configure(t.Context(), b.Source, opts.Environment)
		require.Empty(t, problems)
		return &progress{ctx: t.Context(), backend: b, opts: opts, cfg: cfg, run: &verdict.Run{}}
	}
	t.Run("by the registry of the environment", func(t *testing.T) {
		server := modelRegistry(t, http.StatusOK, seven)
		for _, opts := range []Options{
			{Servers: Servers{MLflow: address(server)}},
			{Environment: "staging", Target: publish.Target{TrackingURI: server.URL}},
		} {
			found, problem := p(opts).champion(t.Context())
			require.Nil(t, problem)
			assert.Equal(t, &train.Champion{Version: "7", Metrics: map[string]float64{"accuracy": 0.97}}, found.Champion)
			assert.Contains(t, found.Asked, "alias champion")
		}
	})
	t.Run("by a file before all others", func(t *testing.T) {
		server := modelRegistry(t, http.StatusUnauthorized, "{}")
		found, problem := p(Options{Servers: Servers{MLflow: address(server)}, Train: TrainOptions{Champion: &ChampionFile{Name: "c.json", Content: []byte(`{"accuracy":0.9}`)}}}).champion(t.Context())
		require.Nil(t, problem)
		assert.InDelta(t, 0.9, found.Champion.Metrics["accuracy"], 1e-12)
		assert.Equal(t, "file c.json", found.Asked)
	})
	t.Run("that there is none yet", func(t *testing.T) {
		server := modelRegistry(t, http.StatusNotFound, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Registered Model with name=m not found"}`)
		found, problem := p(Options{Servers: Servers{MLflow: address(server)}}).champion(t.Context())
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
	stage := trained(t, Options{Environment: "staging", Target: publish.Target{TrackingURI: server.URL}})
	assert.Equal(t, verdict.CouldNotRun, stage.Verdict)
	assert.Equal(t, train.ChampionUnknown.Name, stage.Code)
	assert.Contains(t, stage.Cause, "who are you")
	assert.NotContains(t, stage.Cause, "FAIL publish")
	t.Run("nor is a file without metrics", func(t *testing.T) {
		stage := trained(t, Options{Train: TrainOptions{Champion: &ChampionFile{Name: "c.json", Content: []byte(`[]`)}}})
		assert.Equal(t, verdict.Fail, stage.Verdict)
		assert.Equal(t, train.ChampionInvalid.Name, stage.Code)
	})
}
