package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Runs lists the recorded runs of --environment, the newest first, from the ledger of --state or
// the one in S3 beside the models. It writes nothing.
//
// +cache="session"
func (m *OpenstackRca) Runs(
	ctx context.Context,

	// How many days to look back, at most 3660; observe.window_days of pipeline.yaml when 0.
	//
	// +optional
	days int,
) (*History, error) {
	return m.past(ctx, func(b pipeline.Backend, o pipeline.Options) pipeline.Observed { return pipeline.Runs(ctx, b, o, days) })
}

// Dora computes, from what really happened, the figures of software delivery: deployment
// frequency, lead time, change fail rate, recovery time, rework; and the success rate and the
// build time against their targets. It writes nothing.
//
// +cache="session"
func (m *OpenstackRca) Dora(
	ctx context.Context,

	// How many days to look back, at most 3660; observe.window_days of pipeline.yaml when 0.
	//
	// +optional
	days int,
) (*History, error) {
	return m.past(ctx, func(b pipeline.Backend, o pipeline.Options) pipeline.Observed { return pipeline.Dora(ctx, b, o, days) })
}

// Metrics makes the metrics of the ledger of runs for Prometheus: the last run of each branch, and the
// figures of delivery. A run sends its own with --pushgateway-url or --otlp-endpoint. It writes
// nothing.
//
// +cache="session"
func (m *OpenstackRca) Metrics(
	ctx context.Context,

	// How many days to look back, at most 3660; observe.window_days of pipeline.yaml when 0.
	//
	// +optional
	days int,
) (*Metrics, error) {
	call := m.call(ctx)
	backend, err := call.backend()
	if err != nil {
		return nil, err
	}
	defer call.close()
	found := pipeline.Metrics(ctx, backend, call.options(), days)
	return &Metrics{Text: found.Text, Open: found.Open, History: found.History, Emf: found.EMF, Failure: found.Failure}, nil
}

// Metrics are metrics in the formats of files.
type Metrics struct {
	// In Prometheus's text format.
	Text string
	// In the format of OpenMetrics.
	Open string
	// All runs of the window with their times, in the format of OpenMetrics, for
	// `promtool tsdb create-blocks-from openmetrics`.
	History string
	// As Text, in the embedded metric format of CloudWatch.
	Emf string
	// +private
	Failure string
}

// Enforce fails when the ledger could not be read.
func (m *Metrics) Enforce() error { return enforce(m.Failure) }

// Observability generates what watches the metrics: alert rules with the thresholds of
// pipeline.yaml, their tests, a dashboard for Grafana, configurations of Prometheus and Alertmanager,
// and a compose file that starts all of it.
func (m *OpenstackRca) Observability(
	ctx context.Context,

	// Where Alertmanager sends alerts; nowhere when empty.
	//
	// +optional
	webhook string,
) (*dagger.Directory, error) {
	call := m.call(ctx)
	backend, err := call.backend()
	if err != nil {
		return nil, err
	}
	defer call.close()
	files, failure := pipeline.Observability(ctx, backend, call.options(), webhook)
	if failure != "" {
		return nil, enforce(failure)
	}
	dir := dag.Directory()
	for name, content := range files {
		dir = dir.WithNewFile(name, string(content))
	}
	return dir, nil
}

// Notify sends a test message to the channels of notify in pipeline.yaml. Runs send
// theirs themselves.
//
// +cache="never"
func (m *OpenstackRca) Notify(
	ctx context.Context,

	// Name of the channel; all when empty.
	//
	// +optional
	channel string,
) (string, error) {
	call := m.call(ctx)
	backend, err := call.backend()
	if err != nil {
		return "", err
	}
	defer call.close()
	found := pipeline.Notify(ctx, backend, call.options(), channel)
	return found.Summary, enforce(found.Failure)
}

// past reads the ledger with a function of package pipeline.
func (m *OpenstackRca) past(ctx context.Context, read func(pipeline.Backend, pipeline.Options) pipeline.Observed) (*History, error) {
	call := m.call(ctx)
	backend, err := call.backend()
	if err != nil {
		return nil, err
	}
	defer call.close()
	found := read(backend, call.options())
	return &History{Summary: found.Summary, Json: string(found.JSON), Failure: found.Failure}, nil
}

// History is what the ledger of runs says.
type History struct {
	// It in Markdown.
	Summary string
	// It for machines.
	Json string
	// +private
	Failure string
}

// Enforce fails when the ledger could not be read.
func (h *History) Enforce() error { return enforce(h.Failure) }

// stateDir is the ledger of --state below the call's work directory.
const stateDir = "state"

// observe is what is recorded of the call, and where it is sent.
func (c *call) observe() pipeline.Observe {
	o := pipeline.Observe{
		Hotfix: c.module.Hotfix, PushgatewayURL: c.module.PushgatewayURL, OTLPEndpoint: c.module.OtlpEndpoint,
		MetricsAuth: c.secret("METRICS_AUTH", c.module.MetricsAuth), NotifySecrets: c.secret("NOTIFY_SECRETS", c.module.NotifySecrets),
	}
	if c.module.State != nil {
		o.State = filepath.Join(c.work, stateDir)
	}
	return o
}

// kept is the ledger of --state after the call; an empty directory without one.
func (c *call) kept() (*dagger.Directory, error) {
	if c.module.State == nil {
		return dag.Directory(), nil
	}
	dir, err := dag.CurrentModule().Workdir(filepath.Join(c.work, stateDir)).Sync(c.ctx)
	if err != nil {
		return nil, fmt.Errorf("keep ledger: %w", err)
	}
	return dir, nil
}
