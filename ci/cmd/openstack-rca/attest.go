package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// attest signs what a run found about an image. The key is in a variable, never an argument.
func (in commandLine) attest() *cobra.Command {
	attest := in.stages("attest", "State what a run found about --image, signed, beside it in its registry; repeating adds nothing",
		verdict.Attest)
	attest.Flags().StringVar(&in.opts.Image, "image", "", "the image, by digest: repository@sha256:...")
	attest.Flags().StringVar(&in.opts.Attest.From, "from", "", "directory with the report of the run that built it")
	signFlags(attest.Flags(), &in.opts.Attest)
	attest.Flags().StringVar(&in.opts.Attest.Keyless.Services, "sign-services", "", "where a certificate for the token in the variable "+
		"SIGSTORE_ID_TOKEN is made and logged: a file of `cosign signing-config create`; the public services when empty")
	attest.Flags().StringVar(&in.opts.Attest.Keyless.Root, "sign-root", "", "trusted root of these services; the public one when empty")
	return attest
}

// signFlags adds the flags of who signs.
func signFlags(flags *pflag.FlagSet, o *pipeline.AttestOptions) {
	flags.StringVar(&o.KMS, "sign-kms", "",
		"key of AWS KMS that signs: its ARN, id or alias; without it the private key in the variable ATTEST_KEY")
}

// scan looks at an image.
func (in commandLine) scan() *cobra.Command {
	scan := command("scan",
		"Look at --image, also one that runs already: packages, known vulnerabilities, secrets in every layer; changes nothing",
		func(ctx context.Context) error {
			return in.reported(ctx, func(b pipeline.Backend) *verdict.Run { return pipeline.Scan(ctx, b, in.opts) })
		})
	scan.Flags().StringVar(&in.opts.Image, "image", "", "the image, by digest: repository@sha256:...")
	scan.Flags().StringVar(&in.opts.Advisories, "advisories", "", "database of Grype: an archive, or its directory; today's when empty")
	return scan
}

// join makes one index of the images of several platforms.
func (in commandLine) join() *cobra.Command {
	joining := command("join", "Put the images of several platforms, each with the report of the run that proved it, into "+
		"one index; repeating "+
		"pushes nothing", func(ctx context.Context) error {
		return in.reported(ctx, func(b pipeline.Backend) *verdict.Run { return pipeline.Join(ctx, b, in.opts) })
	})
	joining.Flags().StringVar(&in.opts.Join.From, "from", "",
		"directory with the reports of the runs that built the images, each in a directory of its own")
	joining.Flags().StringArrayVar(&in.opts.Join.Images, "image", nil,
		"image, by digest: repository@sha256:...; those of the reports when not given; may be repeated")
	joining.Flags().StringVar(&in.opts.Verify.Keys, "verify-key", "",
		"file with the public keys that are trusted; with it, only images that one of them attested are joined")
	return joining
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
	advisories.Flags().StringVar(&out, "out", "advisories", "directory to write to")
	return advisories
}

// verify shows what deploy would say of an image.
func (in commandLine) verify() *cobra.Command {
	verify := command("verify", "Show whether deploy would accept --image: who states what about it; changes nothing",
		func(ctx context.Context) error {
			return in.reported(ctx, func(b pipeline.Backend) *verdict.Run { return pipeline.Verify(ctx, b, in.opts) })
		})
	verify.Flags().StringVar(&in.opts.Image, "image", "", "the image, by digest: repository@sha256:...")
	verifyFlags(verify.Flags(), &in.opts.Verify)
	return verify
}

// verifyFlags adds the flags of what is demanded of an image.
func verifyFlags(flags *pflag.FlagSet, o *pipeline.VerifyOptions) {
	flags.StringVar(&o.Keys, "verify-key", "",
		"file with the public keys that are trusted; with it, only an image that one of them attested is deployed; production demands it")
	flags.StringSliceVar(&o.Identities, "verify-identity", nil, "name that is trusted to sign without a key; may be repeated")
	flags.StringVar(&o.Issuer, "verify-issuer", "",
		"address of the identity provider that must have issued that name, such as https://token.actions.githubusercontent.com")
	flags.StringVar(&o.Root, "verify-root", "", "file with the trusted root of the services that made the certificate and logged it")
	flags.StringVar(&o.MaxAge, "verify-max-age", "", "how old the verdict on the image may be; 168h when empty")
	flags.StringVar(&o.MaxDataAge, "verify-max-data-age", "", "how old the advisories that it rests on may be; 168h when empty")
	flags.StringSliceVar(&o.From, "verify-from", nil, "another environment whose verdict counts, such as staging; may be repeated")
	flags.StringSliceVar(&o.Require, "verify-require", nil,
		"what must be stated: provenance, sbom, vulnerabilities, tests, verdict; all but sbom when not given; may be repeated")
	flags.StringVar(&o.Rules, "verify-rules", "",
		"file with security as in pipeline.yaml (severity, unfixed, grace, allow): what a vulnerability leads to; the defaults when empty")
}
