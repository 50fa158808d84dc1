// Package observe tests what the pipeline sends and generates against the real servers:
// Prometheus, its Pushgateway and Alertmanager, an S3 API and a mail server. A test whose tool this
// machine lacks is skipped, and says so. On Debian the tools are in the packages prometheus,
// prometheus-pushgateway and prometheus-alertmanager.
package observe

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/observability"
)

// tool is the path of the first program that this machine has.
func tool(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("none of %s is installed", strings.Join(names, ", "))
	return ""
}

// says runs a program and returns what it prints.
func says(t *testing.T, dir, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", strings.Join(args, " "), out)
	return string(out)
}

// port is one that is free.
func port(t *testing.T) string {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// serve runs a server until the test ends, and waits until it is ready.
func serve(t *testing.T, ready string, args ...string) {
	t.Helper()
	said := start(t, args...)
	until(t, 60*time.Second, func() bool {
		status, _ := get(t, ready)
		return status == http.StatusOK
	}, said)
}

// start runs a server until the test ends, and returns what reads its output.
func start(t *testing.T, args ...string) (said func() string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // it is stopped below: the test's own context ends before its cleanup
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own: `uv run` starts the server as a child, which would outlive it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
		_ = cmd.Wait() // it was killed
		_ = log.Close()
	})
	return func() string {
		content, _ := os.ReadFile(log.Name())
		return string(content)
	}
}

// until waits for a condition; what says more about one that does not come.
func until(t *testing.T, limit time.Duration, condition func() bool, what func() string) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if condition() {
			return
		}
	}
	require.Fail(t, "it did not come about", "%s", what())
}

func get(t *testing.T, address string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(content)
}

// query asks Prometheus for the value of an expression; false if there is none, or several.
func query(t *testing.T, server, expr string) (string, bool) {
	t.Helper()
	status, body := get(t, "http://"+server+"/api/v1/query?query="+urlEscape(expr))
	require.Equal(t, http.StatusOK, status, body)
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	if len(answer.Data.Result) != 1 {
		return fmt.Sprint(answer.Data.Result), false
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1]), true
}

// written are the generated files of a configuration in a directory.
func written(t *testing.T, cfg config.Config, opts observability.Options) string {
	t.Helper()
	files, err := observability.Files(cfg, opts)
	require.NoError(t, err)
	dir := t.TempDir()
	for name, content := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return dir
}

// fails runs a program and returns its error.
func fails(t *testing.T, dir string, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	return cmd.Run()
}
