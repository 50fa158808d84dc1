package runner_test

import (
	"context"
	"os"
	"testing"

	"dagger.io/dagger"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/conformance"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

func TestTheEngineRunnerKeepsThePromises(t *testing.T) {
	reachable.Engine(t)
	client, err := dagger.Connect(t.Context(), dagger.WithLogOutput(os.Stderr))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	conformance.Suite(t, func(t *testing.T) runner.Runner {
		r := engine.New(client, engine.Options{Tunnel: true})
		t.Cleanup(func() { require.NoError(t, r.Close(context.Background())) })
		return r
	}, conformance.Options{
		Packages: true,
		Source: func(_ *testing.T, dir string) runner.Files {
			return engine.New(client, engine.Options{}).Source(client.Host().Directory(dir))
		},
	})
}

func TestTheEngineInstallsPackagesOfDebian(t *testing.T) {
	reachable.Engine(t)
	client, err := dagger.Connect(t.Context(), dagger.WithLogOutput(os.Stderr))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	r := engine.New(client, engine.Options{})
	t.Cleanup(func() { require.NoError(t, r.Close(context.Background())) })
	step := runner.Step{Name: "load", Env: runner.Environment{Python: "3.11"},
		Args: []string{"python", "-c", "import ctypes; ctypes.CDLL('libgomp.so.1')"}}
	for sentence, c := range map[string]struct {
		system []string
		code   int
	}{"without it": {nil, 1}, "with it": {[]string{"libgomp1"}, 0}} {
		step.Env.System = c.system
		result, err := r.Run(t.Context(), step)
		require.NoError(t, err, sentence)
		require.Equal(t, c.code, result.ExitCode, "%s: %s", sentence, result.Stderr)
	}
	step.Env.System = []string{"no-such-package"}
	_, err = r.Run(t.Context(), step)
	var failed *runner.EnvironmentError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "apt-get", failed.Command[0])
	require.Contains(t, failed.Output, "no-such-package")
}
