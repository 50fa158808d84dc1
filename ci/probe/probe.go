// Package probe waits until an HTTP service is healthy. It polls against a deadline,
// without fixed sleeps, and requires several good answers in a row: a single one proves little.
//
// It is independent of containers: the service is an address and, optionally, a function that
// reports whether its process still runs.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Target is what is probed and what counts as healthy.
type Target struct {
	// Address is host:port or http://host:port.
	Address string
	// Paths must all answer 200 or 204, in this order, for one success: the health path
	// first, then further ones such as Streamlit's script health check.
	Paths []string
	// Successes is how many successes in a row make it healthy; at least 1.
	Successes int
	// Budget is how long it may take from the start of the process until it is healthy,
	// Before how much of that had passed when Run was called.
	Budget, Before time.Duration
	// Interval is the pause after each attempt; 250 ms when 0. It grows to four times as
	// long while a start takes long.
	Interval time.Duration
	// AnswerWithin bounds each request; 10 s when 0. A first page load that imports
	// libraries is slow.
	AnswerWithin time.Duration
	// Header is sent with every request.
	Header http.Header
	// Alive reports whether the process still runs, and how it ended if it does not.
	// It is called after failed attempts, at most every AliveEvery (1 s when 0). Nil if
	// unknown.
	Alive      func(ctx context.Context) (alive bool, ending string, err error)
	AliveEvery time.Duration
	// Tell is told now and then what a service that is not healthy answers; nil for nobody.
	Tell func(line string)
	// Clock is for tests.
	Clock clock.Clock
}

// Attempt is one request to each path.
type Attempt struct {
	// After is the time since the start of the probe.
	After time.Duration
	// Path is the last path requested, Status its answer's status; 0 without an answer.
	Path   string
	Status int
	// Body is the beginning of the answer, at most 4 KiB; Type is its content type, and
	// Location where a redirect leads.
	Body, Type, Location string
	// Err is why there was no answer, or empty.
	Err string
}

// OK reports whether the attempt was a success.
func (a Attempt) OK() bool {
	return a.Err == "" && (a.Status == http.StatusOK || a.Status == http.StatusNoContent)
}

func (a Attempt) String() string {
	if a.Err != "" {
		return fmt.Sprintf("%s: %s", a.Path, a.Err)
	}
	if a.Location != "" {
		to := oneLine(a.Location)
		if _, err := url.Parse(a.Location); err != nil {
			to = fmt.Sprintf("%q, which is no address", to)
		}
		return fmt.Sprintf("%s: status %d to %s", a.Path, a.Status, to)
	}
	return fmt.Sprintf("%s: status %d", a.Path, a.Status)
}

// Result is the outcome of a probe.
type Result struct {
	// Healthy is true when Successes good answers in a row were seen in time.
	Healthy bool
	// TimeToHealthy is from the start of the process to the first of those answers, 0 if it is not healthy.
	TimeToHealthy time.Duration
	// Unproven are the paths whose answer is that of a path which cannot exist.
	Unproven []string
	// Elapsed is how long the probe took.
	Elapsed time.Duration
	// Attempts counts all attempts, Good the successes, Lost how often a failure followed a success.
	Attempts, Good, Lost int
	// Listened is set if anything answered, even with an error.
	Listened bool
	// Last is the last attempt, LastBad the last failed one (zero when none failed).
	Last, LastBad Attempt
	// Problem is why it is not healthy; nil when it is.
	Problem *verdict.Problem
}

const (
	defaultInterval = 250 * time.Millisecond
	defaultAnswer   = 10 * time.Second
	defaultAlive    = time.Second
	maxBody         = 4 << 10
)

// Run polls the target until it is healthy, has exited, or its budget is used up. It always
// returns a result; Result.Problem carries one of this package's codes for the stage.
func Run(ctx context.Context, target Target) *Result {
	p := newProber(target)
	p.run(ctx)
	return &p.result
}

type prober struct {
	target Target
	clock  clock.Clock
	// transport follows no redirect, which is not healthy, and reads no Location, which may be malformed.
	transport http.RoundTripper
	start     time.Time
	streak    int
	first     time.Duration
	asked     time.Duration
	result    Result
	// routeless is an answer that stays the same, told what was last told.
	routeless steadiness
	told      telling
}

func newProber(t Target) *prober {
	t.Successes = max(t.Successes, 1)
	if t.Interval <= 0 {
		t.Interval = defaultInterval
	}
	if t.AnswerWithin <= 0 {
		t.AnswerWithin = defaultAnswer
	}
	if t.AliveEvery <= 0 {
		t.AliveEvery = defaultAlive
	}
	if !strings.Contains(t.Address, "://") {
		t.Address = "http://" + t.Address
	}
	t.Address = strings.TrimSuffix(t.Address, "/")
	// A proxy must not answer for the service, a kept connection must not hide a dead listener.
	p := &prober{target: t, clock: t.Clock, transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}, asked: -t.AliveEvery}
	if p.clock == nil {
		p.clock = clock.System{}
	}
	return p
}

func (p *prober) run(ctx context.Context) {
	p.start = p.clock.Now()
	defer func() { p.result.Elapsed = p.since() }()
	if len(p.target.Paths) == 0 {
		p.result.Problem = verdict.Problemf(CodeNoPath, "no path to ask")
		return
	}
	for {
		attempt := p.attempt(ctx)
		if ctx.Err() != nil {
			p.result.Problem = verdict.Problemf(CodeCancelled, "cancelled after %s", seconds(p.since()))
			return
		}
		p.note(attempt)
		p.steady(attempt)
		p.tell(attempt)
		if p.streak >= p.target.Successes {
			p.result.Problem = p.prove(ctx)
			if p.result.Problem == nil {
				p.result.Healthy, p.result.TimeToHealthy = true, p.first
			}
			return
		}
		if !attempt.OK() {
			if ending, ended := p.ended(ctx); ended {
				p.result.Problem = p.crashed(ending)
				return
			}
			if p.result.Problem = p.noRoute(ctx); p.result.Problem != nil {
				return
			}
		}
		if p.since() >= p.target.Budget {
			p.result.Problem = p.judge(ctx)
			return
		}
		if err := p.clock.Sleep(ctx, p.pause()); err != nil {
			p.result.Problem = verdict.Problemf(CodeCancelled, "cancelled after %s", seconds(p.since()))
			return
		}
	}
}

// pause grows during a long start, so that the application's log does not consist of probes.
// After a success the next attempt follows at once.
func (p *prober) pause() time.Duration {
	since := p.since()
	pause := p.target.Interval
	if p.streak == 0 {
		pause = max(pause, min(4*pause, since/10))
	}
	return min(pause, p.target.Budget-since)
}

// since is the time since the start of the process.
func (p *prober) since() time.Duration {
	return max(p.clock.Now().Sub(p.start), 0) + max(p.target.Before, 0)
}

// attempt requests all paths; the first bad answer decides.
func (p *prober) attempt(ctx context.Context) Attempt {
	var last Attempt
	for _, path := range p.target.Paths {
		last = p.ask(ctx, path)
		if !last.OK() {
			return last
		}
	}
	return last
}

func (p *prober) ask(ctx context.Context, path string) Attempt {
	a := Attempt{After: p.since(), Path: path}
	// A hanging answer must not outlive the budget.
	limit := min(p.target.AnswerWithin, max(p.target.Budget-a.After, time.Second))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var answered atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: func() { answered.Store(true) }})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.target.Address+path, nil)
	if err != nil {
		a.Err = fmt.Sprintf("make request: %v", err)
		return a
	}
	for name, values := range p.target.Header {
		request.Header[name] = values
	}
	response, err := p.transport.RoundTrip(request)
	if err != nil {
		a.Err = plain(err, limit)
		hung := errors.Is(err, context.DeadlineExceeded)
		if answered.Load() && !hung {
			a.Err = "it answers, but not in HTTP: " + a.Err
		}
		// Something took the connection, even if it then hung.
		p.result.Listened = p.result.Listened || answered.Load() || hung && !isDial(err)
		return a
	}
	defer func() {
		// The body was read as far as needed.
		if err := response.Body.Close(); err != nil && a.Err == "" {
			a.Err = err.Error()
		}
	}()
	p.result.Listened = true
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	a.Status, a.Body = response.StatusCode, strings.ToValidUTF8(string(body), "\uFFFD")
	a.Type, a.Location = response.Header.Get("Content-Type"), response.Header.Get("Location")
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		a.Err = fmt.Sprintf("status %d, and its answer does not end within %s", a.Status, seconds(limit))
	case err != nil:
		a.Err = plain(err, limit)
	}
	return a
}

func (p *prober) note(a Attempt) {
	p.result.Attempts++
	p.result.Last = a
	if !a.OK() {
		if p.streak > 0 {
			p.result.Lost++
		}
		p.streak = 0
		p.result.LastBad = a
		return
	}
	p.result.Good++
	if p.streak == 0 {
		p.first = p.since()
	}
	p.streak++
}

// ended reports whether the process has exited; it checks at most every AliveEvery.
func (p *prober) ended(ctx context.Context) (string, bool) {
	if p.target.Alive == nil || p.since()-p.asked < p.target.AliveEvery {
		return "", false
	}
	p.asked = p.since()
	alive, ending, err := p.target.Alive(ctx)
	if err != nil {
		// Not knowing is no reason to give up: the deadline decides.
		return "", false
	}
	return ending, !alive
}

// crashed is the problem of a process that ended.
func (p *prober) crashed(ending string) *verdict.Problem {
	if ending == "" {
		ending = "the process ended"
	}
	if p.result.Good > 0 {
		return verdict.Problemf(CodeFlapping, "healthy %s after %s, then it ended: %s", times(p.result.Good), seconds(p.first), ending)
	}
	return verdict.Problemf(CodeCrashed, "it ended after %s without having been healthy: %s", seconds(p.since()), ending)
}

// judge is the problem of a service that is not healthy when the budget is spent.
func (p *prober) judge(ctx context.Context) *verdict.Problem {
	r := &p.result
	last := r.LastBad.String()
	other := ""
	if r.Good == 0 && (!r.Listened || r.LastBad.Status == http.StatusBadRequest) {
		other = p.speaks(ctx)
	}
	switch {
	case other != "":
		problem := verdict.Problemf(CodeUnhealthy, "after %s: it speaks %s, and health checks ask over plain HTTP/1.1 (%s)",
			seconds(p.target.Budget), other, last)
		problem.Next = "Let the application answer plain HTTP/1.1 on image.port: the load balancer in front of it ends https"
		return problem
	case r.Good > 0:
		return verdict.Problemf(CodeFlapping, "healthy %s, lost it %s, never %d in a row within %s; last: %s",
			times(r.Good), times(r.Lost), p.target.Successes, seconds(p.target.Budget), last)
	case !r.Listened:
		return verdict.Problemf(CodeNotListening, "nothing answers after %s (%s)", seconds(p.target.Budget), last)
	case len(p.target.Paths) > 1 && r.LastBad.Path != p.target.Paths[0] && r.LastBad.Location == "":
		return verdict.Problemf(CodeScriptUnhealthy, "%s answers, but %s after %s: %s",
			p.target.Paths[0], last, seconds(p.target.Budget), oneLine(r.LastBad.Body))
	default:
		cause := fmt.Sprintf("after %s: %s", seconds(p.target.Budget), last)
		if body := oneLine(r.LastBad.Body); body != "" {
			cause += ": " + body
		}
		problem := verdict.Problemf(CodeUnhealthy, "%s", cause)
		if next := p.unasked(); next != "" {
			problem.Next = next
		} else if path, ok := p.redirected(); ok {
			problem.Next = fmt.Sprintf("Set %s: %s in pipeline.yaml, where %s redirects", p.key(r.LastBad.Path), path, r.LastBad.Path)
		} else if p.routeless.path != "" {
			problem.Next = fmt.Sprintf("Set %s in pipeline.yaml to a path that the application has; raise image.start_budget if it has %s later",
				p.key(r.LastBad.Path), r.LastBad.Path)
		}
		return problem
	}
}

// key is the key of pipeline.yaml that names a path.
func (p *prober) key(path string) string {
	if path != p.target.Paths[0] {
		return "image.script_health"
	}
	return "image.health"
}
