package probe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// prove asks for a path that cannot exist. A server that answers it like a health path has
// shown nothing by that: Streamlit 1.67 and servers of single-page applications answer 200
// with their page to every path, a misspelt one too. It is a problem where both are a page;
// Result.Unproven names the others, as a plain service may well answer everything alike.
func (p *prober) prove(ctx context.Context) *verdict.Problem {
	unknown := p.ask(ctx, Impossible())
	if ctx.Err() != nil {
		return verdict.Problemf(CodeCancelled, "cancelled after %s", seconds(p.since()))
	}
	if !unknown.OK() {
		return nil
	}
	for _, path := range p.target.Paths {
		if answer := p.ask(ctx, path); answer.OK() && p.same(ctx, answer, unknown) {
			if strings.HasPrefix(answer.Type, "text/html") {
				return verdict.Problemf(CodeUnproven, "%s answers as a path that cannot exist does: status %d with the same page",
					path, answer.Status)
			}
			p.result.Unproven = append(p.result.Unproven, path)
		}
	}
	return nil
}

var (
	tags   = regexp.MustCompile(`</?[a-zA-Z][a-zA-Z0-9-]*`)
	digits = regexp.MustCompile(`[0-9]+`)
)

// same reports whether a path has the answer of one that cannot exist. A page that is another one each time, with a
// nonce or the time in it, is compared by its tags.
func (p *prober) same(ctx context.Context, answer, unknown Attempt) bool {
	if alike(answer, unknown) {
		return true
	}
	if answer.Status != unknown.Status || answer.Type != unknown.Type || p.ask(ctx, answer.Path).Body == answer.Body {
		return false
	}
	if strings.HasPrefix(answer.Type, "text/html") {
		return slices.Equal(tags.FindAllString(answer.Body, -1), tags.FindAllString(unknown.Body, -1))
	}
	return digits.ReplaceAllString(answer.Body, "") == digits.ReplaceAllString(unknown.Body, "")
}

var (
	// login is the path of a page that asks who somebody is.
	login = regexp.MustCompile(`(?i)log[-_]?in|sign[-_]?in|\b(auth|oauth2?|sso|saml)\b`)
	// foreignHost is what frameworks say to a host name that they were not told.
	foreignHost = regexp.MustCompile(`(?i)DisallowedHost|invalid http_host|invalid host header|blocked hosts?\b`)
)

// unasked is what to do about an answer that a health check gets because of what it is: it asks over http, without a login,
// by an address.
func (p *prober) unasked() string {
	last := p.result.LastBad
	switch to, err := url.Parse(last.Location); {
	case last.Status >= http.StatusBadRequest && foreignHost.MatchString(last.Body):
		return fmt.Sprintf("Let %s answer whatever host name is asked for, as health checks ask by the task's address: ALLOWED_HOSTS of "+
			"Django, allowed_hosts of Starlette's TrustedHostMiddleware", last.Path)
	case last.Status > http.StatusOK && last.Status < http.StatusMultipleChoices:
		return fmt.Sprintf("Let %s answer 200 or 204, or set %s to a path that does", last.Path, p.key(last.Path))
	case last.Status == http.StatusUnauthorized || last.Status == http.StatusForbidden, err == nil && login.MatchString(to.Host+to.Path):
		return fmt.Sprintf("Let %s answer without a login, as health checks have none, or set %s to a path that does", last.Path,
			p.key(last.Path))
	case err == nil && last.Location != "" && to.Scheme == "https" && to.Path == last.Path:
		return fmt.Sprintf("Let %s answer over http, as the load balancer and the container's check ask it: exempt it from the redirect to https",
			last.Path)
	}
	return ""
}

// Warn adds to a stage which paths have shown nothing but that something listens.
func (r *Result) Warn(stage *verdict.Stage) {
	if len(r.Unproven) > 0 {
		stage.Warn(WarnUnproven, "%s", strings.Join(r.Unproven, ", "))
	}
}

// redirected is the path on this host that the last bad answer redirects to.
func (p *prober) redirected() (string, bool) {
	last := p.result.LastBad
	base, err := url.Parse(p.target.Address + last.Path)
	if last.Location == "" || err != nil {
		return "", false
	}
	to, err := base.Parse(last.Location)
	if err != nil || to.Host != base.Host || to.Path == "" || to.RequestURI() == base.RequestURI() {
		return "", false
	}
	return to.RequestURI(), true
}

// impossible begins a path that cannot exist.
const impossible = "/openstack-rca-"

// Impossible is a path that no server has, each time another one.
func Impossible() string { return impossible + random() }

// random is a name that nothing has.
func random() string {
	name := make([]byte, 12)
	if _, err := rand.Read(name); err != nil {
		panic(err) // never: Go 1.24 and later
	}
	return hex.EncodeToString(name)
}
