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
