package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Found describes a registry.
type Found struct {
	// Host is its name. Referrers is set if it supports the referrers API; otherwise the fallback tag is used.
	Host      string
	Referrers bool
}

// Reach checks, with GET requests only, whether the login may read a repository, which need not exist yet. base replaces
// HTTP; nil is the real one. The error contains neither login nor token.
func Reach(ctx context.Context, repository string, login Login, base http.RoundTripper) (Found, error) {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return Found{}, fmt.Errorf("%q is not the name of a repository", repository)
	}
	if base == nil {
		base = remote.DefaultTransport
	}
	auth := authn.Anonymous
	if login != (Login{}) {
		auth = &authn.Basic{Username: login.Username, Password: login.Password}
	}
	found := Found{Host: repo.RegistryStr()}
	through, err := transport.NewWithContext(ctx, repo.Registry, auth, base, []string{repo.Scope(transport.PullScope)})
	if err != nil {
		return found, reason(found.Host, err)
	}
	address := repo.Scheme() + "://" + repo.RegistryStr() + "/v2/" + repo.RepositoryStr() + "/referrers/sha256:" + strings.Repeat("0", 64)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return found, errors.New("the address of the repository is not valid")
	}
	answer, err := (&http.Client{Transport: through}).Do(request)
	if err != nil {
		return found, reason(found.Host, err)
	}
	defer func() { _ = answer.Body.Close() }() // only the status matters
	switch answer.StatusCode {
	case http.StatusOK:
		found.Referrers = true
	case http.StatusNotFound:
	case http.StatusUnauthorized, http.StatusForbidden:
		return found, fmt.Errorf("%s refuses the login for %s: HTTP %d", found.Host, repo.RepositoryStr(), answer.StatusCode)
	default:
		return found, fmt.Errorf("%s answers HTTP %d", found.Host, answer.StatusCode)
	}
	return found, nil
}

// reason explains why a registry cannot be used, without the address of its token service.
func reason(host string, err error) error {
	var refused *transport.Error
	if errors.As(err, &refused) {
		return fmt.Errorf("%s refuses the login: HTTP %d", host, refused.StatusCode)
	}
	return fmt.Errorf("%s does not answer as a registry", host)
}
