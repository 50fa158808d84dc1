package pipeline

import (
	"context"
	"slices"
	"sync"

	"github.com/openstack-rca/openstack-rca/ci/notify"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Secrets are the secrets of a call. Code that turns an argument or a variable into a secret
// registers it with Keep, so that reports mask it. The zero value is ready for use; nil keeps
// nothing.
type Secrets struct {
	mu  sync.Mutex
	all []runner.Secret
}

// Keep registers the secret and returns it. It returns nil for nil.
func (s *Secrets) Keep(secret runner.Secret) runner.Secret {
	if secret != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, secret)
	}
	return secret
}

func (s *Secrets) list() []runner.Secret {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]runner.Secret(nil), s.all...)
}

// secrets returns all secrets of the run, including those of Target and Rollout for callers that do not set Options.Secrets.
func (o Options) secrets() []runner.Secret {
	all := append(append(o.Secrets.list(), o.Target.Secrets()...), o.Rollout.WebIdentity, o.Observe.MetricsAuth, o.Observe.NotifySecrets)
	return slices.DeleteFunc(all, func(secret runner.Secret) bool { return secret == nil })
}

// redactor masks the values of all secrets in every encoding in which programs commonly print them. unmasked has the names of
// secrets that are too short to mask. A secret that cannot be read needs no mask, because no stage can read it either.
func (o Options) redactor(ctx context.Context) (redact func(string) string, unmasked []string) {
	var values []string
	seen := map[string]bool{}
	for _, secret := range o.secrets() {
		value, err := secret.Plaintext(ctx)
		if err != nil || seen[value] {
			continue
		}
		seen[value] = true
		values = append(values, value)
		if value != "" && !verdict.Masks(value) {
			unmasked = append(unmasked, secret.Name())
		}
	}
	if lines := o.Observe.NotifySecrets; lines != nil {
		// Mask the secret of each channel separately, too. If they cannot be parsed, no channel uses them.
		if text, err := lines.Plaintext(ctx); err == nil {
			if parsed, err := notify.ParseSecrets(text); err == nil {
				values = append(values, parsed.Values()...)
			}
		}
	}
	return verdict.Redact(values...), unmasked
}
