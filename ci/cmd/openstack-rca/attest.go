package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// attest signs what a run found about an image. The key is in a variable, never an argument.
func (in commandLine) attest() *cobra.Command {
	attest := in.stages("attest", "Sign what a run found about --image, and store it in the image's registry; repeating adds nothing",
		verdict.Attest)
	o := &in.opts.Attest
	return bind(attest, "attest", to{
		"image": &in.opts.Image, "from": &o.From, "sign-kms": &o.KMS, "sign-services": &o.Keyless.Services, "sign-root": &o.Keyless.Root,
	})
}

// scan looks at an image.
func (in commandLine) scan() *cobra.Command {
	scan := command("scan",
		"Search --image, also a deployed one, for known vulnerabilities, and every layer for secrets; changes nothing",
		func(ctx context.Context) error {
			return in.reported(ctx, func(b pipeline.Backend) *verdict.Run { return pipeline.Scan(ctx, b, in.opts) })
		})
	return bind(scan, "scan", to{"image": &in.opts.Image, "advisories": &in.opts.Advisories})
}

// join makes one index of the images of several platforms.
func (in commandLine) join() *cobra.Command {
	joining := command("join", "Join images of several platforms, each with the report of the run that built it, in one index; "+
		"repeating pushes nothing", func(ctx context.Context) error {
		return in.reported(ctx, func(b pipeline.Backend) *verdict.Run { return pipeline.Join(ctx, b, in.opts) })
	})
	return bind(joining, "join", to{
		"from": &in.opts.Join.From, "image": (*whole)(&in.opts.Join.Images), "verify-key": &in.opts.Verify.Keys,
	})
}

// advisories fetches what audit and scan compare with.
func (in *invocation) advisories() *cobra.Command {
	out := ""
	advisories := command("advisories", "Write today's databases of advisories into a directory, for a machine that reaches none",
		func(ctx context.Context) error {
			return in.with(ctx, func(backend pipeline.Backend) error {
				text, err := pipeline.Advisories(ctx, backend, out)
				_, _ = fmt.Fprint(in.stdout, text)
				return err
			})
		})
	advisories.Flags().StringVar(&out, "out", "advisories", "Directory to write to.")
	return advisories
}

// verify shows what deploy would say of an image.
func (in commandLine) verify() *cobra.Command {
	verify := command("verify", "Show whether deploy would accept --image: who states what about it; changes nothing",
		func(ctx context.Context) error {
			return in.reported(ctx, func(b pipeline.Backend) *verdict.Run { return pipeline.Verify(ctx, b, in.opts) })
		})
	return demanding(bind(verify, "verify", to{"image": &in.opts.Image}), &in.opts.Verify)
}

// demanding adds the flags of what is demanded of an image.
func demanding(command *cobra.Command, o *pipeline.VerifyOptions) *cobra.Command {
	return bind(command, command.Name(), to{
		"verify-key": &o.Keys, "verify-identity": &o.Identities, "verify-issuer": &o.Issuer, "verify-root": &o.Root,
		"verify-max-age": &o.MaxAge, "verify-max-data-age": &o.MaxDataAge, "verify-from": &o.From, "verify-require": &o.Require,
		"verify-rules": &o.Rules,
	})
}
