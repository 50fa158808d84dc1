package probe_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/probe"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// fakeClock moves only when somebody waits.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
	// step is added at each look: requests take time too.
	step time.Duration
}

func newClock() *fakeClock { return &fakeClock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.step)
	return c.now
}

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return ctx.Err()
}

// server answers the n-th request (from 0) with a status; 0 hangs up.
func server(t *testing.T, status func(n int, path string) int) string {
	t.Helper()
	var mu sync.Mutex
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		code := status(n, r.URL.Path)
		n++
		mu.Unlock()
		if code == 0 {
			panic(http.ErrAbortHandler)
		}
		if code == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(code)
		_, err := w.Write([]byte("status says\n" + http.StatusText(code)))
		assert.NoError(t, err)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func target(address string) probe.Target {
	return probe.Target{Address: address, Paths: []string{"/health"}, Successes: 3, Budget: time.Minute, Interval: time.Second, Clock: newClock()}
}

func TestNoTwoImpossiblePathsAreTheSame(t *testing.T) {
	assert.NotEqual(t, probe.Impossible(), probe.Impossible())
	assert.True(t, strings.HasPrefix(probe.Impossible(), "/openstack-rca-"))
}

func TestHealthyAtOnce(t *testing.T) {
	r := probe.Run(context.Background(), target(server(t, func(int, string) int { return 200 })))
	require.True(t, r.Healthy)
	assert.Nil(t, r.Problem)
	assert.Equal(t, 3, r.Attempts)
	assert.Equal(t, time.Duration(0), r.TimeToHealthy)
	assert.Equal(t, "status says\nOK", r.Last.Body)
	assert.Equal(t, 200, r.Last.Status)
}

func TestASlowStartPassesAndIsMeasured(t *testing.T) {
	clock := newClock()
	start := clock.Now()
	p := target(server(t, func(int, string) int {
		if clock.Now().Sub(start) < 45*time.Second {
			return 503
		}
		return 200
	}))
	p.Clock = clock
	r := probe.Run(context.Background(), p)
	require.True(t, r.Healthy)
	assert.InDelta(t, 45, r.TimeToHealthy.Seconds(), 4)
	assert.Less(t, r.Attempts, 48, "it asks less often as time goes by")
	assert.Equal(t, 503, r.LastBad.Status)
}

func TestFailuresHaveTheirCodes(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	dead := closed.Addr().String()
	require.NoError(t, closed.Close())

	for sentence, c := range map[string]struct {
		address func(t *testing.T) string
		change  func(*probe.Target)
		code    verdict.Code
		cause   string
	}{
		"500 forever": {
			address: func(t *testing.T) string { return server(t, func(int, string) int { return 500 }) },
			code:    probe.CodeUnhealthy, cause: "after 1m0s: /health: status 500: status says Internal Server Error",
		},
		"it hangs up": {
			address: func(t *testing.T) string { return server(t, func(int, string) int { return 0 }) },
			code:    probe.CodeNotListening, cause: "connection closed without an answer",
		},
		"a redirect is not health": {
			address: func(t *testing.T) string { return server(t, func(int, string) int { return 302 }) },
			code:    probe.CodeUnhealthy, cause: "status 302",
		},
		"nobody listens": {
			address: func(*testing.T) string { return dead },
			code:    probe.CodeNotListening, cause: "connection refused",
		},
		"healthy every other time": {
			address: func(t *testing.T) string { return server(t, func(n int, _ string) int { return 200 + 300*(n%2) }) },
			code:    probe.CodeFlapping, cause: "never 3 in a row within 1m0s",
		},
		"the script behind it fails": {
			address: func(t *testing.T) string {
				return server(t, func(_ int, path string) int {
					if path == "/script" {
						return 503
					}
					return 200
				})
			},
			change: func(p *probe.Target) { p.Paths = append(p.Paths, "/script") },
			code:   probe.CodeScriptUnhealthy, cause: "/health answers, but /script: status 503",
		},
		"it ends before it was healthy": {
			address: func(*testing.T) string { return dead },
			change: func(p *probe.Target) {
				p.Alive = func(context.Context) (bool, string, error) { return false, "exit code 3", nil }
			},
			code: probe.CodeCrashed, cause: "without having been healthy: exit code 3",
		},
		"it ends after it was healthy": {
			address: func(t *testing.T) string {
				return server(t, func(n int, _ string) int {
					if n > 1 {
						return 0
					}
					return 200
				})
			},
			change: func(p *probe.Target) {
				p.Alive = func(context.Context) (bool, string, error) { return false, "", nil }
			},
			code: probe.CodeFlapping, cause: "healthy 2 times after 0s, then it ended: the process ended",
		},
		"who cannot say whether it lives does not end the probe": {
			address: func(*testing.T) string { return dead },
			change: func(p *probe.Target) {
				p.Alive = func(context.Context) (bool, string, error) { return false, "", errors.New("no idea") }
			},
			code: probe.CodeNotListening, cause: "after 1m0s",
		},
		"no path": {
			address: func(*testing.T) string { return dead },
			change:  func(p *probe.Target) { p.Paths = nil },
			code:    probe.CodeNoPath, cause: "no path",
		},
		"a wrong address": {
			address: func(*testing.T) string { return "http://\x7f" },
			code:    probe.CodeNotListening, cause: "make request",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			p := target(c.address(t))
			if c.change != nil {
				c.change(&p)
			}
			r := probe.Run(context.Background(), p)
			require.False(t, r.Healthy)
			require.NotNil(t, r.Problem)
			assert.Equal(t, c.code, r.Problem.Code)
			assert.Contains(t, r.Problem.Cause, c.cause)
			assert.LessOrEqual(t, r.Elapsed, time.Minute)
			assert.Zero(t, r.TimeToHealthy)
		})
	}
}

func TestAHangingServerEndsWithTheBudget(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(release)
	p := target(s.URL)
	p.AnswerWithin, p.Clock = 50*time.Millisecond, nil
	p.Budget, p.Interval = 120*time.Millisecond, 10*time.Millisecond
	r := probe.Run(context.Background(), p)
	require.NotNil(t, r.Problem)
	assert.Equal(t, probe.CodeUnhealthy, r.Problem.Code, "it took the connection, so it listens")
	assert.Contains(t, r.Problem.Cause, "no answer within")
	assert.Less(t, r.Elapsed, 3*time.Second)
}

func TestCancelEndsTheProbe(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p := target(server(t, func(int, string) int { cancel(); return 500 }))
	r := probe.Run(ctx, p)
	require.NotNil(t, r.Problem)
	assert.Equal(t, probe.CodeCancelled, r.Problem.Code)
	assert.Equal(t, verdict.CouldNotRun, r.Problem.Code.Outcome)

	// During the pause as well.
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	p = target(server(t, func(int, string) int { return 500 }))
	p.Clock = &cancelling{fakeClock: newClock(), cancel: cancel}
	r = probe.Run(ctx, p)
	require.NotNil(t, r.Problem)
	assert.Equal(t, probe.CodeCancelled, r.Problem.Code)
}

type cancelling struct {
	*fakeClock
	cancel func()
}

func (c *cancelling) Sleep(ctx context.Context, d time.Duration) error {
	c.cancel()
	return c.fakeClock.Sleep(ctx, d)
}

func TestTheWallClockWaits(t *testing.T) {
	p := target(server(t, func(n int, _ string) int { return 200 + 300*max(0, 1-n) }))
	p.Clock, p.Interval = nil, 5*time.Millisecond
	r := probe.Run(context.Background(), p)
	require.True(t, r.Healthy)
	assert.GreaterOrEqual(t, r.Elapsed, 15*time.Millisecond)

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	p = target(server(t, func(int, string) int { return 500 }))
	p.Clock, p.Interval = nil, time.Hour
	assert.Equal(t, probe.CodeCancelled, probe.Run(ctx, p).Problem.Code)
}

func TestLongAndBinaryBodiesAreCut(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		_, err := w.Write([]byte("\xff" + strings.Repeat("x", 1<<20)))
		if err != nil {
			return // the reader stopped reading, as it should
		}
	}))
	defer s.Close()
	r := probe.Run(context.Background(), target(s.URL))
	assert.Less(t, len(r.Last.Body), 5000)
	assert.Less(t, len(r.Problem.Cause), 500)
}

func TestAliveIsNotAskedAllTheTime(t *testing.T) {
	asked := 0
	p := target(server(t, func(int, string) int { return 500 }))
	p.AliveEvery = 10 * time.Second
	p.Alive = func(context.Context) (bool, string, error) { asked++; return true, "", nil }
	r := probe.Run(context.Background(), p)
	assert.Equal(t, probe.CodeUnhealthy, r.Problem.Code)
	assert.LessOrEqual(t, asked, 8)
	assert.GreaterOrEqual(t, asked, 5)
}

func TestHeadersAreSent(t *testing.T) {
	got := make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("X-Probe") }))
	defer s.Close()
	p := target(strings.TrimPrefix(s.URL, "http://"))
	p.Successes, p.Header = 0, http.Header{"X-Probe": {"yes"}}
	require.True(t, probe.Run(context.Background(), p).Healthy)
	assert.Equal(t, "yes", <-got)
}

func TestCodesAreComplete(t *testing.T) {
	_, err := verdict.Codes(probe.Codes())
	assert.NoError(t, err)
}

// answers serves a map of paths, and fallback for every other one.
func answers(t *testing.T, paths map[string]http.HandlerFunc, fallback http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer, ok := paths[r.URL.Path]; ok {
			answer(w, r)
			return
		}
		fallback(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func text(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		if body != "" {
			_, _ = w.Write([]byte(body)) // a client that left gets nothing
		}
	}
}

// Streamlit 1.67 answers every path with its page: /_stcore/heath as well as /_stcore/health.
// changing answers with a number that is another one each time.
func changing(kind, body string) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		fmt.Fprintf(w, body, n.Add(1))
	}
}

func TestAHealthCheckHasNoLoginAndNoHTTPS(t *testing.T) {
	for location, want := range map[string]string{
		"":                         "Let /health answer without a login, as health checks have none, or set image.health to a path that does",
		"https://localhost/health": "Let /health answer over http",
	} {
		status := http.StatusUnauthorized
		if location != "" {
			status = http.StatusMovedPermanently
		}
		address := answers(t, map[string]http.HandlerFunc{"/health": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(status)
		}}, text(404, "text/plain", ""))
		r := probe.Run(t.Context(), probe.Target{Address: address, Paths: []string{"/health"}, Budget: time.Second, Clock: newClock()})
		require.NotNil(t, r.Problem)
		assert.Contains(t, r.Problem.Next, want)
	}
}

func TestWhatIsNoHealthyAnswerHasARemedy(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		next   string
	}{
		"Django":    {text(400, "text/html", "Invalid HTTP_HOST header: '10.0.0.7:8000'. You may need to add '10.0.0.7'"), "ALLOWED_HOSTS"},
		"Starlette": {text(400, "text/plain", "Invalid host header"), "allowed_hosts"},
		"accepted":  {text(202, "text/plain", ""), "Let /health answer 200 or 204"},
	} {
		address := answers(t, map[string]http.HandlerFunc{"/health": c.answer}, text(404, "text/plain", ""))
		r := probe.Run(t.Context(), probe.Target{Address: address, Paths: []string{"/health"}, Budget: time.Second, Clock: newClock()})
		require.NotNil(t, r.Problem, name)
		assert.Equal(t, probe.CodeUnhealthy.Name, r.Problem.Code.Name, name)
		assert.Contains(t, r.Problem.Next, c.next, name)
	}
}

// A port that speaks something else is listening: it must not be told as one that does not, nor as an application that is slow.
func TestAPortThatSpeaksSomethingElseIsNamed(t *testing.T) {
	healthy := text(200, "text/plain", "ok")
	https := httptest.NewTLSServer(healthy)
	defer https.Close()
	https.Config.ErrorLog = log.New(io.Discard, "", 0)
	second := httptest.NewUnstartedServer(healthy)
	second.Config.Protocols = new(http.Protocols)
	second.Config.Protocols.SetUnencryptedHTTP2(true)
	second.Start()
	defer second.Close()
	for what, address := range map[string]string{"https": https.Listener.Addr().String(), "HTTP/2 alone": second.Listener.Addr().String()} {
		r := probe.Run(t.Context(), probe.Target{Address: address, Paths: []string{"/health"}, Budget: time.Second, Clock: newClock()})
		require.NotNil(t, r.Problem, what)
		assert.Equal(t, probe.CodeUnhealthy.Name, r.Problem.Code.Name, r.Problem.Cause)
		assert.Contains(t, r.Problem.Cause, "it speaks "+what)
		assert.Contains(t, r.Problem.Next, "plain HTTP/1.1 on image.port")
	}
}

func TestAnAnswerWithoutAnEndIsNotAMissingOne(t *testing.T) {
	address := answers(t, map[string]http.HandlerFunc{"/health": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "data: ping\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}}, text(404, "text/plain", ""))
	r := probe.Run(t.Context(), probe.Target{Address: address, Paths: []string{"/health"}, Budget: time.Second, Clock: newClock(),
		AnswerWithin: 50 * time.Millisecond})
	require.NotNil(t, r.Problem)
	assert.Contains(t, r.Problem.Cause, "status 200, and its answer does not end within")
}

func TestAHealthPathMustProveItself(t *testing.T) {
	page, missing := text(200, "text/html", "<title>Streamlit</title>"), text(404, "text/plain", "not found")
	ok := text(200, "text/plain", "ok")
	for sentence, c := range map[string]struct {
		paths    map[string]http.HandlerFunc
		fallback http.HandlerFunc
		script   bool
		code     string
		unproven int
	}{
		"the health path of Streamlit 1.67":    {paths: map[string]http.HandlerFunc{"/health": ok}, fallback: page},
		"a misspelt path of Streamlit 1.67":    {fallback: page, code: "HEALTH_UNPROVEN"},
		"a script health that is switched off": {paths: map[string]http.HandlerFunc{"/health": ok}, fallback: page, script: true, code: "HEALTH_UNPROVEN"},
		"a page that is the health path":       {paths: map[string]http.HandlerFunc{"/health": page}, fallback: missing},
		"a service that answers all alike":     {fallback: ok, unproven: 1},
		"a page with another nonce each time":  {fallback: changing("text/html", `<p nonce="%d">app`), code: "HEALTH_UNPROVEN"},
		"a service that tells the time":        {fallback: changing("application/json", `{"time": %d}`), unproven: 1},
		"a status page that tells the time": {paths: map[string]http.HandlerFunc{"/health": changing("text/html", `<p>%d`)},
			fallback: changing("text/html", `<h1>%d`)},
		"204 is healthy":    {paths: map[string]http.HandlerFunc{"/health": text(204, "", "")}, fallback: missing},
		"204 beside a page": {paths: map[string]http.HandlerFunc{"/health": text(204, "", "")}, fallback: page},
	} {
		t.Run(sentence, func(t *testing.T) {
			paths := []string{"/health"}
			if c.script {
				paths = append(paths, "/script")
			}
			r := probe.Run(t.Context(), probe.Target{Address: answers(t, c.paths, c.fallback), Paths: paths, Budget: time.Minute})
			assert.Equal(t, c.code == "", r.Healthy)
			assert.Len(t, r.Unproven, c.unproven)
			stage := &verdict.Stage{}
			r.Warn(stage)
			assert.Len(t, stage.Warnings, c.unproven)
			if c.code != "" {
				require.NotNil(t, r.Problem)
				assert.Equal(t, c.code, r.Problem.Code.Name)
				assert.Zero(t, r.TimeToHealthy)
			}
		})
	}
}

func TestARedirectSaysWhereItLeads(t *testing.T) {
	for sentence, c := range map[string]struct {
		location, next string
	}{
		"a slash":         {"/health/", "Set image.health: /health/ in pipeline.yaml, where /health redirects"},
		"a relative path": {"healthz", "Set image.health: /healthz in pipeline.yaml"},
		"another host":    {"https://www.example.com/", ""},
		"a login":         {"/accounts/login/?next=/health", "Let /health answer without a login"},
		"a login server":  {"https://sso.example.com/x", "Let /health answer without a login"},
		"to itself":       {"/health", ""},
		"with a question": {"/app/health?full=1", "Set image.health: /app/health?full=1"},
	} {
		t.Run(sentence, func(t *testing.T) {
			address := answers(t, map[string]http.HandlerFunc{"/health": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", c.location)
				w.WriteHeader(http.StatusTemporaryRedirect)
			}}, text(200, "text/html", "page"))
			r := probe.Run(t.Context(), probe.Target{Address: address, Paths: []string{"/health"}, Budget: time.Second, Clock: newClock()})
			require.NotNil(t, r.Problem)
			assert.Equal(t, probe.CodeUnhealthy.Name, r.Problem.Code.Name)
			assert.Contains(t, r.Problem.Cause, "status 307 to "+c.location)
			assert.Contains(t, r.Problem.Next, c.next)
			if c.next == "" {
				assert.Empty(t, r.Problem.Next)
			}
		})
	}
}

func TestAnAnswerThatCannotBeFollowedIsNoSilence(t *testing.T) {
	raw := func(answer string) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				request := bufio.NewReader(connection)
				for line := "."; err == nil && line != "\r\n"; {
					line, err = request.ReadString('\n')
				}
				_, _ = io.WriteString(connection, answer)
				_ = connection.Close()
			}
		}()
		return listener.Addr().String()
	}
	for sentence, c := range map[string]struct{ answer, cause string }{
		"an address without an end": {"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
			`/health: status 302 to "http://[::1", which is no address`},
		"a redirect to nowhere": {"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n", "/health: status 301"},
		"another protocol":      {"SSH-2.0-OpenSSH_9.2\r\n", "/health: it answers, but not in HTTP: "},
		"no number as status":   {"HTTP/1.1 fine\r\n\r\n", "/health: it answers, but not in HTTP: "},
	} {
		t.Run(sentence, func(t *testing.T) {
			r := probe.Run(t.Context(), probe.Target{Address: raw(c.answer), Paths: []string{"/health"}, Budget: time.Second, Clock: newClock()})
			require.NotNil(t, r.Problem)
			assert.Equal(t, probe.CodeUnhealthy.Name, r.Problem.Code.Name)
			assert.Contains(t, r.Problem.Cause, c.cause)
			assert.Empty(t, r.Problem.Next)
		})
	}
}

// The time that a process has run before the first request counts, and is never negative.
func TestTheTimeIsThatOfTheProcess(t *testing.T) {
	address := answers(t, map[string]http.HandlerFunc{"/health": text(200, "text/plain", "ok")}, text(404, "", ""))
	target := probe.Target{Address: address, Paths: []string{"/health"}, Budget: time.Minute, Clock: newClock()}
	target.Before = 20 * time.Second
	r := probe.Run(t.Context(), target)
	require.True(t, r.Healthy)
	assert.Equal(t, 20*time.Second, r.TimeToHealthy)
	target.Before = -time.Hour
	assert.Zero(t, probe.Run(t.Context(), target).TimeToHealthy)
	target.Paths, target.Before = []string{"/none"}, time.Hour
	r = probe.Run(t.Context(), target)
	require.NotNil(t, r.Problem)
	assert.Equal(t, "after 1m0s: /none: status 404", r.Problem.Cause)
	assert.Equal(t, 1, r.Attempts)
}
