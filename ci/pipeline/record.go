package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Observe is what is recorded of a run, and where it is sent.
type Observe struct {
	// State is an existing or new directory of this machine for the ledger of runs. When empty it
	// is in S3 beside the model ledger, and the sandbox has none.
	State string
	// PushgatewayURL and OTLPEndpoint are where the metrics of the run are sent; empty for nowhere.
	// The environment's own OTEL variables are not read: in a Dagger module they name the engine's
	// collector.
	PushgatewayURL, OTLPEndpoint string
	// MetricsAuth is the login there: name:password, or a bearer token; nil for none.
	MetricsAuth runner.Secret
	// NotifySecrets are the secrets of the channels of notify, as notify.ParseSecrets reads them; nil for none.
	NotifySecrets runner.Secret
	// Hotfix marks an unplanned change that fixes production.
	Hotfix bool
}

// recordTimeout bounds the writing of a record, and the reading of those before it: a store that hangs
// must not hold the verdict up.
const recordTimeout = 5 * time.Second

// observer records a run, and tells of it.
type observer struct {
	*call
	// before are earlier runs, the newest last, as far as they were read.
	before []runledger.Record
}

// observe records the run once it has its verdict. Nothing here changes the verdict: what fails
// is a warning.
func (s *observer) observe(ctx context.Context, call string) {
	if call == "" || s.gate == nil {
		return
	}
	// A run that was cancelled is recorded, too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	record, err := runledger.Of(s.run, runledger.Details{Call: call, CommitTime: s.args.commitTime, Hotfix: s.opts.Observe.Hotfix})
	if err != nil {
		s.run.Warn(runledger.CodeUnwritten, "%s", s.hide(err))
		return
	}
	s.record(ctx, record)
	s.measured(context.WithoutCancel(ctx), record)
	s.tell(context.WithoutCancel(ctx), record)
}

// record writes a record to the ledger, if there is one.
func (s *observer) record(ctx context.Context, r runledger.Record) {
	permit, _ := s.recordPermit()
	ledger, err := s.ledger(ctx, permit)
	if err == nil && ledger != nil {
		err = ledger.Write(ctx, r) // first: what is shown of earlier runs must not take its time
		s.trend(ctx, ledger, r)
	}
	if err != nil {
		s.run.Warn(runledger.CodeUnwritten, "%s", s.hide(err))
	}
}

// hide masks the run's secrets in the text of an error.
func (s *call) hide(err error) string { return s.line(err.Error()) }

func (s *call) line(text string) string { return verdict.Line(s.run.Redact(text), 1000) }

// recordPermit is the right to write records: that to publish, or to deploy. It works on what
// this run did, whatever came of it.
func (s *call) recordPermit() (policy.Permit, *verdict.Stage) {
	return s.gate.Ask(policy.Action{Stage: verdict.Publish, Recorded: true}, nil)
}

// recordedCall is the name under which a run of these stages is recorded; empty for one that is
// only a part of the pipeline.
func recordedCall(stages []string) string {
	switch {
	case len(stages) == 0 || len(stages) == len(verdict.Stages()):
		return "run"
	case slices.Equal(stages, []string{verdict.Deploy}):
		return verdict.Deploy
	}
	return ""
}

// ledger opens the ledger of runs as far as the permit allows: in the directory of the call, or
// in S3. It is nil where there is none.
func (s *call) ledger(ctx context.Context, permit policy.Permit) (*runledger.Ledger, error) {
	switch {
	case s.opts.Observe.State != "":
		return runledger.Open(runledger.InDir(s.opts.Observe.State, s.cfg.Name), s.opts.Environment), nil
	case s.opts.sandbox() || !permit.AllowsReading(verdict.Publish):
		return nil, nil
	}
	target := s.opts.Target
	if target.ArtifactRoot == "" && s.cfg.Publish.ArtifactRoot == "" {
		return nil, nil
	}
	if r := s.opts.Rollout; r.Role != "" || r.Profile != "" || r.WebIdentity != nil {
		return s.ledgerOfRole(ctx)
	}
	if target.AccessKey == nil && s.opts.Rollout.DefaultCredentials {
		target.DefaultCredentials = true
	}
	folder, problem := publish.Records(ctx, publish.Input{Config: s.cfg, Environment: s.opts.Environment, Target: target},
		runledger.FolderOf(s.cfg.Name))
	if problem != nil {
		return nil, errors.New(problem.Cause)
	}
	return runledger.Open(folder, s.opts.Environment), nil
}

// ledgerOfRole opens the ledger of runs with the credentials of the rollout: those of a role, a profile
// or a web identity, which the models' own do not know.
func (s *call) ledgerOfRole(ctx context.Context) (*runledger.Ledger, error) {
	gate := s.gate
	if gate == nil {
		gate = policy.NewGate(s.cfg, s.opts.request(s.backend))
	}
	permit, refused := gate.Ask(policy.Action{Stage: verdict.Deploy, Reads: true}, nil)
	if refused != nil {
		return nil, errors.New(refused.Cause)
	}
	options, problem := s.opts.account(ctx, s.cfg, permit)
	if problem != nil {
		return nil, errors.New(problem.Cause)
	}
	clients, problem := account.Open(ctx, options)
	if problem != nil {
		return nil, errors.New(problem.Cause)
	}
	opened, err := s.openLedger(ctx, permit, clients.Objects)
	if err != nil {
		return nil, err
	}
	return runledger.Open(opened.Beside(runledger.FolderOf(s.cfg.Name)), s.opts.Environment), nil
}

// openLedger opens the ledger of models with a client.
func (s *call) openLedger(ctx context.Context, _ policy.Permit, client *s3object.Client) (*ledger.Ledger, error) {
	t := s.opts.Target
	root, region := cmp.Or(t.ArtifactRoot, s.cfg.Publish.ArtifactRoot), cmp.Or(t.Region, s.cfg.Publish.Region)
	return ledger.Open(ctx, ledger.Options{Root: root, Region: region, Client: client})
}

// window are the runs of the last days up to now.
type window struct {
	since, until time.Time
	where        string
	history      runledger.History
}

// MaxDays bounds how far back the ledger is read.
const MaxDays = 3660

// past reads the ledger of the last days, or of the configuration's window when 0.
func past(ctx context.Context, backend Backend, opts Options, days int) (*call, window, *verdict.Problem) {
	s := prepare(ctx, backend, opts).call
	if p := s.run.Preflight; p != nil {
		return s, window{}, &verdict.Problem{Code: verdict.Code{Name: p.Code, Stage: verdict.Preflight, Outcome: p.Verdict}, Cause: p.Cause,
			Next: p.Next}
	}
	if days == 0 {
		days = s.cfg.Observe.WindowDays
	}
	if days < 1 || days > MaxDays {
		return s, window{}, verdict.Problemf(CodeBadArgument, "--days %d is not 1 to %d", days, MaxDays)
	}
	permit, refused := s.gate.Ask(policy.Action{Stage: verdict.Publish, Reads: true}, nil)
	ledger, err := s.ledger(ctx, permit)
	switch {
	case err != nil:
		return s, window{}, verdict.Problemf(runledger.CodeFailed, "%s", s.hide(err))
	case ledger == nil && refused != nil && !s.opts.sandbox():
		return s, window{}, verdict.Problemf(runledger.CodeNone, "%s", refused.Cause)
	case ledger == nil:
		return s, window{}, verdict.Problemf(runledger.CodeNone, "environment %s, and no --state", s.opts.Environment)
	}
	// Runs whose machine was a little ahead belong to it, too.
	until := time.Now().UTC().Add(time.Hour)
	w := window{since: until.AddDate(0, 0, -days).Add(-time.Hour), until: until, where: ledger.Where()}
	if w.history, err = ledger.Read(ctx, w.since, w.until); err != nil {
		return s, w, verdict.Problemf(runledger.CodeFailed, "%s", s.hide(err))
	}
	return s, w, nil
}

// warning is the line about records that could not be read; empty without any.
func (w window) warning() string {
	n := len(w.history.Unreadable)
	if n == 0 {
		return ""
	}
	return verdict.Line(fmt.Sprintf("%s: %d records of %s could not be read, and are in no figure: %s", runledger.CodeRecord.Name, n,
		w.where,
		w.history.Unreadable[0]), 1000)
}
