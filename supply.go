package main

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Audit looks for known vulnerabilities, versions that are not pinned, secrets and licences in
// the source. In a run it takes part where security.audit of pipeline.yaml names its checks.
//
// +cache="session"
func (m *OpenstackRca) Audit(
	ctx context.Context,

	// Database of advisories instead of today's from osv.dev: a file with OSV records (.zip or
	// .jsonl), or an archive of a database of Grype (.tar.zst).
	//
	// +optional
	advisories *dagger.File,
) (*AuditReport, error) {
	call := m.call(ctx)
	call.advisories = advisories
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
