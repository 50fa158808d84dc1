package imagestage_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhoAnswersElsewhereIsFound runs the program that does it beside an application. This machine has other sockets, so
// each case asks for a path that only its own server has.
func TestWhoAnswersElsewhereIsFound(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on this machine")
	}
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		t.Skip("this system has no table of sockets to read")
	}
	for sentence, c := range map[string]struct {
		at, told string
		own      bool
		status   int
		found    bool
		ends     bool
		// all answers every path like that.
		all bool
	}{
		"on another port":                       {at: "0.0.0.0", told: "untold", status: 200, found: true, ends: true},
		"on another port of IPv6":               {at: "[::]", told: "untold", status: 204, found: true, ends: true},
		"where nobody comes from outside":       {at: "127.0.0.1", told: "told", own: true, status: 200, found: true, ends: true},
		"metrics first, and the port was given": {at: "0.0.0.0", told: "told", status: 200},
		"metrics first, at every path":          {at: "0.0.0.0", told: "untold", status: 200, all: true},
		"it listens and is not healthy":         {at: "0.0.0.0", told: "untold", status: 503},
		"where it should":                       {at: "0.0.0.0", told: "untold", own: true, status: 503, ends: true},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", c.at+":0")
			if err != nil && c.at == "[::]" {
				t.Skip("no IPv6 on this machine")
			}
			require.NoError(t, err)
			path := "/only-" + strconv.FormatInt(time.Now().UnixNano(), 36)
			server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(map[bool]int{true: c.status, false: http.StatusNotFound}[c.all || r.URL.Path == path])
			})}
			go func() { _ = server.Serve(listener) }()
			defer func() { _ = server.Close() }()
			port := listener.Addr().(*net.TCPAddr).Port
			if !c.own {
				port = 1 // nobody has it
			}
			file := filepath.Join(t.TempDir(), "elsewhere")
			program := exec.CommandContext(t.Context(), python, "-I", "../../ci/image/scripts/elsewhere.py", file, strconv.Itoa(port), path, c.told)
			require.NoError(t, program.Start())
			ended := make(chan error, 1)
			go func() { ended <- program.Wait() }()
			if c.ends {
				require.NoError(t, <-ended)
			} else {
				select {
				case err := <-ended:
					require.FailNow(t, "it ended", "%v", err)
				case <-time.After(8 * time.Second):
					require.NoError(t, program.Process.Kill())
					<-ended
				}
			}
			_, err = os.Stat(file)
			assert.Equal(t, c.found, err == nil)
		})
	}
}
