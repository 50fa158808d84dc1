package publish

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Records opens the folder of that name beside the models of a target, for records of other
// kinds. It talks to no server, and needs no MLflow.
func Records(ctx context.Context, in Input, name string) (*ledger.Folder, *verdict.Problem) {
	if in.Target.TrackingURI == "" {
		in.Target.TrackingURI = "http://unused.invalid" // connect demands one; nothing here asks it
	}
	c, problems := in.connect(ctx, true)
	if len(problems) > 0 {
		return nil, problems[0]
	}
	return c.ledger.Beside(name), nil
}
