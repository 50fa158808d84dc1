package mlflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// failure makes the error of an answer with a bad status.
func (t *transport) failure(op string, resp *http.Response) *Error {
	e := &Error{Op: op, Host: t.base.Host, Status: resp.StatusCode, RetryAfter: retryAfter(resp)}
	// An answer that cannot be read in full still has its status.
	payload, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	var body struct {
		ErrorCode string `json:"error_code"`
		Message   string `json:"message"`
	}
	isJSON := json.Unmarshal(payload, &body) == nil && body.ErrorCode != ""
	e.ErrorCode, e.Message = body.ErrorCode, clip(body.Message, 500)
	if !isJSON {
		e.Message = fmt.Sprintf("the answer is %s", contentType(resp))
		// The host check answers with this text; the remedy is on the server.
		if strings.Contains(string(payload), "Invalid Host header") {
			e.Message = "the server refuses this host name (Invalid Host header); start it with " + AllowedHosts
		}
	}
	e.Kind = kindOf(resp.StatusCode, body.ErrorCode, isJSON)
	if !isJSON && strings.Contains(string(payload), "disabled due to the mlflow server running") {
		e.Kind, e.Message = NotServed, "the server runs with --no-serve-artifacts"
	}
	if e.Kind == NotFound && t.opts.Workspace != "" && strings.HasPrefix(body.Message, "Workspace ") {
		// Not to be taken for the absence of what was asked for, such as a champion.
		e.Kind = NoWorkspace
	}
	if e.Kind == Redirected {
		target := "another address"
		if location, err := resp.Location(); err == nil {
			target = location.Scheme + "://" + location.Host
		}
		e.Message = "the server redirects to " + target + "; give its final address"
	}
	return e
}

// AllowedHosts is the option of a server that refuses a host name; the message of that error names it.
const AllowedHosts = "--allowed-hosts"

// retryAfter reads the header in both of its forms; zero when absent or past. A date is
// held against the answer's own Date: this machine's clock may be off.
func retryAfter(resp *http.Response) time.Duration {
	value := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return max(0, time.Duration(min(seconds, 3600))*time.Second)
	}
	at, err := http.ParseTime(value)
	now, dateErr := http.ParseTime(resp.Header.Get("Date"))
	if err == nil && dateErr == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

func contentType(resp *http.Response) string {
	if t := resp.Header.Get("Content-Type"); t != "" {
		return clip(t, 80)
	}
	return "of no declared type"
}

// clip shortens a text from outside to n bytes and one line.
func clip(s string, n int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "..."
	}
	return s
}

// unwrapURL drops the URL from an error of net/http: it repeats the query.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// networkKind tells why a request got no answer.
func networkKind(err error) Kind {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return Unreachable
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return Unreachable
	}
	if isTLS(err) {
		return Untrusted
	}
	if errors.Is(err, errLocal) {
		return Local
	}
	return Broken
}
