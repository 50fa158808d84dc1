package release

import (
	"context"
	"fmt"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const stagingName = "staging"

// checkPromotion requires that staging has run the digest long enough before it goes to production.
func (o deployer) checkPromotion(ctx context.Context) *verdict.Problem {
	if o.plan.Environment != rollout.Production {
		return nil
	}
	ran, err := o.journal.Ran(ctx, stagingName, o.digest())
	switch {
	case err != nil && o.in.Override == "":
		return journal.Problem(err)
	case ran && o.in.Spec.Soak > 0:
		return o.checkSoak(ctx)
	case ran:
		o.stage().Gate("promotion", "staging has run "+o.digest(), "run by staging", true)
	case o.in.Override == "":
		o.stage().Gate("promotion", "staging has not run "+o.digest(), "run by staging", false)
		return verdict.Problemf(NotPromoted, "staging has no record of %s", o.digest())
	default:
		o.stage().Warn(Overridden, "%s", o.in.Override)
	}
	return nil
}

// checkSoak requires that staging has served the digest for the time in rollout.soak.
func (o deployer) checkSoak(ctx context.Context) *verdict.Problem {
	served, err := o.journal.Served(ctx, stagingName, o.digest())
	if err != nil && o.in.Override == "" {
		return journal.Problem(err)
	}
	long, soak := served.For(o.clock.Server()), o.in.Spec.Soak
	value := fmt.Sprintf("staging has served it for %s", long.Truncate(time.Second))
	if long >= soak || o.in.Override == "" {
		o.stage().Gate("soak", value, soak.String()+" without a break", long >= soak)
	}
	switch {
	case long >= soak:
		return nil
	case o.in.Override == "":
		return verdict.Problemf(NotSoaked, "%s: %s", value, soakedFrom(served, soak))
	default:
		o.stage().Warn(Overridden, "%s; %s", value, o.in.Override)
		return nil
	}
}

// soakedFrom returns the time from which production accepts the digest.
func soakedFrom(served journal.Served, soak time.Duration) string {
	switch {
	case served.Since.IsZero():
		return "the journal does not know since when staging serves it"
	case !served.Until.IsZero() && served.For(time.Time{}) < soak:
		return fmt.Sprintf("staging served it from %s to %s only; deploy it to staging again", stamp(served.Since), stamp(served.Until))
	default:
		return fmt.Sprintf("production takes it from %s", stamp(served.Since.Add(soak)))
	}
}

// planSoak adds that time to a plan for production.
func (o *observer) planSoak(ctx context.Context) *verdict.Problem {
	if o.plan.Environment != rollout.Production || o.in.Spec.Soak <= 0 || o.journal == nil {
		return nil
	}
	served, err := o.journal.Served(ctx, stagingName, o.digest())
	if err != nil {
		return journal.Problem(err)
	}
	text := soakedFrom(served, o.in.Spec.Soak)
	if ran, err := o.journal.Ran(ctx, stagingName, o.digest()); err == nil && !ran {
		text = "staging has not run this digest"
	}
	o.stage().Add("soak", text)
	o.result.Text += fmt.Sprintf("\nSoak of %s in staging: %s.\n", o.in.Spec.Soak, text)
	return nil
}
