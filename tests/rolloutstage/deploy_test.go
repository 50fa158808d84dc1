//go:build unix

package rolloutstage_test

import (
	"bytes"
	"context"
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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
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
	t      *testing.T
	aws    *fakeaws.Account
	server *overhttp.Server
	source string
	call   func(operation string, args ...string) told
	// credentials are the options that say who calls.
	credentials []string
	// ctx ends calls with SIGINT, as a cancelled job does; during goes on beside them.
	ctx                      context.Context
	during                   func()
	family, cluster, service string
}

// told is what a program said.
type told struct {
	exit        int
	stdout, all string
}

func run(ctx context.Context, t *testing.T, name string, args ...string) told {
	t.Helper()
	command := exec.CommandContext(ctx, name, args...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	command.Dir = reachable.Root()
	command.Env = append(os.Environ(), "ROLLOUT_TEST_KEY=key-0", "ROLLOUT_TEST_SECRET=not-checked", "AWS_ACCESS_KEY_ID=key-0",
		"AWS_SECRET_ACCESS_KEY=not-checked")
	var stdout, all bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &all
	err := command.Run()
	said := told{stdout: stdout.String(), all: stdout.String() + all.String()}
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		said.exit = failed.ExitCode()
	case ctx.Err() != nil:
		said.exit = -1
	default:
		require.NoError(t, err, said.all)
	}
	return said
}

// start serves an account at an address of this host, and writes a project for it.
func start(t *testing.T, host, strategy string) (*rolled, string) {
	t.Helper()
	clock := fakeaws.NewClock()
	r := &rolled{t: t, ctx: t.Context(), aws: fakeaws.NewAccount(clock)}
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
	r.credentials = []string{"--aws-access-key-id", "env:ROLLOUT_TEST_KEY", "--aws-secret-access-key", "env:ROLLOUT_TEST_SECRET"}
	r.call = func(operation string, args ...string) told {
		all := []string{"--progress=plain", "call", "--source", r.source, "--environment", "staging", "--ref", "main", "--aws-endpoint-url", url,
			"--mlflow-s3-endpoint-url", url}
		all = append(append(append(all, r.credentials...), operation), args...)
		started := time.Now()
		if r.during != nil {
			go r.during()
		}
		said := run(r.ctx, t, "dagger", all...)
		t.Logf("%s %v: exit %d after %.1f s", operation, args, said.exit, time.Since(started).Seconds())
		return said
	}
	return r
}

// configure adds keys to the project's rollout, which is the last section of its pipeline.yaml.
func (r *rolled) configure(lines string) {
	r.t.Helper()
	path := filepath.Join(r.source, "pipeline.yaml")
	settings, err := os.ReadFile(path)
	require.NoError(r.t, err)
	key, _, _ := strings.Cut(strings.TrimSpace(lines), ":")
	kept := slices.DeleteFunc(strings.SplitAfter(string(settings), "\n"),
		func(line string) bool { return strings.HasPrefix(line, "  "+key+":") })
	require.NoError(r.t, os.WriteFile(path, []byte(strings.Join(kept, "")+lines), 0o600))
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
	for _, strategy := range spec.Strategies() {
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

			// The third one crashes: its trial shows it, and the service is not touched.
			crashes := fakeaws.Behaviour{FailAfter: 15 * time.Second, Log: []string{"MemoryError"},
				Failure: &fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited",
					ExitCode: 137}}
			r.aws.ECS.Behave(r.family+"3", crashes)
			third := r.writes(func() {
				said := r.call("deploy", "--image", image("c"), "enforce")
				assert.Equal(t, 1, said.exit)
				assert.Contains(t, said.all, "FAIL deploy TRIAL_FAILED")
				assert.Regexp(t, `log of task \d+: MemoryError`, said.all)
			})
			assert.Zero(t, count(third, "ecs:UpdateService"))
			assert.Equal(t, 2, r.aws.ECS.Launches(r.family+"3"))
			assert.Equal(t, r.family+"2", r.serving())

			// It crashes in the service only: it is rolled back, and the call says so and fails.
			crashes.Alone = &fakeaws.Behaviour{}
			r.aws.ECS.Behave(r.family+"3", crashes)
			said := r.call("deploy", "--image", image("c"), "enforce")
			assert.Equal(t, 1, said.exit)
			assert.Contains(t, said.all, "FAIL deploy ROLLED_BACK")
			assert.Equal(t, r.family+"2", r.serving())
			assert.Empty(t, r.aws.ECS.Alone(r.cluster), "no trial is left")
		})
	}
}

func TestTheModuleOperatesAService(t *testing.T) {
	r := onEngine(t, "blue_green")
	r.configure("  execution_role: \"\"\n") // it is made
	const role, policy = "tiny-staging-ap-south-1-execution", "openstack-rca"
	planned := r.writes(func() {
		said := r.call("plan", "summary")
		require.Zero(t, said.exit, said.all)
	})
	assert.Empty(t, planned)
	said := r.call("plan", "unchanged")
	assert.Equal(t, 1, said.exit, "what was not compared is not called unchanged")
	said = r.call("plan", "--image", image("a"), "unchanged")
	assert.Equal(t, 1, said.exit, "everything would be made")
	for _, n := range []string{"a", "b"} {
		said := r.call("deploy", "--image", image(n), "enforce")
		require.Zero(t, said.exit, said.all)
	}
	assert.Equal(t, r.family+"2", r.serving())
	assert.Contains(t, r.aws.Roles.Policy(role, policy), "ecr:BatchGetImage")
	said = r.call("plan", "--image", image("b"), "unchanged")
	assert.Zero(t, said.exit, said.all)
	said = r.call("plan", "--image", image("a"), "unchanged")
	assert.Equal(t, 1, said.exit, "another image is a change")
	said = r.call("status", "summary")
	require.Zero(t, said.exit, said.all)
	assert.Contains(t, said.stdout, "sha256:"+strings.Repeat("b", 64))
	// The same as a CI system calls it: by a token that is exchanged for a role's session, and another role.
	key := r.credentials
	r.credentials = []string{"--aws-web-identity-token", "env:ROLLOUT_TEST_SECRET", "--aws-web-identity-role",
		"arn:aws:iam::" + fakeAccount + ":role/ci",
		"--aws-role", "arn:aws:iam::" + fakeAccount + ":role/operator"}
	said = r.call("status", "summary")
	require.Zero(t, said.exit, said.all)
	assert.Contains(t, said.stdout, ":assumed-role/operator/")
	r.server.STS.Identity = "another"
	said = r.call("status", "enforce")
	assert.Equal(t, 1, said.exit)
	assert.Contains(t, said.all, "CREDENTIALS_INVALID")
	assert.NotContains(t, said.all, "not-checked", "a token is no part of a message")
	r.credentials = key
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
	assert.Empty(t, r.aws.Roles.Policy(role, policy), "what was made goes")
}

// A canary that asks before each of its two shifts: it is looked at, answered twice, and the
// next one is turned away.
func TestTheModulePausesAndIsAnswered(t *testing.T) {
	r := onEngine(t, "canary")
	r.configure("  trial: false\n") // it takes 20 s each, and has its own tests
	said := r.call("deploy", "--image", image("a"), "enforce")
	require.Zero(t, said.exit, said.all)
	r.configure("  pause_at: [pre_production_traffic_shift]\n")

	said = r.call("deploy", "--image", image("b"), "enforce")
	assert.Equal(t, 1, said.exit, "somebody has to look")
	assert.Contains(t, said.all, "AWAITING_APPROVAL")
	assert.Equal(t, r.family+"1", r.serving())
	var status told
	written := r.writes(func() { status = r.call("status", "summary") })
	require.Zero(t, status.exit, status.all)
	assert.Contains(t, status.stdout, "IN_PROGRESS PRE_PRODUCTION_TRAFFIC_SHIFT")
	assert.Contains(t, status.stdout, "0 % of the traffic, awaiting approval until")
	assert.Contains(t, status.stdout, "then ROLLBACK")
	assert.Empty(t, written)

	approved := r.writes(func() { said = r.call("approve", "enforce") })
	assert.Equal(t, 1, said.exit, "it stands before the second shift")
	assert.Contains(t, said.all, "AWAITING_APPROVAL")
	assert.Equal(t, 1, count(approved, "ecs:ContinueServiceDeployment"))
	status = r.call("status", "summary")
	assert.Contains(t, status.stdout, "10 % of the traffic, awaiting approval until")
	said = r.call("approve", "enforce")
	require.Zero(t, said.exit, said.all)
	assert.Equal(t, r.family+"2", r.serving())
	said = r.call("approve", "enforce")
	assert.Contains(t, said.all, "NOTHING_PAUSED")

	said = r.call("deploy", "--image", image("c"), "enforce")
	assert.Contains(t, said.all, "AWAITING_APPROVAL")
	rejected := r.writes(func() { said = r.call("reject", "enforce") })
	require.Zero(t, said.exit, said.all)
	assert.Equal(t, 1, count(rejected, "ecs:ContinueServiceDeployment"))
	assert.Zero(t, count(rejected, "ecs:UpdateService"))
	assert.Equal(t, r.family+"2", r.serving())
	code, result := stageOf(t, r.call("status", "json"))
	assert.Equal(t, "pass", result, code)
	status = r.call("status", "summary")
	assert.NotContains(t, status.stdout, "under way")
	assert.Contains(t, status.stdout, "fail ROLLED_BACK")
}

// Two deployments that somebody else follows to the end: a colleague's, and one of ours
// whose run was cancelled.
func TestTheModuleWaitsForADeploymentInFlight(t *testing.T) {
	r := onEngine(t, "blue_green")
	r.configure("  trial: false\n") // it takes 20 s each, and has its own tests
	for _, n := range []string{"a", "b"} {
		said := r.call("deploy", "--image", image(n), "enforce")
		require.Zero(t, said.exit, said.all)
	}
	said := r.call("wait", "enforce")
	assert.Equal(t, 1, said.exit)
	assert.Contains(t, said.all, "NOTHING_IN_FLIGHT")

	r.configure("  bake_minutes: 60\n")
	_, err := r.aws.ECS.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: &r.cluster, Service: &r.service,
		TaskDefinition:          aws.String(r.family + "1"),
		DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(60)}})
	require.NoError(t, err)
	waited := r.writes(func() { said = r.call("wait", "enforce") })
	require.Zero(t, said.exit, said.all)
	assert.Contains(t, said.all, "BAKE_TIME")
	assert.Zero(t, count(waited, "ecs:UpdateService"))
	assert.Equal(t, r.family+"1", r.serving())

	// The run is cancelled while the version bakes for a minute of this test.
	r.configure("  bake_minutes: 120\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.during = func() {
		deadline := time.Now().Add(3 * time.Minute)
		for r.aws.ECS.Calls("UpdateService") < 3 && time.Now().Before(deadline) {
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Second)
		cancel()
	}
	r.ctx = ctx
	said = r.call("deploy", "--image", image("c"), "enforce")
	assert.NotZero(t, said.exit)
	r.ctx, r.during = t.Context(), nil
	require.Equal(t, r.family+"1", r.serving(), "it was cancelled in flight")
	status := r.call("status", "summary")
	assert.Regexp(t, "run (without an end|under way)", status.stdout, "by whether its lock is over")
	assert.Contains(t, status.stdout, "under way")
	waited = r.writes(func() { said = r.call("wait", "enforce") })
	require.Zero(t, said.exit, said.all)
	assert.Zero(t, count(waited, "ecs:UpdateService"))
	assert.Equal(t, r.family+"3", r.serving())
	status = r.call("status", "summary")
	assert.NotRegexp(t, "run (without an end|under way)", status.stdout, "its end is on record")
}

// beside calls the module while another call of it goes on that has come to a call of ECS.
func (r *rolled) beside(deploy []string, come, operation string) (first, second told) {
	r.t.Helper()
	before := r.aws.ECS.Calls(come)
	ended := make(chan told, 1)
	go func() { ended <- r.call("deploy", deploy...) }()
	require.Eventually(r.t, func() bool { return r.aws.ECS.Calls(come) > before }, 3*time.Minute, time.Second)
	second = r.call(operation, "enforce")
	return <-ended, second
}

// A deployment that a run follows can be answered and stopped by others, without its lock.
func TestTheModuleIsAnsweredAndStoppedWhileItDeploys(t *testing.T) {
	r := onEngine(t, "blue_green")
	r.configure("  trial: false\n") // it takes 20 s each, and has its own tests
	said := r.call("deploy", "--image", image("a"), "enforce")
	require.Zero(t, said.exit, said.all)

	r.configure("  pause_at: [pre_scale_up]\n")
	first, second := r.beside([]string{"--image", image("b"), "--await-approval", "enforce"}, "UpdateService", "approve")
	assert.Zero(t, second.exit, second.all)
	assert.Zero(t, first.exit, first.all)
	assert.Equal(t, r.family+"2", r.serving())

	r.configure("  pause_at: []\n")
	r.configure("  bake_minutes: 600\n")
	first, second = r.beside([]string{"--image", image("c"), "enforce"}, "UpdateService", "rollback")
	assert.Zero(t, second.exit, second.all)
	assert.Equal(t, 1, first.exit)
	assert.Contains(t, first.all, "FAIL deploy ROLLED_BACK")
	assert.Equal(t, r.family+"2", r.serving())

	// Before it comes to the service, its trial is stopped.
	r.configure("  trial: true\n")
	r.aws.ECS.Behave(r.family+"4", fakeaws.Behaviour{StartAfter: 8 * time.Hour})
	writes := r.writes(func() {
		first, second = r.beside([]string{"--image", image("d"), "enforce"}, "RunTask", "rollback")
	})
	assert.Zero(t, second.exit, second.all)
	assert.Equal(t, 1, first.exit)
	assert.Contains(t, first.all, "FAIL deploy TRIAL_STOPPED")
	assert.Zero(t, count(writes, "ecs:UpdateService"))
	assert.Equal(t, r.family+"2", r.serving())
	assert.Empty(t, r.aws.ECS.Alone(r.cluster))
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
		said := run(t.Context(), t, binary, append([]string{operation, "--source", r.source, "--environment", "staging", "--ref", "main",
			"--aws-endpoint-url", url}, args...)...)
		t.Logf("%s %v: exit %d after %.1f s", operation, args, said.exit, time.Since(started).Seconds())
		return said
	}
	assert.Equal(t, 3, call("plan", "--image", image("a"), "--detailed-exitcode").exit)
	first := call("deploy", "--image", image("a"))
	require.Zero(t, first.exit, first.all)
	assert.Zero(t, call("plan", "--image", image("a"), "--detailed-exitcode").exit)

	r.configure("  pause_at: [post_scale_up]\n")
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
