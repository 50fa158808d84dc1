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

	"github.com/openstack-rca/openstack-rca/ci/config"
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
	port, result := publishedImage(t)
	var command string
	for _, block := range result.Stage.Blocks {
		if block.Title == "Run it" {
			command = block.Log
		}
	}
	t.Logf("%s", command)
	out, err := p.docker(t.Context(), command)
	require.NoError(t, err, out)
	p.answers(port, "fixture", result)
	// podman-compose's own quoting of a check given as a list is broken: it is asked here alone.
	out, err = p.docker(t.Context(), "docker healthcheck run fixture")
	assert.NoError(t, err, out)
}

// The compose file of the report does so too, where podman-compose is installed.
func TestTheComposeFileOfTheReportStartsTheImage(t *testing.T) {
	compose, err := exec.LookPath("podman-compose")
	if err != nil {
		t.Skip("no podman-compose on this machine: the compose file of the report is not tried")
	}
	p := newPodman(t)
	port, result := publishedImage(t)
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "compose.yaml"), fileOf(t, result, "image/compose.yaml"), 0o600))
	out, err := p.docker(t.Context(), "docker pull --tls-verify=false -q "+result.Reference.Written())
	require.NoError(t, err, out)
	out, err = p.docker(t.Context(), compose+" --podman-path "+p.dir+"/docker -f "+p.dir+"/compose.yaml -p rca up -d")
	require.NoError(t, err, out)
	p.answers(port, "rca_fixture_1", result)
}

// publishedImage is the fixture's image in a registry of this host, and its port.
func publishedImage(t *testing.T) (port int, result *image.Result) {
	t.Helper()
	client := connect(t)
	f := newFront(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port = listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())

	in := input(t, client)
	in.Environment, in.Push = "production", image.Push{Address: f.host + "/acme/rca"}
	in.Config.Image.Port, in.Config.Image.Page = port, ""
	in.Config.Image.Vars = map[string]string{"APP_PORT": strconv.Itoa(port)}
	result = image.Run(t.Context(), client, in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	return port, result
}

// fileOf is a file of the report.
func fileOf(t *testing.T, result *image.Result, path string) []byte {
	t.Helper()
	for _, file := range result.Stage.Files {
		if file.Path == path {
			return file.Content
		}
	}
	t.Fatalf("no %s in the report", path)
	return nil
}

// answers waits until the container is healthy, and sees that it has the options.
func (p *podman) answers(port int, name string, result *image.Result) {
	t, want := p.t, config.Default()
	get := func(path string) int {
		response, err := http.Get("http://127.0.0.1:" + strconv.Itoa(port) + path)
		if err != nil {
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	if !assert.Eventually(t, func() bool { return get(want.Image.Health) == 200 }, time.Minute, 200*time.Millisecond) {
		out, _ := p.docker(t.Context(), "docker ps --all; docker logs "+name)
		t.Fatal(out)
	}
	assert.Equal(t, 200, get("/"))
	out, err := p.docker(t.Context(), "docker inspect --format '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.Name}} {{.ImageName}}' "+name)
	require.NoError(t, err, out)
	assert.Equal(t, "true "+strconv.Itoa(want.Rollout.Memory<<20)+" "+strconv.Itoa(want.Rollout.CPU*1e9/1024)+" unless-stopped "+result.Reference.Written(), out)
	for path, refused := range map[string]string{
		"/app/x": "Read-only file system", "/home/app/x": "Read-only file system", "/var/tmp/x": "Read-only file system",
		"/tmp/x": "", "/app/data/x": "", "/app/logs/x": "",
	} {
		out, err := p.docker(t.Context(), `docker exec `+name+` python -c "open('`+path+`', 'w')"`)
		if refused == "" {
			assert.NoError(t, err, "%s: %s", path, out)
		} else {
			assert.Contains(t, out, refused, path)
		}
	}
}
