package assembly

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/probe"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// application answers every path with a status.
func application(t *testing.T, status int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func request(files map[string]string) pipeline.ImageRequest {
	cfg := config.Default()
	cfg.Image.Requirements = []string{"requirements/serve.lock"}
	cfg.Image.StartBudget = config.Duration(500 * time.Millisecond)
	cfg.Image.Successes = 1
	return pipeline.ImageRequest{
		Config: cfg, Source: fake.Files(files),
		Model: &model.Artifact{Files: fake.Files(map[string]string{"lstm_model.keras": "model"})},
	}
}

var locked = map[string]string{"requirements/serve.lock": "six==1.17.0 --hash=sha256:00", "serve.py": "", "tests/test_a.py": ""}

func TestTheApplicationIsStartedWithTheModelAndProbed(t *testing.T) {
	r := fake.New()
	stopped := 0
	r.OnStart(func(runner.Service) (*runner.Running, error) {
		return &runner.Running{Name: "app", Address: application(t, 200), Stop: func(context.Context) error { stopped++; return nil }}, nil
	})
	result := serveApp(t.Context(), r, request(locked))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Equal(t, 1, stopped)
	assert.Empty(t, result.Reference, "a process is no image")

	service := r.Services()[0]
	assert.Equal(t, [][]string{{"uv", "pip", "install", "--require-hashes", "-r", "requirements/serve.lock"}}, service.Env.Install)
	assert.Equal(t, 7051, service.Port)
	names, err := service.Inputs[0].Files.List(t.Context())
	require.NoError(t, err)
	assert.Contains(t, names, "serve.py")
	assert.NotContains(t, names, "tests/test_a.py", "the application as the image has it")
	assert.Equal(t, "models", service.Inputs[1].Path)
}

func TestCodeBesideTheModelIsServedAndAnOldModelIsNot(t *testing.T) {
	r := fake.New()
	r.OnStart(func(runner.Service) (*runner.Running, error) {
		return &runner.Running{Name: "app", Address: application(t, 200), Stop: func(context.Context) error { return nil }}, nil
	})
	serveApp(t.Context(), r, request(map[string]string{"requirements/serve.lock": locked["requirements/serve.lock"], "serve.py": "",
		"models/schemas.py": "", "models/deep/a.py": "", "models/test_a.py": "", "models/old.keras": "", "models/config.json": ""}))
	names, err := r.Services()[0].Inputs[0].Files.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"models/deep/a.py", "models/schemas.py", "serve.py"}, names)
}

func TestServingIsInstalledFromWhatTheImageWouldBe(t *testing.T) {
	install := func(files map[string]string, named ...string) [][]string {
		t.Helper()
		r, asked := fake.New(), request(files)
		asked.Config.Image.Requirements = named
		stage := &verdict.Stage{}
		project, _, problem := servingEnvironment(t.Context(), r, asked, stage)
		require.Nil(t, problem)
		return project.Environment(r, asked.Source).Install
	}
	assert.Equal(t, [][]string{{"uv", "pip", "install", "-r", "requirements/serve.lock"}},
		install(map[string]string{"requirements/serve.lock": "six"}, "requirements/serve.lock"))
	assert.Equal(t, [][]string{{"uv", "pip", "install", "--require-hashes", "-r", "requirements/serve.lock"}}, install(locked),
		"without image.requirements the usual files are looked for, as for an image")
	assert.Equal(t, [][]string{{"uv", "pip", "install", "-r", "requirements.txt"}}, install(map[string]string{"requirements.txt": "six"}))

	bare := request(map[string]string{"serve.py": ""})
	bare.Config.Image.Requirements = nil
	_, _, problem := servingEnvironment(t.Context(), fake.New(), bare, &verdict.Stage{})
	require.NotNil(t, problem)
	assert.Contains(t, problem.Cause, "none of requirements/serve.lock")
}

func TestAnApplicationThatCannotBeServedFails(t *testing.T) {
	for sentence, c := range map[string]struct {
		files map[string]string
		start func(runner.Service) (*runner.Running, error)
		code  verdict.Code
		cause string
	}{
		"no requirements": {map[string]string{}, nil, image.CodeRequirementsMissing, "requirements/serve.lock is not in the source"},
		"no environment": {locked, func(runner.Service) (*runner.Running, error) { return nil, errors.New("disk full") },
			CodeServeFailed, "disk full"},
		"an installation that fails": {locked, func(runner.Service) (*runner.Running, error) {
			return nil, &runner.EnvironmentError{Command: []string{"uv"}, Output: "no version of six==99", Err: errors.New("exit code 1")}
		}, image.CodeEnvFailed, "exit code 1"},
		"a crash": {locked, func(runner.Service) (*runner.Running, error) {
			return nil, &runner.StartError{Service: "app", Logs: "OSError: libgomp.so.1: cannot open shared object file: No such file or directory", Err: errors.New("exit code 1")}
		}, probe.CodeCrashed, "exit code 1"},
		"it does not listen": {locked, func(runner.Service) (*runner.Running, error) {
			return nil, &runner.StartError{Service: "app", Alive: true, Port: 40001, Err: errors.New("it was not ready after 500ms")}
		}, probe.CodeNotListening, "nothing answers after 500ms"},
		"it listens elsewhere": {locked, func(runner.Service) (*runner.Running, error) {
			return nil, &runner.StartError{Service: "app", Alive: true, Port: 40001, Err: errors.New("it was not ready"),
				Sockets: "   0: 00000000:2135 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"}
		}, image.CodeElsewhere, "it listens on 0.0.0.0:8501, not on port 40001"},
		"it listens on the loopback interface only": {locked, func(runner.Service) (*runner.Running, error) {
			return nil, &runner.StartError{Service: "app", Alive: true, Port: 8501, Err: errors.New("it was not ready"),
				Sockets: "   0: 0100007F:2135 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"}
		}, image.CodeElsewhere, "it listens on 127.0.0.1:8501, not on port 8501 of all addresses"},
		"it ends while it is probed": {locked, func(runner.Service) (*runner.Running, error) {
			return &runner.Running{Address: application(t, 500), Logs: func() string { return "Traceback" },
				Ended: func() (string, bool) { return "exit code 3", true }}, nil
		}, probe.CodeCrashed, "without having been healthy: exit code 3"},
		"never healthy": {locked, func(runner.Service) (*runner.Running, error) {
			return &runner.Running{Address: application(t, 500), Logs: func() string { return "Traceback" }}, nil
		}, verdict.Code{}, "500"},
		"it does not end": {locked, func(runner.Service) (*runner.Running, error) {
			return &runner.Running{Address: application(t, 200), Stop: func(context.Context) error { return errors.New("still there") }}, nil
		}, CodeServeFailed, "stop the application: still there"},
	} {
		t.Run(sentence, func(t *testing.T) {
			r := fake.New()
			if c.start != nil {
				r.OnStart(c.start)
			}
			stage := serveApp(t.Context(), r, request(c.files)).Stage
			require.NotEqual(t, verdict.Pass, stage.Verdict)
			if c.code.Name != "" {
				assert.Equal(t, c.code.Name, stage.Code)
			}
			assert.Contains(t, stage.Cause, c.cause)
			if sentence == "a crash" {
				assert.Contains(t, stage.Next, "system_packages: [libgomp1]")
			}
			if c.code.Name == image.CodeEnvFailed.Name {
				assert.Contains(t, stage.Next, "name in requirements/serve.lock, and lock it again: uv pip compile")
			}
		})
	}
}

func TestMakingTheEnvironmentIsNoPartOfTheStart(t *testing.T) {
	for sentence, c := range map[string]struct {
		started time.Time
		want    verdict.Outcome
	}{
		"the process has just been started": {time.Now().Add(time.Hour), verdict.Pass},
		"it used up its time":               {time.Now().Add(-time.Hour), verdict.Fail},
	} {
		r := fake.New().OnStart(func(runner.Service) (*runner.Running, error) {
			return &runner.Running{Started: c.started, Address: application(t, 503)}, nil
		})
		if c.want == verdict.Pass {
			r.OnStart(func(runner.Service) (*runner.Running, error) {
				return &runner.Running{Started: c.started, Address: application(t, 200)}, nil
			})
		}
		stage := serveApp(t.Context(), r, request(locked)).Stage
		assert.Equal(t, c.want, stage.Verdict, sentence)
		assert.NotContains(t, stage.Cause, "-", sentence)
	}
}

// Where another process has image.port, a command with a port of its own gets another.
func TestAPortOfTheCommandsOwnIsTold(t *testing.T) {
	r := fake.New().OnStart(func(runner.Service) (*runner.Running, error) {
		return nil, &runner.StartError{Service: "app", Alive: true, Port: 40001, Err: errors.New("it was not ready"),
			Sockets: "   0: 0100007F:2135 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"}
	})
	asked := request(locked)
	asked.Config.Image.Command = []string{"python", "serve.py", "--port", "8501"}
	stage := serveApp(t.Context(), r, asked).Stage
	assert.Equal(t, image.CodeElsewhere.Name, stage.Code)
	assert.Contains(t, stage.Next, "Write {{port}} for the port into image.command")

	r = fake.New().OnStart(func(service runner.Service) (*runner.Running, error) {
		return nil, &runner.StartError{Service: "app", Alive: true, Port: service.Port, Err: errors.New("it was not ready"),
			Sockets: "   0: 00000000:2135 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"}
	})
	asked.Config.Image.Port = 9000
	stage = serveApp(t.Context(), r, asked).Stage
	assert.Equal(t, "it listens on 0.0.0.0:8501, not on image.port, which is 9000", stage.Cause)
	assert.Contains(t, stage.Next, "write its port into image.port")
}

func TestHostsThatAnUnhealthyApplicationCouldNotReachAreNamed(t *testing.T) {
	r := fake.New().OnStart(func(runner.Service) (*runner.Running, error) {
		return &runner.Running{Address: application(t, 500), Logs: func() string { return "curl: (6) Could not resolve host: models.example.org" }}, nil
	})
	stage := serveApp(t.Context(), r, request(locked)).Stage
	require.Len(t, stage.Warnings, 1)
	assert.Equal(t, "NETWORK_REFUSED", stage.Warnings[0].Code)
	assert.Contains(t, stage.Warnings[0].Cause, "models.example.org")
}

func TestWhatACrashPrintedIsKept(t *testing.T) {
	r := fake.New().OnStart(func(runner.Service) (*runner.Running, error) {
		return nil, &runner.StartError{Service: "app", Logs: "ImportError: six", Err: errors.New("exit code 1")}
	})
	stage := serveApp(t.Context(), r, request(locked)).Stage
	assert.Equal(t, []string{"ImportError: six"}, stage.Problems[0].Details)
}

func TestTheModelIsLoadedInTheServingEnvironmentFirst(t *testing.T) {
	for sentence, c := range map[string]struct {
		ran   runner.Result
		err   error
		code  verdict.Code
		cause string
	}{
		"it loads":          {ran: runner.Result{Stdout: "loaded models/m.keras with keras 3.15.1: Sequential\n"}},
		"there is no Keras": {ran: runner.Result{ExitCode: 77, Stdout: "nothing here loads it: Keras 3.15.1 saved it\n"}},
		"a class of others": {ran: runner.Result{ExitCode: 78, Stderr: "error: Could not locate class L\n"}},
		"Keras is older": {ran: runner.Result{ExitCode: 1, Stderr: "error: Keras 3.15.1 saved it, keras 3.14.1 does not load it\n"},
			code: image.CodeUnreadable, cause: "Keras 3.15.1 saved it, keras 3.14.1 does not load it"},
		"it scores otherwise": {ran: runner.Result{ExitCode: 79, Stderr: "error: output 0: 0.5, and 0.9 after the training\n"},
			code: image.CodeGolden, cause: "0.5, and 0.9"},
		"the interpreter dies": {ran: runner.Result{ExitCode: 139}, code: image.CodeUnreadable, cause: "exit code 139"},
		"it does not end":      {ran: runner.Result{ExitCode: 143, TimedOut: true}, code: image.CodeLoadTimeout, cause: "within 10m0s"},
		"the step is not run":  {err: errors.New("disk full"), code: CodeServeFailed, cause: "disk full"},
	} {
		t.Run(sentence, func(t *testing.T) {
			r := fake.New().OnStart(func(runner.Service) (*runner.Running, error) {
				return &runner.Running{Address: application(t, 200)}, nil
			})
			r.OnRun(func(runner.Step) (*runner.Result, error) { return &c.ran, c.err })
			asked := request(locked)
			asked.Model.File, asked.Model.Format, asked.Model.Golden = "m.keras", "keras", "golden.json"
			asked.Config.Train.ScoreCommand = nil
			stage := serveApp(t.Context(), r, asked).Stage
			assert.Equal(t, c.code.Name, stage.Code, stage.Failure())
			assert.Contains(t, stage.Cause, c.cause)
			assert.Len(t, r.Services(), map[bool]int{true: 1}[c.code.Name == ""], "what cannot load its model is not started")
			asked.Model.Unseen, asked.Model.Format = "pickle", ""
			assert.NotContains(t, []string{image.CodeUnreadable.Name, image.CodeLoadTimeout.Name}, serveApp(t.Context(), r, asked).Stage.Code,
				"a format that can run code is not loaded")
		})
	}
}
