package pipeline

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// redactor hides the values of every secret that the run was given, in each form in which
// programs print them. One that cannot be read is no danger: no stage can read it either.
func (o Options) redactor(ctx context.Context) func(string) string {
	var values []string
	for _, secret := range append(append(o.Target.Secrets(), o.Secrets...), o.Rollout.WebIdentity) {
		if secret == nil {
			continue
		}
		if value, err := secret.Plaintext(ctx); err == nil {
			values = append(values, value)
		}
	}
	return verdict.Redact(values...)
}
