// An example of another module that uses the pipeline: a team's own delivery, with
// steps of its own around the pipeline's.
//
//	dagger -m examples/compose call deliver --source examples/openstack-rca
package main

import (
	"context"
	"fmt"
	"strings"

	"dagger/compose/internal/dagger"
)

// Compose is the team's delivery.
type Compose struct{}

// Deliver refuses sources that hold notebooks, runs the pipeline on the rest, and
// returns the summary of its verdict. It fails when the verdict is not pass.
//
// +cache="session"
func (c *Compose) Deliver(
	ctx context.Context,

	// Root of the application's repository.
	source *dagger.Directory,

	// Branch the delivery is for.
	//
	// +optional
	// +default="main"
	ref string,
) (string, error) {
	notebooks, err := source.Glob(ctx, "**/*.ipynb")
	if err != nil {
		return "", fmt.Errorf("look for notebooks: %w", err)
	}
	if len(notebooks) > 0 {
		return "", fmt.Errorf("deliver: a notebook is not delivered: %s", strings.Join(notebooks, ", "))
	}
	run := dag.OpenstackRca(dagger.OpenstackRcaOpts{Source: source, Ref: ref}).Pipeline()
	if err := run.Enforce(ctx); err != nil {
		return "", err
	}
	return run.Summary(ctx)
}
