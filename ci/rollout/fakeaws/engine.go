package fakeaws

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// deployment is one service deployment under way.
type deployment struct {
	arn      string
	service  *service
	source   *revision
	target   *revision
	config   types.DeploymentConfiguration
	created  time.Time
	finished time.Time
	status   types.ServiceDeploymentStatus
	reason   string
	stage    string
	since    time.Time
	// seen is the time up to which the deployment was simulated.
	seen     time.Time
	weight   float64
	failures int32
	launches int
	// unlaunched counts tasks that never ran, as "failedTasks" of the API's Deployment does:
	// it is 0 from the first running task on.
	unlaunched int32
	ranOnce    bool
	// replaced is when each failed task is launched again.
	replaced []time.Time
	rollback *types.Rollback
	// blindAlarms were in ALARM when the deployment began: ECS then ignores alarms.
	blindAlarms bool
	triggered   []string
	// broken is set when the circuit breaker has tripped.
	broken bool
	noted  bool
	// pauses are the stops at hooks, in the order in which they were reached; pausing is the
	// stage of the one it stands at.
	pauses  []*pause
	pausing types.DeploymentLifecycleHookStage
	// steps are how many shifts of the traffic were begun.
	steps int
	// weighed is the weight that the rule has.
	weighed float64
}

// The time that the stages without a configured length take here.
const (
	stageTime    = 10 * time.Second
	cleanUpTime  = 30 * time.Second
	rollbackTime = 60 * time.Second
	healthyAfter = 30 * time.Second
	// relaunchAfter is explained at relaunchDelay.
	relaunchAfter = 10 * time.Second
	step          = time.Second
)

// advance moves every deployment on to the clock's time, a second at a time.
func (e *ECS) advance() {
	now := e.clock.Now()
	e.endAlone(now)
	for _, s := range e.services {
		for _, d := range s.order {
			e.move(d, now)
		}
	}
}

func (e *ECS) move(d *deployment, now time.Time) {
	for !d.done() && !d.seen.Add(step).After(now) {
		d.seen = d.seen.Add(step)
		e.tick(d, d.seen)
		if d.weighed != d.weight {
			d.weighed = d.weight
			e.weights(d)
		}
	}
}

func (d *deployment) done() bool {
	switch d.status {
	case types.ServiceDeploymentStatusSuccessful, types.ServiceDeploymentStatusStopped,
		types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusRollbackFailed:
		return true
	default:
		return false
	}
}

// forward reports whether the deployment moves towards its target, or has reached it.
func (d *deployment) forward() bool {
	switch d.status {
	case types.ServiceDeploymentStatusPending, types.ServiceDeploymentStatusInProgress, types.ServiceDeploymentStatusSuccessful:
		return true
	default:
		return false
	}
}

// tick is one second of a deployment.
func (e *ECS) tick(d *deployment, now time.Time) {
	in := now.Sub(d.since)
	switch d.status {
	case types.ServiceDeploymentStatusPending:
		if in >= 2*time.Second {
			d.status = types.ServiceDeploymentStatusInProgress
			d.enter(firstStage(d), now)
		}
		return
	case types.ServiceDeploymentStatusStopRequested, types.ServiceDeploymentStatusRollbackRequested:
		d.status, d.since = types.ServiceDeploymentStatusRollbackInProgress, now
		return
	case types.ServiceDeploymentStatusRollbackInProgress:
		if in >= rollbackTime {
			e.finishRollback(d, now)
		}
		return
	}
	b := e.behaviours[d.target.taskDefinition]
	if role := e.executionRole(d.target.taskDefinition); b.CannotLaunch == "" && e.unknown != nil && e.unknown(role, now) {
		b.CannotLaunch = fmt.Sprintf("(service %s) failed to launch a task with (error ECS was unable to assume the role '%s' that was "+
			"provided for this task.).", d.service.name, role)
	}
	e.runTasks(d, b, now)
	if d.status != types.ServiceDeploymentStatusInProgress || e.alarmed(d, now) || b.Hangs == d.stage && b.Hangs != "" {
		return
	}
	e.leave(d, now.Sub(d.since), now)
}

func (e *ECS) executionRole(taskDefinition string) string {
	if d := e.definition(taskDefinition); d != nil {
		return aws.ToString(d.ExecutionRoleArn)
	}
	return ""
}

func firstStage(d *deployment) string {
	if d.config.Strategy == types.DeploymentStrategyRolling || d.config.Strategy == "" {
		return "SCALE_UP" // rolling deployments have no stages; SCALE_UP stands for "tasks are being replaced"
	}
	return "RECONCILE_SERVICE"
}

func (d *deployment) enter(stage string, now time.Time) { d.stage, d.since = stage, now }

// leave goes on to the next stage when this one is done.
func (e *ECS) leave(d *deployment, in time.Duration, now time.Time) {
	rolling := d.config.Strategy == types.DeploymentStrategyRolling || d.config.Strategy == ""
	switch d.stage {
	case "RECONCILE_SERVICE":
		if in >= stageTime && !e.paused(d, beforeTasks, 0, now) {
			d.enter("SCALE_UP", now)
		}
	case "SCALE_UP":
		if e.healthy(d, now) < d.service.desired {
			return
		}
		if !rolling && e.paused(d, afterTasks, 0, now) {
			return
		}
		if rolling {
			d.weight = 100
			d.enter("CLEAN_UP", now)
			if d.source != nil {
				d.service.stopTasks(d.source, now)
			}
			return
		}
		d.enter("PRODUCTION_TRAFFIC_SHIFT", now)
	case "PRODUCTION_TRAFFIC_SHIFT":
		e.shift(d, in, now)
	case "BAKE_TIME":
		if in >= time.Duration(aws.ToInt32(d.config.BakeTimeInMinutes))*time.Minute {
			d.enter("CLEAN_UP", now)
		}
	case "CLEAN_UP":
		if in >= cleanUpTime {
			e.succeed(d, now)
		}
	}
}

// shift moves the weights: at once, after a canary, or step by step. Before each step
// stands the stage PRE_PRODUCTION_TRAFFIC_SHIFT (API reference, DeploymentLifecycleHook).
func (e *ECS) shift(d *deployment, in time.Duration, now time.Time) {
	weight, wait := d.nextStep()
	if d.steps > 0 && in < wait {
		return
	}
	if d.weight == 100 {
		if !e.paused(d, afterTraffic, 0, now) {
			d.enter("BAKE_TIME", now)
		}
		return
	}
	if e.paused(d, beforeTraffic, d.steps, now) {
		return
	}
	d.steps++
	d.weight = weight
	d.enter("PRODUCTION_TRAFFIC_SHIFT", now)
}

// nextStep is the weight of the next shift, and how long the one before it is watched. What
// follows the shift to all is the bake.
func (d *deployment) nextStep() (weight float64, wait time.Duration) {
	switch {
	case d.weight == 100:
		return 100, stageTime
	case d.config.Strategy == types.DeploymentStrategyCanary && d.steps == 0:
		return aws.ToFloat64(d.config.CanaryConfiguration.CanaryPercent), 0
	case d.config.Strategy == types.DeploymentStrategyCanary:
		return 100, stageTime + time.Duration(aws.ToInt32(d.config.CanaryConfiguration.CanaryBakeTimeInMinutes))*time.Minute
	case d.config.Strategy == types.DeploymentStrategyLinear:
		l := d.config.LinearConfiguration
		return min(100, float64(d.steps+1)*aws.ToFloat64(l.StepPercent)),
			stageTime + time.Duration(aws.ToInt32(l.StepBakeTimeInMinutes))*time.Minute
	default:
		return 100, 0
	}
}

// breaker trips by COUNT; a rolling deployment's only, as the API reference has it.
func (e *ECS) breaker(d *deployment, now time.Time) bool {
	c := d.config.DeploymentCircuitBreaker
	if c == nil || !c.Enable || d.config.Strategy != types.DeploymentStrategyRolling || d.failures < threshold(c) {
		return false
	}
	d.broken = true
	if !c.Rollback {
		// "The rollback option is not in use for the circuit breaker and the service fails":
		// it is stopped, and nothing is put back (API reference, ServiceDeployment, stoppedAt).
		d.status, d.finished, d.reason = types.ServiceDeploymentStatusStopped, now, "Service deployment stopped because of: Circuit breaker "+
			"triggered"
		return true
	}
	return e.undo(d, now, "Circuit breaker triggered", types.ServiceDeploymentStatusRollbackRequested)
}

func threshold(c *types.DeploymentCircuitBreaker) int32 {
	if c.ThresholdConfiguration != nil {
		return c.ThresholdConfiguration.Value
	}
	return 10
}

// alarmed rolls back on an alarm that was not already in ALARM at the start: those make
// ECS ignore alarms for the whole deployment.
func (e *ECS) alarmed(d *deployment, now time.Time) bool {
	a := d.config.Alarms
	if a == nil || !a.Enable || d.blindAlarms {
		return false
	}
	for _, name := range a.AlarmNames {
		if e.alarms[name] {
			d.triggered = append(d.triggered, name)
		}
	}
	return len(d.triggered) > 0 && a.Rollback && e.undo(d, now, "Alarm triggered", types.ServiceDeploymentStatusRollbackRequested)
}

// undo begins a rollback, if there is a revision that once completed to go back to.
func (e *ECS) undo(d *deployment, now time.Time, reason string, status types.ServiceDeploymentStatus) bool {
	if d.source == nil || !d.source.completed {
		return false
	}
	d.status, d.since, d.reason = status, now, "Service deployment rolled back because of: "+reason
	d.rollback = &types.Rollback{Reason: aws.String(reason), ServiceRevisionArn: aws.String(d.source.arn), StartedAt: aws.Time(now)}
	return true
}

func (e *ECS) finishRollback(d *deployment, now time.Time) {
	d.weight, d.finished, d.status = 0, now, types.ServiceDeploymentStatusRollbackSuccessful
	if e.behaviours[d.target.taskDefinition].RollbackFails {
		d.status, d.reason = types.ServiceDeploymentStatusRollbackFailed, "Rollback failed: the old revision's tasks could not be started"
		d.service.current = nil
	}
	d.service.stopTasks(d.target, now)
	if d.status == types.ServiceDeploymentStatusRollbackSuccessful {
		for n := d.service.running(d.source); n < d.service.desired; n++ {
			d.service.tasks = append(d.service.tasks, &task{arn: e.arn("task", d.service), revision: d.source, launched: now.Add(-rollbackTime)})
		}
	}
	d.service.touch(e, now)
}

// running counts the tasks of a revision that were not stopped.
func (s *service) running(r *revision) int32 {
	n := int32(0)
	for _, t := range s.tasks {
		if t.revision == r && t.stopped.IsZero() {
			n++
		}
	}
	return n
}

// replacing reports whether a rolling deployment still stops old tasks.
func (d *deployment) replacing() bool {
	return d.config.Strategy == types.DeploymentStrategyRolling && d.stage == "CLEAN_UP" && !d.done()
}

func (e *ECS) succeed(d *deployment, now time.Time) {
	d.service.touch(e, now)
	d.status, d.finished, d.target.completed = types.ServiceDeploymentStatusSuccessful, now, true
	if d.source != nil {
		d.service.stopTasks(d.source, now)
	}
	d.service.current = d.target
	d.service.event(now, fmt.Sprintf("(service %s) (deployment %s) deployment completed.", d.service.name, lastPart(d.arn)))
}

func (s *service) stopTasks(r *revision, now time.Time) {
	for _, t := range s.tasks {
		if t.revision == r && t.stopped.IsZero() {
			t.stopped = now
			t.failure = &Failure{Code: types.TaskStopCodeServiceSchedulerInitiated, Reason: "Scaling activity initiated by deployment"}
		}
	}
}

// touch keeps how the service looked before, for readers that lag behind.
func (s *service) touch(e *ECS, now time.Time) {
	before := e.describe(s)
	s.stale, s.updated = &before, now
}
