package native

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

func TestAServiceThatIsNotToldAPortHasItsOwn(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", loopback+":0")
	require.NoError(t, err)
	own := listener.Addr().(*net.TCPAddr).Port
	fixed := runner.Service{Args: []string{"python", "app.py"}, Port: own}
	port := func(r *Runner, service runner.Service) int {
		port, err := r.portFor(t.Context(), service)
		require.NoError(t, err)
		return port
	}
	r := &Runner{ports: map[int]bool{}}
	assert.NotEqual(t, own, port(r, fixed), "another process has it")
	require.NoError(t, listener.Close())
	assert.NotEqual(t, own, port(r, runner.Service{Args: []string{"--port={{port}}"}, Port: own}))
	assert.NotEqual(t, own, port(r, runner.Service{Vars: map[string]string{"PORT": "{{port}}"}, Port: own}))
	assert.Equal(t, own, port(r, fixed))
	assert.NotEqual(t, own, port(r, fixed), "another service has it")
}
