package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/openstack-rca/openstack-rca/ci/assembly"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// rollout are the commands that operate a service on ECS. They need no engine.
func (in *invocation) rollout() []*cobra.Command {
	o := &in.opts.Rollout
	wait := func(command *cobra.Command) *cobra.Command {
		command.Flags().StringVar(&o.LockWait, "lock-wait", "", "how long to wait for another run's lock, such as 5m; 0s for not at all; as long as a lost run's lock lasts when empty")
		return command
	}
	command := func(use, operation, short string) *cobra.Command {
		return in.account(wait(&cobra.Command{Use: use, Short: short, Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return in.operate(c.Context(), operation) }}))
	}
	deploy := in.account(wait(&cobra.Command{Use: "deploy", Short: "Roll an image out, and pass only when it serves, healthy, for the whole bake time", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			in.progress()
			return in.run(c.Context(), verdict.Deploy)
		}}))
	flags := deploy.Flags()
	flags.StringVar(&in.opts.Image, "image", "", "the image, by digest: repository@sha256:...")
	flags.StringVar(&o.Override, "override", "", "why production is to take an image that staging has not run; it is recorded")
	flags.StringVar(&o.InFlight, "in-flight", "", "another version's deployment under way: refuse, wait, rollback or supersede")
	flags.StringVar(&o.OnTimeout, "on-timeout", "rollback", "a deployment that does not end in time: rollback or leave")
	flags.BoolVar(&o.AwaitApproval, "await-approval", false, "wait at a pause until somebody else approves or rejects")

	follow := command("wait", pipeline.Wait, "Follow the deployment under way to its end, and judge it as deploy would")
	follow.Flags().BoolVar(&o.AwaitApproval, "await-approval", false, "wait at a pause until somebody else approves or rejects")
	prune := command("prune", pipeline.Prune, "Deregister old task definitions that nothing needs")
	prune.Flags().IntVar(&o.Keep, "keep", 10, "how many of the newest to keep")
	destroy := command("destroy", pipeline.Destroy, "Delete everything that was made for the service, and nothing else")
	destroy.Flags().StringVar(&o.Confirm, "confirm", "", "the service's name, as status shows it")
	destroy.Flags().BoolVar(&o.WithLogs, "with-logs", false, "delete the logs too")
	return []*cobra.Command{
		deploy, follow, prune, destroy,
		command("status", pipeline.Status, "Show what runs, what is under way, who deploys, and what was deployed before"),
		command("rollback", pipeline.Rollback, "Put the last good release back: stop a deployment under way, or deploy the earlier release"),
		command("approve", pipeline.Approve, "Let a paused deployment go on, and follow it"),
		command("reject", pipeline.Reject, "Roll a paused deployment back"),
	}
}

// account adds the flags that say with which credentials AWS is called. Keys and tokens
// are taken from the environment only, never from the command line.
func (in *invocation) account(command *cobra.Command) *cobra.Command {
	o, flags := &in.opts.Rollout, command.Flags()
	flags.StringVar(&o.Endpoint, "aws-endpoint-url", os.Getenv("AWS_ENDPOINT_URL"), "API to use instead of AWS's own; AWS_ENDPOINT_URL")
	flags.StringVar(&o.Profile, "aws-profile", os.Getenv("AWS_PROFILE"), "profile of the shared configuration; AWS_PROFILE")
	flags.StringVar(&o.Role, "aws-role", "", "ARN of a role to assume")
	flags.StringVar(&o.ExternalID, "aws-external-id", "", "external id of that role")
	flags.BoolVar(&o.DefaultCredentials, "aws-default-credentials", false, "look for credentials where the AWS CLI does: environment, files, instance and container roles, web identity")
	return command
}

// progress shows what happens while it happens.
func (in *invocation) progress() {
	in.opts.Rollout.Progress = func(line string) { fmt.Fprintln(in.stderr, line) }
}

func (in *invocation) operate(ctx context.Context, operation string) error {
	in.progress()
	return in.reported(ctx, func(backend pipeline.Backend) *verdict.Run { return pipeline.Operate(ctx, backend, in.opts, operation) })
}

// credentials reads those of the environment. A named profile goes before keys, which would be
// refused beside it.
func (in *invocation) credentials(variables assembly.Variables) {
	in.opts.Target = variables.Target()
	if in.opts.Rollout.Profile != "" {
		in.opts.Target.AccessKey, in.opts.Target.SecretKey, in.opts.Target.SessionToken = nil, nil, nil
	}
	if token := variables.Secret("AWS_WEB_IDENTITY_TOKEN"); token != nil {
		in.opts.Rollout.WebIdentity, in.opts.Rollout.WebIdentityRole = token, os.Getenv("AWS_ROLE_ARN")
	}
}
