package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/openstack-rca/openstack-rca/ci/assembly"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// rollout returns the commands that operate a service on ECS. They need no engine.
func (in commandLine) rollout() []*cobra.Command {
	o := &in.opts.Rollout
	wait := func(command *cobra.Command) *cobra.Command {
		return bind(command, command.Name(), to{"lock-wait": &o.LockWait})
	}
	operation := func(name, short string) *cobra.Command {
		operation := account(command(name, short, func(ctx context.Context) error { return in.operate(ctx, name) }), o)
		if name == pipeline.Status {
			return operation // It takes no lock.
		}
		return wait(operation)
	}
	deploy := account(wait(command("deploy", "Roll an image out, and pass only when it serves, healthy, for the whole bake time",
		func(ctx context.Context) error {
			in.progress()
			return in.run(ctx, verdict.Deploy)
		})), o)
	bind(demanding(deploy, &in.opts.Verify), "deploy", to{
		"image": &in.opts.Image, "override": &o.Override, "in-flight": (*string)(&o.InFlight), "on-timeout": (*string)(&o.OnTimeout),
		"await-approval": &o.AwaitApproval,
	})
	return []*cobra.Command{
		in.imports(), deploy, in.join(), in.attest(), in.verify(), in.scan(), in.advisories(),
		bind(operation(pipeline.Wait, "Follow the deployment in progress to its end, and judge it as deploy would"), "wait",
			to{"await-approval": &o.AwaitApproval}),
		bind(operation(pipeline.Prune, "Deregister old task definitions that nothing needs"), "prune", to{"keep": &o.Keep}),
		bind(operation(pipeline.Destroy, "Delete everything that was created for the service, and nothing else"), "destroy",
			to{"confirm": &o.Confirm, "with-logs": &o.WithLogs}),
		operation(pipeline.Status, "Show what runs, a deployment in progress, who holds the lock, and earlier deployments"),
		operation(pipeline.Rollback, "Restore the last good release: stop a deployment in progress, or deploy the earlier release"),
		operation(pipeline.Approve, "Continue a paused deployment, and follow it"),
		operation(pipeline.Reject, "Roll a paused deployment back"),
	}
}

// imports returns the command import.
func (in commandLine) imports() *cobra.Command {
	from, output := &in.opts.Rollout.From, ""
	imports := account(command("import", "Write the pipeline.yaml that adopts an existing ECS service; changes nothing in AWS",
		func(ctx context.Context) error { return in.importTo(ctx, output) }), &in.opts.Rollout)
	from.Region = os.Getenv("AWS_REGION")
	bind(imports, "import", to{
		"cluster": &from.Cluster, "service": &from.Service, "region": &from.Region, "container": &from.Container, "journal": &from.Journal,
	})
	imports.Flags().StringVar(&output, "output", config.FileName,
		"File to write in --source, which must not exist; - writes to standard output.")
	for _, name := range []string{"cluster", "service"} {
		_ = imports.MarkFlagRequired(name) // the flag is there
	}
	return imports
}

// importTo writes the configuration that an import found, and never over another file.
func (in *invocation) importTo(ctx context.Context, output string) error {
	return in.reported(ctx, func(backend pipeline.Backend) *verdict.Run {
		path := output
		if !filepath.IsAbs(path) {
			path = filepath.Join(in.source, path)
		}
		if _, err := os.Lstat(path); err == nil && output != "-" {
			in.opts.Refused = append(in.opts.Refused,
				verdict.Problemf(pipeline.CodeBadArgument, "--output: %s exists; name another file, or -", output))
		}
		run := pipeline.Operate(ctx, backend, in.opts, pipeline.Import)
		content := pipeline.Imported(run)
		switch {
		case run.Enforce() != nil || content == "":
		case output == "-":
			_, _ = fmt.Fprint(in.stdout, content)
		default:
			if err := writeNew(path, content); err != nil {
				run.Refuse(verdict.Problemf(pipeline.CodeBadArgument, "--output: %v", err))
			} else {
				_, _ = fmt.Fprintln(in.stderr, "wrote "+path)
			}
		}
		return run
	})
}

// writeNew writes a file that does not exist.
func writeNew(path, content string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a configuration without secrets
	if err != nil {
		return err
	}
	if _, err = file.WriteString(content); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

// account adds the flags that select credentials of this machine for AWS.
func account(command *cobra.Command, o *pipeline.RolloutOptions) *cobra.Command {
	flags := command.Flags()
	flags.StringVar(&o.Profile, "aws-profile", os.Getenv("AWS_PROFILE"), "Profile of the shared configuration. AWS_PROFILE when empty.")
	flags.BoolVar(&o.DefaultCredentials, "aws-default-credentials", false,
		"Use the AWS CLI's credential chain: environment, files, instance and container roles, web identity.")
	return command
}

// progress shows the progress of a rollout.
func (in *invocation) progress() {
	in.opts.Rollout.Progress = func(line string) { _, _ = fmt.Fprintln(in.stderr, line) }
}

func (in *invocation) operate(ctx context.Context, operation string) error {
	in.progress()
	return in.reported(ctx, func(backend pipeline.Backend) *verdict.Run { return pipeline.Operate(ctx, backend, in.opts, operation) })
}

// credentials reads those of the environment. A named profile replaces keys, which are not
// accepted together with it.
func credentials(o *pipeline.Options, variables assembly.Variables) {
	given := o.Target
	o.Target = variables.Target()
	for _, value := range []struct {
		given string
		to    *string
	}{
		{given.TrackingURI, &o.Target.TrackingURI}, {given.ArtifactRoot, &o.Target.ArtifactRoot},
		{given.S3Endpoint, &o.Target.S3Endpoint}, {given.Region, &o.Target.Region},
	} {
		*value.to = cmp.Or(value.given, *value.to)
	}
	if o.Rollout.Profile != "" {
		o.Target.AccessKey, o.Target.SecretKey, o.Target.SessionToken = nil, nil, nil
	}
	o.Observe.MetricsAuth = variables.Secret("METRICS_AUTH")
	o.Attest.Key, o.Attest.Token = variables.Secret("ATTEST_KEY"), variables.Secret("SIGSTORE_ID_TOKEN")
	o.Registry = variables.Registry()
	o.Observe.NotifySecrets = variables.Secret("NOTIFY_SECRETS")
	if token := variables.Secret("AWS_WEB_IDENTITY_TOKEN"); token != nil {
		o.Rollout.WebIdentity, o.Rollout.WebIdentityRole = token, cmp.Or(o.Rollout.WebIdentityRole, os.Getenv("AWS_ROLE_ARN"))
	}
}
