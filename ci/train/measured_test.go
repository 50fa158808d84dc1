package train_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// shown is the text of a stage's evidence and blocks.
func shown(t *testing.T, result *train.Result) string {
	t.Helper()
	content, err := json.Marshal(result.Stage)
	require.NoError(t, err)
	return string(content) + fmt.Sprintf("%+v", result.Stage.Blocks)
}

func TestAHandfulOfExamplesIsAWarning(t *testing.T) {
	s := sound(t)
	s.predict(two(1, 0, 0, 1))
	s.logs("accuracy", 1.0)
	s.logs("baseline_accuracy", 0.5)
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	require.Len(t, result.Stage.Warnings, 1)
	assert.Equal(t, train.FewExamples.Name, result.Stage.Warnings[0].Code)
	assert.Equal(t, "the held-out set has 2 examples, train.min_examples is 50", result.Stage.Warnings[0].Cause)
	s.input.Config.Train.MinExamples = 2
	assert.Empty(t, s.run().Stage.Warnings)
}

func TestATrainingWithoutAGateIsTold(t *testing.T) {
	zero, one, half, most, hardly, beyond := 0.0, 1.0, 0.5, 0.9, 1e-9, 1e300
	for name, c := range map[string]struct {
		gates  []config.Gate
		margin float64
		gated  bool
	}{
		"none":                    {nil, 0, false},
		"a bound that holds":      {[]config.Gate{{Metric: "accuracy", Min: &zero, Max: &one}}, 0, false},
		"an alert alone":          {[]config.Gate{{Metric: "accuracy", AlertBelow: &half}}, 0, false},
		"a margin":                {nil, 0.05, true},
		"a minimum":               {[]config.Gate{{Metric: "accuracy", Min: &most}}, 0, true},
		"what guessing meets":     {[]config.Gate{{Metric: "accuracy", Min: &half}}, 0, false},
		"next to nothing":         {[]config.Gate{{Metric: "accuracy", Min: &hardly}}, 0, false},
		"any loss":                {[]config.Gate{{Metric: "loss", Min: &zero}, {Metric: "reward", Max: &beyond}}, 0, false},
		"a minimum of no share":   {[]config.Gate{{Metric: "reward", Min: &zero}}, 0, true},
		"a maximum":               {[]config.Gate{{Metric: "loss", Max: &one}}, 0, true},
		"a maximum of a fraction": {[]config.Gate{{Metric: "test_recall", Max: &one}}, 0, false},
	} {
		s := sound(t)
		s.input.Config.Train.Gates, s.input.Config.Train.BaselineMargin = c.gates, c.margin
		s.logs("reward", 1.0)
		s.logs("loss", 0.5)
		s.logs("test_recall", 0.5)
		result := s.run()
		require.Equal(t, verdict.Pass, result.Stage.Verdict, "%s: %s", name, result.Stage.Cause)
		warned := slices.ContainsFunc(result.Stage.Warnings, func(w verdict.Finding) bool { return w.Code == verdict.CodeGatesNone.Name })
		assert.Equal(t, c.gated, !warned, name)
		assert.Equal(t, c.gated, !result.Model.Ungated, name)
	}
	s := sound(t)
	s.input.Config.Train.Gates = nil
	delete(s.left, "models/predictions.json")
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	assert.True(t, result.Model.Ungated, "the margin over guessing needs predictions")
}

func TestAMissingMetricNamesWhatMayBeMeant(t *testing.T) {
	for name, c := range map[string]struct {
		gate   string
		logged []string
		want   string
	}{
		"keras":          {"accuracy", []string{"acc", "loss"}, "did you mean acc?"},
		"validation":     {"accuracy", []string{"val_accuracy", "val_loss"}, "did you mean val_accuracy?"},
		"unseen first":   {"accuracy", []string{"val_accuracy", "test_accuracy"}, "did you mean test_accuracy or val_accuracy?"},
		"a path":         {"accuracy", []string{"eval/Accuracy"}, "did you mean eval/Accuracy?"},
		"scikit-learn":   {"accuracy", []string{"accuracy_score", "f1_score"}, "did you mean accuracy_score?"},
		"the other way":  {"val_accuracy", []string{"accuracy"}, "did you mean accuracy?"},
		"long and short": {"f1", []string{"f1_macro", "recall"}, "did you mean f1_macro?"},
		"a typing error": {"accurac", []string{"accuracy", "loss"}, "did you mean accuracy?"},
		"case":           {"AUC", []string{"auroc"}, "did you mean auroc?"},
		"no other thing": {"accuracy", []string{"baseline_accuracy", "loss"}, "it has baseline_accuracy, loss"},
		"nothing":        {"accuracy", nil, "it has none"},
	} {
		s := sound(t)
		s.input.Config.Train.Gates = []config.Gate{{Metric: c.gate, Min: new(float64)}}
		s.runs[0]["metrics"] = object{}
		for _, logged := range c.logged {
			s.logs(logged, 0.9)
		}
		result := s.fails(train.MetricsMissing, c.want)
		for _, logged := range c.logged {
			assert.Contains(t, result.Stage.Problems[0].Details, logged, name)
		}
	}
	// None of many names is cut, and the details have all.
	s := sound(t)
	s.runs[0]["metrics"] = object{}
	for n := range 60 {
		s.logs(fmt.Sprintf("a_rather_long_name_of_a_metric_%02d", n), 1.0)
	}
	result := s.fails(train.MetricsMissing, "a_rather_long_name_of_a_metric_11 and 48 more")
	assert.Len(t, result.Stage.Problems[0].Details, 61)
}

func TestAChampionThatNobodyMayAskForIsTold(t *testing.T) {
	s := sound(t)
	s.input.FindChampion = func(context.Context) (train.Incumbent, *verdict.Problem) {
		return train.Incumbent{NotAsked: "a pull request has no credentials"}, nil
	}
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	require.Len(t, result.Stage.Warnings, 1)
	assert.Equal(t, train.NotCompared.Name, result.Stage.Warnings[0].Code)
	assert.Contains(t, shown(t, result), "not asked for: a pull request has no credentials")
}

func TestATrainingThatLeftAnotherModelNamesIt(t *testing.T) {
	s := sound(t)
	s.left["models/forest.joblib"], s.left["models/net.pt"] = "\x80\x04", "PK"
	delete(s.left, "models/lstm_model.keras")
	result := s.fails(train.NoModel, "what looks like a model: models/forest.joblib, models/net.pt")
	assert.Contains(t, result.Stage.Next, "models/forest.joblib")

	// The next try's message leads on.
	s.input.Config.Train.Model = "models/forest.joblib"
	result = s.fails(modelfile.FormatRefused, "a Python pickle by joblib")
	assert.Contains(t, result.Stage.Next, "train.allow_formats: [pickle] and train.recurrent: false")
	s.input.Config.Train.AllowFormats, s.input.Config.Train.Recurrent = []string{"pickle"}, false
	s.runs[0]["tags"].(object)["model_sha256"] = hash("\x80\x04")
	result = s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	assert.Equal(t, "pickle", result.Model.Unseen)
}
