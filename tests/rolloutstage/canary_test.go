//go:build unix

package rolloutstage_test

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/analysis"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// paced is AWS's clock at the pace of this machine's, as Prometheus has it.
type paced struct{ *fakeaws.Clock }

// Sleep implements clock.Clock.
func (r paced) Sleep(ctx context.Context, d time.Duration) error {
	if err := (clock.System{}).Sleep(ctx, d); err != nil {
		return err
	}
	return r.Clock.Sleep(ctx, time.Since(r.Clock.Now()))
}

// predicting publishes the predictions of a model by the example's own code, and returns its address.
func predicting(t *testing.T, kind string) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here")
	}
	example, err := filepath.Abs("../../examples/openstack-rca")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	page := exec.CommandContext(ctx, python, "testdata/predict.py", example, kind)
	out, err := page.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, page.Start())
	t.Cleanup(func() {
		cancel()
		_ = page.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return "127.0.0.1:" + strings.TrimSpace(line)
}

// A canary of the example whose model predicts otherwise than the one before is found at the first
// stage by the distribution of its predictions, though it answers as fast and without an error. Metrics are
// the example's, scraped by a real Prometheus.
func TestACanaryWithAShiftedModelIsRolledBack(t *testing.T) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("there is no prometheus here; Debian has it as a package")
	}
	if testing.Short() {
		t.Skip("it takes some minutes; run without -short")
	}
	address := scrape(t, program, map[string]string{"1": predicting(t, "good"), "2": predicting(t, "bad"), "3": predicting(t, "good")})
	predictions := spec.Analysis{Name: "predictions", Prometheus: address, Compare: analysis.Index, MinSamples: 500, Interval: 20 * time.Second,
		Query: `sum by (label) (increase(rca_predictions_total{revision="{{revision}}"}[{{window}}]))`, Count: 1}
	latency := spec.Analysis{Name: "latency", Prometheus: address, Success: "value <= 1.5*old + 0.1", Interval: 20 * time.Second, Count: 1,
		Query: `histogram_quantile(0.95, sum by (le) (rate(rca_latency_seconds_bucket{revision="{{revision}}"}[{{window}}])))`}

	// The first version comes up before now, by a clock that nobody waits for.
	simulated := fakeaws.NewClockAt(time.Now().Add(-10 * time.Minute))
	account := fakeaws.NewAccount(simulated)
	in := release.Input{Journal: "s3://bucket/models", Name: "test", Input: rollout.Input{Spec: config.Default().RolloutSpec(),
		Environment: "staging"}}
	in.Spec.Account, in.Spec.Strategy, in.Spec.VPC, in.Spec.Trial = "111122223333", "canary", "vpc-0123456789abcdef0", false
	in.Spec.Subnets, in.Spec.SecurityGroups = []string{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}, []string{"sg-0123456789abcdef0"}
	role := "arn:aws:iam::111122223333:role/"
	in.Spec.ExecutionRole, in.Spec.TaskRole, in.Spec.InfrastructureRole = role+"execution", role+"task", role+"infrastructure"
	in.Spec.BakeMinutes, in.Spec.CanaryBakeMinutes = 1, 1
	in.Get = func(context.Context, string) error { return nil }
	in.Progress = func(line string) { t.Log(line) }
	deploy := func(by clock.Clock, digit string) *release.Result {
		in.Image = "111122223333.dkr.ecr.ap-south-1.amazonaws.com/openstack-rca-system@sha256:" + strings.Repeat(digit, 64)
		return release.Deploy(t.Context(), release.Clients{ECS: account.ECS, Balancing: account.Balancing, Scaling: account.Scaling,
			CloudWatch: account.CloudWatch, Logs: account.Logs, Roles: account.Roles, Identity: account.Identity, Objects: account.Objects}, by, in)
	}
	require.Equal(t, verdict.Pass, deploy(simulated, "a").Stage.Verdict)
	require.NoError(t, simulated.Sleep(t.Context(), time.Since(simulated.Now())))
	in.Spec.Analysis = []spec.Analysis{latency, predictions}
	account.ECS.Behave("arn:aws:ecs:ap-south-1:111122223333:task-definition/openstack-rca-task-staging:2", fakeaws.Behaviour{StartAfter: time.Second})
	result := deploy(paced{simulated}, "b")
	require.Equal(t, deployment.AnalysisFailed.Name, result.Stage.Code, result.Stage.Cause)
	assert.Contains(t, result.Stage.Cause, "metric predictions is failed at 10 % of the traffic: population stability index 0.")
	assert.True(t, strings.HasSuffix(account.ECS.Serving("openstack-rca-cluster-staging", "openstack-rca-service-staging"), ":1"))
	seen := 0
	for _, block := range result.Stage.Blocks {
		if block.Lines != nil && (block.Title == "Analysis: predictions" || block.Title == "Analysis: latency") {
			seen += len(block.Lines.Series)
		}
	}
	assert.GreaterOrEqual(t, seen, 2, "both are charts in the report")

	// The third version's predictions are distributed as the first one's.
	m, err := analysis.NewMetric(predictions)
	require.NoError(t, err)
	now := time.Now()
	window := analysis.Window{Start: now.Add(-m.Interval), End: now}
	old, err := analysis.Prometheus{}.Count(t.Context(), m, analysis.Subject{Revision: "1"}, window)
	require.NoError(t, err)
	good, err := analysis.Prometheus{}.Count(t.Context(), m, analysis.Subject{Revision: "3"}, window)
	require.NoError(t, err)
	t.Log("of a good model: ", analysis.StabilityIndex(old, good))
	assert.Equal(t, analysis.Successful, m.Judge(analysis.StabilityIndex(old, good), 0, true))
}
