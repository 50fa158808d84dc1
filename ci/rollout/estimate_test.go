package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTheEstimateHoldsEveryWait(t *testing.T) {
	for _, c := range []struct {
		strategy string
		waits    time.Duration
	}{
		{"blue_green", 10 * time.Minute},
		{"canary", 20 * time.Minute},
		{"linear", 3*5*time.Minute + 10*time.Minute},
		{"rolling", 0},
	} {
		t.Run(c.strategy, func(t *testing.T) {
			in := input("staging")
			in.Spec.Strategy = c.strategy
			e := mustPlan(t, in).Estimate
			var sum time.Duration
			for _, phase := range e.Phases {
				sum += phase.Time
			}
			assert.Equal(t, sum, e.Total)
			assert.Equal(t, "try one task of the new version", e.Phases[0].Name)
			assert.Greater(t, e.Trial, e.Phases[0].Time, "the trial has a deadline of its own")
			work := e.Total - c.waits - e.Phases[0].Time
			assert.Positive(t, work)
			assert.Equal(t, c.waits+3*work, e.Deadline, "waits are exact, work may take three times as long")
		})
	}
}

func TestWithoutATrialItTakesNoTime(t *testing.T) {
	in := input("staging")
	with := mustPlan(t, in)
	in.Spec.Trial = false
	without := mustPlan(t, in)
	assert.False(t, with.Trial.Off)
	assert.True(t, without.Trial.Off)
	assert.Zero(t, without.Estimate.Trial)
	assert.Equal(t, with.Estimate.Deadline, without.Estimate.Deadline)
	assert.Equal(t, with.Estimate.Phases[1:], without.Estimate.Phases)
}

func TestATrialIsATaskAsTheServiceWouldRunIt(t *testing.T) {
	in := input("staging")
	plan := mustPlan(t, in)
	task := plan.Trial.Task
	assert.Equal(t, plan.Service.NetworkConfiguration, task.NetworkConfiguration)
	assert.Equal(t, plan.Service.Cluster, task.Cluster)
	assert.Equal(t, plan.Service.TaskDefinition, task.TaskDefinition)
	assert.Equal(t, plan.Service.LaunchType, task.LaunchType)
	assert.Nil(t, task.Overrides, "what is tried is what is deployed")
	assert.EqualValues(t, 1, *task.Count)
	assert.Len(t, task.Tags, len(plan.Ownership()))
	assert.Regexp(t, `^[A-Za-z0-9_/-]{1,128}$`, *task.StartedBy, "what ECS takes")

	// A name that is as long as a plan takes leaves no room before it.
	in.Spec.Service = strings.Repeat("s", 229)
	first := *mustPlan(t, in).Trial.Task.StartedBy
	assert.Regexp(t, `^[A-Za-z0-9_/-]{1,128}$`, first)
	in.Spec.Service = strings.Repeat("s", 228) + "t"
	assert.NotEqual(t, first, *mustPlan(t, in).Trial.Task.StartedBy)
}

func TestTheStepsOfALinearDeployment(t *testing.T) {
	for percent, want := range map[float64]int{3: 34, 10: 10, 20: 5, 25: 4, 30: 4, 33.4: 3, 100: 1} {
		assert.Equal(t, want, linearSteps(percent), "%v %%", percent)
	}
}

func TestTheConfiguredStepsAreThoseOfTheServiceAndTheEstimate(t *testing.T) {
	for strategy, wait := range map[string]time.Duration{"canary": 7 * time.Minute, "linear": 2 * 3 * time.Minute} {
		in := input("staging")
		r := &in.Spec
		r.Strategy, r.BakeMinutes = strategy, 0
		r.CanaryPercent, r.CanaryBakeMinutes, r.LinearStepPercent, r.LinearStepMinutes = 0.3, 7, 33.4, 3
		d := services{newSettings(in)}.deployment()
		if strategy == "canary" {
			assert.Nil(t, d.LinearConfiguration)
			assert.Equal(t, 0.3, *d.CanaryConfiguration.CanaryPercent)
			assert.EqualValues(t, 7, *d.CanaryConfiguration.CanaryBakeTimeInMinutes)
		} else {
			assert.Nil(t, d.CanaryConfiguration)
			assert.Equal(t, 33.4, *d.LinearConfiguration.StepPercent)
			assert.EqualValues(t, 3, *d.LinearConfiguration.StepBakeTimeInMinutes)
		}
		var waits time.Duration
		for _, phase := range mustPlan(t, in).Estimate.Phases {
			if strings.HasPrefix(phase.Name, "watch") {
				waits += phase.Time
			}
		}
		assert.Equal(t, wait, waits, strategy)
	}
}

func TestTheBatchesOfARollingDeployment(t *testing.T) {
	for _, c := range []struct{ desired, low, high, want int }{
		{2, 100, 200, 1}, {4, 100, 150, 2}, {4, 50, 100, 2}, {10, 100, 110, 10}, {1, 0, 100, 1}, {3, 50, 150, 2},
	} {
		assert.Equal(t, c.want, rollingBatches(c.desired, c.low, c.high), "%+v", c)
	}
}

func TestWords(t *testing.T) {
	assert.Equal(t, "1h", words(time.Hour))
	assert.Equal(t, "1h30m", words(90*time.Minute))
	assert.Equal(t, "2m10s", words(130*time.Second))
	assert.Equal(t, "30s", words(30*time.Second))
	assert.Equal(t, "0s", words(0))
}
