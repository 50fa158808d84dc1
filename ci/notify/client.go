package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// callTimeout bounds one attempt, maxWait the pause that a server may ask for before the second.
	callTimeout = 10 * time.Second
	maxWait     = 10 * time.Second
	// maxBody bounds a message that is shown to people: the limit of Teams, in bytes.
	maxBody = 28 << 10
	// maxRequest bounds any request. What an interface of a code host takes is bounded where it is made.
	maxRequest = 1 << 20
)

// address is one that a message may be sent to.
type address struct {
	*url.URL
	// local allows this machine and http, for the sandbox.
	local bool
	// single sends a request no second time once a server may have done what it asks for.
	single bool
}

// parseAddress checks an address that is a secret: no error has it.
func parseAddress(text string, local bool) (address, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case err != nil || u.Host == "":
		return address{}, errors.New("its secret is no address")
	case u.Scheme != "https" && (u.Scheme != "http" || !local):
		return address{}, errors.New("its address does not begin with https")
	case u.User != nil:
		return address{}, errors.New("its address holds a user name or password")
	}
	a := address{URL: u, local: local}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := a.refuse(ip); err != nil {
			return address{}, err
		}
	}
	return a, nil
}

// refuse is the reason not to connect to an IP address. The metadata service of a cloud answers
// with credentials, and a server of this machine is not for everybody who can write pipeline.yaml.
func (a address) refuse(ip netip.Addr) error {
	ip = ip.Unmap()
	switch {
	case ip.IsLinkLocalUnicast() || ip == netip.MustParseAddr("fd00:ec2::254") || ip.IsMulticast() || ip.IsUnspecified():
		return errors.New("its address is one of metadata services, or link-local")
	case ip.IsLoopback() && !a.local:
		return errors.New("its address is this machine")
	}
	return nil
}

// client connects to nothing but the address, and follows no redirect.
func (a address) client() *http.Client {
	dialer := &net.Dialer{Timeout: callTimeout}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: callTimeout, DisableKeepAlives: true}
	if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: a.URL}); err == nil && proxy == nil {
		// Looked at when the name is resolved, so that a name cannot lead elsewhere. A proxy has rules of its own.
		dialer.Control = func(_, found string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(found)
			if err != nil {
				return err
			}
			return a.refuse(at.Addr())
		}
	}
	transport.DialContext = dialer.DialContext
	return &http.Client{Transport: transport, Timeout: callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// page is the beginning of a web page. No channel answers with one: a proxy does, for what it did not let through.
var page = regexp.MustCompile(`(?i)^\s*<(!doctype\s+html|html)\b`)

// errUnanswered is the error of a request that may have been done although its answer says nothing of it.
var errUnanswered = errors.New("no answer that says whether it was done")

// answer is what a server said.
type answer struct {
	status int
	body   []byte
	next   string
}

// call sends a request, and once more after a refusal that may pass. The errors have no address.
func (a address) call(ctx context.Context, method string, headers map[string]string, body []byte) (answer, error) {
	if len(body) > maxRequest {
		return answer{}, fmt.Errorf("the message has more than %d bytes", maxRequest)
	}
	for attempt := 1; ; attempt++ {
		got, wait, err := a.once(ctx, method, headers, body)
		if err == nil && got.status/100 == 2 {
			if page.Match(got.body) {
				return got, fmt.Errorf("HTTP %d: the answer is a web page, such as that of a login", got.status)
			}
			return got, nil
		}
		failed := err == nil && got.status >= 500
		if a.single && (failed || err != nil) {
			return got, fmt.Errorf("%w: %w", errUnanswered, cmp.Or(err, fmt.Errorf("HTTP %d", got.status)))
		}
		again := failed || err == nil && got.status == http.StatusTooManyRequests
		if end, bounded := ctx.Deadline(); bounded && time.Until(end) < wait {
			again = false // there is no time left for another attempt
		}
		if attempt == 2 || !again || wait > maxWait {
			if err == nil {
				err = fmt.Errorf("HTTP %d", got.status)
				if got.status/100 == 3 {
					err = fmt.Errorf("HTTP %d: redirects are not followed", got.status)
				}
			}
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (a address) once(ctx context.Context, method string, headers map[string]string, body []byte) (answer, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, 0, errors.New("its address is not valid")
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := a.client().Do(request)
	if err != nil {
		return answer{}, 0, hidden(err)
	}
	defer func() { _ = response.Body.Close() }() // ReadAll reports a broken body
	content, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	if err != nil {
		return answer{}, 0, hidden(err)
	}
	wait := time.Second
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		wait = time.Duration(seconds) * time.Second
	}
	return answer{response.StatusCode, content, response.Header.Get("Link")}, wait, nil
}

// hidden is an error of HTTP without the address.
func hidden(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		if of.Timeout() {
			return errors.New("no answer in time")
		}
		err = of.Err
	}
	if name := (x509.HostnameError{}); errors.As(err, &name) {
		return errors.New("the certificate of its server is for another name")
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return errors.New("the name of its server is not known")
	}
	for op := (*net.OpError)(nil); errors.As(err, &op); {
		err = op.Err // that of a proxy wraps another one
	}
	return err
}
