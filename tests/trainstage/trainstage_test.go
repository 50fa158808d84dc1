//go:build unix

// Package trainstage_test runs the train stage on the example application, with real
// packages, through the native runner.
package trainstage_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const example = "../../examples/openstack-rca"

// logsVar names a directory of real OpenStack logs, such as LogHub's, to train on.
const logsVar = "OPENSTACK_LOGS"

// repeatVar asks for the test that trains twice.
const repeatVar = "TRAIN_TWICE"

func setUp(t *testing.T) (*native.Runner, train.Input) {
	t.Helper()
	if testing.Short() {
		t.Skip("training with real packages takes minutes; run without -short")
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not on the PATH")
	}
	r, err := native.New(native.Options{Log: os.Stderr})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.Background())) })
	content, err := os.ReadFile(filepath.Join(example, config.FileName))
	require.NoError(t, err)
	cfg, err := config.Load(content, config.Sandbox)
	require.NoError(t, err)
	return r, train.Input{Config: cfg, Source: native.Source(example), WorkDir: t.TempDir()}
}

// evidence is the stage's measured facts by name.
func evidence(stage verdict.Stage) map[string]verdict.Evidence {
	found := map[string]verdict.Evidence{}
	for _, e := range stage.Evidence {
		found[e.Name] = e
	}
	return found
}

func TestTheExampleTrainsAndPasses(t *testing.T) {
	r, in := setUp(t)
	result := train.Run(t.Context(), r, in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	require.NotNil(t, result.Model)

	report, err := kerasfile.Inspect(t.Context(), filepath.Join(result.Model.Dir, result.Model.File), kerasfile.Options{Recurrent: true})
	require.NoError(t, err)
	assert.Empty(t, report.Problems)
	assert.Equal(t, result.Model.SHA256, report.SHA256)
	assert.Contains(t, report.Recurrent, "LSTM")

	scores := result.Candidate.Scores
	require.NotNil(t, scores)
	assert.GreaterOrEqual(t, scores.Accuracy-scores.Baseline, 0.20, "points above the majority class")
	assert.NotEmpty(t, result.Candidate.Run.ID, "the MLflow run was read")
	assert.Equal(t, "FINISHED", result.Candidate.Run.Status)
	assert.NotEmpty(t, result.Model.Params)
	assert.Greater(t, len(result.Model.History["val_loss"]), 1)
	assert.NotEmpty(t, result.Model.Data)
	assert.Contains(t, evidence(result.Stage)["golden sample"].Value, "equal")
	t.Logf("accuracy %.4f, majority class %.4f, sha256 %s", scores.Accuracy, scores.Baseline, result.Model.SHA256)

	// Nothing that training does not see may train again: a step answered from the
	// cache keeps the time it once took, so the time of the whole stage tells.
	changed := in.Source.With(".", r.NewFiles(map[string][]byte{
		"README.md": []byte("changed"), "tests/test_new.py": []byte("changed"), "streamlit_app/chatbot.py": []byte("changed"), "pipeline.yaml": []byte("changed"),
	}))
	again := in
	again.Source, again.WorkDir = changed, t.TempDir()
	start := time.Now()
	second := train.Run(t.Context(), r, again)
	took := time.Since(start)
	require.Equal(t, verdict.Pass, second.Stage.Verdict, second.Stage.Failure())
	assert.Equal(t, result.Candidate.Run.ID, second.Candidate.Run.ID, "the same run: it was not trained again")
	assert.Equal(t, result.Model.SHA256, second.Model.SHA256)
	t.Logf("nothing relevant changed: %.1f s", took.Seconds())
}

func TestTrainingTwiceGivesTheSameBytes(t *testing.T) {
	if os.Getenv(repeatVar) == "" {
		t.Skipf("training twice takes minutes; set %s=1", repeatVar)
	}
	r, in := setUp(t)
	first := train.Run(t.Context(), r, in)
	require.Equal(t, verdict.Pass, first.Stage.Verdict, first.Stage.Failure())
	in.Fresh, in.WorkDir = time.Now().Format(time.RFC3339Nano), t.TempDir()
	second := train.Run(t.Context(), r, in)
	require.Equal(t, verdict.Pass, second.Stage.Verdict, second.Stage.Failure())
	assert.NotEqual(t, first.Candidate.Run.ID, second.Candidate.Run.ID)
	assert.Equal(t, first.Model.SHA256, second.Model.SHA256)
}

func TestRealLogsTrainANextEventModel(t *testing.T) {
	logs := os.Getenv(logsVar)
	if logs == "" {
		t.Skipf("%s names no directory of OpenStack logs", logsVar)
	}
	r, in := setUp(t)
	in.Data = native.Source(logs)
	result := train.Run(t.Context(), r, in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Equal(t, 3, result.Candidate.Scores.TopK)
	assert.GreaterOrEqual(t, result.Candidate.Scores.Accuracy, 0.90)
	t.Logf("top-3 next-event accuracy %.4f, first guess %.4f, baseline %.4f on %d held-out events",
		result.Candidate.Scores.Accuracy, result.Candidate.Scores.Top1, result.Candidate.Scores.Baseline, result.Candidate.Scores.Examples)
}

// What the training does wrong, in a few lines of the application's own main.py.
func TestTrainingsThatLie(t *testing.T) {
	cases := map[string]struct{ main, code, cause string }{
		"a run that is left open": {`
import mlflow, pathlib
mlflow.set_experiment("e"); mlflow.start_run(); mlflow.log_metric("accuracy", 0.95)
pathlib.Path("models").mkdir(); pathlib.Path("models/lstm_model.keras").write_bytes(b"x")
import os; os._exit(0)
`, train.RunUnfinished.Name, "RUNNING"},
		"an accuracy of NaN": {`
import mlflow, pathlib
pathlib.Path("models").mkdir(); pathlib.Path("models/lstm_model.keras").write_bytes(b"x")
with mlflow.start_run():
    for step, value in enumerate([0.5, float("inf"), float("nan")]):
        mlflow.log_metric("accuracy", value, step=step)
    mlflow.set_tag("note", "ünïcode"); mlflow.log_param("lr", 0.1)
`, train.MetricInvalid.Name, "accuracy is NaN"},
		"an exception": {`raise ValueError("boom")`, train.TrainFailed.Name, "ValueError: boom"},
		"no model":     {`print("trained")`, train.NoModel.Name, "left no file"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r, in := setUp(t)
			in.Source = in.Source.Filter([]string{"requirements/train.lock"}, nil).With(".", r.NewFiles(map[string][]byte{"main.py": []byte(strings.TrimSpace(c.main))}))
			in.Config.Train.Inputs = config.Selection{}
			in.Config.Train.Metrics, in.Config.Train.Predictions, in.Config.Train.ScoreCommand = "", "", nil
			result := train.Run(t.Context(), r, in)
			assert.Nil(t, result.Model)
			var found []string
			for _, p := range result.Stage.Problems {
				found = append(found, p.Code+": "+p.Cause)
			}
			all := strings.Join(found, "\n")
			assert.Contains(t, all, c.code+": ")
			assert.Contains(t, all, c.cause)
		})
	}
}
