package train_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestAPublishedModelIsLoadedWhereNothingElseOfItsTrainingIs(t *testing.T) {
	input := func() train.Input {
		cfg := config.Default()
		cfg.Train.ScoreCommand = []string{"python", "main.py", "--mode", "score"}
		return train.Input{Config: cfg, Source: fake.Files(map[string]string{"main.py": "", "requirements.txt": "a==1 --hash=sha256:00"})}
	}
	artifact := &model.Artifact{Format: "keras", File: "m.keras", Golden: "golden.json",
		Paths: map[string]string{"m.keras": "models/m.keras", "golden.json": "models/golden.json", "vocabulary.txt": "data/vocabulary.txt"}}
	files := fake.Files(map[string]string{"m.keras": "weights", "golden.json": "{}", "vocabulary.txt": "a"})
	cases := map[string]struct {
		change  func(*train.Input)
		result  runner.Result
		err     error
		command string
		outcome string
		ok      bool
		loaded  bool
	}{
		"the golden sample scores":      {result: runner.Result{}, command: "main.py", outcome: "golden sample scores as trained", ok: true, loaded: true},
		"the golden sample differs":     {result: runner.Result{ExitCode: 1, Stderr: "error: 0.3 is not 0.7"}, command: "main.py", outcome: "0.3 is not 0.7", loaded: true},
		"scoring does not end":          {result: runner.Result{ExitCode: 137, TimedOut: true}, command: "main.py", outcome: "time limit", loaded: true},
		"an exit code of the app's own": {result: runner.Result{ExitCode: 77}, command: "main.py", outcome: "exit code 77", loaded: true},
		"no score command, with Keras": {change: func(in *train.Input) { in.Config.Train.ScoreCommand = nil },
			result:  runner.Result{Stdout: "loaded m.keras with tf-keras 2.21.0: Sequential\n"},
			command: "pipeline-load/load_model.py", outcome: "golden sample scores as trained", ok: true, loaded: true},
		"nothing to score": {change: func(in *train.Input) { in.Config.Train.ScoreCommand, in.Config.Train.Golden = nil, "" },
			result:  runner.Result{Stdout: "loaded m.keras with tf-keras 2.21.0: Sequential\n"},
			command: "pipeline-load/load_model.py", outcome: "with tf-keras 2.21.0: Sequential, without", ok: true, loaded: true},
		"no score command, without Keras": {change: func(in *train.Input) { in.Config.Train.ScoreCommand = nil }, result: runner.Result{ExitCode: 77},
			command: "pipeline-load/load_model.py", outcome: "neither", ok: true},
		"a model that Keras refuses": {change: func(in *train.Input) { in.Config.Train.ScoreCommand = nil }, result: runner.Result{ExitCode: 1, Stderr: "ValueError: not a model"},
			command: "pipeline-load/load_model.py", outcome: "not a model", loaded: true},
		"an environment that cannot be made": {err: &runner.EnvironmentError{Command: []string{"uv"}, Err: errors.New("exit 1")}, command: "main.py"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := fake.New()
			r.OnRun(func(runner.Step) (*runner.Result, error) { return &c.result, c.err })
			in := input()
			if c.change != nil {
				c.change(&in)
			}
			found, err := train.Rescore(t.Context(), r, in, artifact, files, "model/7")
			require.Len(t, r.Steps(), 1)
			step := r.Steps()[0]
			assert.Equal(t, c.command, step.Args[1])
			assert.Empty(t, step.Secrets)
			assert.Contains(t, step.Fresh, "model/7")
			seen, inputsErr := r.Inputs(t.Context(), 0)
			require.NoError(t, inputsErr)
			assert.Equal(t, "weights", seen["models/m.keras"])
			assert.Equal(t, "a", seen["data/vocabulary.txt"])
			assert.NotContains(t, seen, "mlflow.db")
			if c.err != nil {
				var problem *verdict.Problem
				require.ErrorAs(t, err, &problem)
				assert.Equal(t, train.EnvFailed.Name, problem.Code.Name)
				return
			}
			require.NoError(t, err)
			assert.Contains(t, found.Outcome, c.outcome)
			assert.Equal(t, c.ok, found.OK)
			assert.Equal(t, c.loaded, found.Loaded)
		})
	}
	in := input()
	in.Source = fake.Files(map[string]string{"main.py": ""})
	_, err := train.Rescore(t.Context(), fake.New(), in, artifact, files, "model/7")
	require.ErrorContains(t, err, "REQUIREMENTS_MISSING")
}
