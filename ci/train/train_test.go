package train_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestASoundTrainingPassesAndHandsOnItsModel(t *testing.T) {
	s := sound(t)
	result := s.run()

	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	assert.Empty(t, result.Stage.Problems)
	assert.Empty(t, result.Stage.Warnings)
	require.NotNil(t, result.Model)
	m := result.Model
	assert.Equal(t, "lstm_model.keras", m.File)
	assert.Equal(t, hash(s.left["models/lstm_model.keras"]), m.SHA256)
	assert.EqualValues(t, len(s.left["models/lstm_model.keras"]), m.Bytes)
	assert.Equal(t, "golden.json", m.Golden)
	assert.Equal(t, "sha256:abc", m.Data)
	assert.InDelta(t, 0.95, m.Metrics["accuracy"], 1e-12)
	require.Len(t, m.History["loss"], 2)
	assert.EqualValues(t, 1, m.History["loss"][0].Step, "history is in the order of its steps")
	names, err := m.Files.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"golden.json", "lstm_model.json", "lstm_model.keras", "predictions.json"}, names, "flat, under base names")
	exported, err := os.ReadFile(filepath.Join(m.Dir, m.File))
	require.NoError(t, err)
	assert.Equal(t, s.left["models/lstm_model.keras"], string(exported))
}

func TestTheTrainingSeesOnlyDeclaredInputsAndNothingOfTheHost(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not-for-training")
	s := sound(t)
	s.input.Params = map[string]string{"epochs": "5", "batch-size": "32", "shuffle": ""}
	s.input.Data = fake.Files(map[string]string{"nova.log": "line"})
	s.input.Config.Train.Vars = map[string]string{"MLFLOW_TRACKING_URI": "https://elsewhere.example", "TF_DETERMINISTIC_OPS": "1"}
	s.input.Threads, s.input.Fresh = 4, "now"
	require.Equal(t, verdict.Pass, s.run().Stage.Verdict)

	steps := s.runner.Steps()
	require.Len(t, steps, 3)
	step := steps[0]
	inputs, err := s.runner.Inputs(t.Context(), 0)
	require.NoError(t, err)
	assert.Contains(t, inputs, ".openstack-rca-network/sitecustomize.py", "hosts that it asks for are named")
	delete(inputs, ".openstack-rca-network/sitecustomize.py")
	assert.Equal(t, map[string]string{
		"main.py": "train()", "lstm/model.py": "x", "requirements/train.lock": "mlflow==3.1 --hash=sha256:00", "pipeline-data/nova.log": "line",
	}, inputs, "no test, README, page or configuration")
	assert.Equal(t, []string{"python", "main.py", "--mode", "train", "--enable-mlflow", "--batch-size", "32", "--epochs", "5", "--shuffle", "--data", "pipeline-data"}, step.Args)
	assert.Equal(t, "sqlite:///mlflow.db", step.Vars["MLFLOW_TRACKING_URI"], "the configuration cannot point it elsewhere")
	assert.Equal(t, "openstack_rca_system_staging", step.Vars["MLFLOW_EXPERIMENT_NAME"])
	assert.Equal(t, "0", step.Vars["PYTHONHASHSEED"])
	assert.Equal(t, "4", step.Vars["OMP_NUM_THREADS"])
	assert.Equal(t, "1", step.Vars["TF_DETERMINISTIC_OPS"])
	assert.NotContains(t, step.Vars, "AWS_SECRET_ACCESS_KEY")
	assert.Empty(t, step.Secrets)
	assert.Equal(t, "now", step.Fresh)
	assert.Equal(t, 30*time.Minute, step.Timeout)
	assert.Equal(t, []string{"mlflow.db", "models", "models/golden.json", "models/predictions.json"}, step.Outputs)
	assert.Equal(t, "3.11", step.Env.Python)
	assert.Equal(t, [][]string{{"uv", "pip", "install", "--require-hashes", "-r", "requirements/train.lock"}}, step.Env.Install)

	scored, err := s.runner.Inputs(t.Context(), 2)
	require.NoError(t, err)
	assert.NotContains(t, scored, "mlflow.db", "nothing of the training but the model is left when it is scored")
	assert.NotContains(t, scored, "pipeline-data/nova.log")
	assert.Contains(t, scored, "models/lstm_model.keras")
	assert.Contains(t, scored, "models/golden.json")
}

func TestEveryWayToFailHasItsOwnCode(t *testing.T) {
	gate := func(metric string, lowest, highest float64) config.Gate {
		g := config.Gate{Metric: metric}
		if lowest != 0 {
			g.Min = &lowest
		}
		if highest != 0 {
			g.Max = &highest
		}
		return g
	}
	environment := &runner.EnvironmentError{Command: []string{"uv", "pip"}, Output: "no such hash", Err: errors.New("exit 1")}
	cases := map[string]struct {
		change func(s *scene)
		code   verdict.Code
		cause  string
	}{
		// The environment and the command.
		"no requirements at all":                {func(s *scene) { s.input.Source = fake.Files(map[string]string{"main.py": ""}) }, train.EnvMissing, "none of requirements/train.lock"},
		"named requirements that are not there": {func(s *scene) { s.input.Config.Train.Requirements = []string{"x.lock"} }, train.EnvMissing, "x.lock is not in the source"},
		"an included file that is not there": {func(s *scene) {
			s.input.Source = fake.Files(map[string]string{"main.py": "", "requirements.txt": "-r base.txt"})
		}, train.EnvMissing, "base.txt, which requirements.txt includes, is not in the source"},
		"an environment that cannot be made": {func(s *scene) { s.failure["train"] = environment }, train.EnvFailed, "install packages"},
		"a runner that breaks":               {func(s *scene) { s.failure["train"] = errors.New("engine gone") }, train.RunnerFailed, "engine gone"},
		"a parameter that is no name":        {func(s *scene) { s.input.Params = map[string]string{"--x": "1"} }, train.ParamInvalid, `"--x" is not the name`},
		"a parameter with a line break":      {func(s *scene) { s.input.Params = map[string]string{"x": "1\n2"} }, train.ParamInvalid, "line break"},
		"no command":                         {func(s *scene) { s.input.Config.Train.Command = nil }, train.ConfigInvalid, "train.command"},
		"a model glob that is none":          {func(s *scene) { s.input.Config.Train.Model = "models/[" }, train.ConfigInvalid, "models/["},

		// The data.
		"a data set without files":    {func(s *scene) { s.input.Data = fake.Files(nil) }, train.DataInvalid, "holds no file"},
		"a data set of empty files":   {func(s *scene) { s.input.Data = fake.Files(map[string]string{"a": "", "b": ""}) }, train.DataInvalid, "all 2 files"},
		"data the training refuses":   {func(s *scene) { s.trained = runner.Result{ExitCode: 65, Stderr: "error: line 3: no timestamp"} }, train.DataInvalid, "line 3: no timestamp"},
		"a held-out set of one class": {func(s *scene) { s.predict(two(100, 0, 0, 0)) }, train.DataInvalid, "one class only"},

		// How the training ended.
		"an exception":      {func(s *scene) { s.trained = runner.Result{ExitCode: 1, Stderr: "Traceback\nValueError: boom"} }, train.TrainFailed, "exit code 1: ValueError: boom"},
		"a silent failure":  {func(s *scene) { s.trained = runner.Result{ExitCode: 3} }, train.TrainFailed, "exit code 3: it printed nothing"},
		"the time limit":    {func(s *scene) { s.trained = runner.Result{ExitCode: 137, TimedOut: true} }, train.TrainTimeout, "time limit of 30m0s"},
		"the memory killer": {func(s *scene) { s.trained = runner.Result{ExitCode: 137} }, train.TrainKilled, "memory ran out"},
		"a segfault":        {func(s *scene) { s.trained = runner.Result{ExitCode: 139} }, train.TrainKilled, "signal 11"},

		// The model.
		"exit code 0 without a model": {func(s *scene) { delete(s.left, "models/lstm_model.keras") }, train.NoModel, "left no file that matches models/*.keras"},
		"a model of an earlier commit": {func(s *scene) {
			delete(s.left, "models/lstm_model.keras")
			s.input.Source = fake.Files(map[string]string{"main.py": "", "requirements.txt": "mlflow --hash=x", "models/lstm_model.keras": "old"})
		}, train.StaleModel, "models/lstm_model.keras in the source is from an earlier one"},
		"two models": {func(s *scene) { s.left["models/best.keras"] = "x" }, train.ModelAmbiguous, "models/best.keras, models/lstm_model.keras"},
		"two files of one name": {func(s *scene) {
			s.left["models/old/lstm_model.json"] = "{}"
			s.input.Config.Train.Artifacts = []string{"models/**/*.json"}
		}, train.ArtifactAmbiguous, "have the same name"},
		"a run of another model":  {func(s *scene) { s.runs[0]["tags"].(object)["model_sha256"] = strings.Repeat("0", 64) }, train.ModelMismatch, "names the model 0000"},
		"a damaged model":         {func(s *scene) { s.modelFile("PK\x03\x04 no zip") }, modelfile.ArchiveInvalid, "cannot be opened"},
		"a model with a Lambda":   {func(s *scene) { s.modelFile(kerasModel("3.13.2", "LSTM", "Lambda")) }, kerasfile.UnsafeLayer, "Lambda runs code"},
		"a model without an LSTM": {func(s *scene) { s.modelFile(kerasModel("3.13.2", "Dense")) }, kerasfile.WrongArch, "recurrent"},
		"a pickle":                {func(s *scene) { s.modelFile("\x80\x04\x95") }, modelfile.FormatRefused, "pickle"},
		"an h5 file by its name": {func(s *scene) {
			s.left["models/m.h5"] = "PK\x03\x04"
			s.input.Config.Train.Model = "models/*.h5"
			delete(s.runs[0]["tags"].(object), "model_sha256")
		}, modelfile.FormatRefused, ".h5"},

		// The record.
		"no MLflow store":              {func(s *scene) { delete(s.left, "mlflow.db") }, train.RunMissing, "wrote nothing"},
		"an MLflow store without runs": {func(s *scene) { s.runs = []object{} }, train.RunMissing, "holds no run"},
		"a run left open":              {func(s *scene) { s.runs[0]["status"] = "RUNNING" }, train.RunUnfinished, "r1 of experiment e is RUNNING"},
		"a run that failed":            {func(s *scene) { s.runs[0]["status"] = "FAILED" }, train.RunFailed, "is FAILED"},
		"two runs": {func(s *scene) {
			delete(s.runs[0]["tags"].(object), "model_sha256")
			s.runs = append(s.runs, object{"run_id": "r2", "name": "", "experiment": "e", "status": "FAILED"})
		}, train.RunAmbiguous, "r1 (FINISHED), r2 (FAILED)"},
		"a store that cannot be read":      {func(s *scene) { s.export = runner.Result{ExitCode: 1, Stderr: "OperationalError: no table"} }, train.ExportFailed, "no table"},
		"an environment without MLflow":    {func(s *scene) { s.failure["export MLflow run"] = environment }, train.EnvFailed, "install packages"},
		"an export that is cut short":      {func(s *scene) { s.export.Outputs = fake.Files(map[string]string{"mlflow-runs.json": `{"format":1`}) }, train.ExportFailed, "malformed"},
		"an export of another format":      {func(s *scene) { s.export.Outputs = fake.Files(map[string]string{"mlflow-runs.json": `{"format":2}`}) }, train.ExportFailed, "format is 2"},
		"an export without runs":           {func(s *scene) { s.export.Outputs = fake.Files(map[string]string{"mlflow-runs.json": `{"format":1}`}) }, train.ExportFailed, "no list of runs"},
		"an export that was not written":   {func(s *scene) { s.export.Outputs = fake.Files(nil) }, train.ExportFailed, "read the exported runs"},
		"an exported run without a status": {func(s *scene) { delete(s.runs[0], "status") }, train.ExportFailed, "status is not text"},
		"an exported point of two values":  {func(s *scene) { s.runs[0]["metrics"].(object)["x"] = []any{[]any{1, 2}} }, train.ExportFailed, "metric x: a point is not"},
		"an exported point without a step": {func(s *scene) { s.runs[0]["metrics"].(object)["x"] = []any{[]any{"1", 2, 3}} }, train.ExportFailed, "step or timestamp"},

		// The metrics.
		"an accuracy that was not logged": {func(s *scene) { s.logs("accuracy", nil) }, train.MetricsMissing, "has no metric accuracy (did you mean val_accuracy?)"},
		"an accuracy of NaN":              {func(s *scene) { s.logs("accuracy", "NaN") }, train.MetricInvalid, "accuracy is NaN"},
		"an infinite accuracy":            {func(s *scene) { s.logs("accuracy", "Infinity") }, train.MetricInvalid, "accuracy is Infinity"},
		"an accuracy in percent":          {func(s *scene) { s.logs("accuracy", 95) }, train.MetricInvalid, "looks like percent"},
		"an accuracy just above one":      {func(s *scene) { s.logs("accuracy", 1.0000001) }, train.MetricInvalid, "1.0000001"},
		"a negative accuracy":             {func(s *scene) { s.logs("accuracy", -0.1) }, train.MetricInvalid, "within 0..1"},
		"an accuracy below the gate": {func(s *scene) { s.logs("accuracy", 0.8499); s.predict(two(5099, 901, 600, 3400)) }, train.MetricBelow,
			"accuracy is 0.8499, below its minimum of 0.85"},
		"a loss above its maximum":         {func(s *scene) { s.input.Config.Train.Gates = []config.Gate{gate("loss", 0, 0.4)} }, train.MetricAbove, "loss is 0.5, above its maximum of 0.4"},
		"an accuracy the predictions deny": {func(s *scene) { s.logs("accuracy", 0.99) }, train.MetricDisagrees, "accuracy is 0.99 in MLflow run r1, but the predictions give 0.95"},
		"a baseline the predictions deny":  {func(s *scene) { s.logs("baseline_accuracy", 0.1) }, train.MetricDisagrees, "predictions give 0.6"},
		"a model that always says the same": {func(s *scene) {
			s.logs("accuracy", 0.9)
			s.logs("baseline_accuracy", nil)
			s.predict(two(90, 0, 10, 0))
		}, train.NoBetterThanBaseline, "0.0 points"},
		"a model that misses one class": {func(s *scene) {
			s.logs("accuracy", 0.94)
			s.logs("baseline_accuracy", nil)
			s.predict(object{"labels": []string{"a", "b", "c"}, "y_true": append(append(repeat(0, 50), repeat(1, 44)...), repeat(2, 6)...), "y_pred": append(append(repeat(0, 50), repeat(1, 44)...), repeat(0, 6)...)})
		}, train.NoBetterThanBaseline, "never finds c (0 of 6)"},
		"a logged baseline that is not beaten": {func(s *scene) { delete(s.left, "models/predictions.json"); s.logs("baseline_accuracy", 0.94) }, train.NoBetterThanBaseline, "as logged"},
		"a model worse than the champion": {func(s *scene) {
			s.input.Champion = &train.Champion{Version: "7", Metrics: map[string]float64{"accuracy": 0.97}}
		}, train.Regression,
			"accuracy is 0.95, worse than the 0.97 of version 7 in production by 0.02 (at most 0.01 is tolerated)"},
		"a loss higher than the champion's": {func(s *scene) {
			s.input.Config.Train.Gates = []config.Gate{gate("loss", 0, 0.9)}
			s.input.Champion = &train.Champion{Version: "7", Metrics: map[string]float64{"loss": 0.3}}
		}, train.Regression, "loss is 0.5"},

		// The predictions.
		"predictions that are not JSON":    {func(s *scene) { s.left["models/predictions.json"] = "{" }, train.MetricsMalformed, "predictions.json: line 1"},
		"predictions that are a list":      {func(s *scene) { s.left["models/predictions.json"] = "[]" }, train.MetricsMalformed, "not a JSON object"},
		"predictions without labels":       {func(s *scene) { s.predict(object{"y_true": []int{0}, "y_pred": []int{0}}) }, train.MetricsMalformed, "labels is not a list"},
		"predictions with a label twice":   {func(s *scene) { s.predict(object{"labels": []string{"a", "a"}}) }, train.MetricsMalformed, "labels[1] is a, not a new name"},
		"predictions of no example":        {func(s *scene) { s.predict(object{"labels": []string{"a"}, "y_true": []int{}, "y_pred": []int{}}) }, train.MetricsMalformed, "y_true is empty"},
		"predictions of unequal length":    {func(s *scene) { s.predict(object{"labels": []string{"a"}, "y_true": []int{0, 0}, "y_pred": []int{0}}) }, train.MetricsMalformed, "y_true has 2 values, y_pred has 1"},
		"a prediction of an unknown class": {func(s *scene) { s.predict(object{"labels": []string{"a"}, "y_true": []int{1}, "y_pred": []int{0}}) }, train.MetricsMalformed, "y_true[0] is 1, not a whole number within 0..0"},
		"a prediction that is a fraction": {func(s *scene) {
			s.predict(object{"labels": []string{"a"}, "y_true": []int{0}, "y_pred": []float64{0.5}})
		}, train.MetricsMalformed, "y_pred[0] is 0.5"},
		"predictions without y_pred":       {func(s *scene) { s.predict(object{"labels": []string{"a"}, "y_true": []int{0}}) }, train.MetricsMalformed, "y_pred is not a list"},
		"ranks without k":                  {func(s *scene) { s.predict(ranked(nil, 1)) }, train.MetricsMalformed, "top_k is <nil>"},
		"ranks of another length":          {func(s *scene) { s.predict(ranked(2, 1, 1, 1)) }, train.MetricsMalformed, "y_rank has 3"},
		"a rank below one":                 {func(s *scene) { s.predict(ranked(2, 0)) }, train.MetricsMalformed, "y_rank[0] is 0"},
		"ranks that contradict the guess":  {func(s *scene) { s.predict(ranked(2, 2)) }, train.MetricsMalformed, "which y_true and y_pred contradict"},
		"scores of another length":         {func(s *scene) { p := two(1, 0, 0, 1); p["y_score"] = []any{}; s.predict(p) }, train.MetricsMalformed, "y_score is not a list of 2 rows"},
		"scores of another width":          {func(s *scene) { p := two(1, 0, 0, 1); p["y_score"] = []any{[]any{1}, []any{1}}; s.predict(p) }, train.MetricsMalformed, "y_score[0] is not a list of 2 values"},
		"scores that are no probabilities": {func(s *scene) { p := two(1, 0, 0, 1); p["y_score"] = []any{[]any{1, 7}, []any{1, 0}}; s.predict(p) }, train.MetricsMalformed, "y_score[0][1] is 7"},

		// The golden sample.
		"no golden sample": {func(s *scene) { delete(s.left, "models/golden.json") }, train.GoldenMissing, "models/golden.json"},
		"a model that scores otherwise": {func(s *scene) {
			s.scored = runner.Result{ExitCode: 1, Stdout: `{"result":"different","samples":20,"max_abs_difference":0.3}`, Stderr: "error: its output differs"}
		}, train.GoldenMismatch, "its output differs"},
		"a score command that hangs":   {func(s *scene) { s.scored = runner.Result{ExitCode: 143, TimedOut: true} }, train.ScoreTimeout, "time limit"},
		"a score command that crashes": {func(s *scene) { s.scored = runner.Result{ExitCode: 139} }, train.ScoreFailed, "signal 11"},
		"a score command that compares nothing": {func(s *scene) { s.scored, s.without = runner.Result{}, runner.Result{ExitCode: 1} },
			train.ScoreEmpty, "also passes without the model"},
		"a second scoring that cannot be run": {func(s *scene) { s.scored, s.failure["score without a model"] = runner.Result{}, errors.New("gone") },
			train.RunnerFailed, "scoring without a model"},
		"a scoring that cannot be run": {func(s *scene) { s.failure["score golden sample"] = errors.New("gone") }, train.RunnerFailed, "gone"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := sound(t)
			c.change(s)
			s.fails(c.code, c.cause)
		})
	}
}

func repeat(value, n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = value
	}
	return list
}

// ranked is one right prediction with ranks.
func ranked(k any, ranks ...int) object {
	return object{"labels": []string{"a", "b"}, "y_true": []int{0}, "y_pred": []int{0}, "y_rank": ranks, "top_k": k}
}

func TestAFileOfMetrics(t *testing.T) {
	const good = `{"accuracy":0.95,"task":"root_cause","history":[{"epoch":1,"loss":2},{"epoch":2,"loss":1}],"params":{"lr":0.1},"tags":{"data_fingerprint":"sha256:f"}}`
	withFile := func(t *testing.T, content string) *scene {
		s := sound(t)
		s.input.Config.Train.Metrics = "models/metrics.json"
		s.left["models/metrics.json"] = content
		return s
	}
	t.Run("is enough without an MLflow run", func(t *testing.T) {
		s := withFile(t, good)
		delete(s.left, "mlflow.db")
		result := s.run()
		require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
		assert.Len(t, result.Model.History["loss"], 2)
		assert.Equal(t, "sha256:f", result.Model.Data)
		assert.Equal(t, "0.1", result.Model.Params["lr"])
		assert.Equal(t, "models/metrics.json", result.Candidate.Run.Source)
	})
	t.Run("may have the history that Keras returns, and the mark that Windows writes", func(t *testing.T) {
		s := withFile(t, "\ufeff"+`{"accuracy":0.95,"task":"root_cause","history":{"loss":[2,1],"val_loss":[3,null]}}`)
		delete(s.left, "mlflow.db")
		result := s.run()
		require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
		assert.Len(t, result.Model.History["loss"], 2)
		assert.EqualValues(t, 2, result.Model.History["loss"][1].Step)
		assert.Len(t, result.Model.History["val_loss"], 1)
	})
	t.Run("is joined with the MLflow run", func(t *testing.T) {
		result := withFile(t, good).run()
		require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
		assert.Equal(t, "r1", result.Candidate.Run.ID)
		assert.Equal(t, "12", result.Model.Params["epochs"])
		assert.EqualValues(t, 10, result.Model.History["loss"][0].Timestamp)
	})
	t.Run("does not excuse a run that failed", func(t *testing.T) {
		s := withFile(t, good)
		s.runs[0]["status"] = "FAILED"
		s.fails(train.RunFailed, "FAILED")
	})
	cases := map[string]struct {
		content, cause string
		code           verdict.Code
	}{
		"that is empty":                {"", "document is empty", train.MetricsMalformed},
		"that is cut short":            {`{"accuracy":0.9`, "ends too early", train.MetricsMalformed},
		"that is a list":               {`[0.95]`, "not a JSON object", train.MetricsMalformed},
		"with a key twice":             {`{"accuracy":0.95,"accuracy":0.1}`, "there twice", train.MetricsMalformed},
		"with a number in quotes":      {`{"accuracy":"0.95"}`, `accuracy is the text "0.95" where a number belongs`, train.MetricsMalformed},
		"with NaN":                     {`{"accuracy":NaN}`, "accuracy: NaN is not a finite number", train.MetricInvalid},
		"with Infinity":                {`{"accuracy":Infinity}`, "Infinity is not", train.MetricInvalid},
		"with null":                    {`{"accuracy":null}`, "accuracy is null", train.MetricInvalid},
		"with text":                    {`{"accuracy":"high"}`, `accuracy is the text "high"`, train.MetricInvalid},
		"with true":                    {`{"accuracy":true}`, "accuracy is true", train.MetricInvalid},
		"with a nested accuracy":       {`{"accuracy":{"value":0.95}}`, "accuracy is not a number", train.MetricInvalid},
		"with percent":                 {`{"accuracy":85}`, "looks like percent", train.MetricInvalid},
		"without accuracy":             {`{"loss":1}`, "has no metric accuracy; it has loss", train.MetricsMissing},
		"with all one level down":      {`{"metrics":{"accuracy":0.95},"loss":1}`, "no metric accuracy on its top level; it has metrics.accuracy", train.MetricsMissing},
		"without anything":             {`{}`, "it has none", train.MetricsMissing},
		"with a history that is text":  {`{"accuracy":0.95,"history":"x"}`, "history is neither a list nor an object", train.MetricsMalformed},
		"with a history of one number": {`{"accuracy":0.95,"history":{"loss":1}}`, "history.loss is not a list", train.MetricsMalformed},
		"with a history of numbers":    {`{"accuracy":0.95,"history":[1]}`, "history[0] is not an object", train.MetricsMalformed},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { withFile(t, c.content).fails(c.code, c.cause) })
	}
	t.Run("that is missing", func(t *testing.T) {
		s := withFile(t, "")
		delete(s.left, "models/metrics.json")
		s.fails(train.MetricsMissing, "left no models/metrics.json")
	})
}

func TestTheAlertOfTheDocument(t *testing.T) {
	for name, c := range map[string]struct {
		wrong int
		alert bool
	}{
		"at 0.85 the gate holds and nobody is alerted": {1500, false},
		"at 0.82 the gate fails without an alert":      {1800, false},
		"at 0.80 there is still no alert":              {2000, false},
		"at 0.79 the alert is raised":                  {2100, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := sound(t)
			s.logs("accuracy", 1-float64(c.wrong)/10000)
			s.predict(two(6000-c.wrong/2, c.wrong/2, c.wrong-c.wrong/2, 4000-c.wrong+c.wrong/2))
			result := s.run()
			assert.Equal(t, c.wrong <= 1500, result.Stage.Verdict == verdict.Pass, result.Stage.Cause)
			var codes []string
			for _, w := range result.Stage.Warnings {
				codes = append(codes, w.Code)
			}
			assert.Equal(t, c.alert, len(codes) == 1 && codes[0] == train.ModelDegraded.Name, codes)
		})
	}
}

func TestFilesThatAreTooLargeAreNotExported(t *testing.T) {
	for name, c := range map[string]struct {
		model, artifact int64
		code            verdict.Code
		cause           string
	}{
		"the model":       {10, 1 << 20, modelfile.ArchiveInvalid, "more than the limit of 10"},
		"another of them": {1 << 20, 3, train.ArtifactTooLarge, "more than the limit of 3"},
	} {
		t.Run(name, func(t *testing.T) {
			train.Limit(t, c.model, c.artifact)
			s := sound(t)
			s.fails(c.code, c.cause)
			assert.NoDirExists(t, filepath.Join(s.input.WorkDir, "model"), "nothing has left its place")
		})
	}
}

func TestTheChampionMayBeSlightlyBetter(t *testing.T) {
	for name, c := range map[string]struct {
		champion  float64
		tolerance *train.Tolerance
		passes    bool
	}{
		"an equal model passes":                        {0.95, nil, true},
		"one point is tolerated by default":            {0.96, nil, true},
		"more is not":                                  {0.9601, nil, false},
		"a relative tolerance counts if it is wider":   {1, &train.Tolerance{Absolute: 0.01, Relative: 0.05}, true},
		"no tolerance at all refuses any worse model":  {0.951, &train.Tolerance{}, false},
		"a better model passes without any tolerance":  {0.9, &train.Tolerance{}, true},
		"a tolerance of zero lets an equal model pass": {0.95, &train.Tolerance{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := sound(t)
			s.input.Champion = &train.Champion{Version: "7", Metrics: map[string]float64{"accuracy": c.champion}}
			s.input.Tolerance = c.tolerance
			result := s.run()
			assert.Equal(t, c.passes, result.Stage.Verdict == verdict.Pass, result.Stage.Cause)
		})
	}
	t.Run("a metric the champion lacks is a warning", func(t *testing.T) {
		s := sound(t)
		s.input.Champion = &train.Champion{Version: "7", Metrics: map[string]float64{"f1": 0.9}}
		result := s.run()
		assert.Equal(t, verdict.Pass, result.Stage.Verdict)
		require.Len(t, result.Stage.Warnings, 1)
		assert.Equal(t, train.NotCompared.Name, result.Stage.Warnings[0].Code)
	})
	for name, metrics := range map[string]map[string]float64{
		"a champion without any metric": nil, "a champion with NaN": {"accuracy": math.NaN()}, "a champion with an infinity": {"accuracy": math.Inf(-1), "f1": 0.9},
	} {
		t.Run(name+" cannot be compared with", func(t *testing.T) {
			s := sound(t)
			s.input.Champion = &train.Champion{Version: "7", Metrics: metrics}
			s.fails(train.ChampionUnmeasured, "version 7")
			assert.Empty(t, s.runner.Steps(), "nothing is trained that cannot be judged")
		})
	}
}

func TestWhatIsOddButNoFaultIsAWarning(t *testing.T) {
	cases := map[string]struct {
		change func(s *scene)
		code   verdict.Code
		cause  string
	}{
		"an old Keras": {func(s *scene) { s.modelFile(kerasModel("3.9.0", "LSTM")) }, kerasfile.Old, "Keras 3.9.0"},
		"nothing to score": {func(s *scene) {
			s.input.Config.Train.ScoreCommand = nil
			delete(s.left, "models/golden.json")
		}, train.NotScored, "left no golden sample"},
		"a class that Keras does not know": {func(s *scene) {
			s.input.Config.Train.ScoreCommand = nil
			s.loaded = runner.Result{ExitCode: 78, Stderr: "error: keras 3.15.1 does not load m: Could not locate class 'Pool'\n"}
		}, train.NotLoaded, "class 'Pool'"},
		"no predictions":           {func(s *scene) { delete(s.left, "models/predictions.json") }, train.NoPredictions, "left no models/predictions.json"},
		"predictions not declared": {func(s *scene) { s.input.Config.Train.Predictions = "" }, train.NoPredictions, "not set"},
		"packages without hashes": {func(s *scene) {
			s.input.Source = fake.Files(map[string]string{"main.py": "", "requirements.txt": "mlflow==3.1"})
		}, train.Unlocked, "requirements.txt"},
		"a loss that was NaN for a while": {func(s *scene) {
			s.runs[0]["metrics"].(object)["loss"] = []any{[]any{1, 1, "NaN"}, []any{2, 2, 0.5}}
		}, train.CurveNotFinite, "1 logged values of loss"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := sound(t)
			c.change(s)
			result := s.run()
			require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
			require.Len(t, result.Stage.Warnings, 1)
			assert.Equal(t, c.code.Name, result.Stage.Warnings[0].Code)
			assert.Contains(t, result.Stage.Warnings[0].Cause, c.cause)
		})
	}
}

func TestRunsOfASearchAreNotTheModelsRun(t *testing.T) {
	s := sound(t)
	trial := func(id string) object {
		return object{"run_id": id, "name": "", "experiment": "e", "status": "FAILED", "tags": object{"mlflow.parentRunId": "r1"}}
	}
	s.runs = append(s.runs, trial("t1"), trial("t2"))
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	assert.Equal(t, "r1", result.Candidate.Run.ID)

	t.Run("and the run that names the model is chosen among several", func(t *testing.T) {
		s := sound(t)
		s.runs = append(s.runs, object{"run_id": "r0", "name": "", "experiment": "e", "status": "FAILED"})
		result := s.run()
		require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
		assert.Equal(t, "r1", result.Candidate.Run.ID)
	})
}

func TestAModelThatIsRefusedIsNeverLoaded(t *testing.T) {
	s := sound(t)
	s.modelFile(kerasModel("3.13.2", "LSTM", "Lambda"))
	s.fails(kerasfile.UnsafeLayer, "Lambda")
	for _, step := range s.runner.Steps() {
		assert.NotEqual(t, "score golden sample", step.Name)
	}
}

func TestAllProblemsOfOneTrainingAreReportedAtOnce(t *testing.T) {
	s := sound(t)
	s.modelFile(kerasModel("3.13.2", "Dense", "Lambda"))
	s.logs("accuracy", "NaN")
	s.runs[0]["status"] = "FAILED"
	result := s.run()
	var codes []string
	for _, p := range result.Stage.Problems {
		codes = append(codes, p.Code)
	}
	assert.Equal(t, []string{"UNSAFE_LAYER", "WRONG_ARCH", "RUN_FAILED", "METRIC_INVALID"}, codes)
}

func TestACancelledRunCouldNotRun(t *testing.T) {
	s := sound(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	result := train.Run(ctx, fake.New(), s.input)
	assert.Equal(t, verdict.CouldNotRun, result.Stage.Verdict)
	assert.Equal(t, train.Cancelled.Name, result.Stage.Code)
	assert.Nil(t, result.Model)
}

func TestRankedPredictionsCountTheFirstK(t *testing.T) {
	s := sound(t)
	s.input.Config.Train.TopK = 2
	// Four events; the true one is first in 50 of 100, second in 45, third in 5.
	truth, pred, rank := []int{}, []int{}, []int{}
	for i := range 100 {
		truth = append(truth, i%4)
		switch {
		case i < 50:
			pred, rank = append(pred, i%4), append(rank, 1)
		case i < 95:
			pred, rank = append(pred, (i+1)%4), append(rank, 2)
		default:
			pred, rank = append(pred, (i+1)%4), append(rank, 3)
		}
	}
	s.predict(object{"labels": []string{"a", "b", "c", "d"}, "y_true": truth, "y_pred": pred, "y_rank": rank, "top_k": 2})
	s.logs("baseline_accuracy", 0.5)
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	scores := result.Candidate.Scores
	assert.InDelta(t, 0.95, scores.Accuracy, 1e-12)
	assert.InDelta(t, 0.5, scores.Top1, 1e-12)
	assert.InDelta(t, 0.5, scores.Baseline, 1e-12, "the two most frequent of four equally frequent events")
	assert.Equal(t, 2, scores.TopK)
	shown := shown(t, result)
	assert.Contains(t, shown, "top-2 accuracy")
	assert.Contains(t, shown, "the first guess alone: 50.0 %")

	// What pipeline.yaml does not allow does not count, however good it looks.
	s.input.Config.Train.TopK = 1
	s.fails(train.TopKRefused, "counts the first 2 of 4 guesses, train.top_k is 1: its top-2 accuracy is 95.0 %, with the first guess alone it is 50.0 %")
}

func TestScoresAreMeasuredFromThePredictions(t *testing.T) {
	s := sound(t)
	p := two(57, 3, 2, 38)
	var table [][]float64
	for _, guess := range p["y_pred"].([]int) {
		row := []float64{0.1, 0.1}
		row[guess] = 0.9
		table = append(table, row)
	}
	p["y_score"] = table
	s.predict(p)
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	scores := result.Candidate.Scores
	assert.Equal(t, [][]int{{57, 3}, {2, 38}}, scores.Confusion)
	require.Len(t, scores.Classes, 2)
	assert.InDelta(t, 57.0/59, scores.Classes[0].Precision, 1e-12)
	assert.InDelta(t, 57.0/60, scores.Classes[0].Recall, 1e-12)
	assert.InDelta(t, 2*57.0/119, scores.Classes[0].F1, 1e-12)
	assert.InDelta(t, 0.6, scores.Baseline, 1e-12)
	require.Len(t, scores.Calibration, 1)
	assert.InDelta(t, 0.9, scores.Calibration[0].Confidence, 1e-9)
	assert.InDelta(t, 0.05, scores.CalibrationError, 1e-9)
}

func TestTheReportShowsWhatTheVerdictRestsOn(t *testing.T) {
	s := sound(t)
	result := s.run()
	titles := map[string]verdict.Block{}
	for _, b := range result.Stage.Blocks {
		titles[b.Title] = b
	}
	for _, title := range []string{"Gates of the model", "Against guessing", "Classes", "Confusion matrix", "Training curves: loss", "Training curves: fractions", "Parameters", "Layers"} {
		assert.Contains(t, titles, title)
	}
	assert.Equal(t, [][]int{{57, 3}, {2, 38}}, titles["Confusion matrix"].Heat.Counts)
	assert.False(t, titles["Gates of the model"].Summary, "nothing is in production to compare with: the report lists all gates")
	require.Len(t, titles["Training curves: loss"].Lines.Series, 2)
	assert.Equal(t, []float64{0.9, 0.5}, titles["Training curves: loss"].Lines.Series[0].Y)
	evidence := map[string]verdict.Evidence{}
	for _, e := range result.Stage.Evidence {
		evidence[e.Name] = e
	}
	assert.Equal(t, verdict.Evidence{Name: "accuracy", Value: "0.95", Want: ">= 0.85", OK: true}, evidence["accuracy"])
	assert.Equal(t, "equal, 20 samples, largest difference 1e-07", evidence["golden sample"].Value)
	assert.Equal(t, "9 of 90 in validation (10.0 %)", evidence["sequences of the training seen again"].Value)
	assert.Contains(t, evidence["model in production"].Value, "first")

	files := map[string]string{}
	for _, f := range result.Stage.Files {
		files[f.Path] = string(f.Content)
	}
	assert.Contains(t, files["train/model-card.md"], result.Model.SHA256)
	assert.Contains(t, files["train/model-card.md"], `| lr\|x | 0.004 |`, "what comes from outside cannot break the table")
	var measured struct {
		Metrics map[string]float64
		Scores  train.Scores
	}
	require.NoError(t, json.Unmarshal([]byte(files["train/metrics.json"]), &measured))
	assert.InDelta(t, 0.95, measured.Metrics["accuracy"], 1e-12)
	assert.Equal(t, 100, measured.Scores.Examples)
}

func TestAFailedTrainingStillShowsItsLastLinesAndCurves(t *testing.T) {
	s := sound(t)
	s.trained = runner.Result{ExitCode: 1, Stdout: "epoch 1", Stderr: "error: boom\n"}
	s.runs[0]["status"] = "FAILED"
	result := s.fails(train.TrainFailed, "error: boom")
	assert.Equal(t, []string{"epoch 1", "error: boom"}, result.Stage.Problems[0].Details)
	var titles []string
	for _, b := range result.Stage.Blocks {
		titles = append(titles, b.Title)
	}
	assert.Contains(t, titles, "The training's last lines")
	assert.Contains(t, titles, "Training curves: loss")
}

func TestATrainingWithAnMLflowServerOfItsOwnIsToldWhereToLog(t *testing.T) {
	for said, want := range map[string]string{
		"mlflow.exceptions.MlflowException: API request to http://127.0.0.1:5000/api/2.0/mlflow/experiments/get-by-name failed with exception " +
			"HTTPConnectionPool(host='127.0.0.1', port=5000): Max retries exceeded with url: /api/2.0/mlflow/": "Let the code not choose http://127.0.0.1:5000 (",
		"ConnectionError: HTTPSConnectionPool(host='data.example.org', port=443): Max retries exceeded with url: /a.csv": "Put the data into the source",
	} {
		s := sound(t)
		s.trained = runner.Result{ExitCode: 1, Stderr: said + "\n"}
		result := s.fails(train.TrainFailed, "has no network")
		assert.Contains(t, result.Stage.Problems[0].Next, want)
	}
}

func TestManyClassesStayReadable(t *testing.T) {
	s := sound(t)
	var labels []string
	var truth []int
	for i := range 70 {
		labels = append(labels, strings.Repeat("very long event template ", 10)+string(rune('A'+i)))
		truth = append(truth, repeat(i, 70-i/2)...)
	}
	s.predict(object{"labels": labels, "y_true": truth, "y_pred": truth})
	s.logs("accuracy", 1)
	s.logs("baseline_accuracy", nil)
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	for _, b := range result.Stage.Blocks {
		if b.Heat != nil {
			require.Len(t, b.Heat.Labels, 26)
			assert.Equal(t, "others", b.Heat.Labels[25])
			total := 0
			for _, row := range b.Heat.Counts {
				for _, n := range row {
					total += n
				}
			}
			assert.Equal(t, len(truth), total, "no example is lost")
		}
		if b.Title == "Classes" {
			assert.Len(t, b.Table.Rows, 61)
		}
	}
}

func TestEveryCodeTellsWhatToDo(t *testing.T) {
	seen := map[string]bool{}
	for _, code := range train.Codes() {
		assert.False(t, seen[code.Name], code.Name)
		seen[code.Name] = true
		assert.NotEmpty(t, code.Meaning, code.Name)
		assert.NotEmpty(t, code.Remedy, code.Name)
		assert.Equal(t, verdict.Train, code.Stage, code.Name)
	}
}

// TestWhatATrainingWouldFailForIsToldBeforeIt: nothing trains for an hour to end in what was known.
func TestWhatATrainingWouldFailForIsToldBeforeIt(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(s *scene)
		code    string
		cause   string
		trained bool
	}{
		"no MLflow, no file":               {func(s *scene) { s.probed.ExitCode = 66 }, "RUN_MISSING", "no MLflow to log a run with; the training was not started", false},
		"MLflow by another package":        {nil, "", "", true},
		"a probe that breaks says nothing": {func(s *scene) { s.probed.ExitCode = 1 }, "", "", true},
		"a file of metrics": {func(s *scene) {
			s.input.Config.Train.Metrics, s.left["models/metrics.json"], s.probed.ExitCode = "models/metrics.json", `{"accuracy": 0.95}`, 66
		}, "", "", true},
		"an environment that cannot be made": {func(s *scene) {
			s.failure["look for MLflow"] = &runner.EnvironmentError{Command: []string{"uv"}, Output: "no such hash", Err: errors.New("exit 1")}
		}, "ENV_FAILED", "", false},
		"no script": {func(s *scene) { s.input.Config.Train.Command = []string{"python", "train.py"} }, "TRAIN_CONFIG_INVALID",
			"train.command starts train.py, which the source does not have", false},
		"a script that is left out": {func(s *scene) { s.input.Config.Train.Command = []string{"python", "tests/test_a.py"} }, "TRAIN_CONFIG_INVALID",
			"train.command starts tests/test_a.py, which the training does not see", false},
		"a module": {func(s *scene) { s.input.Config.Train.Command = []string{"python", "-m", "elsewhere"} }, "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := sound(t)
			s.input.Source = s.input.Source.With(".", fake.Files(map[string]string{
				"requirements/train.lock": "numpy==2.0 --hash=sha256:00",
			}))
			if c.change != nil {
				c.change(s)
			}
			r := s.run()
			assert.Equal(t, c.code, r.Stage.Code, r.Stage.Cause)
			assert.Contains(t, r.Stage.Cause, c.cause)
			assert.Equal(t, c.trained, slices.ContainsFunc(s.runner.Steps(), func(step runner.Step) bool { return step.Name == "train" }))
			if c.code == "ENV_FAILED" {
				assert.Contains(t, r.Stage.Next, "in requirements/train.lock, and lock it again: uv pip compile")
			}
			if c.code == "RUN_MISSING" {
				assert.Contains(t, r.Stage.Next, `as JSON, {"accuracy": 0.9}`)
			}
		})
	}
}

func TestATrainingWithoutMLflowIsToldHowToHandItsMetricsOver(t *testing.T) {
	for model, beside := range map[string]string{"": "models/metrics.json", "out/lstm_model.keras": "out/metrics.json",
		"out/*/lstm_*.keras": "out/metrics.json", "*.keras": "metrics.json"} {
		s := sound(t)
		delete(s.left, "mlflow.db")
		if model != "" {
			s.input.Config.Train.Model = model
			s.left[strings.NewReplacer("/*/", "/a/", "*", "lstm_model").Replace(model)] = s.left["models/lstm_model.keras"]
			delete(s.left, "models/lstm_model.keras")
		}
		r := s.run()
		problem := slices.IndexFunc(r.Stage.Problems, func(p verdict.Finding) bool { return p.Code == train.RunMissing.Name })
		require.GreaterOrEqual(t, problem, 0, model)
		assert.Contains(t, r.Stage.Problems[problem].Next, `as JSON, {"accuracy": 0.9}, and name the file: train.metrics: `+beside+" in")
	}
}
