package deployment

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// targetsEvery is how often the load balancer is asked while tasks are starting.
const targetsEvery = 15 * time.Second

// paused tells of a pause, and ends the call unless it is to wait for the answer.
func (f *follower) paused(d *types.ServiceDeployment) *verdict.Problem {
	if !forward(d.Status) {
		f.outcome.Hook = nil // what is undone waits for no answer, though ECS may still describe the pause
		return nil
	}
	hook := hookOf(d)
	if hook != nil && hook.ID == f.Answered && f.clock.Now().Sub(f.answered) < appears {
		hook = nil
	}
	if hook == nil {
		if f.outcome.Hook != nil {
			f.say("the pause was answered")
			f.outcome.Hook = nil
		}
		return nil
	}
	// Time at a pause does not count: somebody is looking.
	f.begun, f.unhealthyAt = f.clock.Now(), time.Time{}
	if f.outcome.Hook == nil || f.outcome.Hook.ID != hook.ID {
		f.outcome.Hook = hook
		f.say("awaiting approval at %s until %s, then %s", hook.Stage, hook.Expires.UTC().Format(time.RFC3339), hook.OnExpiry)
	}
	if f.AwaitApproval {
		return nil
	}
	return f.published(verdict.Problemf(AwaitingApproval, "deployment %s is paused at %s; without an answer ECS does a %s at %s",
		id(f.outcome.Deployment), hook.Stage, hook.OnExpiry, hook.Expires.UTC().Format(time.RFC3339)))
}

func hookOf(d *types.ServiceDeployment) *Hook {
	for _, h := range d.LifecycleHookDetails {
		if h.Status == types.DeploymentLifecycleHookStatusAwaitingAction {
			return &Hook{ID: aws.ToString(h.HookId), Stage: string(d.LifecycleStage), Expires: aws.ToTime(h.ExpiresAt),
				OnExpiry: cmp.Or(string(h.TimeoutAction), "ROLLBACK")}
		}
	}
	return nil
}

// HookOf is the pause at which a deployment stands; nil when it does at none.
func HookOf(d *types.ServiceDeployment) *Hook { return hookOf(d) }

// neverHealthy says that no task of the new version more has become healthy in all the time
// that they may take. A rolling deployment starts them in batches, and may have no stage. That
// a task runs says nothing: ECS counts those in the state RUNNING, healthy or not.
func (f *follower) neverHealthy(d *types.ServiceDeployment, now time.Time) bool {
	if !starting(d.LifecycleStage) || f.last.Requested == 0 || f.noRoom != "" {
		f.unhealthyAt = time.Time{}
		return false
	}
	healthy, known := f.healthyTasks()
	if !known {
		healthy = f.last.Running
	}
	// Where traffic is shifted, ECS leaves the stage as soon as all are healthy: a task that runs
	// and of which nobody says how it is, is not.
	enough := healthy >= f.last.Requested && (known || sharesGroup(d))
	most := &f.mostRunning
	if known {
		most = &f.mostHealthy
	}
	progress := healthy > *most
	*most = max(*most, healthy)
	if progress || enough {
		f.unhealthyAt = time.Time{}
		return false
	}
	if f.unhealthyAt.IsZero() {
		f.unhealthyAt = now
	}
	return now.Sub(f.unhealthyAt) >= f.HealthPatience
}

// healthyTasks is how many tasks of the new version are healthy, and whether anybody said: the
// load balancer where there is one, and else the tasks' own health checks.
func (f *follower) healthyTasks() (int, bool) {
	if f.groupHealthy != nil {
		return *f.groupHealthy, true
	}
	return f.tasksHealthy, f.tasksChecked
}

// lookAtTargets tells how the load balancer sees the new tasks, as long as it does not find
// as many healthy as there should be.
func (f *follower) lookAtTargets(d *types.ServiceDeployment) {
	now := f.clock.Now()
	if !starting(d.LifecycleStage) || f.last.Requested == 0 || !f.targetsAt.IsZero() && now.Sub(f.targetsAt) < targetsEvery {
		return
	}
	group := ""
	if f.Targets != nil {
		group = f.targetGroup()
	}
	if group == "" {
		// That takes two calls where the load balancer takes one.
		if f.last.Running > 0 && (f.targetsAt.IsZero() || now.Sub(f.targetsAt) >= 2*targetsEvery) {
			f.targetsAt = now
			f.lookAtHealth()
		}
		return
	}
	f.targetsAt = now
	*f.ecs.calls++
	targets, err := f.Targets(f.ctx, group)
	if err != nil {
		f.say("the targets' health could not be read: %v", err)
		return
	}
	f.outcome.Targets = targets
	healthy := healthyOf(targets)
	if sharesGroup(d) {
		// A rolling deployment's old tasks are in the same group: those are healthy as before.
		healthy = max(0, healthy-oldRunning(d))
	}
	f.groupHealthy = &healthy
	if text := summary(targets); text != f.targetsSaid && text != "" {
		f.targetsSaid = text
		f.say("targets: %s", text)
	}
}

func healthyOf(targets []Target) int {
	n := 0
	for _, t := range targets {
		if t.State == "healthy" {
			n++
		}
	}
	return n
}

// sharesGroup says that old and new tasks are targets of one group, as in a rolling deployment.
func sharesGroup(d *types.ServiceDeployment) bool {
	return d.DeploymentConfiguration == nil || d.DeploymentConfiguration.Strategy == types.DeploymentStrategyRolling || d.DeploymentConfiguration.Strategy == ""
}

func oldRunning(d *types.ServiceDeployment) int {
	n := 0
	for _, old := range d.SourceServiceRevisions {
		n += int(old.RunningTaskCount)
	}
	return n
}

// lookAtHealth counts the tasks of the new version whose own health check passes, where no
// load balancer says how they are.
func (f *follower) lookAtHealth() {
	tasks, err := f.ecs.tasks(f.ctx, f.Cluster, f.Service, types.DesiredStatusRunning, nil)
	if err != nil {
		f.say("the tasks' health could not be read: %v", err)
		return
	}
	f.tasksHealthy, f.tasksChecked = 0, false
	for _, t := range tasks {
		if aws.ToString(t.TaskDefinitionArn) != f.TaskDefinition {
			continue
		}
		// A task without a health check stays UNKNOWN, and then says nothing.
		f.tasksChecked = f.tasksChecked || t.HealthStatus == types.HealthStatusHealthy || t.HealthStatus == types.HealthStatusUnhealthy
		if t.HealthStatus == types.HealthStatusHealthy {
			f.tasksHealthy++
		}
	}
}

// targetGroup is the group of the new version, asked for once.
func (f *follower) targetGroup() string {
	if f.groupAsked {
		return f.group
	}
	d, err := f.ecs.deployment(f.ctx, f.outcome.Deployment)
	if err != nil || d.TargetServiceRevision == nil {
		return ""
	}
	revision, err := f.ecs.revision(f.ctx, aws.ToString(d.TargetServiceRevision.Arn))
	if err != nil {
		return ""
	}
	f.group, f.groupAsked = groupOf(revision), true
	return f.group
}

func groupOf(revision *types.ServiceRevision) string {
	if c := revision.ResolvedConfiguration; c != nil && len(c.LoadBalancers) > 0 {
		return aws.ToString(c.LoadBalancers[0].TargetGroupArn)
	}
	if len(revision.LoadBalancers) > 0 {
		return aws.ToString(revision.LoadBalancers[0].TargetGroupArn)
	}
	return ""
}

// checkTargets demands that the load balancer finds as many healthy targets as are to run.
func (f *follower) checkTargets(revision *types.ServiceRevision, desired int) *verdict.Problem {
	group := groupOf(revision)
	if f.Targets == nil || group == "" {
		return nil
	}
	*f.ecs.calls++
	targets, err := f.Targets(f.ctx, group)
	if err != nil {
		return verdict.Problemf(Lost, "describe health of targets: %v", err)
	}
	f.outcome.Targets = targets
	healthy := healthyOf(targets)
	if healthy < desired {
		return verdict.Problemf(LBUnhealthy, "%d of %d targets are healthy%s", healthy, desired, prefixed(": ", summary(targets)))
	}
	return nil
}

// summary counts targets by state and reason.
func summary(targets []Target) string {
	counts := map[string]int{}
	for _, t := range targets {
		counts[strings.TrimSpace(t.State+prefixed(" ", t.Reason))]++
	}
	var all []string
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%d %s", counts[key], key))
	}
	return strings.Join(all, ", ")
}

// prefixed is a text with something before it, or nothing.
func prefixed(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// explain adds to a problem why tasks failed, and what the last one wrote.
func (f *follower) explain(problem *verdict.Problem) {
	problem.Details = slices.Clone(f.outcome.Failures)
	if err := f.tellLog(); err != nil {
		problem.Details = append(problem.Details, fmt.Sprintf("the log of task %s could not be read: %v", id(f.failedTask), err))
	}
	for _, line := range f.outcome.Log {
		problem.Details = append(problem.Details, "log: "+line)
	}
}

// tellLog tells the last lines of a task that failed, once. What a task wrote may take
// seconds to be there.
func (f *follower) tellLog() error {
	if f.Logs == nil || f.failedTask == "" || len(f.outcome.Log) > 0 {
		return nil
	}
	*f.ecs.calls++
	lines, err := f.Logs(f.ctx, f.failedTask)
	if err != nil {
		return err
	}
	f.outcome.Log = lines
	for _, line := range lines {
		f.say("log of task %s: %s", id(f.failedTask), line)
	}
	return nil
}

func containsAny(text string, words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}
