package engine

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/internal/daggertest"
	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// What a step costs besides its own work is what the engine is asked: each query is a round trip,
// and a warm call is nothing else. A change that asks more often shows here, without a clock.
func TestTheEngineIsAskedAsOftenAsRecorded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	step := runner.Step{
		Name: "test", Args: []string{"python", "-m", "pytest"}, Outputs: []string{"report"},
		Env: runner.Environment{Python: "3.11", Install: [][]string{{"uv", "pip", "install", "-r", "test.lock"}}},
	}
	var text strings.Builder
	for _, scenario := range []struct {
		name string
		run  func(ctx context.Context, r *Runner) error
	}{
		{"a step with an environment and an output", func(ctx context.Context, r *Runner) error {
			step := step
			step.Inputs = []runner.Mount{{Path: ".", Files: r.Source(r.Client().Directory())}}
			_, err := r.Run(ctx, step)
			return err
		}},
		{"two steps in one environment", func(ctx context.Context, r *Runner) error {
			for _, args := range [][]string{{"python", "-m", "pytest"}, {"python", "main.py"}} {
				step := step
				step.Args = args
				if _, err := r.Run(ctx, step); err != nil {
					return err
				}
			}
			return nil
		}},
		{"the same step again", func(ctx context.Context, r *Runner) error {
			for range 2 {
				if _, err := r.Run(ctx, step); err != nil {
					return err
				}
			}
			return nil
		}},
		{"a service, started and stopped", func(ctx context.Context, r *Runner) error {
			running, err := r.Start(ctx, runner.Service{Name: "mlflow", Env: step.Env, Args: []string{"serve"}, Port: 5000, Ready: "/health"})
			if err != nil {
				return err
			}
			return running.Stop(ctx)
		}},
	} {
		e, r := newRunner(t, passed)
		e.Answer("endpoint", strings.TrimPrefix(server.URL, "http://"))
		require.NoError(t, scenario.run(t.Context(), r), scenario.name)
		text.WriteString(scenario.name + ": " + e.Counts())
	}
	daggertest.Golden(t, "testdata/counts.txt", text.String())
}
