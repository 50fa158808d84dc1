package train_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// onnxModel is an ONNX file of one operator: x -> y.
func onnxModel() string {
	text := func(number int, content string) string {
		return string(rune(number<<3|2)) + string(rune(len(content))) + content
	}
	graph := text(1, text(1, "x")+text(2, "y")+text(4, "Relu")) + text(11, text(1, "x")) + text(12, text(1, "y"))
	return "\x08\x0a" + text(7, graph) + text(8, "\x10\x15")
}

// withONNX is a sound training that leaves an ONNX file, and no score command.
func withONNX(t *testing.T) *scene {
	s := sound(t)
	delete(s.left, "models/lstm_model.keras")
	s.left["models/m.onnx"] = onnxModel()
	s.runs[0]["tags"].(object)["model_sha256"] = hash(onnxModel())
	s.input.Config.Train.Model, s.input.Config.Train.ScoreCommand = "models/*.onnx", nil
	s.loaded = runner.Result{Stdout: `versions {"onnxruntime": "1.23.2", "onnx": "1.0 # x"}` + "\nloaded models/m.onnx with onnxruntime 1.23.2: takes x, gives y\n" +
		`{"result": "equal", "samples": 5, "max_abs_difference": 1e-7}` + "\n"}
	return s
}

func TestAModelThatIsNotOfKerasIsLoadedAndScored(t *testing.T) {
	s := withONNX(t)
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Equal(t, "onnx", result.Model.Format)
	assert.Equal(t, map[string]string{"onnxruntime": "1.23.2"}, result.Model.Versions, "what is no version is left out")
	told := map[string]verdict.Evidence{}
	for _, e := range result.Stage.Evidence {
		told[e.Name] = e
	}
	assert.Equal(t, "models/m.onnx with onnxruntime 1.23.2: takes x, gives y", told["model loaded"].Value)
	assert.Equal(t, "equal, 5 samples, largest difference 1e-07", told["golden sample"].Value)
	assert.Contains(t, told["model graph"].Value, "1 Relu")
	step := s.runner.Steps()[len(s.runner.Steps())-1]
	assert.Equal(t, []string{"python", "pipeline-load/load_model.py", "models/m.onnx", "--golden", "models/golden.json"}, step.Args)
	assert.True(t, step.Offline)

	s = withONNX(t)
	delete(s.left, "models/golden.json")
	s.input.Config.Train.AllowDomains = []string{"com.microsoft"}
	result = s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Contains(t, codesOf(result), train.NotScored.Name)
	step = s.runner.Steps()[len(s.runner.Steps())-1]
	assert.Equal(t, []string{"--allow", "com.microsoft"}, step.Args[3:])

	s = withONNX(t)
	s.input.Config.Train.ScoreCommand = []string{"python", "score.py"}
	result = s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Equal(t, []string{"python", "score.py"}, s.runner.Steps()[len(s.runner.Steps())-1].Args, "the application scores it itself")
}

func codesOf(result *train.Result) []string {
	var found []string
	for _, w := range result.Stage.Warnings {
		found = append(found, w.Code)
	}
	return found
}

func TestAModelThatDoesNotLoadIsNoModel(t *testing.T) {
	for name, c := range map[string]struct {
		loaded runner.Result
		code   verdict.Code
		cause  string
	}{
		"another output":    {runner.Result{ExitCode: 79, Stdout: "loaded m with onnxruntime 1\n", Stderr: "error: the model's outputs differ from g\n"}, train.GoldenMismatch, "differ from g"},
		"no such golden":    {runner.Result{ExitCode: 80, Stdout: "loaded m with onnxruntime 1\n", Stderr: "error: g cannot be scored: x\n"}, train.ScoreFailed, "cannot be scored"},
		"it does not load":  {runner.Result{ExitCode: 1, Stderr: "error: onnxruntime 1 does not load m\n"}, train.LoadFailed, "does not load m"},
		"the library dies":  {runner.Result{ExitCode: 139}, train.LoadFailed, "signal 11"},
		"it does not end":   {runner.Result{ExitCode: 143, TimedOut: true}, train.ScoreTimeout, "time limit"},
		"an answer in vain": {runner.Result{ExitCode: 3, Stdout: "loaded m with onnxruntime 1\n"}, train.LoadFailed, "loaded m"},
	} {
		t.Run(name, func(t *testing.T) {
			s := withONNX(t)
			s.loaded = c.loaded
			result := s.fails(c.code, c.cause)
			if c.code.Name == train.ScoreFailed.Name {
				assert.Contains(t, result.Stage.Next, `{"inputs": [[5.1, 3.5]], "outputs": [0]}`, "the library scores it, no command does")
			}
		})
	}
	s := sound(t)
	s.input.Config.Train.ScoreCommand = nil
	s.loaded = runner.Result{ExitCode: 1, Stderr: "error: keras 3.15.1 does not load m: x\n"}
	s.fails(train.LoadFailed, "keras 3.15.1 does not load m")
	assert.Equal(t, []string{"--golden", "models/golden.json"}, s.runner.Steps()[len(s.runner.Steps())-1].Args[3:])

	s = withONNX(t)
	s.loaded = runner.Result{ExitCode: 77, Stdout: "nothing here loads it: No module named 'onnxruntime'\n"}
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Contains(t, codesOf(result), train.NotLoaded.Name)

	delete(s.left, "models/golden.json")
	assert.NotContains(t, codesOf(s.run()), train.NotScored.Name, "a golden sample would not be scored either")

	s = withONNX(t)
	s.failure["load the model"] = errors.New("disk full")
	s.fails(train.RunnerFailed, "disk full")
}
