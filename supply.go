package main

import (
	"context"
	"path/filepath"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Audit looks for known vulnerabilities, versions that are not pinned, secrets and licences in
// the source. In a run it takes part where security.audit of pipeline.yaml names its checks.
//
// +cache="session"
func (m *OpenstackRca) Audit(
	ctx context.Context,

	// Database of advisories instead of today's of osv.dev: a file with OSV records (.zip or .jsonl),
	// or an archive of a database of Grype (.tar.zst).
	//
	// +optional
	advisories *dagger.File,

	// The .git directory of the source's repository, to search its history for secrets too.
	//
	// +optional
	git *dagger.Directory,
) (*AuditReport, error) {
	call := m.call(ctx)
	call.advisories, call.git, call.opts.History = advisories, git, git != nil
	result, err := call.run(verdict.Audit)
	if err != nil {
		return nil, err
	}
	return &AuditReport{Report: result.report, Summary: result.summary, Json: result.json, Failure: result.failure}, nil
}

// AuditReport is the verdict of the audit.
type AuditReport struct {
	// What was found, the bill of materials of the locks, and the verdict.
	Report *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	Json string
	// +private
	Failure string
}

// Sbom is the bill of materials of the locks, as CycloneDX in JSON.
func (r *AuditReport) Sbom() *dagger.File { return r.Report.File("audit/sbom.cdx.json") }

// Sarif is what was found, as code hosts show it beside the lines.
func (r *AuditReport) Sarif() *dagger.File { return r.Report.File("audit/audit.sarif") }

// Enforce fails unless the audit passed.
func (r *AuditReport) Enforce() error { return enforce(r.Failure) }

// Attest states what a run found about an image, signed, beside it in its registry: provenance,
// vulnerabilities, tests, and the verdict. Repeating adds nothing.
//
// +cache="session"
func (m *OpenstackRca) Attest(
	ctx context.Context,

	// The image, by digest: repository@sha256:...
	image string,

	// Report of the run that built the image.
	from *dagger.Directory,

	// Private key that signs what is stated about an image: ECDSA on P-256, in PEM.
	//
	// +optional
	signKey *dagger.Secret,

	// Key of AWS KMS that signs, instead of a private key: its ARN, id or alias.
	//
	// +optional
	signKms string,

	// Token of the CI system in OpenID Connect, to sign without a key.
	//
	// +optional
	signToken *dagger.Secret,

	// Where a certificate for the token is made and logged: a file of cosign signing-config create; the
	// public services when not given.
	//
	// +optional
	signServices *dagger.File,

	// Trusted root of the services of --sign-services; the public one when not given.
	//
	// +optional
	signRoot *dagger.File,
) (*Attestation, error) {
	call := m.call(ctx)
	call.deployed, call.signKey, call.of, call.opts.Attest.KMS = image, signKey, from, signKms
	call.signToken = signToken
	call.files = append(call.files, localFile{signServices, "services.json", &call.opts.Attest.Keyless.Services},
		localFile{signRoot, "sign-root.json", &call.opts.Attest.Keyless.Root})
	result, err := call.run(verdict.Attest)
	if err != nil {
		return nil, err
	}
	return result.attestation(), nil
}

// Verify shows whether deploy would accept an image: who states what about it. It changes nothing.
//
// +cache="session"
func (m *OpenstackRca) Verify(
	ctx context.Context,

	// The image, by digest: repository@sha256:...
	image string,

	// Public keys that are trusted, in PEM.
	//
	// +optional
	verifyKey *dagger.File,

	// How old the verdict on the image may be.
	//
	// +optional
	// +default="168h"
	verifyMaxAge string,

	// How old the advisories that it rests on may be.
	//
	// +optional
	// +default="168h"
	verifyMaxDataAge string,

	// Other environments whose verdict counts, such as staging.
	//
	// +optional
	verifyFrom []string,

	// Statements that the image must have; all but sbom when empty.
	//
	// +optional
	verifyRequire []Statement,

	// Rules for vulnerabilities: a file with severity, unfixed, grace and allow of security, as in
	// pipeline.yaml; their defaults when not given.
	//
	// +optional
	verifyRules *dagger.File,

	// Names that are trusted to sign without a key.
	//
	// +optional
	verifyIdentity []string,

	// Address of the identity provider that must have issued the names of --verify-identity, such as
	// https://token.actions.githubusercontent.com.
	//
	// +optional
	verifyIssuer string,

	// Trusted root of the services that made the certificate and logged it.
	//
	// +optional
	verifyRoot *dagger.File,
) (*Attestation, error) {
	call := m.call(ctx)
	call.deployed = image
	call.demand(verifyKey, verifyRules, verifyRoot, pipeline.VerifyOptions{
		MaxAge: verifyMaxAge, MaxDataAge: verifyMaxDataAge, From: verifyFrom, Require: texts(verifyRequire),
		Identities: verifyIdentity, Issuer: verifyIssuer,
	})
	backend, err := call.backend()
	if err != nil {
		return nil, err
	}
	defer call.close()
	result, err := call.report(pipeline.Verify(ctx, backend, call.options()))
	if err != nil {
		return nil, err
	}
	return result.attestation(), nil
}

// Attestation is the verdict on attesting or verifying an image.
type Attestation struct {
	// The verdict with the signed statements.
	Report *dagger.Directory
	// The verdict in Markdown.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	Json string
	// +private
	Failure string
}

// Enforce fails unless the verdict is pass.
func (a *Attestation) Enforce() error { return enforce(a.Failure) }

func (r *results) attestation() *Attestation {
	return &Attestation{Report: r.report, Summary: r.summary, Json: r.json, Failure: r.failure}
}

// Advisories is a directory with today's databases of advisories, for a machine that reaches none: of
// Python packages, and of Grype. Give one of them to audit and scan as --advisories.
//
// +cache="session"
func (m *OpenstackRca) Advisories(ctx context.Context) (*dagger.Directory, error) {
	call := m.call(ctx)
	backend, err := call.backend()
	if err != nil {
		return nil, err
	}
	defer call.close()
	dir := filepath.Join(call.work, "fetched")
	if _, err := pipeline.Advisories(ctx, backend, dir); err != nil {
		return nil, err
	}
	return dag.CurrentModule().Workdir(dir).Sync(ctx)
}

// Scan looks at an image by its digest, also at one that runs already: its packages, their known
// vulnerabilities and licences, and secrets in every layer. It changes nothing.
//
// +cache="session"
func (m *OpenstackRca) Scan(
	ctx context.Context,

	// The image, by digest: repository@sha256:...
	image string,

	// Archive of a database of Grype (.tar.zst), instead of today's.
	//
	// +optional
	advisories *dagger.File,
) (*ScanReport, error) {
	call := m.call(ctx)
	call.deployed, call.advisories = image, advisories
	backend, err := call.backend()
	if err != nil {
		return nil, err
	}
	defer call.close()
	result, err := call.report(pipeline.Scan(ctx, backend, call.options()))
	if err != nil {
		return nil, err
	}
	return &ScanReport{Report: result.report, Summary: result.summary, Json: result.json, Failure: result.failure}, nil
}

// ScanReport is the verdict on an image.
type ScanReport struct {
	// What was found, the bills of materials, and the verdict.
	Report *dagger.Directory
	// The verdict in Markdown.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	Json string
	// +private
	Failure string
}

// Sbom is the bill of materials of the image.
func (r *ScanReport) Sbom(
	// +optional
	// +default="cyclonedx"
	format SbomFormat,
) *dagger.File {
	if format == SbomFormatSpdx {
		return r.Report.File("scan/sbom.spdx.json")
	}
	return r.Report.File("scan/sbom.cdx.json")
}

// Sarif is what was found, as code hosts show it.
func (r *ScanReport) Sarif() *dagger.File { return r.Report.File("scan/scan.sarif") }

// Enforce fails unless the scan passed.
func (r *ScanReport) Enforce() error { return enforce(r.Failure) }
