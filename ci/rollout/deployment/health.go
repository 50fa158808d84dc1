package deployment

import (
	"context"
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

// neverHealthy reports whether no further task of the new version has become healthy within
// HealthPatience. A rolling deployment starts its tasks in batches, and may have no stage. A running
// task proves nothing: ECS counts every task in the state RUNNING, healthy or not.
func (o *observer) neverHealthy(d *types.ServiceDeployment, now time.Time) bool {
	if !isStarting(d.LifecycleStage) || o.lastEvent.Requested == 0 || o.noRoom != "" {
		o.unhealthyAt = time.Time{}
		return false
	}
	healthy, known := o.healthyTasks()
	if !known {
		healthy = o.lastEvent.Running
	}
	// Where traffic is shifted, ECS leaves the stage as soon as all are healthy: a task that runs
	// and of which nobody says how it is, is not.
	enough := healthy >= o.lastEvent.Requested && (known || sharesGroup(d))
	most := &o.mostRunning
	if known {
		most = &o.mostHealthy
	}
	progress := healthy > *most
	*most = max(*most, healthy)
	if progress || enough {
		o.unhealthyAt = time.Time{}
		return false
	}
	if o.unhealthyAt.IsZero() {
		o.unhealthyAt = now
	}
	return now.Sub(o.unhealthyAt) >= o.HealthPatience
}

// neverHealthyProblem is the problem of tasks that run and do not become healthy.
func (o *observer) neverHealthyProblem(since string) *verdict.Problem {
	return verdict.Problemf(NeverHealthy, "%s no more than %d of %d tasks of the new version have become healthy, and %d run%s",
		since, o.mostHealthy, o.lastEvent.Requested, o.lastEvent.Running, prefixed("; targets: ", o.targetsSaid))
}

// healthyTasks returns how many tasks of the new version are healthy, and whether that is known: from
// the load balancer if there is one, otherwise from the tasks' own health checks.
func (o *observer) healthyTasks() (int, bool) {
	if o.groupHealthy != nil {
		return *o.groupHealthy, true
	}
	return o.tasksHealthy, o.tasksChecked
}

// readTargets reads the load balancer's health of the new tasks while they are starting.
func (o *observer) readTargets(ctx context.Context, d *types.ServiceDeployment) {
	now := o.clock.Now()
	if !isStarting(d.LifecycleStage) || o.lastEvent.Requested == 0 || !o.targetsAt.IsZero() && now.Sub(o.targetsAt) < targetsEvery {
		return
	}
	var groups []string
	if o.Targets != nil {
		groups = o.targetGroups(ctx)
	}
	if len(groups) == 0 {
		// That takes two calls where the load balancer takes one.
		if o.lastEvent.Running > 0 && (o.targetsAt.IsZero() || now.Sub(o.targetsAt) >= 2*targetsEvery) {
			o.targetsAt = now
			o.readTaskHealth(ctx)
		}
		return
	}
	o.targetsAt = now
	targets, healthy, err := o.leastHealthy(ctx, groups)
	if err != nil {
		o.log("the targets' health could not be read: %v", err)
		return
	}
	o.outcome.Targets = targets
	if sharesGroup(d) {
		// A rolling deployment's old tasks are in the same group: those are healthy as before.
		healthy = max(0, healthy-oldRunning(d))
	}
	o.groupHealthy = &healthy
	if text := summary(targets); text != o.targetsSaid && text != "" {
		o.targetsSaid = text
		o.log("targets: %s", text)
	}
}

// readTaskHealth counts the tasks of the new version that pass their own health check. It is used
// where no load balancer checks them.
func (o *observer) readTaskHealth(ctx context.Context) {
	tasks, err := o.ecs.tasks(ctx, o.Cluster, o.Service, types.DesiredStatusRunning, nil)
	if err != nil {
		o.log("the tasks' health could not be read: %v", err)
		return
	}
	o.tasksHealthy, o.tasksChecked = 0, false
	for _, t := range tasks {
		if aws.ToString(t.TaskDefinitionArn) != o.TaskDefinition {
			continue
		}
		// A task without a health check stays UNKNOWN, and then says nothing.
		o.tasksChecked = o.tasksChecked || t.HealthStatus == types.HealthStatusHealthy || t.HealthStatus == types.HealthStatusUnhealthy
		if t.HealthStatus == types.HealthStatusHealthy {
			o.tasksHealthy++
		}
	}
}

// leastHealthy returns the targets of the group with the fewest healthy ones: a task is in all groups,
// and serves when it is healthy in each.
func (s *session) leastHealthy(ctx context.Context, groups []string) (least []Target, healthy int, err error) {
	for n, group := range groups {
		*s.ecs.calls++
		targets, err := s.Targets(ctx, group)
		if err != nil {
			return nil, 0, err
		}
		if count := healthyOf(targets); n == 0 || count < healthy {
			least, healthy = targets, count
		}
	}
	return least, healthy, nil
}

// targetGroups returns the target groups of the new version; the answer is cached.
func (o *observer) targetGroups(ctx context.Context) []string {
	if o.targetGroupsKnown {
		return o.targetGroupARNs
	}
	d, err := o.ecs.deployment(ctx, o.outcome.Deployment)
	if err != nil || d.TargetServiceRevision == nil {
		return nil
	}
	revision, err := o.ecs.revision(ctx, aws.ToString(d.TargetServiceRevision.Arn))
	if err != nil {
		return nil
	}
	o.targetGroupARNs, o.targetGroupsKnown = groupsOf(revision), true
	return o.targetGroupARNs
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

// sharesGroup reports whether old and new tasks share a target group, as in a rolling deployment.
func sharesGroup(d *types.ServiceDeployment) bool {
	return d.DeploymentConfiguration == nil || d.DeploymentConfiguration.Strategy == types.DeploymentStrategyRolling ||
		d.DeploymentConfiguration.Strategy == ""
}

func oldRunning(d *types.ServiceDeployment) int {
	n := 0
	for _, old := range d.SourceServiceRevisions {
		n += int(old.RunningTaskCount)
	}
	return n
}

// groupsOf are the target groups of a revision, each once.
func groupsOf(revision *types.ServiceRevision) []string {
	var all []string
	add := func(arn *string) {
		if arn := aws.ToString(arn); arn != "" && !slices.Contains(all, arn) {
			all = append(all, arn)
		}
	}
	if c := revision.ResolvedConfiguration; c != nil && len(c.LoadBalancers) > 0 {
		for _, lb := range c.LoadBalancers {
			add(lb.TargetGroupArn)
		}
		return all
	}
	for _, lb := range revision.LoadBalancers {
		add(lb.TargetGroupArn)
	}
	return all
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

// prefixed returns text with a prefix, or nothing if text is empty.
func prefixed(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
