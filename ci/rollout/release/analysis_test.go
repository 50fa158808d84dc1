package release

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// errorRate is the share of failed requests of a target group.
func errorRate() spec.Analysis {
	dimensions := map[string]string{"TargetGroup": "{{target_group}}", "LoadBalancer": "{{load_balancer}}"}
	return spec.Analysis{
		Name: "errors", Query: "FILL(m5xx, 0) / requests", Success: "value < 0.01", Failure: "value >= 0.05", Count: 2,
		Metrics: []spec.Metric{
			{ID: "m5xx", Namespace: "AWS/ApplicationELB", Name: "HTTPCode_Target_5XX_Count", Stat: "Sum", Dimensions: dimensions},
			{ID: "requests", Namespace: "AWS/ApplicationELB", Name: "RequestCount", Stat: "Sum", Dimensions: dimensions},
		},
	}
}

// publish lets both target groups have traffic, of which the share bad fails for blue and green.
func (w *world) publish(late time.Duration, blue, green float64) {
	w.aws.CloudWatch.Publish(func(m cloudwatch.MetricStat, period time.Time) (float64, bool) {
		if w.clock.Now().Before(period.Add(time.Minute + late)) {
			return 0, false
		}
		group := ""
		for _, d := range m.Metric.Dimensions {
			if *d.Name == "TargetGroup" {
				group = *d.Value
			}
		}
		bad := blue
		if strings.Contains(group, "-green") {
			bad = green
		}
		if *m.Metric.MetricName == "RequestCount" {
			return 1000, true
		}
		return 1000 * bad, bad > 0 // ELB publishes no zeros
	})
}

// forgetful is Elastic Load Balancing behind something whose first answers are empty.
type forgetful struct {
	Balancing
	empty int
}

func (f *forgetful) DescribeTargetGroups(ctx context.Context, in *elb.DescribeTargetGroupsInput) (*elb.DescribeTargetGroupsOutput, error) {
	if len(in.TargetGroupArns) > 0 && f.empty > 0 {
		f.empty--
		return &elb.DescribeTargetGroupsOutput{}, nil
	}
	return f.Balancing.DescribeTargetGroups(ctx, in)
}

// The load balancer of a query is never left empty: CloudWatch would answer for another metric, or for none.
func TestAnEmptyAnswerIsNotTakenForNoLoadBalancer(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.in.Spec.Analysis = []spec.Analysis{errorRate()}
	w.publish(0, 0.001, 0.002)
	var asked []string
	w.aws.CloudWatch.Publish(func(m cloudwatch.MetricStat, _ time.Time) (float64, bool) {
		for _, d := range m.Metric.Dimensions {
			if *d.Name == "LoadBalancer" {
				asked = append(asked, *d.Value)
			}
		}
		return 1000, *m.Metric.MetricName == "RequestCount"
	})
	w.deployed("a")
	clients := w.clients()
	clients.Balancing = &forgetful{clients.Balancing, 2}
	w.in.Image = image("b")
	w.passed(Deploy(w.ctx, clients, w.clock, w.in))
	require.NotEmpty(t, asked)
	for _, balancer := range asked {
		assert.Regexp(t, `^app/`, balancer)
	}
}

func shifting() []string { return []string{"blue_green", "canary", "linear"} }

func TestAGoodVersionPassesItsAnalysisAtEveryStage(t *testing.T) {
	for _, strategy := range shifting() {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(t, strategy)
			w.in.Spec.Analysis = []spec.Analysis{errorRate()}
			w.publish(0, 0.001, 0.002)
			w.deployed("a")
			calls, began := len(w.aws.Calls()), w.clock.Now()
			result := w.deploy("b")
			took := w.clock.Now().Sub(began).Seconds()
			assert.Less(t, float64(len(w.aws.Calls())-calls), took, "calls a second")
			t.Logf("%.2f calls a second in %.0f s", float64(len(w.aws.Calls())-calls)/took, took)
			weights := map[float64]bool{}
			for _, row := range measurements(result) {
				assert.Equal(t, "successful", row[5], row)
				weight, err := strconv.ParseFloat(strings.TrimSuffix(row[1], " %"), 64)
				require.NoError(t, err)
				weights[weight] = true
			}
			want := map[string][]float64{"blue_green": {100}, "canary": {10, 100}, "linear": {25, 50, 75, 100}}[strategy]
			assert.Len(t, weights, len(want), "%v", weights)
			for _, weight := range want {
				assert.True(t, weights[weight], weight)
			}
			assert.Equal(t, family+"2", w.serving())
			assert.NotZero(t, charts(result))
		})
	}
}

// measurements are the rows of the table of measurements.
func measurements(r *Result) [][]string {
	for _, b := range r.Stage.Blocks {
		if b.Title == "Analysis: every measurement" {
			return b.Table.Rows
		}
	}
	return nil
}

func charts(r *Result) int {
	n := 0
	for _, b := range r.Stage.Blocks {
		if b.Lines != nil && strings.HasPrefix(b.Title, "Analysis: ") {
			n += len(b.Lines.Series)
		}
	}
	return n
}

// weightsSeen are the shares of the traffic that the log tells of.
func (w *world) mostTraffic() float64 {
	most := 0.0
	for _, line := range w.lines {
		_, rest, found := strings.Cut(line, "IN_PROGRESS, ")
		if !found {
			continue
		}
		for _, part := range strings.Split(rest, ", ") {
			if text, is := strings.CutSuffix(part, " % of the traffic"); is {
				if weight, err := strconv.ParseFloat(text, 64); err == nil {
					most = max(most, weight)
				}
			}
		}
	}
	return most
}

// 5 % errors only in the new version are found at its first stage, whatever the strategy.
func TestAFalseCanaryIsRolledBackAtItsFirstStage(t *testing.T) {
	for strategy, first := range map[string]float64{"blue_green": 100, "canary": 10, "linear": 25} {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(t, strategy)
			w.in.Spec.Analysis = []spec.Analysis{errorRate()}
			w.publish(0, 0, 0)
			w.deployed("a")
			w.publish(0, 0, 0.05)
			w.lines = nil
			result := w.deploy("b")
			w.code(t, deployment.AnalysisFailed, result)
			assert.Contains(t, result.Stage.Cause, "value 0.05")
			assert.Equal(t, family+"1", w.serving())
			assert.Equal(t, first, w.mostTraffic())
			assert.True(t, result.Outcome.Undone)
			assert.Equal(t, 1, len(measurements(result)), "the first measurement is enough")
		})
	}
}

func TestTheNewVersionIsComparedWithTheOldOne(t *testing.T) {
	metric := errorRate()
	metric.Success, metric.Failure = "value <= 2*old + 0.001", ""
	for _, c := range []struct {
		old, new float64
		code     string
	}{{0.02, 0.03, ""}, {0.001, 0.03, deployment.AnalysisFailed.Name}} {
		w := newWorld(t, "canary")
		w.publish(0, c.old, c.new)
		w.deployed("a")
		w.in.Spec.Analysis = []spec.Analysis{metric}
		result := w.deploy("b")
		assert.Equal(t, c.code, result.Stage.Code, result.Stage.Cause)
	}
}

// A metric that comes three minutes late is waited for; one that comes later than allowed is
// inconclusive, which never passes.
func TestASlowMetricNeverPassesBySilence(t *testing.T) {
	for _, strategy := range shifting() {
		for _, c := range []struct {
			name        string
			late, allow time.Duration
			bad         float64
			code        string
		}{
			{"late and good", 3 * time.Minute, 5 * time.Minute, 0, ""},
			{"late and bad", 3 * time.Minute, 5 * time.Minute, 0.05, deployment.AnalysisFailed.Name},
			{"too late", 3 * time.Minute, 2 * time.Minute, 0, deployment.AnalysisInconclusive.Name},
			{"never", 100 * time.Hour, 5 * time.Minute, 0, deployment.AnalysisInconclusive.Name},
		} {
			t.Run(strategy+" "+c.name, func(t *testing.T) {
				w := newWorld(t, strategy)
				w.deployed("a")
				metric := errorRate()
				metric.Late = c.allow
				w.in.Spec.Analysis, w.in.Spec.BakeMinutes, w.in.Spec.CanaryBakeMinutes, w.in.Spec.LinearStepMinutes = []spec.Analysis{metric}, 1, 0, 0
				w.publish(c.late, 0, c.bad)
				result := w.deploy("b")
				assert.Equal(t, c.code, result.Stage.Code, result.Stage.Cause)
				if c.code != "" {
					assert.Equal(t, family+"1", w.serving())
				}
			})
		}
	}
}

func TestAnInconclusiveAnalysisAsksPeopleIfConfigured(t *testing.T) {
	for answer, serves := range map[string]string{"approve": family + "2", "reject": family + "1"} {
		w := newWorld(t, "canary")
		w.deployed("a")
		w.in.Spec.Analysis, w.in.Spec.Inconclusive = []spec.Analysis{errorRate()}, spec.InconclusivePause
		w.publish(0, 0.02, 0.02) // between good and bad
		result := w.deploy("b")
		w.code(t, deployment.AwaitingApproval, result)
		assert.Contains(t, result.Stage.Cause, deployment.AnalysisInconclusive.Name)
		w.publish(0, 0, 0)
		if answer == "approve" {
			result = Approve(w.ctx, w.clients(), w.clock, w.in)
		} else {
			result = Reject(w.ctx, w.clients(), w.clock, w.in)
		}
		require.Equal(t, verdict.Pass, result.Stage.Verdict, "%s: %s %s", answer, result.Stage.Code, result.Stage.Cause)
		assert.Equal(t, serves, w.serving(), answer)
	}
}

// The bake has no pause at which a person could decide.
func TestAnInconclusiveBakeIsRolledBackWhereverAPersonWouldBeAsked(t *testing.T) {
	for _, inconclusive := range []string{spec.InconclusivePause, spec.InconclusiveRollback} {
		w := newWorld(t, "blue_green")
		w.deployed("a")
		w.in.Spec.Analysis, w.in.Spec.Inconclusive, w.in.Spec.BakeMinutes = []spec.Analysis{errorRate()}, inconclusive, 30
		w.publish(0, 0, 0)
		w.clock.At(12*time.Minute, func() { w.publish(100*time.Hour, 0, 0) })
		result := w.deploy("b")
		w.code(t, deployment.AnalysisInconclusive, result)
		assert.Equal(t, family+"1", w.serving())
		assert.Contains(t, strings.Join(w.lines, "\n"), "BAKE_TIME", "it had got there")
	}
}

// After a person has approved, what was inconclusive before counts no more.
func TestARunThatWaitsForAnApprovalGoesOnMeasuring(t *testing.T) {
	for _, after := range []struct {
		bad  float64
		code string
	}{{0, ""}, {0.06, deployment.AnalysisFailed.Name}} {
		w := newWorld(t, "blue_green")
		w.deployed("a")
		w.in.Spec.Analysis, w.in.Spec.Inconclusive = []spec.Analysis{errorRate()}, spec.InconclusivePause
		w.in.AwaitApproval = true
		w.publish(0, 0.02, 0.02)
		w.clock.At(20*time.Minute, func() {
			w.publish(0, after.bad, after.bad)
			list, err := deployment.InFlightOf(w.ctx, w.aws.ECS, cluster, service)
			require.NoError(t, err)
			require.Len(t, list, 1)
			arn := *list[0].ServiceDeploymentArn
			out, err := w.aws.ECS.DescribeServiceDeployments(w.ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{arn}})
			require.NoError(t, err)
			_, err = w.aws.ECS.ContinueServiceDeployment(w.ctx, &ecs.ContinueServiceDeploymentInput{ServiceDeploymentArn: aws.String(arn),
				HookId: aws.String(deployment.HookOf(&out.ServiceDeployments[0]).ID), Action: types.DeploymentLifecycleHookActionContinue})
			require.NoError(t, err)
		})
		result := w.deploy("b")
		assert.Equal(t, after.code, result.Stage.Code, result.Stage.Cause)
	}
}

func TestARollbackIsNotAnalysed(t *testing.T) {
	w := newWorld(t, "canary")
	w.in.Spec.Analysis = []spec.Analysis{errorRate()}
	w.publish(0, 0, 0)
	w.deployed("a")
	w.deployed("b")
	w.publish(0, 1, 1)
	result := Rollback(w.ctx, w.clients(), w.clock, w.in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	assert.Equal(t, family+"1", w.serving())
}

// A run that is killed anywhere leaves the deployment at a pause, or before it; the next one measures
// again. A bad version never gets beyond its first stage.
func TestAnAnalysisThatIsKilledAnywhereIsMadeAgain(t *testing.T) {
	for n := 1; ; n += 7 {
		w := newWorld(t, "canary")
		w.in.Spec.Analysis, w.in.Spec.CanaryBakeMinutes = []spec.Analysis{errorRate()}, 2
		w.publish(0, 0, 0)
		w.deployed("a")
		w.publish(0, 0, 0.05)
		w.lines = nil
		w.aws.Cut(n, n%2 == 0)
		first := w.deploy("b")
		w.aws.Cut(0, false)
		if first.Stage.Code == deployment.AnalysisFailed.Name {
			t.Log("killed at", n/7, "calls")
			require.Greater(t, n, 30)
			return
		}
		require.NoError(t, w.clock.Sleep(w.ctx, time.Hour))
		w.in.Name = "run 2"
		result := w.deploy("b")
		// The second run cannot know why the first had stopped the deployment.
		require.Contains(t, []string{deployment.AnalysisFailed.Name, deployment.RolledBack.Name}, result.Stage.Code, "%d: %s", n,
			result.Stage.Cause)
		assert.Equal(t, family+"1", w.serving(), n)
		assert.Equal(t, 10.0, w.mostTraffic(), n)
	}
}

// A service of somebody else has no pause of ours: what has no result in time is rolled back.
func TestAnAdoptedServiceIsAnalysedByTheClock(t *testing.T) {
	for _, c := range []struct {
		bake int32
		bad  float64
		code string
	}{{10, 0, ""}, {10, 0.05, deployment.AnalysisFailed.Name}, {2, 0, deployment.AnalysisInconclusive.Name}} {
		w := theirs(t, theirTask(), nil)
		_, err := w.aws.ECS.UpdateService(w.ctx, theirUpdate(c.bake))
		require.NoError(t, err)
		require.NoError(t, w.clock.Sleep(w.ctx, time.Hour))
		metric := errorRate()
		byRevision := map[string]string{"Revision": "{{revision}}"}
		metric.Metrics[0].Dimensions, metric.Metrics[1].Dimensions = byRevision, byRevision
		w.in.Spec.Analysis = []spec.Analysis{metric}
		w.publish(0, c.bad, c.bad)
		result := w.deploy("a")
		assert.Equal(t, c.code, result.Stage.Code, result.Stage.Cause)
		serves := theirFamily + "2"
		if c.code != "" {
			serves = theirFamily + "1"
		}
		assert.Equal(t, serves, w.aws.ECS.Serving(theirCluster, theirService))
	}
}

// The run dies, and the deployment of somebody else's service, which has no pause of ours, ends meanwhile:
// the new version serves, and nothing has proved it. The next run says so, and rollback goes back.
func TestADeploymentThatEndedUnwatchedIsNotASuccess(t *testing.T) {
	for _, at := range []time.Duration{100 * time.Second, 3 * time.Minute, 5 * time.Minute} {
		w := theirs(t, theirTask(), nil)
		_, err := w.aws.ECS.UpdateService(w.ctx, theirUpdate(5))
		require.NoError(t, err)
		require.NoError(t, w.clock.Sleep(w.ctx, time.Hour))
		w.aws.ECS.Tag(*theirTask().ContainerDefinitions[0].Image, "sha256:"+strings.Repeat("9", 64))
		metric := errorRate()
		byRevision := map[string]string{"Revision": "{{revision}}"}
		metric.Metrics[0].Dimensions, metric.Metrics[1].Dimensions = byRevision, byRevision
		w.in.Spec.Analysis = []spec.Analysis{metric}
		w.publish(0, 0, 0)
		w.lose("a", at)
		require.NoError(t, w.clock.Sleep(w.ctx, time.Hour))
		require.Equal(t, theirFamily+"2", w.aws.ECS.Serving(theirCluster, theirService), "nobody stopped it")

		w.in.Name = "run 2"
		result := w.deploy("a")
		w.code(t, deployment.AnalysisInconclusive, result)
		assert.Contains(t, result.Stage.Cause, "the new version serves without a result")
		_, ran := w.aws.Objects.Content(journalAt + "staging/ran/" + strings.Repeat("a", 64) + ".json")
		assert.False(t, ran, "production does not take it")
		back := Rollback(w.ctx, w.clients(), w.clock, w.in)
		require.Equal(t, verdict.Pass, back.Stage.Verdict, "%s: %s", back.Stage.Code, back.Stage.Cause)
		assert.Equal(t, theirFamily+"1", w.aws.ECS.Serving(theirCluster, theirService))
	}
}

// Without an analysis, an adopted deployment that ended meanwhile is a success like any other.
func TestADeploymentThatEndedUnwatchedNeedsNoProofWithoutAnAnalysis(t *testing.T) {
	w := theirs(t, theirTask(), nil)
	w.lose("a", time.Minute+10*time.Second)
	require.NoError(t, w.clock.Sleep(w.ctx, time.Hour))
	require.Equal(t, theirFamily+"2", w.aws.ECS.Serving(theirCluster, theirService))
	w.in.Name = "run 2"
	w.deployed("a")
}

func TestPrometheusDecidesAsWell(t *testing.T) {
	for value, code := range map[string]string{"0.2": "", "0.9": deployment.AnalysisFailed.Name} {
		var asked []string
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.FormValue("query"))
			assert.NoError(t, json.NewEncoder(rw).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector",
				"result": []any{map[string]any{"metric": map[string]string{}, "value": []any{1.0, value}}}}}))
		}))
		w := newWorld(t, "blue_green")
		w.deployed("a")
		w.in.Spec.Analysis = []spec.Analysis{{Name: "p95", Prometheus: server.URL, Count: 2, Success: "value < 0.5",
			Query: `histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket{revision="{{revision}}"}[{{window}}])))`}}
		result := w.deploy("b")
		server.Close()
		assert.Equal(t, code, result.Stage.Code, result.Stage.Cause)
		require.NotEmpty(t, asked)
		assert.Contains(t, asked[0], `revision="2"`)
		assert.Contains(t, asked[0], "[60s]")
	}
}

func theirUpdate(bake int32) *ecs.UpdateServiceInput {
	return &ecs.UpdateServiceInput{Cluster: aws.String(theirCluster), Service: aws.String(theirService),
		DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(bake)}}
}
