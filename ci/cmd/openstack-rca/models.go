package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func (in commandLine) models() *cobra.Command {
	limit := 0
	models := command("models", "List the published versions of --environment with state, metrics, commit and aliases; changes nothing",
		func(ctx context.Context) error {
			return in.reported(ctx, func(b pipeline.Backend) *verdict.Run { return pipeline.Models(ctx, b, in.opts, limit) })
		})
	return bind(models, "models", to{"limit": &limit})
}

// moving is a command that points an alias at a version.
func (in commandLine) moving(
	use, short string, operate func(context.Context, pipeline.Backend, pipeline.Options, publish.Move) *verdict.Run,
) *cobra.Command {
	var move publish.Move
	moving := command(use, short, func(ctx context.Context) error {
		return in.reported(ctx, func(b pipeline.Backend) *verdict.Run { return operate(ctx, b, in.opts, move) })
	})
	return bind(moving, use, to{"alias": &move.Alias, "number": &move.Number, "by": &move.By})
}

func (in commandLine) cleanClaims() *cobra.Command {
	var numbers []int
	clean := command("clean-claims", "Remove what interrupted publications left; keeps what is committed", func(ctx context.Context) error {
		return in.reported(ctx, func(b pipeline.Backend) *verdict.Run { return pipeline.CleanClaims(ctx, b, in.opts, numbers) })
	})
	return bind(clean, "clean-claims", to{"number": &numbers})
}
