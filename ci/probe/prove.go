package probe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// prove asks for a path that cannot exist. A server that answers it like a health path has
// shown nothing by that: Streamlit 1.67 and servers of single-page applications answer 200
// with their page to every path, a misspelt one too. It is a problem where both are a page;
// Result.Unproven names the others, as a plain service may well answer everything alike.
func (p *prober) prove(ctx context.Context) *verdict.Problem {
	unknown := p.ask(ctx, impossible+random())
	if ctx.Err() != nil {
		return verdict.Problemf(CodeCancelled, "cancelled after %s", seconds(p.since()))
	}
	if !unknown.OK() {
		return nil
	}
	for _, path := range p.target.Paths {
		if answer := p.ask(ctx, path); answer.OK() && answer.Status == unknown.Status && answer.Body == unknown.Body {
			if strings.HasPrefix(answer.Type, "text/html") {
				return verdict.Problemf(CodeUnproven, "%s answers as a path that cannot exist does: status %d with the same page",
					path, answer.Status)
			}
			p.result.Unproven = append(p.result.Unproven, path)
		}
	}
	return nil
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

// random is a name that nothing has.
func random() string {
	name := make([]byte, 12)
	if _, err := rand.Read(name); err != nil {
		panic(err) // never: Go 1.24 and later
	}
	return hex.EncodeToString(name)
}
