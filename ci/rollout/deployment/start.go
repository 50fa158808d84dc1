package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout/unrepeatable"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// starter looks at the service, starts our deployment unless there is one, and follows it.
type starter struct {
	*follower
	// hasWaited is set once another deployment in flight was waited for.
	hasWaited bool
	// mayFollow is set once the credentials are known to be permitted to follow a deployment.
	mayFollow bool
}

// deploy looks at the service, adopts or starts our deployment, and follows it to its end.
func (s *starter) deploy(ctx context.Context) *verdict.Problem {
	service, err := s.ecs.service(ctx, s.Cluster, s.Service)
	switch {
	case errors.Is(err, errMissing) && s.Create != nil:
		return s.create(ctx, service, err)
	case errors.Is(err, errMissing):
		return verdict.Problemf(TargetMissing, "%v", err)
	case err != nil:
		return s.awsProblem(ctx, AWSFailed, err)
	case s.Create != nil && aws.ToString(service.Status) != "ACTIVE":
		return s.create(ctx, service, err)
	case aws.ToString(service.Status) != "ACTIVE":
		return verdict.Problemf(TargetMissing, "service %s is %s", s.Service, aws.ToString(service.Status))
	}
	all, err := s.ecs.deployments(ctx, s.Cluster, s.Service, time.Time{})
	before := slices.DeleteFunc(slices.Clone(all), func(d types.ServiceDeploymentBrief) bool { return HasEnded(d.Status, d.FinishedAt) })
	if err == nil && !s.mayFollow {
		err = s.checkPermissions(ctx, service)
	}
	if Denied(err) {
		return verdict.Problemf(FollowDenied, "%v", err)
	}
	if err != nil {
		return s.awsProblem(ctx, AWSFailed, err)
	}
	for _, brief := range before {
		ours, err := s.isOurs(ctx, brief)
		if err != nil {
			return s.awsProblem(ctx, AWSFailed, err)
		}
		if ours && isAdvancing(brief.Status) {
			s.outcome.Adopted, s.outcome.Deployment = true, aws.ToString(brief.ServiceDeploymentArn)
			s.adoptTimer(aws.ToTime(brief.CreatedAt))
			s.notifyStarted(ctx)
			return s.follow(ctx)
		}
	}
	if len(before) > 0 {
		again, problem := s.handleInFlight(ctx, before[0])
		if problem != nil {
			return problem
		}
		if again {
			return s.deploy(ctx)
		}
	}
	if len(before) == 0 && aws.ToString(service.TaskDefinition) == s.TaskDefinition && !s.redeploys() {
		s.outcome.Unchanged = true
		if problem := s.adjust(ctx); problem != nil {
			return problem
		}
		return s.verify(ctx, "")
	}
	if s.Before != nil {
		return s.runBefore(ctx)
	}
	if problem := s.update(ctx, all); problem != nil {
		return problem
	}
	return s.follow(ctx)
}

// runBefore calls Request.Before, which can take minutes in which others may deploy. Everything is
// looked at again afterwards.
func (s *starter) runBefore(ctx context.Context) *verdict.Problem {
	before := s.Before
	s.Before, s.mayFollow = nil, true
	if problem := before(ctx); problem != nil {
		return problem
	}
	return s.deploy(ctx)
}

// checkPermissions returns the error of ECS if the credentials may not describe deployments or
// revisions, which older policies do not allow. Without these calls our own deployment cannot be
// told from another, so they are tried before the service is touched. Other errors are ignored
// here: they appear again where the answer is needed.
func (s *starter) checkPermissions(ctx context.Context, service *types.Service) error {
	if current := service.CurrentServiceRevisions; len(current) > 0 {
		if _, err := s.ecs.revision(ctx, aws.ToString(current[0].Arn)); Denied(err) {
			return err
		}
	}
	if current := aws.ToString(service.CurrentServiceDeployment); current != "" {
		if _, err := s.ecs.deployment(ctx, current); Denied(err) {
			return err
		}
	}
	return nil
}

// redeploys reports whether the update starts a deployment although the task definition stays the
// same: these members do (API reference, UpdateService).
func (s *starter) redeploys() bool {
	u := &s.Update
	return u.ForceNewDeployment || u.LoadBalancers != nil || u.NetworkConfiguration != nil
}

// adjust updates the settings of a service that runs our version already, without starting a
// deployment: the task definition is left out. The call is safe to repeat.
func (s *starter) adjust(ctx context.Context) *verdict.Problem {
	u := &s.Update
	if u.DeploymentConfiguration == nil && u.HealthCheckGracePeriodSeconds == nil && u.AvailabilityZoneRebalancing == "" &&
		u.PropagateTags == "" {
		return nil
	}
	in := s.Update
	in.Cluster, in.Service, in.TaskDefinition = aws.String(s.Cluster), aws.String(s.Service), nil
	if problem := s.mayWrite(ctx); problem != nil {
		return problem
	}
	s.log("service %s runs the version already; its settings are changed", s.Service)
	*s.ecs.calls++
	if _, err := s.ecs.UpdateService(ctx, &in); err != nil {
		err = fmt.Errorf("update service %s: %w", s.Service, err)
		if Refused(err) && !Expired(err) {
			return verdict.Problemf(UpdateFailed, "%v", err)
		}
		return s.awsProblem(ctx, AWSFailed, err)
	}
	return nil
}

// update makes the one call that changes the service, and finds the deployment that it started.
// UpdateService takes no idempotency token, so it is not repeated when its answer is lost: the
// deployment is looked for instead.
func (s *starter) update(ctx context.Context, before []types.ServiceDeploymentBrief) *verdict.Problem {
	in := s.Update
	in.Cluster, in.Service, in.TaskDefinition = aws.String(s.Cluster), aws.String(s.Service), aws.String(s.TaskDefinition)
	if problem := s.mayWrite(ctx); problem != nil {
		return problem
	}
	s.startTimer()
	*s.ecs.calls++
	_, updateErr := s.ecs.UpdateService(ctx, &in, unrepeatable.ECS)
	if updateErr != nil {
		updateErr = fmt.Errorf("update service %s: %w", s.Service, updateErr)
	}
	switch {
	case updateErr != nil && Expired(updateErr):
		return s.awsProblem(ctx, AWSFailed, updateErr)
	case updateErr != nil && Refused(updateErr):
		return verdict.Problemf(UpdateFailed, "%v", updateErr)
	}
	return s.findDeployment(ctx, before, updateErr)
}

// findDeployment looks for the deployment that our write started: one that was not listed before.
// The list begins at the newest creation time that ECS reported before the write, never at a time
// of this machine's clock.
func (s *starter) findDeployment(ctx context.Context, before []types.ServiceDeploymentBrief, updateErr error) *verdict.Problem {
	var lastErr error
	var since time.Time
	known := map[string]bool{}
	for _, brief := range before {
		known[aws.ToString(brief.ServiceDeploymentArn)] = true
		if created := aws.ToTime(brief.CreatedAt); created.Add(-appears).After(since) {
			since = created.Add(-appears)
		}
	}
	for end := s.clock.Now().Add(appears); ; {
		all, err := s.ecs.deployments(ctx, s.Cluster, s.Service, since)
		if s.outcome.CallsBeforeWait == 0 {
			s.outcome.CallsBeforeWait = s.outcome.Calls
		}
		lastErr = err
		for _, brief := range all {
			if known[aws.ToString(brief.ServiceDeploymentArn)] {
				continue
			}
			ours, err := s.isOurs(ctx, brief)
			if err != nil {
				lastErr = err
				break
			}
			if ours {
				s.outcome.Deployment, s.started = aws.ToString(brief.ServiceDeploymentArn), aws.ToTime(brief.CreatedAt)
				s.notifyStarted(ctx)
				return nil
			}
		}
		if !s.clock.Now().Before(end) {
			break
		}
		if err := s.clock.Sleep(ctx, s.Poll); err != nil {
			return s.interrupted(err)
		}
	}
	switch {
	case updateErr != nil && (lastErr == nil || Absent(lastErr)):
		return verdict.Problemf(UpdateFailed, "%v; no deployment appeared in %s", updateErr, appears)
	case updateErr != nil: // nobody knows whether it was carried out, so nothing may be called unchanged
		return s.awsProblem(ctx, Lost, fmt.Errorf("%w; whether that started a deployment cannot be found out: %w", updateErr, lastErr))
	case lastErr != nil:
		return s.awsProblem(ctx, Lost, fmt.Errorf("service %s was updated, and its deployment cannot be found: %w", s.Service, lastErr))
	default:
		return s.withPublished(verdict.Problemf(NotStarted, "service %s was updated to %s, and no deployment of it appeared in %s", s.Service,
			id(s.TaskDefinition), appears))
	}
}
