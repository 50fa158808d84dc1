// Package publish makes a trained model a version that others can rely on: this
// number, these bytes, this commit, unchanged from then on.
//
// The protocol, each step of which may be the last one before the process dies:
//
//  1. look whether this content has a number already; if it is committed, verify and stop
//  2. claim the next number with a conditional write
//  3. upload the files under the claim, read them back, compare
//  4. log an MLflow run with a model directory that mlflow.keras.load_model can load
//  5. register a model version that carries the content's idempotency key
//  6. fetch the version back through the registry, compare, load it in a fresh
//     environment and score the golden sample
//  7. write COMMIT.json: from here on the version exists
//  8. move the aliases
//
// The protocol is idempotent: another run for the same content resumes where the last one stopped, and
// any number of publishers may run at once. Readers trust committed versions alone.
package publish

import (
	"context"
	"fmt"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Input is what is published, and where.
type Input struct {
	Config config.Config
	// Model passed the gates of the train stage.
	Model *model.Artifact
	// Environment is sandbox, staging, production or another of the configuration.
	Environment string
	// Commit and Tree identify the source; Tree is part of the idempotency key.
	Commit, Tree string
	// ModuleVersion is this program's version.
	ModuleVersion string
	Target        Target
	// Known is set for a model that this run did not train: only a committed version is accepted.
	Known bool
	// Clock defaults to clock.System.
	Clock clock.Clock
	// Check loads the model's files as the registry provided them, in dir under their names in Model.Dir, in a place with
	// nothing else of the training. If it is nil, only hashes are compared. version is the registered model with its version.
	Check func(ctx context.Context, version, dir string) Checked
	// WorkDir is an existing directory for downloads; it defaults to the system's temporary directory.
	WorkDir string

	tuning tuning
}

// Checked is the result of loading a model.
type Checked struct {
	// Found describes how the model was loaded and scored, for the report.
	Found string
	// Warning says why it was not loaded, Problem why it is wrong.
	Warning, Problem *verdict.Problem
}

// Result is the stage's verdict and the version. Version is nil unless it is committed; it is also set if only an alias could
// not be moved.
type Result struct {
	Stage   verdict.Stage
	Version *model.Version
}

// publication is one run of the protocol.
type publication struct {
	*operation
	content *content
	// registration is set once the content has a number.
	*registration
	seconds map[string]float64
	// Results: the version, whether it existed before, the result of loading it, and the aliases that point at it.
	commit  *ledger.Commit
	already bool
	checked string
	aliases []string
}

// Run publishes the model. It never returns nil; failures are in the stage.
func Run(ctx context.Context, in Input) *Result {
	started := time.Now()
	content, changed := gather(in)
	if in.Environment != config.Sandbox && in.Model != nil && (in.Model.Ungated || !in.Config.Train.Gated()) {
		changed = append(changed, verdict.Problemf(verdict.CodeGatesNone.In(verdict.Publish),
			"no gate of the training could have failed this model: train.gates and train.baseline_margin hold nothing"))
	}
	result := &Result{}
	result.Stage = operate(ctx, in, changed, func(o *operation) error {
		p := &publication{operation: o, content: content, seconds: map[string]float64{}}
		err := p.run(ctx)
		if p.commit != nil {
			result.Version = p.version()
			p.report(result.Version)
		}
		return err
	})
	result.Stage.Took(started)
	return result
}

// run runs the protocol. If it fails, no MLflow run stays open.
func (p *publication) run(ctx context.Context) error {
	for _, refused := range p.content.refused {
		p.stage.Warn(CodeVersionIgnored, "%s", refused)
	}
	if p.Target.insecure() {
		p.stage.Warn(CodeInsecure, "the tracking URI of %s begins with http://", p.mlflow.Host())
	}
	err := p.protocol(ctx)
	if err == nil || p.commit != nil || p.registration == nil || p.runID == "" {
		return err
	}
	found := problem(ctx, p.at, err)
	if err := p.closeRun(ctx); err != nil {
		found.Details = append(found.Details, fmt.Sprintf("The run stays open: %v", err))
	}
	return found
}

func (p *publication) protocol(ctx context.Context) error {
	experiment, err := p.findExperiment(ctx)
	if err != nil {
		return err
	}
	state, err := p.ledger.Scan(ctx)
	if err != nil {
		return err
	}
	found, err := p.ledger.Find(ctx, p.content.key, state)
	if err != nil {
		return err
	}
	if found.Commit != nil {
		p.already = true
		return p.finish(ctx, found.Commit)
	}
	if p.Known {
		return verdict.Problemf(CodeNotPublished, "%s with sha256 %s has no committed version", p.Model.File, p.Model.SHA256)
	}
	if experiment, err = p.place(ctx, experiment); err != nil {
		return err
	}
	number, err := p.claim(ctx, state, found)
	if err != nil {
		return err
	}
	p.registration = &registration{operation: p.operation, content: p.content, number: number}
	if err := p.warnAbandoned(ctx, state); err != nil {
		return err
	}
	if err := p.timed("upload", func() error { return p.upload(ctx) }); err != nil {
		return err
	}
	if err := p.timed("read back", func() error {
		return p.readBack(ctx, number, p.content.manifest(p.series(), number))
	}); err != nil {
		return err
	}
	var version *mlflow.ModelVersion
	if err := p.timed("register", func() (err error) {
		version, err = p.register(ctx, experiment)
		return err
	}); err != nil {
		return err
	}
	if err := p.verify(ctx, version.Version, p.content.key); err != nil {
		return err
	}
	p.at = committing
	commit, err := p.ledger.Commit(ctx, p.manifest(version))
	if err != nil {
		return err
	}
	return p.finish(ctx, commit)
}

// verify checks a version as the registry provides it.
func (p *publication) verify(ctx context.Context, version, key string) error {
	return p.timed("verify", func() (err error) {
		p.checked, err = p.verifyRegistry(ctx, version, key, p.content.served())
		return err
	})
}

// claim takes a number, or takes up the one the content has.
func (p *publication) claim(ctx context.Context, state *ledger.State, found ledger.Found) (int, error) {
	if err := p.ledger.Probe(ctx); err != nil {
		return 0, err
	}
	if err := p.ledger.Own(ctx, state); err != nil {
		return 0, err
	}
	if err := p.warnRenamed(ctx, state); err != nil {
		return 0, err
	}
	number := found.Number
	if number == 0 {
		nonce, err := newNonce()
		if err != nil {
			return 0, err
		}
		if number, err = p.ledger.Take(ctx, ledger.Claim{
			Key: p.content.key, Nonce: nonce, ModelSHA256: p.Model.SHA256, Commit: p.Commit, Tree: p.Tree, ClaimedAt: p.Clock.Now().UTC(),
		}, state.Next()); err != nil {
			return 0, err
		}
	}
	held, err := p.ledger.Point(ctx, p.content.key, found.Turn, number)
	if err != nil {
		return 0, err
	}
	p.show("number %d claimed (%s)", held, p.ledger.Folder(held))
	return held, nil
}

// warnRenamed warns when the series continues under another registered model, which has no
// champion yet: the training was compared with nothing.
func (p *publication) warnRenamed(ctx context.Context, state *ledger.State) error {
	before, err := p.ledger.Newest(ctx, state, 0)
	if err != nil && !ledger.IsKind(err, ledger.Unreadable) { // a damaged one names no model
		return err
	}
	if before != nil && before.Registered != p.registered() {
		p.stage.Warn(CodeModelRenamed, "number %d of this series is registered as %s, this one will be %s", before.Number, before.Registered,
			p.registered())
	}
	return nil
}

func (p *publication) timed(name string, f func() error) error {
	started := time.Now()
	err := f()
	p.seconds[name] += time.Since(started).Seconds()
	return err
}

// abandonedAfter is how long a publisher may be at work before its open claim is
// listed: longer than the pipeline's budget of 15 minutes. The store's clock counts.
const abandonedAfter = time.Hour

// warnAbandoned lists the open claims of others that nobody seems to work on.
func (p *publication) warnAbandoned(ctx context.Context, state *ledger.State) error {
	for _, n := range state.Open() {
		if n == p.number {
			continue
		}
		claim, err := p.ledger.ReadClaim(ctx, n)
		if err != nil {
			return err
		}
		if claim.OlderThan(abandonedAfter) {
			p.stage.Warn(CodeAbandoned, "number %d is claimed since %s for commit %s (%s)", n, claim.ClaimedAt.Format(time.RFC3339),
				first(claim.Commit, "unknown"), p.ledger.Folder(n))
		}
	}
	return nil
}

// upload stores the files under the claim.
func (p *publication) upload(ctx context.Context) error {
	p.at = uploading
	for _, f := range p.content.files {
		uri := p.ledger.URI(p.number, p.content.pathIn(p.series(), p.number, f))
		if _, err := p.ledger.Put(ctx, uri, f.Local); err != nil {
			return err
		}
		if f.name == p.content.model().name {
			p.show("%s (uploaded, not committed)", uri)
		}
	}
	return nil
}

// restored stores again what is gone of a committed version, and reports whether anything was. The content at
// hand has this number, so these are the same bytes; what is there, changed or not, stays.
func (p *publication) restored(ctx context.Context, number int) bool {
	found := false
	for _, f := range p.content.files {
		uri := p.ledger.URI(number, p.content.pathIn(p.series(), number, f))
		if written, err := p.ledger.Put(ctx, uri, f.Local); written && err == nil {
			p.stage.Add("stored again", uri)
			found = true
		}
	}
	return found
}

// manifest is what COMMIT.json will say.
func (p *publication) manifest(version *mlflow.ModelVersion) ledger.Commit {
	return ledger.Commit{
		Number: p.number, Key: p.content.key,
		Model:      p.content.pathIn(p.series(), p.number, p.content.model()),
		Files:      p.content.manifest(p.series(), p.number),
		Registered: p.registered(), RegistryVersion: version.Version, RunID: version.RunID,
		Environment: p.Environment, Commit: p.Commit, Tree: p.Tree, Data: p.Model.Data, Metrics: finite(p.Model.Metrics),
		ModuleVersion: p.ModuleVersion, CommittedAt: p.Clock.Now().UTC(),
	}
}

// finish ends a publication whose version is committed, by us or by an earlier run:
// what is left is done, and what is there is verified.
func (p *publication) finish(ctx context.Context, commit *ledger.Commit) error {
	if p.already {
		p.at = verifying
		err := p.readBack(ctx, commit.Number, commit.Files)
		if err != nil && p.restored(ctx, commit.Number) {
			err = p.readBack(ctx, commit.Number, commit.Files)
		}
		if err != nil {
			return err
		}
		if err := p.verify(ctx, commit.RegistryVersion, commit.Key); err != nil {
			return err
		}
	}
	p.commit = commit
	p.visible = []string{fmt.Sprintf("version %d of %s (%s)", commit.Number, commit.Registered, p.ledger.URI(commit.Number, commit.Model))}
	p.at = aliasing
	return p.timed("alias", func() (err error) {
		p.aliases, err = (&aliasMover{p.operation, commit}).moveAliases(ctx)
		return err
	})
}
