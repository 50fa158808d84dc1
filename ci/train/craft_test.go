package train_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

type object = map[string]any

// kerasModel is a sound .keras archive of the given layers.
func kerasModel(version string, classes ...string) string {
	var layers []object
	for _, class := range classes {
		layers = append(layers, object{"module": "keras.layers", "class_name": class, "registered_name": nil, "config": object{"name": class, "units": 8}})
	}
	config, _ := json.Marshal(object{"module": "keras", "class_name": "Sequential", "registered_name": nil, "config": object{"layers": layers}})
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range [][2]string{
		{"metadata.json", `{"keras_version":"` + version + `"}`}, {"config.json", string(config)}, {"model.weights.h5", "\x89HDF\r\n\x1a\nw"},
	} {
		f, _ := w.CreateHeader(&zip.FileHeader{Name: e[0], Method: zip.Store})
		_, _ = f.Write([]byte(e[1]))
	}
	_ = w.Close()
	return b.String()
}

func hash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// scene is one training as the test tells it: what it left, and how the steps ended.
type scene struct {
	t       testing.TB
	input   train.Input
	left    map[string]string
	again   map[string]string
	runs    []object
	trained runner.Result
	export  runner.Result
	scored  runner.Result
	without runner.Result
	loaded  runner.Result
	probed  runner.Result
	failure map[string]error
	runner  *fake.Runner
}

// sound is a training that passes everything: 100 held-out examples of two classes,
// 95 of them right, 60 of the larger class.
func sound(t testing.TB) *scene {
	model := kerasModel("3.13.2", "Embedding", "LSTM", "Dense")
	cfg := config.Default()
	cfg.Python = "3.11"
	cfg.Train.Predictions, cfg.Train.Golden = "models/predictions.json", "models/golden.json"
	cfg.Train.ScoreCommand = []string{"python", "main.py", "--mode", "score"}
	s := &scene{
		t: t,
		input: train.Input{
			Config: cfg, WorkDir: t.TempDir(),
			Source: fake.Files(map[string]string{
				"main.py": "train()", "lstm/model.py": "x", "README.md": "r", "tests/test_a.py": "t", "streamlit_app/page.py": "p",
				"pipeline.yaml": "{}", "requirements/train.lock": "mlflow==3.1 --hash=sha256:00",
			}),
		},
		left: map[string]string{
			"mlflow.db": "sqlite", "models/lstm_model.keras": model, "models/lstm_model.json": "{}", "models/golden.json": "{}",
		},
		scored:  runner.Result{Stdout: "loading\n" + `{"result":"equal","samples":20,"max_abs_difference":1e-7}`},
		failure: map[string]error{},
	}
	s.predict(two(57, 3, 2, 38))
	s.runs = []object{{
		"run_id": "r1", "name": "run", "experiment": "e", "status": "FINISHED", "start_time": 1000, "end_time": 31000,
		"params": object{"epochs": "12", "lr|x": "0.004"}, "tags": object{"data_fingerprint": "sha256:abc", "model_sha256": hash(model)},
		"metrics": object{
			"accuracy": []any{[]any{0, 1, 0.95}}, "baseline_accuracy": []any{[]any{0, 1, 0.6}},
			"loss":     []any{[]any{2, 20, 0.5}, []any{1, 10, 0.9}},
			"val_loss": []any{[]any{1, 10, 0.8}, []any{2, 20, 0.6}}, "val_accuracy": []any{[]any{1, 10, 0.8}, []any{2, 20, 0.9}},
			"duplicate_sequences_train_validation": []any{[]any{0, 1, 9}}, "validation_sequences": []any{[]any{0, 1, 90}},
		},
	}}
	return s
}

// two makes predictions of two classes from the cells of their confusion matrix.
func two(aa, ab, ba, bb int) object {
	var truth, pred []int
	for _, cell := range []struct{ n, truth, pred int }{{aa, 0, 0}, {ab, 0, 1}, {ba, 1, 0}, {bb, 1, 1}} {
		for range cell.n {
			truth, pred = append(truth, cell.truth), append(pred, cell.pred)
		}
	}
	return object{"labels": []string{"normal", "no_valid_host"}, "y_true": truth, "y_pred": pred}
}

func (s *scene) predict(p object) {
	content, err := json.Marshal(p)
	require.NoError(s.t, err)
	s.left["models/predictions.json"] = string(content)
}

// logs replaces the final value of a metric in the MLflow run; nil removes it.
func (s *scene) logs(name string, value any) {
	metrics := s.runs[0]["metrics"].(object)
	if value == nil {
		delete(metrics, name)
		return
	}
	metrics[name] = []any{[]any{99, 99, value}}
}

// modelFile replaces the model, and what the run says of it.
func (s *scene) modelFile(content string) {
	s.left["models/lstm_model.keras"] = content
	s.runs[0]["tags"].(object)["model_sha256"] = hash(content)
}

func (s *scene) run() *train.Result {
	s.runner = fake.New().OnRun(func(step runner.Step) (*runner.Result, error) {
		if err := s.failure[step.Name]; err != nil {
			return nil, err
		}
		var result runner.Result
		switch step.Name {
		case "train":
			result = s.trained
			result.Outputs = fake.Files(maps.Clone(s.left))
		case "train again":
			result = runner.Result{Outputs: fake.Files(maps.Clone(s.again))}
			if s.again == nil {
				result = s.trained
				result.Outputs = fake.Files(maps.Clone(s.left))
			}
		case "score golden sample":
			result = s.scored
		case "score without a model":
			result = s.without
		case "load the model":
			result = s.loaded
		case "look for MLflow":
			result = s.probed
		default:
			result = s.export
			if result.Outputs == nil {
				content, err := json.Marshal(object{"format": 1, "runs": s.runs})
				require.NoError(s.t, err)
				result.Outputs = fake.Files(map[string]string{"mlflow-runs.json": string(content)})
			}
		}
		result.Seconds, result.Started = 30, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		return &result, nil
	})
	return train.Run(s.t.Context(), s.runner, s.input)
}

// fails runs the scene and demands that its first problem is of the code, and that no
// model leaves the stage.
func (s *scene) fails(code verdict.Code, cause string) *train.Result {
	s.t.Helper()
	result := s.run()
	require.NotEqual(s.t, verdict.Pass, result.Stage.Verdict)
	require.Nil(s.t, result.Model)
	require.Equal(s.t, code.Name, result.Stage.Code, result.Stage.Cause)
	require.Contains(s.t, result.Stage.Cause, cause)
	require.Equal(s.t, code.Outcome, result.Stage.Verdict)
	require.Contains(s.t, result.Stage.Failure(), "FAIL train "+code.Name+": ")
	require.Contains(s.t, result.Stage.Failure(), ". Published: nothing. Next: ")
	return result
}
