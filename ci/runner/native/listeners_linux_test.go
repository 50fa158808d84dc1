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

	// Whoever waits for it may know that it is in vain.
	begun, asked := time.Now(), 0
	_, err := r.Start(t.Context(), runner.Service{Name: "web", Env: runner.Environment{Python: "3.11"}, Args: []string{"python", "-I", "listen", "{{bind}}:0"},
		StartTimeout: time.Minute, Waiting: func(sockets string, port int) bool {
			asked++
			assert.NotContains(t, sockets, fmt.Sprintf(":%04X ", port))
			return strings.Contains(sockets, " 0100007F:")
		}})
	var hopeless *runner.StartError
	require.ErrorAs(t, err, &hopeless)
	assert.True(t, hopeless.Alive)
	assert.Contains(t, hopeless.Sockets, " 0100007F:")
	assert.Less(t, time.Since(begun), 30*time.Second)
	assert.Positive(t, asked)

	silent := start("sh", "-c", "exec sleep 60")
	assert.True(t, silent.Alive)
	assert.Empty(t, silent.Sockets)

	assert.False(t, start("sh", "-c", "exit 3").Alive)
}
