package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
)

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
		c.Flags().BoolVar(&machine, "json", false, "For machines.")
		return bind(c, use, to{"days": &days})
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
	c.Flags().StringVar(&format, "format", "text",
		"One of text (Prometheus), open (OpenMetrics), history (all runs with their times, for backfilling), emf (CloudWatch).")
	return bind(c, "metrics", to{"days": &days})
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
	c.Flags().StringVar(&out, "out", "observability", "Directory to write to.")
	return bind(c, "observability", to{"webhook": &webhook})
}

func (in commandLine) notify() *cobra.Command {
	channel := ""
	c := command("notify", "Send a test message to the channels of notify in pipeline.yaml",
		func(ctx context.Context) error {
			return in.answer(ctx, func(backend pipeline.Backend) (string, string, error) {
				found := pipeline.Notify(ctx, backend, in.opts, channel)
				return found.Summary, found.Failure, nil
			})
		})
	return bind(c, "notify", to{"channel": &channel})
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
	c.Flags().BoolVar(&machine, "json", false, "For machines.")
	return bind(c, "doctor", to{"only": &in.opts.Checks, "sign-kms": &in.opts.Attest.KMS, "advisories": &in.opts.Advisories})
}
