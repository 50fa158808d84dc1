package imagestage_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// cut runs a command behind the fence, with this host's Python.
func cut(t *testing.T, command ...string) (out, outside string, code int) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on this machine")
	}
	file := filepath.Join(t.TempDir(), "outside")
	ran := exec.CommandContext(t.Context(), python, append([]string{"-I", "../../ci/image/scripts/cut.py", file}, command...)...)
	printed, err := ran.CombinedOutput()
	if err != nil {
		require.IsType(t, &exec.ExitError{}, err)
	}
	tried, err := os.ReadFile(file)
	require.NoError(t, err)
	if strings.HasPrefix(string(tried), "not cut: ") {
		t.Skip("this kernel does not let the filter in: " + string(tried))
	}
	return string(printed), string(tried), ran.ProcessState.ExitCode()
}

// 192.0.2.0/24 and 2001:db8::/32 are for documentation: nobody answers there.
const knocks = `
import socket
def knock(name, act):
    try:
        act()
        print(name, "reached")
    except OSError as error:
        print(name, error.errno)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
knock("tcp", lambda: socket.create_connection(("192.0.2.7", 443), 2))
knock("udp", lambda: udp.sendto(b"x", ("192.0.2.8", 53)))
knock("tcp6", lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 80, 0, 0)))
knock("mapped", lambda: socket.socket(socket.AF_INET6).connect(("::ffff:192.0.2.9", 80, 0, 0)))
server = socket.create_server(("127.0.0.1", 0))
knock("local", lambda: socket.create_connection(server.getsockname(), 2))
pair = socket.socketpair()
pair[0].send(b"between processes")
knock("unix", lambda: pair[1].recv(5))
raise SystemExit(7)
`

func TestWhatLeavesTheHostIsRefusedAndNoted(t *testing.T) {
	out, outside, code := cut(t, "python3", "-c", knocks)
	assert.Equal(t, "tcp 101\nudp 101\ntcp6 101\nmapped 101\nlocal reached\nunix reached\n", out)
	assert.Equal(t, []string{"192.0.2.7:443", "192.0.2.8:53", "2001:db8::1:80", "192.0.2.9:80"}, strings.Fields(outside))
	assert.Equal(t, 7, code, "the command's own")
}

func TestTheFenceEndsAsItsCommandDoes(t *testing.T) {
	for want, command := range map[int][]string{0: {"true"}, 3: {"sh", "-c", "exit 3"}, 137: {"sh", "-c", "kill -9 $$"}, 127: {"no-such-program"}} {
		_, outside, code := cut(t, command...)
		assert.Equal(t, want, code, "%v", command)
		assert.Empty(t, outside)
	}
	_, outside, _ := cut(t, "sh", "-c", `python3 -c 'import socket; socket.socket().connect(("192.0.2.7", 1))' 2>/dev/null`)
	assert.Equal(t, "192.0.2.7:1\n", outside, "its children are behind it too")
}
