package release

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// None disables the smoke test.
const None = "none"

// smokeTimeout limits one request.
const smokeTimeout = 10 * time.Second

// smokeAddress returns the URL to request, or an empty string.
func (o *observer) smokeAddress() string {
	switch {
	case o.in.Smoke == None:
		return ""
	case o.in.Smoke != "":
		return o.in.Smoke
	case o.state == nil || o.state.URL() == "":
		return ""
	}
	return o.state.URL() + o.in.Spec.App.Health
}

// smokeResult is the result of the smoke test; a nil error means that it passed.
type smokeResult struct{ err error }

func (o *observer) probeService(ctx context.Context) error {
	get := o.in.Get
	switch {
	case get != nil:
	case o.in.Smoke == "":
		get = getAnyName
	default:
		get = Get
	}
	err := get(ctx, o.smokeAddress())
	o.lastSmoke = &smokeResult{err}
	return err
}

// reachable requests the running service before anything changes. If it cannot be reached from here, no deployment could be
// verified. The status of the response does not matter.
func (o *observer) reachable(ctx context.Context) *verdict.Problem {
	if o.smokeAddress() == "" || !o.serves() {
		return nil
	}
	err := o.probeService(ctx)
	var dial *net.OpError
	var dns *net.DNSError
	if errors.As(err, &dns) || errors.As(err, &dial) && dial.Op == "dial" {
		return verdict.Problemf(SmokeUnreachable, "GET %s: %v", o.smokeAddress(), err)
	}
	return nil
}

// serves reports whether the service has running tasks.
func (o *observer) serves() bool { return o.state.Exists() && o.state.Service().RunningCount > 0 }

// Get requests a URL and fails unless the status is 200 within ten seconds. It follows redirects within the same host only.
func Get(ctx context.Context, address string) error { return get(ctx, address, nil) }

// getAnyName is Get without certificate verification: the request uses the load balancer's own name, but the certificate is
// for the service's.
func getAnyName(ctx context.Context, address string) error {
	return get(ctx, address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // only checks that something responds
}

func get(ctx context.Context, address string, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, smokeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	client := &http.Client{Transport: transport, CheckRedirect: func(to *http.Request, via []*http.Request) error {
		if len(via) > 5 || !strings.EqualFold(to.URL.Host, via[0].URL.Host) {
			return errors.New("it redirects elsewhere")
		}
		return nil
	}}
	defer client.CloseIdleConnections()
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s answered %s", address, answer.Status)
	}
	return nil
}
