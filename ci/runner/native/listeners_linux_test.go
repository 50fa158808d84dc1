package native_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// A service that listens elsewhere is not one that crashed, and where it listens is known.
func TestWhereAServiceListensInsteadIsKnown(t *testing.T) {
	r := open(t, options(t))
	start := func(args ...string) *runner.StartError {
		_, err := r.Start(t.Context(), runner.Service{Name: "web", Env: runner.Environment{Python: "3.11"}, Args: args, StartTimeout: 2 * time.Second})
		var failed *runner.StartError
		require.ErrorAs(t, err, &failed)
		return failed
	}
	elsewhere := start("python", "-I", "listen", "{{bind}}:0")
	assert.True(t, elsewhere.Alive)
	assert.Contains(t, elsewhere.Sockets, " 0100007F:")
	assert.NotContains(t, elsewhere.Sockets, fmt.Sprintf(":%04X ", elsewhere.Port))
	assert.Equal(t, 1, strings.Count(elsewhere.Sockets, "\n"), "sockets of other processes are not among them")

	silent := start("sh", "-c", "exec sleep 60")
	assert.True(t, silent.Alive)
	assert.Empty(t, silent.Sockets)

	assert.False(t, start("sh", "-c", "exit 3").Alive)
}
