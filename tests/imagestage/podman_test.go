package imagestage_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// podman stands in for docker: it takes the same options. It keeps everything in a directory
// of the test.
type podman struct {
	t   *testing.T
	dir string
}

func newPodman(t *testing.T) *podman {
	t.Helper()
	program, err := exec.LookPath("podman")
	if err != nil {
		t.Skip("no podman on this machine: the run command of the report is not tried")
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: the run command of the report is not tried")
	}
	// Its own directory: podman refuses a path of more than 50 characters, as t.TempDir's are.
	dir, err := os.MkdirTemp("", "podman-")
	require.NoError(t, err)
	p := &podman{t, dir}
	// As docker has it: limits that any host grants, and nothing writable that was not asked for.
	script := "#!/bin/sh\nset -eu\nif [ \"$1\" = run ]; then shift; set -- run --tls-verify=false --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --read-only-tmpfs=false \"$@\"; fi\n" +
		"exec " + program + " --root " + p.dir + "/root --runroot " + p.dir + "/state --cgroup-manager cgroupfs \"$@\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "docker"), []byte(script), 0o700)) //nolint:gosec // it is run
	t.Cleanup(func() {
		out, err := p.docker(context.Background(), "docker rm --all --force --time 0 --volumes && docker volume rm --all --force && docker rmi --all --force && docker network prune --force")
		assert.NoError(t, err, out)
		// What the storage mounted onto itself.
		_ = exec.Command("umount", p.dir+"/root/overlay").Run()
		assert.NoError(t, os.RemoveAll(p.dir))
	})
	return p
}

// docker has a shell run a command in which docker is podman.
func (p *podman) docker(ctx context.Context, command string) (string, error) {
	shell := exec.CommandContext(ctx, "/bin/sh", "-euc", command)
	shell.Env = append(os.Environ(), "PATH="+p.dir+":"+os.Getenv("PATH"))
	out, err := shell.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// The run command of the report, word for word, starts the pushed digest with a root file
// system that is mounted read-only: what the probe's fence only resembles.
func TestTheRunCommandOfTheReportStartsTheImage(t *testing.T) {
	p := newPodman(t)
	client := connect(t)
	f := newFront(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())

	in := input(t, client)
	in.Environment, in.Push = "production", image.Push{Address: f.host + "/acme/rca"}
	in.Config.Image.Port, in.Config.Image.Page = port, ""
	in.Config.Image.Vars = map[string]string{"APP_PORT": strconv.Itoa(port)}
	result := image.Run(t.Context(), client, in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	var command string
	for _, block := range result.Stage.Blocks {
		if block.Title == "Run it" {
			command = block.Log
		}
	}
	t.Logf("%s", command)
	out, err := p.docker(t.Context(), command)
	require.NoError(t, err, out)

	get := func(path string) int {
		response, err := http.Get("http://127.0.0.1:" + strconv.Itoa(port) + path)
		if err != nil {
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	if !assert.Eventually(t, func() bool { return get(in.Config.Image.Health) == 200 }, time.Minute, 200*time.Millisecond) {
		out, _ := p.docker(t.Context(), "docker ps --all; docker logs fixture")
		t.Fatal(out)
	}
	assert.Equal(t, 200, get("/"))
	out, err = p.docker(t.Context(), "docker healthcheck run fixture")
	assert.NoError(t, err, out)

	out, err = p.docker(t.Context(), "docker inspect --format '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.Name}} {{.ImageName}}' fixture")
	require.NoError(t, err, out)
	assert.Equal(t, "true "+strconv.Itoa(in.Config.Rollout.Memory<<20)+" "+strconv.Itoa(in.Config.Rollout.CPU*1e9/1024)+" unless-stopped "+result.Reference, out)
	for path, want := range map[string]string{
		"/app/x": "Read-only file system", "/home/app/x": "Read-only file system", "/var/tmp/x": "Read-only file system",
		"/tmp/x": "", "/app/data/x": "", "/app/logs/x": "",
	} {
		out, err := p.docker(t.Context(), `docker exec fixture python -c "open('`+path+`', 'w')"`)
		if want == "" {
			assert.NoError(t, err, "%s: %s", path, out)
		} else {
			assert.Contains(t, out, want, path)
		}
	}
}
