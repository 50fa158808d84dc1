package train_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/train"
)

// TestAGateOfTheDefaultHasARemedy: pipeline.yaml has no gate that could be removed.
func TestAGateOfTheDefaultHasARemedy(t *testing.T) {
	s := sound(t)
	s.runs[0]["metrics"] = object{}
	s.logs("r2", 0.9)
	result := s.fails(train.MetricsMissing, "it has r2")
	assert.Equal(t, "Log accuracy, or write the metric that decides into train.gates in pipeline.yaml, with min or max, such as "+
		`train.gates: [{metric: "r2", min: NUMBER}]`, result.Stage.Next)
}

// TestWhatTheTrainingWroteElsewhereIsNamed: a wrong path in pipeline.yaml is corrected by what was found.
func TestWhatTheTrainingWroteElsewhereIsNamed(t *testing.T) {
	s := sound(t)
	s.input.Config.Train.Metrics = "models/metrics.json"
	s.trained.Made = []string{"train.log", "models/golden.json", "config/run.json", "artifacts/scores.json"}
	result := s.fails(train.MetricsMissing, "left no models/metrics.json; it wrote artifacts/scores.json, config/run.json")
	assert.Contains(t, result.Stage.Next, "Set train.metrics: artifacts/scores.json in pipeline.yaml")

	s = sound(t)
	s.input.Config.Train.Metrics = "models/metrics.json"
	result = s.fails(train.MetricsMissing, "left no models/metrics.json")
	assert.Equal(t, "Let the training write that file", result.Stage.Next, "nothing is guessed")

	s = sound(t)
	s.input.Config.Train.Metrics = "models/metrics.json"
	s.left["models/scores.json"], s.left["models/labels.json"] = "{}", "{}"
	s.trained.Made = []string{"models/golden.json", "models/labels.json", "models/predictions.json", "models/scores.json"}
	result = s.fails(train.MetricsMissing, "left no models/metrics.json; it wrote models/scores.json")
	assert.NotContains(t, result.Stage.Cause, "labels.json", "it travels with the model")

	s = sound(t)
	delete(s.left, "mlflow.db")
	s.trained.Made = []string{"out/metrics.json"}
	result = s.fails(train.RunMissing, "it wrote out/metrics.json")
	assert.Contains(t, result.Stage.Next, "train.metrics: out/metrics.json")

	s = sound(t)
	delete(s.left, "models/lstm_model.keras")
	s.trained.Made = []string{"model.bin", "out/best.keras", "out/log.txt"}
	result = s.fails(train.NoModel, "what looks like a model: out/best.keras")
	assert.Contains(t, result.Stage.Next, "Set train.model in pipeline.yaml to the file that counts (out/best.keras)")

	s.trained.Made = []string{"a.cbm", "out/best.onnx"}
	assert.Contains(t, s.fails(train.NoModel, "a.cbm, out/best.onnx").Stage.Next, "(out/best.onnx)", "the other would be refused")
	s.trained.Made = []string{"models/clf.joblib"}
	assert.Contains(t, s.fails(train.NoModel, "models/clf.joblib").Stage.Next, "No format that can be published has the ending of models/clf.joblib (scikit-learn")

	s.trained.Made = []string{"mlruns/1/models/m-0123456789abcdef0123456789abcdef/artifacts/model.skops"}
	result = s.fails(train.NoModel, "what looks like a model: mlruns/1/models/m-0123456789abcdef0123456789abcdef/artifacts/model.skops")
	assert.Contains(t, result.Stage.Next, "(mlruns/1/models/*/artifacts/model.skops)", "the next run has another ID")

	s.trained.Made = []string{"models/saved/keras_metadata.pb", "models/saved/saved_model.pb", "models/saved/variables/variables.index"}
	result = s.fails(train.NoModel, "models/saved is a SavedModel of TensorFlow, a folder")
	assert.Contains(t, result.Stage.Next, `Save the model as one file (model.save("models/NAME.keras"))`)
	s.input.Config.Train.Model = "out/*.keras"
	result = s.fails(train.NoModel, "models/saved is a SavedModel of TensorFlow, a folder")
	assert.Contains(t, result.Stage.Next, `model.save("out/NAME.keras")`)
	s.input.Config.Train.Model = "models/*.keras"
	s.trained.Made = append(s.trained.Made, "models/m.keras")
	s.fails(train.NoModel, "what looks like a model: models/m.keras")
}

func TestADefaultCommandWithFlagsThatTheProjectLacks(t *testing.T) {
	s := sound(t)
	s.input.Config.Train.Command = config.Default().Train.Command
	for _, said := range []string{"main.py: error: unrecognized arguments: --mode train", "Error: No such option: --mode"} {
		s.trained = runner.Result{ExitCode: 2, Stderr: "usage: main.py [-h]\n" + said}
		assert.Contains(t, s.fails(train.TrainFailed, "").Stage.Next, "it is the default. Write the project's own into pipeline.yaml: train.command: [python, main.py]")
	}
	s.trained = runner.Result{ExitCode: 2, Stderr: "ValueError"}
	assert.Contains(t, s.fails(train.TrainFailed, "").Stage.Next, "openstack-rca train --verbose")
	s.input.Config.Train.Command = []string{"python", "main.py", "--fast"}
	s.trained = runner.Result{ExitCode: 2, Stderr: "unrecognized arguments: --fast"}
	assert.Contains(t, s.fails(train.TrainFailed, "").Stage.Next, "openstack-rca train --verbose")
}

func TestAVariableThatTheTrainingMissesIsNamed(t *testing.T) {
	s := sound(t)
	s.trained = runner.Result{ExitCode: 1, Stderr: "    key = os.environ['DATA_KEY']\nKeyError: 'DATA_KEY'"}
	result := s.fails(train.TrainFailed, "KeyError: 'DATA_KEY'")
	assert.Contains(t, result.Stage.Next, "DATA_KEY is not set here")
	assert.Contains(t, result.Stage.Next, "train.vars of pipeline.yaml")
}

// TestWithoutPipelineYAMLTheRemedyMakesOne: a section of a file that is not there cannot be corrected.
func TestWithoutPipelineYAMLTheRemedyMakesOne(t *testing.T) {
	for sentence, c := range map[string]struct {
		more map[string]string
		next string
	}{
		"without one": {nil, "openstack-rca init --source app"},
		"with one":    {map[string]string{"pipeline.yaml": "name: a\n"}, "Correct the train section of pipeline.yaml"},
	} {
		t.Run(sentence, func(t *testing.T) {
			s := sound(t)
			files := map[string]string{"fit.py": "", "requirements.txt": "mlflow --hash=x"}
			for name, content := range c.more {
				files[name] = content
			}
			s.input.Source, s.input.Again.Source = fake.Files(files), "app"
			result := s.fails(train.ConfigInvalid, "train.command starts main.py, which the source does not have")
			assert.Contains(t, result.Stage.Next, c.next)
		})
	}
}

// TestTheGoldenSampleIsExplainedByItsFormat: what the file holds, and which library then scores it.
func TestTheGoldenSampleIsExplainedByItsFormat(t *testing.T) {
	s := withONNX(t)
	delete(s.left, "models/golden.json")
	result := s.run()
	require.Contains(t, codesOf(result), train.NotScored.Name)
	for _, w := range result.Stage.Warnings {
		if w.Code == train.NotScored.Name {
			assert.Equal(t, `Let the training write a few rows and what the model predicts for them to models/golden.json, {"inputs": [[5.1, 3.5]], `+
				`"outputs": [0]}: ONNX then loads the model in a fresh environment and compares`, w.Next)
		}
	}
	s.input.Config.Train.Golden, s.input.Config.Train.Model = "", "out/m.onnx"
	s.left["out/m.onnx"] = s.left["models/m.onnx"]
	delete(s.left, "models/m.onnx")
	result = s.run()
	require.Contains(t, codesOf(result), train.NotScored.Name)
	for _, w := range result.Stage.Warnings {
		if w.Code == train.NotScored.Name {
			assert.Contains(t, w.Next, "set train.golden: out/golden.json in pipeline.yaml")
		}
	}
}

// TestATrainingIsRunAgainAsItRan: the remedy has the parameters and the Python of the run.
func TestATrainingIsRunAgainAsItRan(t *testing.T) {
	s := sound(t)
	s.input.Params, s.input.Python = map[string]string{"lr": "0.1 x", "epochs": "3"}, "3.12"
	s.trained.ExitCode, s.trained.Stderr = 1, "ValueError: boom"
	result := s.fails(train.TrainFailed, "boom")
	assert.Contains(t, result.Stage.Next, `openstack-rca train --verbose --python 3.12 --param epochs=3 --param "lr=0.1 x"`)
	s = sound(t)
	s.scored.ExitCode = 139
	result = s.fails(train.ScoreFailed, "signal 11")
	assert.Contains(t, result.Stage.Next, "openstack-rca train --verbose")
}
