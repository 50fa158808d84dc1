//go:build unix

package trainstage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/assembly"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// tinyModel is the registered model of tests/fixtures/tiny in the sandbox.
const tinyModel = "tiny_sandbox_tiny_model"

// registry is a real MLflow server with a real S3 API, of the packages that the sandbox uses.
type registry struct {
	t          *testing.T
	mlflow, s3 *runner.Running
	client     *mlflow.Client
}

func startRegistry(t *testing.T) *registry {
	t.Helper()
	reachable.Python(t)
	if testing.Short() {
		t.Skip("starting real servers takes seconds; run without -short")
	}
	r, err := native.New(native.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.Background())) })
	reg := &registry{t: t}
	reg.mlflow, err = r.Start(t.Context(), sandbox.MLflow(r))
	require.NoError(t, err)
	reg.s3, err = r.Start(t.Context(), sandbox.S3(r))
	require.NoError(t, err)
	reg.client, err = mlflow.New(mlflow.Options{TrackingURI: "http://" + reg.mlflow.Address})
	require.NoError(t, err)
	return reg
}

// post calls the server's REST API as any other client of it would.
func (r *registry) post(path string, body map[string]any) map[string]any {
	r.t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(r.t, err)
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.mlflow.Address+"/api/2.0/mlflow/"+path, bytes.NewReader(encoded))
	require.NoError(r.t, err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	require.NoError(r.t, err)
	require.Equal(r.t, http.StatusOK, answer.StatusCode, string(content))
	var found map[string]any
	require.NoError(r.t, json.Unmarshal(content, &found))
	return found
}

// champion makes a version with these metrics and points the alias at it, by hand: what
// somebody does who does not publish with this pipeline. It returns the version.
func (r *registry) champion(metrics map[string]any) string {
	r.t.Helper()
	run := r.post("runs/create", map[string]any{"experiment_id": "0"})["run"].(map[string]any)["info"].(map[string]any)
	for name, value := range metrics {
		r.post("runs/log-metric", map[string]any{"run_id": run["run_id"], "key": name, "value": value, "timestamp": time.Now().UnixMilli()})
	}
	version := r.post("model-versions/create", map[string]any{"name": tinyModel, "run_id": run["run_id"], "source": fmt.Sprint(run["artifact_uri"], "/model")})["model_version"].(map[string]any)
	require.NoError(r.t, r.client.SetAlias(r.t.Context(), tinyModel, publish.ChampionAlias, fmt.Sprint(version["version"])))
	return fmt.Sprint(version["version"])
}

// tiny is the fixture with another accuracy on its 40 held-out examples, and a gate that
// demands an improvement or none.
func tiny(t *testing.T, right int, gate string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(reachable.Root(), "tests", "fixtures", "tiny"))))
	edit := func(name, old, replacement string) {
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Contains(t, string(content), old)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.Replace(string(content), old, replacement, 1)), 0o600))
	}
	edit("main.py", "[0, 1] * 19 + [0, 0]", fmt.Sprintf("[v if i < %d else 1 - v for i, v in enumerate([0, 1] * 20)]", right))
	edit("pipeline.yaml", "train:\n", "train:\n  gates: [{metric: accuracy, min: 0.85"+gate+"}]\n")
	return dir
}

// trained runs stages on a source with the registry's champion to beat.
func (r *registry) trained(source string, stages ...string) verdict.Stage {
	r.t.Helper()
	host, err := assembly.OnHost(source, io.Discard)
	require.NoError(r.t, err)
	defer func() { assert.NoError(r.t, host.Close()) }()
	stages = append(stages, verdict.Train)
	if slices.Contains(stages, verdict.Publish) {
		stages = append(stages, verdict.Test) // a model is published only when the tests have passed
	}
	outcome := pipeline.Run(r.t.Context(), host.Backend, pipeline.Options{
		Environment: config.Sandbox, Ref: "main", Commit: "0123456789abcdef", Stages: stages,
		Servers: pipeline.Servers{MLflow: r.mlflow, S3: r.s3},
	})
	for _, s := range outcome.Run.Stages {
		if s.Name == verdict.Train {
			r.t.Logf("%s %s %s", s.Verdict, s.Code, s.Cause)
			continue
		}
		require.Equal(r.t, verdict.Pass, s.Verdict, s.Failure())
	}
	return *outcome.Run.Stage(verdict.Train)
}

// against is what the stage says of the comparison, and of what it compared with.
func against(stage verdict.Stage) (comparison verdict.Evidence, champion string) {
	found := evidence(stage)
	return found["accuracy against the champion"], found["model in production"].Value
}

func TestTheChampionOfARealRegistryIsTheOneToBeat(t *testing.T) {
	r := startRegistry(t)
	better := ", min_absolute_change: 0.02"

	first := r.trained(tiny(t, 38, better), verdict.Publish)
	require.Equal(t, verdict.Pass, first.Verdict, first.Failure())
	comparison, production := against(first)
	assert.Empty(t, comparison)
	assert.Equal(t, "none in alias champion of the MLflow registry: this would be the first", production)

	same := r.trained(tiny(t, 38, better))
	assert.Equal(t, train.NoImprovement.Name, same.Code)
	assert.Contains(t, same.Cause, "accuracy is 0.95, better than the 0.95 of version 1 in production by 0 (at least 0.02 is demanded)")
	_, production = against(same)
	assert.Equal(t, "version 1 (from alias champion of the MLflow registry)", production)

	worse := r.trained(tiny(t, 36, ""))
	assert.Equal(t, train.Regression.Name, worse.Code)
	assert.Equal(t, verdict.Fail, worse.Verdict)
	assert.Contains(t, worse.Cause, "0.9, worse than the 0.95 of version 1 in production by 0.05 (at most 0.01 is tolerated)")

	improved := r.trained(tiny(t, 39, better), verdict.Publish)
	require.Equal(t, verdict.Pass, improved.Verdict, improved.Failure())
	comparison, _ = against(improved)
	assert.True(t, comparison.OK)
	assert.Equal(t, "+0.025 over 0.95 of version 1", comparison.Value)
	again := r.trained(tiny(t, 38, ""))
	assert.Equal(t, train.Regression.Name, again.Code, "what was just published is the one to beat")
	assert.Contains(t, again.Cause, "of version 2")

	t.Run("one that logged nothing", func(t *testing.T) {
		version := r.champion(nil)
		stage := r.trained(tiny(t, 39, ""))
		assert.Equal(t, verdict.CouldNotRun, stage.Verdict)
		assert.Equal(t, train.ChampionUnmeasured.Name, stage.Code)
		assert.Contains(t, stage.Cause, "version "+version)
	})
	t.Run("one whose accuracy is NaN", func(t *testing.T) {
		r.champion(map[string]any{"accuracy": "NaN"})
		stage := r.trained(tiny(t, 39, ""))
		assert.Equal(t, train.ChampionUnmeasured.Name, stage.Code)
		assert.Contains(t, stage.Cause, "accuracy is NaN")
	})
	t.Run("one that was deleted", func(t *testing.T) {
		version := r.champion(map[string]any{"accuracy": 0.5})
		require.NoError(t, r.client.DeleteModelVersion(t.Context(), tinyModel, version))
		aliases, err := r.client.Aliases(t.Context(), tinyModel)
		require.NoError(t, err)
		assert.NotContains(t, aliases, publish.ChampionAlias, "MLflow deletes the alias with the version")
		stage := r.trained(tiny(t, 39, ""))
		assert.Equal(t, verdict.CouldNotRun, stage.Verdict)
		assert.Equal(t, train.ChampionLost.Name, stage.Code)
	})
	t.Run("with all others", func(t *testing.T) {
		versions, err := r.client.SearchModelVersions(t.Context(), "name = '"+tinyModel+"'")
		require.NoError(t, err)
		for _, v := range versions {
			require.NoError(t, r.client.DeleteModelVersion(t.Context(), tinyModel, v.Version))
		}
		stage := r.trained(tiny(t, 39, ""))
		assert.Equal(t, train.ChampionLost.Name, stage.Code)
	})
	t.Run("at an address that is not the API's", func(t *testing.T) {
		elsewhere := *r
		elsewhere.mlflow = &runner.Running{Address: r.mlflow.Address + "/elsewhere"}
		stage := elsewhere.trained(tiny(t, 39, ""))
		assert.Equal(t, verdict.CouldNotRun, stage.Verdict)
		assert.Equal(t, train.ChampionUnknown.Name, stage.Code)
	})
	t.Run("on a server that is gone", func(t *testing.T) {
		require.NoError(t, r.mlflow.Stop(t.Context()))
		stage := r.trained(tiny(t, 39, ""))
		assert.Equal(t, verdict.CouldNotRun, stage.Verdict)
		assert.Equal(t, train.ChampionUnknown.Name, stage.Code)
		assert.Contains(t, stage.Cause, "unreachable")
	})
}
