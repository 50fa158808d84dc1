package deployment

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// drains is how long a deleted service may take to be gone.
const drains = 15 * time.Minute

// createAttempts fit into two minutes: a new role takes seconds to be known.
const createAttempts = 24

// create makes the service and follows its first deployment. A deleted service of the same name must
// be gone first.
func (s *starter) create(ctx context.Context, service *types.Service, err error) *verdict.Problem {
	for end := s.clock.Now().Add(drains); ; {
		if err != nil && !errors.Is(err, errMissing) {
			return s.awsProblem(ctx, AWSFailed, err)
		}
		if err != nil || aws.ToString(service.Status) == "INACTIVE" {
			break
		}
		if !s.clock.Now().Before(end) {
			problem := verdict.Problemf(TargetMissing, "service %s is %s, for %s", s.Service, aws.ToString(service.Status), drains)
			problem.Next = "Somebody deleted the service, and its tasks have not stopped: stop them, or wait, until ECS calls it INACTIVE; then " +
				"run the same again, which creates it"
			return problem
		}
		s.log("service %s is %s; it is created again when it is gone", s.Service, aws.ToString(service.Status))
		s.renewLock(ctx)
		if err := s.clock.Sleep(ctx, s.Poll); err != nil {
			return s.interrupted(err)
		}
		service, err = s.ecs.service(ctx, s.Cluster, s.Service)
	}
	// An error that there is no such service is expected here.
	before, err := s.ecs.deployments(ctx, s.Cluster, s.Service, time.Time{})
	if Denied(err) && !s.mayFollow {
		return verdict.Problemf(FollowDenied, "%v", err)
	}
	if s.Before != nil {
		return s.runBefore(ctx)
	}
	if problem := s.mayWrite(ctx); problem != nil {
		return problem
	}
	in := *s.Create
	in.Cluster, in.ServiceName, in.TaskDefinition = aws.String(s.Cluster), aws.String(s.Service), aws.String(s.TaskDefinition)
	in.ClientToken = aws.String(rand.Text())
	s.startTimer()
	var createErr error
	for attempt := 1; ; attempt++ {
		*s.ecs.calls++
		// The client token makes the call safe to repeat. Each creation has its own: ECS ignores a
		// call whose token has created a service before, even if that was deleted since.
		out, err := s.ecs.CreateService(ctx, &in)
		awsclock.See(s.clock, out, err)
		if createErr = nil; err == nil {
			break
		}
		createErr = fmt.Errorf("create service %s: %w", s.Service, err)
		if Expired(err) {
			return s.awsProblem(ctx, AWSFailed, createErr)
		}
		last := attempt == createAttempts
		if Refused(err) && (last || !roleNotReady(err) && !nameStillTaken(err)) {
			return verdict.Problemf(UpdateFailed, "%v", createErr)
		}
		if last {
			break // it may have been carried out
		}
		if nameStillTaken(err) {
			// The name is taken by a deleted service that ECS still remembers, or by one that somebody
			// created just now.
			if there, err := s.ecs.service(ctx, s.Cluster, s.Service); err == nil && aws.ToString(there.Status) == "ACTIVE" {
				return s.deploy(ctx)
			}
			s.log("ECS still remembers the old service %s; trying again", s.Service)
		}
		s.renewLock(ctx)
		if err := s.clock.Sleep(ctx, s.Poll); err != nil {
			return s.interrupted(err)
		}
	}
	s.outcome.Created = true
	if problem := s.findDeployment(ctx, before, createErr); problem != nil {
		return problem
	}
	return s.follow(ctx)
}
