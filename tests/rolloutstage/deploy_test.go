//go:build unix

package rolloutstage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// These tests roll out as users do, by the CLI and an engine or by the command: the AWS
// that they reach is the tests' own, on this host, with a time that passes faster.

const fakeAccount = "111122223333"

func image(n string) string {
	return fakeAccount + ".dkr.ecr.ap-south-1.amazonaws.com/tiny@sha256:" + strings.Repeat(n, 64)
}

// rolled is a project with an account to roll out to, and a way to call the pipeline.
type rolled struct {
	t                        *testing.T
	aws                      *fakeaws.Account
	server                   *overhttp.Server
	source                   string
	call                     func(operation string, args ...string) told
	family, cluster, service string
}

// told is what a program said.
type told struct {
	exit        int
	stdout, all string
}

func run(t *testing.T, name string, args ...string) told {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = reachable.Root()
	command.Env = append(os.Environ(), "ROLLOUT_TEST_KEY=key-0", "ROLLOUT_TEST_SECRET=not-checked", "AWS_ACCESS_KEY_ID=key-0", "AWS_SECRET_ACCESS_KEY=not-checked")
	var stdout, all bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &all
	err := command.Run()
	said := told{stdout: stdout.String(), all: stdout.String() + all.String()}
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		said.exit = failed.ExitCode()
	} else {
		require.NoError(t, err, said.all)
	}
	return said
}

// start serves an account at an address of this host, and writes a project for it.
func start(t *testing.T, host, strategy string) (*rolled, string) {
	t.Helper()
	clock := fakeaws.NewClock()
	r := &rolled{t: t, aws: fakeaws.NewAccount(clock)}
	r.server = overhttp.New(r.aws)
	r.server.Hasten(clock, 120)
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/smoke/health" { // the application, as its users reach it
			return
		}
		r.server.ServeHTTP(w, request)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { assert.NoError(t, server.Close()) })
	url := "http://" + listener.Addr().String()
	r.source = filepath.Join(t.TempDir(), "source")
	require.NoError(t, os.CopyFS(r.source, os.DirFS(filepath.Join(reachable.Root(), "tests", "fixtures", "tiny"))))
	settings, err := os.OpenFile(filepath.Join(r.source, "pipeline.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	role := "arn:aws:iam::" + fakeAccount + ":role/"
	_, err = settings.WriteString(`
rollout:
  account: "` + fakeAccount + `"
  region: ap-south-1
  cluster: tiny
  service: tiny
  family: tiny
  strategy: ` + strategy + `
  bake_minutes: 2
  vpc: vpc-0123456789abcdef0
  subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
  security_groups: [sg-0123456789abcdef0]
  execution_role: ` + role + `execution
  task_role: ` + role + `task
  infrastructure_role: ` + role + `infrastructure
  journal: s3://models/tiny
  smoke: ` + url + `/smoke/health
`)
	require.NoError(t, err)
	require.NoError(t, settings.Close())
	r.family = "arn:aws:ecs:ap-south-1:" + fakeAccount + ":task-definition/tiny:"
	r.cluster, r.service = "tiny", "tiny"
	return r, url
}

// onEngine calls the module with the CLI.
func onEngine(t *testing.T, strategy string) *rolled {
	t.Helper()
	reachable.Engine(t)
	bridge, err := net.InterfaceByName("dagger0")
	if err != nil {
		t.Skip("the engine's bridge is not on this machine: " + err.Error())
	}
	addresses, err := bridge.Addrs()
	require.NoError(t, err)
	host, _, err := net.ParseCIDR(addresses[0].String())
	require.NoError(t, err)
	r, url := start(t, host.String(), strategy)
	r.call = func(operation string, args ...string) told {
		all := append([]string{"--progress=plain", "call", "--source", r.source, "--environment", "staging", "--aws-endpoint-url", url, "--mlflow-s3-endpoint-url", url,
			"--aws-access-key-id", "env:ROLLOUT_TEST_KEY", "--aws-secret-access-key", "env:ROLLOUT_TEST_SECRET", operation}, args...)
		started := time.Now()
		said := run(t, "dagger", all...)
		t.Logf("%s %v: exit %d after %.1f s", operation, args, said.exit, time.Since(started).Seconds())
		return said
	}
	return r
}

func (r *rolled) serving() string { return r.aws.ECS.Serving(r.cluster, r.service) }

// writes are the writes of a call, the journal aside.
func (r *rolled) writes(call func()) []string {
	before := len(r.aws.Calls())
	call()
	return fakeaws.Writes(r.aws.Calls()[before:])
}

func count(all []string, one string) int {
	return len(slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s != one }))
}

func stageOf(t *testing.T, said told) (code, result string) {
	t.Helper()
	var report struct {
		Stages []struct{ Name, Verdict, Code string }
	}
	require.NoError(t, json.Unmarshal([]byte(said.stdout), &report), said.all)
	for _, stage := range report.Stages {
		if stage.Name == "deploy" {
			return stage.Code, stage.Verdict
		}
	}
	t.Fatal("no stage deploy: " + said.stdout)
	return "", ""
}

func TestTheModuleDeploysWithEveryStrategy(t *testing.T) {
	for _, strategy := range config.Strategies() {
		t.Run(strategy, func(t *testing.T) {
			r := onEngine(t, strategy)
			first := r.writes(func() {
				code, result := stageOf(t, r.call("deploy", "--image", image("a"), "json"))
				require.Equal(t, "pass", result, code)
			})
			assert.Equal(t, 1, count(first, "ecs:CreateService"))
			assert.Equal(t, r.family+"1", r.serving())

			second := r.writes(func() {
				said := r.call("deploy", "--image", image("b"), "enforce")
				require.Zero(t, said.exit, said.all)
			})
			assert.Equal(t, 1, count(second, "ecs:UpdateService"))
			assert.Equal(t, r.family+"2", r.serving())

			none := r.writes(func() {
				said := r.call("deploy", "--image", image("b"), "enforce")
				require.Zero(t, said.exit, said.all)
			})
			assert.Empty(t, none, "what is so already is not written")

			// The third one crashes: it is rolled back, and the call says so and fails.
			r.aws.ECS.Behave(r.family+"3", fakeaws.Behaviour{FailAfter: 15 * time.Second, Log: []string{"MemoryError"},
				Failure: &fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", ExitCode: 137}})
			said := r.call("deploy", "--image", image("c"), "enforce")
			assert.Equal(t, 1, said.exit)
			assert.Contains(t, said.all, "FAIL deploy ROLLED_BACK")
			assert.Equal(t, r.family+"2", r.serving())
		})
	}
}

func TestTheModuleOperatesAService(t *testing.T) {
	r := onEngine(t, "blue_green")
	planned := r.writes(func() {
		said := r.call("plan", "summary")
		require.Zero(t, said.exit, said.all)
	})
	assert.Empty(t, planned)
	for _, n := range []string{"a", "b"} {
		said := r.call("deploy", "--image", image(n), "enforce")
		require.Zero(t, said.exit, said.all)
	}
	assert.Equal(t, r.family+"2", r.serving())
	said := r.call("status", "summary")
	require.Zero(t, said.exit, said.all)
	assert.Contains(t, said.stdout, "sha256:"+strings.Repeat("b", 64))
	said = r.call("rollback", "enforce")
	require.Zero(t, said.exit, said.all)
	assert.Equal(t, r.family+"1", r.serving())
	said = r.call("approve", "enforce")
	assert.NotZero(t, said.exit)
	assert.Contains(t, said.all, "NOTHING_")
	said = r.call("prune", "--keep", "1", "enforce")
	require.Zero(t, said.exit, said.all)
	said = r.call("destroy", "--confirm", "wrong", "enforce")
	assert.NotZero(t, said.exit)
	assert.NotEmpty(t, r.serving())
	said = r.call("destroy", "--confirm", r.service, "enforce")
	require.Zero(t, said.exit, said.all)
}

// The same by the command, on a host without an engine; and a pause that is answered.
func TestTheCommandDeploysPausesAndIsApproved(t *testing.T) {
	if testing.Short() {
		t.Skip("waiting for deployments takes seconds; run without -short")
	}
	r, url := start(t, "127.0.0.1", "canary")
	binary := filepath.Join(t.TempDir(), "openstack-rca")
	built := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./ci/cmd/openstack-rca")
	built.Dir = reachable.Root()
	said, err := built.CombinedOutput()
	require.NoError(t, err, string(said))
	call := func(operation string, args ...string) told {
		started := time.Now()
		said := run(t, binary, append([]string{operation, "--source", r.source, "--environment", "staging", "--aws-endpoint-url", url}, args...)...)
		t.Logf("%s %v: exit %d after %.1f s", operation, args, said.exit, time.Since(started).Seconds())
		return said
	}
	first := call("deploy", "--image", image("a"))
	require.Zero(t, first.exit, first.all)

	settings, err := os.OpenFile(filepath.Join(r.source, "pipeline.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = settings.WriteString("  pause_at: [post_scale_up]\n")
	require.NoError(t, err)
	require.NoError(t, settings.Close())
	paused := call("deploy", "--image", image("b"))
	assert.NotZero(t, paused.exit, "somebody has to look")
	assert.Contains(t, paused.all, "AWAITING_APPROVAL")
	assert.Equal(t, r.family+"1", r.serving())
	approved := call("approve")
	require.Zero(t, approved.exit, approved.all)
	assert.Equal(t, r.family+"2", r.serving())

	paused = call("deploy", "--image", image("c"))
	assert.Contains(t, paused.all, "AWAITING_APPROVAL")
	rejected := call("reject")
	require.Zero(t, rejected.exit, rejected.all)
	assert.Equal(t, r.family+"2", r.serving())
	status := call("status")
	assert.Zero(t, status.exit, status.all)
	gone := call("destroy", "--confirm", r.service, "--with-logs")
	require.Zero(t, gone.exit, gone.all)
}
