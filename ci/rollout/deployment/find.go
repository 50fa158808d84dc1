package deployment

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout/unrepeatable"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// begin starts the deployment's time: what was waited for before is no part of it.
func (f *follower) begin() { f.started, f.begun = time.Time{}, f.clock.Now() }

// began takes over the time of a deployment that ECS says was created then. How long ago
// that is is known only where ECS has said what time it is.
func (f *follower) began(created time.Time) {
	f.started, f.begun = created, f.clock.Now()
	if f.clock.Measured() && !created.IsZero() {
		f.begun = f.begun.Add(-max(0, f.clock.Server().Sub(created)))
	}
}

// update makes the one call that changes anything, and finds the deployment it started.
// UpdateService has no token that would make it safe to repeat, so an answer that was
// lost is not asked for again: the deployment is looked for instead.
func (f *follower) update(before []types.ServiceDeploymentBrief) *verdict.Problem {
	in := f.Update
	in.Cluster, in.Service, in.TaskDefinition = aws.String(f.Cluster), aws.String(f.Service), aws.String(f.TaskDefinition)
	if problem := f.mayWrite(); problem != nil {
		return problem
	}
	f.begin()
	*f.ecs.calls++
	_, updateErr := f.ecs.UpdateService(f.ctx, &in, unrepeatable.ECS)
	if updateErr != nil && Expired(updateErr) {
		return f.unable(AWSFailed, fmt.Errorf("update service %s: %w", f.Service, updateErr))
	}
	if updateErr != nil && Refused(updateErr) {
		return verdict.Problemf(UpdateFailed, "update service %s: %v", f.Service, updateErr)
	}
	return f.find(before, updateErr)
}

// find looks for the deployment that our write started: one that was not listed before.
// Those of long before are left out of the list by the newest time that ECS itself gave then,
// never by a clock of ours.
func (f *follower) find(before []types.ServiceDeploymentBrief, updateErr error) *verdict.Problem {
	var lastErr error
	var since time.Time
	known := map[string]bool{}
	for _, brief := range before {
		known[aws.ToString(brief.ServiceDeploymentArn)] = true
		if created := aws.ToTime(brief.CreatedAt); created.Add(-appears).After(since) {
			since = created.Add(-appears)
		}
	}
	for end := f.clock.Now().Add(appears); ; {
		all, err := f.ecs.deployments(f.ctx, f.Cluster, f.Service, since)
		if f.outcome.CallsBeforeWait == 0 {
			f.outcome.CallsBeforeWait = f.outcome.Calls
		}
		lastErr = err
		for _, brief := range all {
			if known[aws.ToString(brief.ServiceDeploymentArn)] {
				continue
			}
			ours, err := f.isOurs(brief)
			if err != nil {
				lastErr = err
				break
			}
			if ours {
				f.outcome.Deployment, f.started = aws.ToString(brief.ServiceDeploymentArn), aws.ToTime(brief.CreatedAt)
				f.found()
				return nil
			}
		}
		if !f.clock.Now().Before(end) {
			break
		}
		if err := f.clock.Sleep(f.ctx, f.Poll); err != nil {
			return f.interrupted(err)
		}
	}
	switch {
	case updateErr != nil:
		return verdict.Problemf(UpdateFailed, "update service %s: %v; no deployment appeared in %s", f.Service, updateErr, appears)
	case lastErr != nil:
		return f.published(verdict.Problemf(Lost, "service %s was updated, and its deployment cannot be found: %v", f.Service, lastErr))
	default:
		return f.published(verdict.Problemf(NotStarted, "service %s was updated to %s, and no deployment of it appeared in %s", f.Service, id(f.TaskDefinition), appears))
	}
}
