package train_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TestWhatAnEarlierTrainingLeft is judged as if it had been left here, and nothing is trained.
func TestWhatAnEarlierTrainingLeft(t *testing.T) {
	first := sound(t)
	trained := first.run()
	require.Equal(t, verdict.Pass, trained.Stage.Verdict, trained.Stage.Cause)
	require.NotNil(t, trained.Left)

	s := sound(t)
	left := map[string]string{"main.py": "evil()"} // the source stays that of this run
	for name, content := range s.left {
		left[name] = content
	}
	s.input.Left = fake.Files(left)
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	for _, step := range s.runner.Steps() {
		assert.NotEqual(t, "train", step.Name)
	}
	assert.Equal(t, trained.Model.SHA256, result.Model.SHA256)
	assert.Equal(t, trained.Model.Metrics, result.Model.Metrics)
	assert.Equal(t, trained.Model.Golden, result.Model.Golden)
	names, err := result.Left.List(t.Context())
	require.NoError(t, err)
	assert.NotContains(t, names, "main.py")
	assert.Contains(t, names, "mlflow.db")
	assert.Equal(t, "training", result.Stage.Evidence[0].Name)

	s = sound(t)
	s.left["models/lstm_model.keras"] = "no model"
	s.input.Left = fake.Files(s.left)
	assert.Equal(t, verdict.Fail, s.run().Stage.Verdict, "it is judged here")

	s = sound(t)
	s.input.Left = fake.Files(map[string]string{"main.py": ""})
	nothing := s.run()
	assert.Equal(t, train.LeftNothing.Name, nothing.Stage.Code)
	assert.Nil(t, nothing.Left)
}
