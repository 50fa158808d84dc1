package fake_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

func step(outputs ...string) runner.Step {
	return runner.Step{
		Name:    "pytest",
		Args:    []string{"python", "-m", "pytest"},
		Inputs:  []runner.Mount{{Path: ".", Files: fake.Files(map[string]string{"a.py": "a"})}, {Path: "data", Files: fake.Files(map[string]string{"b.csv": "b"})}},
		Outputs: outputs,
	}
}

func TestRunAnswersWithTheDeclaredOutputsOnly(t *testing.T) {
	r := fake.New().OnRun(fake.Answer(3, map[string]string{"report/junit.xml": "<x/>", "odd [1].txt": "1", "other": "no"}))

	result, err := r.Run(t.Context(), step("report", "odd [1].txt", "missing"))

	require.NoError(t, err)
	assert.Equal(t, 3, result.ExitCode)
	assert.False(t, result.Started.IsZero())
	names, err := result.Outputs.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"odd [1].txt", "report/junit.xml"}, names)
	inputs, err := r.Inputs(t.Context(), 0)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a.py": "a", "data/b.csv": "b"}, inputs)
}

func TestRunWithoutDeclaredOutputsHandsBackNone(t *testing.T) {
	r := fake.New().OnRun(fake.Answer(0, map[string]string{"x": "1"}))
	result, err := r.Run(t.Context(), step())
	require.NoError(t, err)
	names, err := result.Outputs.List(t.Context())
	require.NoError(t, err)
	assert.Empty(t, names)
}

func TestAnswersAreAQueueWhoseLastStays(t *testing.T) {
	r := fake.New().OnRun(fake.Answer(1, nil)).OnRun(fake.Answer(0, nil))
	var codes []int
	for range 3 {
		result, err := r.Run(t.Context(), step())
		require.NoError(t, err)
		codes = append(codes, result.ExitCode)
	}
	assert.Equal(t, []int{1, 0, 0}, codes)
	assert.Len(t, r.Steps(), 3)
}

func TestRunRefusesWhatARealRunnerRefuses(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("no interpreter")
	cases := map[string]struct {
		runner *fake.Runner
		ctx    context.Context
		step   runner.Step
		want   string
	}{
		"a cancelled context":        {fake.New().OnRun(fake.Answer(0, nil)), cancelled, step(), "context canceled"},
		"a step without a command":   {fake.New().OnRun(fake.Answer(0, nil)), t.Context(), runner.Step{Name: "x"}, "no command"},
		"a step nobody scripted":     {fake.New(), t.Context(), step(), "scripted no answer"},
		"an answer without a result": {fake.New().OnRun(func(runner.Step) (*runner.Result, error) { return nil, nil }), t.Context(), step(), "neither a result nor an error"},
		"an answer that is an error": {fake.New().OnRun(fake.Fail(broken)), t.Context(), step(), "no interpreter"},
		"a broken input": {fake.New().OnRun(fake.Answer(0, nil)), t.Context(),
			runner.Step{Name: "x", Args: []string{"x"}, Inputs: []runner.Mount{{Path: ".", Files: fake.Files(map[string]string{"../a": ""})}}}, "not relative"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			result, err := c.runner.Run(c.ctx, c.step)
			require.ErrorContains(t, err, c.want)
			assert.Nil(t, result)
		})
	}
}

func TestServicesStartAndCountTheirStops(t *testing.T) {
	r := fake.New().As("engine")
	assert.Equal(t, "engine", r.Name())
	running, err := r.Start(t.Context(), runner.Service{Name: "mlflow"})
	require.NoError(t, err)
	assert.Equal(t, "mlflow", running.Name)
	assert.Equal(t, running.Address, running.Inside)
	assert.Empty(t, running.Logs())
	require.NoError(t, running.Stop(t.Context()))
	assert.Equal(t, 1, r.Stopped("mlflow"))
	assert.Len(t, r.Services(), 1)
}

func TestScriptedServices(t *testing.T) {
	stopErr := errors.New("stuck")
	r := fake.New().OnStart(func(s runner.Service) (*runner.Running, error) {
		switch s.Name {
		case "dies":
			return nil, &runner.StartError{Service: s.Name, Logs: "boom", Err: errors.New("exit code 1")}
		case "forgotten":
			return nil, nil
		}
		return &runner.Running{Address: "127.0.0.1:5000", Stop: func(context.Context) error { return stopErr }}, nil
	})
	running, err := r.Start(t.Context(), runner.Service{Name: "s3"})
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1:5000", running.Inside)
	require.ErrorIs(t, running.Stop(t.Context()), stopErr)

	var start *runner.StartError
	_, err = r.Start(t.Context(), runner.Service{Name: "dies"})
	require.ErrorAs(t, err, &start)
	assert.Equal(t, "boom", start.Logs)
	_, err = r.Start(t.Context(), runner.Service{Name: "forgotten"})
	require.ErrorContains(t, err, "neither a service nor an error")

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Start(cancelled, runner.Service{Name: "s3"})
	require.ErrorIs(t, err, context.Canceled)
}

func TestSecretAndFiles(t *testing.T) {
	value, err := fake.Secret("token", "v").Plaintext(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "v", value)
	assert.Equal(t, "token", fake.Secret("token", "v").Name())
	names, err := fake.New().NewFiles(map[string][]byte{"a": nil}).With("b", fake.Dir(t.TempDir())).List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, names)
}
