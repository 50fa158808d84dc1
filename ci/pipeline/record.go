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

// Observe configures how a run is recorded and where its results are sent.
type Observe struct {
	// State is a directory of this machine for the run ledger; it is created if needed. If empty, the ledger is in S3 beside
	// the model ledger; the sandbox then has none.
	State string
	// PushgatewayURL and OTLPEndpoint receive the metrics of the run; either may be empty. The OTEL variables of the
	// environment are ignored: in a Dagger module they name the engine's collector.
	PushgatewayURL, OTLPEndpoint string
	// MetricsAuth is the login for both: name:password or a bearer token; nil means none.
	MetricsAuth runner.Secret
	// NotifySecrets has the secrets of the notification channels, in the form that notify.ParseSecrets reads; nil means none.
	NotifySecrets runner.Secret
	// Hotfix marks an unplanned change that fixes production.
	Hotfix bool
}

// recordTimeout limits the time to read and write records, so that a hanging store does not delay the verdict.
const recordTimeout = 5 * time.Second

// observer records a run and sends notifications.
type observer struct {
	*call
	// before are earlier runs, newest last, as far as they could be read.
	before []runledger.Record
}

// observe records the run after its verdict. Failures here are warnings; they never change the verdict.
func (s *observer) observe(ctx context.Context, call string) {
	if call == "" || s.gate == nil {
		return
	}
	// A cancelled run is recorded, too.
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
		err = ledger.Write(ctx, r) // first: reading earlier runs must not use up its time
		s.trend(ctx, ledger, r)
	}
	if err != nil {
		s.run.Warn(runledger.CodeUnwritten, "%s", s.hide(err))
	}
}

// hide masks the run's secrets in an error's text.
func (s *call) hide(err error) string { return s.line(err.Error()) }

func (s *call) line(text string) string { return verdict.Line(s.run.Redact(text), 1000) }

// recordPermit is the permit to write records: that of publishing or of deploying. It is used for passed and failed runs
// alike.
func (s *call) recordPermit() (policy.Permit, *verdict.Stage) {
	return s.gate.Ask(policy.Action{Stage: verdict.Publish, Recorded: true}, nil)
}

// recordedCall returns the name under which a run of these stages is recorded, or an empty string for a call that is only a
// part of the pipeline.
func recordedCall(stages []string) string {
	switch {
	case len(stages) == 0 || len(stages) == len(verdict.Stages()):
		return "run"
	case slices.Equal(stages, []string{verdict.Deploy}):
		return verdict.Deploy
	}
	return ""
}

// ledger opens the run ledger in the directory of the call or in S3, if the permit allows it. It returns nil if there is
// none.
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

// ledgerOfRole opens the run ledger with the rollout's credentials, which may come from a role, a profile or a web identity.
// The credentials for models support none of these.
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

// openLedger opens the model ledger with a client.
func (s *call) openLedger(ctx context.Context, _ policy.Permit, client *s3object.Client) (*ledger.Ledger, error) {
	t := s.opts.Target
	root, region := cmp.Or(t.ArtifactRoot, s.cfg.Publish.ArtifactRoot), cmp.Or(t.Region, s.cfg.Publish.Region)
	return ledger.Open(ctx, ledger.Options{Root: root, Region: region, Client: client})
}

// window returns the runs of the last days.
type window struct {
	since, until time.Time
	where        string
	history      runledger.History
}

// MaxDays limits how far back the ledger is read.
const MaxDays = 3660

// past reads the ledger of the last days; 0 means the window of pipeline.yaml.
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
	// Includes runs from machines whose clock was slightly ahead.
	until := time.Now().UTC().Add(time.Hour)
	w := window{since: until.AddDate(0, 0, -days).Add(-time.Hour), until: until, where: ledger.Where()}
	if w.history, err = ledger.Read(ctx, w.since, w.until); err != nil {
		return s, w, verdict.Problemf(runledger.CodeFailed, "%s", s.hide(err))
	}
	return s, w, nil
}

// warning is a line about unreadable records, or empty.
func (w window) warning() string {
	n := len(w.history.Unreadable)
	if n == 0 {
		return ""
	}
	return verdict.Line(fmt.Sprintf("%s: %d records of %s could not be read, and are in no figure: %s", runledger.CodeRecord.Name, n,
		w.where,
		w.history.Unreadable[0]), 1000)
}
