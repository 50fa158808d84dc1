package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func (in *invocation) models() *cobra.Command {
	limit := 0
	command := &cobra.Command{Use: "models", Short: "List the published versions of --environment with state, metrics, commit and aliases; changes nothing", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return in.reported(c.Context(), func(b pipeline.Backend) *verdict.Run { return pipeline.Models(c.Context(), b, in.opts, limit) })
		}}
	command.Flags().IntVar(&limit, "limit", 0, "how many numbers to list, the highest first; 0 for 50")
	return command
}

func (in *invocation) moving(command *cobra.Command, alias string, operate func(context.Context, pipeline.Backend, pipeline.Options, publish.Move) *verdict.Run) *cobra.Command {
	var move publish.Move
	command.Args = cobra.NoArgs
	command.RunE = func(c *cobra.Command, _ []string) error {
		return in.reported(c.Context(), func(b pipeline.Backend) *verdict.Run { return operate(c.Context(), b, in.opts, move) })
	}
	command.Flags().StringVar(&move.Alias, "alias", alias, "alias to move; the environment's own when empty")
	command.Flags().IntVar(&move.Number, "number", 0, "number of the version, as models lists it")
	command.Flags().StringVar(&move.By, "by", "", "who wants it, for the history")
	return command
}

func (in *invocation) promote() *cobra.Command {
	return in.moving(&cobra.Command{Use: "promote", Short: "Point an alias at the version that the alias of --environment points at, or at --number; uploads nothing"},
		publish.ProductionAlias, pipeline.Promote)
}

func (in *invocation) rollback() *cobra.Command {
	return in.moving(&cobra.Command{Use: "rollback-model", Short: "Point an alias back at the version it came from, or at --number"}, "", pipeline.RollbackModel)
}

func (in *invocation) cleanClaims() *cobra.Command {
	var numbers []int
	command := &cobra.Command{Use: "clean-claims", Short: "Remove what publications that died have left; what is committed stays", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return in.reported(c.Context(), func(b pipeline.Backend) *verdict.Run {
				return pipeline.CleanClaims(c.Context(), b, in.opts, numbers)
			})
		}}
	command.Flags().IntSliceVar(&numbers, "number", nil, "number of a claim to give up, whatever its age; may be repeated. Without it: those older than an hour")
	return command
}
