package metrics

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Timeout bounds the sending of metrics to one place, so that a run takes at most five seconds longer. It is tried once: the next run
// sends again.
const Timeout = 4500 * time.Millisecond

// Endpoint is where metrics are sent.
type Endpoint struct {
	// URL is http or https, without credentials.
	URL string
	// Auth is a user name and password as "name:password", or a bearer token; empty for none.
	Auth string
	// Client is for tests; nil is one that follows no redirect.
	Client *http.Client
}

// Check reports what is wrong with the address. The error does not hold it.
func (e Endpoint) Check() error {
	u, err := url.Parse(e.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("it is no http or https address")
	case u.User != nil:
		return errors.New("it holds credentials; give them with --metrics-auth")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("it has a query or a fragment")
	}
	return nil
}

// Push replaces the group of the target on a Pushgateway by these families: a PUT, so that a code
// of an earlier run does not stay.
func Push(ctx context.Context, e Endpoint, target Group, families []Family) error {
	if err := e.Check(); err != nil {
		return fmt.Errorf("push metrics: %w", err)
	}
	address := strings.TrimSuffix(e.URL, "/") + "/metrics/job/openstack_rca"
	for _, l := range target.Labels() {
		if l.Value != "" {
			address += "/" + l.Name + "@base64/" + base64.RawURLEncoding.EncodeToString([]byte(l.Value))
		}
	}
	return e.send(ctx, "push metrics", http.MethodPut, address, "text/plain; version=0.0.4; charset=utf-8", []byte(Text(families, nil)))
}

// send makes one request. Its errors name the host only: an address may be a secret.
func (e Endpoint) send(ctx context.Context, what, method, address, kind string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: the address is not valid", what)
	}
	request.Header.Set("Content-Type", kind)
	if name, password, basic := strings.Cut(e.Auth, ":"); basic {
		request.SetBasicAuth(name, password)
	} else if e.Auth != "" {
		request.Header.Set("Authorization", "Bearer "+e.Auth)
	}
	client := e.Client
	if client == nil {
		client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%s to %s: %w", what, request.URL.Host, cause(err))
	}
	defer func() { _ = answer.Body.Close() }() // nothing of it is kept
	text, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if err != nil {
		return fmt.Errorf("%s to %s: read answer: %w", what, request.URL.Host, cause(err))
	}
	if answer.StatusCode/100 != 2 {
		line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		return fmt.Errorf("%s to %s: HTTP %d: %.200q", what, request.URL.Host, answer.StatusCode, line)
	}
	return nil
}

// cause is an error of HTTP without the address.
func cause(err error) error {
	var address *url.Error
	if errors.As(err, &address) {
		if address.Timeout() {
			return fmt.Errorf("no answer within %s", Timeout)
		}
		err = address.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	return err
}
