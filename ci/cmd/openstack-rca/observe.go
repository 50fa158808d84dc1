package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
)

// observeFlags adds what is recorded of a call, and where it is sent.
func observeFlags(flags *pflag.FlagSet, o *pipeline.Observe) {
	flags.StringVar(&o.State, "state", "",
		"directory with the ledger of runs; when empty it is in S3 beside the models, and the sandbox keeps none")
	flags.StringVar(&o.PushgatewayURL, "pushgateway-url", "", "Pushgateway of Prometheus to send the metrics of a run to")
	flags.StringVar(&o.OTLPEndpoint, "otlp-endpoint", "", "collector of OpenTelemetry to send the metrics of a run to, http://host:4318")
	flags.BoolVar(&o.Hotfix, "hotfix", false, "mark the run as an unplanned change that fixes production, for the figures of dora")
}

// answer shows what was asked for, or why there is no answer.
func (in *invocation) answer(ctx context.Context, ask func(pipeline.Backend) (text, failure string, err error)) error {
	return in.with(ctx, func(backend pipeline.Backend) error {
		text, failure, err := ask(backend)
		if failure != "" {
			_, _ = fmt.Fprintln(in.stderr, failure)
			return errVerdict
		}
		_, _ = fmt.Fprint(in.stdout, text)
		return err
	})
}

// observing are the commands that read the ledger of runs.
func (in commandLine) observing() []*cobra.Command {
	past := func(use, short string, read func(context.Context, pipeline.Backend, pipeline.Options, int) pipeline.Observed) *cobra.Command {
		days, machine := 0, false
		c := command(use, short, func(ctx context.Context) error {
			return in.answer(ctx, func(backend pipeline.Backend) (string, string, error) {
				found := read(ctx, backend, in.opts, days)
				if machine {
					return string(found.JSON), found.Failure, nil
				}
				return found.Summary, found.Failure, nil
			})
		})
		c.Flags().IntVar(&days, "days", 0, "how many days to look back; observe.window_days of pipeline.yaml when 0")
		c.Flags().BoolVar(&machine, "json", false, "for machines")
		return c
	}
	return []*cobra.Command{
		past("runs", "List the recorded runs of --environment, the newest first; changes nothing", pipeline.Runs),
		in.metrics(), in.observability(), in.notify(),
		past("dora", "Compute the figures of software delivery from the recorded runs; changes nothing", pipeline.Dora),
	}
}

func (in commandLine) metrics() *cobra.Command {
	days, format := 0, "text"
	c := command("metrics", "Make the metrics of the recorded runs for Prometheus; changes nothing", func(ctx context.Context) error {
		return in.answer(ctx, func(backend pipeline.Backend) (string, string, error) {
			found := pipeline.Metrics(ctx, backend, in.opts, days)
			content, ok := map[string]string{"text": found.Text, "open": found.Open, "history": found.History, "emf": found.EMF}[format]
			if !ok && found.Failure == "" {
				return "", "", fmt.Errorf("--format %q is not text, open, history or emf", format)
			}
			return content, found.Failure, nil
		})
	})
	c.Flags().IntVar(&days, "days", 0, "how many days to look back; observe.window_days of pipeline.yaml when 0")
	c.Flags().StringVar(&format, "format", "text",
		"text (Prometheus), open (OpenMetrics), history (all runs with their times, for backfilling), or emf (CloudWatch)")
	return c
}

func (in commandLine) observability() *cobra.Command {
	out, webhook := "", ""
	c := command("observability", "Generate alert rules, their tests, a dashboard and configurations from pipeline.yaml",
		func(ctx context.Context) error {
			return in.answer(ctx, func(backend pipeline.Backend) (string, string, error) {
				files, failure := pipeline.Observability(ctx, backend, in.opts, webhook)
				for name, content := range files {
					file := filepath.Join(out, filepath.FromSlash(name))
					if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // servers of other users read it
						return "", "", fmt.Errorf("write %s: %w", name, err)
					}
					if err := os.WriteFile(file, content, 0o644); err != nil { //nolint:gosec // as above
						return "", "", fmt.Errorf("write %s: %w", name, err)
					}
				}
				return fmt.Sprintf("%d files in %s\n", len(files), out), failure, nil
			})
		})
	c.Flags().StringVar(&out, "out", "observability", "directory to write to")
	c.Flags().StringVar(&webhook, "webhook", "", "where Alertmanager sends alerts; nowhere when empty")
	return c
}

func (in commandLine) notify() *cobra.Command {
	channel := ""
	c := command("notify", "Send a message that says it is a test to the channels of notify in pipeline.yaml",
		func(ctx context.Context) error {
			return in.answer(ctx, func(backend pipeline.Backend) (string, string, error) {
				found := pipeline.Notify(ctx, backend, in.opts, channel)
				return found.Summary, found.Failure, nil
			})
		})
	c.Flags().StringVar(&channel, "channel", "", "name of the channel; all when empty")
	return c
}

func (in commandLine) doctor() *cobra.Command {
	machine := false
	c := command("doctor", "Check what a run depends on; changes nothing", func(ctx context.Context) error {
		return in.with(ctx, func(backend pipeline.Backend) error {
			found := pipeline.Doctor(ctx, backend, in.opts)
			if machine {
				_, _ = fmt.Fprint(in.stdout, string(found.JSON))
			} else {
				_, _ = fmt.Fprint(in.stdout, found.Text)
			}
			if found.Failure != "" {
				return errVerdict
			}
			return nil
		})
	})
	c.Flags().StringSliceVar(&in.opts.Checks, "only", nil,
		"names of the checks to make; all but the slow ones, tests and imports, when empty")
	c.Flags().BoolVar(&machine, "json", false, "for machines")
	c.Flags().StringVar(&in.opts.Attest.KMS, "sign-kms", "", "key of AWS KMS to look at: its ARN, id or alias")
	return in.audited(c)
}
