package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
)

// observeFlags adds what is recorded of a call, and where it is sent.
func (in *invocation) observeFlags(flags *pflag.FlagSet) {
	o := &in.opts.Observe
	flags.StringVar(&o.State, "state", "",
		"directory with the ledger of runs; when empty it is in S3 beside the models, and the sandbox keeps none")
	flags.BoolVar(&o.Hotfix, "hotfix", false, "mark the run as an unplanned change that mends production, for the figures of dora")
}

// observing are the commands that read the ledger of runs.
func (in *invocation) observing() []*cobra.Command {
	past := func(use, short string, read func(context.Context, pipeline.Backend, pipeline.Options, int) pipeline.Observed) *cobra.Command {
		days, machine := 0, false
		c := command(use, short, func(ctx context.Context) error {
			return in.with(ctx, func(backend pipeline.Backend) error {
				found := read(ctx, backend, in.opts, days)
				if found.Failure != "" {
					_, _ = fmt.Fprintln(in.stderr, found.Failure)
					return errVerdict
				}
				if machine {
					_, _ = fmt.Fprint(in.stdout, string(found.JSON))
					return nil
				}
				_, _ = fmt.Fprint(in.stdout, found.Summary)
				return nil
			})
		})
		c.Flags().IntVar(&days, "days", 0, "how many days to look back; observe.window_days of pipeline.yaml when 0")
		c.Flags().BoolVar(&machine, "json", false, "for machines")
		return c
	}
	return []*cobra.Command{
		past("runs", "List the recorded runs of --environment, the newest first; changes nothing", pipeline.Runs),
		past("dora", "Compute the figures of software delivery from the recorded runs; changes nothing", pipeline.Dora),
	}
}
