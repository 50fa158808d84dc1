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
	models.Flags().IntVar(&limit, "limit", 0, "how many numbers to list, the highest first; 0 for 50")
	return models
}

// moving is a command that points an alias at a version.
func (in commandLine) moving(
	use, short, alias string, operate func(context.Context, pipeline.Backend, pipeline.Options, publish.Move) *verdict.Run,
) *cobra.Command {
	var move publish.Move
	moving := command(use, short, func(ctx context.Context) error {
		return in.reported(ctx, func(b pipeline.Backend) *verdict.Run { return operate(ctx, b, in.opts, move) })
	})
	moving.Flags().StringVar(&move.Alias, "alias", alias, "alias to move; the environment's own when empty")
	moving.Flags().IntVar(&move.Number, "number", 0, "number of the version, as models lists it")
	moving.Flags().StringVar(&move.By, "by", "", "who requests it, for the history")
	return moving
}

func (in commandLine) cleanClaims() *cobra.Command {
	var numbers []int
	clean := command("clean-claims", "Remove what interrupted publications left; keeps what is committed", func(ctx context.Context) error {
		return in.reported(ctx, func(b pipeline.Backend) *verdict.Run { return pipeline.CleanClaims(ctx, b, in.opts, numbers) })
	})
	clean.Flags().IntSliceVar(&numbers, "number", nil,
		"number of a claim to give up, whatever its age; may be repeated. By default those older than an hour")
	return clean
}
