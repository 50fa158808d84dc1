package train_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// twice is a sound training that is done twice; the second gives another model and
// the metrics of the file.
func twice(t *testing.T, metrics string) *scene {
	s := sound(t)
	s.input.Twice = true
	s.input.Config.Train.Metrics = "models/metrics.json"
	s.left["models/metrics.json"] = `{"accuracy":0.95,"loss":0.5,"training_seconds":30}`
	s.again = maps.Clone(s.left)
	s.again["models/lstm_model.keras"] = kerasModel("3.13.2", "Embedding", "LSTM", "Dropout", "Dense")
	s.again["models/metrics.json"] = metrics
	delete(s.runs[0]["tags"].(object), "model_sha256")
	return s
}

func TestTheSameModelTwice(t *testing.T) {
	s := sound(t)
	s.input.Twice, s.input.Config.Train.Deterministic = true, true
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	require.NotNil(t, result.Candidate.Second)
	assert.True(t, result.Candidate.Second.Same)
	assert.Equal(t, result.Model.SHA256, result.Candidate.Second.SHA256)
	assert.Empty(t, result.Stage.Warnings)
	var fresh []string
	for _, step := range s.runner.Steps() {
		if step.Name == "train" || step.Name == "train again" {
			fresh = append(fresh, step.Fresh)
			assert.Equal(t, "1", step.Vars["TF_DETERMINISTIC_OPS"])
		}
	}
	require.Len(t, fresh, 2)
	assert.NotEqual(t, fresh[0], fresh[1], "the second one is no answer from the cache")
}

func TestATrainingOnAGPU(t *testing.T) {
	s := sound(t)
	s.input.Config.Train.GPU, s.input.Config.Train.Deterministic = true, true
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	for _, step := range s.runner.Steps() {
		assert.Equal(t, step.Name == "train", step.GPU, "%s: serving has none either", step.Name)
		assert.Equal(t, ":4096:8", step.Vars["CUBLAS_WORKSPACE_CONFIG"])
	}

	s = sound(t)
	s.input.Config.Train.GPU = true
	s.failure["train"] = verdict.Problemf(runner.CodeGPUMissing, "this machine has none")
	result = s.run()
	assert.Equal(t, verdict.CouldNotRun, result.Stage.Verdict)
	assert.Equal(t, "GPU_MISSING", result.Stage.Code)
	assert.Nil(t, result.Model)
}

func TestAnotherModelTheSecondTime(t *testing.T) {
	const moved = `{"accuracy":0.93,"loss":0.75,"training_seconds":31}`
	t.Run("fails where determinism is declared", func(t *testing.T) {
		s := twice(t, moved)
		s.input.Config.Train.Deterministic = true
		result := s.fails(train.NotReproducible, "loss moved from 0.5 to 0.75 (+0.25), accuracy moved from 0.95 to 0.93 (-0.02)")
		assert.NotContains(t, result.Stage.Cause, "training_seconds")
		assert.Equal(t, []train.Moved{{Metric: "loss", First: 0.5, Second: 0.75}, {Metric: "accuracy", First: 0.95, Second: 0.93}}, result.Candidate.Second.Moved)
	})
	t.Run("is a warning otherwise", func(t *testing.T) {
		result := twice(t, moved).run()
		require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
		require.Len(t, result.Stage.Warnings, 1)
		assert.Equal(t, train.Differs.Name, result.Stage.Warnings[0].Code)
		assert.Contains(t, result.Stage.Warnings[0].Cause, "accuracy moved")
	})
	t.Run("may score the same", func(t *testing.T) {
		result := twice(t, `{"accuracy":0.95,"loss":0.5,"training_seconds":29}`).run()
		require.Len(t, result.Stage.Warnings, 1)
		assert.Contains(t, result.Stage.Warnings[0].Cause, "no metric moved")
	})
}

func TestASecondTrainingThatFails(t *testing.T) {
	t.Run("to run", func(t *testing.T) {
		s := twice(t, "{}")
		s.failure["train again"] = errors.New("gone")
		s.fails(train.RunnerFailed, "gone")
	})
	t.Run("to leave a model", func(t *testing.T) {
		s := twice(t, "{}")
		delete(s.again, "models/lstm_model.keras")
		s.fails(train.NoModel, "left no file")
	})
	t.Run("to leave metrics", func(t *testing.T) {
		s := twice(t, "{")
		s.fails(train.MetricsMalformed, "metrics.json")
	})
	t.Run("is not begun after a first that did not pass", func(t *testing.T) {
		s := twice(t, "{}")
		s.left["models/metrics.json"] = `{"accuracy":0.1}`
		assert.NotEqual(t, verdict.Pass, s.run().Stage.Verdict)
		for _, step := range s.runner.Steps() {
			assert.NotEqual(t, "train again", step.Name)
		}
	})
}

func TestNoStepReachesTheNetworkUnlessTheContractSaysSo(t *testing.T) {
	s := sound(t)
	require.Equal(t, verdict.Pass, s.run().Stage.Verdict)
	for _, step := range s.runner.Steps() {
		assert.True(t, step.Offline, step.Name)
	}
	s.input.Config.Train.Network = true
	require.Equal(t, verdict.Pass, s.run().Stage.Verdict)
	for _, step := range s.runner.Steps() {
		assert.Equal(t, step.Name != "train", step.Offline, step.Name)
	}
	t.Run("and a machine that cannot see to it is named, once", func(t *testing.T) {
		s := sound(t)
		s.trained, s.scored = runner.Result{NetworkOpen: true}, runner.Result{NetworkOpen: true}
		result := s.run()
		require.Len(t, result.Stage.Warnings, 1)
		assert.Equal(t, train.NetworkOpen.Name, result.Stage.Warnings[0].Code)
	})
}

func TestAFormatThatTheContractAllowsByName(t *testing.T) {
	s := sound(t)
	delete(s.left, "models/lstm_model.keras")
	s.left["models/m.h5"] = "\x89HDF\r\n\x1a\n"
	delete(s.runs[0]["tags"].(object), "model_sha256")
	cfg := &s.input.Config.Train
	cfg.Model, cfg.AllowFormats, cfg.Recurrent = "models/*.h5", []string{"h5"}, false
	result := s.run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	assert.Equal(t, "h5", result.Model.Unseen)
	require.Len(t, result.Stage.Warnings, 1)
	assert.Equal(t, train.NotInspected.Name, result.Stage.Warnings[0].Code)
	for _, step := range s.runner.Steps() {
		assert.True(t, step.Offline, step.Name)
		assert.Empty(t, step.Secrets, "no credentials are in reach of what loads it")
		assert.Empty(t, step.Services)
	}
	t.Run("is refused where an LSTM is asked for", func(t *testing.T) {
		cfg.Recurrent = true
		s.fails(kerasfile.WrongArch, "nothing here can see")
		for _, step := range s.runner.Steps() {
			assert.NotEqual(t, "score golden sample", step.Name, "what is refused is not loaded")
		}
	})
}

// Keras writes another date and other addresses with each saving.
func TestDatesAndAddressesMakeNoOtherModel(t *testing.T) {
	archive := func(date, address, units, weights string) string {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, e := range [][2]string{
			{"metadata.json", `{"keras_version":"3.15.1","date_saved":"` + date + `"}`},
			{"config.json", `{"module":"keras","class_name":"Sequential","registered_name":null,"config":{"layers":[{"module":"keras.layers","class_name":"LSTM",
				"registered_name":null,"config":{"units":` + units + `,"dtype":{"module":"keras","class_name":"DTypePolicy","config":{},"registered_name":null,"shared_object_id":` + address + `}}}]}}`},
			{"model.weights.h5", "\x89HDF\r\n\x1a\n" + weights},
		} {
			f, err := w.CreateHeader(&zip.FileHeader{Name: e[0], Method: zip.Store})
			require.NoError(t, err)
			_, err = f.Write([]byte(e[1]))
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		return b.String()
	}
	again := func(second string) *scene {
		s := twice(t, `{"accuracy":0.95,"loss":0.5,"training_seconds":29}`)
		s.input.Config.Train.Deterministic = true
		s.left["models/lstm_model.keras"] = archive("2026-01-01@00:00:00", "139731", "8", "w")
		s.again["models/lstm_model.keras"] = second
		return s
	}
	result := again(archive("2026-01-01@00:05:00", "140022", "8", "w")).run()
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	assert.False(t, result.Candidate.Second.Same)
	assert.True(t, result.Candidate.Second.Equal)
	assert.Empty(t, result.Stage.Warnings)
	again(archive("2026-01-01@00:00:00", "139731", "8", "v")).fails(train.NotReproducible, "the second model is")
	again(archive("2026-01-01@00:00:00", "139731", "9", "w")).fails(train.NotReproducible, "the second model is")
}
