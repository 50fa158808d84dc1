package conformance

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// web is a service that serves its inputs.
func (s *suite) web(name string, content map[string]string) runner.Service {
	return runner.Service{
		Name:   name,
		Env:    runner.Environment{Python: s.opts.Python},
		Inputs: []runner.Mount{{Path: ".", Files: s.texts(content)}},
		Args:   []string{"python", "-u", "-m", "http.server", "--bind", "{{bind}}", "{{port}}"},
		Vars:   map[string]string{"NONCE": s.nonce},
		Port:   8099,
	}
}

func (s *suite) start(t *testing.T, service runner.Service) *runner.Running {
	t.Helper()
	running, err := s.runner.Start(t.Context(), service)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, running.Stop(context.WithoutCancel(t.Context()))) })
	return running
}

// get asks a service from this process.
func get(t *testing.T, running *runner.Running, path string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+running.Address+path, nil)
	require.NoError(t, err)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return string(body), nil
}

func (s *suite) services(t *testing.T) {
	t.Run("are reached from this process and from steps", func(t *testing.T) {
		service := s.web("web", map[string]string{"health": "ok", "x y.txt": "from the service"})
		service.Ready = "/health"
		running := s.start(t, service)
		assert.Equal(t, "web", running.Name)
		body, err := get(t, running, "/x%20y.txt")
		require.NoError(t, err)
		assert.Equal(t, "from the service", body)

		step := s.python(`import os, sys, urllib.request
for url in sys.argv[1], os.environ["URL"]:
    print(urllib.request.urlopen(url).read().decode())`)
		step.Args = append(step.Args, "http://{{files}}/x%20y.txt")
		step.Vars["URL"] = "http://{{files}}/health"
		step.Services = map[string]*runner.Running{"files": running}
		assert.Equal(t, "from the service\nok\n", s.succeed(t, step).Stdout)
	})
	t.Run("reach each other", func(t *testing.T) {
		first := s.start(t, s.web("first", map[string]string{"a": "of the first"}))
		service := s.web("second", nil)
		service.Services = map[string]*runner.Running{"first": first}
		service.Args = []string{"python", "-c", `import http.server, sys, urllib.request
open("b", "wb").write(urllib.request.urlopen("http://{{first}}/a").read())
http.server.test(http.server.SimpleHTTPRequestHandler, port=int("{{port}}"), bind="{{bind}}")`}
		body, err := get(t, s.start(t, service), "/b")
		require.NoError(t, err)
		assert.Equal(t, "of the first", body)
	})
	t.Run("of the same kind run side by side", func(t *testing.T) {
		one := s.start(t, s.web("one", map[string]string{"a": "1"}))
		two := s.start(t, s.web("two", map[string]string{"a": "2"}))
		for running, want := range map[*runner.Running]string{one: "1", two: "2"} {
			body, err := get(t, running, "/a")
			require.NoError(t, err)
			assert.Equal(t, want, body)
		}
	})
	t.Run("that a step needs live with it and do not keep it from the cache", func(t *testing.T) {
		step := func(content string) runner.Step {
			step := s.python(`import sys, urllib.request, uuid
print(urllib.request.urlopen("http://{{needed}}/a").read().decode(), uuid.uuid4())`)
			step.Needs = []runner.Service{s.web("needed", map[string]string{"a": content})}
			return step
		}
		first := s.succeed(t, step("1"))
		assert.True(t, strings.HasPrefix(first.Stdout, "1 "), first.Stdout)
		assert.Equal(t, first.Stdout, s.succeed(t, step("1")).Stdout, "answered from the cache")
		assert.True(t, strings.HasPrefix(s.succeed(t, step("2")).Stdout, "2 "), "what it needs is part of what it is")
	})
	t.Run("are gone once stopped", func(t *testing.T) {
		running := s.start(t, s.web("brief", nil))
		require.NoError(t, running.Stop(t.Context()))
		require.NoError(t, running.Stop(t.Context()), "stopping twice is no mistake")
		_, err := get(t, running, "/")
		require.Error(t, err)
	})
	for sentence, c := range map[string]struct {
		program, ready, want string
	}{
		"that die early are an error with what they said": {`raise SystemExit("boom: no database")`, "", "boom: no database"},
		"that never listen are an error":                  {`import time; print("waiting", flush=True); time.sleep(600)`, "", ""},
		"that are never ready are an error": {`import http.server
http.server.test(http.server.SimpleHTTPRequestHandler, port=int("{{port}}"), bind="{{bind}}")`, "/no-such-page", "404"},
	} {
		t.Run(sentence, func(t *testing.T) {
			service := s.web("broken", nil)
			service.Args = []string{"python", "-c", c.program}
			service.Ready, service.StartTimeout = c.ready, 5*time.Second
			began := time.Now()
			running, err := s.runner.Start(t.Context(), service)
			var failed *runner.StartError
			require.ErrorAs(t, err, &failed)
			assert.Nil(t, running)
			assert.Equal(t, "broken", failed.Service)
			assert.Contains(t, failed.Logs+failed.Error(), c.want)
			assert.Less(t, time.Since(began), time.Minute)
		})
	}
}
