package publish

import (
	"context"
	"fmt"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Unusable reports arguments and secrets that are missing or malformed. It makes no request.
func Unusable(ctx context.Context, in Input) []*verdict.Problem {
	_, problems := in.connect(ctx, true)
	return problems
}

// Preflight asks both servers, with the credentials, what a publication asks before it claims anything, and reports what it
// found, including a wrong clock. It writes nothing, so it cannot tell whether the store supports conditional writes. Its
// error is a *verdict.Problem.
func Preflight(ctx context.Context, in Input) (string, error) {
	c, problems := in.connect(ctx, true)
	if len(problems) > 0 {
		return "", problems[0]
	}
	experiment, err := c.findExperiment(ctx)
	if err != nil {
		return "", c.fail(ctx, err)
	}
	name := c.experiment()
	if experiment == "" {
		name = defaultExperiment
	}
	if at, err := c.mlflow.ExperimentByName(ctx, name); err == nil {
		if err := c.reachable(ctx, name, at.Location); err != nil {
			return "", c.fail(ctx, err)
		}
	}
	state, err := c.ledger.Scan(ctx)
	if err != nil {
		return "", c.fail(ctx, err)
	}
	known := "does not exist yet"
	if experiment != "" {
		known = "is there"
	}
	found := fmt.Sprintf("experiment %s %s on %s; the next version would be number %d (%s)",
		c.experiment(), known, c.mlflow.Host(), state.Next(), c.ledger.Folder(state.Next()))
	if skew := c.skew(); skew != "" {
		found += "; warning: " + skew
	}
	return c.redact(found), nil
}
