package probe

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// A wrong health path is known long before a budget for slow starts is spent. But a server may answer 404 until its model
// is loaded, so the answer alone ends nothing: three things together do. It was the same for a while; it is the server's
// answer to any path that it does not have; and other paths of the server are there.

const (
	// steadyFor is how long an answer must stay the same, steadyPart the part of the budget if that is more: who allows
	// ten minutes has an application that is slow.
	steadyFor  = 20 * time.Second
	steadyPart = 6
	// tellEvery is how often is told what is waited for, tellChange the shortest time between two lines.
	tellEvery  = 30 * time.Second
	tellChange = 5 * time.Second
)

// usualHealth are paths under which applications have their health, usualPages others that most have.
var (
	usualHealth = []string{"/health", "/healthz", "/healthcheck", "/livez", "/readyz", "/ping", "/status", "/api/health", "/_stcore/health"}
	usualPages  = []string{"/", "/docs", "/openapi.json"}
)

// steadiness is an answer that stays the same: that there is no such route.
type steadiness struct {
	path   string
	status int
	// since is when it was given first, next when it is looked into, both since the start of the process.
	since, next time.Duration
}

// steady notes an answer. Everything but 404 and 405 is what a slow start may answer.
func (p *prober) steady(a Attempt) {
	switch {
	case a.Err != "" || a.Status != http.StatusNotFound && a.Status != http.StatusMethodNotAllowed:
		p.routeless = steadiness{}
	case a.Path != p.routeless.path || a.Status != p.routeless.status:
		p.routeless = steadiness{path: a.Path, status: a.Status, since: p.since(), next: p.since() + p.steadyLimit()}
	}
}

func (p *prober) steadyLimit() time.Duration { return max(steadyFor, p.target.Budget/steadyPart) }

// noRoute is the problem of a server that is complete and has no such health path; nil while that is not known.
func (p *prober) noRoute(ctx context.Context) *verdict.Problem {
	s := p.routeless
	if s.path == "" || p.since() < s.next {
		return nil
	}
	p.routeless.next = p.since() + p.steadyLimit()
	lasted := (p.since() - s.since).Round(time.Second)
	key := p.key(s.path)
	unknown := p.ask(ctx, Impossible())
	if s.status == http.StatusMethodNotAllowed {
		if unknown.Err != "" || unknown.Status != http.StatusNotFound {
			return nil
		}
		problem := verdict.Problemf(CodeUnhealthy, "it answers, but %s takes no GET: status %d for %s", s.path, s.status, lasted)
		problem.Next = fmt.Sprintf("Let %s answer GET, or set %s in pipeline.yaml to a path that does", s.path, key)
		return problem
	}
	if !alike(p.ask(ctx, s.path), unknown) {
		return nil // the application knows the path: its model may not be loaded yet
	}
	health, other := p.elsewhere(ctx, s.path)
	if other == "" {
		return nil
	}
	problem := verdict.Problemf(CodeUnhealthy, "it answers, but has no %s: status %d for %s, as for any path that it does not "+
		"have, while %s is there", s.path, s.status, lasted, other)
	problem.Next = fmt.Sprintf("Set %s in pipeline.yaml to a path that the application has", key)
	if health != "" {
		problem.Next = fmt.Sprintf("Set %s: %s in pipeline.yaml, which answers 200", key, health)
	}
	return problem
}

// elsewhere is a usual health path that is healthy, if there is one, and a path of any kind that the server has.
func (p *prober) elsewhere(ctx context.Context, but string) (health, other string) {
	if but != p.target.Paths[0] {
		return "", p.target.Paths[0] // it was healthy before this one was asked
	}
	for _, path := range usualHealth {
		if a := p.ask(ctx, path); path != but && a.OK() {
			return path, path
		}
	}
	for _, path := range usualPages {
		if a := p.ask(ctx, path); path != but && a.Err == "" && a.Status > 0 && a.Status < http.StatusBadRequest {
			return "", path
		}
	}
	return "", ""
}

// alike reports whether two paths have the same answer, but for their names in it.
func alike(a, b Attempt) bool {
	plain := func(x Attempt) string { return strings.ReplaceAll(x.Body, strings.Trim(x.Path, "/"), "") }
	return a.Err == "" && b.Err == "" && a.Status == b.Status && plain(a) == plain(b)
}

// telling is what was last told of a service that is not healthy.
type telling struct {
	answer string
	at     time.Duration
}

// tell says what is waited for: when the answer is another one, and now and then.
func (p *prober) tell(a Attempt) {
	now, answer := p.since(), a.String()
	if p.target.Tell == nil || a.OK() || now < p.told.at+tellChange || answer == p.told.answer && now < p.told.at+tellEvery {
		return
	}
	p.told = telling{answer, now}
	p.target.Tell(fmt.Sprintf("not healthy after %s: %s; it has until %s", now.Round(time.Second), answer, p.target.Budget))
}

// request is the path of a request, as servers write it into their access logs; a colour may begin just before it.
var request = regexp.MustCompile(`(?:^|[^A-Z])GET (/\S*) HTTP/`)

// WithoutOwn is what an application printed without the lines of its access log that are of a probe's requests, which
// would push out what it has to say. paths are those that were probed.
func WithoutOwn(lines []string, paths ...string) []string {
	var kept []string
	for _, line := range lines {
		asked := request.FindStringSubmatch(line)
		if asked != nil && (slices.Contains(paths, asked[1]) || slices.Contains(usualHealth, asked[1]) || slices.Contains(usualPages, asked[1]) ||
			strings.HasPrefix(asked[1], impossible)) {
			continue
		}
		kept = append(kept, line)
	}
	if left := len(lines) - len(kept); left > 0 {
		kept = append(kept, "(and "+safetext.Count(left, "line", "lines")+" about the requests of this check)")
	}
	return kept
}
