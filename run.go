package main

import (
	"context"
	"errors"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Run runs every stage that the policy allows for --ref, and reports on all of them. It
// returns for every verdict; enforce turns the verdict into an exit code.
//
// +cache="session"
func (m *OpenstackRca) Run(
	ctx context.Context,

	// Data set to train on instead of the one the application brings.
	//
	// +optional
	data *dagger.Directory,

	// Parameters of the training, as key=value.
	//
	// +optional
	param []string,

	// Metrics of the model in production, to compare with: train/metrics.json of its report, or a JSON
	// object of numbers. Without it they come from the MLflow registry, if there is one.
	//
	// +optional
	champion *dagger.File,

	// Train a second time, from the start, and compare both models.
	//
	// +optional
	twice bool,

	// CPU threads of the training. More are faster, with slightly different weights.
	//
	// +optional
	cpuThreads int,

	// Revision that the change is compared with, such as origin/main: the report has the coverage
	// of the lines that differ. Needs --git.
	//
	// +optional
	base string,

	// The .git directory of the source's repository, for --base.
	//
	// +optional
	git *dagger.Directory,

	// Database of advisories instead of today's of osv.dev: a file with OSV records (.zip or .jsonl),
	// or an archive of a database of Grype (.tar.zst).
	//
	// +optional
	advisories *dagger.File,

	// Private key that signs what is stated about an image: ECDSA on P-256, in PEM.
	//
	// +optional
	signKey *dagger.Secret,

	// Key of AWS KMS that signs, instead of a private key: its ARN, id or alias.
	//
	// +optional
	signKms string,

	// Python version; pipeline.yaml's when empty.
	//
	// +optional
	python string,
) (*Run, error) {
	call := m.call(ctx)
	call.data, call.params, call.champion, call.twice, call.threads = data, param, champion, twice, cpuThreads
	call.python = python
	call.test.Base, call.git = base, git
	call.advisories, call.signKey, call.opts.Attest.KMS = advisories, signKey, signKms
	result, err := call.run(verdict.Stages()...)
	if err != nil {
		return nil, err
	}
	return result.run(), nil
}

// Pipeline is an alias of run for dagger shell and other modules. `dagger call` v0.21 hides
// every function of this name.
//
// +cache="session"
func (m *OpenstackRca) Pipeline(
	ctx context.Context,

	// Data set to train on instead of the one the application brings.
	//
	// +optional
	data *dagger.Directory,

	// Parameters of the training, as key=value.
	//
	// +optional
	param []string,

	// Metrics of the model in production, to compare with: train/metrics.json of its report, or a JSON
	// object of numbers. Without it they come from the MLflow registry, if there is one.
	//
	// +optional
	champion *dagger.File,

	// Train a second time, from the start, and compare both models.
	//
	// +optional
	twice bool,

	// CPU threads of the training. More are faster, with slightly different weights.
	//
	// +optional
	cpuThreads int,

	// Revision that the change is compared with, such as origin/main: the report has the coverage
	// of the lines that differ. Needs --git.
	//
	// +optional
	base string,

	// The .git directory of the source's repository, for --base.
	//
	// +optional
	git *dagger.Directory,

	// Database of advisories instead of today's of osv.dev: a file with OSV records (.zip or .jsonl),
	// or an archive of a database of Grype (.tar.zst).
	//
	// +optional
	advisories *dagger.File,

	// Private key that signs what is stated about an image: ECDSA on P-256, in PEM.
	//
	// +optional
	signKey *dagger.Secret,

	// Key of AWS KMS that signs, instead of a private key: its ARN, id or alias.
	//
	// +optional
	signKms string,

	// Python version; pipeline.yaml's when empty.
	//
	// +optional
	python string,
) (*Run, error) {
	return m.Run(ctx, data, param, champion, twice, cpuThreads, base, git, advisories, signKey, signKms, python)
}

// Plan shows what a run for --ref would do and why, and what it would change in AWS.
// It writes nothing.
//
// +cache="session"
func (m *OpenstackRca) Plan(
	ctx context.Context,

	// The image to deploy, by digest. With it and credentials, the rollout is compared with
	// what exists in the account.
	//
	// +optional
	image string,
) (*Plan, error) {
	call := m.call(ctx)
	call.deployed = image
	backend, err := call.backend()
	if err != nil {
		return nil, err
	}
	defer call.close()
	plan := pipeline.Explain(ctx, backend, call.options())
	return &Plan{
		Summary: plan.Markdown(), Json: string(plan.JSON()), Failure: plan.Failure(), Compared: plan.Compared, Changed: plan.Changed,
	}, nil
}

// Doctor checks everything a run depends on, without changing anything, and names a
// remedy for what is missing.
//
// +cache="session"
func (m *OpenstackRca) Doctor(
	ctx context.Context,

	// Fail when a check failed, with the same text as the error, so that the exit code tells it.
	//
	// +optional
	enforce bool,

	// Names of the checks to make; all but the slow ones, tests and imports, when empty.
	//
	// +optional
	only []string,

	// Return the findings for machines.
	//
	// +optional
	asJson bool,

	// Database of advisories instead of today's of osv.dev: a file with OSV records (.zip or .jsonl),
	// or an archive of a database of Grype (.tar.zst).
	//
	// +optional
	advisories *dagger.File,

	// Private key that signs what is stated about an image: ECDSA on P-256, in PEM.
	//
	// +optional
	signKey *dagger.Secret,

	// Key of AWS KMS that signs, instead of a private key: its ARN, id or alias.
	//
	// +optional
	signKms string,
) (string, error) {
	call := m.call(ctx)
	call.advisories, call.signKey, call.opts.Attest.KMS = advisories, signKey, signKms
	backend, err := call.backend()
	if err != nil {
		return "", err
	}
	defer call.close()
	opts := call.options()
	opts.Checks = only
	found := pipeline.Doctor(ctx, backend, opts)
	if enforce && found.Failure != "" {
		return "", errors.New(found.Text)
	}
	if asJson {
		return string(found.JSON), nil
	}
	return found.Text, nil
}

// Run is the verdict on a whole run.
type Run struct {
	// The whole report: report.json, report.md, report.html and each stage's files.
	Report *dagger.Directory
	// The ledger of --state with this run; empty without --state.
	State *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	Json string
	// +private
	Failure string
	// +private
	Trained *dagger.Directory
	// +private
	Built *dagger.Container
}

// Model is the model that passed its gates, with everything that belongs to it. Of a sandbox it is
// all that is left of the publication: its servers end with the run.
func (r *Run) Model() (*dagger.Directory, error) {
	if r.Trained == nil {
		return nil, errors.New("no model passed its gates in this run; summary says why")
	}
	return r.Trained, nil
}

// Image is the image that passed its checks. To load it into Docker:
// run image as-tarball export --path image.tar.
func (r *Run) Image() (*dagger.Container, error) {
	if r.Built == nil {
		return nil, errors.New("no image passed its checks in this run; summary says why")
	}
	return r.Built, nil
}

// Enforce fails unless the verdict is pass.
func (r *Run) Enforce() error { return enforce(r.Failure) }

// Plan is what a run would do.
type Plan struct {
	// The plan in Markdown.
	Summary string
	// The plan for machines.
	Json string
	// Whether the rollout was compared with what exists in the account.
	Compared bool
	// Whether the rollout would change anything in the account; false where it was not compared.
	Changed bool
	// +private
	Failure string
}

// Unchanged fails when the plan cannot be carried out, when it was not compared with the
// account, and when it would change anything there: its exit code detects changes.
func (p *Plan) Unchanged() error {
	if err := enforce(p.Failure); err != nil {
		return err
	}
	if !p.Compared {
		return errors.New("the rollout was not compared with an account: " +
			"that takes --image, --environment staging or production, and credentials")
	}
	if p.Changed {
		return errors.New("the rollout would change the account; summary shows what")
	}
	return nil
}

// Enforce fails when the plan cannot be carried out. `dagger check` runs it as plan:enforce.
//
// +check
func (p *Plan) Enforce() error { return enforce(p.Failure) }
