package engine

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/internal/daggertest"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
)

const passed = `{"exit_code":0,"timed_out":false,"stopped":false,"seconds":1.5,"started":"2026-01-02T03:04:05Z","stdout":"out","stderr":"err"}`

func failed(at time.Time) string {
	return `{"exit_code":3,"timed_out":false,"stopped":false,"seconds":1.5,"started":"` + at.UTC().Format(time.RFC3339Nano) + `","stdout":"","stderr":"boom"}`
}

func newRunner(t *testing.T, result string) (*daggertest.Engine, *Runner) {
	t.Helper()
	e := daggertest.New(t)
	e.Answer("exitCode", 0)
	e.Answer("file.contents", result)
	r := New(e.Client(t), Options{})
	r.id = "run"
	t.Cleanup(func() { require.NoError(t, r.Close(context.Background())) })
	return e, r
}

// golden hides the contents of our own files: they have tests of their own.
func golden(t *testing.T, name string, e *daggertest.Engine) {
	t.Helper()
	text := e.Queries()
	for placeholder, content := range map[string]string{"LAUNCHER": launch.Script, "UV LOCK": runner.UVLock} {
		encoded, err := json.Marshal(content)
		require.NoError(t, err)
		text = strings.ReplaceAll(text, string(encoded), `"`+placeholder+`"`)
		text = strings.ReplaceAll(text, strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(encoded)), `"`+placeholder+`"`)
	}
	daggertest.Golden(t, filepath.Join("testdata", name), text)
}

func TestAStepBecomesOneCachedExec(t *testing.T) {
	e, r := newRunner(t, passed)
	source := r.Source(r.Client().Directory())
	result, err := r.Run(t.Context(), runner.Step{
		Name: "train",
		Env:  runner.Environment{Python: "3.11", Files: r.NewFiles(map[string][]byte{"train.lock": []byte("six==1.0")}), Install: [][]string{{"uv", "pip", "install", "-r", "train.lock"}}},
		Inputs: []runner.Mount{
			{Path: ".", Files: source.Filter(nil, []string{"tests/**"})},
			{Path: "data", Files: source.Sub("logs")},
		},
		Args: []string{"python", "main.py"}, Vars: map[string]string{"B": "2", "A": "1"},
		Outputs: []string{"models"}, Timeout: time.Minute,
	})
	require.NoError(t, err)
	assert.Equal(t, 0, result.ExitCode)
	assert.Equal(t, "out", result.Stdout)
	assert.Equal(t, "err", result.Stderr)
	assert.InDelta(t, 1.5, result.Seconds, 0)
	golden(t, "step.graphql", e)
}

func TestAFailureOfAnEarlierRunIsRunAgain(t *testing.T) {
	e, r := newRunner(t, failed(time.Now().Add(-time.Hour)))
	result, err := r.Run(t.Context(), runner.Step{Name: "test", Env: runner.Environment{Python: "3.11"}, Args: []string{"python"}})
	require.NoError(t, err)
	assert.Equal(t, 3, result.ExitCode)
	assert.Contains(t, e.Queries(), "OPENSTACK_RCA_FRESH")
}

func TestAFailureOfThisRunIsNotRunAgain(t *testing.T) {
	e, r := newRunner(t, failed(time.Now().Add(time.Hour)))
	result, err := r.Run(t.Context(), runner.Step{Name: "test", Env: runner.Environment{Python: "3.11"}, Args: []string{"python"}})
	require.NoError(t, err)
	assert.Equal(t, 3, result.ExitCode)
	assert.NotContains(t, e.Queries(), "OPENSTACK_RCA_FRESH")
}

func TestFreshIsPartOfTheStepsKey(t *testing.T) {
	e, r := newRunner(t, passed)
	_, err := r.Run(t.Context(), runner.Step{Name: "x", Env: runner.Environment{Python: "3.11"}, Args: []string{"python"}, Fresh: "seven"})
	require.NoError(t, err)
	assert.Contains(t, e.Queries(), `"seven"`)
}

func TestALauncherThatWasEndedLeavesItsExitCode(t *testing.T) {
	e, r := newRunner(t, passed)
	e.Answer("exitCode", 137)
	result, err := r.Run(t.Context(), runner.Step{Name: "x", Env: runner.Environment{Python: "3.11"}, Args: []string{"python"}})
	require.NoError(t, err)
	assert.Equal(t, 137, result.ExitCode)

	// As the engine answers when nothing is left of the container.
	e.Answer("exitCode", &daggertest.ExecError{Cmd: []string{"python"}, ExitCode: 137, Stderr: "killed"})
	result, err = r.Run(t.Context(), runner.Step{Name: "x", Env: runner.Environment{Python: "3.11"}, Args: []string{"python"}, Outputs: []string{"report"}})
	require.NoError(t, err)
	assert.Equal(t, 137, result.ExitCode)
	assert.Equal(t, "killed", result.Stderr)
	e.Answer("exitCode", &daggertest.ExecError{Cmd: []string{"python"}, ExitCode: 1, Stderr: "no launcher"})
	_, err = r.Run(t.Context(), runner.Step{Name: "x", Env: runner.Environment{Python: "3.11"}, Args: []string{"python"}})
	require.ErrorContains(t, err, "no launcher")
}

func TestAnInstallationThatFailsIsAnEnvironmentError(t *testing.T) {
	e, r := newRunner(t, passed)
	e.Answer("sync", &daggertest.ExecError{Cmd: []string{"uv", "pip", "install"}, ExitCode: 2, Stderr: "no such package"})
	_, err := r.Run(t.Context(), runner.Step{Name: "x", Env: runner.Environment{Python: "3.11", Install: [][]string{{"uv"}}}, Args: []string{"python"}})
	var env *runner.EnvironmentError
	require.ErrorAs(t, err, &env)
	assert.Equal(t, []string{"uv", "pip", "install"}, env.Command)
	assert.Contains(t, env.Output, "no such package")
	assert.ErrorContains(t, env, "exit code 2")
}

func TestABaseImageThatIsNotThereIsAnEnvironmentError(t *testing.T) {
	e, r := newRunner(t, passed)
	e.Answer("envVariables", errors.New("not found"))
	_, err := r.Run(t.Context(), runner.Step{Name: "x", Env: runner.Environment{Python: "3.99"}, Args: []string{"python"}})
	var env *runner.EnvironmentError
	require.ErrorAs(t, err, &env)
	assert.ErrorContains(t, env, "not found")
}

func TestTheBaseImagesVariablesReachTheCommandAndTheStepsWin(t *testing.T) {
	e, r := newRunner(t, passed)
	e.Answer("envVariables", []map[string]any{{"name": "LD_LIBRARY_PATH", "value": "/usr/local/lib"}, {"name": "HOME", "value": "/elsewhere"}, {"name": "A", "value": "image"}})
	_, err := r.Run(t.Context(), runner.Step{Name: "x", Env: runner.Environment{Python: "3.11"}, Args: []string{"python"}, Vars: map[string]string{"A": "step"}})
	require.NoError(t, err)
	queries := e.Queries()
	assert.Contains(t, queries, `LD_LIBRARY_PATH\":\"/usr/local/lib`)
	assert.Contains(t, queries, `HOME\":\"/root`)
	assert.Contains(t, queries, `A\":\"step`)
}

func TestADamagedResultIsAnError(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "no JSON": "hello", "no exit code": "{}"} {
		t.Run(name, func(t *testing.T) {
			_, r := newRunner(t, content)
			_, err := r.Run(t.Context(), runner.Step{Name: "train", Env: runner.Environment{Python: "3.11"}, Args: []string{"python"}})
			require.ErrorContains(t, err, "run step train")
		})
	}
}

func TestAStepWithoutACommandIsAnError(t *testing.T) {
	_, r := newRunner(t, passed)
	_, err := r.Run(t.Context(), runner.Step{Name: "nothing", Env: runner.Environment{Python: "3.11"}})
	require.ErrorContains(t, err, "prepare step nothing")
}

type plain string

func (p plain) Name() string { return "TOKEN" }

func (p plain) Plaintext(context.Context) (string, error) {
	if p == "" {
		return "", errors.New("locked")
	}
	return string(p), nil
}

func TestASecretIsNeverPartOfTheSpecification(t *testing.T) {
	e, r := newRunner(t, passed)
	_, err := r.Run(t.Context(), runner.Step{Name: "x", Env: runner.Environment{Python: "3.11"}, Args: []string{"python"}, Secrets: map[string]runner.Secret{"TOKEN": plain("canary-value")}})
	require.NoError(t, err)
	for _, call := range e.Calls() {
		if !strings.Contains(call.Path, "setSecret") {
			assert.NotContains(t, call.Query, "canary-value", "only setSecret may see the value")
		}
	}
	assert.Contains(t, e.Queries(), `secret_names\":[\"TOKEN\"]`)

	_, err = r.Run(t.Context(), runner.Step{Name: "x", Env: runner.Environment{Python: "3.11"}, Args: []string{"python"}, Secrets: map[string]runner.Secret{"TOKEN": plain("")}})
	require.ErrorContains(t, err, "read secret TOKEN: locked")
}

func TestNeedsAreBoundByNameAndNotTiedToARun(t *testing.T) {
	e, r := newRunner(t, passed)
	_, err := r.Run(t.Context(), runner.Step{Name: "x", Env: runner.Environment{Python: "3.11"}, Args: []string{"python", "http://{{s3}}/"},
		Needs: []runner.Service{{Name: "s3", Env: runner.Environment{Python: "3.11"}, Args: []string{"serve", "{{bind}}:{{port}}"}, Port: 9000}}})
	require.NoError(t, err)
	golden(t, "needs.graphql", e)
	assert.NotContains(t, e.Queries(), "OPENSTACK_RCA_RUN", "a service of its own for each run would make the step run again")
}

func TestAStartedServiceIsReachedBothWaysAndStoppedOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/health" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	e, r := newRunner(t, passed)
	e.Answer("endpoint", strings.TrimPrefix(server.URL, "http://"))
	running, err := r.Start(t.Context(), runner.Service{Name: "mlflow", Env: runner.Environment{Python: "3.11"}, Args: []string{"serve", "--port", "{{port}}"}, Vars: map[string]string{"BIND": "{{bind}}"}, Port: 5000, Ready: "/health"})
	require.NoError(t, err)
	assert.Equal(t, "mlflow:5000", running.Inside)
	assert.Equal(t, strings.TrimPrefix(server.URL, "http://"), running.Address)
	_, err = r.Run(t.Context(), runner.Step{Name: "x", Env: runner.Environment{Python: "3.11"}, Args: []string{"get", "{{mlflow}}"}, Services: map[string]*runner.Running{"mlflow": running}})
	require.NoError(t, err)
	require.NoError(t, running.Stop(t.Context()))
	require.NoError(t, running.Stop(t.Context()))
	golden(t, "service.graphql", e)
}

func TestAServiceThatIsNeverReadyIsStoppedAndSaysWhatItAnswered(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer server.Close()
	e, r := newRunner(t, passed)
	e.Answer("endpoint", strings.TrimPrefix(server.URL, "http://"))
	_, err := r.Start(t.Context(), runner.Service{Name: "s3", Env: runner.Environment{Python: "3.11"}, Args: []string{"serve"}, Ready: "/", StartTimeout: 200 * time.Millisecond})
	var start *runner.StartError
	require.ErrorAs(t, err, &start)
	assert.Equal(t, "s3", start.Service)
	assert.ErrorContains(t, err, "status 503")
	assert.Contains(t, e.Queries(), "stop(kill: true)")
}

func TestAServiceThatEndsAtOnceGivesItsOutput(t *testing.T) {
	e, r := newRunner(t, passed)
	e.Answer("start", &daggertest.ExecError{Cmd: []string{"serve"}, ExitCode: 1, Stderr: "cannot bind"})
	_, err := r.Start(t.Context(), runner.Service{Name: "s3", Env: runner.Environment{Python: "3.11"}, Args: []string{"serve"}})
	var start *runner.StartError
	require.ErrorAs(t, err, &start)
	assert.Contains(t, start.Logs, "cannot bind")
}

func TestFilesOfAnotherRunnerAreRefused(t *testing.T) {
	_, r := newRunner(t, passed)
	foreign := fake.Files(map[string]string{"a": "b"})
	_, err := r.Directory(foreign)
	require.ErrorContains(t, err, "does not belong to the engine runner")
	_, err = r.NewFiles(nil).With("x", foreign).List(t.Context())
	require.ErrorContains(t, err, "does not belong to the engine runner")
	_, err = r.Run(t.Context(), runner.Step{Name: "x", Env: runner.Environment{Python: "3.11"}, Args: []string{"a"}, Inputs: []runner.Mount{{Path: ".", Files: foreign}}})
	require.ErrorContains(t, err, "prepare step x")
}

func TestNewFilesRefusesWhatIsNoText(t *testing.T) {
	_, r := newRunner(t, passed)
	files := r.NewFiles(map[string][]byte{"model.keras": {0xff, 0xfe}}).Filter([]string{"*"}, nil).Sub(".").With("a", r.NewFiles(nil))
	_, err := files.List(t.Context())
	require.ErrorContains(t, err, "model.keras")
	_, err = files.Read(t.Context(), "model.keras", 10)
	require.ErrorContains(t, err, "not UTF-8")
	require.ErrorContains(t, files.Export(t.Context(), t.TempDir()), "not UTF-8")
	_, err = files.Digest(t.Context())
	require.ErrorContains(t, err, "not UTF-8")
}

func TestFiles(t *testing.T) {
	e, r := newRunner(t, passed)
	e.Answer("glob", []string{"b", "dir/", "dir/c", "a"})
	e.Answer("exists", true)
	e.Answer("size", 5)
	e.Answer("digest", "sha256:abc")
	e.AnswerFunc("file.export", func(call daggertest.Call) (any, error) {
		_, path, _ := strings.Cut(call.Query, `export(path: "`)
		path, _, _ = strings.Cut(path, `"`)
		return path, os.WriteFile(path, []byte("\xffhello"), 0o600)
	})
	e.AnswerFunc("withNewFile.export", func(daggertest.Call) (any, error) { return "", nil })
	files := r.NewFiles(map[string][]byte{"b": nil, "a": nil})

	names, err := files.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "dir/c"}, names, "sorted, without directories")

	e.Answer("file.contents", "hello")
	content, err := files.Read(t.Context(), "a", 5)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(content))
	e.Answer("file.contents", "\uFFFDhello")
	content, err = files.Read(t.Context(), "a", 5)
	require.NoError(t, err)
	assert.Equal(t, "\xffhello", string(content), "bytes as they are")
	e.Answer("file.size", 2<<20)
	e.Answer("file.contents", errors.New("too much for an answer"))
	content, err = files.Read(t.Context(), "a", 3<<20)
	require.NoError(t, err)
	assert.Equal(t, "\xffhello", string(content), "by way of a file")

	_, err = files.Read(t.Context(), "a", 4)
	require.ErrorIs(t, err, runner.ErrTooLarge)

	e.Answer("exists", false)
	e.Answer("file.size", errors.New("no such file"))
	_, err = files.Read(t.Context(), "a", 5)
	require.ErrorIs(t, err, fs.ErrNotExist)

	digest, err := files.Digest(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "sha256:abc", digest)
	require.NoError(t, files.Export(t.Context(), filepath.Join(t.TempDir(), "new")))
}

func TestAFileThatIsInNoListIsNotAskedFor(t *testing.T) {
	e, r := newRunner(t, passed)
	e.Answer("glob", []string{"a", "linked"})
	e.Answer("file.size", 3)
	e.Answer("file.contents", "abc")
	files := r.Source(r.Client().Directory())
	names, err := files.List(t.Context())
	require.NoError(t, err)
	names[0] = "changed by the caller"
	asked := len(e.Calls())

	again, err := files.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "linked"}, again)
	_, err = files.Read(t.Context(), "./pipeline.yaml", 10)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = files.Size(t.Context(), "b")
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Len(t, e.Calls(), asked)

	content, err := files.Read(t.Context(), "linked/c", 10)
	require.NoError(t, err, "a link to a directory hides what is in it")
	assert.Equal(t, "abc", string(content))
}

func TestWhatTheEngineRefusesIsSaidWithTheFile(t *testing.T) {
	e, r := newRunner(t, passed)
	files := r.NewFiles(map[string][]byte{"a": nil})
	for _, field := range []string{"glob", "exists", "size", "file.contents", "digest", "export"} {
		e.Answer(field, errors.New("engine gone"))
	}
	_, err := files.List(t.Context())
	require.ErrorContains(t, err, "list files")
	_, err = files.Read(t.Context(), "a", 1)
	require.ErrorContains(t, err, "measure a: ")
	require.NotErrorIs(t, err, fs.ErrNotExist, "nobody knows")
	_, err = files.Digest(t.Context())
	require.ErrorContains(t, err, "digest files")
	require.ErrorContains(t, files.Export(t.Context(), t.TempDir()), "export files")
	e.Answer("exists", true)
	_, err = files.Read(t.Context(), "a", 1)
	require.ErrorContains(t, err, "measure a: ")
	for _, size := range []int{1, 2 << 20} {
		e.Answer("size", size)
		_, err = files.Read(t.Context(), "a", 3<<20)
		require.ErrorContains(t, err, "read a: ")
	}
}

func TestTheRunnerNamesItselfAndItsImages(t *testing.T) {
	_, r := newRunner(t, passed)
	assert.Equal(t, "engine", r.Name())
	assert.Equal(t, "python:3.12-slim", r.Image("3.12"))
	assert.Equal(t, "mirror/3.12", New(r.Client(), Options{Image: func(p string) string { return "mirror/" + p }}).Image("3.12"))
}

func TestCloseSaysWhatItCouldNotStop(t *testing.T) {
	e := daggertest.New(t)
	e.Answer("endpoint", "127.0.0.1:1")
	e.Answer("stop", errors.New("engine gone"))
	r := New(e.Client(t), Options{})
	_, err := r.Start(t.Context(), runner.Service{Name: "s3", Env: runner.Environment{Python: "3.11"}, Args: []string{"serve"}})
	require.NoError(t, err)
	require.ErrorContains(t, r.Close(t.Context()), "stop service s3")
	require.NoError(t, r.Close(t.Context()))
}

func TestInsideOfAModuleCloseDoesNotSitOutTheEndOfAService(t *testing.T) {
	e := daggertest.New(t)
	e.Answer("endpoint", "127.0.0.1:1")
	asked, ended := make(chan struct{}), make(chan struct{})
	e.AnswerFunc("stop", func(daggertest.Call) (any, error) { close(asked); <-ended; return "id", nil })
	r := New(e.Client(t), Options{})
	_, err := r.Start(t.Context(), runner.Service{Name: "s3", Env: runner.Environment{Python: "3.11"}, Args: []string{"serve"}})
	require.NoError(t, err)
	require.NoError(t, r.Close(t.Context()))
	<-asked
	close(ended)
}

func TestAServiceOfSomebodyElseIsAdoptedByItsFirstPort(t *testing.T) {
	e, r := newRunner(t, passed)
	e.Answer("ports", []map[string]any{{"port": 5000}})
	e.Answer("endpoint", "127.0.0.1:1")
	svc := r.Client().Container().AsService()
	running, err := r.Adopt(t.Context(), "mlflow", svc)
	require.NoError(t, err)
	assert.Equal(t, "mlflow:5000", running.Inside)
	require.NoError(t, running.Stop(t.Context()))
	require.NoError(t, r.Close(t.Context()))
	assert.NotContains(t, e.Queries(), "stop", "it is the caller's to end")

	e.Answer("ports", []map[string]any{})
	_, err = r.Adopt(t.Context(), "mlflow", svc)
	require.ErrorContains(t, err, "it exposes no port")
	e.Answer("ports", errors.New("engine gone"))
	_, err = r.Adopt(t.Context(), "mlflow", svc)
	require.ErrorContains(t, err, "engine gone")
}

func TestFilesInMemoryKeepTheirContentWhenTheyAreFiltered(t *testing.T) {
	for name, narrow := range map[string]func(runner.Files) runner.Files{
		"by a pattern":   func(f runner.Files) runner.Files { return f.Filter([]string{"dir/**"}, nil) },
		"to a directory": func(f runner.Files) runner.Files { return f.Sub("dir") },
	} {
		t.Run(name, func(t *testing.T) {
			e, r := newRunner(t, passed)
			e.Answer("glob", []string{})
			_, err := narrow(r.NewFiles(map[string][]byte{"dir/in": []byte("the content"), "other": []byte("left out")})).List(t.Context())
			require.NoError(t, err)
			assert.Contains(t, e.Queries(), `contents: "the content"`)
			assert.NotContains(t, e.Queries(), "left out")
		})
	}
}
