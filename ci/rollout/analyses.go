package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout/analysis"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// checkAnalysis checks the metrics that decide while traffic shifts.
func (c *checker) checkAnalysis() {
	if len(c.Analysis) > 0 && !c.strategy.shiftsTraffic() {
		c.bad(StrategyInvalid, "rollout.analysis: a rolling deployment has no share of the traffic to measure; there are blue_green, canary, "+
			"linear")
	}
	c.checkMetrics()
}

// checkMetrics checks each metric by itself, and that every one has a name of its own: a command is
// started once for each name and window.
func (c *checker) checkMetrics() {
	names := map[string]bool{}
	for i, a := range c.Analysis {
		key := fmt.Sprintf("rollout.analysis[%d]", i)
		if a.Name == "" || names[a.Name] {
			c.bad(PlanInvalid, "%s.name: %q is no name of its own", key, a.Name)
		}
		names[a.Name] = true
		if _, err := analysis.NewMetric(a); err != nil {
			c.bad(PlanInvalid, "%s: %v", key, err)
		}
	}
}

// Metrics are those that decide while traffic shifts; none without an analysis.
func (p *Plan) Metrics() []*analysis.Metric {
	var all []*analysis.Metric
	for _, a := range p.settings.Analysis {
		if m, err := analysis.NewMetric(a); err == nil { // they were checked
			all = append(all, m)
		}
	}
	return all
}

// AnalysisPauses reports whether the deployment waits for the analysis, as it does for a service of
// ours; one of somebody else keeps its hooks.
func (p *Plan) AnalysisPauses() bool { return !p.Adopts() && len(p.settings.Analysis) > 0 }

// AskPeople reports whether a person decides about an inconclusive analysis.
func (p *Plan) AskPeople() bool { return p.settings.Inconclusive == spec.InconclusivePause }

// PeoplesPauses are the stages, as ECS names them, at which a person approves.
func (p *Plan) PeoplesPauses() []string {
	var all []string
	for _, stage := range p.settings.PauseAt {
		all = append(all, string(hookStage(stage)))
	}
	return all
}

// pauseStages are the stages at which a deployment stops: for people, and for the analysis before each
// step that follows one with traffic, and before the bake.
func (s *settings) pauseStages() []types.DeploymentLifecycleHookStage {
	var all []types.DeploymentLifecycleHookStage
	for _, stage := range s.PauseAt {
		all = append(all, hookStage(stage))
	}
	if len(s.Analysis) == 0 {
		return all
	}
	wanted := []types.DeploymentLifecycleHookStage{types.DeploymentLifecycleHookStagePostProductionTrafficShift}
	if s.strategy != blueGreen {
		wanted = append(wanted, types.DeploymentLifecycleHookStagePreProductionTrafficShift)
	}
	for _, stage := range wanted {
		if !slices.Contains(all, stage) {
			all = append(all, stage)
		}
	}
	return all
}

// analysisTime is how long one stage is measured until it may be left, and the most that it can take.
func (s *settings) analysisTime() (usual, most time.Duration) {
	for _, a := range s.Analysis {
		if m, err := analysis.NewMetric(a); err == nil {
			// The first window begins at a whole minute.
			round := time.Minute + time.Duration(m.Count)*m.Interval
			usual, most = max(usual, round+time.Minute), max(most, round+m.Late)
		}
	}
	return usual, most
}
