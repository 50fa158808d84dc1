package deployment

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ended judges a deployment in a terminal state.
func (f *follower) ended(d *types.ServiceDeployment) (bool, *verdict.Problem) {
	if d.FinishedAt != nil {
		f.outcome.Seconds = d.FinishedAt.Sub(aws.ToTime(d.CreatedAt)).Seconds()
	}
	switch d.Status {
	case types.ServiceDeploymentStatusSuccessful:
		revision := ""
		if d.TargetServiceRevision != nil {
			revision = aws.ToString(d.TargetServiceRevision.Arn)
		}
		return true, f.verify(revision)
	case types.ServiceDeploymentStatusRollbackSuccessful:
		f.outcome.Undone = true
		return true, f.because(RolledBack, d, "the old version serves")
	case types.ServiceDeploymentStatusRollbackFailed:
		return true, f.published(f.because(RollbackFailed, d, "which version serves is unknown"))
	case types.ServiceDeploymentStatusStopped:
		code, newer := Stopped, f.newer(d)
		switch {
		case f.goesOnIn(newer):
			return false, nil
		case len(newer) > 0, strings.Contains(strings.ToLower(aws.ToString(d.StatusReason)), "replaced by"):
			code = Superseded
		case broken(d):
			code = NotRolledBack
		}
		return true, f.published(f.because(code, d, ""))
	default:
		return false, nil // including words that do not exist yet
	}
}

// newer are the deployments that were begun after one that was stopped: it was stopped for
// them. ECS says so in words too, and words change.
func (f *follower) newer(d *types.ServiceDeployment) []types.ServiceDeploymentBrief {
	all, err := f.ecs.deployments(f.ctx, f.Cluster, f.Service, aws.ToTime(d.CreatedAt))
	if err != nil {
		f.say("the list of newer deployments could not be read: %v", err)
	}
	return slices.DeleteFunc(all, func(brief types.ServiceDeploymentBrief) bool {
		return aws.ToString(brief.ServiceDeploymentArn) == f.outcome.Deployment || !aws.ToTime(brief.CreatedAt).After(aws.ToTime(d.CreatedAt))
	})
}

// goesOnIn follows the newest of the deployments instead where it is of our version too: a
// run that was lost, and whose update no list showed yet, had begun the one that was stopped.
func (f *follower) goesOnIn(newer []types.ServiceDeploymentBrief) bool {
	if len(newer) == 0 {
		return false
	}
	if ours, err := f.isOurs(newer[0]); err != nil || !ours {
		return false
	}
	f.outcome.Deployment = aws.ToString(newer[0].ServiceDeploymentArn)
	f.say("it was replaced by deployment %s of the same version, which is followed instead", id(f.outcome.Deployment))
	f.began(aws.ToTime(newer[0].CreatedAt))
	f.found()
	return true
}

// broken says that ECS's circuit breaker ended a deployment. Where the service does not let it
// roll back, that is the end.
func broken(d *types.ServiceDeployment) bool {
	b := d.DeploymentCircuitBreaker
	return b != nil && b.Status == types.ServiceDeploymentRollbackMonitorsStatusTriggered
}

// because is the problem of a deployment that ended badly, with everything known of why.
func (f *follower) because(code verdict.Code, d *types.ServiceDeployment, effect string) *verdict.Problem {
	f.inspect(d)
	var parts []string
	add := func(why string) {
		if !strings.Contains(strings.Join(parts, "; "), why) { // ECS says the same in several places
			parts = append(parts, why)
		}
	}
	if f.ending != nil {
		if code == RolledBack && (f.ending.Code == NoCapacity || f.ending.Code == Stuck || f.ending.Code == NeverHealthy) {
			code = f.ending.Code
		}
		if f.asked {
			add(f.ending.Cause + ", so this run rolled it back")
		}
	}
	reasons := []string{aws.ToString(d.StatusReason)}
	if d.Rollback != nil {
		reasons = append(reasons, aws.ToString(d.Rollback.Reason))
	}
	for _, reason := range reasons {
		switch {
		case !byUser(reason):
			add(reason)
		case !f.asked: // this run is the user otherwise
			add(reason + ", and not by this run: CloudTrail has who called StopServiceDeployment")
		}
	}
	if f.ending != nil && !f.asked {
		add(f.ending.Cause)
	}
	if d.Alarms != nil && len(d.Alarms.TriggeredAlarmNames) > 0 {
		parts = append(parts, "alarms: "+strings.Join(d.Alarms.TriggeredAlarmNames, ", "))
	}
	if len(parts) == 0 {
		parts = append(parts, "ECS gives no reason")
	}
	if effect != "" {
		parts = append(parts, effect)
	}
	problem := verdict.Problemf(code, "deployment %s is %s: %s", id(f.outcome.Deployment), d.Status, strings.Join(parts, "; "))
	f.explain(problem)
	return problem
}

// byUser says that ECS tells of somebody's wish, whoever that was.
func byUser(reason string) bool {
	reason = strings.ToLower(reason)
	return strings.Contains(reason, "user") && strings.Contains(reason, "stop")
}
