package probe_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/probe"
)

// app answers a path after some time; 0 hangs up, and body %s is the path.
func app(t *testing.T, clock *fakeClock, answer func(path string, after time.Duration) (status int, body string)) string {
	t.Helper()
	start := clock.Now()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, body := answer(r.URL.Path, clock.Now().Sub(start))
		if code == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(code)
		_, err := w.Write([]byte(strings.ReplaceAll(body, "%s", r.URL.Path)))
		assert.NoError(t, err)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// routes is a complete server: its paths answer 200, all others 404.
func routes(paths ...string) func(string, time.Duration) (int, string) {
	return func(path string, _ time.Duration) (int, string) {
		for _, known := range paths {
			if path == known {
				return 200, "here"
			}
		}
		return 404, `{"detail": "%s not found"}`
	}
}

// TestAWrongHealthPathIsToldSoon: not after the whole budget of two minutes.
func TestAWrongHealthPathIsToldSoon(t *testing.T) {
	for sentence, c := range map[string]struct {
		answer      func(string, time.Duration) (int, string)
		paths       []string
		cause, next string
	}{
		"another health path": {routes("/", "/healthz", "/predict"), []string{"/health"},
			"it answers, but has no /health: status 404 for 2", "Set image.health: /healthz in pipeline.yaml, which answers 200"},
		"only a page": {routes("/"), []string{"/health"}, "as for any path that it does not have, while / is there",
			"Set image.health in pipeline.yaml to a path that the application has"},
		"an API with its description": {routes("/openapi.json", "/predict"), []string{"/up"}, "while /openapi.json is there", "Set image.health in"},
		"the script's path":           {routes("/up", "/livez"), []string{"/up", "/script"}, "has no /script", "Set image.script_health in"},
		"a path that is only posted to": {func(path string, _ time.Duration) (int, string) {
			if path == "/predict" {
				return 405, "no"
			}
			return 404, "no"
		}, []string{"/predict"}, "/predict takes no GET: status 405 for 2", "Let /predict answer GET, or set image.health"},
		"after a slow start": {func(path string, after time.Duration) (int, string) {
			if after < 50*time.Second {
				return 503, "loading"
			}
			return routes("/")(path, after)
		}, []string{"/health"}, "has no /health: status 404 for 2", "Set image.health"},
	} {
		t.Run(sentence, func(t *testing.T) {
			clock := newClock()
			p := target(app(t, clock, c.answer))
			p.Clock, p.Paths, p.Budget = clock, c.paths, 2*time.Minute
			r := probe.Run(context.Background(), p)
			require.NotNil(t, r.Problem)
			assert.Equal(t, probe.CodeUnhealthy, r.Problem.Code)
			assert.Contains(t, r.Problem.Cause, c.cause)
			assert.Contains(t, r.Problem.Next, c.next)
			assert.Less(t, r.Elapsed, 80*time.Second)
		})
	}
}

// TestASlowStarterIsNotGivenUp: each of them is healthy in the end, long after a wrong path would have been told.
func TestASlowStarterIsNotGivenUp(t *testing.T) {
	const ready = 100 * time.Second
	missing := func(string) (int, string) { return 404, "no %s" }
	for sentence, before := range map[string]func(path string) (int, string){
		"503":                func(string) (int, string) { return 503, "loading" },
		"500":                func(string) (int, string) { return 500, "no model" },
		"502 of a gateway":   func(string) (int, string) { return 502, "no upstream" },
		"it hangs up":        func(string) (int, string) { return 0, "" },
		"401":                func(string) (int, string) { return 401, "no" },
		"404 for everything": missing,
		"405 for everything": func(string) (int, string) { return 405, "no" },
		"404 with its own reason": func(path string) (int, string) {
			if path == "/health" {
				return 404, "model m is not loaded"
			}
			return routes("/", "/livez")(path, 0)
		},
		"404 with a time in it": func(string) (int, string) {
			return 404, fmt.Sprintf(`{"timestamp": %d}`, time.Now().UnixNano())
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			clock := newClock()
			p := target(app(t, clock, func(path string, after time.Duration) (int, string) {
				if after < ready {
					return before(path)
				}
				return routes("/", "/health", "/livez")(path, after)
			}))
			p.Clock, p.Budget = clock, 2*time.Minute
			r := probe.Run(context.Background(), p)
			require.True(t, r.Healthy, "%v", r.Problem)
			assert.GreaterOrEqual(t, r.TimeToHealthy, ready)
		})
	}
	t.Run("404 by turns with 503", func(t *testing.T) {
		clock, n := newClock(), 0
		p := target(app(t, clock, func(path string, after time.Duration) (int, string) {
			if n++; path == "/health" && after < ready {
				return 503 - 99*(n%2), "no %s"
			}
			return routes("/", "/health")(path, after)
		}))
		p.Clock, p.Budget = clock, 2*time.Minute
		require.True(t, probe.Run(context.Background(), p).Healthy)
	})
	t.Run("a page that says wait, for less than the part of a long budget", func(t *testing.T) {
		clock := newClock()
		p := target(app(t, clock, func(path string, after time.Duration) (int, string) {
			if path == "/health" && after < 90*time.Second {
				return missing(path)
			}
			return routes("/", "/health")(path, after)
		}))
		p.Clock, p.Budget = clock, 10*time.Minute
		require.True(t, probe.Run(context.Background(), p).Healthy, "who allows ten minutes has a slow application")
	})
}

// TestAPathThatWasNeverThereIsNamedInTheEnd, where nothing proved it before.
func TestAPathThatWasNeverThereIsNamedInTheEnd(t *testing.T) {
	clock := newClock()
	p := target(app(t, clock, routes()))
	p.Clock, p.Budget = clock, 2*time.Minute
	r := probe.Run(context.Background(), p)
	require.NotNil(t, r.Problem)
	assert.Contains(t, r.Problem.Cause, "after 2m0s: /health: status 404")
	assert.Contains(t, r.Problem.Next, "Set image.health in pipeline.yaml to a path that the application has; raise image.start_budget if")
}

func TestTheCheckIsNotWhatAnApplicationSays(t *testing.T) {
	const access = `127.0.0.1 - - [30/Nov/2026] "GET %s HTTP/1.1" 404 -`
	said := func(path string) string { return fmt.Sprintf(access, path) }
	lines := []string{"loading", said("/up"), "\x1b[33mGET /up HTTP/1.1\x1b[0m 404", said("/openstack-rca-0a"), said("/healthz"), said("/other"), "Traceback: GET /up failed"}
	assert.Equal(t, []string{"loading", said("/other"), "Traceback: GET /up failed", "(and 4 lines about the requests of this check)"},
		probe.WithoutOwn(lines, "/up"))
	assert.Equal(t, lines[:1], probe.WithoutOwn(lines[:1], "/up"))
	assert.Empty(t, probe.WithoutOwn(nil))
}

// TestWhatIsWaitedForIsTold while it is: not only in the end.
func TestWhatIsWaitedForIsTold(t *testing.T) {
	clock := newClock()
	var told []string
	p := target(app(t, clock, func(path string, after time.Duration) (int, string) {
		switch {
		case after < 8*time.Second:
			return 0, ""
		case after < 100*time.Second:
			return 503, "loading"
		}
		return routes("/health")(path, after)
	}))
	p.Clock, p.Budget, p.Tell = clock, 2*time.Minute, func(line string) { told = append(told, line) }
	require.True(t, probe.Run(context.Background(), p).Healthy)
	require.GreaterOrEqual(t, len(told), 3)
	assert.LessOrEqual(t, len(told), 7)
	assert.Contains(t, told[0], "/health: connection closed without an answer; it has until 2m0s")
	assert.Regexp(t, `^not healthy after \d+s: /health: status 503; it has until 2m0s$`, told[1])
}
