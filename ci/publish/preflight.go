package publish

import (
	"context"
	"fmt"

	"github.com/openstack-rca/openstack-rca/ci/mlflow"
)

// Preflight asks both servers, with the credentials, what a publication asks before it
// claims anything, and says what it found, a clock that is off included. It writes nothing, so that it cannot tell
// whether the store honours conditional writes. Its error is a *verdict.Problem.
func Preflight(ctx context.Context, in Input) (string, error) {
	if in.Clock == nil {
		in.Clock = mlflow.SystemClock{}
	}
	p := &publication{Input: in}
	clients, problems := p.connect(ctx, true)
	if len(problems) > 0 {
		return "", problems[0]
	}
	p.clients = clients
	fail := func(err error) (string, error) {
		found := problem(ctx, preparing, err)
		found.Cause = p.redact(found.Cause)
		return "", found
	}
	experiment, err := p.findExperiment(ctx)
	if err != nil {
		return fail(err)
	}
	name := p.experiment()
	if experiment == "" {
		name = defaultExperiment
	}
	if at, err := p.mlflow.ExperimentByName(ctx, name); err == nil {
		if err := p.reachable(name, at.Location); err != nil {
			return fail(err)
		}
	}
	state, err := p.ledger.Scan(ctx)
	if err != nil {
		return fail(err)
	}
	known := "does not exist yet"
	if experiment != "" {
		known = "is there"
	}
	found := fmt.Sprintf("experiment %s %s on %s; the next version would be number %d (%s)",
		p.experiment(), known, p.mlflow.Host(), state.Next(), p.ledger.Folder(state.Next()))
	if skew := p.skew(); skew != "" {
		found += "; warning: " + skew
	}
	return p.redact(found), nil
}
