package deployment

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// judgeEnd returns whether the deployment has ended, and the verdict if it has.
func (f *follower) judgeEnd(ctx context.Context, d *types.ServiceDeployment) (bool, *verdict.Problem) {
	f.outcome.Status = string(d.Status)
	if d.FinishedAt != nil {
		f.outcome.Seconds = d.FinishedAt.Sub(aws.ToTime(d.CreatedAt)).Seconds()
	}
	switch d.Status {
	case types.ServiceDeploymentStatusSuccessful:
		revision := ""
		if d.TargetServiceRevision != nil {
			revision = aws.ToString(d.TargetServiceRevision.Arn)
		}
		if f.Analysis != nil {
			if problem := f.Analysis.Finish(); problem != nil {
				return true, f.withPublished(problem)
			}
		}
		return true, f.verify(ctx, revision)
	case types.ServiceDeploymentStatusRollbackSuccessful:
		f.outcome.Undone = true
		return true, f.problemOf(ctx, RolledBack, d, "the old version serves")
	case types.ServiceDeploymentStatusRollbackFailed:
		return true, f.withPublished(f.problemOf(ctx, RollbackFailed, d, "which version serves is unknown"))
	case types.ServiceDeploymentStatusStopped:
		code, newer := Stopped, f.newerDeployments(ctx, d)
		switch {
		case f.followReplacement(ctx, newer):
			return false, nil
		case len(newer) > 0, strings.Contains(strings.ToLower(aws.ToString(d.StatusReason)), "replaced by"):
			code = Superseded
		case breakerTripped(d):
			code = NotRolledBack
		}
		return true, f.withPublished(f.problemOf(ctx, code, d, ""))
	default:
		if HasEnded(d.Status, d.FinishedAt) {
			return true, f.withPublished(f.problemOf(ctx, EndUnknown, d,
				"this version does not know that status, so which version serves is unknown"))
		}
		return false, nil
	}
}

// newerDeployments lists the deployments that were created after one that was stopped; one of them
// replaced it. ECS also names the reason in words, but words change.
func (f *follower) newerDeployments(ctx context.Context, d *types.ServiceDeployment) []types.ServiceDeploymentBrief {
	all, err := f.ecs.deployments(ctx, f.Cluster, f.Service, aws.ToTime(d.CreatedAt))
	if err != nil {
		f.log("the list of newer deployments could not be read: %v", err)
	}
	return slices.DeleteFunc(all, func(brief types.ServiceDeploymentBrief) bool {
		return aws.ToString(brief.ServiceDeploymentArn) == f.outcome.Deployment || !aws.ToTime(brief.CreatedAt).After(aws.ToTime(d.CreatedAt))
	})
}

// followReplacement follows the newest of the deployments instead if it is of our version. That
// happens when an interrupted run had updated the service and no list showed its deployment yet.
func (f *follower) followReplacement(ctx context.Context, newer []types.ServiceDeploymentBrief) bool {
	if len(newer) == 0 {
		return false
	}
	if ours, err := f.isOurs(ctx, newer[0]); err != nil || !ours {
		return false
	}
	f.outcome.Deployment = aws.ToString(newer[0].ServiceDeploymentArn)
	f.log("deployment %s of the same version has replaced it and is followed instead", id(f.outcome.Deployment))
	f.adoptTimer(aws.ToTime(newer[0].CreatedAt))
	f.notifyStarted(ctx)
	return true
}

// problemOf describes a deployment that ended badly, with every known reason.
func (f *follower) problemOf(ctx context.Context, code verdict.Code, d *types.ServiceDeployment, effect string) *verdict.Problem {
	f.observe(ctx, d)
	var parts []string
	add := func(why string) {
		if !strings.Contains(strings.Join(parts, "; "), why) { // ECS repeats reasons
			parts = append(parts, why)
		}
	}
	if f.reason != nil {
		if code == RolledBack && slices.Contains([]string{NoCapacity.Name, Stuck.Name, NeverHealthy.Name, AnalysisFailed.Name,
			AnalysisInconclusive.Name, WithOthers.Name},
			f.reason.Code.Name) {
			code = f.reason.Code
		}
		if f.rollbackRequested {
			add(f.reason.Cause + ", so this run rolled it back")
		}
	}
	reasons := []string{aws.ToString(d.StatusReason)}
	if d.Rollback != nil {
		reasons = append(reasons, aws.ToString(d.Rollback.Reason))
	}
	for _, reason := range reasons {
		switch {
		case !stoppedByUser(reason):
			add(reason)
		case !f.rollbackRequested: // otherwise this run was the user
			add(reason + ", and not by this run: CloudTrail has who called StopServiceDeployment")
		}
	}
	if f.reason != nil && !f.rollbackRequested {
		add(f.reason.Cause)
	}
	if d.Alarms != nil && len(d.Alarms.TriggeredAlarmNames) > 0 {
		parts = append(parts, "alarms: "+strings.Join(d.Alarms.TriggeredAlarmNames, ", "))
	}
	if len(f.outcome.Failures) > 0 { // what ECS names is its rule, not what happened
		why, _, _ := strings.Cut(f.outcome.Failures[0], " -> ")
		add(why)
	}
	if len(parts) == 0 {
		parts = append(parts, "ECS gives no reason")
	}
	if effect != "" {
		parts = append(parts, effect)
	}
	problem := verdict.Problemf(code, "deployment %s is %s: %s", id(f.outcome.Deployment), d.Status, strings.Join(parts, "; "))
	f.explain(ctx, problem)
	return problem
}

// breakerTripped reports whether ECS's circuit breaker ended a deployment. Unless the service lets
// the breaker roll back, nothing more happens.
func breakerTripped(d *types.ServiceDeployment) bool {
	b := d.DeploymentCircuitBreaker
	return b != nil && b.Status == types.ServiceDeploymentRollbackMonitorsStatusTriggered
}

// stoppedByUser reports whether ECS's reason is that a user stopped the deployment.
func stoppedByUser(reason string) bool {
	reason = strings.ToLower(reason)
	return strings.Contains(reason, "user") && strings.Contains(reason, "stop")
}
