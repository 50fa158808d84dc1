package native

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A command can stop its launcher, which then holds nothing to its time limit.
func TestALauncherThatIsStoppedIsHeldToItsLimit(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	require.NoError(t, cmd.Start())
	p := &process{cmd: cmd, done: make(chan struct{}), started: time.Now().UTC(), limit: 50 * time.Millisecond}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	result, err := p.wait(t.Context())
	require.NoError(t, err)
	assert.True(t, result.TimedOut)
	assert.Equal(t, 137, result.ExitCode)
	assert.Equal(t, 9, signalOf(p.err), "it is gone")
}
