package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/openstack-rca/openstack-rca/ci/assembly"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// invocation is the values of the flags, which have the names of the Dagger module's arguments.
type invocation struct {
	stdout, stderr io.Writer
	source         string
	data, trained  string
	report         string
	// judged means that the command has a report.
	judged   bool
	champion string
	// model is the directory to write the gated model to.
	model string
	// verbose shows the output of the steps; screen is what shows the run while it runs.
	verbose bool
	screen  *screen
	secrets secretReferences
	// mlflow and s3 are addresses of servers that the sandbox uses.
	mlflow, s3 string
	// detailed gives a plan that changes something its own exit code.
	detailed bool
	opts     pipeline.Options
}

// commandLine declares the commands of an invocation.
type commandLine struct{ *invocation }

func newCommand(stdout, stderr io.Writer) *cobra.Command {
	in := commandLine{&invocation{stdout: stdout, stderr: stderr, secrets: secretReferences{}}}
	root := &cobra.Command{
		Use:           "openstack-rca",
		Short:         "Test, train, publish and plan the rollout of an ML service, on this host",
		Version:       version(debug.ReadBuildInfo()),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&in.report, "report", "", "Directory to write the report to.")
	flags.BoolVar(&in.verbose, "verbose", false, "Show the output of every step, which is otherwise only in "+logName+
		" of the report; for plan, every attribute of the resources.")
	in.source = "."
	in.commonFlags(flags)

	training := func(command *cobra.Command) *cobra.Command {
		command.Flags().StringVar(&in.model, "model", "", "Directory to write the model to that passed its gates.")
		return bind(command, "train", to{
			"data": &in.data, "param": (*whole)(&in.opts.Train.Params), "cpu-threads": &in.opts.Train.Threads, "champion": &in.champion,
			"twice": &in.opts.Train.Twice, "python": &in.opts.Python,
		})
	}
	audited := func(command *cobra.Command) *cobra.Command {
		return bind(command, "audit", to{"advisories": &in.opts.Advisories})
	}
	o := &in.opts.Test
	test := bind(in.stages("test", "Run the tests and judge them by the coverage gates", verdict.Test), "test", to{
		"path": (*whole)(&o.Paths), "keyword": &o.Keyword, "marker": &o.Marker, "category": &o.Category, "python": &o.Pythons,
		"max-skipped": &o.MaxSkipped, "rerun-failed": &o.Reruns, "workers": &o.Workers, "shards": &o.Shards, "durations": &o.Durations,
		"changed-since": &o.ChangedSince, "full": &o.Full, "base": &o.Base, "baseline": &o.Baseline, "tolerance": &o.Tolerance,
	})
	audit := audited(in.stages("audit",
		"Search the source for known vulnerabilities, unpinned versions, secrets and licences; security.audit of pipeline.yaml has the checks",
		verdict.Audit))
	audit.Flags().BoolVar(&in.opts.History, "git", false, "Search the history of --source for secrets too: every file that any commit has.")

	plan := account(command("plan",
		"Show what a run for --ref would do, and why, and with --image what it would change in AWS; changes nothing", in.plan), &in.opts.Rollout)
	bind(plan, "plan", to{"image": &in.opts.Image})
	plan.Flags().BoolVar(&in.detailed, "detailed-exitcode", false,
		"Exit with 3 when the rollout would change the account, with 1 when it was not compared with one.")
	complete := func(name, short string) *cobra.Command {
		return bind(audited(training(in.stages(name, short, verdict.Stages()...))), "run", to{"base": &o.Base})
	}
	root.AddCommand(in.rollout()...)
	root.AddCommand(in.observing()...)
	root.AddCommand(
		complete("run", "Run every stage that the policy allows for --ref"),
		complete("pipeline", "The same as run"),
		test,
		audit,
		bind(in.stages("image", "Train the model, start the application with it, and check it; builds no image without an engine",
			verdict.Train, verdict.Image), "image", to{"python": &in.opts.Python}),
		training(in.stages("train", "Train the model and judge it by the model gates", verdict.Train)),
		audited(training(in.stages("publish",
			"Run the tests, train the model, and publish it if both pass their gates; idempotent for the same content",
			verdict.Test, verdict.Train, verdict.Audit, verdict.Publish))),
		in.models(),
		in.moving("promote", "Point an alias at the version that the alias of --environment points at, or at --number; uploads nothing",
			pipeline.Promote),
		in.moving("rollback-model", "Point an alias back at the version it came from, or at --number", pipeline.RollbackModel),
		in.cleanClaims(),
		plan,
		in.doctor(), in.initialise(), manual(),
	)
	helpful(root, widthOf(stdout))
	return root
}

// command is a command without positional arguments.
func command(use, short string, run func(context.Context) error) *cobra.Command {
	call := func(c *cobra.Command, _ []string) error { return run(c.Context()) }
	return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: call}
}

// version is that of the build: the tag that was installed, or the commit of a checkout, with
// "modified" if it has changes.
func version(info *debug.BuildInfo, known bool) string {
	if !known {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	text := "development"
	if commit := settings["vcs.revision"]; commit != "" {
		text += " at " + commit
	}
	if settings["vcs.modified"] == "true" {
		text += ", modified"
	}
	return text
}

// stages is the command that runs the named stages.
func (in commandLine) stages(use, short string, names ...string) *cobra.Command {
	return command(use, short, func(ctx context.Context) error { return in.run(ctx, names...) })
}

// with opens the host's backend while use runs.
func (in *invocation) with(ctx context.Context, use func(pipeline.Backend) error) (err error) {
	screen := in.openScreen()
	defer screen.Close()
	host, err := assembly.OnHost(in.source, screen) //nolint:contextcheck // the host outlives the context: Close stops it
	if err != nil {
		return err
	}
	defer onHurry(ctx, host.Hurry)()
	defer func() { //nolint:contextcheck // Close must also work after an interrupt
		if closed := host.Close(); closed != nil && err == nil {
			err = closed
		}
	}()
	in.opts.Secrets = &pipeline.Secrets{}
	getenv, err := in.secrets.environment()
	if err != nil {
		return err
	}
	credentials(&in.opts, assembly.FromEnvironment(getenv, in.opts.Secrets))
	in.opts.Progress = screen.Line
	if in.opts.Rollout.Progress != nil {
		in.opts.Rollout.Progress = screen.Line
	}
	checkout(ctx, &in.opts, in.source, in.report)
	for _, server := range []struct {
		name, address string
		to            **runner.Running
	}{{"sandbox-mlflow", in.mlflow, &in.opts.Servers.MLflow}, {"sandbox-s3", in.s3, &in.opts.Servers.S3}} {
		if server.address == "" {
			continue
		}
		if *server.to, err = assembly.Adopt(strings.TrimPrefix(server.name, "sandbox-"), server.address); err != nil {
			return fmt.Errorf("--%s: %w", server.name, err)
		}
	}
	for _, given := range []struct {
		flag, path string
		to         *runner.Files
	}{{"data", in.data, &in.opts.Data}, {"trained", in.trained, &in.opts.Trained}} {
		if given.path == "" {
			continue
		}
		if *given.to, err = host.Files(given.flag, given.path); err != nil {
			return err
		}
	}
	if in.champion != "" {
		content, err := readBounded(in.champion, train.MaxChampion)
		if err != nil {
			return fmt.Errorf("read --champion: %w", err)
		}
		in.opts.Train.Champion = &pipeline.ChampionFile{Name: filepath.Base(in.champion), Content: content}
	}
	err = use(host.Backend)
	if in.report != "" && !in.judged {
		_, _ = fmt.Fprintln(in.stderr, "openstack-rca: this command writes no report; --report was not used")
	}
	return err
}

func (in *invocation) run(ctx context.Context, stages ...string) error {
	in.opts.Stages = stages
	var unwritten error
	next := ""
	err := in.reported(ctx, func(backend pipeline.Backend) *verdict.Run {
		outcome := pipeline.Run(ctx, backend, in.opts)
		next = outcome.Next
		if in.model != "" && outcome.Model != nil {
			unwritten = outcome.Model.Files.Export(ctx, in.model)
		}
		return outcome.Run
	})
	switch {
	case unwritten != nil:
		_, _ = fmt.Fprintln(in.stderr, "openstack-rca: write --model: "+unwritten.Error())
		return errVerdict
	case err == nil && next != "" && os.Getenv("CI") == "":
		_, _ = fmt.Fprintf(in.stdout, "Next: openstack-rca %s%s\n", next, in.sourceFlag())
	}
	return err
}

// reported runs a function, shows its summary, writes its report, and makes its verdict the exit
// code. If no report can be written, nothing runs.
func (in *invocation) reported(ctx context.Context, run func(pipeline.Backend) *verdict.Run) error {
	return in.with(ctx, func(backend pipeline.Backend) error {
		if in.report != "" {
			if err := errors.Join(besideSource(in.report, in.source), verdict.CheckReportDir(in.report)); err != nil {
				in.opts.Refused = append(in.opts.Refused, verdict.Problemf(pipeline.CodeReportUnwritable, "%v", err))
			}
		}
		if in.model != "" {
			if err := verdict.CheckWritable("directory of --model", in.model); err != nil {
				in.opts.Refused = append(in.opts.Refused, verdict.Problemf(pipeline.CodeBadArgument, "%v", err))
			}
		}
		return in.show(run(backend))
	})
}

// show writes a run's report and its summary, and makes its verdict the exit code. The summary
// is also shown when the report cannot be written: it may be the only record of the run.
func (in *invocation) show(run *verdict.Run) error {
	in.judged = true
	var unwritten error
	if in.report != "" && len(in.opts.Refused) == 0 {
		unwritten = verdict.WriteReport(in.report, run)
	}
	in.closeScreen()
	_, unsaid := fmt.Fprintln(in.stdout, in.shown(verdict.Summary(run)))
	if os.Getenv("GITHUB_ACTIONS") == "true" {
		_, _ = fmt.Fprint(in.stderr, verdict.AnnotationsOf(run))
	}
	switch {
	case unsaid != nil && in.report == "":
		return fmt.Errorf("write summary: %w", unsaid)
	case unwritten != nil:
		_, _ = fmt.Fprintln(in.stderr, "openstack-rca: the report could not be written: "+unwritten.Error())
		return errVerdict
	case in.report != "" && len(in.opts.Refused) == 0:
		_, _ = fmt.Fprintln(in.stdout, "Report: "+filepath.Join(in.report, verdict.ReportHTML))
	}
	if run.Enforce() != nil {
		// The summary has the reason.
		return errVerdict
	}
	return nil
}

func (in *invocation) plan(ctx context.Context) error {
	return in.with(ctx, func(backend pipeline.Backend) error {
		plan := pipeline.Explain(ctx, backend, in.opts)
		failure := plan.Failure()
		plan.Problems = nil // they go to standard error
		text := plan.Markdown()
		if in.verbose {
			text = plan.WholeMarkdown()
		}
		if len(plan.Stages) > 0 {
			if _, err := fmt.Fprint(in.stdout, text); err != nil {
				return fmt.Errorf("write plan: %w", err)
			}
		}
		if failure != "" {
			_, _ = fmt.Fprintln(in.stderr, failure)
			return errVerdict
		}
		if in.detailed && !plan.Compared {
			_, _ = fmt.Fprintln(in.stderr, "the rollout was not compared with an account: "+
				"that takes --image, --environment staging or production, and credentials")
			return errVerdict
		}
		if in.detailed && plan.Changed {
			return errChanged
		}
		return nil
	})
}

// readBounded reads a file of at most limit bytes.
func readBounded(name string, limit int64) (content []byte, err error) {
	f, err := os.Open(name) //nolint:gosec // the caller names the file
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	content, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return content, err
}
