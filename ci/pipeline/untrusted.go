package pipeline

import (
	"context"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// besideCredentials refuses to run the code of a pull request as the user who holds this run's credentials, because the code
// could read them. On an engine, steps run in containers without credentials. An unknown event is treated as a pull request.
func (o Options) besideCredentials(ctx context.Context, r runner.Runner) *verdict.Problem {
	ref := policy.ParseRef(o.Ref, o.Event)
	if r.Name() != "native" || ref.Kind != policy.PullRequest && ref.Event == "" {
		return nil
	}
	var found []string
	for _, secret := range o.secrets() {
		// If this process cannot read it, neither can the code.
		if value, err := secret.Plaintext(ctx); err == nil && value != "" && !slices.Contains(found, secret.Name()) {
			found = append(found, secret.Name())
		}
	}
	if o.Rollout.Profile != "" {
		found = append(found, "the AWS profile "+o.Rollout.Profile)
	}
	if o.Rollout.DefaultCredentials {
		found = append(found, "the default credentials of AWS")
	}
	if len(found) == 0 {
		return nil
	}
	return verdict.Problemf(CodeUntrusted,
		"the code of a pull request, or of an event that is not known, would run beside %s", strings.Join(found, ", "))
}
