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

// None turns the smoke test off.
const None = "none"

// smokeTimeout bounds one request.
const smokeTimeout = 10 * time.Second

// smokeAddress is what is asked; empty asks nothing.
func (o *operation) smokeAddress() string {
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

// answered is what the smoke test got: nil is a good answer.
type answered struct{ err error }

func (o *operation) probe(ctx context.Context) error {
	get := o.in.Get
	switch {
	case get != nil:
	case o.in.Smoke == "":
		get = getAnyName
	default:
		get = Get
	}
	err := get(ctx, o.smokeAddress())
	o.smoked = &answered{err}
	return err
}

// reachable asks the service that runs now, before anything is changed: where it cannot
// even be reached, no deployment could be shown to serve. What it answers does not matter.
func (o *operation) reachable() *verdict.Problem {
	if o.smokeAddress() == "" || !o.serves() {
		return nil
	}
	err := o.probe(o.ctx)
	var dial *net.OpError
	var dns *net.DNSError
	if errors.As(err, &dns) || errors.As(err, &dial) && dial.Op == "dial" {
		return verdict.Problemf(SmokeUnreachable, "GET %s: %v", o.smokeAddress(), err)
	}
	return nil
}

// serves says that the service has tasks.
func (o *operation) serves() bool { return o.state.Exists() && o.state.Service().RunningCount > 0 }

// Get asks an address and fails unless it answers 200 within ten seconds. Redirects are
// followed within the same host only.
func Get(ctx context.Context, address string) error { return get(ctx, address, nil) }

// getAnyName is Get without a look at the certificate: that of a load balancer is for the
// name of the service, and the load balancer is asked by its own.
func getAnyName(ctx context.Context, address string) error {
	return get(ctx, address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it only asks whether something answers
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
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s answered %s", address, answer.Status)
	}
	return nil
}
