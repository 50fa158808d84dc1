package rollout

import (
	"fmt"
	"math"
	"time"
)

// provision is how long Fargate takes to give a task a machine, a network interface and an
// image of some hundred MB. It is a guess, used only for the estimate.
const provision = 60 * time.Second

// healthy is how long the load balancer takes to find a target healthy: two checks, 10 s apart.
const healthy = 20 * time.Second

// Phase is a part of a deployment.
type Phase struct {
	Name string
	// Time is how long it takes when nothing goes wrong.
	Time time.Duration
}

// Estimate is how long a deployment takes.
type Estimate struct {
	Phases []Phase
	// Total is the sum of the phases.
	Total time.Duration
	// Trial is when to give up on the trial task; 0 without one.
	Trial time.Duration
	// Deadline is when to give up on the deployment itself: the configured waits, and three times
	// everything else, so that a slow start is not taken for a failed one.
	Deadline time.Duration
}

func (s *settings) estimate() Estimate {
	// A task is expected to be healthy halfway through its grace period.
	start := provision + s.StartPeriod/2 + healthy
	end := s.Drain + time.Duration(s.tuning.StopSeconds)*time.Second
	bake := time.Duration(s.BakeMinutes) * time.Minute
	t := s.tuning
	var e Estimate
	if s.Trial {
		e.add("try one task of the new version", provision+s.StartPeriod/2+checkInterval*time.Second, 0)
		e.Trial = s.trialPatience()
	}
	work := func(name string, d time.Duration) { e.add(name, d, 3*d) }
	wait := func(name string, d time.Duration) { e.add(name, d, d) }
	if !s.strategy.shiftsTraffic() {
		batches := rollingBatches(s.Desired, t.MinimumHealthyPercent, t.MaximumPercent)
		work(fmt.Sprintf("replace %d tasks in %d batches", s.Desired, batches), time.Duration(batches)*(start+end))
		return e
	}
	work(fmt.Sprintf("start %d tasks of the new version", s.Desired), start)
	switch s.strategy {
	case canary:
		work(fmt.Sprintf("shift %g %% of the traffic", s.CanaryPercent), shift)
		wait("watch the canary", time.Duration(s.CanaryBakeMinutes)*time.Minute)
	case linear:
		steps := linearSteps(s.LinearStepPercent)
		work(fmt.Sprintf("shift %g %% of the traffic in each of %d steps", s.LinearStepPercent, steps), time.Duration(steps)*shift)
		// The wait after the step that reaches 100 % is the bake time itself.
		wait("watch between the steps", time.Duration(steps-1)*time.Duration(s.LinearStepMinutes)*time.Minute)
	}
	if s.strategy != linear {
		work("shift all traffic", shift)
	}
	if usual, most := s.analysisTime(); usual > 0 {
		// In the steps before, it is measured while they last.
		e.add("measure the new version with all traffic", usual, most)
	}
	wait("bake with both versions running", bake)
	work("drain and stop the old tasks", end)
	return e
}

// shift is how long a change of the rule's weights takes to reach all load balancer nodes.
const shift = 10 * time.Second

func (e *Estimate) add(name string, d, deadline time.Duration) {
	e.Phases = append(e.Phases, Phase{name, d})
	e.Total += d
	e.Deadline += deadline
}

func linearSteps(percent float64) int { return int(math.Ceil(100/percent - 1e-9)) }

// rollingBatches is how many rounds of starting and stopping tasks a rolling deployment
// takes with the room that the percentages leave.
func rollingBatches(desired, minimumPercent, maximumPercent int) int {
	least, most := taskBounds(desired, minimumPercent, maximumPercent)
	batch := max(1, (most-desired)+(desired-least))
	return (desired + batch - 1) / batch
}
