// Package mlflow is a client for the part of MLflow's REST API that publishing a
// model needs: experiments, runs, the model registry and proxied artifacts. It works
// with servers of the 2.x (from 2.3, which brought aliases) and 3.x lines.
//
// Every failure is an *Error with a Kind, so that callers decide on kinds and never
// on texts. Only calls that are safe to repeat are repeated.
package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/stall"
)

const (
	// apiPrefix is the base of all JSON calls; MLflow 3 still serves 2.0.
	apiPrefix = "/api/2.0/"
	// maxJSON bounds a JSON answer. A page of runs with their metrics stays far below.
	maxJSON = 16 << 20
	// maxErrorBody bounds what is read of an answer that is an error.
	maxErrorBody = 64 << 10
	// idleTimeout is how long a connection is kept for the next call. gunicorn, which serves
	// MLflow, closes it after two seconds; tunnels, such as a Dagger service of the host, do not
	// hand that on, and a call on such a connection would wait for its whole time limit.
	idleTimeout = time.Second
	// maxRetryAfter caps what a server may ask us to wait: a pipeline has a budget.
	maxRetryAfter = 60 * time.Second
)

// Options configure a Client.
type Options struct {
	// TrackingURI is the server's address: http or https, with a path when the
	// server lives under one. Credentials in it are refused.
	TrackingURI string
	// Username and Password are for basic, Token for bearer authentication
	// (MLFLOW_TRACKING_USERNAME, _PASSWORD, _TOKEN). At most one kind may be given.
	Username, Password, Token string
	// Workspace is the server's workspace; empty for its default one (MLFLOW_WORKSPACE).
	Workspace string
	// Transport is http.DefaultTransport's clone when nil.
	Transport http.RoundTripper
	// Clock is clock.System when nil.
	Clock clock.Clock
	// CallTimeout bounds one attempt of a JSON call; 30 s when 0.
	CallTimeout time.Duration
	// TransferTimeout bounds one upload or download of an artifact; 30 min when 0.
	TransferTimeout time.Duration
	// StallTimeout is how long a download waits for its next byte; stall.Limit when 0.
	StallTimeout time.Duration
	// RetryBudget bounds the waiting between attempts of one call; 2 min when 0.
	RetryBudget time.Duration
	// Attempts is how often a call that is safe to repeat is tried; 5 when 0.
	Attempts int
}

// Client talks to one MLflow server. It is safe for concurrent use.
type Client struct {
	*transport
	Tracking
	Registry
	Artifacts
}

type (
	// Tracking is the server's API of experiments and runs.
	Tracking struct{ *transport }
	// Registry is that of registered models and their versions.
	Registry struct{ *transport }
	// Artifacts is that of the files that the server itself serves.
	Artifacts struct{ *transport }
)

// transport sends calls.
type transport struct {
	base *url.URL
	opts Options
	http *http.Client
}

// New checks the options and makes a client. It does not talk to the server.
func New(opts Options) (*Client, error) {
	base, err := parseTrackingURI(opts.TrackingURI)
	if err != nil {
		return nil, err
	}
	if opts.Token != "" && (opts.Username != "" || opts.Password != "") {
		return nil, errors.New("make MLflow client: both a token and a user name or password are given; use one")
	}
	if (opts.Username == "") != (opts.Password == "") {
		return nil, errors.New("make MLflow client: basic authentication needs both the user name and the password")
	}
	if strings.ContainsFunc(opts.Token, unicode.IsControl) {
		return nil, errors.New("make MLflow client: the token holds a line break or another control character")
	}
	if opts.Transport == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.IdleConnTimeout = idleTimeout
		opts.Transport = transport
	}
	if opts.Clock == nil {
		opts.Clock = clock.System{}
	}
	opts.CallTimeout = orDefault(opts.CallTimeout, 30*time.Second)
	opts.TransferTimeout = orDefault(opts.TransferTimeout, 30*time.Minute)
	opts.StallTimeout = orDefault(opts.StallTimeout, stall.Limit)
	opts.RetryBudget = orDefault(opts.RetryBudget, 2*time.Minute)
	if opts.Attempts <= 0 {
		opts.Attempts = 5
	}
	t := &transport{base: base, opts: opts, http: &http.Client{
		Transport: opts.Transport,
		// Redirects are never followed: a tracking server has none, a login page
		// behind one is no answer, and credentials must not reach another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return &Client{t, Tracking{t}, Registry{t}, Artifacts{t}}, nil
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// parseTrackingURI accepts http(s)://host[:port][/path].
func parseTrackingURI(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	switch {
	case err != nil:
		// url.Error repeats the input, which may hold a password.
		return nil, errors.New("parse MLflow tracking URI: it is not a URL")
	case !strings.Contains(raw, "://"):
		return nil, errors.New("parse MLflow tracking URI: it does not begin with http:// or https://")
	case strings.Contains(u.Path+"/", "/api/2.0/"):
		return nil, errors.New("parse MLflow tracking URI: it ends in the path of the API; give the address before /api/2.0")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("parse MLflow tracking URI: its scheme is %q, want http or https", u.Scheme)
	case u.User != nil:
		return nil, errors.New("parse MLflow tracking URI: it holds credentials; give them as secrets")
	case u.Hostname() == "":
		return nil, errors.New("parse MLflow tracking URI: it names no host")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("parse MLflow tracking URI: it has a query or fragment; give the address before ? and #")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// Host is the server's host and port, for messages.
func (t *transport) Host() string { return t.base.Host }

// call is one request in a form that can be sent again.
type call struct {
	// op says what the call does: "create run". It heads every error.
	op     string
	method string
	path   string
	query  url.Values
	// body returns a fresh reader for each attempt; nil for no body.
	body        func() (io.ReadCloser, int64, error)
	contentType string
	// repeatable calls may be sent twice: their second execution changes nothing.
	repeatable bool
	// transfer calls move an artifact and have the longer deadline.
	transfer bool
}

// errNotJSON marks a good status with an answer that is not MLflow's.
var errNotJSON = errors.New("the answer is not JSON")

// json sends a JSON call and decodes the answer into out (nil to ignore it).
func (t *transport) json(ctx context.Context, op, method, path string, query url.Values, in, out any, repeatable bool) error {
	req := call{op: op, method: method, path: apiPrefix + path, query: query, repeatable: repeatable}
	if in != nil {
		payload, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s: encode request: %w", op, err)
		}
		req.contentType = "application/json"
		req.body = func() (io.ReadCloser, int64, error) {
			return io.NopCloser(bytes.NewReader(payload)), int64(len(payload)), nil
		}
	}
	return t.attempt(ctx, req, func(resp *http.Response) error {
		payload, err := io.ReadAll(io.LimitReader(resp.Body, maxJSON+1))
		if err != nil {
			return err
		}
		if len(payload) > maxJSON {
			return &Error{Kind: TooLarge, Message: fmt.Sprintf("the answer is larger than %d bytes", maxJSON)}
		}
		if out == nil {
			out = &struct{}{}
		}
		// A login page comes with status 200: anything but an object is not MLflow's.
		if trimmed := bytes.TrimSpace(payload); len(trimmed) == 0 || trimmed[0] != '{' || json.Unmarshal(trimmed, out) != nil {
			return errNotJSON
		}
		return nil
	})
}

// attempt sends a call until it succeeds, fails for good, or its budget is spent.
func (t *transport) attempt(ctx context.Context, req call, read func(*http.Response) error) error {
	var waited time.Duration
	stalled := false
	for n := 1; ; n++ {
		err := t.once(ctx, req, read)
		if err == nil {
			return nil
		}
		mayRepeat := err.notExecuted() || req.repeatable && err.transient()
		if ctx.Err() != nil || n >= t.opts.Attempts || !mayRepeat {
			return err
		}
		// A new connection often cures a stall; waiting for more than one more is no better than a long limit.
		if errors.As(err, new(*stall.Error)) {
			if stalled {
				return err
			}
			stalled = true
		}
		wait := backoff(n)
		if err.RetryAfter > 0 {
			wait = min(err.RetryAfter, maxRetryAfter)
		}
		if waited += wait; waited > t.opts.RetryBudget {
			return err
		}
		if t.opts.Clock.Sleep(ctx, wait) != nil {
			return err
		}
	}
}

// backoff is the wait after the n-th attempt: exponential from 0.5 s to 10 s, with jitter.
func backoff(n int) time.Duration {
	limit := min(500*time.Millisecond<<(n-1), 10*time.Second)
	return limit/2 + rand.N(limit/2)
}

// once sends a call one time.
func (t *transport) once(ctx context.Context, req call, read func(*http.Response) error) *Error {
	timeout := t.opts.CallTimeout
	if req.transfer {
		timeout = t.opts.TransferTimeout
	}
	attempt, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	u := *t.base
	u.Path += req.path
	u.RawQuery = req.query.Encode()
	fail := func(kind Kind, cause error) *Error {
		return &Error{Op: req.op, Host: t.base.Host, Kind: kind, Err: cause}
	}
	httpReq, err := http.NewRequestWithContext(attempt, req.method, u.String(), nil)
	if err != nil {
		return fail(Invalid, err)
	}
	if req.body != nil {
		if httpReq.Body, httpReq.ContentLength, err = req.body(); err != nil {
			return fail(Local, err)
		}
		httpReq.Header.Set("Content-Type", req.contentType)
	}
	t.authorize(httpReq)
	resp, err := t.http.Do(httpReq)
	if err != nil {
		return fail(networkKind(err), unwrapURL(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if req.transfer {
		resp.Body = io.NopCloser(stall.Reader(resp.Body, t.opts.StallTimeout, cancel))
	}
	if resp.StatusCode/100 != 2 {
		return t.failure(req.op, resp)
	}
	if err := read(resp); err != nil {
		var own *Error
		switch {
		case errors.As(err, &own):
			own.Op, own.Host = req.op, t.base.Host
			return own
		case errors.Is(err, errNotJSON):
			return &Error{Op: req.op, Host: t.base.Host, Kind: NotJSON, Status: resp.StatusCode,
				Message: fmt.Sprintf("the answer is %s, not MLflow's JSON", contentType(resp))}
		case errors.Is(err, errLocal):
			return fail(Local, err)
		}
		return fail(networkKind(err), err)
	}
	return nil
}

// authorize adds the credentials.
func (t *transport) authorize(req *http.Request) {
	req.Header.Set("User-Agent", "openstack-rca")
	req.Header.Set("Accept", "application/json")
	if t.opts.Workspace != "" {
		req.Header.Set("X-MLFLOW-WORKSPACE", t.opts.Workspace)
	}
	if t.opts.Token != "" {
		req.Header.Set("Authorization", "Bearer "+t.opts.Token)
	} else if t.opts.Username != "" {
		req.SetBasicAuth(t.opts.Username, t.opts.Password)
	}
}

// incomplete is the error of an answer that lacks what it must hold.
func (t *transport) incomplete(op, field string) error {
	return &Error{Op: op, Host: t.base.Host, Kind: NotJSON, Message: "the answer has no " + field}
}

// maxPages bounds a search.
const maxPages = 10_000

// pages are the tokens of a search so far.
type pages map[string]bool

// add reports whether a page is a new one of a search that can still end.
func (p pages) add(token string) bool {
	known := p[token]
	p[token] = true
	return !known && len(p) <= maxPages
}

// endless is the error of a search that shows a page again or does not end: a part of its
// results must not be taken for all of them.
func (t *transport) endless(op string, n int) error {
	return &Error{Op: op, Host: t.base.Host, Kind: Endless, Message: fmt.Sprintf("after %d pages the search begins again or does not end", n)}
}
