package pipeline

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/observability"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// metricsFile is the name of the metrics file in the report.
const metricsFile = "metrics.prom"

// refs are the branches that have their own label value in the metrics.
func (s *call) refs() []string {
	named := []string{"main", "develop"}
	for _, branch := range s.opts.ReleaseBranches {
		if !strings.ContainsAny(branch, "*?[{") {
			named = append(named, branch)
		}
	}
	return named
}

// groupOf returns the Pushgateway group of a run's metrics. An untrusted ref, such as a pull request from a branch called
// main, must not overwrite the metrics of the branch.
func (s *call) groupOf(r runledger.Record) metrics.Group {
	if !s.opts.request(s.backend).Trusted() {
		r.Ref = ""
	}
	return metrics.GroupOf(r, s.refs())
}

// measured adds the run's metrics to the report and sends them. A failure to send is a warning.
func (s *observer) measured(ctx context.Context, r runledger.Record) {
	target := s.groupOf(r)
	in := metrics.Input{Run: r}
	for _, earlier := range s.before {
		if s.groupOf(earlier) == target {
			in.Before = append(in.Before, earlier)
		}
	}
	families := metrics.Of(in)
	if n := len(s.run.Stages); n > 0 {
		last := &s.run.Stages[n-1]
		last.Files = append(last.Files, verdict.ReportFile{Path: metricsFile, Content: []byte(metrics.Text(families, target.Labels()))})
	}
	s.send(ctx, target, r, families)
}

// send sends the metrics to all configured receivers concurrently.
func (s *observer) send(ctx context.Context, target metrics.Group, r runledger.Record, families []metrics.Family) {
	o := s.opts.Observe
	if o.PushgatewayURL == "" && o.OTLPEndpoint == "" && !s.cfg.Observe.CloudWatch {
		return
	}
	permit, refused := s.gate.Ask(policy.Action{Stage: verdict.Publish, Reads: true}, nil)
	if !permit.AllowsReading(verdict.Publish) {
		s.run.Warn(metrics.CodeUnsent, "%s", refused.Cause)
		return
	}
	auth, err := s.metricsAuth(ctx)
	if err != nil {
		s.run.Warn(metrics.CodeUnsent, "%s", s.hide(err))
		return
	}
	errs := make([]error, 3)
	var group sync.WaitGroup
	if o.PushgatewayURL != "" {
		group.Go(func() {
			errs[0] = metrics.Push(ctx, metrics.Endpoint{URL: o.PushgatewayURL, Auth: auth}, target, families)
		})
	}
	if o.OTLPEndpoint != "" {
		group.Go(func() {
			errs[1] = metrics.SendOTLP(ctx, metrics.Endpoint{URL: o.OTLPEndpoint, Auth: auth}, target, r, families)
		})
	}
	if s.cfg.Observe.CloudWatch && !s.opts.sandbox() {
		group.Go(func() { errs[2] = s.toCloudWatch(ctx, s.awsPermit(), target, r, families) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			s.run.Warn(metrics.CodeUnsent, "%s", s.hide(err))
		}
	}
}

// metricsAuth returns the login for the metrics receivers, or an empty string.
func (s *call) metricsAuth(ctx context.Context) (string, error) {
	secret := s.opts.Observe.MetricsAuth
	if secret == nil {
		return "", nil
	}
	value, err := secret.Plaintext(ctx)
	if err != nil {
		return "", fmt.Errorf("read secret %s: %w", secret.Name(), err)
	}
	return strings.TrimRight(value, "\r\n"), nil
}

// Measures are metrics in several file formats.
type Measures struct {
	// Text is in the Prometheus format, Open in the OpenMetrics format. Both have the last run of each branch and call, and
	// the figures of the window.
	Text, Open string
	// History has all runs of the window with timestamps in the OpenMetrics format, for backfilling.
	History string
	// EMF has the content of Text in CloudWatch's embedded metric format.
	EMF string
	// Failure says why there are no metrics, or is empty.
	Failure string
}

// Metrics exports the run ledger as metrics. It writes nothing.
func Metrics(ctx context.Context, backend Backend, opts Options, days int) Measures {
	s, w, problem := past(ctx, backend, opts, days)
	if problem != nil {
		return Measures{Failure: problem.Error()}
	}
	figures := s.dora(w)
	last, earlier := map[metrics.Group]runledger.Record{}, map[metrics.Group][]runledger.Record{}
	for _, r := range w.history.Records {
		target := metrics.GroupOf(r, s.refs())
		last[target], earlier[target] = r, append(earlier[target], r)
	}
	var lists [][]metrics.Family
	for target, r := range last {
		in := metrics.Input{Run: r, Before: earlier[target]}
		if target.Ref != metrics.OtherRef {
			in.Delivery = &figures
		}
		lists = append(lists, metrics.With(metrics.Of(in), target))
	}
	all := metrics.Join(lists...)
	emf, err := metrics.EMF(all, time.Now())
	if err != nil {
		return Measures{Failure: verdict.Problemf(runledger.CodeFailed, "%v", err).Error()}
	}
	return Measures{Text: metrics.Text(all, nil), Open: metrics.Open(all, nil), EMF: emf,
		History: metrics.Open(metrics.History(w.history.Records, s.refs()), nil)}
}

// Observability generates alert rules with tests, a dashboard and configuration files from pipeline.yaml. It has no side
// effects. The files are keyed by path; the second result says why there are none.
func Observability(ctx context.Context, backend Backend, opts Options, webhook string) (files map[string][]byte, failure string) {
	if u, err := url.Parse(webhook); webhook != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return nil, verdict.Problemf(CodeBadArgument, "--webhook is no http or https address, and Alertmanager would not start").Error()
	}
	cfg, problems := configure(ctx, backend, opts.withDefaults().Environment)
	if len(problems) > 0 {
		lines := make([]string, len(problems))
		for i, p := range problems {
			lines[i] = p.Error()
		}
		return nil, strings.Join(lines, "\n")
	}
	files, err := observability.Files(cfg, observability.Options{Webhook: webhook})
	if err != nil {
		return nil, verdict.Problemf(CodeBadArgument, "%v", err).Error()
	}
	return files, ""
}
